//! Answers that are lost after their effect, and receipts that tell what they would have said.

use chrono::TimeDelta;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::either;
use crate::talk::{Talk, all_arrived, all_send, count, next_due};
use tests::suite::{Suite, remark};
use tests::{Tally, World};

/// Messages in a conversation.
const EACH: usize = 5;

/// Longer than a worker waits for its provider, in milliseconds.
const TOO_LONG: u64 = 11_000;

pub(crate) fn tests(suite: Suite) -> Suite {
    suite.test("lost_answers_make_no_duplicates_where_receipts_come", lost)
}

/// The provider takes every message and its answer never arrives, on WhatsApp and by e-mail: it
/// comes when the worker waits for it no more, or its connection breaks. What the provider reports
/// later comes twice and in any order.
async fn lost() {
    let world = World::start().await;
    let business = world.business(100_000, 4).await;
    let mut talks = Vec::new();
    let (timeouts, others) = either((2, 4), (20, 80));

    for channel in ["whatsapp", "email"] {
        let receipts = json!({"statuses": ["sent", "delivered"], "copies": 2, "shuffle": true});
        world.sandbox(Method::PUT, &format!("/{channel}/receipts"), receipts).await;
        world
            .fault(channel, json!({"after_effect": true, "delay_ms": TOO_LONG, "times": timeouts}))
            .await;
        let mut slow = join_all((0..timeouts).map(|_| Talk::new(&world, &business, channel))).await;
        all_send(&world, &business, &mut slow, 1).await;
        join_all(slow.iter().map(|talk| talk.until_status(&world, &business, 0, "delivered")))
            .await;
        world.fault(channel, json!({"after_effect": true})).await;
        talks.extend(slow);
        talks.extend(join_all((0..others).map(|_| Talk::new(&world, &business, channel))).await);
    }

    join_all(
        talks.iter_mut().map(|talk| talk.send_messages(&world, &business, EACH - talk.ids.len())),
    )
    .await;
    let mut rounds = 0;
    while let Some(due) = next_due(&world).await {
        // Time is not to pass before the receipts are there: they come within moments, what waits
        // for them waits minutes.
        world
            .until("every receipt has come", async || {
                (count(&world, "in_doubt").await == 0).then_some(())
            })
            .await;
        world.set_clock(due + TimeDelta::seconds(1)).await;
        rounds += 1;
        assert!(rounds < 10 * EACH, "something is due again and again");
    }

    all_arrived(&world, &talks).await;
    let mut lost = 0;
    for talk in &talks {
        assert_eq!(talk.copies(&world).await, EACH, "{} {}", talk.channel, talk.conversation_id);
        for place in 0..EACH {
            let delivery = talk.delivery(&world, &business, place).await;
            assert_eq!(
                (&delivery["status"], &delivery["attempts"]),
                (&json!("delivered"), &json!(1))
            );
            lost += 1;
            Tally::count_misfortune();
        }
    }

    remark(format!(
        "  {lost} answers were lost after the provider took the message, and nothing came twice"
    ));
}
