//! Tokens and frames that the socket refuses.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};

use super::tab::Tab;
use super::{send, status};
use domain::{BusinessId, ConversationId};
use platform::credential::SigningKeys;
use platform::credential::visitor::{LONGEST, Visitor};
use tests::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_over_or_worth_nothing_is_told_so_and_the_door_closed() {
    let (world, business) = World::without_customers().await;
    let keys: SigningKeys =
        serde_json::from_value(world.secret("VisitorKeys").await).expect("keys");
    let key = &keys.keys[0];
    let now = Utc::now();
    let visitor = Visitor {
        business_id: BusinessId(business.business_id),
        conversation_id: ConversationId(business.conversation_id("chat")),
    };
    let signed = |from: DateTime<Utc>, length: TimeDelta| {
        key.sign_visitor(visitor, from, from + length).expect("signed")
    };
    let hour = TimeDelta::hours(1);
    let agent = world.ready.demo.clone().expect("a demo").token;

    for (token, code) in [
        (signed(now - hour - TimeDelta::seconds(70), hour), "token_expired"),
        (signed(now, LONGEST + TimeDelta::seconds(1)), "unauthorized"),
        (signed(now + TimeDelta::minutes(5), hour), "unauthorized"),
        (format!("{}x", signed(now, hour)), "unauthorized"),
        (agent, "unauthorized"),
        ("nonsense".into(), "unauthorized"),
    ] {
        let mut tab = Tab::open(&world).await;
        tab.hello(&token, 0).await;
        let event = tab.next_event().await;
        assert_eq!((&event["type"], &event["code"]), (&json!("error"), &json!(code)), "{event}");
        assert!(event["detail"].is_string());
        tab.until_closed().await;
    }

    let mut good = Tab::open(&world).await;
    good.hello(&signed(now, hour), 0).await;
    assert_eq!(good.next_event().await["type"], "hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_come_before_the_hello_or_cannot_be_read_are_answered_with_an_error() {
    let (world, business) = World::without_customers().await;
    let id = send(&world, &business, "not theirs to acknowledge").await;
    let mut tab = Tab::open(&world).await;

    for what in [json!({"action": "ack", "id": id}), json!({"action": "resume", "after": 0})] {
        tab.send_action(what).await;
        assert_eq!(tab.next_event().await["code"], "hello_first");
    }

    for what in [
        json!({"action": "shout"}),
        json!({"action": "ack"}),
        json!("hello"),
        json!({"action": "ping", "x": 1}),
    ] {
        tab.send_action(what).await;
        assert_eq!(tab.next_event().await["code"], "not_understood");
    }

    tab.ping().await;
    // A customer acknowledges what is theirs; an acknowledgement of others' messages is ignored.
    let other = world.business(10, 1).await;
    let mut stranger = super::tab(&world, &other, 0).await;
    assert_eq!(stranger.next_event().await["type"], "caught_up");

    stranger.send_action(json!({"action": "ack", "id": id})).await;
    stranger.ping().await;
    status(&world, &business, id, "queued").await;
    world.sandbox(Method::POST, "/chat/widgets", Value::Null).await;
}
