//! Webhooks: endpoints are sent events, signed, in the order of each message, for as long as it
//! takes; and what a caller may name as an endpoint.

use std::collections::HashMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;
use uuid::Uuid;

use domain::{BusinessId, ConversationId};
use tests::contract::Contract;
use tests::{Answer, Business, World};

const PATH: &str = "/api/v1/webhook_endpoints";

async fn call(
    world: &World,
    business: &Business,
    method: Method,
    path: &str,
    body: Value,
) -> Answer {
    let request = world
        .http()
        .request(method, format!("{}{PATH}{path}", world.ready.api))
        .bearer_auth(&business.api_key);
    let request = if body.is_null() { request } else { request.json(&body) };
    world.ask(request).await
}

/// An endpoint at one of the sandbox's receivers.
struct Endpoint {
    id: String,
    secret: String,
    receiver: String,
}

fn url(world: &World, receiver: &str) -> String {
    format!("{}/receivers/{receiver}", world.ready.sandbox)
}

async fn endpoint(world: &World, business: &Business, receiver: &str, events: Value) -> Endpoint {
    let receiver = format!("{receiver}-{}", business.business_id);
    let body = json!({ "url": url(world, &receiver), "events": events });
    let made = call(world, business, Method::POST, "", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let made = made.json();
    let text = |name: &str| made[name].as_str().expect("a text").to_owned();
    world.ledger().secrets.push(text("secret"));
    Endpoint { id: text("id"), secret: text("secret"), receiver }
}

async fn answers(world: &World, endpoint: &Endpoint, manners: Value) {
    world.sandbox(Method::PUT, &format!("/receivers/{}", endpoint.receiver), manners).await;
}

/// Returns the requests that a receiver got, each of which is as the contract describes it.
async fn received(world: &World, endpoint: &Endpoint) -> Vec<Value> {
    let path = format!("/receivers/{}", endpoint.receiver);
    let got = world.sandbox(Method::GET, &path, Value::Null).await;
    let got = got.as_array().expect("a list").clone();
    for request in &got {
        let headers: HashMap<String, String> =
            serde_json::from_value(request["headers"].clone()).expect("texts");
        let body = request["body"].as_str().expect("a text");
        let violations = Contract::get().webhook_violations(&headers, body);
        assert!(violations.is_empty(), "{violations:#?} in {request}");
    }
    got
}

/// Returns the requests that a receiver got and answered with success.
async fn taken(world: &World, endpoint: &Endpoint) -> Vec<Value> {
    let got = received(world, endpoint).await;
    got.into_iter().filter(|request| request["answered"] == 200).collect()
}

async fn until_taken(world: &World, endpoint: &Endpoint, count: usize) -> Vec<Value> {
    world
        .until(&format!("{} took {count} events", endpoint.receiver), async || {
            let taken = taken(world, endpoint).await;
            (taken.len() >= count).then_some(taken)
        })
        .await
}

fn event(request: &Value) -> Value {
    serde_json::from_str(request["body"].as_str().expect("a text")).expect("JSON")
}

fn types(requests: &[Value]) -> Vec<String> {
    let kinds = requests.iter().map(|request| event(request)["type"].clone());
    kinds.map(|kind| kind.as_str().expect("a type").to_owned()).collect()
}

async fn send(world: &World, business: &Business, channel: &str, text: &str) -> Uuid {
    world.send(&business.api_key, business.conversation_id(channel), text).go().await.id()
}

/// Verifies a request as the Standard Webhooks specification says, without any of our own code.
fn is_signed_by(request: &Value, secret: &str) -> bool {
    let header = |name: &str| request["headers"][name].as_str().expect("a header").to_owned();
    let key = BASE64_STANDARD.decode(secret.strip_prefix("whsec_").expect("a secret"));
    let mac = Hmac::<Sha256>::new_from_slice(&key.expect("Base64")).expect("a key");
    let body = request["body"].as_str().expect("a text");
    let signed = format!("{}.{}.{body}", header("webhook-id"), header("webhook-timestamp"));
    let expected = BASE64_STANDARD.encode(mac.chain_update(signed).finalize().into_bytes());
    header("webhook-signature").split(' ').any(|one| one == format!("v1,{expected}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_sent_what_the_list_shows_and_can_verify_it() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let endpoint = endpoint(&world, &business, "all", Value::Null).await;
    world.report("whatsapp", json!({ "statuses": ["sent", "delivered", "read"] })).await;
    send(&world, &business, "whatsapp", "told to an endpoint").await;

    let taken = until_taken(&world, &endpoint, 4).await;
    let expected = ["message.accepted", "message.sent", "message.delivered", "message.read"];
    assert_eq!(types(&taken), expected);
    let listed = world.get(&business.api_key, "/api/v1/events").await.json()["events"].clone();
    let sent: Vec<Value> = taken.iter().map(event).collect();
    for (sent, listed) in sent.iter().zip(listed.as_array().expect("a list")) {
        assert_eq!(sent["id"], listed["id"]);
        assert_eq!(
            sent["data"]["message"]["delivery"]["status"],
            listed["data"]["message"]["delivery"]["status"]
        );
        assert_eq!(sent["data"]["message"]["content"], "told to an endpoint");
    }

    for request in &taken {
        assert!(is_signed_by(request, &endpoint.secret), "{request}");
        assert_eq!(request["headers"]["webhook-id"], event(request)["id"]);
        assert_eq!(request["headers"]["content-type"], "application/json");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_gets_the_types_that_it_asks_for_and_each_endpoint_its_own() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let some = endpoint(&world, &business, "some", json!(["message.sent"])).await;
    let all = endpoint(&world, &business, "all", Value::Null).await;
    let other = world.business(10, 1).await;
    let others = endpoint(&world, &other, "other", Value::Null).await;

    send(&world, &business, "email", "for two").await;
    assert_eq!(types(&until_taken(&world, &all, 2).await), ["message.accepted", "message.sent"]);
    assert_eq!(types(&until_taken(&world, &some, 1).await), ["message.sent"]);
    assert!(taken(&world, &others).await.is_empty(), "another business is told nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_comes_again_in_the_order_of_its_message() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let endpoint = endpoint(&world, &business, "ill", Value::Null).await;
    answers(&world, &endpoint, json!({ "status": 503, "body": "not now", "times": 2 })).await;
    send(&world, &business, "email", "told at the third attempt").await;

    // It waits for ten seconds, more or less, and then for twenty.
    for _ in 0..3 {
        world.pass(30).await;
        world.sweep().await;
    }

    let taken = until_taken(&world, &endpoint, 2).await;
    assert_eq!(types(&taken), ["message.accepted", "message.sent"]);

    let path = format!("/{}/deliveries", endpoint.id);
    let page = call(&world, &business, Method::GET, &path, Value::Null).await.json();
    let deliveries = page["deliveries"].as_array().expect("a list");
    assert_eq!(deliveries.len(), 2);
    let first = &deliveries[1];
    assert_eq!((&first["status"], &first["attempts"]), (&json!("delivered"), &json!(3)));
    assert_eq!(first["last_attempt"]["status"], 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_says_when_it_can_be_called_again_is_not_called_before() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let busy = endpoint(&world, &business, "busy", json!(["message.accepted"])).await;
    let not_now = json!({ "status": 503, "retry_after": 3_600, "times": 1 });
    answers(&world, &busy, not_now).await;
    send(&world, &business, "email", "told within the hour").await;

    let path = format!("/{}/deliveries", busy.id);
    world
        .until("it has refused", async || {
            let page = call(&world, &business, Method::GET, &path, Value::Null).await.json();
            (page["deliveries"][0]["last_attempt"]["status"] == 503).then_some(())
        })
        .await;
    // The schedule's own second, third and eighth attempts would be due.
    for seconds in [30, 60, 3_400] {
        world.pass(seconds).await;
        world.sweep().await;
        until_called(&world).await;
        assert_eq!(received(&world, &busy).await.len(), 1, "{seconds} s later");
    }

    world.pass(120).await;
    world.sweep().await;
    until_taken(&world, &busy, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_is_sent_events_of_each_kind_of_data_as_the_contract_shows_them() {
    let world = World::start().await;
    let business = world.business(1, 1).await;
    let endpoint = endpoint(&world, &business, "all", Value::Null).await;
    world.fault("email", json!({ "status": 403, "times": 1 })).await;
    send(&world, &business, "email", "the month's last one").await;
    let test = format!("/{}/test", endpoint.id);
    call(&world, &business, Method::POST, &test, Value::Null).await;

    let expected = ["message.accepted", "quota.reached", "channel.paused", "endpoint.test"];
    world
        .until("each kind was sent", async || {
            let sent = types(&taken(&world, &endpoint).await);
            expected.iter().all(|kind| sent.iter().any(|one| one == kind)).then_some(())
        })
        .await;
    world.pass(3_600).await;
    world.sweep().await;
    world
        .until("the message is sent after all", async || {
            let sent = types(&taken(&world, &endpoint).await);
            sent.iter().any(|kind| kind == "message.sent").then_some(())
        })
        .await;
}

/// Waits until nothing is being done or can be done now; a bell for later may wait.
async fn until_called(world: &World) {
    world
        .until("every endpoint was called", async || {
            let activity = world.sandbox(Method::GET, "/activity", Value::Null).await;
            let is_at_work = activity["invocations"].as_object().is_none_or(|all| !all.is_empty());
            let queues = activity["queues"].as_object().expect("queues").values();
            let mut waiting = queues
                .filter(|queue| ["visible", "in_flight"].iter().any(|count| queue[count] != 0));
            let is_behind = activity["streams_behind"] == true || activity["deliveries"] != 0;
            (!is_at_work && !is_behind && waiting.next().is_none()).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_down_for_three_days_fails_visibly_and_is_sent_all_of_it_then() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let endpoint = endpoint(&world, &business, "down", Value::Null).await;
    answers(&world, &endpoint, json!({ "status": 500, "body": "x".repeat(5_000) })).await;
    send(&world, &business, "email", "nobody listens").await;

    let path = format!("/{}/deliveries", endpoint.id);
    let failed = format!("{path}?status=failed");
    let mut hours = 0;
    let page = loop {
        let page = call(&world, &business, Method::GET, &failed, Value::Null).await.json();
        if page["deliveries"].as_array().expect("a list").len() == 2 {
            break page;
        }

        assert!(hours < 24 * 8, "{page}");
        world.pass(6 * 3600).await;
        world.sweep().await;
        hours += 6;
        until_called(&world).await;
    };

    assert!(hours >= 24 * 3, "{hours} hours");
    let last = &page["deliveries"][1]["last_attempt"];
    assert_eq!(
        (&last["status"], last["answer"].as_str().map(str::len)),
        (&json!(500), Some(1_024))
    );

    answers(&world, &endpoint, json!({ "status": 200 })).await;
    let enable = json!({ "status": "enabled" });
    let changed =
        call(&world, &business, Method::PATCH, &format!("/{}", endpoint.id), enable).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    let since = json!({ "since": "2020-01-01T00:00:00Z" });
    let path = format!("/{}/redeliver", endpoint.id);
    let again = call(&world, &business, Method::POST, &path, since).await;
    assert_eq!((again.status.as_u16(), &again.json()["count"]), (202, &json!(2)), "{}", again.text);
    let taken = until_taken(&world, &endpoint, 2).await;
    assert_eq!(types(&taken), ["message.accepted", "message.sent"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_failed_for_five_days_is_switched_off() {
    let world = World::start().await;
    let business = world.business(20, 1).await;
    let endpoint = endpoint(&world, &business, "dead", Value::Null).await;
    answers(&world, &endpoint, json!({ "status": 500 })).await;
    let path = format!("/{}", endpoint.id);

    let mut days = 0;
    loop {
        send(&world, &business, "email", &format!("day {days}")).await;
        until_called(&world).await;
        let shown = call(&world, &business, Method::GET, &path, Value::Null).await.json();
        if shown["status"] == "disabled" {
            break;
        }

        assert!(days < 9, "{shown}");
        days += 1;
        world.pass(24 * 3600).await;
        world.sweep().await;
    }

    assert!(days >= 5, "{days} days");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_is_gone_is_deleted() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let endpoint = endpoint(&world, &business, "gone", Value::Null).await;
    answers(&world, &endpoint, json!({ "status": 410 })).await;
    send(&world, &business, "email", "to nobody").await;
    world
        .until("it is deleted", async || {
            let path = format!("/{}", endpoint.id);
            let read = call(&world, &business, Method::GET, &path, Value::Null).await;
            (read.status == 404).then_some(())
        })
        .await;
    let list = call(&world, &business, Method::GET, "", Value::Null).await.json();
    assert_eq!(list, json!({ "endpoints": [] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_endpoint_and_a_redirect_are_failures_and_hold_up_nobody() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let slow = endpoint(&world, &business, "slow", json!(["message.accepted"])).await;
    answers(&world, &slow, json!({ "delay_ms": 11_000 })).await;
    let moved = endpoint(&world, &business, "moved", json!(["message.accepted"])).await;
    let fast = endpoint(&world, &business, "fast", Value::Null).await;
    let elsewhere = json!({ "status": 307, "location": url(&world, &fast.receiver) });
    answers(&world, &moved, elsewhere).await;

    send(&world, &business, "email", "for all").await;
    let taken = until_taken(&world, &fast, 2).await;
    assert_eq!(types(&taken), ["message.accepted", "message.sent"], "no redirect leads there");

    for (endpoint, status) in [(&slow, Value::Null), (&moved, json!(307))] {
        let path = format!("/{}/deliveries?status=pending", endpoint.id);
        let last = world
            .until("an attempt has failed", async || {
                let page = call(&world, &business, Method::GET, &path, Value::Null).await.json();
                let last = page["deliveries"][0]["last_attempt"].clone();
                (!last.is_null()).then_some(last)
            })
            .await;
        assert_eq!(last["status"], status);
        // They are not waited for.
        let path = format!("/{}", endpoint.id);
        let gone = call(&world, &business, Method::DELETE, &path, Value::Null).await;
        assert_eq!(gone.status, 204);
    }

    world.pass(60).await;
    world.sweep().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_secrets_sign_for_a_day_after_a_rotation() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let endpoint = endpoint(&world, &business, "rotated", json!(["endpoint.test"])).await;
    let path = format!("/{}/rotate-secret", endpoint.id);
    let rotated = call(&world, &business, Method::POST, &path, Value::Null).await.json();
    let secret = rotated["secret"].as_str().expect("a secret").to_owned();
    world.ledger().secrets.push(secret.clone());
    assert_ne!(secret, endpoint.secret);

    let test = format!("/{}/test", endpoint.id);
    let tested = call(&world, &business, Method::POST, &test, Value::Null).await;
    assert_eq!(tested.status, 202, "{}", tested.text);
    let taken = until_taken(&world, &endpoint, 1).await;
    assert!(is_signed_by(&taken[0], &secret) && is_signed_by(&taken[0], &endpoint.secret));
    assert_eq!(event(&taken[0])["id"], tested.json()["event_id"]);

    world.pass(24 * 3600 + 1).await;
    call(&world, &business, Method::POST, &test, Value::Null).await;
    let taken = until_taken(&world, &endpoint, 2).await;
    assert!(is_signed_by(&taken[1], &secret) && !is_signed_by(&taken[1], &endpoint.secret));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_sent_however_often_its_worker_dies() {
    for (operation, after_effect) in
        [("UpdateItem", false), ("UpdateItem", true), ("Query", false), ("GetItem", true)]
    {
        let world = World::start().await;
        let business = world.business(10, 1).await;
        let endpoint = endpoint(&world, &business, "patient", Value::Null).await;
        let kill = json!({
            "operation": operation, "error": "kill", "times": 2, "after_effect": after_effect,
            "function": "deliver-webhook",
        });

        world.fault("aws", kill).await;
        send(&world, &business, "email", "told all the same").await;
        world
            .until("the faults are used up", async || {
                let faults = world.sandbox(Method::GET, "/aws/faults", Value::Null).await;
                if faults.as_array().expect("an array").is_empty() {
                    return Some(());
                }

                world.pass(46).await;
                world.sweep().await;
                None
            })
            .await;
        world.pass(46).await;
        world.sweep().await;
        let mut taken = until_taken(&world, &endpoint, 2).await;
        taken.dedup_by_key(|request| event(request)["id"].clone());
        assert_eq!(types(&taken), ["message.accepted", "message.sent"], "{operation}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_endpoint_is_refused_by_its_field() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let good = url(&world, "good");
    for (body, field) in [
        (json!({}), "url"),
        (json!({ "url": 7 }), "url"),
        (json!({ "url": "example.com" }), "url"),
        (json!({ "url": "http://example.com/" }), "url"),
        (json!({ "url": "https://user:word@example.com/" }), "url"),
        (json!({ "url": "https://example.com:22/" }), "url"),
        (json!({ "url": "https://10.0.0.1/" }), "url"),
        (json!({ "url": "https://0xa9fea9fe/latest/meta-data" }), "url"),
        (json!({ "url": "https://[::ffff:169.254.169.254]/" }), "url"),
        (json!({ "url": "https://metadata.google.internal/" }), "url"),
        (json!({ "url": good, "events": [] }), "events"),
        (json!({ "url": good, "events": "message.sent" }), "events"),
        (json!({ "url": good, "events": ["message.queued"] }), "events"),
        (json!({ "url": good, "description": "x".repeat(513) }), "description"),
        (json!({ "url": good, "description": "\u{7}" }), "description"),
        (json!({ "url": good, "secret": "whsec_mine" }), "secret"),
    ] {
        let refused = call(&world, &business, Method::POST, "", body.clone()).await;
        assert_eq!(refused.problem(), (422, "validation_error".into()), "{body}");
        assert_eq!(refused.json()["errors"][0]["loc"][1], field, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_are_few_and_each_business_has_its_own() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let mut ids = Vec::new();
    for number in 0..10 {
        ids.push(endpoint(&world, &business, &format!("of-{number}"), Value::Null).await.id);
    }

    let body = json!({ "url": url(&world, "one-more") });
    let refused = call(&world, &business, Method::POST, "", body.clone()).await;
    assert_eq!(refused.problem(), (422, "too_many_endpoints".into()));

    let other = world.business(10, 1).await;
    let path = format!("/{}", ids[0]);
    for (method, path) in [
        (Method::GET, path.clone()),
        (Method::PATCH, path.clone()),
        (Method::DELETE, path.clone()),
        (Method::GET, format!("{path}/deliveries")),
        (Method::POST, format!("{path}/test")),
        (Method::POST, format!("{path}/rotate-secret")),
        (Method::POST, format!("{path}/redeliver")),
    ] {
        let refused = call(&world, &other, method, &path, json!({})).await;
        assert_eq!(refused.problem(), (404, "endpoint_not_found".into()), "{path}");
    }

    let gone = call(&world, &business, Method::DELETE, &path, Value::Null).await;
    assert_eq!(gone.status, 204);
    let made = call(&world, &business, Method::POST, "", body).await;
    assert_eq!(made.status, 201, "there is room again: {}", made.text);
    let secret = made.json()["secret"].as_str().expect("a secret").to_owned();
    world.ledger().secrets.push(secret);
}

/// Counts how often a function called DynamoDB, for each operation, while something was done.
async fn calls_during(world: &World, function: &str, done: impl Future<Output = ()>) -> Value {
    let before = world.calls_of(function);
    done.await;
    until_called(world).await;
    let made = world.calls_of(function).into_iter().filter_map(|(operation, times)| {
        let made = times - before.get(&operation).copied().unwrap_or_default();
        let name = operation.strip_prefix("dynamodb:")?.to_owned();
        (made > 0).then_some((name, json!(made)))
    });
    Value::Object(made.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_and_its_delivery_take_the_calls_that_their_price_is_made_of() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let endpoint = endpoint(&world, &business, "dear", json!(["message.accepted"])).await;

    let business_id = BusinessId(business.business_id);
    let conversation_id = ConversationId(business.conversation_id("chat"));
    let conversation = world.table().conversation(business_id, conversation_id).await;
    let channel_id = conversation.expect("an answer").expect("it is there").channel_id;
    until_called(&world).await;

    // One change alone; a message's come in one batch or in several.
    let paused = async {
        let until = Utc::now() + TimeDelta::minutes(5);
        let table = world.table();
        table.deliveries().pause(business_id, channel_id, until).await.expect("it is there");
        let is_listed = async || {
            let list = world.get(&business.api_key, "/api/v1/events").await.json();
            (list["events"][0]["type"] == "channel.paused").then_some(())
        };
        world.until("the event is published", is_listed).await;
    };
    let made = calls_during(&world, "PublishEvents", paused).await;
    let expected = ["BatchGetItem", "Query", "TransactWriteItems"];
    assert!(expected.iter().all(|operation| made[operation] == 1), "{made}");
    assert_eq!(made["GetItem"], Value::Null, "{made}");

    let sent = async {
        send(&world, &business, "email", "what it costs to tell of it").await;
        until_taken(&world, &endpoint, 1).await;
    };
    let made = calls_during(&world, "DeliverWebhook", sent).await;
    let expected = json!({ "BatchGetItem": 1, "GetItem": 2, "Query": 2, "UpdateItem": 2 });
    assert_eq!(made, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_endpoint_among_others_holds_none_of_them_up() {
    let world = World::start().await;
    let dead_business = world.business(50, 1).await;
    let dead = endpoint(&world, &dead_business, "dead", Value::Null).await;
    answers(&world, &dead, json!({ "delay_ms": 11_000 })).await;
    for number in 0..12 {
        send(&world, &dead_business, "email", &format!("to the dead {number}")).await;
    }

    let mut others = Vec::new();
    for _ in 0..6 {
        let business = world.business(10, 1).await;
        let endpoint = endpoint(&world, &business, "alive", Value::Null).await;
        send(&world, &business, "email", "to the living").await;
        others.push(endpoint);
    }

    for endpoint in &others {
        until_taken(&world, endpoint, 2).await;
    }

    let path = format!("/{}", dead.id);
    call(&world, &dead_business, Method::DELETE, &path, Value::Null).await;
    world.pass(60).await;
    world.sweep().await;
}
