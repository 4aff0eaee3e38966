//! Inputs that grow: longer, deeper and more of everything, on each route of the contract. The
//! service answers each itself. The gateway would turn a function that breaks off, runs out of time
//! or answers more than 6 MB into a 5xx.
//!
//! `LONG=1` tries more sizes, and each body without a known credential.

mod bodies;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use super::receipts::meta::Meta;
use bodies::{Body, FORM, bodies, documents, part};
use domain::{BusinessId, ConversationId};
use platform::capability::Capability;
use platform::credential::ApiKey;
use platform::widget_script::WidgetScript;
use read_messages::page::MAX_PAGE_BYTES;
use tests::contract::{Contract, Operation};
use tests::suite::setting;
use tests::{Answer, Business, World, next_page};

/// How much of everything there is: a little, more than anything is meant for, and as much as fits
/// into the largest body.
const SIZES: [usize; 4] = [1, 130, 8_000, 80_000];

/// The size of heads that `cargo test` tries: they end before the last of [`SIZES`].
const SIZE_OF_HEADS: usize = 8_000;

fn is_long() -> bool {
    setting("LONG", 0) > 0
}

/// The most bytes of a body that the API takes, for a form with a file.
const LARGEST_BODY: usize = (4 << 20) + (64 << 10);

/// Room for all headers of a request, and for its path and query ([quotas of HTTP
/// APIs](https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html): 10,240
/// bytes together).
const LARGEST_HEAD: usize = 8 << 10;

/// The callers by their credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CallerKind {
    Known,
    Unknown,
    Missing,
}

/// Everything that a route needs to be reached.
struct Callers<'a> {
    world: &'a World,
    meta: Meta<'a>,
    business: Business,
    strange_key: String,
    message_id: Uuid,
    file: String,
    endpoint: String,
}

impl<'a> Callers<'a> {
    async fn of(world: &'a World) -> Callers<'a> {
        let business = world.business(1_000_000, 1).await;
        let conversation_id = business.conversation_id("email");
        let message_id =
            world.send(&business.api_key, conversation_id, "the first").go().await.id();
        let strange_key = ApiKey::generate(BusinessId(Uuid::new_v4())).reveal();
        world.ledger().secrets.push(strange_key.clone());

        let id = BusinessId(business.business_id);
        let unknown = Capability::generate(id, ConversationId(conversation_id));
        let url = unknown.link().url("");
        let file = url.rsplit_once('/').expect("a path").1.to_owned();
        let meta = Meta::of(world).await;

        let made = world
            .http()
            .post(format!("{}/api/v1/webhook_endpoints", world.ready.api))
            .bearer_auth(&business.api_key)
            .json(&json!({ "url": format!("{}/receivers/any", world.ready.sandbox) }));
        let endpoint = world.ask(made).await.json()["id"].as_str().expect("an id").to_owned();
        Callers { world, meta, business, strange_key, message_id, file, endpoint }
    }

    /// Returns what stands for a parameter of a path.
    fn path_parameter(&self, name: &str) -> String {
        match name {
            "conversation_id" => self.business.conversation_id("email").to_string(),
            "message_id" => self.message_id.to_string(),
            "file" => self.file.clone(),
            "endpoint_id" => self.endpoint.clone(),
            "script" => WidgetScript::newest().name.to_owned(),
            other => panic!("{other} is new: say what it may be"),
        }
    }

    fn path(&self, contract: &Contract, operation: &Operation<'_>) -> String {
        let parameters = contract.parameters(operation);
        let names = parameters.iter().filter(|parameter| parameter["in"] == "path");
        names.fold(operation.path.to_owned(), |path, parameter| {
            let name = parameter["name"].as_str().expect("a name");
            path.replace(&format!("{{{name}}}"), &self.path_parameter(name))
        })
    }

    /// Asks a route, signed as the caller signs.
    async fn ask(
        &self,
        operation: &Operation<'_>,
        path_and_query: &str,
        caller: CallerKind,
        headers: &[(String, Vec<u8>)],
        body: &[u8],
    ) -> (StatusCode, String) {
        let method: Method = operation.method.to_uppercase().parse().expect("a method");
        let url = format!("{}{path_and_query}", self.world.ready.api);
        let mut request = self.world.http().request(method, url).body(body.to_vec());

        let key = match caller {
            CallerKind::Known => Some(&self.business.api_key),
            CallerKind::Unknown => Some(&self.strange_key),
            CallerKind::Missing => None,
        };
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        if caller == CallerKind::Known && operation.id() == "receiveWhatsappWebhook" {
            request = request.header("X-Hub-Signature-256", self.meta.sign(body));
        }
        for (name, value) in headers {
            let name: HeaderName = name.parse().expect("a name");
            request = request.header(name, HeaderValue::from_bytes(value).expect("a value"));
        }

        let answer = request.send().await.expect("an answer");
        (answer.status(), answer.text().await.expect("a text"))
    }
}

/// The answers that are wrong.
#[derive(Default)]
struct Findings {
    requests: usize,
    wrong: Vec<String>,
}

impl Findings {
    fn note(&mut self, what: &str, caller: CallerKind, (status, text): (StatusCode, String)) {
        self.requests += 1;
        let is_told = caller == CallerKind::Known || !text.contains("\"errors\"");
        if status.is_server_error() || !is_told {
            let text: String = text.chars().take(200).collect();
            self.wrong.push(format!("{what}, {caller:?} caller: {status} {text}"));
        }
    }

    fn close(self, world: &World, least: usize) {
        assert!(self.wrong.is_empty(), "\n  - {}\n", self.wrong.join("\n  - "));
        assert!(self.requests >= least, "only {} requests", self.requests);
        let complaints = world.complaints();
        assert!(complaints.is_empty(), "{complaints}");
        let panicked = world.logged().into_iter().find(|line| line.text.contains("panicked"));
        assert!(panicked.is_none(), "{panicked:?}");
    }
}

fn json_header(content_type: &str) -> Vec<(String, Vec<u8>)> {
    vec![("content-type".to_owned(), content_type.as_bytes().to_vec())]
}

#[tokio::test(flavor = "multi_thread")]
async fn no_body_makes_a_5xx_however_it_grows() {
    let world = World::start().await;
    world.allow(|allowed| allowed.unheard = true);
    let callers = Callers::of(&world).await;
    let contract = Contract::get();
    let mut findings = Findings::default();

    // JSON is read up to 256 KiB, and forms by one route alone.
    let is_tried = |size: usize, body: &Body, operation: &Operation<'_>| match size {
        1 => false,
        130 => true,
        8_000 => body.content_type == "application/json",
        _ => body.content_type.starts_with("multipart/") && operation.id() == "uploadFile",
    };
    for size in SIZES {
        let bodies = bodies(size);
        for operation in contract.operations().filter(|operation| operation.method == "post") {
            let path = callers.path(contract, &operation);
            let tried = |body: &&Body| is_long() || is_tried(size, body, &operation);
            for body in bodies.iter().filter(tried) {
                let what = format!("{}, {} × {}", operation.id(), size, body.kind);
                let headers = json_header(&body.content_type);
                let both = [CallerKind::Known, CallerKind::Unknown];
                for caller in if is_long() || size == 130 { &both[..] } else { &both[..1] } {
                    let answer =
                        callers.ask(&operation, &path, *caller, &headers, &body.bytes).await;
                    findings.note(&what, *caller, answer);
                }
            }
        }
    }

    findings.close(&world, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_path_query_or_header_makes_a_5xx_however_it_grows() {
    let world = World::start().await;
    world.allow(|allowed| allowed.unheard = true);
    let callers = Callers::of(&world).await;
    let contract = Contract::get();
    let mut findings = Findings::default();

    let pieces = ["a", "%00", "%ff", "%2f", "%F0%9F%98%80", "..%2f", "=", "&after=1", "+", "9"];
    let values: [&[u8]; 6] = [b"a", b"\xff", b"\t\"", b"\\", b"9", b"=?x?Q?a"];
    let head = |piece: &[u8], size: usize| -> Vec<u8> {
        let bytes = piece.iter().copied().cycle().take((piece.len() * size).min(LARGEST_HEAD));
        [b"x", &bytes.collect::<Vec<_>>()[..], b"x"].concat()
    };

    let sizes = if is_long() { SIZES.to_vec() } else { vec![SIZE_OF_HEADS] };
    for operation in contract.operations() {
        let path = callers.path(contract, &operation);
        let body = r#"{"content":"x"}"#.as_bytes();
        let body = if operation.method == "post" { body } else { &[] };

        for &size in &sizes {
            for piece in pieces {
                let long = piece.repeat(size.min(LARGEST_HEAD / piece.len()));
                let what = format!("{}, {size} × {piece}", operation.id());
                let parameters = contract.parameters(&operation);
                for parameter in &parameters {
                    let name = parameter["name"].as_str().expect("a name");
                    let grown = match parameter["in"].as_str() {
                        Some("path") => path.replace(&callers.path_parameter(name), &long),
                        Some("query") => format!("{path}?{name}={long}"),
                        _ => continue,
                    };
                    let what = format!("{what} as {name}");
                    let headers = json_header("application/json");
                    let answer =
                        callers.ask(&operation, &grown, CallerKind::Known, &headers, body).await;
                    findings.note(&what, CallerKind::Known, answer);
                }

                let grown = format!("{path}?{long}");
                let headers = json_header("application/json");
                let answer =
                    callers.ask(&operation, &grown, CallerKind::Known, &headers, body).await;
                findings.note(&format!("{what} as a query"), CallerKind::Known, answer);
            }

            for value in values {
                let names = [
                    "authorization",
                    "idempotency-key",
                    "content-type",
                    "cookie",
                    "origin",
                    "x-hub-signature-256",
                    "host",
                    "x-forwarded-for",
                    "x-amzn-trace-id",
                ];
                for name in names {
                    let what = format!("{}, {size} × {value:?} as {name}", operation.id());
                    let headers = [(name.to_owned(), head(value, size))];
                    let caller = match name {
                        "authorization" => CallerKind::Missing,
                        _ => CallerKind::Known,
                    };
                    let answer = callers.ask(&operation, &path, caller, &headers, body).await;
                    findings.note(&what, caller, answer);
                }
            }

            let bearers = ["", "pbk_", "a.b.c", "eyJhbGciOiJIUzI1NiIsImtpZCI6IiJ9.e30."];
            for bearer in bearers {
                let token = format!("Bearer {bearer}{}", "a".repeat(size.min(LARGEST_HEAD)));
                let headers = [("authorization".to_owned(), token.into_bytes())];
                let what = format!("{}, {size} × {bearer} as a token", operation.id());
                let answer =
                    callers.ask(&operation, &path, CallerKind::Missing, &headers, body).await;
                findings.note(&what, CallerKind::Missing, answer);
            }

            let many = size.min(60);
            let headers: Vec<(String, Vec<u8>)> =
                (0..many).map(|place| (format!("x-{place}"), b"y".to_vec())).collect();
            let answer = callers.ask(&operation, &path, CallerKind::Known, &headers, body).await;
            findings.note(
                &format!("{}, {many} headers", operation.id()),
                CallerKind::Known,
                answer,
            );
        }
    }

    findings.close(&world, 500);
}

/// Bodies of any bytes, and JSON of any shape, on every route.
#[tokio::test(flavor = "multi_thread")]
async fn no_random_input_makes_a_5xx() {
    let world = World::start().await;
    world.allow(|allowed| allowed.unheard = true);
    let callers = Callers::of(&world).await;
    let contract = Contract::get();
    let mut findings = Findings::default();
    let mut runner = TestRunner::deterministic();

    let word = prop_oneof![
        Just("content".to_owned()),
        Just("attachments".to_owned()),
        Just("filename".to_owned()),
        Just("size".to_owned()),
        Just("entry".to_owned()),
        "[\\x00-\\u{ffff}]{0,8}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[\\x00-\\u{10ffff}]{0,20}".prop_map(Value::from),
    ];
    let tree = leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
            prop::collection::btree_map(word.clone(), inner, 0..8)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    });
    let bytes = prop_oneof![
        tree.prop_map(|tree| tree.to_string().into_bytes()),
        prop::collection::vec(any::<u8>(), 0..300),
        "(--b\r\n|--b--|Content-Disposition: form-data; |name=\"?file\"?;|\r\n|[ -~]{0,5}){0,30}"
            .prop_map(String::into_bytes),
    ];
    let request = (bytes, "[ -~]{0,40}", any::<bool>());

    for operation in contract.operations() {
        let path = callers.path(contract, &operation);
        for _ in 0..60 {
            let tree = request.new_tree(&mut runner).expect("a request");
            let (bytes, text, is_form) = tree.current();
            let query = utf8_percent_encode(&text, NON_ALPHANUMERIC);
            let path = format!("{path}?after={query}&limit={query}&hub.mode={query}");
            let headers = json_header(if is_form { FORM } else { "application/json" });
            let answer = callers.ask(&operation, &path, CallerKind::Known, &headers, &bytes).await;
            let what = format!("{}, {:?}", operation.id(), String::from_utf8_lossy(&bytes));
            findings.note(&what, CallerKind::Known, answer);
        }
    }

    findings.close(&world, 500);
}

fn listed(answer: &Answer) -> (usize, bool) {
    let problem = answer.json();
    let errors = problem["errors"].as_array().map_or(0, Vec::len);
    (errors, problem["more_errors"] == true)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_thousands_of_errors_is_told_the_first_hundred() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("email");
    let send = async |body: String| {
        world.send(&business.api_key, conversation_id, "").body(body).go().await
    };
    let upload = async |parts: Vec<u8>| {
        let bearer = format!("Bearer {}", business.api_key);
        let headers = [("authorization", bearer.as_str()), ("content-type", FORM)];
        let path = format!("/api/v1/conversations/{conversation_id}/upload");
        world.call(Method::POST, &path, &headers, Body::form("", parts).bytes).await
    };

    let numbers = documents(60_000).swap_remove(3);
    let names = |count: usize, length: usize| {
        let name = |place: usize| format!("\"{place}{}\":1", "\\t".repeat(length));
        format!("{{{}}}", (0..count).map(name).collect::<Vec<_>>().join(","))
    };
    let tabs = format!("name=\"{}\"", "\t".repeat(8_000));

    for (what, answer) in [
        ("numbers", send(String::from_utf8(numbers.bytes).expect("a text")).await),
        ("names", send(names(20_000, 1)).await),
        ("long names", send(names(120, 1_000)).await),
        ("parts", upload(part("name=n", "").repeat(78_000).into_bytes()).await),
        ("names of tabs", upload(part(&tabs, "").repeat(500).into_bytes()).await),
    ] {
        assert_eq!(answer.problem(), (422, "validation_error".into()), "{what}");
        assert_eq!(listed(&answer), (100, true), "{what}");
        assert!(answer.text.len() < 256 << 10, "{what}: {} bytes", answer.text.len());
    }

    let few = send(names(99, 1)).await;
    assert_eq!(listed(&few), (100, false), "with the content that is missing");
    assert_eq!(world.usage(&business.api_key).await, (0, 10));
}

/// Everything is read once, page by page, whatever escaping makes of it. Older messages may hold
/// characters that no new one may: a control character takes one byte in the table and seven in an
/// answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_ends_by_the_size_of_its_answer_and_nothing_is_lost() {
    const MESSAGES: usize = 16;
    let world = World::start().await;
    let business = world.business(1_000, 1).await;
    let conversation_id = business.conversation_id("email");

    let mut sent = Vec::new();
    for place in 0..MESSAGES {
        let text = format!("number {place}");
        let answer = world.send(&business.api_key, conversation_id, &text).go().await;
        sent.push(answer.id());
    }
    let last = *sent.last().expect("some");
    world.until_status(&business.api_key, conversation_id, last, "sent").await;

    for (what, content, limits) in [
        ("control characters", "\u{1}".repeat(43_000), &["", "&limit=7"][..]),
        ("quotes", "\"".repeat(100_000), &[""]),
        ("giants", "\u{1}".repeat(380_000), &[""]),
    ] {
        for id in &sent {
            world.rewrite(&business, "email", *id, &content).await;
        }
        for limit in limits {
            let mut read = Vec::new();
            let mut after = Some("0".to_owned());
            let mut pages = 0;
            while let Some(cursor) = after {
                let path = format!(
                    "/api/v1/conversations/{conversation_id}/messages?after={cursor}{limit}"
                );
                let answer = world.get(&business.api_key, &path).await;
                assert_eq!(answer.status, 200, "{what}{limit}: {}", answer.text);
                let escaped = serde_json::to_string(&answer.text).expect("a text").len();

                let page = answer.json();
                let messages = page["messages"].as_array().expect("a list");
                assert!(messages.len() == 1 || escaped <= MAX_PAGE_BYTES + 1_000, "{escaped}");
                read.extend(messages.iter().map(|one| one["id"].clone()));
                after = next_page(&page).map(str::to_owned);
                pages += 1;
            }
            assert_eq!(json!(read), json!(sent), "{what}{limit}, {pages} pages");
        }
    }

    let path = format!("/api/v1/conversations/{conversation_id}/messages/{}", sent[0]);
    let giant = world.get(&business.api_key, &path).await;
    assert_eq!(giant.status, 200, "{}", giant.text);

    // What was sent is in the table again, for those who compare.
    for (place, id) in sent.iter().enumerate() {
        world.rewrite(&business, "email", *id, &format!("number {place}")).await;
    }
}
