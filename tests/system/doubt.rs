//! When nobody knows: workers that die, answers that are lost.

use serde_json::json;
use tests::{Business, World};
use uuid::Uuid;

/// A worker's writes, in order: claim, mark, settle, advance, release.
const CLAIM: u32 = 0;
const MARK: u32 = 1;
const SETTLE: u32 = 2;
const ADVANCE: u32 = 3;
const RELEASE: u32 = 4;

/// Longer than a lease, and longer than a receipt is waited for.
const LEASE: i64 = 46;
const DOUBT: i64 = 121;

async fn kill(world: &World, function: &str, write: u32, after_effect: bool) {
    let kill = json!({
        "operation": "UpdateItem", "error": "kill", "times": 1, "skip": write, "function": function,
        "after_effect": after_effect,
    });
    world.fault("aws", kill).await;
}

async fn send(world: &World, business: &Business, channel: &str, text: &str) -> Uuid {
    world.send(&business.api_key, business.conversation(channel), text).go().await.id()
}

/// Waits until the killed worker's fault was used up.
async fn until_killed(world: &World) {
    world
        .until("the worker was killed", async || {
            let faults = world.sandbox(reqwest::Method::GET, "/aws/faults", serde_json::Value::Null).await;
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
        world.pass(LEASE).await;
        world.sweep().await;
        let delivery = world.until_status(&business.api_key, business.conversation("email"), id, "sent").await;
        assert_eq!(delivery["attempts"], 1);
        world.until_received("email", business.conversation("email"), &["the worker dies early".into()]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_over_a_message_leaves_it_in_doubt_until_a_receipt_is_overdue() {
    for (write, after_effect) in [(MARK, true), (SETTLE, false)] {
        let world = World::start().await;
        let business = world.business(10, 1).await;
        let conversation = business.conversation("whatsapp");
        kill(&world, "deliver-whatsapp", write, after_effect).await;
        let id = send(&world, &business, "whatsapp", "the worker dies over it").await;
        until_killed(&world).await;
        let next = send(&world, &business, "whatsapp", "and this one waits").await;
        let arrived = world.received("whatsapp", conversation).await.len();
        world.pass(LEASE).await;
        world.sweep().await;
        let delivery = world.until_status(&business.api_key, conversation, id, "in_doubt").await;
        assert_eq!(delivery["error"]["code"], "outcome_unknown");
        assert_eq!(world.delivery(&business.api_key, conversation, next).await["status"], "queued");
        assert_eq!(world.received("whatsapp", conversation).await.len(), arrived, "nothing is sent again in doubt");
        world.pass(DOUBT).await;
        world.sweep().await;
        world.until_status(&business.api_key, conversation, next, "sent").await;
        let delivery = world.delivery(&business.api_key, conversation, id).await;
        assert_eq!((&delivery["status"], &delivery["attempts"]), (&json!("sent"), &json!(2)));
        assert_eq!(world.received("whatsapp", conversation).await.len(), arrived + 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_after_settling_sends_nothing_twice() {
    for (write, after_effect) in [(SETTLE, true), (ADVANCE, false), (ADVANCE, true), (RELEASE, false), (RELEASE, true)]
    {
        let world = World::start().await;
        let business = world.business(10, 1).await;
        kill(&world, "deliver-email", write, after_effect).await;
        let id = send(&world, &business, "email", "the worker dies late").await;
        until_killed(&world).await;
        world.pass(LEASE).await;
        world.sweep().await;
        let next = send(&world, &business, "email", "and life goes on").await;
        for id in [id, next] {
            let conversation = business.conversation("email");
            let delivery = world.until_status(&business.api_key, conversation, id, "sent").await;
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
    world.pass(LEASE).await;
    world.sweep().await;
    world.until_status(&business.api_key, business.conversation("chat"), id, "delivered").await;
    world.until_received("chat", business.conversation("chat"), &["shown only once".into()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_never_came_is_not_taken_for_a_refusal() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation = business.conversation("email");
    world.fault("email", json!({"after_effect": true, "times": 1})).await;
    let id = send(&world, &business, "email", "the answer is lost").await;
    let delivery = world.until_status(&business.api_key, conversation, id, "in_doubt").await;
    assert_eq!(delivery["attempts"], 1);
    world.sweep().await;
    assert_eq!(world.received("email", conversation).await.len(), 1);
    world.pass(DOUBT).await;
    world.sweep().await;
    world.until_status(&business.api_key, conversation, id, "sent").await;
    assert_eq!(world.received("email", conversation).await.len(), 2);
}
