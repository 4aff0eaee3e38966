//! Links to files: stored without the API's address, shown under the one that it has, and taken
//! under each that it has or had.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};

use super::{lead, send, store};
use crate::chat::tab::Tab;
use domain::{BusinessId, ConversationId, Seq};
use platform::capability::Capability;
use platform::table::key::{self, Key};
use tests::{Business, PNG, World};

const PATH: &str = "/api/v1/files/";

/// The address that API Gateway gives the API, as the local one plays it.
const GIVEN: &str = "https://localhttp0.execute-api.us-east-1.amazonaws.com";

/// Starts a system whose API has a domain of its own, and had another one before.
async fn world_with_domains() -> World {
    let parameters =
        [("ApiDomain", "files.example.com"), ("FormerApiDomains", "a.example,old.example.com")];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned()));
    World::start_with(BTreeMap::from(parameters)).await
}

/// Uploads a picture; returns the origin and the secret of its URL.
async fn upload(world: &World, business: &Business, channel: &str) -> (String, String) {
    let conversation_id = business.conversation_id(channel);
    let answer = store(world, &business.api_key, conversation_id, "c.png", "image/png", PNG).await;
    split(&answer.json()["url"])
}

fn split(url: &Value) -> (String, String) {
    let (origin, secret) = url.as_str().expect("a URL").split_once(PATH).expect("a file's URL");
    (origin.to_owned(), secret.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_the_same_under_each_address_that_the_api_has_or_had() {
    let world = world_with_domains().await;
    let business = world.business(100, 1).await;
    let conversation_id = business.conversation_id("email");
    let (origin, secret) = upload(&world, &business, "email").await;
    assert_eq!(origin, "https://files.example.com");

    let own = [
        "https://files.example.com",
        "http://Files.Example.com",
        "https://old.example.com",
        "https://a.example",
        GIVEN,
        &world.ready.api,
    ];
    let attached = |origin: &str| {
        let url = format!("{origin}{PATH}{secret}");
        json!({ "content": "see the file", "attachments": [{ "url": url }] }).to_string()
    };
    for origin in own {
        let request = world.send(&business.api_key, conversation_id, "see the file");
        let answer = request.body(attached(origin)).key("one-message").go().await;
        assert_eq!(answer.status, 201, "{origin}: {}", answer.text);
        let shown = split(&answer.json()["attachments"][0]["url"]);
        assert_eq!(shown, ("https://files.example.com".to_owned(), secret.clone()), "{origin}");
        let is_first = answer.header("idempotent-replayed").is_none();
        assert_eq!(is_first, origin == own[0], "{origin}: it is one request");

        let request = world.send(&business.api_key, conversation_id, "see the file");
        let another = request.body(attached(origin)).go().await;
        assert_eq!(another.status, 201, "{origin}: {}", another.text);
    }

    for origin in [
        "https://evil.example",
        "https://files.example.com.evil.example",
        "https://files.example.com:8443",
        "https://x@files.example.com",
        "ftp://files.example.com",
        "",
    ] {
        let request = world.send(&business.api_key, conversation_id, "see the file");
        let answer = request.body(attached(origin)).go().await;
        assert_eq!(answer.problem(), (422, "attachment_not_found".into()), "{origin}");
    }
    let accepted = 1 + own.len() as u64;
    assert_eq!(world.usage(&business.api_key).await, (accepted, 100));

    // The link works where the API answers.
    let local = json!(format!("{}{PATH}{secret}", world.ready.api));
    assert_eq!(lead(&world, &local).await.status, 302);
}

#[tokio::test(flavor = "multi_thread")]
async fn mails_and_widgets_have_links_with_the_apis_domain() {
    let world = world_with_domains().await;
    let business = world.business(100, 1).await;
    let of = |secret: &str| format!("https://files.example.com{PATH}{secret}");

    let conversation_id = business.conversation_id("email");
    let film = vec![7; 4_000_000];
    let mut urls = Vec::new();
    for name in ["film.bin", "again.bin"] {
        let kind = "application/octet-stream";
        let answer = store(&world, &business.api_key, conversation_id, name, kind, &film).await;
        urls.push(answer.json()["url"].clone());
    }
    send(&world, &business, conversation_id, &urls.iter().collect::<Vec<_>>()).await.id();
    let linked = of(&split(&urls[1]).1);
    let mail = format!("see the file\n\nagain.bin (4.0 MB)\n{linked}");
    world.until_received("email", conversation_id, &[mail]).await;

    // Live, and to a tab that comes later.
    let chat = business.conversation_id("chat");
    let (_, secret) = upload(&world, &business, "chat").await;
    let url = json!(format!("{GIVEN}{PATH}{secret}"));
    let token = world.visitor_token(chat).await;
    let mut tabs = [Tab::open(&world, &token).await, Tab::open(&world, &token).await];
    tabs[0].hello(0).await;
    assert_eq!(tabs[0].next_event().await["type"], "hello");
    tabs[0].until_caught_up().await;
    let id = send(&world, &business, chat, &[&url]).await.id();
    world.until_status(&business.api_key, chat, id, "delivered").await;
    tabs[1].hello(0).await;
    for tab in &mut tabs {
        let event = next_message(tab).await;
        assert_eq!(event["message"]["attachments"][0]["url"], of(&secret), "{event}");
    }

    let (status, fetched) = crate::chat::tab::fetch(&world, &token, id).await;
    assert_eq!((status, &fetched["attachments"][0]["url"]), (200, &json!(of(&secret))));
}

/// Returns the next event that shows a message.
async fn next_message(tab: &mut Tab) -> Value {
    loop {
        let event = tab.next_event().await;
        if event["type"] == "new_message" {
            return event;
        }
    }
}

/// Rewrites an item's link as it was stored before: a whole URL.
async fn store_whole_url(world: &World, key: &Key, path: &str, url: &str) {
    let update = world.dynamodb().update_item().table_name(&world.ready.table);
    let update = update
        .set_key(Some(key.attributes()))
        .update_expression(format!("SET {path} = :url"))
        .expression_attribute_names("#url", "url")
        .expression_attribute_values(":url", AttributeValue::S(url.to_owned()));
    update.send().await.expect("an item of this form");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_stored_with_a_whole_url_is_shown_under_todays_address() {
    let world = World::start().await;
    let business = world.business(100, 1).await;
    let conversation_id = business.conversation_id("chat");
    let (origin, secret) = upload(&world, &business, "chat").await;
    assert_eq!(origin, world.ready.api, "without a domain links have the host of the request");
    let url = json!(format!("{origin}{PATH}{secret}"));
    let id = send(&world, &business, conversation_id, &[&url]).await.id();

    let ids = (BusinessId(business.business_id), ConversationId(conversation_id));
    let capability = Capability::parse(&secret).expect("a secret");
    let old = format!("https://gone.example.com{PATH}{secret}");
    let message = key::message(ids.0, ids.1, Seq(1));
    store_whole_url(&world, &message, "attachments[0].#url", &old).await;
    let upload = key::upload(ids.0, ids.1, capability.upload);
    store_whole_url(&world, &upload, "#url", &old).await;

    let path = format!("/api/v1/conversations/{conversation_id}/messages/{id}");
    let shown = world.get(&business.api_key, &path).await.json();
    assert_eq!(shown["attachments"][0]["url"], url);
    assert_eq!(lead(&world, &url).await.status, 302);

    // Clients that kept the old link may still reference the file by it.
    for link in [json!(old), url.clone()] {
        let again = send(&world, &business, conversation_id, &[&link]).await.json();
        assert_eq!(again["attachments"][0]["url"], url);
    }
    let foreign = json!(format!("https://other.example.com{PATH}{secret}"));
    let refused = send(&world, &business, conversation_id, &[&foreign]).await;
    assert_eq!(refused.problem(), (422, "attachment_not_found".into()));
}
