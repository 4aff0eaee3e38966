//! The two calls to CloudFormation that list a stack's resources and outputs, in its [query
//! protocol](https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/Welcome.html): a
//! form in, XML out. The SDK for them would take a tenth of the time that everything takes to
//! compile; requests are signed by the crate that the other SDKs sign with.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SigningParams, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use platform::InternalError;
use platform::aws::Aws;

const API_VERSION: &str = "2010-05-15";
const TIMEOUT: Duration = Duration::from_secs(10);

/// Returns the outputs of a stack by their keys.
pub(crate) async fn read_outputs(
    aws: &Aws,
    stack: &str,
) -> Result<BTreeMap<String, String>, InternalError> {
    let response: DescribeStacksResponse =
        call_api(aws, "DescribeStacks", &[("StackName", stack)]).await?;

    Ok(response
        .result
        .stacks
        .member
        .into_iter()
        .flat_map(|stack| stack.outputs.member)
        .map(|output| (output.output_key, output.output_value))
        .collect())
}

/// Returns the physical ids of a stack's resources by their logical ids.
pub(crate) async fn read_resources(
    aws: &Aws,
    stack: &str,
) -> Result<BTreeMap<String, String>, InternalError> {
    let mut resources = BTreeMap::new();
    let mut next_token = None;
    loop {
        let mut parameters = vec![("StackName", stack)];
        parameters.extend(next_token.as_deref().map(|token| ("NextToken", token)));
        let response: ListStackResourcesResponse =
            call_api(aws, "ListStackResources", &parameters).await?;

        let page = response.result.stack_resource_summaries.member.into_iter();
        resources.extend(page.filter_map(|resource| {
            Some((resource.logical_resource_id, resource.physical_resource_id?))
        }));

        next_token = response.result.next_token;
        if next_token.is_none() {
            return Ok(resources);
        }
    }
}

/// Makes one call and parses its answer.
async fn call_api<T: DeserializeOwned>(
    aws: &Aws,
    action: &str,
    parameters: &[(&str, &str)],
) -> Result<T, InternalError> {
    let answer = send_request(aws, action, parameters)
        .await
        .map_err(|error| InternalError::network(format!("calling {action}"), &*error))?;
    quick_xml::de::from_str(&answer)
        .map_err(|error| InternalError::network(format!("reading the answer to {action}"), &error))
}

/// Signs and sends a request; returns the body of a successful answer.
async fn send_request(
    aws: &Aws,
    action: &str,
    parameters: &[(&str, &str)],
) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let config = aws.service("CLOUDFORMATION");
    let region = config.region().ok_or("there is no region")?.as_ref();
    let url = config.endpoint_url().map_or_else(|| endpoint(region), str::to_owned);

    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("Action", action), ("Version", API_VERSION)])
        .extend_pairs(parameters)
        .finish();

    let mut request = http::Request::post(&url)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body)?;

    let credentials = config.credentials_provider().ok_or("there are no credentials")?;
    let identity = credentials.provide_credentials().await?.into();
    let signing: SigningParams<'_> = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("cloudformation")
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()?
        .into();
    let body = SignableBody::Bytes(request.body().as_bytes());

    let signable = SignableRequest::new("POST", &url, std::iter::empty(), body)?;
    let (signature, _) = sign(signable, &signing)?.into_parts();
    signature.apply_to_request_http1x(&mut request);

    let client = reqwest::Client::builder().timeout(TIMEOUT).build()?;
    let response = client.execute(request.try_into()?).await?;
    let succeeded = response.status().is_success();
    let answer = response.text().await?;

    if succeeded {
        return Ok(answer);
    }
    let ErrorResponse { error } = quick_xml::de::from_str(&answer)?;
    Err(format!("{}: {} (in {region})", error.code, error.message).into())
}

/// Returns CloudFormation's address in a region; China's are in a [domain of their
/// own](https://docs.amazonaws.cn/en_us/aws/latest/userguide/endpoints-arns.html).
fn endpoint(region: &str) -> String {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("https://cloudformation.{region}.{domain}/")
}

#[derive(Deserialize)]
struct DescribeStacksResponse {
    #[serde(rename = "DescribeStacksResult")]
    result: DescribeStacksResult,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeStacksResult {
    stacks: Members<Stack>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Stack {
    #[serde(default)]
    outputs: Members<Output>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Output {
    output_key: String,
    output_value: String,
}

#[derive(Deserialize)]
struct ListStackResourcesResponse {
    #[serde(rename = "ListStackResourcesResult")]
    result: ListStackResourcesResult,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListStackResourcesResult {
    stack_resource_summaries: Members<Resource>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Resource {
    logical_resource_id: String,
    /// `None` while the resource is being created.
    physical_resource_id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorResponse {
    error: ErrorDetail,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ErrorDetail {
    code: String,
    message: String,
}

/// List in the protocol's form.
#[derive(Deserialize)]
struct Members<T> {
    #[serde(default = "Vec::new")]
    member: Vec<T>,
}

impl<T> Default for Members<T> {
    fn default() -> Members<T> {
        Members { member: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cloudformations_answers_are_parsed() {
        let response: DescribeStacksResponse = quick_xml::de::from_str(
            "<DescribeStacksResponse \
             xmlns=\"http://cloudformation.amazonaws.com/doc/2010-05-15/\">\
             <DescribeStacksResult><Stacks><member><Outputs><member>\
             <Description>where</Description><OutputKey>ApiUrl</OutputKey>\
             <OutputValue>https://a/?b&amp;c</OutputValue></member></Outputs>\
             <StackStatus>CREATE_COMPLETE</StackStatus></member></Stacks></DescribeStacksResult>\
             <ResponseMetadata><RequestId>1</RequestId></ResponseMetadata>\
             </DescribeStacksResponse>",
        )
        .expect("it is read");
        let output = &response.result.stacks.member[0].outputs.member[0];
        assert_eq!(
            (output.output_key.as_str(), output.output_value.as_str()),
            ("ApiUrl", "https://a/?b&c")
        );

        let response: ListStackResourcesResponse = quick_xml::de::from_str(
            "<ListStackResourcesResponse><ListStackResourcesResult><StackResourceSummaries>\
             <member><LogicalResourceId>Table</LogicalResourceId>\
             <PhysicalResourceId>t-1</PhysicalResourceId></member>\
             <member><LogicalResourceId>Queue</LogicalResourceId></member>\
             </StackResourceSummaries><NextToken>more</NextToken></ListStackResourcesResult>\
             </ListStackResourcesResponse>",
        )
        .expect("it is read");
        assert_eq!(response.result.stack_resource_summaries.member.len(), 2);
        assert_eq!(response.result.next_token.as_deref(), Some("more"));
    }

    #[test]
    fn a_stack_without_outputs_has_none() {
        let response: DescribeStacksResponse = quick_xml::de::from_str(
            "<R><DescribeStacksResult><Stacks><member><Outputs/></member><member></member>\
             </Stacks></DescribeStacksResult></R>",
        )
        .expect("it is read");
        assert!(response.result.stacks.member.iter().all(|stack| stack.outputs.member.is_empty()));
    }
}
