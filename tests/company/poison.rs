//! Messages that nothing can be done about: they are parked, a copy is kept, and the next one proceeds.

use crate::talk::{Talk, next_due};
use crate::{DOUBT, LEASE};
use reqwest::Method;
use serde_json::{Value, json};
use tests::suite::Suite;
use tests::{Business, Tally, World};

/// How often a worker may die over one message.
const DEATHS: u32 = 5;

pub(crate) fn tests(suite: Suite) -> Suite {
    suite
        .test("a_chat_message_that_kills_every_worker_is_parked", || deadly("chat"))
        .test("a_whatsapp_message_that_kills_every_worker_is_parked", || deadly("whatsapp"))
        .test("an_email_that_kills_every_worker_is_parked", || deadly("email"))
        .test("what_is_refused_for_a_day_is_given_up_on_every_channel", refused_for_a_day)
}

/// Every worker that announces the message dies before it calls the provider.
async fn deadly(channel: &'static str) {
    let world = World::start().await;
    let business = world.business(100, 1).await;
    let mut talk = Talk::new(&world, &business, channel).await;
    // A worker's second write is the announcement. In the chat returning customers ring as well, and a bell that is
    // refused is a write; its second query, for the customer's tabs, only a worker makes that has the conversation.
    let operation = if channel == "chat" { "Query" } else { "UpdateItem" };
    let kill = json!({
        "operation": operation, "error": "kill", "times": 1, "skip": 1, "after_effect": true,
        "function": format!("deliver-{channel}"),
    });
    world.fault("aws", kill.clone()).await;
    talk.say(&world, &business, 1).await;
    until_killed(&world).await;
    talk.say(&world, &business, 1).await;
    let is_patient = channel != "chat";
    for death in 1..=DEATHS {
        Tally::misfortune();
        if is_patient {
            world.pass(LEASE).await;
            world.sweep().await;
            until_not_sending(&world, &business, &talk).await;
        }
        if death < DEATHS {
            world.fault("aws", kill.clone()).await;
        }
        world.pass(if is_patient { DOUBT } else { LEASE }).await;
        world.sweep().await;
        until_killed(&world).await;
    }
    talk.until_status(&world, &business, 0, "failed").await;
    let delivery = talk.delivery(&world, &business, 0).await;
    assert_eq!((&delivery["error"]["code"], &delivery["attempts"]), (&json!("outcome_unknown"), &json!(DEATHS)));
    is_kept(&world, &talk, "outcome_unknown").await;
    assert_eq!(next_due(&world).await, None);
    let received: Vec<usize> = talk.received(&world).await.into_keys().collect();
    assert_eq!(received, [1], "the next one proceeds");
}

async fn until_killed(world: &World) {
    world
        .until("the worker was killed", async || {
            let faults = world.sandbox(Method::GET, "/aws/faults", Value::Null).await;
            faults.as_array().expect("an array").is_empty().then_some(())
        })
        .await;
}

async fn until_not_sending(world: &World, business: &Business, talk: &Talk) {
    world
        .until("the death was noticed", async || {
            (talk.delivery(world, business, 0).await["status"] != "sending").then_some(())
        })
        .await;
}

/// A copy is in the dead-letter queue, and says which message, never what it says.
async fn is_kept(world: &World, talk: &Talk, code: &str) {
    let kept = world.dead_letters(talk.channel).await;
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!((&kept[0]["message"], &kept[0]["reason"]["code"]), (&json!(talk.ids[0]), &json!(code)));
    assert!(!kept[0].to_string().contains(&talk.texts[0]));
}

/// The provider says "later" for a day, on every channel.
async fn refused_for_a_day() {
    let world = World::start().await;
    let business = world.business(100, 1).await;
    let mut talks = Talk::on_every_channel(&world, &business, 1).await;
    for talk in &mut talks {
        world.fault(talk.channel, json!({"status": 429})).await;
        talk.say(&world, &business, 1).await;
        world
            .until("it was tried", async || {
                let delivery = talk.delivery(&world, &business, 0).await;
                (delivery["status"] == "queued" && delivery["attempts"] == 1).then_some(())
            })
            .await;
    }
    world.pass(24 * 3600).await;
    for talk in &mut talks {
        world.heal(talk.channel).await;
        talk.say(&world, &business, 1).await;
    }
    world.sweep().await;
    assert_eq!(next_due(&world).await, None);
    for talk in &talks {
        let delivery = talk.delivery(&world, &business, 0).await;
        assert_eq!((&delivery["status"], &delivery["error"]["code"]), (&json!("failed"), &json!("expired")));
        is_kept(&world, talk, "expired").await;
        assert_eq!(talk.received(&world).await.into_keys().collect::<Vec<_>>(), [1], "the next one proceeds");
    }
}
