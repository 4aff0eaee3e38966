//! What AWS has and the emulators lack: message group ids on standard queues. Production code sends them as it should;
//! here they are checked as AWS checks them and taken off before the emulator, which would refuse them.

use bytes::Bytes;
use serde_json::Value;

use super::answer::{self, Answer};
use super::call::{Call, Service};

/// Longest message group id, in characters.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html>
const MAX_GROUP_ID: usize = 128;

/// The request as the emulator understands it.
///
/// # Errors
/// The answer that AWS gives to a request it refuses and the emulator would not.
pub(super) fn adapt(call: &Call, body: Bytes) -> Result<Bytes, Box<Answer>> {
    if call.service != Service::Sqs || !matches!(call.operation.as_str(), "SendMessage" | "SendMessageBatch") {
        return Ok(body);
    }
    // What is not JSON, or names no queue, is for the emulator to refuse.
    let Ok(mut request) = serde_json::from_slice::<Value>(&body) else { return Ok(body) };
    if request["QueueUrl"].as_str().is_none_or(|url| url.ends_with(".fifo")) {
        return Ok(body);
    }
    let mut dropped = take_group_id(call, &mut request)?;
    for entry in request.get_mut("Entries").and_then(Value::as_array_mut).into_iter().flatten() {
        dropped |= take_group_id(call, entry)?;
    }
    Ok(if dropped { Bytes::from(request.to_string()) } else { body })
}

fn take_group_id(call: &Call, message: &mut Value) -> Result<bool, Box<Answer>> {
    let Some(group) = message.as_object_mut().and_then(|message| message.remove("MessageGroupId")) else {
        return Ok(false);
    };
    let valid = group.as_str().is_some_and(is_group_id);
    let refusal = || {
        let message = format!(
            "Value {group} for parameter MessageGroupId is invalid. Reason: MessageGroupId can only include \
             alphanumeric and punctuation characters. 1 to {MAX_GROUP_ID} in length."
        );
        Box::new(answer::error(call, "InvalidParameterValue", &message))
    };
    if valid { Ok(true) } else { Err(refusal()) }
}

/// Letters, digits and ASCII punctuation.
fn is_group_id(id: &str) -> bool {
    (1..=MAX_GROUP_ID).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn send(operation: &str, request: &Value) -> Result<Value, http::StatusCode> {
        let call = Call { service: Service::Sqs, operation: operation.to_owned(), access_key: None };
        let adapted = adapt(&call, Bytes::from(request.to_string())).map_err(|refusal| refusal.status())?;
        Ok(serde_json::from_slice(&adapted).unwrap())
    }

    #[test]
    fn group_ids_are_dropped_on_standard_queues_only() {
        let standard = json!({ "QueueUrl": "http://q/Chat", "MessageBody": "b", "MessageGroupId": "g" });
        assert_eq!(send("SendMessage", &standard), Ok(json!({ "QueueUrl": "http://q/Chat", "MessageBody": "b" })));
        let fifo = json!({ "QueueUrl": "http://q/Chat.fifo", "MessageBody": "b", "MessageGroupId": "g" });
        assert_eq!(send("SendMessage", &fifo), Ok(fifo.clone()));
        let batch =
            json!({ "QueueUrl": "http://q/Chat", "Entries": [{ "Id": "1", "MessageGroupId": "g" }, { "Id": "2" }] });
        assert_eq!(
            send("SendMessageBatch", &batch),
            Ok(json!({ "QueueUrl": "http://q/Chat", "Entries": [{ "Id": "1" }, { "Id": "2" }] }))
        );
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
            let request = json!({ "QueueUrl": "http://q/Chat", "MessageBody": "b", "MessageGroupId": group });
            assert_eq!(send("SendMessage", &request).is_ok(), valid, "{group}");
        }
    }
}
