//! `World::until` ends early when the system is idle, and shows the state that it waited in.

use std::panic::AssertUnwindSafe;

use futures_util::FutureExt;
use serde_json::json;

use tests::World;

/// Waits until a message is delivered; returns the words with which the wait gave up.
async fn wait_in_vain(world: &World, token: &str, conversation_id: uuid::Uuid) -> String {
    let id = world.send(token, conversation_id, "never to arrive").go().await.id();
    let wait = world.until_status(token, conversation_id, id, "delivered");
    let panic = AssertUnwindSafe(wait).catch_unwind().await.expect_err("it cannot come");
    panic.downcast_ref::<String>().expect("a sentence").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_a_receipt_that_no_provider_sends_ends_when_the_system_is_idle() {
    let world = World::start().await;
    let business = world.business(10, 1).await;

    let words = wait_in_vain(&world, &business.api_key, business.conversation_id("whatsapp")).await;

    assert!(words.contains("the system is idle"), "{words}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_for_a_message_whose_doorbell_was_lost_shows_the_conversation_that_is_due() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    world.fault("aws", json!({"operation": "SendMessage", "error": "InternalError"})).await;
    world.allow(|allowed| allowed.waiting = true);

    let words = wait_in_vain(&world, &business.api_key, business.conversation_id("email")).await;

    assert!(words.contains("the system is idle"), "{words}");
    assert!(words.contains("CONVERSATION open: seq 1, settled_seq 0, due"), "{words}");
    assert!(words.contains("queued: attempts 0"), "{words}");
}
