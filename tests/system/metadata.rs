//! A caller's notes on a message: kept, shown to the business, and to no customer.

use serde_json::{Value, json};

use crate::chat::tab::Tab;
use tests::{Answer, Business, World};

async fn send(world: &World, business: &Business, channel: &str, key: &str, body: Value) -> Answer {
    let conversation_id = business.conversation_id(channel);
    let text = body["content"].as_str().expect("a text").to_owned();
    world.send(&business.api_key, conversation_id, &text).key(key).body(body.to_string()).go().await
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_come_back_where_a_message_is_read_and_nowhere_else() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let metadata = json!({ "order": "4711", "ticket": "no customer sees this ü" });

    for channel in ["chat", "email", "whatsapp"] {
        let text = format!("with notes by {channel}");
        let body = json!({ "content": text, "metadata": metadata });
        let answer = send(&world, &business, channel, channel, body).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        let answered = answer.json();
        let fields: Vec<_> = answered.as_object().expect("an object").keys().collect();
        assert_eq!(fields.len(), 7, "{fields:?}");

        let conversation_id = business.conversation_id(channel);
        let path = format!("/api/v1/conversations/{conversation_id}/messages");
        let one = world.get(&business.api_key, &format!("{path}/{}", answer.id())).await.json();
        assert_eq!(one["metadata"], metadata);
        let plain = send(
            &world,
            &business,
            channel,
            &format!("{channel}-plain"),
            json!({ "content": "plain", "metadata": {} }),
        )
        .await;
        let list = world.get(&business.api_key, &path).await.json();
        assert_eq!(list["messages"][0]["metadata"], metadata);
        assert_eq!(list["messages"][1]["id"], plain.json()["id"]);
        assert!(list["messages"][1].get("metadata").is_none(), "{list}");

        world.until_received(channel, conversation_id, &[text, "plain".to_owned()]).await;
    }

    // Whatever the providers and the tabs were sent.
    for channel in ["whatsapp", "email"] {
        let path = format!("/{channel}/messages");
        let sent = world.sandbox(reqwest::Method::GET, &path, Value::Null).await.to_string();
        assert!(sent.contains("plain") && !sent.contains("no customer sees this"), "{sent}");
    }
    let token = world.visitor_token(business.conversation_id("chat")).await;
    let mut tab = Tab::open(&world, &token).await;
    tab.hello(0).await;
    loop {
        let event = tab.next_event().await;
        assert!(!event.to_string().contains("no customer sees this"), "{event}");
        if event["type"] == "caught_up" {
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn notes_are_part_of_what_an_idempotency_key_stands_for() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let body = |metadata: &str| {
        serde_json::from_str(&format!(r#"{{"content":"once","metadata":{metadata}}}"#))
            .expect("JSON")
    };
    let first = send(&world, &business, "email", "order-7", body(r#"{"a":"1","b":"2"}"#)).await;
    assert_eq!(first.status, 201, "{}", first.text);

    let again = send(&world, &business, "email", "order-7", body(r#"{"b":"2","a":"1"}"#)).await;
    assert_eq!((again.header("idempotent-replayed"), again.id()), (Some("true"), first.id()));
    for other in [r#"{"a":"1"}"#, r#"{"a":"2","b":"1"}"#, r#"{"a":"1","b":"2","c":""}"#, "{}"] {
        let answer = send(&world, &business, "email", "order-7", body(other)).await;
        assert_eq!(answer.problem(), (422, "idempotency_key_reused".into()), "{other}");
    }
    assert_eq!(world.usage(&business.api_key).await, (1, 10));
    let texts = ["once".to_owned()];
    world.until_received("email", business.conversation_id("email"), &texts).await;
}
