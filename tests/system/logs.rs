//! The log at each level that an operator may ask for: more of our own lines, and nothing more
//! about people. The oracle looks through every line for texts, names, addresses and secrets.

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::attachments::{announce, send, store};
use crate::chat::tab::Tab;
use crate::receipts::meta::Meta;
use emulator::{Failure, FaultRule};
use tests::suite::setting;
use tests::{Business, PNG, World};

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

/// The rounds of [`Errand`] in which every call of every function is met by a fault: a call that is
/// damaged keeps those after it from being made.
const ROUNDS: usize = 8;

/// Everything that functions do with people's data, whatever becomes of it.
struct Errand<'a> {
    world: &'a World,
    business: &'a Business,
    meta: &'a Meta<'a>,
}

impl Errand<'_> {
    async fn run(&self) {
        let Errand { world, business, meta } = *self;
        let key = &business.api_key;
        let demo = world.ready.demo.as_ref().expect("the demo is seeded");
        // Fresh workers have read no secret yet.
        world.pass(1).await;

        for channel in ["chat", "whatsapp", "email"] {
            let conversation_id = business.conversation_id(channel);
            let text = format!("a canary before damage by {channel}");
            let name = format!("canary-before-damage-{channel}.png");
            let file = store(world, key, conversation_id, &name, "image/png", PNG).await;
            world.send(key, conversation_id, &text).key(&name).go().await;
            if file.status.is_success() {
                let file = file.json();
                send(world, business, conversation_id, &[&file["url"]]).await;
                world.ask(world.http().get(file["url"].as_str().expect("a URL"))).await;
            }
            let path = format!("/api/v1/conversations/{conversation_id}/messages");
            world.get(key, &path).await;
        }
        announce(world, key, business.conversation_id("email"), "canary.png", "image/png", 9).await;
        world.send(&demo.token, demo.conversations.email, "a canary of an agent's").go().await;
        world.get(key, "/api/v1/usage").await;

        let chat = business.conversation_id("chat");
        let visitor = world.visitor_token(chat).await;
        world.get(&visitor, &format!("/api/v1/chat/messages/{}", Uuid::new_v4())).await;
        if let Ok(mut tab) = Tab::try_open(world, &visitor).await {
            for action in [
                json!({ "action": "hello", "token": visitor }),
                json!({ "action": "resume", "after": 0 }),
                json!({ "action": "ack", "id": Uuid::new_v4() }),
            ] {
                tab.try_action(action).await;
            }
        }

        let customer = format!("+1555{:07}", 7);
        world.ledger().texts.push("a canary of a customer".to_owned());
        let wrote = json!({ "from": customer, "text": "a canary of a customer" });
        let path = format!("{}/sandbox/whatsapp/customers", world.ready.sandbox);
        world.ask(world.http().post(path).json(&wrote)).await;
        meta.challenge("hub.mode=subscribe&hub.verify_token=x&hub.challenge=1").await;
        world.pass(61).await;
        let _ = world.engine().run_schedule("sweep-outbox").await;
    }
}

/// Meets the first call of each operation by each function with this fault, at this level.
async fn damage_every_answer(level: &str, error: &Failure) {
    let parameters = BTreeMap::from([("LogLevel".to_owned(), level.to_owned())]);
    let world = World::start_with(parameters).await;
    let business = world.business(500, 1).await;
    let meta = Meta::of(&world).await;
    world.allow(|allowed| allowed.unheard = true);
    // A part of a canary is one, too.
    world.ledger().secrets.extend(["a canary".to_owned(), "canary-before".to_owned()]);
    for channel in ["whatsapp", "email"] {
        world.report(channel, json!({ "statuses": ["sent", "delivered"] })).await;
    }

    let errand = Errand { world: &world, business: &business, meta: &meta };
    errand.run().await;
    let calls: BTreeSet<_> = world.calls().into_keys().collect();
    assert!(calls.len() > 30, "{calls:?}");

    let faults = world.engine().faults();
    for (function, operation) in &calls {
        let operation = operation.rsplit(':').next().unwrap_or_default();
        let mut rule = FaultRule::new(operation, error.clone());
        rule.function = Some(function.clone());
        rule.trigger.times = Some(1);
        faults.set(rule).expect("it is a rule");
    }
    for _ in 0..ROUNDS {
        errand.run().await;
    }
    // Writes are not mangled.
    let reads = ["BatchGet", "Get", "Query"];
    let can_be_met = |rule: &FaultRule| {
        *error != Failure::Mangled || reads.iter().any(|word| rule.operation.starts_with(word))
    };
    let unmet: Vec<_> = faults.rules().into_iter().filter(can_be_met).collect();
    assert_eq!(unmet, [], "calls that no fault has met");
    faults.clear();

    for _ in 0..3 {
        world.pass(300).await;
        world.sweep().await;
    }
}

/// At `trace`, everything is logged that is at the other levels. `LONG=1` tries those as well.
fn levels() -> &'static [&'static str] {
    if setting("LONG", 0) == 0 { &["trace"] } else { &["info", "debug", "trace"] }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_cut_is_not_logged() {
    for level in levels() {
        damage_every_answer(level, &Failure::Garbage).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_mangled_is_not_logged() {
    for level in levels() {
        damage_every_answer(level, &Failure::Mangled).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_error_of_awss_quotes_is_not_logged() {
    damage_every_answer("debug", &Failure::Error("AccessDeniedException".to_owned())).await;
}

/// Returns every event that differs from this one by a canary in one place: as a text, and as the
/// name of a member.
fn with_canaries(event: &Value) -> Vec<Value> {
    let canaries = [json!("a canary"), json!({ "a canary": "a canary" })];
    let mut all = canaries.to_vec();
    match event {
        Value::Array(values) => {
            for (place, value) in values.iter().enumerate() {
                all.extend(with_canaries(value).into_iter().map(|spoilt| {
                    let mut values = values.clone();
                    values[place] = spoilt;
                    Value::Array(values)
                }));
            }
        }
        Value::Object(members) => {
            for (name, value) in members {
                all.extend(with_canaries(value).into_iter().map(|spoilt| {
                    let mut members = members.clone();
                    members[name] = spoilt;
                    Value::Object(members)
                }));
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_cannot_be_read_is_not_logged() {
    let world = World::start().await;
    world.ledger().secrets.push("a canary".to_owned());

    for (function, event) in EVENTS {
        // The demo's key is in it; with an unknown one, nothing is stored.
        let event = event.replace("pbk_8d0a1c52", "pbk_00000000");
        let event: Value = serde_json::from_str(&event).expect("JSON");
        for spoilt in with_canaries(&event) {
            let _ = world.engine().invoke(function, spoilt).await;
        }
    }
}

/// One event of each kind that functions get.
const EVENTS: [(&str, &str); 5] = [
    ("send-message", include_str!("../../functions/send-message/events/text.json")),
    ("chat-socket", include_str!("../../functions/chat-socket/events/hello.json")),
    ("deliver-email", include_str!("../../functions/deliver-email/events/doorbell.json")),
    ("receipts-email", include_str!("../../functions/receipts-email/events/sent.json")),
    ("sweep-outbox", include_str!("../../functions/sweep-outbox/events/every-minute.json")),
];
