//! Events that were changed at random, into each function: the examples of its folder, about what
//! is in this system's table, and then damaged. The seed is fixed; `LONG=1 cargo test --test system
//! mutations` makes 100,000 of each function.
//!
//! Half of them are damaged only where outsiders write: body, headers, path and query of a request,
//! a widget's frame and handshake, what a queue's message holds, what SES tells of a mail. Each of
//! these has an answer of the service's own. The other half are damaged anywhere: AWS sends no such
//! event, so a function may fail to read it, and then says so. No event makes a function panic,
//! break off or run out of time.

use std::collections::BTreeMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::{StreamExt, stream};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use super::receipts::meta;
use domain::{BusinessId, ConversationId};
use emulator::InvokeError;
use platform::capability::Capability;
use tests::World;
use tests::suite::setting;

/// Events of each function: `cargo test`, and `LONG=1`.
const EVENTS: u64 = 200;
const EVENTS_OF_THE_LONG_FORM: u64 = 100_000;

/// A sweep makes 64 queries and reads nothing of its event: it gets one of so many events.
const EVENTS_FOR_ONE_SWEEP: u64 = 50;

/// How many events are under way at once.
const AT_ONCE: usize = 8;

/// The ids of the examples.
const BUSINESS: &str = "8d0a1c52-6b1e-4f0e-9a3b-2c6f6f1f3a10";
const CONVERSATION: &str = "6f1c1f0e-3a57-4a39-9a55-6c1e7bb7d1a4";
const MESSAGE: &str = "0198f3c2-7a10-7000-8001-9d4c5b6a7f80";
const API_KEY: &str =
    "pbk_8d0a1c526b1e4f0e9a3b2c6f6f1f3a10_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
const VISITOR_TOKEN: &str = "eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0.e30.c2lnbmF0dXJl";

/// Pieces of text that are hard to read.
const PIECES: [&str; 24] = [
    "",
    " ",
    "\0",
    "\u{1}",
    "\t",
    "\n",
    "\"",
    "\\",
    "<",
    ">",
    "%",
    "%ff",
    "%00",
    "{",
    "}",
    "^",
    "|",
    "`",
    "é",
    "\u{200b}",
    "\u{feff}",
    "😀",
    "=?utf-8?B?/w==?=",
    "../",
];

/// The part of an event that is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Damage {
    /// The part that outsiders write.
    Outsiders,
    /// Anything.
    Anywhere,
}

/// An event of a function, as it should come.
#[derive(Clone)]
struct Example {
    function: String,
    event: Value,
}

impl Example {
    /// False for what AWS and the service itself write alone: the schedule, the table's stream, and
    /// the chat's timers.
    fn has_outsiders(&self) -> bool {
        match self.function.as_str() {
            "sweep-outbox" | "publish-events" => false,
            "chat-socket" => !self.event["Records"].is_array(),
            _ => true,
        }
    }
}

/// Changes events at random, and nests at most `depth` deep.
struct Mutator {
    random: StdRng,
    depth: usize,
}

/// As deep as a sender of JSON goes that a reader follows, and deeper: `serde_json` stops at 128.
const DEEP: usize = 90;
const TOO_DEEP: usize = 200;

impl Mutator {
    fn chance(&mut self, percent: u32) -> bool {
        self.random.random_range(0..100) < percent
    }

    fn below(&mut self, count: usize) -> usize {
        self.random.random_range(0..count.max(1))
    }

    /// Changes a text: as JSON, if it is that, or at one place.
    fn text(&mut self, text: &mut String) {
        if self.chance(60)
            && let Ok(mut value) = serde_json::from_str::<Value>(text)
            && !matches!(value, Value::String(_) | Value::Number(_))
        {
            self.value(&mut value);
            *text = value.to_string();
            return;
        }

        let place = self.below(text.chars().count() + 1);
        let place = text.char_indices().nth(place).map_or(text.len(), |(index, _)| index);
        match self.below(5) {
            0 => text.truncate(place),
            1 => *text = text.repeat(1 + self.below(3)),
            2 => *text = text[place..].to_owned(),
            3 => {
                let piece = PIECES[self.below(PIECES.len())];
                text.insert_str(place, &piece.repeat(1 + self.below(300)));
            }
            _ => text.insert_str(place, PIECES[self.below(PIECES.len())]),
        }
    }

    /// Makes a value of another type, or of another size.
    fn other(&mut self) -> Value {
        match self.below(14) {
            0 => Value::Null,
            1 => json!(self.chance(50)),
            2 => json!(0),
            3 => json!(-1),
            4 => json!(i64::MIN),
            5 => json!(u64::MAX),
            6 => json!(1.5e300),
            7 => json!(""),
            8 => json!(PIECES[self.below(PIECES.len())]),
            9 => json!("x".repeat(self.below(20_000))),
            10 => json!([]),
            11 => json!({}),
            12 => json!(vec![json!({}); self.below(300)]),
            _ => (0..self.below(self.depth)).fold(json!(1), |inner, _| json!([inner])),
        }
    }

    /// Changes a value in one to four places.
    fn value(&mut self, value: &mut Value) {
        for _ in 0..=self.below(4) {
            let place = self.below(count(value));
            self.change(nth(value, &mut { place }).expect("there are that many"));
        }
    }

    fn change(&mut self, node: &mut Value) {
        match node {
            Value::Object(members) if !members.is_empty() && self.chance(80) => {
                let name = members.keys().nth(self.below(members.len())).cloned();
                let name = name.expect("there are that many");
                match self.below(3) {
                    0 => drop(members.remove(&name)),
                    1 => {
                        let copy = members[&name].clone();
                        members.insert(format!("{name}{}", PIECES[self.below(PIECES.len())]), copy);
                    }
                    _ => drop(members.insert(name, self.other())),
                }
            }
            Value::Array(items) if !items.is_empty() && self.chance(80) => {
                let item = items[self.below(items.len())].clone();
                match self.below(3) {
                    0 => drop(items.pop()),
                    1 => items.extend(vec![item; self.below(40)]),
                    _ => items.push(self.other()),
                }
            }
            Value::String(text) if self.chance(70) => self.text(text),
            other => *other = self.other(),
        }
    }

    /// Changes what outsiders write into an event of this form. The body of a queue's message is
    /// counted with it: the record fails, and nothing else.
    fn outsiders_part(&mut self, event: &mut Value) {
        if event["Records"].is_array() {
            for record in event["Records"].as_array_mut().into_iter().flatten() {
                let mut body = record["body"].as_str().unwrap_or_default().to_owned();
                self.text(&mut body);
                record["body"] = body.into();
            }
        } else if event["detail"].is_object() {
            self.value(&mut event["detail"]);
        } else if event["requestContext"]["connectionId"].is_string() {
            match event["body"].as_str().map(str::to_owned) {
                Some(mut body) => {
                    self.text(&mut body);
                    event["body"] = body.into();
                }
                None => self.headers(event),
            }
        } else {
            for _ in 0..=self.below(3) {
                match self.below(4) {
                    0 => self.headers(event),
                    1 => self.query(event),
                    2 => self.path(event),
                    _ => self.body(event),
                }
            }
        }
    }

    /// Changes one header, into what HTTP lets through: no control characters but tabs. Names come
    /// in small letters, and the gateway writes `host` and `x-forwarded-…` itself.
    fn headers(&mut self, event: &mut Value) {
        let Some(headers) = event["headers"].as_object_mut() else { return };
        let written = |name: &&String| *name != "host" && !name.starts_with("x-forwarded");
        let names: Vec<String> = headers.keys().filter(written).cloned().collect();
        let name = names[self.below(names.len())].clone();

        let mut value = headers[&name].as_str().unwrap_or_default().to_owned();
        self.text(&mut value);
        value.retain(|one| one == '\t' || !one.is_control());
        value.truncate(value.floor_char_boundary(8 << 10));
        match self.below(6) {
            0 => drop(headers.remove(&name)),
            1 => drop(headers.insert(format!("x-{name}"), value.into())),
            _ => drop(headers.insert(name, value.into())),
        }
    }

    /// Changes the query, which the gateway passes on as it came, and decoded.
    fn query(&mut self, event: &mut Value) {
        let mut query = event["rawQueryString"].as_str().unwrap_or_default().to_owned();
        if query.is_empty() {
            query = "after=0&limit=10".to_owned();
        }
        self.text(&mut query);
        query.retain(|one| !one.is_control() && one != ' ' && one != '#');
        query.truncate(query.floor_char_boundary(8 << 10));

        let decoded: BTreeMap<String, String> =
            form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        event["queryStringParameters"] = json!(decoded);
        event["rawQueryString"] = query.into();
    }

    /// Changes a parameter of the path, which comes decoded.
    fn path(&mut self, event: &mut Value) {
        let Some(parameters) = event["pathParameters"].as_object_mut() else { return };
        for value in parameters.values_mut() {
            let mut text = value.as_str().unwrap_or_default().to_owned();
            self.text(&mut text);
            *value = text.into();
        }
    }

    /// Changes the body; what is no UTF-8 comes in base64.
    fn body(&mut self, event: &mut Value) {
        let text = event["body"].as_str().unwrap_or_default();
        let mut bytes = match event["isBase64Encoded"] == true {
            true => BASE64_STANDARD.decode(text).unwrap_or_default(),
            false => text.as_bytes().to_vec(),
        };

        if self.chance(50)
            && let Ok(mut text) = String::from_utf8(bytes.clone())
        {
            self.text(&mut text);
            bytes = text.into_bytes();
        } else {
            for _ in 0..=self.below(8) {
                let place = self.below(bytes.len() + 1);
                match self.below(3) {
                    0 => bytes.truncate(place),
                    1 => bytes.insert(place, self.random.random()),
                    _ => bytes.iter_mut().skip(place).take(1).for_each(|byte| *byte ^= 0x80),
                }
            }
        }

        let as_text = String::from_utf8(bytes.clone()).ok().filter(|_| self.chance(50));
        event["isBase64Encoded"] = as_text.is_none().into();
        event["body"] = as_text.unwrap_or_else(|| BASE64_STANDARD.encode(&bytes)).into();
    }
}

/// How many values there are in a value, itself included.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(members) => members.values().map(count).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// The value after `place` others, in the order of [`count`].
fn nth<'a>(value: &'a mut Value, place: &mut usize) -> Option<&'a mut Value> {
    if *place == 0 {
        return Some(value);
    }
    *place -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, place)),
        Value::Object(members) => members.values_mut().find_map(|member| nth(member, place)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

/// The examples of all functions, about what is in this world.
async fn examples(world: &World) -> Vec<Example> {
    let business = world.business(50, 1).await;
    let mut all = Vec::new();

    for folder in std::fs::read_dir(tests::contract::root().join("functions")).expect("functions") {
        let folder = folder.expect("a readable folder").path();
        let function = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Ok(events) = std::fs::read_dir(folder.join("events")) else { continue };

        let channel = match function.as_str() {
            "chat-socket" | "deliver-chat" => "chat",
            "deliver-whatsapp" | "receipts-whatsapp" => "whatsapp",
            _ => "email",
        };
        let conversation_id = business.conversation_id(channel);
        let message_id =
            world.send(&business.api_key, conversation_id, "the first").go().await.id();
        let visitor_token = world.visitor_token(business.conversation_id("chat")).await;
        let ids = (BusinessId(business.business_id), ConversationId(conversation_id));
        let file = Capability::generate(ids.0, ids.1).link().url("");

        for event in events {
            let text = std::fs::read_to_string(event.expect("a file").path()).expect("a text");
            let text = text
                .replace(API_KEY, &business.api_key)
                .replace(VISITOR_TOKEN, &visitor_token)
                .replace(BUSINESS, &business.business_id.to_string())
                .replace(CONVERSATION, &conversation_id.to_string())
                .replace(MESSAGE, &message_id.to_string());
            let mut event: Value = serde_json::from_str(&text).expect("JSON");
            if event["pathParameters"]["file"].is_string() {
                let secret = file.rsplit_once('/').expect("a path").1;
                event["pathParameters"]["file"] = secret.into();
            }
            all.push(Example { function: function.clone(), event });
        }
    }
    all
}

/// Signs a webhook's call as Meta would, so that what is in it is read.
fn sign(event: &mut Value, app_secret: &str) {
    let Some(text) = event["body"].as_str() else { return };
    let body = match event["isBase64Encoded"] == true {
        true => BASE64_STANDARD.decode(text).unwrap_or_default(),
        false => text.as_bytes().to_vec(),
    };
    event["headers"]["x-hub-signature-256"] = meta::signature(app_secret, &body).into();
}

/// Says what is wrong with an answer, if anything.
fn fault(damage: Damage, answer: Result<Value, InvokeError>) -> Option<String> {
    let answer = match answer {
        Ok(answer) => answer,
        Err(InvokeError::Function(error)) => {
            let breaks_off = error.error_type.starts_with("Runtime.")
                || error.error_type.starts_with("Sandbox.")
                || error.to_string().contains("panic");
            return (breaks_off || damage == Damage::Outsiders).then(|| error.to_string());
        }
        Err(error) => return Some(error.to_string()),
    };

    let status = answer["statusCode"].as_u64().unwrap_or_default();
    let is_fault = status >= 500 && damage == Damage::Outsiders;
    is_fault.then(|| answer.to_string().chars().take(300).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_event_makes_a_function_break_off_however_it_is_damaged() {
    let world = World::start().await;
    world.allow(|allowed| {
        (allowed.unheard, allowed.waiting, allowed.undelivered) = (true, true, true);
    });
    let examples = examples(&world).await;
    let secret = world.secret("WhatsappWebhook").await;
    let app_secret = secret["app_secret"].as_str().expect("a secret");
    let count = if setting("LONG", 0) == 0 { EVENTS } else { EVENTS_OF_THE_LONG_FORM };

    let mut by_function = BTreeMap::<&str, Vec<&Example>>::new();
    for example in &examples {
        by_function.entry(&example.function).or_default().push(example);
    }

    let mut faults = BTreeMap::<String, (String, u64)>::new();
    for (function, examples) in by_function {
        let count = if function == "sweep-outbox" { count / EVENTS_FOR_ONE_SWEEP } else { count };
        let events = stream::iter(0..count).map(|number| {
            let mut mutator = Mutator { random: StdRng::seed_from_u64(number), depth: TOO_DEEP };
            let example = examples[mutator.below(examples.len())];
            let mut event = example.event.clone();

            let damage = match number % 2 == 0 && example.has_outsiders() {
                true => Damage::Outsiders,
                false => Damage::Anywhere,
            };
            if event["detail"].is_object() {
                mutator.depth = DEEP; // The whole event is one JSON text.
            }
            match damage {
                Damage::Outsiders => mutator.outsiders_part(&mut event),
                Damage::Anywhere => mutator.value(&mut event),
            }
            if function == "receipts-whatsapp" && event["headers"].is_object() && mutator.chance(80)
            {
                sign(&mut event, app_secret);
            }

            let world = &world;
            async move {
                let text = event.to_string();
                let answer = world.engine().invoke(function, event).await;
                fault(damage, answer).map(|fault| (fault, format!("{number}, {damage:?}: {text}")))
            }
        });

        let found: Vec<_> =
            events.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await;
        for (fault, event) in found {
            let event = event.chars().take(2_000).collect();
            faults.entry(format!("{function}: {fault}")).or_insert((event, 0)).1 += 1;
        }
    }

    let faults: Vec<String> = faults
        .into_iter()
        .map(|(fault, (event, times))| format!("{fault}\n    {times} times, first by {event}"))
        .collect();
    assert!(faults.is_empty(), "\n  - {}\n", faults.join("\n  - "));

    let panicked: Vec<_> =
        world.logged().into_iter().filter(|line| line.text.contains("panicked")).take(5).collect();
    assert!(panicked.is_empty(), "{panicked:?}");
}
