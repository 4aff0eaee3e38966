//! One key, one message: for every caller, however often, whatever happened meanwhile.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use serde_json::json;

use tests::World;

/// Sends a message again as long as its callers, who are in each other's way, are told to.
async fn until_answered<'a>(send: impl Fn() -> tests::Send<'a>) -> tests::Answer {
    loop {
        let answer = send().go().await;
        if answer.status != 503 {
            return answer;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_from_32_callers_makes_one_message() {
    let world = World::start().await;
    let business = world.business(100, 4).await;
    let conversation_id = business.conversation_id("whatsapp");
    let call = |_| {
        until_answered(|| {
            world.send(&business.api_key, conversation_id, "only once, please").key("order-7")
        })
    };
    let answers = join_all((0..32).map(call)).await;
    let ids: BTreeSet<_> = answers.iter().map(tests::Answer::id).collect();
    let firsts =
        answers.iter().filter(|answer| answer.header("idempotent-replayed").is_none()).count();
    let bodies: BTreeSet<_> = answers.iter().map(|answer| answer.text.clone()).collect();
    assert_eq!((ids.len(), firsts, bodies.len()), (1, 1, 1));
    assert_eq!(world.usage(&business.api_key).await, (1, 100));

    world.until_received("whatsapp", conversation_id, &["only once, please".into()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_message_of_a_month_replays_for_everyone_with_its_key() {
    let world = World::start().await;
    let business = world.business(1, 1).await;
    let conversation_id = business.conversation_id("chat");
    let call = |_| {
        until_answered(|| world.send(&business.api_key, conversation_id, "the last one").key("k"))
    };
    let answers = join_all((0..16).map(call)).await;
    assert!(answers.iter().all(|answer| answer.status == 201), "{answers:?}");

    let other = world
        .send(&business.api_key, business.conversation_id("chat"), "the last one")
        .key("k2")
        .go()
        .await;
    assert_eq!(other.problem(), (403, "quota_exceeded".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_its_request_and_its_business() {
    let world = World::start().await;
    let one = world.business(10, 1).await;
    let two = world.business(10, 1).await;
    let first =
        world.send(&one.api_key, one.conversation_id("chat"), "hello there").key("k").go().await;
    let other_text =
        world.send(&one.api_key, one.conversation_id("chat"), "hello again").key("k").go().await;
    assert_eq!(other_text.problem(), (422, "idempotency_key_reused".into()));

    let elsewhere =
        world.send(&one.api_key, one.conversation_id("email"), "hello there").key("k").go().await;
    assert_eq!(elsewhere.problem(), (422, "idempotency_key_reused".into()));

    let foreign =
        world.send(&two.api_key, two.conversation_id("chat"), "hello there").key("k").go().await;
    assert_ne!(foreign.id(), first.id());
    assert_eq!(foreign.header("idempotent-replayed"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_of_the_table_makes_no_second_message() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("email");
    world.send(&business.api_key, conversation_id, "this one opens the month").go().await.id();

    for error in ["disconnect", "InternalServerError", "garbage", "timeout"] {
        let lost = json!({"operation": "TransactWriteItems", "error": error, "times": 1, "after_effect": true});
        world.fault("aws", lost).await;
        world
            .send(&business.api_key, conversation_id, &format!("the answer is lost: {error}"))
            .go()
            .await
            .id();
    }

    assert_eq!(world.usage(&business.api_key).await.0, 5);
}
