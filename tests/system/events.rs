//! Events: whatever becomes of a message is listed, once, in its order, and for good; the oracle
//! looks for the same after each test.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use tests::{Business, DOUBT_SECONDS, LEASE_SECONDS, World};

async fn send(world: &World, business: &Business, channel: &str, text: &str) -> Uuid {
    world.send(&business.api_key, business.conversation_id(channel), text).go().await.id()
}

async fn page(world: &World, business: &Business, query: &str) -> Value {
    let answer = world.get(&business.api_key, &format!("/api/v1/events?{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.text);
    answer.json()
}

/// Returns the types of these events of one message, or of all.
fn types(events: &[Value], of: Option<Uuid>) -> Vec<String> {
    let is_wanted =
        |event: &&Value| of.is_none_or(|id| event["data"]["message"]["id"] == json!(id));
    let wanted = events.iter().filter(is_wanted);
    wanted.map(|event| event["type"].as_str().expect("a type").to_owned()).collect()
}

/// Waits until a business has so many events, and returns all of them.
async fn until_events(world: &World, business: &Business, count: usize) -> Vec<Value> {
    world
        .until(&format!("there are {count} events"), async || {
            let events = page(world, business, "limit=100").await["events"].clone();
            let events = events.as_array().expect("a list").clone();
            assert!(events.len() <= count, "{:?}", types(&events, None));
            (events.len() == count).then_some(events)
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_becomes_of_a_message_is_told_in_its_order() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    world.report("whatsapp", json!({ "statuses": ["sent", "delivered", "read"] })).await;
    let body = json!({ "content": "tell me all", "metadata": { "order": "4711" } });
    let conversation_id = business.conversation_id("whatsapp");
    let sending = world.send(&business.api_key, conversation_id, "tell me all");
    let id = sending.body(body.to_string()).go().await.id();

    let events = until_events(&world, &business, 4).await;
    let expected = ["message.accepted", "message.sent", "message.delivered", "message.read"];
    assert_eq!(types(&events, Some(id)), expected);

    let sequences: Vec<u64> =
        events.iter().map(|event| event["sequence"].as_u64().expect("a number")).collect();
    assert_eq!(sequences, [1, 2, 3, 4]);
    let statuses: Vec<&Value> =
        events.iter().map(|event| &event["data"]["message"]["delivery"]["status"]).collect();
    assert_eq!(statuses, ["queued", "sent", "delivered", "read"]);
    assert_eq!(events[1]["data"]["message"]["delivery"]["delivered_at"], Value::Null);
    for event in &events {
        let message = &event["data"]["message"];
        assert_eq!(message["content"], "tell me all");
        assert_eq!(message["metadata"], json!({ "order": "4711" }));
        assert_eq!(message["conversation_id"], json!(conversation_id));
        assert_eq!(event["business_id"], json!(business.business_id));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_read_on_from_its_cursor_and_by_types() {
    let world = World::start().await;
    let business = world.business(20, 1).await;
    let empty = json!({ "events": [], "next": "0", "has_more": false });
    assert_eq!(page(&world, &business, "").await, empty);

    for number in 1..=3 {
        send(&world, &business, "email", &format!("number {number}")).await;
    }

    let all = until_events(&world, &business, 6).await;

    let mut read = Vec::new();
    let mut next = "0".to_owned();
    loop {
        let page = page(&world, &business, &format!("limit=2&after={next}")).await;
        read.extend(page["events"].as_array().expect("a list").iter().cloned());
        page["next"].as_str().expect("a cursor").clone_into(&mut next);
        if page["has_more"] == false {
            break;
        }
    }

    assert_eq!(read, all);
    let ids: BTreeSet<&str> =
        all.iter().map(|event| event["id"].as_str().expect("an id")).collect();
    assert_eq!((ids.len(), next.as_str()), (6, "6"));

    let sent = page(&world, &business, "types=message.sent").await;
    let events = sent["events"].as_array().expect("a list");
    assert_eq!((events.len(), &sent["next"]), (3, &json!("6")), "it was read to the end");
    let none = page(&world, &business, "types=message.failed,message.read&after=2").await;
    assert_eq!(none, json!({ "events": [], "next": "6", "has_more": false }));

    let last = send(&world, &business, "email", "number 4").await;
    let since = world
        .until("the last message is told", async || {
            let page = page(&world, &business, "after=6").await;
            let events = page["events"].as_array().expect("a list").clone();
            (events.len() == 2).then_some(events)
        })
        .await;
    assert_eq!(types(&since, Some(last)), ["message.accepted", "message.sent"]);

    let other = world.business(10, 1).await;
    assert_eq!(page(&world, &other, "").await, empty, "another business has its own");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_query_is_refused_by_its_name() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    for (query, name) in [
        ("after=x", "after"),
        ("after=1.2", "after"),
        ("after=1000000000000", "after"),
        ("types=message.queued", "types"),
        ("types=", "types"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("before=1", "before"),
    ] {
        let answer = world.get(&business.api_key, &format!("/api/v1/events?{query}")).await;
        assert_eq!(answer.problem(), (422, "validation_error".into()), "{query}");
        assert_eq!(answer.json()["errors"][0]["loc"], json!(["query", name]), "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_doubt_and_one_that_failed_are_told() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let kill = json!({
        "operation": "UpdateItem", "error": "kill", "times": 1, "skip": 2,
        "function": "deliver-whatsapp",
    });

    world.fault("aws", kill).await;
    let id = send(&world, &business, "whatsapp", "in doubt for a while").await;
    world
        .until("the worker was killed", async || {
            let faults = world.sandbox(Method::GET, "/aws/faults", Value::Null).await;
            faults.as_array().expect("an array").is_empty().then_some(())
        })
        .await;
    world.pass(LEASE_SECONDS).await;
    world.sweep().await;
    let conversation_id = business.conversation_id("whatsapp");
    world.until_status(&business.api_key, conversation_id, id, "in_doubt").await;
    world.pass(DOUBT_SECONDS).await;
    world.fault("whatsapp", json!({ "status": 400, "times": 1 })).await;
    world.sweep().await;
    world.until_status(&business.api_key, conversation_id, id, "failed").await;

    let events = until_events(&world, &business, 3).await;
    let expected = ["message.accepted", "message.in_doubt", "message.failed"];
    assert_eq!(types(&events, Some(id)), expected);
    let failed = &events[2]["data"]["message"]["delivery"];
    assert!(failed["error"]["code"].is_string() && failed["failed_at"].is_string(), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_tells_its_marks_once() {
    let world = World::start().await;
    let business = world.business(5, 1).await;
    for number in 1..=5 {
        send(&world, &business, "email", &format!("number {number}")).await;
    }

    let events = until_events(&world, &business, 12).await;
    let marks: Vec<&Value> =
        events.iter().filter(|event| event["type"] == "quota.reached").collect();
    let told: Vec<&Value> = marks.iter().map(|mark| &mark["data"]["quota"]["percent"]).collect();
    assert_eq!(told, [80, 100]);
    assert_eq!(marks[1]["data"]["quota"]["limit"], 5);

    // More room, which is used up to four fifths once more.
    let path = format!("/businesses/{}/limit", business.business_id);
    world.sandbox(Method::PUT, &path, json!({ "limit": 6 })).await;
    send(&world, &business, "email", "number 6").await;
    let events = until_events(&world, &business, 14).await;
    let marks = events.iter().filter(|event| event["type"] == "quota.reached");
    assert_eq!(marks.count(), 2, "each once a month");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_published_once_however_often_its_publisher_dies() {
    for (operation, after_effect) in
        [("BatchGetItem", false), ("TransactWriteItems", false), ("TransactWriteItems", true)]
    {
        let world = World::start().await;
        let business = world.business(10, 1).await;
        let kill = json!({
            "operation": operation, "error": "kill", "times": 2, "after_effect": after_effect,
            "function": "publish-events",
        });

        world.fault("aws", kill).await;
        let id = send(&world, &business, "email", "told all the same").await;
        let events = until_events(&world, &business, 2).await;
        assert_eq!(types(&events, Some(id)), ["message.accepted", "message.sent"], "{operation}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn publishers_that_meet_and_answers_that_are_lost_leave_no_gap() {
    for error in ["TransactionConflict", "ThrottlingException", "timeout"] {
        let world = World::start().await;
        let business = world.business(20, 1).await;
        let fault = json!({
            "operation": "TransactWriteItems", "error": error, "times": 3,
            "after_effect": error == "timeout", "function": "publish-events",
        });

        world.fault("aws", fault).await;
        for number in 1..=4 {
            send(&world, &business, "email", &format!("number {number}")).await;
        }

        let events = until_events(&world, &business, 8).await;
        let sequences: Vec<u64> =
            events.iter().map(|event| event["sequence"].as_u64().expect("a number")).collect();
        assert_eq!(sequences, Vec::from_iter(1..=8), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_a_message_that_was_erased_or_is_gone_has_no_text() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let id = send(&world, &business, "email", "to be forgotten").await;
    let before = until_events(&world, &business, 2).await;
    assert_eq!(before[0]["data"]["message"]["content"], "to be forgotten");

    // What `admin erase` writes, and what DynamoDB does when a message's time is over.
    let key = [
        ("pk", format!("B#{}#C#{}", business.business_id, business.conversation_id("email"))),
        ("sk", "M#000000000001".to_owned()),
    ];
    let key = key.map(|(name, value)| (name.to_owned(), AttributeValue::S(value)));
    let erase = world.dynamodb().update_item().table_name(&world.ready.table);
    let erase = erase
        .set_key(Some(key.clone().into()))
        .update_expression("SET content = :nothing")
        .expression_attribute_values(":nothing", AttributeValue::S(String::new()));
    erase.send().await.expect("it is there");
    let erased = until_events(&world, &business, 2).await;
    assert_eq!(types(&erased, Some(id)), types(&before, Some(id)));
    assert_eq!(erased[0]["data"]["message"]["content"], "");

    let stored = world.dynamodb().get_item().table_name(&world.ready.table);
    let stored = stored.set_key(Some(key.clone().into())).send().await.expect("it is there").item;
    let delete = world.dynamodb().delete_item().table_name(&world.ready.table);
    delete.set_key(Some(key.into())).send().await.expect("it is there");
    let gone = until_events(&world, &business, 2).await;
    assert_eq!(
        (&gone[0]["id"], types(&gone, Some(id))),
        (&before[0]["id"], types(&before, Some(id)))
    );
    assert_eq!(gone[1]["data"]["message"]["delivery"]["status"], "sent");

    // The oracle counts what is stored; the same item makes the same event.
    let put = world.dynamodb().put_item().table_name(&world.ready.table);
    put.set_item(stored).send().await.expect("it can be put back");
    until_events(&world, &business, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_end_after_thirty_days() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    send(&world, &business, "email", "a month ago").await;
    until_events(&world, &business, 2).await;
    let items = world.dynamodb().scan().table_name(&world.ready.table).send().await;
    let items = items.expect("the table can be read").items.unwrap_or_default();
    let text = |item: &HashMap<String, AttributeValue>, name: &str| {
        item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default()
    };

    let mut ends = 0;
    for item in items.iter().filter(|item| text(item, "pk").contains("#EVENT")) {
        if text(item, "sk") == "COUNT" {
            continue; // It stays: numbers go on.
        }

        let end: i64 = item["expires_at"].as_n().expect("an end").parse().expect("seconds");
        let left = end - chrono::Utc::now().timestamp();
        assert!((left - TimeDelta::days(30).num_seconds()).abs() < 60, "{left}");
        ends += 1;
    }

    assert_eq!(ends, 4, "two events, and the records of their ids");
}
