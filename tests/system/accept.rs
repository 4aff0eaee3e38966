//! The documented call's answer and its cost.

use serde_json::{Value, json};
use uuid::Uuid;

use tests::{World, next_page};

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_call_answers_exactly_seven_fields() {
    let world = World::start().await;
    let demo = world.ready.demo.clone().expect("a demo");
    let conversation_id = demo.conversations.whatsapp;
    let answer =
        world.send(&demo.token, conversation_id, "Your order left our warehouse.").go().await;

    let id = answer.id();
    let body = answer.json();
    let created_at = body["created_at"].as_str().expect("a time").to_owned();
    assert!(
        created_at.ends_with('Z') && created_at.parse::<chrono::DateTime<chrono::Utc>>().is_ok(),
        "{created_at}"
    );

    let wanted = json!({
        "id": id, "conversation_id": conversation_id, "sender_type": "agent", "sender_id": demo.agent_id,
        "content": "Your order left our warehouse.", "attachments": [], "created_at": created_at,
    });
    assert_eq!(body, wanted);

    let order = [
        "id",
        "conversation_id",
        "sender_type",
        "sender_id",
        "content",
        "attachments",
        "created_at",
    ];
    let places: Vec<_> =
        order.iter().map(|name| answer.text.find(&format!("\"{name}\":"))).collect();
    assert!(places.is_sorted() && places.iter().all(Option::is_some), "{}", answer.text);

    let location = format!("/api/v1/conversations/{conversation_id}/messages/{id}");
    assert_eq!(answer.header("location"), Some(location.as_str()));
    assert_eq!(answer.header("content-type"), Some("application/json"));

    world.until_status(&demo.token, conversation_id, id, "sent").await;

    let mut read = world.get(&demo.token, &location).await.json();
    assert_eq!(read["delivery"]["attempts"], 1);

    read.as_object_mut().expect("an object").remove("delivery");
    assert_eq!(read, wanted, "what is read back is what was answered");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_business_key_sends_without_an_agents_name() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let answer =
        world.send(&business.api_key, business.conversation_id("email"), "Good morning").go().await;
    assert_eq!(answer.json()["sender_id"], Value::Null);
    assert_eq!(answer.json()["id"], json!(answer.id()));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_listed_page_by_page_in_order() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("whatsapp");
    let texts: Vec<String> = (1..=5).map(|number| format!("message number {number}")).collect();

    for text in &texts {
        world.send(&business.api_key, conversation_id, text).go().await.id();
    }

    world.until_received("whatsapp", conversation_id, &texts).await;

    let path = format!("/api/v1/conversations/{conversation_id}/messages");
    let mut listed = Vec::new();
    let mut after = "0".to_owned();
    let mut pages = 0;

    loop {
        let page =
            world.get(&business.api_key, &format!("{path}?after={after}&limit=2")).await.json();
        let messages = page["messages"].as_array().expect("messages").clone();
        listed.extend(
            messages
                .into_iter()
                .map(|message| message["content"].as_str().expect("a text").to_owned()),
        );
        pages += 1;
        match next_page(&page) {
            Some(next) => after = next.to_owned(),
            None => break,
        }
    }

    assert_eq!((listed, pages), (texts, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_response_time_is_set_once() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("chat");
    let first = async || {
        let ids =
            (domain::BusinessId(business.business_id), domain::ConversationId(conversation_id));
        world
            .table()
            .conversation(ids.0, ids.1)
            .await
            .expect("the table")
            .expect("it exists")
            .first_response_at
    };
    assert_eq!(first().await, None);

    let answer = world.send(&business.api_key, conversation_id, "the first answer").go().await;
    let created_at = serde_json::from_value(answer.json()["created_at"].clone()).expect("a time");
    assert_eq!(first().await, Some(created_at));

    world.send(&business.api_key, conversation_id, "the second answer").go().await.id();
    assert_eq!(first().await, Some(created_at));
}

#[tokio::test(flavor = "multi_thread")]
async fn accepting_takes_three_aws_calls() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("email");
    world.send(&business.api_key, conversation_id, "this one opens the month").go().await.id();

    let sends = || Vec::from_iter(world.calls_of("SendMessage"));
    let before = sends();

    world.send(&business.api_key, conversation_id, "this one is like all others").go().await.id();
    let made: Vec<_> =
        sends().into_iter().filter(|call| !before.contains(call)).map(|(name, _)| name).collect();
    assert_eq!(made, ["dynamodb:BatchGetItem", "dynamodb:TransactWriteItems", "sqs:SendMessage"]);

    let total = |calls: &[(String, u64)]| calls.iter().map(|(_, times)| times).sum::<u64>();
    assert_eq!(total(&sends()) - total(&before), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_a_missing_message_is_404() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("chat");
    let path = format!("/api/v1/conversations/{conversation_id}/messages/{}", Uuid::now_v7());
    assert_eq!(
        world.get(&business.api_key, &path).await.problem(),
        (404, "message_not_found".into())
    );
    assert_eq!(world.get(&business.api_key, "/api/v2/nothing").await.status, 404);
}
