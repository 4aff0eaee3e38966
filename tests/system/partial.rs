//! Half failures: AWS does a part of what it is asked for and calls that a success, or one of many
//! fails. Nothing is lost by it, and what went well is not done twice.

use std::collections::BTreeSet;

use chrono::{TimeDelta, Utc};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::attachments::{announce, bring, send, store};
use crate::chat::tab::Tab;
use domain::{BusinessId, Channel, ConversationId};
use platform::table::key;
use tests::{Business, CHANNELS, PNG, World, next_page};

/// Longer than a new message waits for its doorbell before the sweeper rings, in seconds.
pub(crate) const UNTIL_DUE: i64 = 61;

/// Returns a doorbell as it is in a queue.
fn doorbell(business: &Business, conversation_id: Uuid, channel: &str) -> String {
    let doorbell = json!({ "v": 1, "business": business.business_id,
        "conversation": conversation_id, "channel": channel });
    doorbell.to_string()
}

/// Hands a function a batch of records, each an id and a body; returns its answer.
async fn invoke(world: &World, function: &str, records: &[(&str, String)]) -> Value {
    let event = include_str!("../../functions/deliver-email/events/doorbell.json");
    let event: Value = serde_json::from_str(event).expect("JSON");
    let record = |(id, body): &(&str, String)| {
        let mut record = event["Records"][0].clone();
        record["messageId"] = json!(id);
        record["body"] = json!(body);
        record
    };

    let records: Vec<Value> = records.iter().map(record).collect();
    let answer = world.engine().invoke(function, json!({ "Records": records })).await;
    answer.expect("the function answers")
}

/// Returns the ids of the records that an answer reports as failed.
fn failures(answer: &Value) -> BTreeSet<&str> {
    let failures = answer["batchItemFailures"].as_array().expect("an array").iter();
    failures.map(|failure| failure["itemIdentifier"].as_str().expect("an id")).collect()
}

pub(crate) async fn hold_queues(world: &World, held: bool) {
    world.sandbox(Method::PUT, "/queues/held", json!({ "held": held })).await;
}

/// Has functions get a part of what they ask AWS for, in every call of these operations.
async fn answer_in_part(world: &World, operations: &[&str]) {
    for operation in operations {
        world.fault("aws", json!({ "operation": operation, "error": "partial" })).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_worker_reports_the_doorbells_that_it_could_not_answer_and_no_other() {
    let world = World::start().await;
    let business = world.business(100, 1).await;
    hold_queues(&world, true).await;

    for (place, channel) in CHANNELS.into_iter().enumerate() {
        let other_channel = CHANNELS[(place + 1) % CHANNELS.len()];
        let good = business.conversation_id(channel);
        let broken = world.another_conversation(&business, channel).await;
        let idle = world.another_conversation(&business, channel).await;
        for conversation_id in [good, broken] {
            world.send(&business.api_key, conversation_id, "it is rung for").go().await.id();
        }
        world.take_messages(&world.queue(channel)).await;

        // The table does not let this conversation be claimed.
        let fault = json!({ "operation": "UpdateItem", "error": "AccessDeniedException",
            "about": broken, "function": format!("deliver-{channel}") });
        world.fault("aws", fault).await;

        let bell = |conversation_id| doorbell(&business, conversation_id, channel);
        let records = [
            ("no JSON", "not a doorbell".to_owned()),
            ("good", bell(good)),
            ("empty", String::new()),
            ("broken", bell(broken)),
            ("idle", bell(idle)),
            ("missing", bell(Uuid::new_v4())),
            ("version", bell(good).replace("\"v\":1", "\"v\":2")),
            ("another channel's", doorbell(&business, good, other_channel)),
        ];
        let worker = format!("deliver-{channel}");
        let answer = invoke(&world, &worker, &records).await;
        let expected = ["no JSON", "empty", "broken", "version", "another channel's"];
        assert_eq!(failures(&answer), expected.into(), "{channel}");

        // A conversation that another worker holds is that worker's to deliver.
        world.heal("aws").await;
        let again = invoke(&world, &worker, &[("broken", bell(broken))]).await;
        assert_eq!(again, json!({ "batchItemFailures": [] }), "{channel}");
        for conversation_id in [good, broken] {
            assert_eq!(world.received(channel, conversation_id).await, ["it is rung for"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hellos_timer_that_cannot_be_read_holds_no_other_up() {
    let (world, business) = World::without_customers().await;
    let token = world.visitor_token(business.conversation_id("chat")).await;
    let mut silent = Tab::open(&world, &token).await;
    let [connection_id] = &open_tabs(&world, &business).await[..] else { panic!("one is open") };

    let timer = json!({"v": 1, "connection": connection_id}).to_string();
    let records = [
        ("no JSON", "no timer".to_owned()),
        ("silent", timer.clone()),
        ("empty", String::new()),
        ("version", timer.replace("\"v\":1", "\"v\":2")),
        ("gone", timer.replace(connection_id.as_str(), "L0SM9cOFvHcCIhw=")),
    ];
    let answer = invoke(&world, "chat-socket", &records).await;
    assert_eq!(failures(&answer), ["no JSON", "empty", "version"].into());
    assert_eq!(silent.next_error().await, "hello_timeout");
    silent.until_closed().await;
    world.let_customers_in().await;
}

/// Returns the connections of a business's chat.
async fn open_tabs(world: &World, business: &Business) -> Vec<String> {
    let business_id = BusinessId(business.business_id);
    let key = key::tabs(business_id, ConversationId(business.conversation_id("chat")));
    let call = world.dynamodb().get_item().table_name(&world.ready.table);
    let answer = call.set_key(Some(key.attributes())).send().await.expect("it is there");
    let item = answer.item.expect("tabs were open");
    let tabs = item["tabs"].as_m().expect("a map");
    tabs["open"].as_m().expect("a map").keys().cloned().collect()
}

/// Takes a channel's doorbells out of its queue; returns the conversations that they are for.
pub(crate) async fn take_rung(world: &World, channel: Channel) -> Vec<String> {
    let bodies = world.take_messages(&world.queue(channel.name())).await;
    let conversation = |body: &String| {
        let doorbell: Value = serde_json::from_str(body).expect("JSON");
        doorbell["conversation"].as_str().expect("an id").to_owned()
    };
    bodies.iter().map(conversation).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sweeper_reads_every_page_and_does_without_a_bucket_or_an_entry_that_fails() {
    let world = World::start().await;
    let business = world.business(100, 1).await;
    hold_queues(&world, true).await;

    let bucket = |id: &Uuid| key::outbox_bucket(Channel::Email, ConversationId(*id));
    let mut ids: Vec<Uuid> = Vec::new();
    let mut is_shared = false;
    // There are sixteen buckets: two conversations are in one soon.
    while !is_shared {
        let id = world.another_conversation(&business, "email").await;
        world.send(&business.api_key, id, "its doorbell is lost").go().await.id();
        is_shared = ids.iter().any(|other| bucket(other) == bucket(&id));
        ids.push(id);
    }
    let all: BTreeSet<String> = ids.iter().map(Uuid::to_string).collect();
    let take_rung = async || BTreeSet::from_iter(take_rung(&world, Channel::Email).await);
    assert_eq!(take_rung().await, all);
    world.pass(UNTIL_DUE).await;
    let sweep = async || world.engine().run_schedule("sweep-outbox").await;
    let reported = || {
        let line = world.logged().into_iter().rev().find(|line| line.text.contains("\"swept\""));
        let line: Value = serde_json::from_str(&line.expect("a line").text).expect("JSON");
        (line["wakeups"].clone(), line.get("wakeup_failed").cloned())
    };

    answer_in_part(&world, &["Query"]).await;
    let swept = sweep().await.expect("an answer");
    assert_eq!((&swept["due"], &swept["rung"]), (&json!(all.len()), &json!(all.len())));
    assert_eq!(take_rung().await, all, "a bucket has two pages");
    assert_eq!(reported(), (json!(all.len()), None));
    world.heal("aws").await;

    let refused = json!({ "operation": "SendMessageBatch", "error": "partial", "times": 1 });
    world.fault("aws", refused).await;
    let swept = sweep().await.expect("an answer");
    assert_eq!((&swept["due"], &swept["rung"]), (&json!(all.len()), &json!(all.len() - 1)));
    assert_eq!(take_rung().await.len(), all.len() - 1, "SQS refused one");
    assert_eq!(reported(), (json!(all.len() - 1), Some(json!(1))));

    let unreadable = bucket(&ids[0]);
    let fault = json!({ "operation": "Query", "error": "AccessDeniedException",
        "about": format!("\"{unreadable}\"") });
    world.fault("aws", fault).await;
    sweep().await.expect_err("Lambda is told, and tries again");
    let others = ids.iter().filter(|id| bucket(id) != unreadable).map(Uuid::to_string).collect();
    assert_eq!(take_rung().await, others, "the other buckets are swept");
    assert!(world.complaints().contains("bucket not swept; the next sweep retries"));
    world.heal("aws").await;

    hold_queues(&world, false).await;
    sweep().await.expect("an answer");
}

/// Reads a conversation's messages page by page; returns the texts of each page and its `next`,
/// which is null where there is no more.
async fn pages(world: &World, business: &Business, first: &str) -> Vec<(Vec<String>, Value)> {
    let path = format!("/api/v1/conversations/{}/messages", business.conversation_id("email"));
    let mut query = first.to_owned();
    let mut pages = Vec::new();
    loop {
        let page = world.get(&business.api_key, &format!("{path}?{query}")).await.json();
        let messages = page["messages"].as_array().expect("an array").iter();
        let texts = messages.map(|message| message["content"].as_str().expect("a text").to_owned());
        let next = next_page(&page);
        pages.push((texts.collect(), json!(next)));

        let Some(next) = next else { return pages };
        query = format!("{}&after={next}", first.split('&').next().unwrap_or_default());
        assert!(pages.len() < 10, "it never ends: {pages:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_ends_early_loses_nothing_and_one_that_is_exactly_full_is_the_last() {
    let (world, business) = World::without_customers().await;
    let page = |texts: &[&str], next: Value| {
        (texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>(), next)
    };
    let null = || Value::Null;
    answer_in_part(&world, &["Query", "BatchGetItem"]).await;

    // What a send is checked against comes item by item, and a worker's page has one message.
    let texts = ["one", "two", "three"].map(str::to_owned);
    let conversation_id = business.conversation_id("email");
    hold_queues(&world, true).await;
    for text in &texts {
        world.send(&business.api_key, conversation_id, text).go().await.id();
    }
    hold_queues(&world, false).await;
    world.until_received("email", conversation_id, &texts).await;
    assert_eq!(world.usage(&business.api_key).await, (3, 1_000));

    let of_one = [page(&["one"], json!("1")), page(&["two"], json!("2")), page(&["three"], null())];
    assert_eq!(pages(&world, &business, "limit=50").await, of_one);

    // Every tab is told of every message, and one that comes back gets all of them, page by page.
    let chat = business.conversation_id("chat");
    let token = world.visitor_token(chat).await;
    let mut tabs = [Tab::open(&world, &token).await, Tab::open(&world, &token).await];
    for tab in &mut tabs {
        tab.hello(0).await;
        assert_eq!(tab.next_event().await["type"], "hello");
        assert_eq!(tab.next_event().await["type"], "caught_up");
    }
    for text in &texts {
        world.send(&business.api_key, chat, text).go().await.id();
    }
    for tab in &mut tabs {
        for (seq, text) in (1..).zip(&texts) {
            let (at, _, content) = tab.next_message().await;
            assert_eq!((at, &content), (seq, text));
        }
    }
    let mut back = Tab::open(&world, &token).await;
    back.hello(1).await;
    assert_eq!(back.next_event().await["type"], "hello");
    assert_eq!(back.next_event().await, json!({"type": "page", "after": 2}));
    assert_eq!(back.next_message().await.0, 3);
    assert_eq!(back.next_event().await["type"], "caught_up");
    back.send_action(json!({"action": "history", "before": 3})).await;
    assert_eq!(back.next_message().await.0, 2);
    assert_eq!(back.next_event().await, json!({"type": "history", "before": 3, "after": 1}));

    world.heal("aws").await;
    let full = [page(&["one", "two", "three"], null())];
    assert_eq!(pages(&world, &business, "limit=3").await, full);
    assert_eq!(pages(&world, &business, "limit=4").await, full);
    let two = [page(&["one", "two"], json!("2")), page(&["three"], null())];
    assert_eq!(pages(&world, &business, "limit=2").await, two);
    assert_eq!(
        pages(&world, &business, "limit=2&after=1").await,
        [page(&["two", "three"], null())]
    );
    assert_eq!(pages(&world, &business, "limit=2&after=3").await, [page(&[], null())]);

    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_with_two_conversations_is_found_in_both_page_by_page() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let other = world.business(10, 1).await;
    let number = "+16505550123";
    let mut conversations = Vec::new();
    for business in [&business, &other] {
        let new = json!({ "business_id": business.business_id, "channel": "whatsapp",
            "customer": number, "window_expires_at": Utc::now() - TimeDelta::hours(1) });
        let made = world.sandbox(Method::POST, "/conversations", new).await;
        let id: Uuid = serde_json::from_value(made["conversation_id"].clone()).expect("an id");
        conversations.push((business, id));
    }

    for (business, conversation_id) in &conversations {
        let refused = world.send(&business.api_key, conversation_id, "Too late").go().await;
        assert_eq!(refused.problem(), (422, "outside_messaging_window".into()));
    }

    answer_in_part(&world, &["Query"]).await;
    let wrote = json!({ "from": number, "text": "Where is it?" });
    world.sandbox(Method::POST, "/whatsapp/customers", wrote).await;
    for (business, conversation_id) in conversations {
        world.send(&business.api_key, conversation_id, "Here it is").go().await.id();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_s3_cuts_short_is_not_sent_and_is_read_again() {
    let world = World::start().await;
    let business = world.business(10, 1).await;

    for channel in ["whatsapp", "email"] {
        let conversation_id = business.conversation_id(channel);
        let file = store(&world, &business.api_key, conversation_id, "a.png", "image/png", PNG);
        let file = file.await.json();
        let cut = json!({ "operation": "GetObject", "error": "partial", "times": 1 });
        world.fault("aws", cut).await;
        let id = send(&world, &business, conversation_id, &[&file["url"]]).await.id();
        world
            .until("it is put back", async || {
                let delivery = world.delivery(&business.api_key, conversation_id, id).await;
                (delivery["error"]["code"] == "file_unavailable").then_some(())
            })
            .await;
        assert_eq!(world.received(channel, conversation_id).await, [""; 0], "{channel}");

        world.pass(60).await;
        world.sweep().await;
        let delivery = world.until_status(&business.api_key, conversation_id, id, "sent").await;
        assert_eq!(delivery["attempts"], 2, "{channel}");
    }

    // An announced file is judged by its first bytes, of which some are missing.
    let conversation_id = business.conversation_id("email");
    let size = PNG.len() as u64;
    let file = announce(&world, &business.api_key, conversation_id, "b.png", "image/png", size);
    let file = file.await.json();
    assert_eq!(bring(&file["upload"], PNG).await.status(), StatusCode::OK);
    let cut = json!({ "operation": "GetObject", "error": "partial", "times": 1 });
    world.fault("aws", cut).await;
    let failed = send(&world, &business, conversation_id, &[&file["url"]]).await;
    assert_eq!(failed.problem(), (500, "internal".into()));
    send(&world, &business, conversation_id, &[&file["url"]]).await.id();
}
