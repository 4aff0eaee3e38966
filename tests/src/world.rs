//! A system of one's own: the whole of `template.yaml` in memory, on free ports, with the sandbox
//! around it.
//!
//! A world keeps its own ledger of what the API answered. When it is dropped, the [`crate::oracle`]
//! holds ledger, table and customers against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::mem::ManuallyDrop;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use reqwest::{Client, Method, RequestBuilder, StatusCode, redirect};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::contract;
use crate::oracle::{self, Allowed};
use crate::programs::programs;
use crate::send::{Answer, Send, read};
use domain::request_limit::MAX_REQUESTS_PER_MINUTE;
use emulator::{Engine, Logs};
use local::{Local, Options, Ready};
use sandbox::ReceiptRule;

/// How long a connection to the system is kept that no request uses.
const IDLE_CONNECTION: Duration = Duration::from_secs(5);

/// A running system, and what was said to it.
pub struct World {
    local: Option<Local>,
    logs: Logs,
    pub(crate) http: Client,
    ledger: Mutex<Ledger>,
    /// The table's DynamoDB, and where it is.
    dynamodb: Mutex<Option<(String, aws_sdk_dynamodb::Client)>>,
    /// How often a test made the sandbox do something.
    steps: AtomicU64,
    has_pages: AtomicBool,
    /// Where everything is.
    pub ready: Ready,
}

/// The API's answers, and the leftovers that the test is allowed.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Every message that was answered 201 and was not a replay, with its text.
    pub accepted: BTreeMap<Uuid, String>,
    /// Every message that a visitor was told is stored, with its text.
    pub written: BTreeMap<Uuid, String>,
    /// Every text that was sent or written, whatever was answered.
    pub texts: Vec<String>,
    /// Which messages a token's idempotency keys were answered with.
    pub keys: BTreeMap<(String, String), BTreeSet<Uuid>>,
    /// Words that must not be in any log.
    pub secrets: Vec<String>,
    /// Leftovers that this test is allowed.
    pub allowed: Allowed,
}

impl Ledger {
    /// Notes the answer to a message that was sent with this token and key.
    ///
    /// # Panics
    /// If an id was given to another message before.
    pub fn note_answer(&mut self, token: &str, key: Option<String>, text: &str, answer: &Answer) {
        if answer.status != StatusCode::CREATED {
            return;
        }
        if let Some(key) = key {
            self.keys.entry((token.to_owned(), key)).or_default().insert(answer.id());
        }

        // A replay is the first answer there is, if the one before it did not come.
        let before = self.accepted.insert(answer.id(), text.to_owned());
        if answer.header("idempotent-replayed").is_none() {
            assert_eq!(before, None, "an id was given twice");
        }
    }
}

/// A business of the test's own.
#[derive(Debug, Clone, Deserialize)]
pub struct Business {
    /// Its id.
    pub business_id: Uuid,
    /// A key that may send.
    pub api_key: String,
    /// One conversation on each channel.
    pub conversations: BTreeMap<String, Uuid>,
}

impl Business {
    /// Its conversation on a channel.
    ///
    /// # Panics
    /// If there is no such channel.
    #[must_use]
    pub fn conversation_id(&self, channel: &str) -> Uuid {
        self.conversations[channel]
    }
}

impl World {
    /// Starts a system whose WhatsApp and SES take messages and never report on them, until
    /// [`World::report`] has them do so. With `AWS_ENDPOINT_URL_DYNAMODB` in the environment it
    /// runs on that DynamoDB, with `FUNCTIONS` on the functions' own binaries in that directory.
    pub async fn start() -> World {
        World::start_with(BTreeMap::new()).await
    }

    /// Starts such a system with other values for the template's parameters.
    pub async fn start_with(parameters: BTreeMap<String, String>) -> World {
        World::start_of(contract::root().join("template.yaml"), parameters).await
    }

    /// Starts such a system of another template.
    pub async fn start_of(template: PathBuf, parameters: BTreeMap<String, String>) -> World {
        let logs = Logs::captured();
        let options = Options {
            logs: logs.clone(),
            programs: programs(),
            dynamodb: std::env::var("AWS_ENDPOINT_URL_DYNAMODB").ok().filter(|url| !url.is_empty()),
            receipts: ReceiptRule::off(),
            template,
            parameters,
            ..Options::default()
        };
        let local = Local::start(options).await.unwrap_or_else(|error| panic!("{error}"));
        let mut world = World::of(local.ready());
        (world.local, world.logs) = (Some(local), logs);
        world
    }

    /// A world around a system that runs elsewhere.
    pub fn of(ready: Ready) -> World {
        let demo = ready.demo.as_ref().expect("the demo is seeded");
        let secrets = vec![demo.token.clone(), demo.api_key.clone(), demo.visitor_token.clone()];
        let ledger = Mutex::new(Ledger { secrets, ..Ledger::default() });
        // A redirect is an answer of the API like any other. Nothing is encrypted on loopback, and
        // to read the system's certificates takes as long as several requests.
        let http = Client::builder().no_proxy().redirect(redirect::Policy::none());
        let http = http.tls_certs_only([]);
        let http = http.pool_idle_timeout(IDLE_CONNECTION).build().expect("a client");
        World {
            local: None,
            logs: Logs::discarded(),
            http,
            ledger,
            dynamodb: Mutex::default(),
            steps: AtomicU64::new(0),
            has_pages: AtomicBool::new(false),
            ready,
        }
    }

    /// A fresh business, whose callers may send as fast as they can: tests do, and how fast others
    /// may is `callers.rs`'s.
    pub async fn business(&self, limit: u64, shards: u16) -> Business {
        let new = json!({
            "limit": limit, "shards": shards, "requests_per_minute": MAX_REQUESTS_PER_MINUTE,
        });
        self.business_of(new).await
    }

    /// A fresh business, made as `new` says.
    ///
    /// # Panics
    /// If the sandbox does not make it.
    pub async fn business_of(&self, new: Value) -> Business {
        let answer = self.sandbox(Method::POST, "/businesses", new).await;
        let business: Business = serde_json::from_value(answer).expect("the documented shape");
        self.ledger().secrets.push(business.api_key.clone());
        business
    }

    /// One more conversation of a business, with a customer of its own.
    pub async fn another_conversation(&self, business: &Business, channel: &str) -> Uuid {
        let new = json!({"business_id": business.business_id, "channel": channel});
        let made = self.sandbox(Method::POST, "/conversations", new).await;
        serde_json::from_value(made["conversation_id"].clone()).expect("an id")
    }

    /// Has a business's events sent to a URL; returns the endpoint as it was made, with its secret.
    pub async fn endpoint(&self, business: &Business, url: &str) -> Value {
        let path = format!("{}/api/v1/webhook_endpoints", self.ready.api);
        let body = json!({ "url": url });
        let answer = read(self.http.post(path).bearer_auth(&business.api_key).json(&body)).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);

        let made = answer.json();
        let secret = made["secret"].as_str().expect("a text").to_owned();
        self.ledger().secrets.push(secret);
        made
    }

    /// Returns conversations for many callers at once: the business's own in the chat and more by
    /// e-mail, sixteen together. With fewer, the callers wait for each other's place in a
    /// conversation and not for the month's.
    pub async fn conversations_for_many(&self, business: &Business) -> Vec<Uuid> {
        let more = (1..16).map(|_| self.another_conversation(business, "email"));
        let mut all = join_all(more).await;
        all.push(business.conversation_id("chat"));
        all
    }

    /// A request that sends `text` into `conversation`.
    pub fn send<'a>(
        &'a self,
        token: &'a str,
        conversation_id: impl ToString,
        text: &str,
    ) -> Send<'a> {
        Send::new(self, token, conversation_id.to_string(), text)
    }

    /// Reads something of the public API.
    pub async fn get(&self, token: &str, path: &str) -> Answer {
        read(self.http.get(format!("{}{path}", self.ready.api)).bearer_auth(token)).await
    }

    /// A client, for requests that are like no other test's; [`World::ask`] sends them.
    #[must_use]
    pub fn http(&self) -> &Client {
        &self.http
    }

    /// Sends a request.
    pub async fn ask(&self, request: RequestBuilder) -> Answer {
        read(request).await
    }

    /// Calls the public API without any credential.
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Answer {
        let request = self.http.request(method, format!("{}{path}", self.ready.api)).body(body);
        read(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)))
            .await
    }

    /// Returns one of the template's secrets. No log may hold any of it.
    ///
    /// # Panics
    /// If there is no such secret in a system of this process.
    pub async fn secret(&self, logical_id: &str) -> Value {
        let local = self.local.as_ref().expect("it runs until it is dropped");
        let body = json!({"SecretId": local.engine().secret_id(logical_id).expect("the template declares it")});
        let call = self
            .http
            .post(local.engine().secrets_url())
            .header("X-Amz-Target", "secretsmanager.GetSecretValue");
        let answer =
            read(call.header("Content-Type", "application/x-amz-json-1.1").body(body.to_string()))
                .await;
        let text = answer.json()["SecretString"].as_str().expect("it has a value").to_owned();
        let secret: Value = serde_json::from_str(&text).expect("JSON");
        self.ledger().secrets.extend(secret_words(&secret));
        secret
    }

    /// Has the oracle look for everything that Secrets Manager holds by now.
    pub(crate) async fn note_every_secret(&self) {
        let Some(local) = &self.local else { return };
        let client = local.engine().secrets_manager();
        let listed = client.list_secrets().send().await.expect("the secrets can be listed");

        for id in listed.secret_list().iter().filter_map(|secret| secret.name()) {
            let read = client.get_secret_value().secret_id(id).send().await;
            let Some(text) = read.ok().and_then(|read| read.secret_string) else { continue };
            let secret = serde_json::from_str(&text).unwrap_or(Value::String(text));
            self.ledger().secrets.extend(secret_words(&secret));
        }
    }

    /// `used` and `limit` of the running month.
    pub async fn usage(&self, token: &str) -> (u64, u64) {
        let usage = self.get(token, "/api/v1/usage").await.json();
        (usage["used"].as_u64().expect("a number"), usage["limit"].as_u64().expect("a number"))
    }

    /// Returns the delivery of a message.
    pub async fn delivery(&self, token: &str, conversation_id: Uuid, id: Uuid) -> Value {
        let answer = self
            .get(token, &format!("/api/v1/conversations/{conversation_id}/messages/{id}"))
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json()["delivery"].take()
    }

    /// Waits until a message has this status, and tells the whole of its delivery.
    pub async fn until_status(
        &self,
        token: &str,
        conversation_id: Uuid,
        id: Uuid,
        status: &str,
    ) -> Value {
        self.until(&format!("{id} is {status}"), async || {
            let delivery = self.delivery(token, conversation_id, id).await;
            (delivery["status"] == status).then_some(delivery)
        })
        .await
    }

    /// Asks the sandbox's control API.
    pub async fn sandbox(&self, method: Method, path: &str, body: Value) -> Value {
        if method != Method::GET {
            self.steps.fetch_add(1, Ordering::Relaxed);
        }
        let request = self.http.request(method, format!("{}/sandbox{path}", self.ready.sandbox));
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = read(request).await;
        assert!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.text);
        serde_json::from_str(&answer.text).unwrap_or_default()
    }

    /// Returns how often the test made the sandbox do something, such as sweep or move the clock.
    pub(crate) fn steps(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// Makes AWS (`aws`) or a provider fail.
    pub async fn fault(&self, whose: &str, fault: Value) {
        self.sandbox(Method::PUT, &format!("/{whose}/faults"), fault).await;
    }

    /// Makes it well again.
    pub async fn heal(&self, whose: &str) {
        self.sandbox(Method::DELETE, &format!("/{whose}/faults"), Value::Null).await;
    }

    /// Has a provider report on what it takes from now on.
    pub async fn report(&self, channel: &str, receipts: Value) {
        self.sandbox(Method::PUT, &format!("/{channel}/receipts"), receipts).await;
    }

    /// Has a provider send the receipts that it holds; returns how many.
    ///
    /// # Panics
    /// If the sandbox does not say.
    pub async fn release(&self, channel: &str) -> u64 {
        let answer = self.sandbox(Method::POST, &format!("/{channel}/receipts"), Value::Null).await;
        answer["released"].as_u64().expect("a number")
    }

    /// Runs the sweeper.
    pub async fn sweep(&self) {
        self.sandbox(Method::POST, "/sweep", Value::Null).await;
    }

    /// Moves the system's clock by so many seconds from where it is.
    pub async fn pass(&self, seconds: i64) {
        let now = self.sandbox(Method::GET, "/clock", Value::Null).await["now"].clone();
        let now: chrono::DateTime<chrono::Utc> = serde_json::from_value(now).expect("a time");
        self.set_clock(now + chrono::TimeDelta::seconds(seconds)).await;
    }

    /// Sets the system's clock.
    pub async fn set_clock(&self, now: chrono::DateTime<chrono::Utc>) {
        self.sandbox(Method::POST, "/clock", json!({"now": now})).await;
    }

    /// The texts that a conversation's customer got, in order.
    pub async fn received(&self, channel: &str, conversation_id: Uuid) -> Vec<String> {
        if channel == "chat" {
            self.until_shown().await;
        }
        let all = self.sandbox(Method::GET, &format!("/{channel}/messages"), Value::Null).await;
        let all = all.as_array().expect("an array").clone();
        let of_it =
            all.into_iter().filter(|one| one["conversation_id"] == conversation_id.to_string());
        of_it.map(|one| one["content"].as_str().expect("a text").to_owned()).collect()
    }

    /// Waits until a conversation's customer got exactly these texts, in this order.
    pub async fn until_received(&self, channel: &str, conversation_id: Uuid, texts: &[String]) {
        self.until(&format!("{} texts arrive by {channel}", texts.len()), async || {
            let received = self.received(channel, conversation_id).await;
            assert!(received.len() <= texts.len(), "got {received:?}, wanted {texts:?}");
            (received.len() == texts.len()).then(|| assert_eq!(received, texts))
        })
        .await;
    }

    /// Says that pages in a browser act by clocks of their own: a wait does not end any more
    /// because the system is idle.
    pub fn expect_pages(&self) {
        self.has_pages.store(true, Ordering::Relaxed);
    }

    pub(crate) fn has_pages(&self) -> bool {
        self.has_pages.load(Ordering::Relaxed)
    }

    /// Allows the test a leftover.
    pub fn allow(&self, allow: impl FnOnce(&mut Allowed)) {
        allow(&mut self.ledger().allowed);
    }

    /// How often functions called AWS: (function, operation) → times.
    pub fn calls(&self) -> BTreeMap<(String, String), u64> {
        self.engine().calls().counted()
    }

    /// How often one function, by logical id, called AWS: operation → times.
    pub fn calls_of(&self, function: &str) -> BTreeMap<String, u64> {
        let own = self.calls().into_iter().filter(|((caller, _), _)| caller == function);
        own.map(|((_, operation), times)| (operation, times)).collect()
    }

    /// The local AWS and the functions.
    ///
    /// # Panics
    /// If the system runs elsewhere.
    #[must_use]
    pub fn engine(&self) -> &Engine {
        self.local.as_ref().expect("it runs in this process, until it is dropped").engine()
    }

    /// The table, for what no user can see or do.
    pub fn table(&self) -> platform::table::Table {
        platform::table::Table::new(self.dynamodb(), self.ready.table.clone())
    }

    /// The table's DynamoDB. Making a client takes longer than most calls do.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let mut known = self.dynamodb.lock().unwrap_or_else(PoisonError::into_inner);
        let (url, client) =
            known.take().filter(|(url, _)| *url == self.ready.aws.dynamodb).unwrap_or_else(|| {
                let url = self.ready.aws.dynamodb.clone();
                (url.clone(), dynamodb(&url))
            });
        known.insert((url, client)).1.clone()
    }

    /// A client of S3, with which tests do to objects what no user can.
    ///
    /// # Panics
    /// If the system has no bucket.
    #[must_use]
    pub fn s3(&self) -> aws_sdk_s3::Client {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
            .region(aws_sdk_s3::config::Region::new("us-east-1"))
            .credentials_provider(aws_sdk_s3::config::Credentials::new(
                "local", "local", None, None, "tests",
            ))
            .endpoint_url(self.ready.aws.s3.as_deref().expect("there is a bucket"))
            .force_path_style(true);
        aws_sdk_s3::Client::from_conf(config.build())
    }

    /// Replaces a secret: one of the template's by its logical id, any other by its name.
    ///
    /// # Panics
    /// If there is none of that name in a system of this process.
    pub async fn put_secret(&self, id: &str, text: impl ToString) {
        let id = self.engine().secret_id(id).unwrap_or(id);
        let put = self.engine().secrets_manager().put_secret_value();
        put.secret_id(id).secret_string(text.to_string()).send().await.expect("it is there");
    }

    /// Everything the functions logged so far.
    pub fn logged(&self) -> Vec<emulator::LogLine> {
        self.logs.lines()
    }

    /// Returns the errors that functions logged: the causes of each 500.
    pub fn complaints(&self) -> String {
        let errors = self.logged().into_iter().filter(|line| line.text.contains("\"ERROR\""));
        errors.map(|line| line.text + "\n").collect()
    }

    /// Stops the system without the oracle's check: for a table that was filled past the API.
    pub async fn stop_unchecked(self) {
        let mut world = ManuallyDrop::new(self);
        if let Some(local) = world.local.take() {
            local.stop().await;
        }
    }

    /// Returns the ledger of this world.
    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn dynamodb(url: &str) -> aws_sdk_dynamodb::Client {
    let credentials =
        aws_sdk_dynamodb::config::Credentials::new("test", "test", None, None, "test");
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
        .region(aws_sdk_dynamodb::config::Region::new("local"))
        .credentials_provider(credentials)
        .endpoint_url(url)
        .build();
    aws_sdk_dynamodb::Client::from_conf(config)
}

/// Adds the operations that functions asked for to the directory `PERMISSIONS`, if there is one:
/// tests/least-privilege compares what they need with the template.
fn keep_operations(engine: &Engine) {
    let Some(directory) = std::env::var_os("PERMISSIONS").filter(|name| !name.is_empty()) else {
        return;
    };
    let operations = engine.calls().operations();
    let lines =
        operations.iter().map(|one| serde_json::to_string(one).expect("three texts") + "\n");
    let file = PathBuf::from(directory).join(format!("{}.jsonl", Uuid::new_v4()));
    std::fs::write(&file, lines.collect::<String>())
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}

/// Adds the number of events that functions got to a file of the test's name in the directory
/// `COUNT_EVENTS`, if there is one: tests/attacks says how much there was of each attack.
fn keep_event_count(engine: &Engine) {
    let directory = std::env::var_os("COUNT_EVENTS").filter(|name| !name.is_empty());
    let thread = std::thread::current();
    let (Some(directory), Some(test)) = (directory, thread.name()) else { return };

    let file = PathBuf::from(directory).join(test);
    let written = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(&file)
        .and_then(|mut file| writeln!(file, "{}", engine.events()));
    written.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}

impl Drop for World {
    /// Counts, and stops the system. A test that has failed already is left at that.
    ///
    /// The thread waits meanwhile, and takes the wakes of what is polled beside this for its own:
    /// worlds that run side by side are dropped when all of them are done.
    fn drop(&mut self) {
        tokio::task::block_in_place(|| {
            Handle::current().block_on(async {
                if !std::thread::panicking() {
                    oracle::check(self).await;
                }
                if let Some(local) = self.local.take() {
                    keep_operations(local.engine());
                    keep_event_count(local.engine());
                    local.stop().await;
                }
            });
        });
    }
}

/// Returns the texts of a secret, however deep they stand. The name of a key is none.
fn secret_words(secret: &Value) -> Vec<String> {
    match secret {
        Value::String(word) => vec![word.clone()],
        Value::Array(all) => all.iter().flat_map(secret_words).collect(),
        Value::Object(members) => {
            let members = members.iter().filter(|(name, _)| *name != "kid");
            members.flat_map(|(_, value)| secret_words(value)).collect()
        }
        _ => Vec::new(),
    }
}
