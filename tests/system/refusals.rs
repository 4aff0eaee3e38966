//! Every refusal of the contract, with its status, its code and its place in the order; none of
//! them counts or stores anything.

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use domain::{AgentId, BusinessId, ChannelId, ConversationId, Scope};
use platform::credential::ApiKey;
use platform::table::ApiKeyTerms;
use platform::table::provision::NewConversation;
use platform::table::record::{ChannelRecord, ChannelSettings};
use tests::{Answer, Business, World};

async fn refused(
    world: &World,
    business: &Business,
    conversation_id: impl ToString,
    body: &str,
) -> Answer {
    world.send(&business.api_key, conversation_id, "").body(body).go().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_too_large_is_told_so_before_anything_else() {
    let world = World::start().await;
    let body = json!({"content": "x".repeat(256 * 1024)}).to_string();
    let answer = world.send("", "not-even-an-id", "").body(body).go().await;
    assert_eq!(answer.problem(), (413, "body_too_large".into()));
    assert!(answer.json()["detail"].as_str().is_some_and(|detail| detail.contains("262144")));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_token_that_is_not_valid_gets_the_same_401() {
    let world = World::start().await;
    let demo = world.ready.demo.clone().expect("a demo");
    let business = world.business(10, 1).await;
    let id = BusinessId(business.business_id);
    let expired = ApiKey::generate(id);
    let revoked = ApiKey::generate(id);
    let table = world.table();

    table
        .operator()
        .create_api_key(
            &expired,
            ApiKeyTerms {
                valid_until: Some(Utc::now() - TimeDelta::seconds(1)),
                ..ApiKeyTerms::default()
            },
        )
        .await
        .expect("a key");
    table.operator().create_api_key(&revoked, ApiKeyTerms::default()).await.expect("a key");
    table.operator().revoke_api_key(&revoked).await.expect("revoked");
    table
        .operator()
        .set_agent_active(BusinessId(demo.business_id), AgentId(demo.agent_id), false)
        .await
        .expect("switched off");

    let expired = expired.reveal();
    let revoked = revoked.reveal();
    let strange = ApiKey::generate(BusinessId(Uuid::new_v4())).reveal();
    let forged = format!("{}x", demo.token);
    let tokens = [
        "",
        "nonsense",
        "pbk_x",
        &expired,
        &revoked,
        &strange,
        &forged,
        &demo.token,
        &demo.visitor_token,
    ];
    let mut texts = Vec::new();

    for token in tokens {
        // The answer does not say what else is wrong with the request.
        let answer = world.send(token, "not-an-id", "").body("{").key("").go().await;
        assert_eq!(answer.problem(), (401, "unauthorized".into()), "{token}");
        // API Gateway may rename the one to the other.
        let names = ["www-authenticate", "x-amzn-remapped-www-authenticate"];
        assert_eq!(names.iter().find_map(|name| answer.header(name)), Some("Bearer"));
        texts.push(answer.without_instance());
    }

    assert!(texts.iter().all(|text| *text == texts[0]));

    let path = format!("/api/v1/conversations/{}/messages", demo.conversations.chat);
    assert_eq!(world.get(&demo.token, &path).await.problem(), (401, "unauthorized".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_of_another_form_is_told_everything_that_is_wrong() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let answer =
        world.send(&business.api_key, "42", "").body(r#"{"internal":true}"#).key("a b").go().await;
    assert_eq!(answer.problem(), (422, "validation_error".into()));

    let errors = answer.json()["errors"].clone();
    let kinds: Vec<_> =
        errors.as_array().expect("errors").iter().map(|error| error["type"].clone()).collect();
    assert_eq!(kinds, ["uuid_parsing", "string_pattern_mismatch", "missing", "extra_forbidden"]);
    assert_eq!(errors[3]["loc"], json!(["body", "internal"]));

    for body in
        ["", "[]", r#"{"content":"  "}"#, r#"{"content":3}"#, r#"{"content":"x","attachments":{}}"#]
    {
        let answer = refused(&world, &business, business.conversation_id("chat"), body).await;
        assert_eq!(answer.problem(), (422, "validation_error".into()), "{body}");
    }

    assert_eq!(world.usage(&business.api_key).await, (0, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_conversation_and_a_missing_one_cannot_be_told_apart() {
    let world = World::start().await;
    let mine = world.business(0, 1).await;
    let theirs = world.business(10, 1).await;
    let missing = world.send(&mine.api_key, Uuid::new_v4(), "hello there").go().await;
    let foreign =
        world.send(&mine.api_key, theirs.conversation_id("chat"), "hello there").go().await;
    assert_eq!(
        missing.problem(),
        (404, "conversation_not_found".into()),
        "before the month is looked at"
    );

    let plain = |answer: &Answer| {
        let mut headers = answer.headers.clone();
        headers.remove("date");
        headers.remove("apigw-requestid");
        (answer.status, headers, answer.without_instance())
    };
    assert_eq!(plain(&missing), plain(&foreign));

    let sent = world
        .send(&theirs.api_key, theirs.conversation_id("chat"), "for them alone")
        .go()
        .await
        .id();
    for path in [
        format!("/api/v1/conversations/{}/messages", theirs.conversation_id("chat")),
        format!("/api/v1/conversations/{}/messages/{sent}", theirs.conversation_id("chat")),
        format!("/api/v1/conversations/{}/messages", Uuid::new_v4()),
    ] {
        assert_eq!(
            world.get(&mine.api_key, &path).await.problem(),
            (404, "conversation_not_found".into()),
            "{path}"
        );
    }

    let crossed = format!("/api/v1/conversations/{}/messages/{sent}", mine.conversation_id("chat"));
    assert_eq!(
        world.get(&mine.api_key, &crossed).await.problem(),
        (404, "message_not_found".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_channel_cannot_carry_is_refused_before_it_is_counted() {
    let world = World::start().await;
    let business = world.business(0, 1).await;
    let say = async |channel: &str, body: serde_json::Value| {
        refused(&world, &business, business.conversation_id(channel), &body.to_string()).await
    };

    for (channel, limit) in [("chat", 20_000), ("whatsapp", 4_096), ("email", 100_000)] {
        let answer = say(channel, json!({"content": "x".repeat(limit + 1)})).await;
        assert_eq!(answer.problem(), (422, "content_not_allowed".into()), "{channel}");
        assert!(
            answer.json()["detail"]
                .as_str()
                .is_some_and(|detail| detail.contains(&limit.to_string()))
        );
        let answer = say(channel, json!({"content": "x".repeat(limit)})).await;
        assert_eq!(
            answer.problem(),
            (403, "quota_exceeded".into()),
            "{channel}: the limit itself is carried"
        );
    }

    let files = |count| vec![json!({"url": "https://files.example.com/a", "filename": "a"}); count];
    let answer = say("email", json!({"content": "see the file", "attachments": files(1)})).await;
    assert_eq!(answer.problem(), (422, "attachment_not_found".into()));

    let answer = say("email", json!({"content": "see the files", "attachments": files(11)})).await;
    assert_eq!(answer.problem(), (422, "content_not_allowed".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_window_a_silent_channel_and_a_strange_one_are_refused() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let closed = json!({
        "business_id": business.business_id, "channel": "whatsapp",
        "window_expires_at": Utc::now() - TimeDelta::seconds(1),
    });
    let closed = world.sandbox(Method::POST, "/conversations", closed).await;
    let closed: Uuid = serde_json::from_value(closed["conversation_id"].clone()).expect("an id");
    let answer = world.send(&business.api_key, closed, "too late, I fear").go().await;
    assert_eq!(answer.problem(), (422, "outside_messaging_window".into()));

    let id = BusinessId(business.business_id);
    let new = async |channel: &str, is_active: bool| {
        let channel_id = ChannelId(Uuid::new_v4());
        let conversation_id = ConversationId(Uuid::new_v4());
        let record = ChannelRecord {
            is_active,
            in_doubt: Default::default(),
            paused_until: None,
            settings: ChannelSettings::Chat {},
        };
        world.table().operator().put_channel(id, channel_id, &record).await.expect("a channel");
        let new = NewConversation {
            channel: channel.into(),
            channel_id,
            recipient: "visitor".into(),
            subject: None,
            begun_by: None,
            window_expires_at: None,
        };
        world
            .table()
            .operator()
            .create_conversation(id, conversation_id, new, Utc::now())
            .await
            .expect("a conversation");
        conversation_id
    };
    let answer =
        world.send(&business.api_key, new("webchat", false).await, "are you there").go().await;
    assert_eq!(answer.problem(), (422, "channel_inactive".into()));

    let answer = world.send(&business.api_key, new("sms", true).await, "are you there").go().await;
    assert_eq!(answer.problem(), (422, "channel_not_supported".into()));
    assert_eq!(world.usage(&business.api_key).await, (0, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn contention_without_end_is_told_and_nothing_is_written() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    world
        .send(&business.api_key, business.conversation_id("chat"), "this one opens the month")
        .go()
        .await
        .id();

    for error in ["TransactionConflict", "ThrottlingException"] {
        world.fault("aws", json!({"operation": "TransactWriteItems", "error": error})).await;
        let answer = world
            .send(&business.api_key, business.conversation_id("chat"), "no way through")
            .go()
            .await;
        assert_eq!(answer.problem(), (503, "busy".into()), "{error}");
        assert_eq!(answer.header("retry-after"), Some("1"));
        world.heal("aws").await;
    }

    assert_eq!(world.usage(&business.api_key).await, (1, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_is_not_shown() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    world
        .fault(
            "aws",
            json!({"operation": "BatchGetItem", "error": "AccessDeniedException", "times": 1}),
        )
        .await;

    let answer =
        world.send(&business.api_key, business.conversation_id("chat"), "into the void").go().await;
    assert_eq!(answer.problem(), (500, "internal".into()));
    assert!(!answer.text.contains("AccessDenied"), "{}", answer.text);

    let logged = world.logged().into_iter().any(|line| line.text.contains("AccessDeniedException"));
    assert!(logged, "the chain is in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_names_the_key_and_who_it_is_found_to_belong_to() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = Uuid::nil();
    let refused = world.send(&business.api_key, conversation_id, "a text").go().await;
    assert_eq!(refused.problem(), (404, "conversation_not_found".into()));
    let unknown = format!("pbk_{}_{}", business.business_id.simple(), "A".repeat(43));
    let refused = world.send(&unknown, conversation_id, "a text").go().await;
    assert_eq!(refused.problem(), (401, "unauthorized".into()));

    // The hash of the key, as it is stored.
    let query = world.dynamodb().query().table_name(&world.ready.table);
    let query = query
        .key_condition_expression("pk = :pk AND begins_with(sk, :key)")
        .expression_attribute_values(
            ":pk",
            AttributeValue::S(format!("B#{}", business.business_id)),
        )
        .expression_attribute_values(":key", AttributeValue::S("KEY#".to_owned()));
    let items = query.send().await.expect("an answer").items.expect("its keys");
    let stored = items[0]["sk"].as_s().expect("a text").trim_start_matches("KEY#").to_owned();

    let lines = world.logged();
    let lines = lines.iter().filter(|line| !line.is_record());
    let lines = lines.filter_map(|line| serde_json::from_str::<Value>(&line.text).ok());
    let refused: Vec<Value> = lines.filter(|line| line["message"] == "refused").collect();
    let known = &refused[0];
    assert_eq!(known["api_key"], stored[..8]);
    assert_eq!(known["business"], json!(business.business_id));
    let unknown = &refused[1];
    assert!(unknown["api_key"].is_string() && unknown["api_key"] != known["api_key"], "{unknown}");
    assert_eq!(unknown["business"], Value::Null, "nothing vouches for it: {unknown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_does_what_it_was_made_for_and_nothing_else() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("email");
    let table = world.table();
    let mut keys = Vec::new();
    for scope in Scope::ALL {
        let key = ApiKey::generate(BusinessId(business.business_id));
        let scopes = [scope].into_iter().collect();
        let terms = ApiKeyTerms { scopes, ..ApiKeyTerms::default() };
        table.operator().create_api_key(&key, terms).await.expect("a key");
        keys.push(key.reveal());
    }
    let [sends, reads, manages] = &keys[..] else { panic!("three scopes") };

    let sent = world.send(sends, conversation_id, "a text").go().await;
    let id = sent.id();
    world.until_status(&business.api_key, conversation_id, id, "sent").await;
    let messages = format!("/api/v1/conversations/{conversation_id}/messages");
    let to_read = [messages.clone(), format!("{messages}/{id}"), "/api/v1/usage".to_owned()];
    for path in &to_read {
        let refused = world.get(sends, path).await;
        assert_eq!(refused.problem(), (403, "forbidden".into()), "{path}");
        assert!(refused.text.contains(r#"no scope \"read\""#), "{}", refused.text);
        assert_eq!(world.get(reads, path).await.status, 200, "{path}");
    }

    // What else is wrong with the request is not told to a key that may not make it.
    for (place, body) in [
        (conversation_id.to_string(), r#"{"content":"a text"}"#),
        (conversation_id.to_string(), "nonsense"),
        (Uuid::nil().to_string(), r#"{"content":"a text"}"#),
    ] {
        let refused = world.send(reads, &place, "").body(body).go().await;
        assert_eq!(refused.problem(), (403, "forbidden".into()), "{place} {body}");
        assert!(
            refused.header("ratelimit").is_some_and(|limits| limits.contains("\"month\";r=9;"))
        );
    }
    let upload = format!("/api/v1/conversations/{conversation_id}/uploads");
    let bearer = format!("Bearer {reads}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    let announced = json!({ "filename": "a.txt", "content_type": "text/plain", "size": 1 });
    let announced = announced.to_string().into_bytes();
    let refused = world.call(Method::POST, &upload, &headers, announced.clone()).await;
    assert_eq!(refused.problem(), (403, "forbidden".into()));
    let bearer = format!("Bearer {sends}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    assert_eq!(world.call(Method::POST, &upload, &headers, announced).await.status, 201);

    let endpoints = "/api/v1/webhook_endpoints";
    assert_eq!(world.get(manages, endpoints).await.status, 200);
    assert_eq!(world.get(manages, &messages).await.problem(), (403, "forbidden".into()));
    for other in [sends, reads] {
        let bearer = format!("Bearer {other}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let made = world.call(Method::POST, endpoints, &headers, b"{}".to_vec()).await;
        assert_eq!(made.problem(), (403, "forbidden".into()));
    }

    assert_eq!(world.usage(&business.api_key).await, (1, 10));
}
