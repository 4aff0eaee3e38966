//! The lease of a conversation: a worker that lives keeps it, and one that died is followed soon.
//! Here it ends by the machine's own clock.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::partial::hold_queues;
use crate::whatsapp;
use domain::{BusinessId, ConversationId};
use tests::{Business, DOUBT_SECONDS, LEASE_SECONDS, PNG, World};

/// Longer than a lease, in milliseconds, and less than an upload may take.
const OUTLASTS_A_LEASE: u64 = 13_000;

/// Sends a picture on WhatsApp, whose upload outlasts a lease the first time.
async fn send_picture(world: &World, business: &Business) -> Uuid {
    world.fault("whatsapp-media", json!({ "delay_ms": OUTLASTS_A_LEASE, "times": 1 })).await;
    let picture = ("a.png", "image/png", PNG);
    whatsapp::files::send(world, business, "see the picture", &[picture]).await.id()
}

async fn fence(world: &World, business: &Business, channel: &str) -> u64 {
    let ids = (BusinessId(business.business_id), ConversationId(business.conversation_id(channel)));
    let conversation = world.table().conversation(ids.0, ids.1).await.expect("an answer");
    conversation.expect("the conversation").fence
}

/// The times after which a worker asked for its doorbell to ring again, in seconds.
fn rung_again_after(world: &World, function: &str) -> Vec<u64> {
    let calls = world.engine().calls().recorded();
    let of_worker = calls
        .iter()
        .filter(|call| call.function == function && call.operation == "ChangeMessageVisibility");
    let seconds = |request: &[u8]| {
        let request: Value = serde_json::from_slice(request).expect("JSON");
        request["VisibilityTimeout"].as_u64().expect("seconds")
    };
    of_worker.map(|call| seconds(&call.request)).collect()
}

/// A worker dies while it calls its provider; `next` is what its successor makes of the message.
async fn a_worker_that_dies_is_followed_when_its_lease_is_over(channel: &str, next: &str) {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    world.fault(channel, json!({ "kill": true, "delay_ms": 500, "times": 1 })).await;

    let conversation_id = business.conversation_id(channel);
    let id = world.send(&business.api_key, conversation_id, "once or twice").go().await.id();
    world
        .until("another worker has the conversation", async || {
            (fence(&world, &business, channel).await == 2).then_some(())
        })
        .await;
    world.until_status(&business.api_key, conversation_id, id, next).await;

    if next == "in_doubt" {
        world.pass(DOUBT_SECONDS).await;
        world.sweep().await;
        world.until_status(&business.api_key, conversation_id, id, "sent").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_the_chat_that_dies_is_followed_when_its_lease_is_over() {
    a_worker_that_dies_is_followed_when_its_lease_is_over("chat", "delivered").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_whatsapp_that_dies_is_followed_when_its_lease_is_over() {
    a_worker_that_dies_is_followed_when_its_lease_is_over("whatsapp", "in_doubt").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_email_that_dies_is_followed_when_its_lease_is_over() {
    a_worker_that_dies_is_followed_when_its_lease_is_over("email", "in_doubt").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_provider_takes_its_time_keeps_its_lease() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("whatsapp");
    world.engine().calls().record();

    let id = send_picture(&world, &business).await;
    let delivery = world.until_status(&business.api_key, conversation_id, id, "sent").await;
    assert_eq!((&delivery["attempts"], fence(&world, &business, "whatsapp").await), (&json!(1), 1));
    let rung = rung_again_after(&world, "deliver-whatsapp");
    assert!(rung.len() > 2 && rung.iter().all(|seconds| *seconds == 11), "{rung:?}");
    world.until_received("whatsapp", conversation_id, &["see the picture".into()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_of_the_provider_ends_before_a_lease_that_cannot_be_renewed() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("whatsapp");
    world
        .fault(
            "aws",
            json!({ "operation": "UpdateItem", "error": "InternalServerError",
            "about": "SET lease_until = :until", "function": "deliver-whatsapp" }),
        )
        .await;

    let id = send_picture(&world, &business).await;
    let delivery = world.until_status(&business.api_key, conversation_id, id, "in_doubt").await;
    assert_eq!(delivery["error"]["code"], "timeout", "{delivery}");

    world.heal("aws").await;
    world.pass(DOUBT_SECONDS).await;
    world.sweep().await;
    world.until_status(&business.api_key, conversation_id, id, "sent").await;
    world.until_received("whatsapp", conversation_id, &["see the picture".into()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_doorbell_that_was_not_answered_rings_again_at_the_queues_own_time() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("email");
    world.engine().calls().record();
    world
        .fault(
            "aws",
            json!({ "operation": "Query", "error": "AccessDeniedException",
            "times": 1, "function": "deliver-email" }),
        )
        .await;

    hold_queues(&world, true).await;
    let id = world.send(&business.api_key, conversation_id, "later").go().await.id();
    hold_queues(&world, false).await;
    world
        .until("the worker has failed", async || {
            (rung_again_after(&world, "deliver-email").len() == 2).then_some(())
        })
        .await;
    assert_eq!(rung_again_after(&world, "deliver-email"), [11, 180]);

    world.pass(LEASE_SECONDS).await;
    world.sweep().await;
    world.until_status(&business.api_key, conversation_id, id, "sent").await;
}
