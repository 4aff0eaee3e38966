//! Messages that wait although nothing is wrong: those that would follow each other too fast,
//! and those of a channel whose provider takes nothing at all.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use domain::rate_limit::RateLimitState;
use domain::{BusinessId, ConversationId};
use platform::table::key;
use tests::{Business, World};

/// When each message was handed over the first time.
async fn handed_over(
    world: &World,
    business: &Business,
    conversation_id: Uuid,
    ids: &[Uuid],
) -> Vec<DateTime<Utc>> {
    let mut times = Vec::new();
    for id in ids {
        let delivery = world.until_status(&business.api_key, conversation_id, *id, "sent").await;
        times.push(serde_json::from_value(delivery["history"][0]["at"].clone()).expect("a time"));
    }
    times
}

#[tokio::test(flavor = "multi_thread")]
async fn the_messages_of_a_whatsapp_conversation_keep_their_distance() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("whatsapp");
    let mut ids = Vec::new();

    for text in ["one", "two", "three"] {
        ids.push(world.send(&business.api_key, conversation_id, text).go().await.id());
    }

    let times = handed_over(&world, &business, conversation_id, &ids).await;
    assert!(
        times.windows(2).all(|pair| pair[1] - pair[0] >= TimeDelta::milliseconds(500)),
        "{times:?}"
    );

    // Also after the worker has let go of a conversation in which nothing was left to send.
    let last = world.send(&business.api_key, conversation_id, "four").go().await.id();
    let after = handed_over(&world, &business, conversation_id, &[last]).await;
    assert!(after[0] - times[2] >= TimeDelta::milliseconds(500), "{times:?}, then {after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_that_is_used_up_is_waited_for() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("whatsapp");
    // As after 45 messages, and thirty seconds too early for another.
    let now = Utc::now();
    let ahead = TimeDelta::seconds(6 * 44);
    let used = RateLimitState { last_at: now, conforms_at: now + ahead + TimeDelta::seconds(30) };
    let place =
        key::conversation(BusinessId(business.business_id), ConversationId(conversation_id));
    let used = serde_dynamo::to_attribute_value::<_, aws_sdk_dynamodb::types::AttributeValue>(used)
        .expect("a map");
    let change = world
        .dynamodb()
        .update_item()
        .table_name(&world.ready.table)
        .set_key(Some(place.attributes()));
    let change =
        change.update_expression("SET paced = :used").expression_attribute_values(":used", used);

    change.send().await.expect("the conversation is there");

    let id = world.send(&business.api_key, conversation_id, "one too many").go().await.id();
    until_postponed(&world, &business, conversation_id).await;

    let delivery = world.delivery(&business.api_key, conversation_id, id).await;
    assert_eq!((&delivery["status"], &delivery["attempts"]), (&json!("queued"), &json!(0)));

    world.pass(31).await;
    world.sweep().await;
    let times = handed_over(&world, &business, conversation_id, &[id]).await;
    assert!(times[0] >= now + TimeDelta::seconds(30));
}

/// Waits until a worker has let go of a conversation until a later time.
async fn until_postponed(world: &World, business: &Business, conversation_id: Uuid) {
    let business_id = BusinessId(business.business_id);
    let conversation_id = ConversationId(conversation_id);
    let postponed = async || {
        let item =
            world.table().conversation(business_id, conversation_id).await.expect("an answer")?;
        (item.lease_owner.is_none() && item.not_before? > Utc::now()).then_some(())
    };
    world.until("it is postponed", postponed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_whose_provider_takes_nothing_is_paused_and_costs_no_attempt() {
    for (channel, fault, code) in [
        ("email", json!({"status": 403}), "not_permitted"),
        ("whatsapp", json!({"code": 190}), "token_rejected"),
        // A phone number id that WhatsApp does not know, or that the token may not use.
        ("whatsapp", json!({"code": 100, "subcode": 33}), "channel_misconfigured"),
    ] {
        let world = World::start().await;
        let business = world.business(100, 1).await;
        let first = business.conversation_id(channel);
        let mut all = vec![first];
        for _ in 0..3 {
            all.push(world.another_conversation(&business, channel).await);
        }
        world.fault(channel, fault).await;
        let mut ids = vec![world.send(&business.api_key, first, "first").go().await.id()];
        let refused = async || {
            let delivery = world.delivery(&business.api_key, first, ids[0]).await;
            (delivery["error"]["code"] == code && delivery["status"] == "queued")
                .then_some(delivery)
        };
        let delivery = world.until("the provider refused", refused).await;
        assert_eq!((&delivery["attempts"], &delivery["history"]), (&json!(0), &json!([])));
        until_postponed(&world, &business, first).await;
        let lines = world.logged();
        let line = lines
            .iter()
            .find(|line| line.text.contains("channel paused"))
            .expect("operators are told");
        assert!(line.text.contains(&business.business_id.to_string()), "{}", line.text);
        // Workers that know of it do not even try.
        for conversation_id in &all[1..] {
            ids.push(world.send(&business.api_key, *conversation_id, "later").go().await.id());
            until_postponed(&world, &business, *conversation_id).await;
        }
        world.heal(channel).await;
        world.pass(91).await;
        world.sweep().await;
        for (conversation_id, id) in all.iter().zip(&ids) {
            let delivery =
                world.until_status(&business.api_key, *conversation_id, *id, "sent").await;
            assert_eq!((&delivery["attempts"], &delivery["error"]), (&json!(1), &Value::Null));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_paused_channel_holds_for_a_day_is_given_up() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("email");
    world.fault("email", json!({"status": 403})).await;

    let id = world.send(&business.api_key, conversation_id, "too late").go().await.id();
    until_postponed(&world, &business, conversation_id).await;

    world.pass(24 * 3600).await;
    world.sweep().await;
    let counted = async || {
        (world.delivery(&business.api_key, conversation_id, id).await["attempts"] == 1)
            .then_some(())
    };
    world.until("its last attempt is over", counted).await;

    world.pass(10).await;
    world.sweep().await;
    let delivery = world.until_status(&business.api_key, conversation_id, id, "failed").await;
    assert_eq!(delivery["error"]["code"], "expired");
    assert_eq!(world.dead_letters("email").await.len(), 1);
}
