//! Unknown outcomes: workers that die, answers that are lost.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::partial::{UNTIL_DUE, hold_queues};
use tests::{Business, DOUBT_SECONDS, LEASE_SECONDS, World};

/// A worker's writes, in order: claim, mark and settle each message, release.
const CLAIM: u32 = 0;
const MARK: u32 = 1;
const SETTLE: u32 = 2;

/// The release behind so many messages.
const fn release(messages: u32) -> u32 {
    SETTLE + 2 * messages - 1
}

async fn kill(world: &World, function: &str, write: u32, after_effect: bool) {
    let kill = json!({
        "operation": "UpdateItem", "error": "kill", "times": 1, "skip": write, "function": function,
        "after_effect": after_effect,
    });
    world.fault("aws", kill).await;
}

async fn send(world: &World, business: &Business, channel: &str, text: &str) -> Uuid {
    world.send(&business.api_key, business.conversation_id(channel), text).go().await.id()
}

/// Returns the attempts of a message, as the API shows them.
fn outcomes(delivery: &Value) -> Vec<String> {
    let history = delivery["history"].as_array().expect("an array").iter();
    let word = |value: &Value| value.as_str().unwrap_or("null").to_owned();
    history
        .map(|one| format!("{} {} {}", one["attempt"], word(&one["outcome"]), word(&one["code"])))
        .collect()
}

/// Returns the history of a message whose workers died over each of so many attempts.
fn unknown(attempts: u32) -> Vec<String> {
    (1..=attempts).map(|attempt| format!("{attempt} in_doubt outcome_unknown")).collect()
}

/// Waits until the killed worker's fault was used up.
async fn until_killed(world: &World) {
    world
        .until("the worker was killed", async || {
            let faults = world.sandbox(reqwest::Method::GET, "/aws/faults", Value::Null).await;
            faults.as_array().expect("an array").is_empty().then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_before_the_provider_is_called_costs_nothing() {
    for (write, after_effect) in [(CLAIM, false), (CLAIM, true), (MARK, false)] {
        let world = World::start().await;
        let business = world.business(10, 1).await;
        kill(&world, "deliver-email", write, after_effect).await;
        let id = send(&world, &business, "email", "the worker dies early").await;
        until_killed(&world).await;
        world.pass(LEASE_SECONDS).await;
        world.sweep().await;
        let delivery = world
            .until_status(&business.api_key, business.conversation_id("email"), id, "sent")
            .await;
        assert_eq!(delivery["attempts"], 1);
        world
            .until_received(
                "email",
                business.conversation_id("email"),
                &["the worker dies early".into()],
            )
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_over_a_message_leaves_it_in_doubt_until_a_receipt_is_overdue() {
    for (write, after_effect) in [(MARK, true), (SETTLE, false)] {
        let world = World::start().await;
        let business = world.business(10, 1).await;
        let conversation_id = business.conversation_id("whatsapp");
        kill(&world, "deliver-whatsapp", write, after_effect).await;
        let id = send(&world, &business, "whatsapp", "the worker dies over it").await;
        until_killed(&world).await;
        let next = send(&world, &business, "whatsapp", "and this one waits").await;
        let arrived = world.received("whatsapp", conversation_id).await.len();
        // That the worker is dead is not known, and the outcome of its attempt is not claimed.
        let delivery = world.delivery(&business.api_key, conversation_id, id).await;
        assert_eq!((&delivery["status"], outcomes(&delivery)), (&json!("sending"), unknown(1)));
        world.pass(LEASE_SECONDS).await;
        world.sweep().await;
        let delivery = world.until_status(&business.api_key, conversation_id, id, "in_doubt").await;
        assert_eq!(
            (&delivery["error"]["code"], outcomes(&delivery)),
            (&json!("outcome_unknown"), unknown(1))
        );
        assert_eq!(
            world.delivery(&business.api_key, conversation_id, next).await["status"],
            "queued"
        );
        assert_eq!(
            world.received("whatsapp", conversation_id).await.len(),
            arrived,
            "nothing is sent again in doubt"
        );
        world.pass(DOUBT_SECONDS).await;
        world.sweep().await;
        world.until_status(&business.api_key, conversation_id, next, "sent").await;
        let delivery = world.delivery(&business.api_key, conversation_id, id).await;
        assert_eq!((&delivery["status"], &delivery["attempts"]), (&json!("sent"), &json!(2)));
        let sent = vec!["2 sent null".to_owned()];
        assert_eq!(outcomes(&delivery), [unknown(1), sent].concat());
        assert_eq!(world.received("whatsapp", conversation_id).await.len(), arrived + 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_after_settling_sends_nothing_twice() {
    let deaths = |count| [(SETTLE, true), (release(count), false), (release(count), true)];
    for (count, (write, after_effect)) in
        [1, 2].into_iter().flat_map(|count| deaths(count).map(|it| (count, it)))
    {
        let world = World::start().await;
        let business = world.business(10, 1).await;
        kill(&world, "deliver-email", write, after_effect).await;
        hold_queues(&world, true).await;
        let mut ids = Vec::new();
        for _ in 0..count {
            ids.push(send(&world, &business, "email", "the worker dies late").await);
        }
        // One doorbell for all of them: each costs a claim.
        world.take_messages(&world.queue("email")).await;
        hold_queues(&world, false).await;
        world.pass(UNTIL_DUE).await;
        world.sweep().await;
        until_killed(&world).await;
        world.pass(LEASE_SECONDS).await;
        world.sweep().await;
        ids.push(send(&world, &business, "email", "and life goes on").await);
        for id in ids {
            let conversation_id = business.conversation_id("email");
            let delivery = world.until_status(&business.api_key, conversation_id, id, "sent").await;
            assert_eq!(delivery["attempts"], 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_message_whose_worker_died_is_sent_again_and_shown_once() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    kill(&world, "deliver-chat", SETTLE, false).await;
    let id = send(&world, &business, "chat", "shown only once").await;
    until_killed(&world).await;
    world.pass(LEASE_SECONDS).await;
    world.sweep().await;
    let delivery = world
        .until_status(&business.api_key, business.conversation_id("chat"), id, "delivered")
        .await;
    assert_eq!(outcomes(&delivery)[..1], unknown(1));
    world
        .until_received("chat", business.conversation_id("chat"), &["shown only once".into()])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_never_came_is_not_taken_for_a_refusal() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("email");
    world.fault("email", json!({"after_effect": true, "times": 1})).await;

    let id = send(&world, &business, "email", "the answer is lost").await;
    let delivery = world.until_status(&business.api_key, conversation_id, id, "in_doubt").await;
    assert_eq!(delivery["attempts"], 1);

    world.sweep().await;
    assert_eq!(world.received("email", conversation_id).await.len(), 1);

    world.pass(DOUBT_SECONDS).await;
    world.sweep().await;
    world.until_status(&business.api_key, conversation_id, id, "sent").await;
    assert_eq!(world.received("email", conversation_id).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_is_faster_than_the_worker_lets_the_next_message_go_at_once() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("chat");
    let texts =
        ["all is well", "the widget has it before the gateway fails", "and this one does not wait"];
    let first = send(&world, &business, "chat", texts[0]).await;
    world.until_status(&business.api_key, conversation_id, first, "delivered").await;

    // The widget shows the message and says so, long before the worker hears that the gateway
    // failed.
    world
        .fault("chat", json!({"after_effect": true, "status": 503, "delay_ms": 3_000, "times": 1}))
        .await;

    let mut ids = Vec::new();
    for text in &texts[1..] {
        ids.push(send(&world, &business, "chat", text).await);
    }

    for id in ids {
        let delivery =
            world.until_status(&business.api_key, conversation_id, id, "delivered").await;
        assert_eq!((&delivery["attempts"], &delivery["error"]), (&json!(1), &json!(null)));
    }

    world.until_received("chat", conversation_id, &texts.map(str::to_owned)).await;

    let calls = world.calls_of("DeliverChat");
    assert_eq!(calls.get("sqs:SendMessage"), None, "nothing was postponed");
}
