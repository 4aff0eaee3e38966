//! The event of an SQS event source, and how its answer is read.
//! <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>

use std::collections::BTreeSet;

use aws_sdk_sqs::types::{Message, MessageAttributeValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::account::REGION;

/// Ids of messages that were processed.
pub(super) type Ids<'a> = BTreeSet<&'a str>;

/// Returns the event for a batch.
pub(super) fn event(batch: &[&Message], arn: &str) -> Bytes {
    let records: Vec<Value> = batch.iter().map(|message| record(message, arn)).collect();
    Bytes::from(json!({ "Records": records }).to_string())
}

/// Returns the messages that were processed according to the function's answer: all but those it
/// names, and none if the answer is malformed.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html#services-sqs-batchfailurereporting>
pub(super) fn processed<'a>(batch: &[&'a str], answer: &[u8]) -> Ids<'a> {
    let all: Ids<'a> = batch.iter().copied().collect();
    let Some(failed) = failures(answer) else { return Ids::new() };
    match failed.iter().all(|id| all.contains(id.as_str())) {
        true => all.into_iter().filter(|id| !failed.iter().any(|failed| failed == id)).collect(),
        false => Ids::new(),
    }
}

/// Returns the reported failures; `None` if the answer is malformed.
pub(super) fn failures(answer: &[u8]) -> Option<Vec<String>> {
    if answer.is_empty() {
        return Some(Vec::new());
    }

    match serde_json::from_slice(answer).ok()? {
        Value::Null => Some(Vec::new()),
        Value::Object(answer) => match answer.get("batchItemFailures") {
            None if answer.is_empty() => Some(Vec::new()),
            Some(Value::Null) => Some(Vec::new()),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| item.get("itemIdentifier")?.as_str().map(str::to_owned))
                .collect(),
            _ => None,
        },
        _ => None,
    }
}

fn record(message: &Message, arn: &str) -> Value {
    let attributes: Map<String, Value> = message
        .attributes()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.as_str().to_owned(), json!(value)))
        .collect();

    let custom: Map<String, Value> = message
        .message_attributes()
        .into_iter()
        .flatten()
        .map(|(name, value)| (name.clone(), attribute(value)))
        .collect();

    json!({
        "messageId": message.message_id(),
        "receiptHandle": message.receipt_handle(),
        "body": message.body().unwrap_or_default(),
        "attributes": attributes,
        "messageAttributes": custom,
        "md5OfBody": message.md5_of_body(),
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": REGION,
    })
}

fn attribute(value: &MessageAttributeValue) -> Value {
    let mut attribute = json!({
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": value.data_type(),
    });
    if let Some(text) = value.string_value() {
        attribute["stringValue"] = json!(text);
    }
    if let Some(binary) = value.binary_value() {
        attribute["binaryValue"] = json!(STANDARD.encode(binary));
    }
    attribute
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_as_lambda_reads_them() {
        let batch = ["a", "b", "c"];
        let of = |ids: &[&'static str]| ids.iter().copied().collect::<Ids<'static>>();

        for (answer, expected) in [
            ("", of(&["a", "b", "c"])),
            ("null", of(&["a", "b", "c"])),
            ("{}", of(&["a", "b", "c"])),
            (r#"{"batchItemFailures":null}"#, of(&["a", "b", "c"])),
            (r#"{"batchItemFailures":[]}"#, of(&["a", "b", "c"])),
            (r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#, of(&["a", "c"])),
            (r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#, of(&[])),
            (r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#, of(&[])),
            (r#"{"batchItemFailures":[{"item":"b"}]}"#, of(&[])),
            (r#"{"batchItemFailures":[{"itemIdentifier":"z"}]}"#, of(&[])),
            (r#"{"failures":[]}"#, of(&[])),
            ("not JSON", of(&[])),
            ("42", of(&[])),
        ] {
            assert_eq!(processed(&batch, answer.as_bytes()), expected, "{answer}");
        }
    }
}
