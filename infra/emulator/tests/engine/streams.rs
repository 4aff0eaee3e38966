//! The table's stream invokes functions: in order, with what the filters let through, until a record
//! was processed or given up.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;

use crate::{client, options, start};
use emulator::{Engine, EngineOptions, Logs};

async fn put(engine: &Engine, key: &str) {
    let client = client!(aws_sdk_dynamodb, engine.dynamodb_url());
    let put = client.put_item().table_name(engine.table_name());
    put.item("pk", AttributeValue::S(key.to_owned())).send().await.unwrap();
}

/// Returns the keys of each batch that the function got so far.
fn batches(logs: &Logs) -> Vec<Vec<String>> {
    let lines = logs.lines();
    let lines = lines.iter().filter(|line| line.function == "follower");
    let parsed = lines.filter_map(|line| serde_json::from_str::<Value>(&line.text).ok());
    let followed = parsed.filter_map(|line| serde_json::from_value(line["followed"].clone()).ok());
    followed.collect()
}

/// Waits until nothing is behind.
async fn until_idle(engine: &Engine) {
    for _ in 0..400 {
        let activity = engine.activity().await;
        if !activity.streams_behind && activity.invocations.is_empty() {
            return;
        }

        tokio::time::sleep(Duration::from_millis(25)).await;
    }

    panic!("the stream stays behind: {:?}", engine.activity().await);
}

/// Waits until the stream was found, and has something new.
async fn until_behind(engine: &Engine) {
    while !engine.activity().await.streams_behind {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_come_in_order_and_those_that_no_filter_lets_through_do_not() {
    let logs = Logs::captured();
    let engine = start(logs.clone()).await;
    engine.polling().set_held(true).await;
    for key in ["told-1", "untold-1", "told-2", "told-late", "told-3"] {
        put(&engine, key).await;
    }

    until_behind(&engine).await;
    assert!(batches(&logs).is_empty(), "held");
    engine.polling().set_held(false).await;
    until_idle(&engine).await;

    // What was processed before the record that was late does not come again.
    let late = ["told-late", "told-3"].map(str::to_owned).to_vec();
    let got = batches(&logs);
    assert_eq!(got[0], ["told-1", "told-2", "told-late", "told-3"]);
    assert_eq!(got[1..], [[late[0].clone()], [late[0].clone()], [late[1].clone()]]);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_fails_for_good_is_found_and_its_letter_names_it() {
    let logs = Logs::captured();
    let engine = start(logs.clone()).await;
    engine.polling().set_held(true).await;
    for key in ["told-1", "told-2", "told-broken", "told-3"] {
        put(&engine, key).await;
    }

    engine.polling().set_held(false).await;
    until_idle(&engine).await;

    let alone = |key: &str| batches(&logs).iter().filter(|batch| **batch == [key]).count();
    assert_eq!(alone("told-broken"), 3, "once, and twice more");
    assert_eq!(alone("told-3"), 1, "it went on");
    let depths = engine.queue_depths().await;
    assert_eq!(depths["DeadLetters"].visible, 1);
    engine.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_read_before_a_restart_comes_after_it() {
    let directory = std::env::temp_dir().join(format!("probe-{}", uuid::Uuid::new_v4()));
    let logs = Logs::captured();
    let lasting =
        || EngineOptions { data_dir: Some(directory.clone()), logs: logs.clone(), ..options() };
    let engine = Engine::start(lasting()).await.unwrap();
    engine.polling().set_held(true).await;
    put(&engine, "told-before").await;
    engine.stop().await;

    let engine = Engine::start(lasting()).await.unwrap();
    for _ in 0..400 {
        if !batches(&logs).is_empty() {
            break;
        }

        tokio::time::sleep(Duration::from_millis(25)).await;
    }

    assert_eq!(batches(&logs)[0], ["told-before"]);
    engine.stop().await;
    std::fs::remove_dir_all(directory).unwrap();
}
