//! Answers that arrive damaged. What they hold is true: secrets, texts and addresses, so that a
//! caller that logs an answer which it cannot read is found out.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::Value;

use super::answer::{self, Answer, with_body};
use super::call::Call;

/// Answers that are shorter can be read without their last two bytes, or have none.
const SHORTEST: usize = 8;

/// Returns whether an operation changes nothing, so that it can be carried out for its answer.
pub(super) fn is_read(operation: &str) -> bool {
    ["BatchGet", "Describe", "Get", "Head", "List", "Query", "Scan"]
        .iter()
        .any(|word| operation.starts_with(word))
}

/// Cuts the last two bytes off an answer; one that is too short is no answer of the service at all.
pub(super) async fn cut(call: &Call, answer: Answer) -> Answer {
    let (head, body) = answer.into_parts();
    let Ok(whole) = body.collect().await;
    let whole = whole.to_bytes();
    match whole.len() {
        ..SHORTEST => answer::garbage(call),
        length => with_body(head, whole.slice(..length - 2)),
    }
}

/// Mangles an answer that is JSON: DynamoDB's texts and numbers change places, and a secret lacks
/// its end. The SDK reads it, and our own code does not.
pub(super) async fn mangle(answer: Answer) -> Answer {
    let (head, body) = answer.into_parts();
    let Ok(whole) = body.collect().await;
    let whole = whole.to_bytes();
    let Ok(mut answer) = serde_json::from_slice::<Value>(&whole) else {
        return Answer::from_parts(head, Full::new(whole));
    };

    let mut texts = Vec::new();
    for_each_text(&mut answer, &mut |text| texts.push(text.clone()));
    let mut others = texts.iter().skip(1).chain(texts.first());
    for_each_text(&mut answer, &mut |text| {
        if let Some(other) = others.next() {
            text.clone_from(other);
        }
    });
    if let Some(Value::String(secret)) = answer.get_mut("SecretString") {
        secret.pop();
    }
    with_body(head, Bytes::from(answer.to_string()))
}

/// Visits every text and number of DynamoDB's, in the order of an answer.
fn for_each_text(value: &mut Value, visit: &mut impl FnMut(&mut String)) {
    match value {
        Value::Array(values) => values.iter_mut().for_each(|value| for_each_text(value, visit)),
        Value::Object(members) => {
            let is_attribute = members.len() == 1;
            for (name, value) in members {
                match value {
                    Value::String(text) if is_attribute && (name == "S" || name == "N") => {
                        visit(text);
                    }
                    value => for_each_text(value, visit),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use serde_json::json;

    use super::super::call::Service;
    use super::*;

    fn answer(body: &Value) -> (Call, Answer) {
        let operation = "GetItem".to_owned();
        let call = Call { service: Service::DynamoDb, operation, access_key: None };
        let answer = answer::json_answer(call.service, StatusCode::OK, body);
        (call, answer)
    }

    async fn body(answer: Answer) -> String {
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(body.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_cut_answer_is_the_true_one_and_cannot_be_read() {
        let (call, whole) = answer(&json!({ "Item": { "content": { "S": "a text" } } }));
        let cut = body(cut(&call, whole).await).await;
        assert_eq!(cut, r#"{"Item":{"content":{"S":"a text"}"#);

        let (call, nothing) = answer(&json!({}));
        assert!(body(super::cut(&call, nothing).await).await.contains("<html>"));
    }

    #[tokio::test]
    async fn a_mangled_answer_can_be_read_and_means_nothing() {
        let (_, whole) =
            answer(&json!({ "Item": { "content": { "S": "a text" }, "seq": { "N": "1" } } }));
        let mangled = body(mangle(whole).await).await;
        assert_eq!(mangled, r#"{"Item":{"content":{"S":"1"},"seq":{"N":"a text"}}}"#);
        let (_, secret) = answer(&json!({ "SecretString": "{}" }));
        assert_eq!(body(mangle(secret).await).await, r#"{"SecretString":"{"}"#);
    }
}
