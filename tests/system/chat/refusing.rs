//! Tokens and frames that the socket refuses.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};

use super::tab::Tab;
use super::{newest_visitor_key, send, status};
use domain::{BusinessId, ConversationId};
use platform::credential::visitor::{LONGEST, Visitor};
use tests::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_over_or_worth_nothing_opens_no_connection_and_ends_an_open_one() {
    let (world, business) = World::without_customers().await;
    let key = newest_visitor_key(&world).await;
    let now = Utc::now();
    let visitor = Visitor {
        business_id: BusinessId(business.business_id),
        conversation_id: ConversationId(business.conversation_id("chat")),
    };
    let signed = |from: DateTime<Utc>, length: TimeDelta| {
        key.sign_visitor(visitor, from, from + length).expect("signed")
    };
    let hour = TimeDelta::hours(1);
    let good = signed(now, hour);
    let agent = world.ready.demo.clone().expect("a demo").token;

    for (token, code) in [
        (signed(now - hour - TimeDelta::seconds(70), hour), "token_expired"),
        (signed(now, LONGEST + TimeDelta::seconds(1)), "unauthorized"),
        (signed(now + TimeDelta::minutes(5), hour), "unauthorized"),
        (format!("{}x", signed(now, hour)), "unauthorized"),
        (agent, "unauthorized"),
        ("nonsense".into(), "unauthorized"),
    ] {
        assert_eq!(Tab::try_open(&world, &token).await.err(), Some(401), "{code}");

        let mut tab = Tab::open(&world, &good).await;
        tab.hello_with(&token, 0).await;
        let event = tab.next_event().await;
        assert_eq!((&event["type"], &event["code"]), (&json!("error"), &json!(code)), "{event}");
        assert!(event["detail"].is_string());
        tab.until_closed().await;
    }

    let mut tab = Tab::open(&world, &good).await;
    tab.hello_with(&good, 0).await;
    assert_eq!(tab.next_event().await["type"], "hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_without_a_token_is_refused_and_costs_no_call_to_aws() {
    let (world, business) = World::without_customers().await;
    let token = world.visitor_token(business.conversation_id("chat")).await;
    let mut open = super::tab(&world, &business, 0).await; // which reads the keys
    open.until_caught_up().await;
    let at_rest = async || world.engine().activity().await.invocations.is_empty().then_some(());
    world.until("its hello is over", at_rest).await;

    let before = world.calls();
    let forged = format!("token.{token}x");
    for subprotocols in
        [&[][..], &["pingback-chat"], &[&format!("token.{token}")], &["pingback-chat", &forged]]
    {
        assert_eq!(Tab::shake_hands(&world, subprotocols).await.err(), Some(401));
    }
    assert_eq!(world.calls(), before);

    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_come_before_the_hello_or_cannot_be_read_are_answered_with_an_error() {
    let (world, business) = World::without_customers().await;
    let id = send(&world, &business, "not theirs to acknowledge").await;
    let token = world.visitor_token(business.conversation_id("chat")).await;
    let mut tab = Tab::open(&world, &token).await;

    for what in [
        json!({"action": "ack", "id": id}),
        json!({"action": "read", "id": id}),
        json!({"action": "resume", "after": 0}),
        json!({"action": "ping"}),
    ] {
        tab.send_action(what).await;
        assert_eq!(tab.next_error().await, "hello_first");
    }

    for what in [
        json!({"action": "shout"}),
        json!({"action": "ack"}),
        json!("hello"),
        json!({"action": "ping", "x": 1}),
    ] {
        tab.send_action(what).await;
        assert_eq!(tab.next_error().await, "not_understood");
    }
    status(&world, &business, id, "queued").await;

    // A customer acknowledges what is theirs; an acknowledgement of others' messages is ignored.
    let other = world.business(10, 1).await;
    let mut stranger = super::tab(&world, &other, 0).await;
    assert_eq!(stranger.next_event().await["type"], "caught_up");

    stranger.send_action(json!({"action": "ack", "id": id})).await;
    stranger.ping().await;
    status(&world, &business, id, "queued").await;
    world.sandbox(Method::POST, "/chat/widgets", Value::Null).await;
}
