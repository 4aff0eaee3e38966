//! The permissions that calls need: actions as IAM policies name them, resources by the template's
//! own names. Nothing is refused here; tests compare the recorded permissions with the policies.
//!
//! Actions: <https://docs.aws.amazon.com/service-authorization/latest/reference/reference.html>.

use std::collections::{BTreeMap, BTreeSet};

use http::HeaderMap;
use http::request::Parts;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::call::{Call, Service};

/// A permission that a function needed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub struct Permission {
    /// The function's logical id.
    pub function: String,
    /// The action: `dynamodb:PutItem`.
    pub action: String,
    /// The resource by logical id: `Table`, `Table/index/outbox`, `Files/*`, `ChatQueue`; a secret
    /// that is not the template's by its name.
    pub resource: String,
}

/// The template's own names.
#[derive(Debug, Clone, Default)]
pub(super) struct LogicalIds {
    functions: BTreeSet<String>,
    /// By table name, bucket name, queue URL or secret ARN, the logical id.
    resources: BTreeMap<String, String>,
}

impl LogicalIds {
    pub(super) fn of_functions(functions: impl IntoIterator<Item = String>) -> Self {
        Self { functions: functions.into_iter().collect(), resources: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, physical: impl Into<String>, logical_id: impl Into<String>) {
        self.resources.insert(physical.into(), logical_id.into());
    }

    /// Returns the function that signed a request, which may be a presigned URL that another client
    /// uses.
    pub(super) fn signer(&self, call: &Call, parts: &Parts) -> Option<String> {
        let access_key = call.access_key.clone().or_else(|| presigned_by(parts))?;
        self.functions.get(function_of(&access_key)).cloned()
    }

    fn of(&self, physical: &str) -> String {
        self.resources.get(physical).map_or_else(|| physical.to_owned(), Clone::clone)
    }

    /// Returns pairs of action and resource that `call` needs, whatever its result.
    pub(super) fn needed(&self, call: &Call, parts: &Parts, body: &[u8]) -> Vec<(String, String)> {
        match call.service {
            Service::S3 => self.of_s3(call, parts),
            service => {
                let body: Value = serde_json::from_slice(body).unwrap_or_default();
                let needed = match service {
                    Service::DynamoDb => self.of_dynamodb(&call.operation, &body),
                    Service::Sqs => {
                        vec![(
                            call.operation.trim_end_matches("Batch").into(),
                            self.named(&body, "QueueUrl"),
                        )]
                    }
                    _ => vec![(call.operation.clone(), self.named(&body, "SecretId"))],
                };
                let prefixed =
                    |(action, resource)| (format!("{}:{action}", service.prefix()), resource);
                needed.into_iter().map(prefixed).collect()
            }
        }
    }

    /// Returns the permissions for DynamoDB. A transaction needs those of its items; reading an
    /// index needs the index, and not the table.
    fn of_dynamodb(&self, operation: &str, body: &Value) -> Vec<(String, String)> {
        match operation {
            "TransactWriteItems" | "TransactGetItems" => {
                let items = body["TransactItems"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_object)
                    .flatten();
                let action = |kind: &str| match kind {
                    "ConditionCheck" => "ConditionCheckItem".to_owned(),
                    kind => format!("{kind}Item"),
                };
                items.map(|(kind, item)| (action(kind), self.named(item, "TableName"))).collect()
            }
            "BatchGetItem" | "BatchWriteItem" => {
                let tables = body["RequestItems"].as_object().into_iter().flatten();
                tables.map(|(table, _)| (operation.into(), self.of(table))).collect()
            }
            _ => {
                let index = body["IndexName"].as_str().map(|index| format!("/index/{index}"));
                vec![(operation.into(), self.named(body, "TableName") + &index.unwrap_or_default())]
            }
        }
    }

    /// Returns the permissions for S3. A tag that comes with an object needs one of its own.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/userguide/tagging-and-policies.html>
    fn of_s3(&self, call: &Call, parts: &Parts) -> Vec<(String, String)> {
        let (bucket, _) = super::call::bucket_and_key(&parts.uri).unwrap_or_default();
        let bucket = self.of(bucket);
        let action = match call.operation.as_str() {
            "HeadObject" => "GetObject",
            "ListObjectsV2" => return vec![("s3:ListBucket".into(), bucket)],
            operation => operation,
        };

        let objects = format!("{bucket}/*");
        let mut needed = vec![(format!("s3:{action}"), objects.clone())];
        if action == "PutObject" && parts.headers.contains_key("x-amz-tagging") {
            needed.push(("s3:PutObjectTagging".into(), objects));
        }

        needed
    }

    /// Returns the permission to be told that an object is missing: without it, S3 answers 403.
    /// <https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html>
    pub(super) fn to_be_told_missing(&self, parts: &Parts) -> (String, String) {
        let (bucket, _) = super::call::bucket_and_key(&parts.uri).unwrap_or_default();
        ("s3:ListBucket".into(), self.of(bucket))
    }

    fn named(&self, body: &Value, field: &str) -> String {
        self.of(body[field].as_str().unwrap_or_default())
    }
}

/// Returns the access key that a presigned URL was signed with.
/// <https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html>
fn presigned_by(parts: &Parts) -> Option<String> {
    let query = form_urlencoded::parse(parts.uri.query()?.as_bytes());
    let credential = query.into_iter().find(|(name, _)| name == "X-Amz-Credential")?.1;
    credential.split_once('/').map(|(key, _)| key.to_owned())
}

/// Returns the logical id of the function that a worker's access key belongs to, also when the
/// worker is gone: its number comes last.
fn function_of(access_key: &str) -> &str {
    access_key.trim_end_matches(|letter: char| letter.is_ascii_digit())
}

/// Returns the function that signed a request to a service outside the proxy, by logical id.
pub fn caller(headers: &HeaderMap) -> Option<&str> {
    super::call::access_key(headers).map(function_of)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needed(request: http::request::Builder, body: &str) -> Vec<(String, String)> {
        let parts = request.body(()).unwrap().into_parts().0;
        let call = Call::read(&parts).unwrap();
        let mut names = LogicalIds::default();
        names.add("shop-1", "Table");
        names.add("http://127.0.0.1/0/chat", "ChatQueue");
        names.add("bucket", "Files");
        names.needed(&call, &parts, body.as_bytes())
    }

    fn json(target: &str) -> http::request::Builder {
        http::Request::post("/").header("x-amz-target", target)
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(action, resource)| ((*action).to_owned(), (*resource).to_owned()))
            .collect()
    }

    #[test]
    fn a_transaction_needs_what_its_items_need() {
        let body = r#"{"TransactItems":[{"Update":{"TableName":"shop-1"}},{"ConditionCheck":{"TableName":"shop-1"}}]}"#;
        let wanted =
            pairs(&[("dynamodb:UpdateItem", "Table"), ("dynamodb:ConditionCheckItem", "Table")]);

        assert_eq!(needed(json("DynamoDB_20120810.TransactWriteItems"), body), wanted);
        let body = r#"{"RequestItems":{"shop-1":{}}}"#;
        assert_eq!(
            needed(json("DynamoDB_20120810.BatchGetItem"), body),
            pairs(&[("dynamodb:BatchGetItem", "Table")])
        );

        let body = r#"{"TableName":"shop-1","IndexName":"outbox"}"#;

        assert_eq!(
            needed(json("DynamoDB_20120810.Query"), body),
            pairs(&[("dynamodb:Query", "Table/index/outbox")])
        );
    }

    #[test]
    fn queues_secrets_and_objects_are_called_by_their_logical_ids() {
        let body = r#"{"QueueUrl":"http://127.0.0.1/0/chat"}"#;
        assert_eq!(
            needed(json("AmazonSQS.SendMessageBatch"), body),
            pairs(&[("sqs:SendMessage", "ChatQueue")])
        );

        let secret =
            needed(json("secretsmanager.GetSecretValue"), r#"{"SecretId":"shop/whatsapp/a"}"#);
        assert_eq!(secret, pairs(&[("secretsmanager:GetSecretValue", "shop/whatsapp/a")]));
        let put = http::Request::put("/bucket/a").header("x-amz-tagging", "state=pending");

        assert_eq!(
            needed(put, ""),
            pairs(&[("s3:PutObject", "Files/*"), ("s3:PutObjectTagging", "Files/*")])
        );

        assert_eq!(
            needed(http::Request::head("/bucket/a"), ""),
            pairs(&[("s3:GetObject", "Files/*")])
        );
    }

    #[test]
    fn a_workers_key_tells_its_function() {
        assert_eq!(function_of("SendMessage17"), "SendMessage");
        let url =
            "/bucket/a?X-Amz-Credential=Attachments3%2F20260301%2Fus-east-1%2Fs3%2Faws4_request";
        let parts = http::Request::put(url).body(()).unwrap().into_parts().0;
        assert_eq!(presigned_by(&parts).as_deref(), Some("Attachments3"));
    }
}
