//! The log at each level that an operator may ask for: more of our own lines, and nothing more
//! about people. The oracle looks through every line for texts, names, addresses and secrets.

use std::collections::BTreeMap;

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::attachments::{PNG, send, store};
use crate::receipts::meta::Meta;
use tests::{Business, World};

/// Runs a system at this level through everything that handles people's data, and returns the
/// levels of the lines that it logged.
async fn levels_of_a_days_work(level: &str) -> Vec<String> {
    let parameters = BTreeMap::from([("LogLevel".to_owned(), level.to_owned())]);
    let world = World::start_with(parameters).await;
    let business = world.business(50, 1).await;
    let meta = Meta::of(&world).await;
    for channel in ["whatsapp", "email"] {
        world.report(channel, json!({ "statuses": ["sent", "delivered"] })).await;
    }

    for channel in ["chat", "whatsapp", "email"] {
        deliver(&world, &business, channel).await;
    }
    read(&world, &business).await;
    refuse(&world, &business).await;
    customer_writes(&world, &business).await;
    meta.call(br#"{"text": "a canary that was not signed"}"#, Some("sha256=00")).await;
    world.ledger().texts.push("a canary that was not signed".to_owned());
    world.sweep().await;

    let lines = world.logged();
    let lines = lines.iter().filter_map(|line| serde_json::from_str::<Value>(&line.text).ok());
    lines.filter_map(|line| line["level"].as_str().map(str::to_owned)).collect()
}

/// Sends a text, a file, and a text that the provider refuses and repeats in its answer.
async fn deliver(world: &World, business: &Business, channel: &str) {
    let key = &business.api_key;
    let conversation_id = business.conversation_id(channel);
    let text = format!("a canary that flies by {channel}");
    let id = world.send(key, conversation_id, &text).key(format!("key-{channel}")).go().await.id();
    world.until_status(key, conversation_id, id, "delivered").await;

    let name = format!("canary-by-{channel}.png");
    let file = store(world, key, conversation_id, &name, "image/png", PNG).await.json();
    let id = send(world, business, conversation_id, &[&file["url"]]).await.id();
    world.until_status(key, conversation_id, id, "delivered").await;

    if channel != "chat" {
        world.fault(channel, json!({ "status": 400, "times": 1 })).await;
        let text = format!("a canary that is refused by {channel}");
        let id = world.send(key, conversation_id, &text).go().await.id();
        world.until_status(key, conversation_id, id, "failed").await;
    }
}

/// Reads everything, as an agent and as the customer.
async fn read(world: &World, business: &Business) {
    let key = &business.api_key;
    let conversation_id = business.conversation_id("chat");
    let path = format!("/api/v1/conversations/{conversation_id}/messages");
    let page = world.get(key, &path).await.json();
    world.get(key, "/api/v1/usage").await;

    let id: Uuid = serde_json::from_value(page["messages"][0]["id"].clone()).expect("an id");
    world.get(key, &format!("{path}/{id}")).await;
    let visitor = world.visitor_token(conversation_id).await;
    world.get(&visitor, &format!("/api/v1/chat/messages/{id}")).await;
}

/// Sends what is refused: a wrong token, a wrong form, too much.
async fn refuse(world: &World, business: &Business) {
    let conversation_id = business.conversation_id("whatsapp");
    let stranger = "pbk_a-canary-of-a-token";
    world.ledger().secrets.push(stranger.to_owned());
    world.send(stranger, conversation_id, "a canary without a token").go().await;

    let text = "a canary of another form";
    let body = json!({ "content": text, "undocumented": "an undocumented canary" }).to_string();
    world.ledger().texts.push("an undocumented canary".to_owned());
    world.send(&business.api_key, conversation_id, text).body(body).go().await;
    let long = "a canary that is too long ".repeat(200);
    world.send(&business.api_key, conversation_id, &long).go().await;
}

/// A customer of WhatsApp writes.
async fn customer_writes(world: &World, business: &Business) {
    let new = json!({ "business_id": business.business_id, "channel": "whatsapp" });
    let made = world.sandbox(Method::POST, "/conversations", new).await;
    let text = "a canary that sings to the shop";
    world.ledger().texts.push(text.to_owned());
    let wrote = json!({ "from": made["customer"], "text": text });
    world.sandbox(Method::POST, "/whatsapp/customers", wrote).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_debug_more_is_logged_and_nothing_about_people() {
    let levels = levels_of_a_days_work("debug").await;
    assert!(levels.iter().any(|level| level == "DEBUG"), "{levels:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn at_trace_libraries_log_nothing_about_people() {
    let levels = levels_of_a_days_work("trace").await;
    assert!(levels.iter().any(|level| level == "DEBUG"), "{levels:?}");
}

/// The SDK logs whole requests and answers below `info`, API Gateway's events are logged by the
/// runtime: naming their modules may not bring them back.
#[tokio::test(flavor = "multi_thread")]
async fn libraries_that_an_operator_names_log_nothing_about_people() {
    let libraries = [
        "aws_config",
        "aws_sdk_dynamodb::operation",
        "aws_sigv4::http_request",
        "aws_smithy_http_client::client",
        "aws_smithy_runtime::client",
        "aws_smithy_runtime_api::client",
        "h2",
        "hyper::proto",
        "hyper_util::client",
        "lambda_http::request",
        "lambda_runtime::layers",
        "reqwest::connect",
        "rustls",
        "tower",
    ];
    let named: String = libraries.iter().map(|library| format!("{library}=trace,")).collect();
    let levels = levels_of_a_days_work(&format!("{named}debug")).await;
    assert!(levels.iter().any(|level| level == "DEBUG"), "{levels:?}");
    assert!(levels.iter().all(|level| level != "TRACE"), "{levels:?}");
}
