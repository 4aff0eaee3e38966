//! Answers to a part of a request: a success that did less than it was asked for, as AWS says that
//! it may. A caller that does not look sees no fault.

use bytes::Bytes;
use http::StatusCode;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::answer::{self, Answer};
use super::call::Call;

/// A request that is cut down to a part.
pub(super) struct PartialRequest {
    /// The part that the service gets; `None` if nothing is left of the request.
    pub(super) forwarded: Option<Bytes>,
    omitted: Omitted,
}

/// The rest of the request, which the answer has to tell of.
enum Omitted {
    /// Nothing: the answer says by itself where it ended.
    Page,
    /// The keys of a `BatchGetItem` that were not read, by table.
    Keys(Value),
    /// The entry of a batch that was refused, by its id.
    Entry(Value),
    /// The second half of an object.
    HalfOfBody,
}

/// Returns whether the operation may do a part of what it was asked for, and succeed:
///
/// - [`Query` and `Scan`](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html)
///   end a page where they like;
/// - [`BatchGetItem`](https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html)
///   returns `UnprocessedKeys`;
/// - [batches of SQS](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html)
///   succeed entry by entry;
/// - an object's bytes may end early.
pub(super) fn is_possible(operation: &str) -> bool {
    matches!(operation, "Query" | "Scan" | "BatchGetItem" | "GetObject") || is_batch(operation)
}

/// Returns whether the operation is a batch of SQS.
fn is_batch(operation: &str) -> bool {
    matches!(operation, "SendMessageBatch" | "DeleteMessageBatch" | "ChangeMessageVisibilityBatch")
}

impl PartialRequest {
    /// Cuts a request down: a page to one item, a read of many keys to the first of each table, and
    /// a batch to all but its first entry. A request that is not JSON stays as it is.
    pub(super) fn of(call: &Call, body: Bytes) -> Self {
        let whole = |omitted| Self { forwarded: Some(body.clone()), omitted };
        if call.operation == "GetObject" {
            return whole(Omitted::HalfOfBody);
        }

        let Ok(mut request) = serde_json::from_slice::<Value>(&body) else {
            return whole(Omitted::Page);
        };
        match call.operation.as_str() {
            "BatchGetItem" => {
                let omitted = Omitted::Keys(take_keys(&mut request));
                Self { forwarded: Some(request.to_string().into()), omitted }
            }
            operation if is_batch(operation) => {
                let Some(entries) = request["Entries"].as_array_mut().filter(|all| !all.is_empty())
                else {
                    return whole(Omitted::Page);
                };
                let omitted = Omitted::Entry(entries.remove(0)["Id"].take());
                let is_empty = entries.is_empty();
                let forwarded = (!is_empty).then(|| request.to_string().into());
                Self { forwarded, omitted }
            }
            _ => {
                request["Limit"] = json!(1);
                Self { forwarded: Some(request.to_string().into()), omitted: Omitted::Page }
            }
        }
    }

    /// Completes the service's answer with what was left out. An error stays as it is.
    pub(super) async fn complete(self, call: &Call, answer: Option<Answer>) -> Answer {
        let answer = answer.unwrap_or_else(|| {
            answer::json_answer(call.service, StatusCode::OK, &json!({ "Successful": [] }))
        });
        if !answer.status().is_success() || matches!(self.omitted, Omitted::Page) {
            return answer;
        }

        let (head, body) = answer.into_parts();
        let Ok(whole) = body.collect().await;
        let whole = whole.to_bytes();
        let body = match self.omitted {
            Omitted::Page => whole,
            Omitted::HalfOfBody => whole.slice(..whole.len() / 2),
            Omitted::Keys(keys) => with_member(&whole, "UnprocessedKeys", keys),
            Omitted::Entry(id) => with_member(
                &whole,
                "Failed",
                json!([{ "Id": id, "SenderFault": false, "Code": "InternalError",
                    "Message": "The local AWS was told to fail here." }]),
            ),
        };

        answer::with_body(head, body)
    }
}

/// Takes all keys but the first out of each table's part of a `BatchGetItem`; returns them in the
/// form of a request.
fn take_keys(request: &mut Value) -> Value {
    let mut omitted = json!({});
    for (table, part) in request["RequestItems"].as_object_mut().into_iter().flatten() {
        let Some(keys) = part["Keys"].as_array_mut().filter(|keys| keys.len() > 1) else {
            continue;
        };
        let rest = keys.split_off(1);
        omitted[table] = part.clone();
        omitted[table]["Keys"] = rest.into();
    }
    omitted
}

/// Returns a JSON body with one more member.
fn with_member(body: &[u8], name: &str, value: Value) -> Bytes {
    let mut answer: Value = serde_json::from_slice(body).unwrap_or_default();
    answer[name] = value;
    answer.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::super::call::Service;
    use super::*;

    fn call(service: Service, operation: &str) -> Call {
        Call { service, operation: operation.to_owned(), access_key: None }
    }

    /// Returns the request that is forwarded, and the answer that the caller gets when the service
    /// answers `answer`.
    async fn partial(call: &Call, request: &Value, answer: &Value) -> (Option<Value>, Value) {
        let partial = PartialRequest::of(call, request.to_string().into());
        let forwarded =
            partial.forwarded.as_deref().map(|body| serde_json::from_slice(body).unwrap());
        let answer = answer::json_answer(call.service, StatusCode::OK, answer);
        let completed = partial.complete(call, forwarded.is_some().then_some(answer)).await;
        let body = completed.into_body().collect().await.unwrap().to_bytes();
        (forwarded, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_page_ends_after_one_item() {
        let call = call(Service::DynamoDb, "Query");
        let answer = json!({ "Items": [], "LastEvaluatedKey": { "pk": { "S": "a" } } });
        let request = json!({ "TableName": "t", "Limit": 50 });
        let cut = json!({ "TableName": "t", "Limit": 1 });
        assert_eq!(partial(&call, &request, &answer).await, (Some(cut), answer));
    }

    #[tokio::test]
    async fn keys_that_were_not_read_can_be_asked_for_as_they_are_returned() {
        let call = call(Service::DynamoDb, "BatchGetItem");
        let part = |keys: Value| json!({ "t": { "Keys": keys, "ConsistentRead": true } });
        let answer = json!({ "Responses": { "t": [{}] }, "UnprocessedKeys": {} });

        let request = json!({ "RequestItems": part(json!([1, 2, 3])) });
        let (forwarded, completed) = partial(&call, &request, &answer).await;
        assert_eq!(forwarded.unwrap()["RequestItems"], part(json!([1])));
        assert_eq!(completed["UnprocessedKeys"], part(json!([2, 3])));
        assert_eq!(completed["Responses"], answer["Responses"]);

        let last = json!({ "RequestItems": part(json!([3])) });
        assert_eq!(partial(&call, &last, &answer).await, (Some(last), answer));
    }

    #[tokio::test]
    async fn the_first_entry_of_a_batch_is_refused() {
        let call = call(Service::Sqs, "SendMessageBatch");
        let answer = json!({ "Successful": [{ "Id": "1" }] });
        let request = json!({ "QueueUrl": "q", "Entries": [{ "Id": "0" }, { "Id": "1" }] });
        let (forwarded, completed) = partial(&call, &request, &answer).await;
        assert_eq!(forwarded, Some(json!({ "QueueUrl": "q", "Entries": [{ "Id": "1" }] })));
        assert_eq!(completed["Successful"], answer["Successful"]);
        assert_eq!(completed["Failed"][0]["Id"], "0");

        let alone = json!({ "QueueUrl": "q", "Entries": [{ "Id": "0" }] });
        let (forwarded, completed) = partial(&call, &alone, &answer).await;
        assert_eq!((forwarded, &completed["Successful"]), (None, &json!([])));
        assert_eq!(completed["Failed"][0]["Id"], "0");
    }
}
