//! The oracle: reads the table as it lies there, without any of the code that wrote it, and holds
//! it against what the API answered and what the customers got.
//!
//! - Every 201 is in the table, once. Accepted = sent + failed + in doubt + waiting.
//! - `used` of each month = its messages, never above the cap; the caps add up to the limit.
//! - One idempotency key has one message.
//! - What a visitor was told is stored is in the table, once, under numbers without a gap, each of
//!   which one name leads to. It is counted nowhere.
//! - The outbox is empty: whatever was accepted is settled.
//! - Each change of a message's status in the table's stream is one event, and there are no others;
//!   they are numbered without a gap, in the order of the changes.
//! - Each event whose delivery is `delivered` reached its endpoint, those of a message in their
//!   order.
//! - Customers got what is `sent`, in `seq` order and whole, and no copy more than it had
//!   unknown outcomes.
//! - No log line holds a token, a text, an address or a phone number.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use aws_sdk_dynamodb::types::AttributeValue;
use reqwest::Method;
use serde_json::Value;
use uuid::Uuid;

use crate::{Tally, World, told};

/// Leftovers that a test is allowed. By default: none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Allowed {
    /// Messages that wait: the customer is away, the provider is down.
    pub waiting: bool,
    /// Messages that a provider took and could not deliver, as it said later.
    pub undelivered: bool,
    /// Messages that were stored although no 201 was heard: the answer was lost.
    pub unheard: bool,
    /// Messages of the command line's smoke test, whose customer is not the sandbox's.
    pub elsewhere: bool,
    /// Events that went to a URL which their endpoint had before.
    pub moved: bool,
}

pub(crate) type Item = HashMap<String, AttributeValue>;

#[derive(Debug)]
struct Message {
    id: Uuid,
    partition: String,
    business_partition: String,
    month: String,
    seq: u64,
    status: String,
    /// How many of its attempts have an unknown outcome: a worker died, or an answer was lost.
    unknown_outcomes: u64,
}

impl Message {
    fn was_taken(&self) -> bool {
        matches!(self.status.as_str(), "sent" | "delivered" | "read")
    }
}

/// The counts, and a sentence for each violation.
#[derive(Default)]
struct Findings {
    tally: Tally,
    wrong: Vec<String>,
}

impl Findings {
    /// Says what is wrong, and how much of it there is.
    fn count(
        &mut self,
        of: impl FnOnce(&mut Tally) -> &mut u64,
        by: u64,
        sentence: impl FnOnce() -> String,
    ) {
        if by > 0 {
            *of(&mut self.tally) += by;
            self.wrong.push(sentence());
        }
    }
}

/// Checks a world whose test is over, and adds what it counted to the tally.
///
/// # Panics
/// If a guarantee is broken, with a sentence for each.
pub async fn check(world: &World) {
    let allowed = world.ledger().allowed;
    world.heal("aws").await;
    let items = quiet(world, allowed).await;
    let messages: Vec<Message> = items.iter().filter_map(message).collect();
    let mut findings =
        Findings { tally: Tally { worlds: 1, ..Tally::default() }, ..Findings::default() };
    accepted(world, &messages, allowed, &mut findings);
    counted(&items, &messages, &mut findings);
    written(world, &items, &mut findings);
    received(world, &items, &messages, allowed, &mut findings).await;
    let told = told::wrong(world, allowed, &mut findings.tally).await;
    findings.wrong.extend(told);
    world.note_every_secret().await;
    silent(world, &items, &mut findings);
    findings.tally.add_up();
    assert!(findings.wrong.is_empty(), "\n\n  - {}\n", findings.wrong.join("\n  - "));
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

pub(crate) async fn scan(world: &World) -> Vec<Item> {
    let pages = world.dynamodb().scan().table_name(&world.ready.table).consistent_read(true);
    pages
        .into_paginator()
        .items()
        .send()
        .collect::<Result<_, _>>()
        .await
        .expect("the table can be read")
}

/// Every 201 is a message, and (unless an answer may have been lost) every message a 201; a key is
/// one message's.
fn accepted(world: &World, messages: &[Message], allowed: Allowed, findings: &mut Findings) {
    let ledger = world.ledger();
    let stored: BTreeSet<Uuid> = messages.iter().map(|message| message.id).collect();
    let twice = (messages.len() - stored.len()) as u64;
    findings.count(|tally| &mut tally.doubled, twice, || "an id is stored twice".to_owned());

    let answered: BTreeSet<Uuid> = ledger.accepted.keys().copied().collect();
    let lost: Vec<_> = answered.difference(&stored).collect();
    findings.count(
        |tally| &mut tally.lost,
        lost.len() as u64,
        || format!("answered 201 and not stored: {lost:?}"),
    );

    let unheard: Vec<_> = stored.difference(&answered).collect();
    if !allowed.unheard && !unheard.is_empty() {
        findings.wrong.push(format!("stored and never answered 201: {unheard:?}"));
    }

    for ((_, key), ids) in &ledger.keys {
        let more = ids.len() as u64 - 1;
        findings.count(
            |tally| &mut tally.doubled,
            more,
            || format!("key {key:?} made several messages: {ids:?}"),
        );
    }

    findings.tally.accepted += answered.len() as u64;
    findings.tally.stored += messages.len() as u64;
    for message in messages {
        match message.status.as_str() {
            "sent" | "delivered" | "read" => findings.tally.sent += 1,
            "failed" => findings.tally.failed += 1,
            "queued" | "sending" | "in_doubt" => findings.tally.waiting += 1,
            _ => findings.wrong.push(format!("an unknown status: {message:?}")),
        }
    }
}

/// `used` is the number of messages; caps add up to the limit.
fn counted(items: &[Item], messages: &[Message], findings: &mut Findings) {
    let mut stored: BTreeMap<(String, String), u64> = BTreeMap::new();
    for message in messages {
        *stored.entry((message.business_partition.clone(), message.month.clone())).or_default() +=
            1;
    }

    let mut used = BTreeMap::new();
    let mut caps = BTreeMap::new();
    for item in items.iter().filter(|item| text(item, "sk") == "SHARD") {
        let pk = text(item, "pk");
        let (business, rest) = pk.split_once("#Q#").expect("a shard's key");
        let month = rest.split('#').next().expect("a month");
        let key = (business.to_owned(), month.to_owned());
        let over = number(item, "used").saturating_sub(number(item, "cap"));
        findings.count(|tally| &mut tally.over_quota, over, || format!("{pk} is over its cap"));
        *used.entry(key.clone()).or_insert(0) += number(item, "used");
        *caps.entry(key).or_insert(0) += number(item, "cap");
    }

    for (key, count) in used {
        let messages = stored.remove(&key).unwrap_or(0);
        let by = messages.abs_diff(count);
        findings.count(
            |tally| &mut tally.miscounted,
            by,
            || format!("used of {key:?} is {count} of {messages}"),
        );
    }

    for (key, count) in stored {
        findings.count(
            |tally| &mut tally.miscounted,
            count,
            || format!("messages that no shard counted: {key:?}"),
        );
    }

    for item in items {
        if let Some(month) = text(item, "sk").strip_prefix("QUOTA#") {
            let key = (text(item, "pk"), month.to_owned());
            let limit = number(item, "limit");
            let sum = caps.get(&key).copied().unwrap_or(0);
            let sentence = || format!("the caps of {key:?} add up to {sum}, the limit is {limit}");
            findings.count(|tally| &mut tally.miscounted, limit.abs_diff(sum), sentence);
        }
    }
}

/// Each message that a visitor was told is stored is there once; each conversation's customer has
/// numbers from 1 to the last one, and each of them one name.
fn written(world: &World, items: &[Item], findings: &mut Findings) {
    let mut stored: BTreeMap<Uuid, Vec<String>> = BTreeMap::new();
    let mut numbers: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut named: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    for item in items {
        let pk = text(item, "pk");
        let sk = text(item, "sk");
        if let Some(number_in_key) = sk.strip_prefix("C#") {
            let own = number_in_key.parse().expect("a number");
            assert_eq!(number(item, "number"), own, "{pk} {sk} says another number");
            let id = text(item, "id").parse().expect("an id");
            stored.entry(id).or_default().push(text(item, "content"));
            numbers.entry(pk).or_default().push(own);
        } else if sk.starts_with("N#") {
            named.entry(pk).or_default().push(number(item, "number"));
        } else if sk == "CUSTOMER" {
            last.insert(pk, number(item, "last"));
        }
    }

    for all in numbers.values_mut().chain(named.values_mut()) {
        all.sort_unstable();
    }
    for (pk, all) in &numbers {
        let expected: Vec<u64> = (1..=last.get(pk).copied().unwrap_or(0)).collect();
        if *all != expected || named.get(pk) != Some(all) {
            let (last, named) = (last.get(pk), named.get(pk));
            findings.wrong.push(format!(
                "the customer of {pk} wrote {all:?}, the last is {last:?}, named are {named:?}"
            ));
        }
    }

    for (id, text) in &world.ledger().written {
        let found = stored.get(id).map(Vec::as_slice).unwrap_or_default();
        let lost = u64::from(found.is_empty());
        let sentence = || format!("a visitor was told that {id} is stored, and it is not");
        findings.count(|tally| &mut tally.lost, lost, sentence);
        let more = found.len().saturating_sub(1) as u64;
        findings.count(|tally| &mut tally.doubled, more, || format!("{id} is stored twice"));
        // One that was erased is empty.
        if found.iter().any(|found| found != text && !found.is_empty()) {
            findings.wrong.push(format!("{id} is stored with another text"));
        }
    }
}

/// Customers got each message that was sent: in order, and once but for unknown outcomes.
async fn received(
    world: &World,
    items: &[Item],
    messages: &[Message],
    allowed: Allowed,
    findings: &mut Findings,
) {
    let mut got: Vec<(String, Uuid)> = Vec::new();
    let mut parts: HashMap<Uuid, BTreeSet<u64>> = HashMap::new();
    world.until_shown().await;

    for channel in ["chat", "whatsapp", "email"] {
        let all = world.sandbox(Method::GET, &format!("/{channel}/messages"), Value::Null).await;
        for one in all.as_array().expect("an array") {
            let text = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
            let id = text("message_id").parse().expect("a message's id");
            got.push((text("conversation_id"), id));
            in_parts(id, &one["parts"], &mut parts, findings);
        }
    }

    let by_id: HashMap<Uuid, &Message> =
        messages.iter().map(|message| (message.id, message)).collect();
    let mut times: HashMap<Uuid, u64> = HashMap::new();
    let mut last: HashMap<&String, u64> = HashMap::new();

    for (conversation_id, id) in &got {
        let Some(message) = by_id.get(id) else {
            findings.wrong.push(format!("a customer got {id}, which is not stored"));
            continue;
        };
        if !message.partition.ends_with(conversation_id.as_str()) {
            findings.wrong.push(format!("{id} reached another conversation"));
        }
        let count = times.entry(*id).or_default();
        *count += 1;
        if *count == 1 {
            let before = last.insert(conversation_id, message.seq).unwrap_or(0);
            let early = u64::from(message.seq < before);
            let sentence = || format!("{conversation_id}: {} came after {before}", message.seq);
            findings.count(|tally| &mut tally.out_of_order, early, sentence);
        }
    }

    // The smoke test is its own customer.
    let named_smoke =
        |item: &&Item| text(item, "sk") == "BUSINESS" && text(item, "name") == "smoke";
    let smoke: BTreeSet<String> =
        items.iter().filter(named_smoke).map(|item| text(item, "pk")).collect();
    for message in messages {
        let copies = times.get(&message.id).copied().unwrap_or(0);
        // Of a message that came in parts, all of them.
        let missing = parts.get(&message.id).is_some_and(|missing| !missing.is_empty());
        let is_smoke = smoke.contains(&message.business_partition);
        let elsewhere = allowed.elsewhere && is_smoke && copies == 0;
        let lost = u64::from(message.was_taken() && (copies == 0 || missing) && !elsewhere);
        findings.count(|tally| &mut tally.lost, lost, || format!("{message:?} never arrived"));
        let more = copies.saturating_sub(1);
        let excused = more.min(message.unknown_outcomes);
        findings.tally.excused += excused;
        let sentence = || format!("a customer got {message:?} {copies} times");
        findings.count(|tally| &mut tally.doubled, more - excused, sentence);
        let undelivered = allowed.undelivered && message.status == "failed";
        let arrived = copies > 0 && !missing;
        if arrived
            && !message.was_taken()
            && message.unknown_outcomes == 0
            && !allowed.waiting
            && !undelivered
        {
            findings.wrong.push(format!("{message:?} arrived all the same"));
        }
    }
}

/// Some providers take a message in parts. They come in order, each once; one that comes again
/// begins another copy. Notes which parts of it are missing in all of its copies together.
fn in_parts(
    id: Uuid,
    parts: &Value,
    missing: &mut HashMap<Uuid, BTreeSet<u64>>,
    findings: &mut Findings,
) {
    let Some(of) = parts["of"].as_u64() else { return };
    let got: Vec<u64> =
        parts["got"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
    let early = u64::from(!got.is_sorted());

    findings.count(
        |tally| &mut tally.out_of_order,
        early,
        || format!("the parts of {id} came as {got:?}"),
    );

    let missing = missing.entry(id).or_insert_with(|| (1..=of).collect());
    missing.retain(|number| !got.contains(number));
}

/// No log line holds a secret, a text or a customer's address.
fn silent(world: &World, items: &[Item], findings: &mut Findings) {
    let ledger = world.ledger();
    let texts = ledger.texts.iter().filter(|text| text.len() > 8);
    // A visitor of the chat has no address but a word.
    let recipients = items.iter().map(|item| text(item, "recipient")).filter(|to| to.len() > 8);
    let recipients: Vec<String> = recipients.collect();

    let words: Vec<&String> = ledger.secrets.iter().chain(texts).chain(&recipients).collect();
    // Texts may be long, and are looked for once: what is made fastest.
    let kind = Some(AhoCorasickKind::NoncontiguousNFA);
    let search = AhoCorasick::builder().kind(kind).build(&words).expect("megabytes at most");
    for line in world.logged() {
        for found in search.find_iter(&line.text) {
            let word = words[found.pattern().as_usize()];
            findings.wrong.push(format!("{} logged {word:?}: {}", line.function, line.text));
        }
    }
}

fn message(item: &Item) -> Option<Message> {
    let pk = text(item, "pk");
    let sk = text(item, "sk");
    let seq = sk.strip_prefix("M#")?.parse().expect("a place");
    assert_eq!(seq, number(item, "seq"), "{pk} {sk} says another seq");

    Some(Message {
        id: text(item, "id").parse().expect("an id"),
        business_partition: pk.split_once("#C#").expect("a conversation's key").0.to_owned(),
        partition: pk,
        month: text(item, "month"),
        seq,
        status: text(item, "status"),
        // Found as `sending`, a worker died over it, which is not counted yet.
        unknown_outcomes: number(item, "doubts") + u64::from(text(item, "status") == "sending"),
    })
}

pub(crate) fn text(item: &Item, name: &str) -> String {
    item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default()
}

pub(crate) fn number(item: &Item, name: &str) -> u64 {
    item.get(name)
        .and_then(|value| value.as_n().ok())
        .and_then(|number| number.parse().ok())
        .unwrap_or_default()
}
