//! The operations that calls ask for, on resources by the template's own names.
//!
//! An operation whose permissions depend on its content has it after a slash:
//! `dynamodb:TransactWriteItems/Put`, `s3:PutObject/tagging`.

use std::collections::{BTreeMap, BTreeSet};

use http::HeaderMap;
use http::request::Parts;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::call::{Call, Service};

/// An operation that a function asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub struct Operation {
    /// The function's logical id.
    pub function: String,
    /// Service and operation: `dynamodb:PutItem`.
    pub operation: String,
    /// The resource by logical id: `Table`, `Table/index/outbox`, `Files/a`, `ChatQueue`; a secret
    /// that is not the template's by its name.
    pub resource: String,
    /// The partition key of the item that is asked for, which policies call its leading key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
}

/// A part of a call that policies decide about.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(super) operation: String,
    pub(super) resource: String,
    pub(super) partition: Option<String>,
}

impl Request {
    pub(crate) fn new(operation: impl Into<String>, resource: impl Into<String>) -> Request {
        Request { operation: operation.into(), resource: resource.into(), partition: None }
    }
}

/// The template's own names.
#[derive(Debug, Clone, Default)]
pub(super) struct LogicalIds {
    functions: BTreeSet<String>,
    /// By table name, bucket name, queue URL or secret ARN, the logical id.
    resources: BTreeMap<String, String>,
    /// The table's partition key, by attribute name.
    partition_key: String,
}

impl LogicalIds {
    pub(super) fn of_functions(functions: impl IntoIterator<Item = String>) -> Self {
        Self { functions: functions.into_iter().collect(), ..Self::default() }
    }

    pub(super) fn set_partition_key(&mut self, attribute: &str) {
        attribute.clone_into(&mut self.partition_key);
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

    /// Returns the parts of `call`, whatever its result.
    pub(super) fn asked_for(&self, call: &Call, parts: &Parts, body: &[u8]) -> Vec<Request> {
        match call.service {
            Service::S3 => self.of_s3(call, parts),
            service => {
                let body: Value = serde_json::from_slice(body).unwrap_or_default();
                let operations = match service {
                    Service::DynamoDb => self.of_dynamodb(&call.operation, &body),
                    Service::Sqs => {
                        vec![Request::new(&call.operation, self.named(&body, "QueueUrl"))]
                    }
                    _ => vec![Request::new(&call.operation, self.named(&body, "SecretId"))],
                };
                let prefixed = |request: Request| Request {
                    operation: format!("{}:{}", service.prefix(), request.operation),
                    ..request
                };
                operations.into_iter().map(prefixed).collect()
            }
        }
    }

    /// Returns the operations on DynamoDB, a transaction's by the kinds of its items. An index that
    /// is read is a resource of its own.
    fn of_dynamodb(&self, operation: &str, body: &Value) -> Vec<Request> {
        match operation {
            "TransactWriteItems" | "TransactGetItems" => {
                let items = body["TransactItems"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_object)
                    .flatten();
                let of_kind = |kind: &str| format!("{operation}/{kind}");
                items
                    .map(|(kind, item)| Request {
                        operation: of_kind(kind),
                        resource: self.named(item, "TableName"),
                        partition: self.partition(item),
                    })
                    .collect()
            }
            "BatchGetItem" | "BatchWriteItem" => {
                let tables = body["RequestItems"].as_object().into_iter().flatten();
                tables
                    .flat_map(|(table, wanted)| {
                        let keys = wanted["Keys"].as_array().into_iter().flatten();
                        keys.map(|key| Request {
                            operation: operation.into(),
                            resource: self.of(table),
                            partition: self.text_of_partition_key(key),
                        })
                    })
                    .collect()
            }
            _ => {
                let index = body["IndexName"].as_str().map(|index| format!("/index/{index}"));
                vec![Request {
                    operation: operation.into(),
                    partition: match index {
                        Some(_) => first_equal(body),
                        None => self.partition(body),
                    },
                    resource: self.named(body, "TableName") + &index.unwrap_or_default(),
                }]
            }
        }
    }

    /// Returns the partition key of the item that is read or written, or of the items that a query
    /// reads.
    fn partition(&self, request: &Value) -> Option<String> {
        let of_item = ["Key", "Item"].into_iter().find_map(|member| {
            request.get(member).and_then(|item| self.text_of_partition_key(item))
        });
        of_item.or_else(|| first_equal(request))
    }

    fn text_of_partition_key(&self, item: &Value) -> Option<String> {
        item[&self.partition_key]["S"].as_str().map(str::to_owned)
    }

    /// Returns the operation on S3, and whether an object comes with a tag.
    fn of_s3(&self, call: &Call, parts: &Parts) -> Vec<Request> {
        let (bucket, key) = super::call::bucket_and_key(&parts.uri).unwrap_or_default();
        let bucket = self.of(bucket);
        match call.operation.as_str() {
            "ListObjectsV2" => vec![Request::new("s3:ListObjectsV2", bucket)],
            "PutObject" if parts.headers.contains_key("x-amz-tagging") => {
                vec![Request::new("s3:PutObject/tagging", format!("{bucket}/{key}"))]
            }
            operation => vec![Request::new(format!("s3:{operation}"), format!("{bucket}/{key}"))],
        }
    }

    /// Returns the operation on an object that turned out to be missing.
    pub(super) fn of_missing(&self, call: &Call, parts: &Parts) -> Request {
        let (bucket, _) = super::call::bucket_and_key(&parts.uri).unwrap_or_default();
        Request::new(format!("s3:{}/missing", call.operation), self.of(bucket))
    }

    fn named(&self, body: &Value, field: &str) -> String {
        self.of(body[field].as_str().unwrap_or_default())
    }
}

/// Returns the partition key that a query asks for, of the table or of an index: the one attribute
/// that has to be equal to something.
fn first_equal(request: &Value) -> Option<String> {
    let condition = request["KeyConditionExpression"].as_str()?;
    let (_, rest) = condition.split_once(" = ")?;
    let name = rest.split_whitespace().next()?;
    request["ExpressionAttributeValues"][name]["S"].as_str().map(str::to_owned)
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

    fn asked_for(request: http::request::Builder, body: &str) -> Vec<(String, String)> {
        let parts = request.body(()).unwrap().into_parts().0;
        let call = Call::read(&parts).unwrap();
        let mut names = LogicalIds::default();
        names.add("shop-1", "Table");
        names.add("http://127.0.0.1/0/chat", "ChatQueue");
        names.add("bucket", "Files");
        names.set_partition_key("pk");
        let asked_for = names.asked_for(&call, &parts, body.as_bytes());
        asked_for.into_iter().map(|request| (request.operation, request.resource)).collect()
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
    fn a_transaction_is_told_by_its_items() {
        let body = r#"{"TransactItems":[{"Update":{"TableName":"shop-1"}},{"ConditionCheck":{"TableName":"shop-1"}}]}"#;
        let wanted = pairs(&[
            ("dynamodb:TransactWriteItems/Update", "Table"),
            ("dynamodb:TransactWriteItems/ConditionCheck", "Table"),
        ]);

        assert_eq!(asked_for(json("DynamoDB_20120810.TransactWriteItems"), body), wanted);
        let body = r#"{"RequestItems":{"shop-1":{"Keys":[{"pk":{"S":"a"}}]}}}"#;
        assert_eq!(
            asked_for(json("DynamoDB_20120810.BatchGetItem"), body),
            pairs(&[("dynamodb:BatchGetItem", "Table")])
        );

        let body = r#"{"TableName":"shop-1","IndexName":"outbox"}"#;

        assert_eq!(
            asked_for(json("DynamoDB_20120810.Query"), body),
            pairs(&[("dynamodb:Query", "Table/index/outbox")])
        );
    }

    #[test]
    fn an_items_partition_is_its_leading_key() {
        let mut names = LogicalIds::default();
        names.set_partition_key("pk");
        let partitions = |operation: &str, body: &str| -> Vec<String> {
            let requests = names.of_dynamodb(operation, &serde_json::from_str(body).unwrap());
            requests.into_iter().filter_map(|request| request.partition).collect()
        };

        let item = r#"{"pk":{"S":"a"},"sk":{"S":"b"}}"#;
        for (operation, body) in [
            ("GetItem", format!(r#"{{"Key":{item}}}"#)),
            ("PutItem", format!(r#"{{"Item":{item}}}"#)),
            ("TransactWriteItems", format!(r#"{{"TransactItems":[{{"Put":{{"Item":{item}}}}}]}}"#)),
            ("BatchGetItem", format!(r#"{{"RequestItems":{{"shop-1":{{"Keys":[{item}]}}}}}}"#)),
            (
                "Query",
                r#"{"KeyConditionExpression":"pk = :pk AND begins_with(sk, :sk)",
                    "ExpressionAttributeValues":{":pk":{"S":"a"},":sk":{"S":"b"}}}"#
                    .to_owned(),
            ),
        ] {
            assert_eq!(partitions(operation, &body), ["a"], "{operation}");
        }
        let of_index = r#"{"IndexName":"outbox",
            "KeyConditionExpression":"outbox_bucket = :bucket AND due <= :now",
            "ExpressionAttributeValues":{":bucket":{"S":"chat#0"},":now":{"N":"1"}}}"#;
        assert_eq!(partitions("Query", of_index), ["chat#0"], "an index has a key of its own");
    }

    #[test]
    fn queues_secrets_and_objects_are_called_by_their_logical_ids() {
        let body = r#"{"QueueUrl":"http://127.0.0.1/0/chat"}"#;
        assert_eq!(
            asked_for(json("AmazonSQS.SendMessageBatch"), body),
            pairs(&[("sqs:SendMessageBatch", "ChatQueue")])
        );

        let secret =
            asked_for(json("secretsmanager.GetSecretValue"), r#"{"SecretId":"shop/whatsapp/a"}"#);
        assert_eq!(secret, pairs(&[("secretsmanager:GetSecretValue", "shop/whatsapp/a")]));
        let put = http::Request::put("/bucket/a").header("x-amz-tagging", "state=pending");

        assert_eq!(asked_for(put, ""), pairs(&[("s3:PutObject/tagging", "Files/a")]));

        assert_eq!(
            asked_for(http::Request::head("/bucket/a"), ""),
            pairs(&[("s3:HeadObject", "Files/a")])
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
