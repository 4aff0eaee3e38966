//! One endpoint that never answers, among those of others.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;

use crate::either;
use crate::neighbours::percentile;
use tests::settling::see_through;
use tests::suite::{Suite, remark};
use tests::{Business, World};

/// How long a round of the long form takes at least: what one dead endpoint costs the others is to
/// be seen, and not that this machine can call no more endpoints at once.
const ROUND: Duration = Duration::from_secs(8);

/// The same in the short form, with few endpoints.
const SHORT_ROUND: Duration = Duration::from_millis(500);

/// Longer than an endpoint is waited for, in milliseconds.
const FOREVER: u64 = 11_000;

pub(crate) fn tests(suite: Suite) -> Suite {
    suite.test_alone("an_endpoint_that_never_answers_keeps_no_event_from_the_others", hanging)
}

/// A business with the receivers that its endpoints are.
struct Told {
    business: Business,
    receivers: Vec<String>,
}

/// In each round every business sends a message: first all endpoints answer, then one of them
/// hangs. How long it takes from a change of a message until an endpoint that answers has its event
/// is printed and not judged: it is a time of this machine. The long form has ten endpoints of ten
/// businesses; the oracle sees that each event came.
async fn hanging() {
    let (businesses, endpoints, rounds) = either((2, 2, 2), (10, 10, 8));
    let world = World::start().await;
    let made = (0..businesses).map(|_| with_endpoints(&world, endpoints));
    let all = join_all(made).await;
    play(&world, &all, 2).await; // so that every process there will be has started

    let begun = Utc::now();
    play(&world, &all, rounds).await;
    let alive = waits(&world, &all, begun).await;

    let dead = all[0].receivers[0].as_str();
    world.sandbox(Method::PUT, dead, json!({ "delay_ms": FOREVER })).await;
    let begun = Utc::now();
    play(&world, &all, rounds).await;
    let beside = waits(&world, &all, begun).await;
    world.sandbox(Method::PUT, dead, json!({})).await;
    see_through(&world).await;

    let line = |name: &str, times: &[i64]| {
        let [half, most] = [50, 99].map(|of| percentile(times, of));
        let [by_half, by_most] =
            [(half, 50), (most, 99)].map(|(time, of)| time as f64 / percentile(&alive, of) as f64);
        let events = times.len();
        format!(
            "  {name:<24} {events:>5} events   p50 {half:>6} ms ({by_half:>4.1} ×)   \
             p99 {most:>6} ms ({by_most:>4.1} ×)\n"
        )
    };
    remark(format!(
        "\n  From a change of a message until an endpoint has its event, {} endpoints of \
         {businesses} businesses:\n{}{}",
        businesses * endpoints,
        line("all of them answer", &alive),
        line("one hangs: the others", &beside),
    ));
}

async fn with_endpoints(world: &World, count: usize) -> Told {
    let business = world.business(10_000, 1).await;
    let mut receivers = Vec::new();
    for number in 0..count {
        let receiver = format!("/receivers/{}-{number}", business.business_id);
        world.endpoint(&business, &format!("{}{receiver}", world.ready.sandbox)).await;
        receivers.push(receiver);
    }

    Told { business, receivers }
}

/// Has each business send a message in each of so many rounds, and waits until every endpoint but
/// one that hangs has the events of it.
async fn play(world: &World, all: &[Told], rounds: usize) {
    let mut pace = tokio::time::interval(either(SHORT_ROUND, ROUND));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut expected = Vec::new();
    for Told { receivers, .. } in all {
        let before = join_all(receivers.iter().map(|receiver| got(world, receiver))).await;
        expected.push(before.iter().map(Vec::len).max().unwrap_or(0) + 2 * rounds);
    }

    for round in 0..rounds {
        pace.tick().await;
        join_all(all.iter().map(async |Told { business, .. }| {
            let conversation_id = business.conversation_id("email");
            let text = format!("round {round}");
            world.send(&business.api_key, conversation_id, &text).go().await.id()
        }))
        .await;
    }

    let is_told = async || {
        let mut count = 0;
        let mut is_missing = false;
        for (Told { receivers, .. }, expected) in all.iter().zip(&expected) {
            let got = join_all(receivers.iter().map(|receiver| got(world, receiver))).await;
            count += got.iter().map(Vec::len).sum::<usize>();
            let behind = got.iter().filter(|got| got.len() < *expected).count();
            is_missing |= behind > usize::from(receivers == &all[0].receivers);
        }
        if is_missing { Err(count) } else { Ok(()) }
    };
    world.until_at_rest("every endpoint that answers was told", is_told).await;
}

/// Returns what a receiver got; an event that came twice is there once, as it came first.
async fn got(world: &World, receiver: &str) -> Vec<Value> {
    let got = world.sandbox(Method::GET, receiver, Value::Null).await;
    let mut known = BTreeSet::new();
    let mut first = got.as_array().expect("a list").clone();
    first.retain(|request| known.insert(request["headers"]["webhook-id"].to_string()));
    first
}

/// Returns how long each event of a change since then took to an endpoint that answers, sorted, in
/// milliseconds. The first endpoint is the one that may hang, and is left out.
async fn waits(world: &World, all: &[Told], since: DateTime<Utc>) -> Vec<i64> {
    let receivers = all.iter().flat_map(|told| &told.receivers).skip(1);
    let mut waits = Vec::new();
    for receiver in receivers {
        for request in got(world, receiver).await {
            let event: Value = serde_json::from_str(text(&request["body"])).expect("JSON");
            let message = &event["data"]["message"];
            let changed = match text(&event["type"]) {
                "message.accepted" => &message["created_at"],
                _ => &message["delivery"]["sent_at"],
            };

            let changed = time(changed);
            if changed >= since {
                waits.push((time(&request["at"]) - changed).num_milliseconds());
            }
        }
    }

    waits.sort_unstable();
    waits
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn time(value: &Value) -> DateTime<Utc> {
    text(value).parse().expect("a time")
}
