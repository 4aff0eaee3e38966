//! Messages that the widget fetches over HTTP, because they do not fit into its WebSocket.

use reqwest::{Method, StatusCode};
use serde_json::json;
use uuid::Uuid;

use super::tab::{fetch, message_of};
use super::{send, tab};
use tests::World;

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_does_not_fit_is_announced_and_fetched() {
    let (world, business) = World::without_customers().await;
    let mut first = tab(&world, &business, 0).await;
    assert_eq!(first.next_event().await["type"], "caught_up");

    world.sandbox(Method::PUT, "/queues/held", json!({"held": true})).await;
    let id = send(&world, &business, "to grow").await;
    let long = "ü".repeat(99_000);
    world.rewrite(&business, "chat", id, &long).await;
    world.sandbox(Method::PUT, "/queues/held", json!({"held": false})).await;

    let announced = json!({"type": "large_message", "seq": 1, "id": id});
    assert_eq!(first.next_event().await, announced, "by the worker");

    let short = send(&world, &business, "and a short one").await;
    assert_eq!(message_of(&first.next_event().await), (2, short));

    let mut later = tab(&world, &business, 0).await;
    assert_eq!(later.next_event().await, announced, "by the replay");
    assert_eq!(message_of(&later.next_event().await), (2, short));

    let token = world.visitor_token(business.conversation_id("chat")).await;
    let (status, message) = fetch(&world, &token, id).await;
    assert_eq!((status, message["id"].as_str()), (200, Some(id.to_string().as_str())));
    assert_eq!(
        (message["content"].as_str(), &message["sender_type"]),
        (Some(long.as_str()), &json!("agent"))
    );
    assert_eq!(
        message.as_object().expect("a message").len(),
        7,
        "what the widget is shown, and nothing else"
    );

    world.let_customers_in().await;
    assert_eq!(world.received("chat", business.conversation_id("chat")).await[0].len(), long.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_own_conversations_messages_can_be_fetched_with_a_visitors_token() {
    let (world, business) = World::without_customers().await;
    let mine = business.conversation_id("chat");
    let other = world.business(10, 1).await;
    let id = send(&world, &business, "mine").await;
    let foreign = send(&world, &other, "another business's").await;
    let elsewhere = world
        .send(&business.api_key, business.conversation_id("email"), "by e-mail")
        .go()
        .await
        .id();
    let mine = world.visitor_token(mine).await;
    assert_eq!(fetch(&world, &mine, id).await.0, 200);

    let path_of = |id: Uuid| format!("/api/v1/chat/messages/{id}");
    let missing = world.get(&mine, &path_of(Uuid::new_v4())).await;
    assert_eq!(missing.problem(), (404, "message_not_found".into()));

    for id in [foreign, elsewhere] {
        let answer = world.get(&mine, &path_of(id)).await;
        assert_eq!(answer.status, missing.status);
        assert_eq!(answer.without_instance(), missing.without_instance());
    }

    let path = format!("/api/v1/chat/messages/{id}");
    assert_eq!(
        world.get(&mine, "/api/v1/chat/messages/7").await.problem(),
        (422, "validation_error".into())
    );

    let demo = world.ready.demo.clone().expect("a demo");
    for token in ["", "nonsense", &business.api_key, &demo.token] {
        assert_eq!(
            world.get(token, &path).await.problem(),
            (401, "unauthorized".into()),
            "{token}"
        );
    }

    // Nor is a visitor's token good for anything else.
    let path = format!("/api/v1/conversations/{}/messages/{id}", business.conversation_id("chat"));
    assert_eq!(world.get(&mine, &path).await.problem(), (401, "unauthorized".into()));

    world.pass(3_661).await;
    let path = format!("/api/v1/chat/messages/{id}");
    assert_eq!(world.get(&mine, &path).await.problem(), (401, "unauthorized".into()));

    world.let_customers_in().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_origin_may_fetch() {
    let (world, business) = World::without_customers().await;
    let id = send(&world, &business, "to be fetched").await;
    let url = format!("{}/api/v1/chat/messages/{id}", world.ready.api);
    let origin = "https://shop.example.com";
    let question = world
        .http()
        .request(Method::OPTIONS, &url)
        .header("origin", origin)
        .header("access-control-request-method", "GET")
        .header("access-control-request-headers", "authorization");
    let asked = world.ask(question).await;
    assert_eq!(asked.status, StatusCode::NO_CONTENT);
    assert_eq!(asked.header("access-control-allow-origin"), Some("*"));
    assert_eq!(asked.header("access-control-allow-headers"), Some("authorization"));

    let token = world.visitor_token(business.conversation_id("chat")).await;
    let fetch = world.http().get(&url).bearer_auth(token).header("origin", origin);
    let answer = world.ask(fetch).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"));

    world.let_customers_in().await;
}
