//! One call to AWS as its HTTP request tells it: service, operation, caller.

use http::HeaderMap;

/// The services behind the proxy. All three speak JSON and name the operation in `X-Amz-Target`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Service {
    /// Amazon DynamoDB.
    DynamoDb,
    /// Amazon SQS.
    Sqs,
    /// AWS Secrets Manager.
    SecretsManager,
}

impl Service {
    /// The prefix of its actions in IAM policies.
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::DynamoDb => "dynamodb",
            Self::Sqs => "sqs",
            Self::SecretsManager => "secretsmanager",
        }
    }
}

/// What a request asks for, and who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) service: Service,
    pub(super) operation: String,
    /// Access key id that signed the request, if any: a worker's identity.
    pub(super) access_key: Option<String>,
}

impl Call {
    pub(super) fn read(headers: &HeaderMap) -> Option<Self> {
        let (target, operation) = headers.get("x-amz-target")?.to_str().ok()?.split_once('.')?;
        let service = match target {
            "DynamoDB_20120810" => Service::DynamoDb,
            "AmazonSQS" => Service::Sqs,
            "secretsmanager" => Service::SecretsManager,
            _ => return None,
        };
        Some(Self { service, operation: operation.to_owned(), access_key: access_key(headers).map(str::to_owned) })
    }
}

/// `AKID` of `AWS4-HMAC-SHA256 Credential=AKID/20260301/us-east-1/dynamodb/aws4_request, …`.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/create-signed-request.html>
pub(super) fn access_key(headers: &HeaderMap) -> Option<&str> {
    let authorization = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let (_, credential) = authorization.split_once("Credential=")?;
    credential.split_once('/').map(|(key, _)| key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signed_request_names_service_operation_and_caller() {
        let headers = HeaderMap::from_iter(
            [
                ("x-amz-target", "DynamoDB_20120810.TransactWriteItems"),
                ("authorization", "AWS4-HMAC-SHA256 Credential=SendMessage1/20260301/us-east-1/dynamodb/aws4_request, SignedHeaders=host, Signature=00"),
            ]
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap())),
        );
        let call = Call::read(&headers).unwrap();
        assert_eq!((call.service, call.operation.as_str()), (Service::DynamoDb, "TransactWriteItems"));
        assert_eq!(call.access_key.as_deref(), Some("SendMessage1"));
        assert_eq!(Call::read(&HeaderMap::new()), None);
    }
}
