//! A business that is a hundred times noisier than the others.

use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior};

use crate::is_long;
use crate::talk::{Talk, all_arrived, see_through};
use tests::suite::{Suite, remark};
use tests::{Business, World};

/// How many others there are.
const OTHERS: usize = 5;

/// How much noisier it is.
const TIMES: usize = 100;

/// How long the provider takes for each message, in milliseconds.
const PROVIDER: u64 = 100;

/// How many rounds each measurement of the long form has.
const LONG_ROUNDS: usize = 60;

/// How long a round takes at least. The noisy business's messages are spread over it: what they
/// cost the others is to be seen, and not that this machine can accept no more at once.
const ROUND: Duration = Duration::from_secs(2);

pub(crate) fn tests(suite: Suite) -> Suite {
    suite.test_alone(
        "a_business_that_is_a_hundred_times_noisier_than_the_others_loses_them_nothing",
        noisy,
    )
}

/// A caller that writes now and then, into another conversation each time, so that nothing waits
/// for what they wrote before.
struct Other {
    business: Business,
    /// Each with the time at which its message was answered 201.
    talks: Vec<(Talk, DateTime<Utc>)>,
}

/// In each round every other business sends one message and the noisy one a hundred: once on queues
/// with groups, once without. The long form does so three times, many rounds each: without the
/// noise, with it, and with it on queues that know no groups. How long the others'
/// messages take from the 201 until the provider has them is printed and not judged: it is a time
/// of this machine, on which accepting, four invocations per queue and the provider itself share
/// what cores there are.
async fn noisy() {
    let world = World::start().await;
    world.fault("email", json!({"delay_ms": PROVIDER})).await;
    rounds(&world, 1, TIMES, false).await; // so that every process there will be has started

    if !is_long() {
        rounds(&world, 1, TIMES, true).await;
        return;
    }

    let alone = rounds(&world, LONG_ROUNDS, 0, false).await;
    let fair = rounds(&world, LONG_ROUNDS, TIMES, false).await;
    let unfair = rounds(&world, LONG_ROUNDS, TIMES, true).await;
    let line = |name: &str, times: &[i64]| {
        let half = percentile(times, 50);
        let most = percentile(times, 99);
        let [by_half, by_most] =
            [(half, 50), (most, 99)].map(|(time, of)| time as f64 / percentile(&alone, of) as f64);
        format!(
            "  {name:<34} p50 {half:>6} ms ({by_half:>5.1} ×)   p99 {most:>6} ms ({by_most:>5.1} ×)\n"
        )
    };
    let messages = alone.len();

    remark(format!(
        "\n  From 201 until the provider took it, {messages} messages of {OTHERS} businesses, provider {PROVIDER} ms:\n{}{}{}",
        line("alone", &alone),
        line("beside one 100 times noisier", &fair),
        line("the same, queues without groups", &unfair),
    ));
}

/// Has everybody send so many times, with a noise of so many messages for each of the others', and
/// waits until all has arrived. Returns how long the others' messages took, in milliseconds.
async fn rounds(world: &World, count: usize, noise: usize, unfair: bool) -> Vec<i64> {
    world.sandbox(Method::PUT, "/queues/mischief", json!({"unfair": unfair})).await;
    let noisy = world.business(1_000_000, 16).await;
    let mut noise = join_all((0..noise).map(|_| Talk::new(world, &noisy, "email"))).await;
    let mut others = join_all((0..OTHERS).map(async |_| {
        let business = world.business(1_000, 1).await;
        Other { business, talks: Vec::new() }
    }))
    .await;
    let mut pace = tokio::time::interval(ROUND);

    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for _ in 0..count {
        pace.tick().await;
        let quiet = others.iter_mut().map(async |other| {
            let mut talk = Talk::new(world, &other.business, "email").await;
            talk.send_messages(world, &other.business, 1).await;
            other.talks.push((talk, Utc::now()));
        });
        let begun = Instant::now();
        let each = ROUND / u32::try_from(TIMES).expect("few");
        let loud = noise.iter_mut().zip(0..).map(async |(talk, number)| {
            tokio::time::sleep_until(begun + each * number).await;
            talk.send_messages(world, &noisy, 1).await;
        });
        tokio::join!(join_all(quiet), join_all(loud));
    }

    see_through(world).await;
    all_arrived(world, &noise).await;
    let mut times = Vec::new();

    for (talk, answered) in others.iter().flat_map(|other| &other.talks) {
        let received = talk.received(world).await;
        // A worker may be faster than the answer is on its way.
        times.push((received[&0] - answered).num_milliseconds().max(0));
    }

    times.sort_unstable();
    times
}

/// Returns a percentile of sorted times, and 1 at least.
pub(crate) fn percentile(sorted: &[i64], percent: usize) -> i64 {
    tests::suite::percentile(sorted, percent).expect("a time").max(1)
}
