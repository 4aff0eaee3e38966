//! Clocks that jump by five minutes, forth and back, while messages are in every state that a time
//! is written down for.

use chrono::TimeDelta;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::talk::{Talk, all_arrived, all_send, see_through};
use tests::suite::Suite;
use tests::{Business, CHANNELS, Tally, World};

/// Five minutes, in seconds.
const JUMP: i64 = 300;

/// How long the provider takes while the clock jumps, in milliseconds of the real clock.
const SLOW: u64 = 5_000;

/// The pause that the provider asks for, in seconds.
const ASKED: i64 = 120;

pub(crate) fn tests(suite: Suite) -> Suite {
    suite
        .test("a_clock_that_jumps_ahead_loses_nothing", || jumped(&[JUMP]))
        .test("a_clock_that_jumps_back_loses_nothing", || jumped(&[-JUMP]))
        .test("a_clock_that_jumps_ahead_and_back_loses_nothing", || jumped(&[JUMP, -JUMP]))
        .test("a_clock_that_jumps_back_and_ahead_loses_nothing", || jumped(&[-JUMP, JUMP]))
}

/// On every channel one conversation whose first message waits because the provider asked for it,
/// one whose worker is in the middle of a call, and one that no worker has looked at; where
/// receipts are waited for, one whose answer was lost.
async fn jumped(jumps: &[i64]) {
    let world = World::start().await;
    let business = world.business(1_000, 4).await;
    let postponed = json!({"status": 429, "retry_after": ASKED, "times": 1});
    let lost = json!({"after_effect": true, "times": 1});
    let slow = json!({"delay_ms": SLOW, "times": 1});
    let postponed = brought_to(&world, &business, &CHANNELS, &postponed, "queued").await;
    let in_doubt = brought_to(&world, &business, &["whatsapp", "email"], &lost, "in_doubt").await;
    let in_hand = brought_to(&world, &business, &CHANNELS, &slow, "sending").await;

    world.sandbox(Method::PUT, "/queues/held", json!({"held": true})).await;
    let mut queued = Talk::on_every_channel(&world, &business, 1).await;
    all_send(&world, &business, &mut queued, 2).await;

    let mut asked = Vec::new();
    for talk in &postponed {
        asked.push(talk.attempted_at(&world, 0).await + TimeDelta::seconds(ASKED));
    }

    for jump in jumps {
        world.pass(*jump).await;
        world.sweep().await;
        Tally::count_misfortune();
    }

    world.sandbox(Method::PUT, "/queues/held", json!({"held": false})).await;
    see_through(&world).await;
    for talks in [&postponed, &in_doubt, &in_hand, &queued] {
        all_arrived(&world, talks).await;
    }

    for (talk, asked) in postponed.iter().zip(asked) {
        let received = talk.received(&world).await;
        assert!(
            received.values().all(|at| *at >= asked),
            "{}: asked for {asked}, sent at {received:?}",
            talk.channel
        );
    }

    for talk in &queued {
        assert_eq!(talk.copies(&world).await, 2, "none of these was in doubt");
    }
}

/// One conversation on each of these channels with two messages, the first of which met this fault
/// and has come to this.
async fn brought_to(
    world: &World,
    business: &Business,
    channels: &[&'static str],
    fault: &serde_json::Value,
    status: &str,
) -> Vec<Talk> {
    let mut talks =
        join_all(channels.iter().map(|channel| Talk::new(world, business, channel))).await;
    for channel in channels {
        world.fault(channel, fault.clone()).await;
    }

    all_send(world, business, &mut talks, 2).await;
    let reached = talks.iter().map(async |talk| {
        world
            .until(&format!("the first one by {} is {status}", talk.channel), async || {
                let delivery = talk.delivery(world, business, 0).await;
                (delivery["status"] == status && delivery["attempts"] == 1).then_some(())
            })
            .await;
    });

    join_all(reached).await;
    talks
}
