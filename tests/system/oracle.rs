//! The oracle: reads the table as it lies there, without any of the code that wrote it, and holds it against what the
//! API answered and what the customers got.
//!
//! - Every 201 is in the table, once. Accepted = sent + failed + in doubt + waiting.
//! - `used` of each month = its messages, never above the cap; the caps add up to the limit.
//! - The outbox is empty: whatever was accepted is settled.
//! - Customers got what is `sent`, once, in `seq` order.
//! - No log line holds a token, a text, an address or a phone number.

use crate::world::World;
use aws_sdk_dynamodb::types::AttributeValue;
use reqwest::Method;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// What a test may leave behind. By default: nothing.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Allowed {
    /// Messages that wait: the customer is away, the provider is down.
    pub(crate) waiting: bool,
    /// Messages that the customer got twice: a worker died, or an answer was lost.
    pub(crate) doubles: bool,
    /// Messages that a provider took and could not deliver, as it said later.
    pub(crate) undelivered: bool,
    /// Messages that were stored although no 201 was heard: the answer was lost.
    pub(crate) unheard: bool,
}

type Item = HashMap<String, AttributeValue>;

#[derive(Debug)]
struct Message {
    id: Uuid,
    partition: String,
    business: String,
    month: String,
    seq: u64,
    status: String,
}

/// Checks a world whose test is over.
pub(crate) async fn check(world: &World) {
    let allowed = world.ledger().allowed;
    world.heal("aws").await;
    let items = quiet(world, allowed).await;
    let messages: Vec<Message> = items.iter().filter_map(message).collect();
    accepted(world, &messages, allowed);
    counted(&items, &messages);
    received(world, &messages, allowed).await;
    silent(world, &items);
}

/// Waits until nothing is on its way any more, and reads the table.
async fn quiet(world: &World, allowed: Allowed) -> Vec<Item> {
    world
        .until("the outbox is empty", async || {
            let items = scan(world).await;
            let busy = items.iter().filter(|item| text(item, "sk") == "CONVERSATION").any(|item| {
                let settled = number(item, "seq") == number(item, "settled_seq");
                settled == item.contains_key("due") || settled == item.contains_key("outbox_bucket")
            });
            let unsettled = items.iter().any(|item| item.contains_key("due"));
            (!busy && (!unsettled || allowed.waiting)).then_some(items)
        })
        .await
}

async fn scan(world: &World) -> Vec<Item> {
    let pages = world.dynamodb().scan().table_name(&world.ready.table).consistent_read(true);
    pages.into_paginator().items().send().collect::<Result<_, _>>().await.expect("the table can be read")
}

/// Every 201 is a message, and (unless an answer may have been lost) every message a 201.
fn accepted(world: &World, messages: &[Message], allowed: Allowed) {
    let stored: BTreeSet<Uuid> = messages.iter().map(|message| message.id).collect();
    assert_eq!(stored.len(), messages.len(), "an id is stored twice");
    let answered: BTreeSet<Uuid> = world.ledger().accepted.keys().copied().collect();
    let lost: Vec<_> = answered.difference(&stored).collect();
    assert!(lost.is_empty(), "answered 201 and not stored: {lost:?}");
    let unheard: Vec<_> = stored.difference(&answered).collect();
    assert!(allowed.unheard || unheard.is_empty(), "stored and never answered 201: {unheard:?}");
    let known = ["queued", "sending", "in_doubt", "sent", "delivered", "read", "failed"];
    assert!(messages.iter().all(|message| known.contains(&message.status.as_str())), "{messages:?}");
}

/// `used` is the number of messages; caps add up to the limit.
fn counted(items: &[Item], messages: &[Message]) {
    let mut stored: BTreeMap<(String, String), u64> = BTreeMap::new();
    for message in messages {
        *stored.entry((message.business.clone(), message.month.clone())).or_default() += 1;
    }
    let (mut used, mut caps) = (BTreeMap::new(), BTreeMap::new());
    for item in items.iter().filter(|item| text(item, "sk") == "SHARD") {
        let pk = text(item, "pk");
        let (business, rest) = pk.split_once("#Q#").expect("a shard's key");
        let month = rest.split('#').next().expect("a month");
        let key = (business.to_owned(), month.to_owned());
        assert!(number(item, "used") <= number(item, "cap"), "{pk} is over its cap");
        *used.entry(key.clone()).or_insert(0) += number(item, "used");
        *caps.entry(key).or_insert(0) += number(item, "cap");
    }
    for (key, count) in &used {
        assert_eq!(*count, stored.remove(key).unwrap_or(0), "used of {key:?} is not its messages");
    }
    assert!(stored.is_empty(), "messages that no shard counted: {stored:?}");
    for item in items {
        if let Some(month) = text(item, "sk").strip_prefix("QUOTA#") {
            let key = (text(item, "pk"), month.to_owned());
            assert_eq!(number(item, "limit"), caps[&key], "the caps of {key:?} are not the limit");
        }
    }
}

/// Customers got each message that was sent, once and in order.
async fn received(world: &World, messages: &[Message], allowed: Allowed) {
    let mut got: Vec<(String, Uuid)> = Vec::new();
    for channel in ["chat", "whatsapp", "email"] {
        let all = world.sandbox(Method::GET, &format!("/{channel}/messages"), Value::Null).await;
        for one in all.as_array().expect("an array") {
            let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
            got.push((text("conversation_id"), text("message_id").parse().expect("a message's id")));
        }
    }
    let by_id: HashMap<Uuid, &Message> = messages.iter().map(|message| (message.id, message)).collect();
    let mut times: HashMap<Uuid, u32> = HashMap::new();
    let mut last: HashMap<&String, u64> = HashMap::new();
    for (conversation, id) in &got {
        let message = by_id.get(id).unwrap_or_else(|| panic!("a customer got {id}, which is not stored"));
        assert!(message.partition.ends_with(conversation.as_str()), "{id} reached another conversation");
        let count = times.entry(*id).or_default();
        *count += 1;
        assert!(*count == 1 || allowed.doubles, "a customer got {id} {count} times");
        let before = last.insert(conversation, message.seq).unwrap_or(0);
        assert!(message.seq > before || *count > 1, "{conversation}: {} came after {before}", message.seq);
    }
    for message in messages {
        let sent = matches!(message.status.as_str(), "sent" | "delivered" | "read");
        let arrived = times.contains_key(&message.id);
        assert!(!sent || arrived, "{message:?} never arrived");
        let undelivered = allowed.undelivered && message.status == "failed";
        let excused = undelivered || allowed.doubles || allowed.waiting;
        assert!(sent || !arrived || excused, "{message:?} arrived all the same");
    }
}

/// No log line holds a secret, a text or a customer's address.
fn silent(world: &World, items: &[Item]) {
    let ledger = world.ledger();
    let texts = ledger.texts.iter().filter(|text| text.len() > 8);
    // A visitor of the chat has no address but a word.
    let recipients = items.iter().map(|item| text(item, "recipient")).filter(|to| to.len() > 8);
    let recipients: Vec<String> = recipients.collect();
    for line in world.logged() {
        for word in ledger.secrets.iter().chain(texts.clone()).chain(&recipients) {
            assert!(!line.text.contains(word.as_str()), "{} logged {word:?}: {}", line.function, line.text);
        }
    }
}

fn message(item: &Item) -> Option<Message> {
    let (pk, sk) = (text(item, "pk"), text(item, "sk"));
    let seq = sk.strip_prefix("M#")?.parse().expect("a place");
    assert_eq!(seq, number(item, "seq"), "{pk} {sk} says another seq");
    Some(Message {
        id: text(item, "id").parse().expect("an id"),
        business: pk.split_once("#C#").expect("a conversation's key").0.to_owned(),
        partition: pk,
        month: text(item, "month"),
        seq,
        status: text(item, "status"),
    })
}

fn text(item: &Item, name: &str) -> String {
    item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default()
}

fn number(item: &Item, name: &str) -> u64 {
    item.get(name).and_then(|value| value.as_n().ok()).and_then(|number| number.parse().ok()).unwrap_or_default()
}
