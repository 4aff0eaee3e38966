//! Each message does to the table what infra/costs/counts.json says; infra/costs/run works out what
//! that costs.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::chat;
use crate::chat::tab::{Tab, message_of};
use crate::partial::hold_queues;
use tests::contract::root;
use tests::{Business, StreamReader, World};

/// The operations by which a worker reads messages and tabs; what it reads by others, it keeps.
const READS_OF_WORKERS: [&str; 1] = ["dynamodb:Query"];
/// Those by which receipts find their messages.
const READS_OF_RECEIPTS: [&str; 3] =
    ["dynamodb:GetItem", "dynamodb:Query", "dynamodb:BatchGetItem"];

/// How often each kind of item was written, and entries of indexes.
type Writes = BTreeMap<String, u64>;

/// Returns what kind of item a record is about; none for the count of events, which is written once
/// for a batch.
fn kind(keys: &Value) -> Option<&str> {
    let text = |name: &str| keys[name]["S"].as_str().expect("a key");
    let (pk, sk) = (text("pk"), text("sk"));
    match sk {
        "COUNT" => None,
        _ if pk.ends_with("#EVENTS") => Some("event"),
        _ if sk.starts_with("M#") => Some("message"),
        "CONVERSATION" => Some("conversation"),
        "EVENT" => Some("event's id"),
        "IDEMPOTENCY" => Some("idempotency"),
        "SHARD" => Some("month"),
        other => Some(other),
    }
}

/// Notes a record of the table's stream. An entry of an index is written when it comes, when it
/// goes, and twice when it moves.
fn note(record: &Value, writes: &mut Writes) {
    let change = &record["dynamodb"];
    let Some(kind) = kind(&change["Keys"]) else { return };
    *writes.entry(kind.to_owned()).or_default() += 1;

    let entry = |image: &Value| {
        let place = (image["outbox_bucket"].clone(), image["due"].clone());
        (!place.0.is_null() && !place.1.is_null()).then_some(place)
    };
    let (was, is) = (entry(&change["OldImage"]), entry(&change["NewImage"]));
    if was != is {
        let entries = u64::from(was.is_some()) + u64::from(is.is_some());
        *writes.entry("index".to_owned()).or_default() += entries;
    }
}

/// Sends a message and waits until the customer has read it, or got the mail.
async fn send(world: &World, business: &Business, channel: &str, tab: &mut Option<Tab>) {
    let conversation_id = business.conversation_id(channel);
    let key = Uuid::new_v4().to_string();
    let sent = world.send(&business.api_key, conversation_id, "what it costs").key(&key);
    let id = sent.go().await.id();
    if let Some(tab) = tab {
        assert_eq!(message_of(&tab.next_event().await).1, id);
        // The worker's own write comes first, or the receipt makes it and there is one less.
        world.until_status(&business.api_key, conversation_id, id, "sent").await;
        tab.send_action(json!({ "action": "ack", "id": id })).await;
        world.until_status(&business.api_key, conversation_id, id, "delivered").await;
        tab.send_action(json!({ "action": "read", "id": id })).await;
    } else {
        world.until_status(&business.api_key, conversation_id, id, "sent").await;
        let reported = async || (world.release(channel).await > 0).then_some(());
        world.until("the provider holds its reports", reported).await;
    }

    let last = if channel == "email" { "delivered" } else { "read" };
    world.until_status(&business.api_key, conversation_id, id, last).await;
    settle(world).await;
}

/// Waits until nothing is on its way, and every change is told.
async fn settle(world: &World) {
    world
        .until("all is told", async || {
            let now = world.sandbox(Method::GET, "/activity", Value::Null).await;
            (now["idle"] == true && now["streams_behind"] == false).then_some(())
        })
        .await;
}

/// How often a worker, and what takes the receipts of its channel, have read.
fn reads(world: &World, [worker, receipts]: [&str; 2]) -> [u64; 2] {
    let made = |function: &str, operations: &[&str]| {
        let calls = world.calls_of(function);
        operations.iter().filter_map(|operation| calls.get(*operation)).sum()
    };
    [made(worker, &READS_OF_WORKERS), made(receipts, &READS_OF_RECEIPTS)]
}

/// The writes of a message, and the reads for it.
#[derive(Debug, PartialEq, Eq)]
struct Done {
    writes: Writes,
    /// How often the worker read, and what takes the receipts.
    reads: [u64; 2],
}

/// Returns what infra/costs/counts.json says of a channel.
fn counted(channel: &str) -> Done {
    let text = std::fs::read_to_string(root().join("infra/costs/counts.json")).expect("the counts");
    let counts: Value = serde_json::from_str(&text).expect("JSON");
    let counts = &counts[channel];
    let number = |value: &Value| value.as_u64().expect("a number");

    let mut writes = Writes::new();
    for phase in ["accepting", "delivering", "receipts"] {
        let of_phase: Writes =
            serde_json::from_value(counts[phase]["writes"].clone()).expect("counts");
        for (kind, times) in of_phase {
            *writes.entry(kind).or_default() += times;
        }
        let entries = counts[phase].get("index").map_or(0, number);
        *writes.entry("index".to_owned()).or_default() += entries;
    }
    for kind in ["event", "event's id"] {
        writes.insert(kind.to_owned(), number(&counts["events"]));
    }

    let reads = ["delivering", "receipts"].map(|phase| number(&counts[phase]["reads"]));
    Done { writes, reads }
}

/// Sends a message and counts what it does to the table until the customer has it.
async fn done(world: &World, business: &Business, channel: &str, tab: &mut Option<Tab>) -> Done {
    let functions = match channel {
        "chat" => ["DeliverChat", "ChatSocket"],
        "whatsapp" => ["DeliverWhatsapp", "ReceiptsWhatsapp"],
        _ => ["DeliverEmail", "ReceiptsEmail"],
    };
    let mut stream = StreamReader::default();
    stream.for_each(world, |_| {}).await;
    let before = reads(world, functions);
    send(world, business, channel, tab).await;

    let mut writes = Writes::new();
    stream.for_each(world, |record| note(record, &mut writes)).await;
    let after = reads(world, functions);
    Done { writes, reads: [after[0] - before[0], after[1] - before[1]] }
}

async fn open_tab(world: &World, business: &Business) -> Tab {
    let mut tab = chat::tab(world, business, 0).await;
    tab.until_caught_up().await;
    tab
}

async fn a_message_does_to_the_table_what_its_price_is_made_of(channel: &str) {
    let (world, business) = World::without_customers().await;
    let mut tab = None;
    if channel == "chat" {
        tab = Some(open_tab(&world, &business).await);
    } else {
        let statuses = ["sent", "delivered", "read"];
        let statuses = if channel == "email" { &statuses[..2] } else { &statuses };
        world.report(channel, json!({ "statuses": statuses, "held": true })).await;
    }

    // The first of a month opens its shard, and what a function reads once it keeps.
    send(&world, &business, channel, &mut tab).await;
    let done = done(&world, &business, channel, &mut tab).await;
    assert_eq!(done, counted(channel), "{channel}");
    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_the_chat_does_what_its_price_is_made_of() {
    a_message_does_to_the_table_what_its_price_is_made_of("chat").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_on_whatsapp_does_what_its_price_is_made_of() {
    a_message_does_to_the_table_what_its_price_is_made_of("whatsapp").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_by_email_does_what_its_price_is_made_of() {
    a_message_does_to_the_table_what_its_price_is_made_of("email").await;
}

/// A turn is one claim and one release, however many messages it has.
async fn each_message_of_a_turn_is_written_twice(channel: &str) {
    const TURN: u64 = 4;
    let (world, business) = World::without_customers().await;
    let _tab = match channel {
        "chat" => Some(open_tab(&world, &business).await),
        _ => None,
    };
    let conversation_id = business.conversation_id(channel);
    let mut stream = StreamReader::default();
    stream.for_each(&world, |_| {}).await;

    hold_queues(&world, true).await;
    let mut last = Uuid::nil();
    for number in 0..TURN {
        let text = format!("{number} of a turn");
        last = world.send(&business.api_key, conversation_id, &text).go().await.id();
    }
    hold_queues(&world, false).await;
    world.until_status(&business.api_key, conversation_id, last, "sent").await;
    settle(&world).await;

    let mut writes = Writes::new();
    stream.for_each(&world, |record| note(record, &mut writes)).await;
    // Accepting writes both, once a message.
    assert_eq!(writes["message"] - TURN, 2 * TURN, "{channel}: {writes:?}");
    assert_eq!(writes["conversation"] - TURN, 2, "{channel}: {writes:?}");
    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_of_a_turn_in_the_chat_is_written_twice() {
    each_message_of_a_turn_is_written_twice("chat").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_of_a_turn_by_email_is_written_twice() {
    each_message_of_a_turn_is_written_twice("email").await;
}
