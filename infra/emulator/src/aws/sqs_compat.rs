//! Message group ids on standard queues, which AWS has and the embedded SQS refuses. They are
//! checked as AWS checks them, and travel through the embedded SQS as a message attribute, which
//! the event sources take off again.

use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use bytes::Bytes;
use serde_json::{Value, json};

use super::answer::{self, Answer};
use super::call::{Call, Service};

/// Longest message group id, in characters.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
const MAX_GROUP_ID: usize = 128;

/// The message attribute that carries a group id through the embedded SQS.
const CARRIER: &str = "local.MessageGroupId";

/// Returns the request as the embedded SQS understands it.
///
/// # Errors
/// AWS's refusal of a request that the embedded SQS would take.
pub(super) fn adapt(call: &Call, body: Bytes) -> Result<Bytes, Box<Answer>> {
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

    let mut changed = move_group_id(call, &mut request)?;
    for entry in request.get_mut("Entries").and_then(Value::as_array_mut).into_iter().flatten() {
        changed |= move_group_id(call, entry)?;
    }

    Ok(if changed { Bytes::from(request.to_string()) } else { body })
}

/// Moves a received message's group id to the system's attributes, where SQS has it, and returns
/// it.
pub(crate) fn restore_group_id(message: &mut Message) -> Option<String> {
    let carried =
        message.message_attributes.as_mut().and_then(|attributes| attributes.remove(CARRIER));
    let system = message.attributes.get_or_insert_default();
    if let Some(group) = carried.and_then(|carrier| carrier.string_value) {
        system.insert(MessageSystemAttributeName::MessageGroupId, group);
    }
    system.get(&MessageSystemAttributeName::MessageGroupId).cloned()
}

fn move_group_id(call: &Call, message: &mut Value) -> Result<bool, Box<Answer>> {
    let Some(message) = message.as_object_mut() else { return Ok(false) };
    let Some(group) = message.remove("MessageGroupId") else { return Ok(false) };
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

    // The embedded SQS refuses attributes that are no object.
    if let Some(attributes) =
        message.entry("MessageAttributes").or_insert_with(|| json!({})).as_object_mut()
    {
        attributes
            .insert(CARRIER.to_owned(), json!({ "DataType": "String", "StringValue": group }));
    }

    Ok(true)
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
        let call =
            Call { service: Service::Sqs, operation: operation.to_owned(), access_key: None };
        let adapted =
            adapt(&call, Bytes::from(request.to_string())).map_err(|refusal| refusal.status())?;
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
