//! The oracle's part about events: each change of a message that callers are told of, as the
//! table's stream has it, is one event, in its order; and what was delivered reached its endpoint.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use reqwest::{Method, Url};
use serde_json::{Value, json};

use crate::oracle::{Allowed, Item, number, scan, text};
use crate::send::read;
use crate::stream::StreamReader;
use crate::{Tally, World};

/// The statuses that callers are not told of: the worker's own.
const UNTOLD: [&str; 2] = ["queued", "sending"];

/// The first events of an agent's message and of a customer's.
const FIRST: [&str; 2] = ["message.accepted", "message.received"];

/// An event as it lies in the table.
struct Event {
    sequence: u64,
    id: String,
    kind: String,
    subject: String,
}

/// Waits until each change of the table was handed to the function that tells of them, and each
/// event to its endpoints; returns a sentence for each that was told wrongly.
pub(crate) async fn wrong(world: &World, allowed: Allowed, tally: &mut Tally) -> Vec<String> {
    // Records are dropped some time after they were handed over.
    let mut stream = StreamReader::default();
    let mut changes: BTreeMap<String, Vec<String>> = BTreeMap::new();
    stream.for_each(world, |record| note_change(&record["dynamodb"], &mut changes)).await;

    let items = loop {
        let seen = count(&changes);
        let items = every_change_told(world).await;
        // What customers who came back report may still come: it is told later than this look.
        stream.for_each(world, |record| note_change(&record["dynamodb"], &mut changes)).await;
        if count(&changes) == seen {
            break items;
        }
    };
    tally.changes += count(&changes);

    let by_business = events(&items);
    let mut wrong = misnumbered(&items, &by_business);
    let mut told: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for event in by_business.values().flatten() {
        told.entry(&event.subject).or_default().push(&event.kind);
    }

    for (subject, expected) in changes.iter().filter(|(_, kinds)| is_whole(kinds)) {
        let told = told.get(subject.as_str()).map(Vec::as_slice).unwrap_or_default();
        if told != expected {
            wrong.push(format!("{subject}, which was {expected:?}, was told as {told:?}"));
        }
    }

    for item in &items {
        let sk = text(item, "sk");
        let subject = format!("message.{}", text(item, "id"));
        let is_known = changes.get(&subject).is_some_and(|kinds| is_whole(kinds));
        if !sk.starts_with("M#") && !sk.starts_with("C#") || is_known {
            continue;
        }

        let told = told.get(subject.as_str()).map(Vec::as_slice).unwrap_or_default();
        if !ends_well(told, item) {
            let status = text(item, "status");
            wrong.push(format!("{subject}, which is {status:?}, was told as {told:?}"));
        }
    }

    for item in items.iter().filter(|item| text(item, "sk").starts_with("ENDPOINT#")) {
        wrong.extend(undelivered(world, item, &items, allowed, tally).await);
    }
    wrong
}

/// Waits until the functions have read the table's stream to its end and no event is on its way,
/// and reads the table.
async fn every_change_told(world: &World) -> Vec<Item> {
    world
        .until("every change is told", async || {
            let now = world.activity().await?;
            if now["held"] == true {
                world.sandbox(Method::PUT, "/queues/held", json!({ "held": false })).await;
            }

            (now["streams_behind"] == false).then_some(())?;
            let items = scan(world).await;
            let is_underway = |item: &Item| is_delivery(item) && item.contains_key("due");
            (!items.iter().any(is_underway)).then_some(items)
        })
        .await
}

fn count(changes: &BTreeMap<String, Vec<String>>) -> u64 {
    changes.values().map(|kinds| kinds.len() as u64).sum()
}

/// Returns whether an item is an event on its way to an endpoint, or one that was.
fn is_delivery(item: &Item) -> bool {
    text(item, "pk").contains("#D#")
}

/// Returns the events of each business, by their numbers.
fn events(items: &[Item]) -> BTreeMap<String, Vec<Event>> {
    let mut by_business: BTreeMap<String, Vec<Event>> = BTreeMap::new();
    for item in items {
        let pk = text(item, "pk");
        let Some(business) = pk.strip_suffix("#EVENTS") else { continue };
        let events = by_business.entry(business.to_owned()).or_default();
        if text(item, "sk") == "COUNT" {
            continue;
        }

        events.push(Event {
            sequence: number(item, "sequence"),
            id: text(item, "id"),
            kind: text(item, "type"),
            subject: text(item, "subject"),
        });
    }

    for events in by_business.values_mut() {
        events.sort_by_key(|event| event.sequence);
    }
    by_business
}

/// Events are numbered from 1 to their count, and each has an id of its own.
fn misnumbered(items: &[Item], by_business: &BTreeMap<String, Vec<Event>>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (business, events) in by_business {
        let is_count = |item: &&Item| {
            text(item, "sk") == "COUNT" && text(item, "pk") == format!("{business}#EVENTS")
        };
        let last = items.iter().find(is_count).map_or(0, |item| number(item, "last"));
        let numbers: Vec<u64> = events.iter().map(|event| event.sequence).collect();
        if numbers != Vec::from_iter(1..=last) {
            wrong.push(format!("events of {business} are numbered {numbers:?}"));
        }

        let ids: BTreeSet<&str> = events.iter().map(|event| event.id.as_str()).collect();
        if ids.len() < events.len() {
            wrong.push(format!("two events of {business} have one id"));
        }
    }

    wrong
}

/// Returns whether the stream has all changes of a message: from its first one on.
fn is_whole(kinds: &[String]) -> bool {
    FIRST.iter().any(|first| kinds.first().is_some_and(|kind| kind == first))
}

/// Returns whether the events of a message begin with its first one and end with the status that it
/// has, if that is one that callers are told of.
fn ends_well(told: &[&str], message: &Item) -> bool {
    let status = text(message, "status");
    let is_untold = status.is_empty() || UNTOLD.contains(&status.as_str());
    let began = told.first().is_some_and(|kind| FIRST.contains(kind));
    began && (is_untold || told.last() == Some(&format!("message.{status}").as_str()))
}

/// Notes what a record of the stream says of a message, as a kind of event.
fn note_change(record: &Value, changes: &mut BTreeMap<String, Vec<String>>) {
    let sk = record["Keys"]["sk"]["S"].as_str().unwrap_or_default();
    let is_message = sk.starts_with("M#");
    let (was, is) = (&record["OldImage"], &record["NewImage"]);
    if !(is_message || sk.starts_with("C#")) || is["id"].is_null() {
        return;
    }

    let subject = format!("message.{}", is["id"]["S"].as_str().unwrap_or_default());
    let status = is["status"]["S"].as_str().unwrap_or_default();
    let kinds = changes.entry(subject).or_default();
    if was["id"].is_null() {
        // One that was deleted and is put back is no other message.
        let [accepted, received] = FIRST;
        let kind = if is_message { accepted } else { received };
        if kinds.is_empty() {
            kinds.push(kind.to_owned());
        }
    } else if is_message && was["status"] != is["status"] && !UNTOLD.contains(&status) {
        kinds.push(format!("message.{status}"));
    }
}

/// Each event of a message since an endpoint was made went to it; and what it has taken, it got, if
/// it is one of a sandbox's receivers: of each message in its order.
async fn undelivered(
    world: &World,
    endpoint: &Item,
    items: &[Item],
    allowed: Allowed,
    tally: &mut Tally,
) -> Vec<String> {
    let Some(url) = receiver(&text(endpoint, "url")) else { return Vec::new() };
    let got = read(world.http.get(url.clone())).await;
    let got: Vec<Value> = serde_json::from_str(&got.text).unwrap_or_default();
    let ids = got.iter().filter_map(|request| request["headers"]["webhook-id"].as_str());
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for (place, id) in ids.enumerate() {
        places.entry(id).or_insert(place);
    }

    let id = text(endpoint, "sk").replace("ENDPOINT#", "");
    let partition = format!("{}#D#{id}", text(endpoint, "pk"));
    let is_taken =
        |item: &&Item| text(item, "pk") == partition && text(item, "status") == "delivered";
    let mut taken: Vec<&Item> = items.iter().filter(is_taken).collect();
    taken.sort_by_key(|item| number(item, "sequence"));
    tally.told += taken.len() as u64;

    let mut wrong = left_out(endpoint, &partition, items);
    let mut last: BTreeMap<String, usize> = BTreeMap::new();
    for item in taken {
        let sk = text(item, "sk");
        let Some(place) = places.get(text(item, "event_id").as_str()) else {
            if !allowed.moved {
                wrong.push(format!("{url} never got {sk}, which is delivered"));
            }
            continue;
        };

        let subject = sk.split('#').next().unwrap_or_default().to_owned();
        if last.insert(subject, *place).is_some_and(|before| before > *place) {
            wrong.push(format!("{url} got {sk} before an earlier event of its message"));
        }
    }

    wrong
}

/// The events of messages that did not go to an endpoint which asks for all, and is switched on. An
/// event that is published while the endpoint is made need not: messages count that are later.
fn left_out(endpoint: &Item, partition: &str, items: &[Item]) -> Vec<String> {
    if endpoint.contains_key("events") || text(endpoint, "status") == "disabled" {
        return Vec::new();
    }

    let events_partition = format!("{}#EVENTS", text(endpoint, "pk"));
    let made = time(endpoint, "created_at");
    let is_message =
        |item: &&Item| ["M#", "C#"].iter().any(|kind| text(item, "sk").starts_with(kind));
    let later = items.iter().filter(is_message).filter(|item| time(item, "created_at") > made);
    let subjects: BTreeSet<String> =
        later.map(|item| format!("message.{}", text(item, "id"))).collect();
    let is_later = |item: &&Item| {
        text(item, "pk") == events_partition && subjects.contains(&text(item, "subject"))
    };
    let own = items.iter().filter(|item| text(item, "pk") == partition);
    let sent: BTreeSet<u64> = own.map(|item| number(item, "sequence")).collect();
    let missing = items.iter().filter(is_later).map(|event| number(event, "sequence"));
    let missing: Vec<u64> = missing.filter(|sequence| !sent.contains(sequence)).collect();
    match missing.is_empty() {
        true => Vec::new(),
        false => vec![format!("events {missing:?} never went to {partition}")],
    }
}

fn time(item: &Item, name: &str) -> DateTime<Utc> {
    text(item, name).parse().expect("a time")
}

/// Returns where a sandbox tells what one of its receivers got.
fn receiver(url: &str) -> Option<Url> {
    let mut url = Url::parse(url).ok()?;
    let path =
        url.path().strip_prefix("/receivers/").map(|name| format!("/sandbox/receivers/{name}"))?;
    url.set_path(&path);
    Some(url)
}
