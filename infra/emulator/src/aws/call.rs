//! One call to AWS, read from its HTTP request: service, operation, caller.

use http::request::Parts;
use http::{HeaderMap, Method, Uri};

/// The services behind the proxy. All but S3 speak JSON and name the operation in `X-Amz-Target`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Service {
    /// Amazon DynamoDB.
    DynamoDb,
    /// Amazon S3: method and path name the operation.
    S3,
    /// Amazon SQS.
    Sqs,
    /// AWS Secrets Manager.
    SecretsManager,
}

impl Service {
    /// Returns the prefix of its actions in IAM policies.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::DynamoDb => "dynamodb",
            Self::S3 => "s3",
            Self::Sqs => "sqs",
            Self::SecretsManager => "secretsmanager",
        }
    }
}

/// Service, operation and caller of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) service: Service,
    pub(super) operation: String,
    /// Access key id that signed the request, if any: a worker's id.
    pub(super) access_key: Option<String>,
}

impl Call {
    pub(super) fn read(parts: &Parts) -> Option<Self> {
        let headers = &parts.headers;
        let (service, operation) = match headers.get("x-amz-target") {
            None => (Service::S3, s3_operation(parts)?),
            Some(target) => {
                let (target, operation) = target.to_str().ok()?.split_once('.')?;
                let service = match target {
                    "DynamoDB_20120810" | "DynamoDBStreams_20120810" => Service::DynamoDb,
                    "AmazonSQS" => Service::Sqs,
                    "secretsmanager" => Service::SecretsManager,
                    _ => return None,
                };
                (service, operation)
            }
        };

        Some(Self {
            service,
            operation: operation.to_owned(),
            access_key: access_key(headers).map(str::to_owned),
        })
    }
}

/// Returns the operation of a request to S3. The bucket is the path's first part, as the SDK has it
/// where the endpoint is an IP address.
fn s3_operation(parts: &Parts) -> Option<&'static str> {
    let has_key = bucket_and_key(&parts.uri).is_some_and(|(_, key)| !key.is_empty());
    let query = parts.uri.query().unwrap_or_default();
    let of_tags = form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "tagging");

    Some(match (&parts.method, has_key, of_tags) {
        (&Method::PUT, true, true) => "PutObjectTagging",
        (&Method::PUT, true, false) if parts.headers.contains_key("x-amz-copy-source") => {
            "CopyObject"
        }
        (&Method::PUT, true, false) => "PutObject",
        (&Method::GET, true, true) => "GetObjectTagging",
        (&Method::GET, true, false) => "GetObject",
        (&Method::HEAD, true, false) => "HeadObject",
        (&Method::DELETE, true, false) => "DeleteObject",
        (&Method::GET, false, false) => "ListObjectsV2",
        _ => return None,
    })
}

/// Returns the path's two parts, if it has two.
pub(super) fn bucket_and_key(uri: &Uri) -> Option<(&str, &str)> {
    uri.path().strip_prefix('/')?.split_once('/')
}

/// Returns `AKID` of `AWS4-HMAC-SHA256 Credential=AKID/20260301/us-east-1/dynamodb/aws4_request,
/// …`. <https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html>
pub(super) fn access_key(headers: &HeaderMap) -> Option<&str> {
    let authorization = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let (_, credential) = authorization.split_once("Credential=")?;
    credential.split_once('/').map(|(key, _)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(request: http::request::Builder) -> Option<Call> {
        Call::read(&request.body(()).unwrap().into_parts().0)
    }

    #[test]
    fn a_signed_request_names_service_operation_and_caller() {
        let request = http::Request::post("/").header("x-amz-target", "DynamoDB_20120810.TransactWriteItems").header(
            "authorization",
            "AWS4-HMAC-SHA256 Credential=SendMessage1/20260301/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=00",
        );

        let call = read(request).unwrap();
        assert_eq!(
            (call.service, call.operation.as_str()),
            (Service::DynamoDb, "TransactWriteItems")
        );

        assert_eq!(call.access_key.as_deref(), Some("SendMessage1"));
        assert_eq!(read(http::Request::post("/")), None);

        let of_stream = "DynamoDBStreams_20120810.GetRecords";
        let call = read(http::Request::post("/").header("x-amz-target", of_stream)).unwrap();
        assert_eq!((call.service, call.operation.as_str()), (Service::DynamoDb, "GetRecords"));

        assert_eq!(
            read(http::Request::post("/").header("x-amz-target", "Kinesis.PutRecord")),
            None
        );
    }

    #[test]
    fn s3_says_it_with_method_and_path() {
        for (method, path, operation) in [
            ("PUT", "/bucket/a/b", "PutObject"),
            ("PUT", "/bucket/a?tagging", "PutObjectTagging"),
            ("GET", "/bucket/a?x-id=GetObject", "GetObject"),
            ("HEAD", "/bucket/a", "HeadObject"),
            ("GET", "/bucket?list-type=2", "ListObjectsV2"),
        ] {
            let call = read(http::Request::builder().method(method).uri(path)).unwrap();
            assert_eq!(
                (call.service, call.operation.as_str()),
                (Service::S3, operation),
                "{method} {path}"
            );
        }
    }
}
