//! Queues are polled, and failures go where the template says.

use local::{Engine, Logs};
use serde_json::Value;

use crate::{client, engine, start};

async fn send(engine: &Engine, bodies: &[&str]) {
    let sqs = client!(aws_sdk_sqs, engine.sqs_url());
    for body in bodies {
        let request = sqs.send_message().queue_url(engine.queue_url("Queue").unwrap()).message_body(*body);
        let attribute = aws_sdk_sqs::types::MessageAttributeValue::builder().data_type("String").string_value("v");
        let request = request.message_group_id("business").message_attributes("name", attribute.build().unwrap());
        request.send().await.unwrap();
    }
}

/// Waits for this many messages in the dead-letter queue.
async fn dead(engine: &Engine, number: usize) -> Vec<String> {
    let sqs = client!(aws_sdk_sqs, engine.sqs_url());
    let mut dead = Vec::new();
    while dead.len() < number {
        let request = sqs.receive_message().queue_url(engine.queue_url("DeadLetters").unwrap()).wait_time_seconds(20);
        let received = request.max_number_of_messages(10).send().await.unwrap();
        dead.extend(received.messages.unwrap_or_default().into_iter().filter_map(|message| message.body));
    }
    dead
}

#[tokio::test]
async fn failed_records_alone_are_delivered_again_and_end_in_the_dead_letters() {
    let logs = Logs::captured();
    let engine = start(logs.clone()).await;
    send(&engine, &["good", "fail", "also good"]).await;
    assert_eq!(dead(&engine, 1).await, ["fail"]);
    engine.stop().await;
    let events: Vec<Value> = logs.lines().iter().filter_map(|line| serde_json::from_str(&line.text).ok()).collect();
    let records: Vec<Value> =
        events.iter().flat_map(|event| event["Records"].as_array().cloned().unwrap_or_default()).collect();
    let times = |body: &str| records.iter().filter(|record| record["body"] == body).count();
    assert_eq!((times("good"), times("also good"), times("fail")), (1, 1, 2));
    let last = records.iter().rfind(|record| record["body"] == "fail").unwrap();
    assert_eq!(last["attributes"]["ApproximateReceiveCount"], "2");
    for name in ["SentTimestamp", "SenderId", "ApproximateFirstReceiveTimestamp"] {
        assert!(last["attributes"][name].is_string(), "{name} in {last}");
    }
    assert_eq!(last["eventSource"], "aws:sqs");
    assert_eq!(last["eventSourceARN"], "arn:aws:sqs:us-east-1:000000000000:Queue");
    assert_eq!(last["awsRegion"], "us-east-1");
    assert_eq!(last["messageAttributes"]["name"]["stringValue"], "v");
    assert!(last["md5OfBody"].is_string() && last["receiptHandle"].is_string() && last["messageId"].is_string());
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_fails_the_whole_batch() {
    let engine = engine().await;
    send(&engine, &["malformed answer"]).await;
    assert_eq!(dead(&engine, 1).await, ["malformed answer"]);
    engine.stop().await;
}

#[tokio::test]
async fn group_ids_are_checked_on_standard_queues() {
    let engine = engine().await;
    let sqs = client!(aws_sdk_sqs, engine.sqs_url());
    let request = sqs.send_message().queue_url(engine.queue_url("Queue").unwrap()).message_body("x");
    let error = request.message_group_id("not allowed").send().await.unwrap_err();
    assert_eq!(error.into_service_error().meta().code(), Some("InvalidParameterValue"));
    engine.stop().await;
}
