//! Answers that are lost after their effect, and receipts that tell what they would have said.

use crate::either;
use crate::talk::{Talk, all_arrived, all_say, next_due, statuses};
use chrono::TimeDelta;
use reqwest::Method;
use serde_json::json;
use tests::suite::{Suite, remark};
use tests::{Tally, World};

/// Messages in a conversation.
const EACH: usize = 5;

pub(crate) fn tests(suite: Suite) -> Suite {
    suite.test("a_thousand_lost_answers_make_no_duplicate_where_receipts_come", lost)
}

/// The provider takes every message and its answer is lost every time, on WhatsApp and by e-mail; what it tells later
/// comes twice and in any order.
async fn lost() {
    let world = World::start().await;
    let business = world.business(100_000, 4).await;
    let mut talks = Vec::new();
    for channel in ["whatsapp", "email"] {
        world.fault(channel, json!({"after_effect": true})).await;
        let receipts = json!({"statuses": ["sent", "delivered"], "copies": 2, "shuffle": true});
        world.sandbox(Method::PUT, &format!("/{channel}/receipts"), receipts).await;
        for _ in 0..either(6, 100) {
            talks.push(Talk::new(&world, &business, channel).await);
        }
    }
    all_say(&world, &business, &mut talks, EACH).await;
    let mut rounds = 0;
    loop {
        let Some(due) = next_due(&world).await else { break };
        // Time is not to pass before the receipts are there: they come within moments, what waits for them waits minutes.
        world
            .until("every receipt has come", async || (!statuses(&world).await.contains("in_doubt")).then_some(()))
            .await;
        world.set_clock(due + TimeDelta::seconds(1)).await;
        rounds += 1;
        assert!(rounds < 10 * EACH, "something is due again and again");
    }
    all_arrived(&world, &talks).await;
    let mut lost = 0;
    for talk in &talks {
        assert_eq!(talk.copies(&world).await, EACH, "{} {}", talk.channel, talk.conversation);
        for place in 0..EACH {
            let delivery = talk.delivery(&world, &business, place).await;
            assert_eq!((&delivery["status"], &delivery["attempts"]), (&json!("delivered"), &json!(1)));
            lost += 1;
            Tally::misfortune();
        }
    }
    remark(format!("  {lost} answers were lost after the provider took the message, and nothing came twice"));
}
