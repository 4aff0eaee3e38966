//! Every limit of the contract, from the document itself: for each length, number, pattern, list of
//! words, required and forbidden member of a request, values at it and beyond it are made, the
//! document says which of them are allowed, and the system has to agree.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::strategy::{Strategy, ValueTree};
use proptest::string::string_regex;
use proptest::test_runner::TestRunner;
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::attachments::store;
use super::receipts::meta::{Meta, Sent, notification};
use platform::widget_script::WidgetScript;
use tests::contract::{Contract, Operation};
use tests::{Answer, PNG, World};

/// Texts that some pattern or other does not allow.
const ODD_TEXTS: [&str; 10] =
    ["", " ", "\u{a0}\u{3000}", "x", "a b", "é", "-1", "+1", "1/2", "text/x y"];

/// How many texts are made of each pattern.
const TEXTS_OF_A_PATTERN: usize = 4;

/// Places where the document allows a value and the system refuses it all the same, with which
/// code: it depends on more than the request's form.
const REFUSED_FOR_OTHER_REASONS: [(&str, &str, &str); 6] = [
    // Another URL is no upload of this conversation.
    ("sendMessage", "/body/attachments/0/url", "attachment_not_found"),
    // Another file's path leads nowhere.
    ("readFile", "/path/file", "file_not_found"),
    ("readFileHead", "/path/file", "file_not_found"),
    // There is no such version.
    ("readChatScript", "/path/script", "file_not_found"),
    // Only the app's own signature and token are good.
    ("receiveWhatsappWebhook", "/header/X-Hub-Signature-256", "not_from_provider"),
    ("verifyWhatsappWebhook", "/query/hub.verify_token", "not_from_provider"),
];

/// The parts of a request, by where they are: `path`, `query`, `header`, `body`.
type Request = Map<String, Value>;

/// A request that differs from a valid one in one value.
struct Probe {
    /// Where, as a JSON pointer into the request.
    place: String,
    request: Request,
    is_allowed: bool,
}

/// A value to put in a place's place: the place below the one that is looked at, the whole value,
/// and whether the document allows it there.
struct Variant {
    below: String,
    value: Option<Value>,
    is_allowed: bool,
}

/// Makes values around every limit of a schema; `base` is one that it allows.
fn variants(contract: &Contract, schema: &Value, base: &Value, is_text: bool) -> Vec<Variant> {
    let schema = contract.follow(schema);
    let mut made = Vec::new();

    let candidates = match base {
        Value::Object(members) => {
            made.extend(variants_of_members(contract, schema, members));
            let mut candidates = vec![json!("x"), json!([]), Value::Null];
            if let Some(most) = schema["maxProperties"].as_u64() {
                let named = |names: u64| -> Map<String, Value> {
                    (0..names).map(|name| (format!("name {name}"), json!("x"))).collect()
                };

                candidates.extend((most - 1..=most + 1).map(|names| named(names).into()));
            }

            candidates
        }
        Value::Array(items) => {
            let first = items.first().cloned().unwrap_or_default();
            let inner = variants(contract, &schema["items"], &first, false);
            made.extend(variants_of_items(inner));
            let mut candidates = vec![json!("x"), json!({}), Value::Null];
            for most in [&schema["minItems"], &schema["maxItems"]] {
                let Some(most) = most.as_u64() else { continue };
                let near = most.saturating_sub(1)..=most + 1;
                candidates
                    .extend(near.map(|length| Value::from(vec![first.clone(); length as usize])));
            }

            candidates
        }
        Value::String(text) => {
            let mut candidates: Vec<Value> =
                texts(schema, text).into_iter().map(Value::from).collect();
            if !is_text {
                candidates.extend([json!(7), json!([]), Value::Null]);
            }

            candidates
        }
        Value::Number(_) => {
            let mut candidates = vec![json!("x"), json!("+1"), json!(10.5)];
            for limit in [&schema["minimum"], &schema["maximum"]] {
                let Some(limit) = limit.as_i64() else { continue };
                candidates.extend((limit - 1..=limit + 1).map(Value::from));
            }

            if !is_text {
                candidates.extend([json!("7"), Value::Null]);
            }

            candidates
        }
        other => panic!("no request of ours has {other}"),
    };

    made.extend(candidates.into_iter().map(|value| Variant {
        below: String::new(),
        is_allowed: contract.allows(schema, &value),
        value: Some(value),
    }));
    made
}

/// Without each member, with one more, and with each other value of each.
fn variants_of_members(
    contract: &Contract,
    schema: &Value,
    members: &Map<String, Value>,
) -> Vec<Variant> {
    let mut made = Vec::new();
    let mut add = |name: &str, below: &str, value: Option<Value>, is_allowed: bool| {
        let mut changed = members.clone();
        match value {
            Some(value) => drop(changed.insert(name.to_owned(), value)),
            None => drop(changed.remove(name)),
        }

        let below = format!("/{name}{below}");
        made.push(Variant { below, value: Some(changed.into()), is_allowed });
    };

    let required = schema["required"].as_array().cloned().unwrap_or_default();
    let documented = schema["properties"].as_object().cloned().unwrap_or_default();
    let others = &schema["additionalProperties"];
    let named_by_callers = members.keys().filter(|name| !documented.contains_key(*name));
    let named_by_callers = named_by_callers.filter(|_| others.is_object());
    let named_by_callers = named_by_callers.map(|name| (name, others));
    for (name, property) in documented.iter().chain(named_by_callers) {
        let base = members.get(name).unwrap_or_else(|| panic!("give the sample a {name}"));
        add(name, "", None, !required.contains(&json!(name)));
        for inner in variants(contract, property, base, false) {
            add(name, &inner.below, inner.value, inner.is_allowed);
        }
    }

    let is_allowed = match others {
        Value::Object(_) => contract.allows(others, &json!(1)),
        others => *others != false,
    };

    add("undocumented", "", Some(json!(1)), is_allowed);

    made
}

/// Each other value of the first item.
fn variants_of_items(inner: Vec<Variant>) -> impl Iterator<Item = Variant> {
    inner.into_iter().map(|variant| Variant {
        below: format!("/0{}", variant.below),
        value: variant.value.map(|value| json!([value])),
        is_allowed: variant.is_allowed,
    })
}

/// Texts of every length, pattern and word that a schema limits, and odd ones.
fn texts(schema: &Value, base: &str) -> Vec<String> {
    let mut texts: Vec<String> = ODD_TEXTS.map(str::to_owned).into();
    let last = base.chars().last().unwrap_or('x');
    for limit in [&schema["minLength"], &schema["maxLength"]] {
        let Some(limit) = limit.as_u64() else { continue };
        for length in limit.saturating_sub(1)..=limit + 1 {
            let length = usize::try_from(length).expect("a length");
            texts.push(base.chars().chain(std::iter::repeat(last)).take(length).collect());
        }
    }

    if let Some(pattern) = schema["pattern"].as_str() {
        let mut runner = TestRunner::deterministic();
        // It makes whole texts anyway, and knows no anchors.
        let unanchored = pattern.trim_start_matches('^').trim_end_matches('$');
        let strategy = string_regex(unanchored).expect("a pattern that Rust reads, too");
        let made = (0..TEXTS_OF_A_PATTERN)
            .map(|_| strategy.new_tree(&mut runner).expect("a text").current());
        for text in made {
            // A text that shows nothing is blank to the system, which no pattern can say.
            let is_shown = text.chars().any(char::is_alphanumeric);
            let text = if is_shown { text } else { format!("{text}x") };
            // One character more is beyond what the pattern counts, at either end.
            texts.extend([format!("{text}x"), format!("/{text}"), text]);
        }

        texts.extend(longest_names(pattern));
    }

    let words = schema["enum"].as_array().into_iter().flatten();
    texts.extend(words.filter_map(|word| word.as_str().map(str::to_owned)));
    texts
}

/// Texts of as many characters as a pattern's `{0,n}` counts, and one more.
fn longest_names(pattern: &str) -> Vec<String> {
    let counts =
        pattern.split("{0,").skip(1).filter_map(|rest| rest.split('}').next()?.parse().ok());
    let lengths: Vec<usize> = counts.flat_map(|most: usize| [most + 1, most + 2]).collect();
    let name = |length: &usize| "n".repeat(*length);
    lengths
        .iter()
        .flat_map(|length| [format!("{}/n", name(length)), format!("n/{}", name(length))])
        .collect()
}

/// The requests that probe one operation.
fn probes(contract: &Contract, operation: &Operation<'_>, sample: &Request) -> Vec<Probe> {
    let mut probes = Vec::new();
    let mut add =
        |place: &str, name: &str, value: Option<Value>, below: String, is_allowed: bool| {
            let mut request = sample.clone();
            let part = request.entry(place).or_insert_with(|| json!({}));
            match (place, value) {
                ("body", value) => *part = value.expect("a body is there"),
                (_, Some(value)) => part[name] = value,
                (_, None) => drop(part.as_object_mut().expect("parameters").remove(name)),
            }

            let name = if place == "body" { String::new() } else { format!("/{name}") };
            probes.push(Probe { place: format!("/{place}{name}{below}"), request, is_allowed });
        };

    for parameter in contract.parameters(operation) {
        let place = parameter["in"].as_str().expect("a place");
        let name = parameter["name"].as_str().expect("a name");
        let base = &sample[place][name];
        assert!(!base.is_null(), "give {}'s sample a {name}", operation.id());
        if place != "path" {
            add(place, name, None, String::new(), parameter["required"] != true);
        }

        for variant in variants(contract, &parameter["schema"], base, true) {
            let value = variant.value.expect("a parameter is a value");
            if can_be_sent(place, &value) {
                add(place, name, Some(value), String::new(), variant.is_allowed);
            }
        }
    }

    let schema = &operation.own["requestBody"]["content"]["application/json"]["schema"];
    if !schema.is_null() {
        for variant in variants(contract, schema, &sample["body"], false) {
            add("body", "", variant.value, variant.below, variant.is_allowed);
        }
    }

    probes
}

/// False for what HTTP itself changes or forbids on its way.
fn can_be_sent(place: &str, value: &Value) -> bool {
    let text = as_text(value);
    match place {
        "path" => !text.is_empty() && !text.contains('/'),
        "header" => text.trim() == text && HeaderValue::from_str(&text).is_ok(),
        _ => true,
    }
}

fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Returns the URL of an endpoint that takes everything.
fn receiver(world: &World) -> String {
    format!("{}/receivers/any", world.ready.sandbox)
}

/// Makes an endpoint, and returns its id.
async fn endpoint(world: &World, key: &str) -> String {
    let call = world
        .http()
        .post(format!("{}/api/v1/webhook_endpoints", world.ready.api))
        .bearer_auth(key)
        .json(&json!({ "url": receiver(world) }));
    let made = world.ask(call).await.json();
    made["id"].as_str().expect("an id").to_owned()
}

/// Makes a valid request for each operation.
async fn samples(world: &World, meta: &Meta<'_>) -> Vec<(&'static str, Request)> {
    let business = world.business(1_000, 1).await;
    let conversation_id = business.conversation_id("email");
    let key = format!("Bearer {}", business.api_key);
    let file = store(world, &business.api_key, conversation_id, "a.png", "image/png", PNG).await;
    let url = file.json()["url"].as_str().expect("a URL").to_owned();
    let path_of_file = url.rsplit_once('/').expect("a path").1.to_owned();
    let message = world.send(&business.api_key, conversation_id, "by e-mail").go().await.id();

    let chat = business.conversation_id("chat");
    let shown = world.send(&business.api_key, chat, "in the chat").go().await.id();
    world.until_status(&business.api_key, chat, shown, "delivered").await;
    let visitor = format!("Bearer {}", world.visitor_token(chat).await);
    let sent = Sent::of(world, business.business_id, chat, shown).await;
    let report = notification(&[sent.status("delivered")]);
    let signature = meta.sign(report.to_string().as_bytes());

    let sent_to = endpoint(world, &business.api_key).await;
    let deleted = endpoint(world, &business.api_key).await;

    let samples = [
        (
            "sendMessage",
            json!({
                "path": { "conversation_id": conversation_id },
                "header": { "authorization": key, "Idempotency-Key": "a-key" },
                "body": {
                    "content": "x",
                    "attachments": [{ "url": url }],
                    "metadata": { "order": "4711" },
                },
            }),
        ),
        (
            "listMessages",
            json!({
                "path": { "conversation_id": conversation_id },
                "query": { "after": "0.0", "before": "9", "order": "asc", "limit": 10,
                    "sender_type": "any" },
                "header": { "authorization": key },
            }),
        ),
        (
            "listExceptions",
            json!({
                "query": {
                    "status": "failed",
                    "channel": "email",
                    "since": "2026-03-01T09:05:00Z",
                    "until": "2026-03-01T09:06:00Z",
                    "before": format!("1772355902123.chat.{conversation_id}.000000000001"),
                    "limit": 10,
                },
                "header": { "authorization": key },
            }),
        ),
        (
            "listEvents",
            json!({
                "query": { "after": "0", "types": "message.sent", "limit": 10 },
                "header": { "authorization": key },
            }),
        ),
        (
            "createWebhookEndpoint",
            json!({
                "header": { "authorization": key },
                "body": { "url": receiver(world), "events": ["message.sent"],
                    "description": "x" },
            }),
        ),
        ("listWebhookEndpoints", json!({ "header": { "authorization": key } })),
        (
            "readWebhookEndpoint",
            json!({ "path": { "endpoint_id": sent_to }, "header": { "authorization": key } }),
        ),
        (
            "changeWebhookEndpoint",
            json!({
                "path": { "endpoint_id": sent_to },
                "header": { "authorization": key },
                "body": { "url": receiver(world), "events": ["message.sent"],
                    "description": "x", "status": "disabled" },
            }),
        ),
        (
            "deleteWebhookEndpoint",
            json!({ "path": { "endpoint_id": deleted }, "header": { "authorization": key } }),
        ),
        (
            "rotateWebhookSecret",
            json!({ "path": { "endpoint_id": sent_to }, "header": { "authorization": key } }),
        ),
        (
            "testWebhookEndpoint",
            json!({ "path": { "endpoint_id": sent_to }, "header": { "authorization": key } }),
        ),
        (
            "listWebhookDeliveries",
            json!({
                "path": { "endpoint_id": sent_to },
                "query": { "status": "failed", "before": "9", "limit": 10 },
                "header": { "authorization": key },
            }),
        ),
        (
            "redeliverEvents",
            json!({
                "path": { "endpoint_id": sent_to },
                "header": { "authorization": key },
                "body": { "event_ids": [Uuid::nil()], "since": "2026-03-01T09:05:00Z",
                    "until": "2026-03-01T09:06:00Z", "after": "0" },
            }),
        ),
        (
            "readMessage",
            json!({
                "path": { "conversation_id": conversation_id, "message_id": message },
                "header": { "authorization": key },
            }),
        ),
        (
            "announceFile",
            json!({
                "path": { "conversation_id": conversation_id },
                "header": { "authorization": key },
                "body": { "filename": "a.png", "content_type": "image/png", "size": 12 },
            }),
        ),
        // What is deprecated there.
        (
            "uploadFile",
            json!({
                "path": { "conversation_id": conversation_id },
                "header": { "authorization": key },
                "body": { "filename": "a.png", "content_type": "image/png", "size": 12 },
            }),
        ),
        ("readFile", json!({ "path": { "file": path_of_file } })),
        ("readFileHead", json!({ "path": { "file": path_of_file } })),
        (
            "readChatMessage",
            json!({
                "path": { "message_id": shown },
                "header": { "authorization": visitor },
            }),
        ),
        ("readChatScript", json!({ "path": { "script": WidgetScript::newest().name } })),
        ("readUsage", json!({ "header": { "authorization": key } })),
        (
            "verifyWhatsappWebhook",
            json!({
                "query": {
                    "hub.mode": "subscribe",
                    "hub.verify_token": meta.verify_token,
                    "hub.challenge": "1158201444",
                },
            }),
        ),
        (
            "receiveWhatsappWebhook",
            json!({
                "header": { "X-Hub-Signature-256": signature },
                "body": report,
            }),
        ),
    ];
    samples
        .into_iter()
        .map(|(id, sample)| (id, sample.as_object().expect("parts").clone()))
        .collect()
}

/// Sends a request to an operation. What is as in the sample and has to fit the rest of the request
/// is made for it.
async fn send(
    world: &World,
    meta: &Meta<'_>,
    operation: &Operation<'_>,
    sample: &Request,
    request: &Request,
) -> Answer {
    let part =
        |name: &str| request.get(name).and_then(Value::as_object).cloned().unwrap_or_default();
    let escaped =
        |value: &Value| utf8_percent_encode(&as_text(value), NON_ALPHANUMERIC).to_string();

    let path = part("path").iter().fold(operation.path.to_owned(), |path, (name, value)| {
        path.replace(&format!("{{{name}}}"), &escaped(value))
    });

    let query: Vec<String> =
        part("query").iter().map(|(name, value)| format!("{name}={}", escaped(value))).collect();
    let method: Method = operation.method.to_uppercase().parse().expect("a method");
    let url = format!("{}{path}?{}", world.ready.api, query.join("&"));
    let mut call = world.http().request(method, url.trim_end_matches('?'));

    let body = request.get("body").map(Value::to_string);
    for (name, value) in part("header") {
        let is_as_in_the_sample = value == sample["header"][&name];
        let text = match name.as_str() {
            "X-Hub-Signature-256" if is_as_in_the_sample => {
                meta.sign(body.as_deref().unwrap_or_default().as_bytes())
            }
            "Idempotency-Key" if is_as_in_the_sample => Uuid::new_v4().to_string(),
            _ => as_text(&value),
        };

        call = call.header(&name, HeaderValue::from_str(&text).expect("a header"));
    }

    if let Some(body) = body {
        call = call.header("Content-Type", "application/json").body(body);
    }

    world.ask(call).await
}

/// Notes a message that was accepted, for the oracle.
fn note(world: &World, operation: &Operation<'_>, request: &Request, answer: &Answer) {
    if operation.id() == "sendMessage" && answer.status == 201 {
        let text = as_text(&request["body"]["content"]);
        let mut ledger = world.ledger();
        ledger.note_answer("", None, &text, answer);
        ledger.texts.push(text);
    }
}

/// Deletes an endpoint that was made: a business has only so many.
async fn delete_again(world: &World, operation: &Operation<'_>, sample: &Request, answer: &Answer) {
    if operation.id() == "createWebhookEndpoint" && answer.status == 201 {
        let made = answer.json();
        let id = made["id"].as_str().expect("an id");
        let call = world
            .http()
            .delete(format!("{}/api/v1/webhook_endpoints/{id}", world.ready.api))
            .header("authorization", sample["header"]["authorization"].as_str().expect("a key"));
        assert_eq!(world.ask(call).await.status, 204);
    }
}

/// Says what is wrong with the answer to a probe; `None` if system and document agree.
fn disagreement(operation: &Operation<'_>, probe: &Probe, answer: &Answer) -> Option<String> {
    let succeeded = answer.status.is_success() || answer.status.is_redirection();
    let code = match operation.method {
        _ if succeeded => String::new(),
        // An answer without a body, as to the other files.
        "head" if answer.status == 404 => "file_not_found".to_owned(),
        _ => answer.problem().1,
    };

    let other_reason = REFUSED_FOR_OTHER_REASONS
        .iter()
        .any(|(id, place, with)| *id == operation.id() && *place == probe.place && *with == code);

    let agrees = if probe.is_allowed {
        succeeded || other_reason
    } else if operation.own["responses"]["422"].is_null() {
        ["not_from_provider", "file_not_found"].contains(&code.as_str())
    } else {
        other_reason || answer.status == 422 && names(answer, &probe.place)
    };

    let part = probe.place.split('/').nth(1).unwrap_or_default();
    let shown: String = probe.request[part].to_string().chars().take(300).collect();

    (!agrees).then(|| {
        let says = if probe.is_allowed { "allows" } else { "does not allow" };
        let (id, place) = (operation.id(), &probe.place);
        let text: String = answer.text.chars().take(300).collect();
        format!("{id}, {place}: the contract {says} {shown}, answered {} {text}", answer.status)
    })
}

/// Whether a refusal names the place that is at fault.
fn names(answer: &Answer, place: &str) -> bool {
    let problem = answer.json();
    let steps = |loc: &Value| -> String {
        loc.as_array().into_iter().flatten().map(|step| format!("/{}", as_text(step))).collect()
    };

    let errors = problem["errors"].as_array().into_iter().flatten();
    let in_errors = errors.map(|error| steps(&error["loc"])).any(|loc| loc == place);

    // A channel's limits are told in a sentence.
    let name = place.rsplit('/').next().unwrap_or_default();
    let in_words = problem["code"] == "content_not_allowed"
        && problem["detail"].as_str().is_some_and(|detail| detail.contains(name));
    in_errors || in_words
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_contract_allows_is_accepted_and_one_beyond_it_is_refused_by_name() {
    let world = World::start().await;
    world.allow(|allowed| allowed.moved = true);
    let meta = Meta::of(&world).await;
    let contract = Contract::get();
    let samples = samples(&world, &meta).await;
    let mut disagreements = Vec::new();
    let mut count = 0;

    for operation in contract.operations() {
        let id = operation.id();
        let sample = samples.iter().find(|(name, _)| *name == id);
        let mut sample =
            sample.unwrap_or_else(|| panic!("{id} is new: give it a sample")).1.clone();
        if operation.is_open()
            && let Some(headers) = sample.get_mut("header")
        {
            headers.as_object_mut().expect("headers").remove("authorization");
        }

        let sample = &sample;

        let answer = send(&world, &meta, &operation, sample, sample).await;
        delete_again(&world, &operation, sample, &answer).await;
        let good = answer.status.is_success() || answer.status.is_redirection();
        assert!(good, "{id}'s sample is answered {} {}", answer.status, answer.text);
        note(&world, &operation, sample, &answer);

        if !operation.is_open() {
            let mut stranger = sample.clone();
            stranger["header"].as_object_mut().expect("headers").remove("authorization");
            let answer = send(&world, &meta, &operation, sample, &stranger).await;
            assert_eq!(answer.problem(), (401, "unauthorized".into()), "{id} without a token");
        }

        for probe in probes(contract, &operation, sample) {
            let answer = send(&world, &meta, &operation, sample, &probe.request).await;
            note(&world, &operation, &probe.request, &answer);
            delete_again(&world, &operation, sample, &answer).await;
            disagreements.extend(disagreement(&operation, &probe, &answer));
            count += 1;
        }
    }

    assert!(count > 200, "only {count} requests were made of the contract");
    assert!(disagreements.is_empty(), "\n\n  - {}\n", disagreements.join("\n  - "));
}
