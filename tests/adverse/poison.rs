//! Messages that nothing can be done about: they are parked, a copy is kept, and the next one
//! proceeds.

use reqwest::Method;
use serde_json::{Value, json};

use crate::talk::{Talk, next_due};
use tests::suite::Suite;
use tests::{DOUBT_SECONDS, LEASE_SECONDS, Tally, World};

/// How often a worker may die over one message.
const WORKER_DEATHS: u64 = 5;

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
    let kill = json!({
        "operation": "UpdateItem", "about": "attempted_at = :now", "error": "kill", "after_effect": true,
        "times": WORKER_DEATHS, "function": format!("deliver-{channel}"),
    });

    world.fault("aws", kill).await;
    talk.send_messages(&world, &business, 2).await;
    for death in 1..=WORKER_DEATHS {
        until_killed(&world, death).await;
        Tally::count_misfortune();
        world.pass(LEASE_SECONDS).await;
        world.sweep().await;
        if channel != "chat" {
            // In doubt first: there may be a receipt.
            talk.until_status(&world, &business, 0, "in_doubt").await;
            world.pass(DOUBT_SECONDS).await;
            world.sweep().await;
        }
    }

    talk.until_status(&world, &business, 0, "failed").await;
    let delivery = talk.delivery(&world, &business, 0).await;
    assert_eq!(
        (&delivery["error"]["code"], &delivery["attempts"]),
        (&json!("outcome_unknown"), &json!(WORKER_DEATHS))
    );

    let history = delivery["history"].as_array().expect("an array").iter();
    let history: Vec<_> =
        history.map(|attempt| (attempt["attempt"].as_u64(), &attempt["outcome"])).collect();
    let deaths = (1..=WORKER_DEATHS).map(|death| (Some(death), json!("in_doubt")));
    assert!(
        history
            .into_iter()
            .eq(deaths.collect::<Vec<_>>().iter().map(|(death, outcome)| (*death, outcome)))
    );

    is_kept(&world, &talk, "outcome_unknown").await;
    assert_eq!(next_due(&world).await, None, "{}", world.complaints());
    until_the_next_proceeds(&world, &talk).await;
}

/// Waits until the second message is there, and makes sure that the first never was: it has failed.
/// A chat's widget shows the second once it was told that the first will not come.
async fn until_the_next_proceeds(world: &World, talk: &Talk) {
    let proceeded = async || {
        let received: Vec<_> = talk.received(world).await.into_keys().collect();
        assert!(!received.contains(&0), "the first has failed on {}", talk.channel);
        (received == [1]).then_some(())
    };
    world.until("the next one proceeds", proceeded).await;
}

/// Waits until so many workers were killed.
async fn until_killed(world: &World, deaths: u64) {
    world
        .until(&format!("{deaths} workers were killed"), async || {
            let faults = world.sandbox(Method::GET, "/aws/faults", Value::Null).await;
            let left = faults[0]["times"].as_u64().unwrap_or(0);
            (left == WORKER_DEATHS - deaths).then_some(())
        })
        .await;
}

/// A copy is in the dead-letter queue, and says which message, never what it says.
async fn is_kept(world: &World, talk: &Talk, code: &str) {
    let kept = world.dead_letters(talk.channel).await;
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(
        (&kept[0]["message"], &kept[0]["reason"]["code"]),
        (&json!(talk.ids[0]), &json!(code))
    );
    assert!(!kept[0].to_string().contains(&talk.texts[0]));
}

/// The provider says "later" for a day, on every channel.
async fn refused_for_a_day() {
    let world = World::start().await;
    let business = world.business(100, 1).await;
    let mut talks = Talk::on_every_channel(&world, &business, 1).await;

    for talk in &mut talks {
        world.fault(talk.channel, json!({"status": 429})).await;
        talk.send_messages(&world, &business, 1).await;
        world
            .until("it was tried", async || {
                let delivery = talk.delivery(&world, &business, 0).await;
                (delivery["status"] == "queued" && delivery["attempts"] == 1).then_some(())
            })
            .await;
    }

    world.pass(24 * 3600).await;
    for talk in &talks {
        world.heal(talk.channel).await;
    }
    // The move of the clock ended their connections, and the gateway refused what greets them: a
    // message that finds none of them waits for them, and is due a quarter of an hour later.
    world
        .until("the customers of the chat are back", async || {
            let activity = world.sandbox(Method::GET, "/activity", Value::Null).await;
            (activity["widgets_connecting"] == 0).then_some(())
        })
        .await;
    for talk in &mut talks {
        talk.send_messages(&world, &business, 1).await;
    }

    assert_eq!(next_due(&world).await, None, "{}", world.complaints());

    for talk in &talks {
        let delivery = talk.delivery(&world, &business, 0).await;
        assert_eq!(
            (&delivery["status"], &delivery["error"]["code"]),
            (&json!("failed"), &json!("expired"))
        );
        is_kept(&world, talk, "expired").await;
        until_the_next_proceeds(&world, talk).await;
    }
}
