//! Providers that ask for patience, and providers that are down.

use chrono::TimeDelta;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::either;
use crate::talk::{Talk, all_arrived, all_send, handed_out, now, see_through};
use tests::suite::Suite;
use tests::{Business, CHANNELS, Tally, World};

pub(crate) fn tests(suite: Suite) -> Suite {
    suite
        .test("nothing_is_sent_earlier_than_the_provider_asked", asked_for_patience)
        .test("providers_that_are_down_for_half_an_hour_lose_nothing", down)
}

/// 429 with `Retry-After` for the first message of every conversation, while doorbells ring early,
/// several times each, and the sweeper runs.
async fn asked_for_patience() {
    const ASKED: i64 = 300;
    let world = World::start().await;
    let business = world.business(100_000, 4).await;
    let each = either(2, 6);
    let mut talks = Talk::on_every_channel(&world, &business, each).await;

    world
        .sandbox(Method::PUT, "/queues/mischief", json!({"copies": 3, "shuffle": true, "seed": 3}))
        .await;

    for channel in CHANNELS {
        world.fault(channel, json!({"status": 429, "retry_after": ASKED, "times": each})).await;
    }

    all_send(&world, &business, &mut talks, 3).await;
    let mut asked = Vec::new();
    for talk in &talks {
        until_asked(&world, &business, talk).await;
        asked.push(talk.attempted_at(&world, 0).await + TimeDelta::seconds(ASKED));
    }

    let last = *asked.iter().max().expect("several");
    let step = either(100, 40);
    while now(&world).await + TimeDelta::seconds(step) < last {
        world.pass(step).await;
        world.sweep().await;
        ring_early(&world, &business, &talks).await;
    }

    see_through(&world).await;
    all_arrived(&world, &talks).await;
    for (talk, asked) in talks.iter().zip(asked) {
        let received = talk.received(&world).await;
        assert!(
            received.values().all(|at| *at >= asked),
            "{}: asked for {asked}, sent at {received:?}",
            talk.channel
        );
    }
}

async fn until_asked(world: &World, business: &Business, talk: &Talk) {
    world
        .until(&format!("{} asked for patience", talk.channel), async || {
            let delivery = talk.delivery(world, business, 0).await;
            (delivery["status"] == "queued" && delivery["error"]["code"] == "rate_limited")
                .then_some(())
        })
        .await;
}

/// Rings for every conversation, and waits until that many doorbells were answered.
async fn ring_early(world: &World, business: &Business, talks: &[Talk]) {
    let (_, before) = handed_out(world).await;
    join_all(talks.iter().map(|talk| talk.ring(world, business))).await;
    world
        .until("the doorbells were answered", async || {
            (handed_out(world).await.1 >= before + talks.len() as u64).then_some(())
        })
        .await;
    Tally::count_misfortune();
}

/// Half an hour of every 5xx, on every channel, while more is written.
async fn down() {
    let world = World::start().await;
    let business = world.business(100_000, 4).await;
    let mut talks = Talk::on_every_channel(&world, &business, either(1, 4)).await;
    let begun = now(&world).await;

    for status in [500, 502, 503, 504] {
        for channel in CHANNELS {
            world.fault(channel, json!({"status": status})).await;
        }
        all_send(&world, &business, &mut talks, 1).await;
        world.pass(450).await;
        world.sweep().await;
        Tally::count_misfortune();
    }

    assert!(now(&world).await - begun >= TimeDelta::minutes(30));

    for talk in &talks {
        world
            .until("the first one was tried several times", async || {
                let delivery = talk.delivery(&world, &business, 0).await;
                (delivery["attempts"].as_u64() > Some(2)).then_some(())
            })
            .await;
        assert_eq!(talk.copies(&world).await, 0);
    }

    for channel in CHANNELS {
        world.heal(channel).await;
    }

    see_through(&world).await;
    all_arrived(&world, &talks).await;
}
