//! Message group ids on standard queues, which AWS has and the embedded SQS refuses, and the trace
//! header of a call, which AWS keeps with its messages and the embedded SQS does not. Group ids are
//! checked as AWS checks them. Both travel through the embedded SQS as message attributes, which
//! the event sources take off again.

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

use super::answer::{self, Answer};
use super::call::{Call, Service};

/// Longest message group id, in characters.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
const MAX_GROUP_ID: usize = 128;

/// The message attribute that carries a group id through the embedded SQS.
const CARRIER: &str = "local.MessageGroupId";

/// The message attribute that carries the trace header through the embedded SQS.
const TRACE_CARRIER: &str = "local.AWSTraceHeader";

/// The header by which the SDK passes on the trace that its function was invoked with.
const TRACE_HEADER: &str = "x-amzn-trace-id";

/// Returns the request as the embedded SQS understands it.
///
/// # Errors
/// AWS's refusal of a request that the embedded SQS would take.
pub(super) fn adapt(call: &Call, headers: &HeaderMap, body: Bytes) -> Result<Bytes, Box<Answer>> {
    if call.service != Service::Sqs
        || !matches!(call.operation.as_str(), "SendMessage" | "SendMessageBatch")
    {
        return Ok(body);
    }

    // The embedded SQS refuses a request that is not JSON or names no queue.
    let Ok(mut request) = serde_json::from_slice::<Value>(&body) else { return Ok(body) };
    if request["QueueUrl"].as_str().is_none_or(|url| url.ends_with(".fifo")) {
        return Ok(body);
    }

    let trace = headers.get(TRACE_HEADER).and_then(|header| header.to_str().ok());
    let mut changed = false;
    let mut adapt_message = |message: &mut Value| -> Result<(), Box<Answer>> {
        changed |= move_group_id(call, message)?;
        changed |= trace.is_some_and(|trace| carry(message, TRACE_CARRIER, trace));
        Ok(())
    };

    match request.get_mut("Entries").and_then(Value::as_array_mut) {
        Some(entries) => entries.iter_mut().try_for_each(adapt_message)?,
        None => adapt_message(&mut request)?,
    }

    Ok(if changed { Bytes::from(request.to_string()) } else { body })
}

/// Moves a received message's group id and trace header to the system's attributes, where SQS has
/// them, and returns the group id.
pub(crate) fn restore_group_id(message: &mut Message) -> Option<String> {
    for (carrier, name) in [
        (CARRIER, MessageSystemAttributeName::MessageGroupId),
        (TRACE_CARRIER, MessageSystemAttributeName::AwsTraceHeader),
    ] {
        let attributes = message.message_attributes.as_mut();
        let carried = attributes.and_then(|attributes| attributes.remove(carrier));
        if let Some(value) = carried.and_then(|carried| carried.string_value) {
            message.attributes.get_or_insert_default().insert(name, value);
        }
    }

    message
        .attributes
        .get_or_insert_default()
        .get(&MessageSystemAttributeName::MessageGroupId)
        .cloned()
}

fn move_group_id(call: &Call, message: &mut Value) -> Result<bool, Box<Answer>> {
    let Some(fields) = message.as_object_mut() else { return Ok(false) };
    let Some(group) = fields.remove("MessageGroupId") else { return Ok(false) };
    let valid = group.as_str().is_some_and(is_group_id);
    let refusal = || {
        let message = format!(
            "Value {group} for parameter MessageGroupId is invalid. Reason: MessageGroupId can only include \
             alphanumeric and punctuation characters. 1 to {MAX_GROUP_ID} in length."
        );
        Box::new(answer::error(call, "InvalidParameterValue", &message))
    };

    if !valid {
        return Err(refusal());
    }

    Ok(carry(message, CARRIER, group.as_str().unwrap_or_default()))
}

/// Adds a message attribute; the embedded SQS refuses attributes that are no object.
fn carry(message: &mut Value, carrier: &str, value: &str) -> bool {
    let Some(message) = message.as_object_mut() else { return false };
    let attributes = message.entry("MessageAttributes").or_insert_with(|| json!({}));
    let Some(attributes) = attributes.as_object_mut() else { return false };
    attributes.insert(carrier.to_owned(), json!({ "DataType": "String", "StringValue": value }));
    true
}

/// Returns whether an id has only letters, digits and ASCII punctuation, and the right length.
fn is_group_id(id: &str) -> bool {
    (1..=MAX_GROUP_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn send(operation: &str, request: &Value) -> Result<Value, http::StatusCode> {
        send_with(&HeaderMap::new(), operation, request)
    }

    fn send_with(
        headers: &HeaderMap,
        operation: &str,
        request: &Value,
    ) -> Result<Value, http::StatusCode> {
        let call =
            Call { service: Service::Sqs, operation: operation.to_owned(), access_key: None };
        let adapted = adapt(&call, headers, Bytes::from(request.to_string()));
        let adapted = adapted.map_err(|refusal| refusal.status())?;
        Ok(serde_json::from_slice(&adapted).unwrap())
    }

    #[test]
    fn group_ids_are_carried_on_standard_queues_only() {
        let carried = json!({ CARRIER: { "DataType": "String", "StringValue": "g" } });
        let standard =
            json!({ "QueueUrl": "http://q/Chat", "MessageBody": "b", "MessageGroupId": "g" });

        assert_eq!(
            send("SendMessage", &standard),
            Ok(
                json!({ "QueueUrl": "http://q/Chat", "MessageBody": "b", "MessageAttributes": carried })
            )
        );

        let fifo =
            json!({ "QueueUrl": "http://q/Chat.fifo", "MessageBody": "b", "MessageGroupId": "g" });
        assert_eq!(send("SendMessage", &fifo), Ok(fifo.clone()));
        let batch = json!({ "QueueUrl": "http://q/Chat", "Entries": [{ "Id": "1", "MessageGroupId": "g" }, { "Id": "2" }] });

        assert_eq!(
            send("SendMessageBatch", &batch),
            Ok(json!({
                "QueueUrl": "http://q/Chat",
                "Entries": [{ "Id": "1", "MessageAttributes": carried }, { "Id": "2" }]
            }))
        );
    }

    #[test]
    fn a_received_message_shows_its_group_id_and_nothing_of_how_it_travelled() {
        let text = |value: &str| {
            aws_sdk_sqs::types::MessageAttributeValue::builder()
                .data_type("String")
                .string_value(value)
                .build()
                .unwrap()
        };

        let mut message = Message::builder()
            .message_attributes("name", text("v"))
            .message_attributes(CARRIER, text("g"));
        let mut received = message.clone().build();

        assert_eq!(restore_group_id(&mut received).as_deref(), Some("g"));
        assert_eq!(
            received.attributes().unwrap()[&MessageSystemAttributeName::MessageGroupId],
            "g"
        );

        assert_eq!(received.message_attributes().unwrap().keys().collect::<Vec<_>>(), ["name"]);
        message = message.set_message_attributes(None);

        assert_eq!(restore_group_id(&mut message.build()), None);
    }

    #[test]
    fn a_functions_trace_header_goes_with_each_of_its_messages() {
        let mut headers = HeaderMap::new();
        headers.insert(TRACE_HEADER, "Root=1-0-0;Lineage=A:1".parse().unwrap());
        let carried = json!({
            TRACE_CARRIER: { "DataType": "String", "StringValue": "Root=1-0-0;Lineage=A:1" },
        });

        let batch = json!({ "QueueUrl": "http://q/Chat", "Entries": [{ "Id": "1" }] });
        assert_eq!(
            send_with(&headers, "SendMessageBatch", &batch),
            Ok(json!({
                "QueueUrl": "http://q/Chat",
                "Entries": [{ "Id": "1", "MessageAttributes": carried }],
            }))
        );

        let one = json!({ "QueueUrl": "http://q/Chat", "MessageBody": "b" });
        let sent = send_with(&headers, "SendMessage", &one).unwrap();
        assert_eq!(sent["MessageAttributes"], carried);
    }

    #[test]
    fn group_ids_are_checked_as_aws_checks_them() {
        for (group, valid) in [
            (json!("b5f0a8e2-3c55"), true),
            (json!("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"), true),
            (json!("g".repeat(128)), true),
            (json!("g".repeat(129)), false),
            (json!(""), false),
            (json!("a b"), false),
            (json!("ä"), false),
            (json!(1), false),
        ] {
            let request =
                json!({ "QueueUrl": "http://q/Chat", "MessageBody": "b", "MessageGroupId": group });
            assert_eq!(send("SendMessage", &request).is_ok(), valid, "{group}");
        }
    }
}
