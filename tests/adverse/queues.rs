//! Queues that repeat, shuffle, delay and refuse.

use reqwest::Method;
use serde_json::json;

use crate::either;
use crate::talk::{Talk, all_arrived, all_send, handed_out, see_through};
use tests::suite::{Suite, remark};
use tests::{Tally, World};

pub(crate) fn tests(suite: Suite) -> Suite {
    suite
        .test("bells_that_ring_five_times_in_any_order_deliver_once_and_in_order", || {
            repeated(false)
        })
        .test(
            "bells_that_ring_five_times_among_failing_providers_deliver_once_and_in_order",
            || repeated(true),
        )
        .test("a_queue_that_refuses_for_ten_minutes_loses_nothing", refused)
}

/// Everything up to five times and in any order, while several conversations are written into on
/// every channel.
async fn repeated(providers_fail: bool) {
    let world = World::start().await;
    let business = world.business(100_000, 4).await;
    let mischief = json!({"copies": 5, "shuffle": true, "delay_ms": 400, "seed": 5});
    world.sandbox(Method::PUT, "/queues/mischief", mischief).await;

    if providers_fail {
        world.fault("chat", json!({"status": 429, "probability": 0.3})).await;
        world.fault("whatsapp", json!({"status": 503, "probability": 0.3})).await;
        // Its answer is lost: now and then the outcome is unknown.
        world.fault("email", json!({"after_effect": true, "probability": 0.1})).await;
    }

    let mut talks = Talk::on_every_channel(&world, &business, either(2, 8)).await;
    all_send(&world, &business, &mut talks, either(4, 40)).await;
    see_through(&world).await;
    all_arrived(&world, &talks).await;

    let (records, deliveries) = world
        .until("every copy has come", async || {
            let (records, deliveries) = handed_out(&world).await;
            (deliveries >= 2 * records).then_some((records, deliveries))
        })
        .await;
    let with = if providers_fail { "failing providers" } else { "good providers" };
    let messages = talks.iter().map(|talk| talk.ids.len()).sum::<usize>();

    remark(format!(
        "  {with}: {messages} messages, {records} doorbells, delivered {deliveries} times, in any order"
    ));
}

/// Ten minutes without a doorbell: every way in which SQS can say no, for as long each.
async fn refused() {
    let world = World::start().await;
    let business = world.business(100_000, 4).await;
    let mut talks = Talk::on_every_channel(&world, &business, either(1, 4)).await;
    let errors =
        ["InternalError", "ServiceUnavailable", "RequestThrottled", "disconnect", "garbage"];

    let rounds = either(errors.len(), 10);
    for error in errors.into_iter().cycle().take(rounds) {
        world.heal("aws").await;
        for operation in ["SendMessage", "SendMessageBatch"] {
            world.fault("aws", json!({"operation": operation, "error": error})).await;
        }
        all_send(&world, &business, &mut talks, 1).await;
        world.pass(600 / rounds as i64).await;
        world.sweep().await;
        Tally::count_misfortune();
    }

    for talk in &talks {
        assert_eq!(talk.copies(&world).await, 0, "no doorbell rang");
    }

    world.heal("aws").await;
    see_through(&world).await;
    all_arrived(&world, &talks).await;
}
