//! The two questions that operators ask CloudFormation: what a stack's outputs are, and what its
//! resources are called. It speaks the [query
//! protocol](https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/Welcome.html): a
//! form in, XML out. Faults do not hit it: no function calls it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use http::StatusCode;
use http::header::AUTHORIZATION;
use http::request::Parts;

use super::answer::{self, Answer};
use crate::account::{ACCOUNT_ID, PARTITION, REGION, STACK_NAME};

const NAMESPACE: &str = "http://cloudformation.amazonaws.com/doc/2010-05-15/";
/// The local system is made anew at each start, and no older than anybody who asks.
const CREATED_AT: &str = "2026-01-01T00:00:00Z";

/// What has been made of the template.
#[derive(Debug, Default)]
pub(crate) struct Deployed {
    /// The outputs that command lines need.
    pub(crate) outputs: BTreeMap<String, String>,
    /// Physical ids, which are what `!Ref` stands for, by logical ids.
    pub(crate) resources: BTreeMap<String, String>,
}

/// Whether a request is for CloudFormation: the scope of its signature says so.
pub(super) fn is_for(parts: &Parts) -> bool {
    let authorization = parts.headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    authorization.is_some_and(|signed| signed.contains("/cloudformation/aws4_request"))
}

/// Answers one; `None` is a stack that is still being made.
pub(super) fn answer(deployed: Option<&Deployed>, body: &[u8]) -> Answer {
    let form: BTreeMap<_, _> = form_urlencoded::parse(body).into_owned().collect();
    let asked = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    let stack = asked("StackName");
    let Some(deployed) = deployed.filter(|_| stack == STACK_NAME) else {
        return refusal(
            "ValidationError",
            &format!("Stack with id {stack} does not exist; here it is {STACK_NAME}"),
        );
    };
    match asked("Action") {
        action @ "DescribeStacks" => result(action, &stacks(deployed)),
        action @ "ListStackResources" => result(action, &resources(deployed)),
        action => {
            refusal("InvalidAction", &format!("The local CloudFormation does not know {action}"))
        }
    }
}

fn stacks(deployed: &Deployed) -> String {
    let outputs = deployed.outputs.iter().fold(String::new(), |mut xml, (key, value)| {
        let (key, value) = (escape(key), escape(value));
        let _ = write!(
            xml,
            "<member><OutputKey>{key}</OutputKey><OutputValue>{value}</OutputValue></member>"
        );
        xml
    });
    format!(
        "<Stacks><member><StackName>{STACK_NAME}</StackName>\
         <StackId>arn:{PARTITION}:cloudformation:{REGION}:{ACCOUNT_ID}:stack/{STACK_NAME}/local</StackId>\
         <CreationTime>{CREATED_AT}</CreationTime><StackStatus>CREATE_COMPLETE</StackStatus>\
         <Outputs>{outputs}</Outputs></member></Stacks>"
    )
}

fn resources(deployed: &Deployed) -> String {
    let members = deployed.resources.iter().fold(String::new(), |mut xml, (logical, physical)| {
        let (logical, physical) = (escape(logical), escape(physical));
        let _ = write!(
            xml,
            "<member><LogicalResourceId>{logical}</LogicalResourceId>\
             <PhysicalResourceId>{physical}</PhysicalResourceId><ResourceType>AWS::Local::Resource</ResourceType>\
             <LastUpdatedTimestamp>{CREATED_AT}</LastUpdatedTimestamp>\
             <ResourceStatus>CREATE_COMPLETE</ResourceStatus></member>"
        );
        xml
    });
    format!("<StackResourceSummaries>{members}</StackResourceSummaries>")
}

fn result(action: &str, xml: &str) -> Answer {
    let xml = format!(
        "<{action}Response xmlns=\"{NAMESPACE}\"><{action}Result>{xml}</{action}Result></{action}Response>"
    );
    answer::xml(StatusCode::OK, xml)
}

fn refusal(code: &str, message: &str) -> Answer {
    let (code, message) = (escape(code), escape(message));
    let xml = format!(
        "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>Sender</Type><Code>{code}</Code>\
         <Message>{message}</Message></Error></ErrorResponse>"
    );
    answer::xml(StatusCode::BAD_REQUEST, xml)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
