//! Queues are polled, and failures go where the template says.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::{client, engine, start};
use emulator::{Engine, Logs, QueueFaults};

async fn send(engine: &Engine, bodies: &[&str]) {
    send_to(engine, "Queue", bodies).await;
}

async fn send_to(engine: &Engine, queue: &str, bodies: &[&str]) {
    let sqs = client!(aws_sdk_sqs, engine.sqs_url());
    for body in bodies {
        let request =
            sqs.send_message().queue_url(engine.queue_url(queue).unwrap()).message_body(*body);
        let attribute = aws_sdk_sqs::types::MessageAttributeValue::builder()
            .data_type("String")
            .string_value("v");
        let request = request
            .message_group_id("business")
            .message_attributes("name", attribute.build().unwrap());
        request.send().await.unwrap();
    }
}

/// Waits for this many messages in the dead-letter queue.
async fn dead(engine: &Engine, number: usize) -> Vec<String> {
    let sqs = client!(aws_sdk_sqs, engine.sqs_url());
    let mut dead = Vec::new();
    while dead.len() < number {
        let request = sqs
            .receive_message()
            .queue_url(engine.queue_url("DeadLetters").unwrap())
            .wait_time_seconds(20);
        let received = request.max_number_of_messages(10).send().await.unwrap();
        dead.extend(
            received.messages.unwrap_or_default().into_iter().filter_map(|message| message.body),
        );
    }

    dead
}

/// The records of each event that the consumer was given so far.
fn records(logs: &Logs) -> Vec<Vec<Value>> {
    let lines = logs.lines();
    let events = lines.iter().filter_map(|line| serde_json::from_str::<Value>(&line.text).ok());
    events.filter_map(|event| event["Records"].as_array().cloned()).collect()
}

#[tokio::test]
async fn failed_records_alone_are_delivered_again_and_end_in_the_dead_letters() {
    let logs = Logs::captured();
    let engine = start(logs.clone()).await;
    send(&engine, &["good", "fail", "also good"]).await;
    assert_eq!(dead(&engine, 1).await, ["fail"]);
    engine.stop().await;
    let records = records(&logs).concat();
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
    assert_eq!(last["attributes"]["MessageGroupId"], "business");
    let attribute = json!({ "stringListValues": [], "binaryListValues": [], "dataType": "String", "stringValue": "v" });
    assert_eq!(last["messageAttributes"], json!({ "name": attribute }));

    assert!(
        last["md5OfBody"].is_string()
            && last["receiptHandle"].is_string()
            && last["messageId"].is_string()
    );
}

/// The numbers that the functions which send to their own queues were invoked with so far.
fn sent_on(logs: &Logs) -> Vec<u64> {
    let lines = logs.lines();
    let events = lines.iter().filter_map(|line| serde_json::from_str::<Value>(&line.text).ok());
    events.filter_map(|event| event["left"].as_u64()).collect()
}

#[tokio::test]
async fn a_function_that_rings_its_own_queue_is_stopped_after_sixteen_times() {
    let logs = Logs::captured();
    let engine = start(logs.clone()).await;
    send_to(&engine, "LoopQueue", &["20"]).await;
    assert_eq!(dead(&engine, 1).await, ["4"]);
    engine.stop().await;
    assert_eq!(sent_on(&logs), (5..=20).rev().collect::<Vec<_>>());
}

#[tokio::test]
async fn a_function_whose_loop_is_allowed_goes_on() {
    let logs = Logs::captured();
    let engine = start(logs.clone()).await;
    send_to(&engine, "AllowedQueue", &["20"]).await;
    while sent_on(&logs).len() < 21 {
        tokio::task::yield_now().await;
    }
    engine.stop().await;
    assert_eq!(sent_on(&logs), (0..=20).rev().collect::<Vec<_>>());
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
    let request =
        sqs.send_message().queue_url(engine.queue_url("Queue").unwrap()).message_body("x");
    let error = request.message_group_id("not allowed").send().await.unwrap_err();
    assert_eq!(error.into_service_error().meta().code(), Some("InvalidParameterValue"));
    engine.stop().await;
}

#[tokio::test]
async fn a_record_may_come_again_and_again_also_after_it_was_deleted() {
    let logs = Logs::captured();
    let engine = start(logs.clone()).await;
    let faults =
        QueueFaults { copies: 5, shuffle: true, delay_ms: 50, unfair: false, seed: Some(7) };
    engine.polling().set_faults(faults).unwrap();
    send(&engine, &["good"; 10]).await;
    let ids = |records: &[Value]| {
        records.iter().map(|record| record["messageId"].to_string()).collect::<BTreeSet<_>>()
    };
    let all = || records(&logs).concat();

    while ids(&all()).len() < 10 || all().len() < 20 {
        tokio::task::yield_now().await;
    }

    engine.stop().await;
    let events = records(&logs);
    assert!(
        events.iter().all(|event| ids(event).len() == event.len()),
        "each time in another invocation"
    );
}

#[tokio::test]
async fn faults_that_make_no_sense_are_refused() {
    let engine = engine().await;
    for copies in [0, 6] {
        let faults = QueueFaults { copies, shuffle: false, delay_ms: 0, unfair: false, seed: None };
        let error = engine.polling().set_faults(faults).unwrap_err().to_string();
        assert_eq!(error, format!("`copies` {copies} is not between 1 and 5"));
    }
    engine.stop().await;
}

#[tokio::test]
async fn queues_that_are_held_hand_nothing_out_until_they_are_let_go() {
    let logs = Logs::captured();
    let engine = start(logs.clone()).await;
    engine.polling().set_held(true).await;
    send(&engine, &["good", "also good"]).await;
    // Each takes longer than a record that is not held.
    for _ in 0..10 {
        engine.invoke("echo", json!({})).await.unwrap();
    }
    assert!(records(&logs).is_empty());
    engine.polling().set_held(false).await;
    while records(&logs).concat().len() < 2 {
        tokio::task::yield_now().await;
    }

    engine.stop().await;
}
