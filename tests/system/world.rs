//! A system of one's own: the whole of `template.yaml` in memory, on free ports, with the sandbox around it.
//!
//! A world keeps its own ledger of what the API answered. When it is dropped, the [`crate::oracle`] holds ledger,
//! table and customers against each other.

use crate::oracle::{self, Allowed};
use local::{Local, Logs, Options, Ready, ReceiptRule};
use reqwest::{Client, Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use uuid::Uuid;

/// What does not happen in this time does not happen.
const PATIENCE: Duration = Duration::from_secs(40);

/// A running system, and what was said to it.
pub(crate) struct World {
    local: Option<Local>,
    logs: Logs,
    http: Client,
    ledger: Mutex<Ledger>,
    /// Where everything is.
    pub(crate) ready: Ready,
}

/// What the API answered, and what may be left over at the end.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Every message that was answered 201 and was not a replay, with its text.
    pub(crate) accepted: BTreeMap<Uuid, String>,
    /// Every text that was sent, whatever was answered.
    pub(crate) texts: Vec<String>,
    /// Words that must not be in any log.
    pub(crate) secrets: Vec<String>,
    /// What this test leaves behind on purpose.
    pub(crate) allowed: Allowed,
}

/// A business of the test's own.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Business {
    pub(crate) business_id: Uuid,
    pub(crate) api_key: String,
    pub(crate) conversations: BTreeMap<String, Uuid>,
}

impl Business {
    pub(crate) fn conversation(&self, channel: &str) -> Uuid {
        self.conversations[channel]
    }
}

/// An answer of the API.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error} in {:?}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("our headers are ASCII"))
    }

    /// Status and code in one, for assertions.
    pub(crate) fn problem(&self) -> (u16, String) {
        let code = self.json()["code"].as_str().unwrap_or_default().to_owned();
        (self.status.as_u16(), code)
    }

    /// The message's id of a 201.
    pub(crate) fn id(&self) -> Uuid {
        assert_eq!(self.status, StatusCode::CREATED, "{}", self.text);
        serde_json::from_value(self.json()["id"].clone()).expect("an id")
    }
}

/// A request that sends a message, made step by step.
pub(crate) struct Send<'a> {
    world: &'a World,
    token: &'a str,
    conversation: String,
    body: Vec<u8>,
    text: Option<String>,
    key: Option<String>,
}

impl<'a> Send<'a> {
    pub(crate) fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it, and notes what was answered.
    pub(crate) async fn go(self) -> Answer {
        self.attempt().await.expect("the API answers")
    }

    /// Sends it to a system that may die meanwhile, and notes what was answered, if anything was.
    pub(crate) async fn attempt(self) -> reqwest::Result<Answer> {
        let path = format!("/api/v1/conversations/{}/messages", self.conversation);
        let request = self.world.http.post(format!("{}{path}", self.world.ready.api)).body(self.body);
        let request = request.header("Content-Type", "application/json");
        let request = if self.token.is_empty() { request } else { request.bearer_auth(self.token) };
        let request = self.key.iter().fold(request, |request, key| request.header("Idempotency-Key", key));
        self.world.ledger().texts.extend(self.text.clone());
        let answer = try_read(request).await?;
        if answer.status == StatusCode::CREATED && answer.header("idempotent-replayed").is_none() {
            let text = self.text.unwrap_or_default();
            let before = self.world.ledger().accepted.insert(answer.id(), text);
            assert_eq!(before, None, "an id was given twice");
        }
        Ok(answer)
    }
}

async fn read(request: reqwest::RequestBuilder) -> Answer {
    try_read(request).await.expect("an answer")
}

async fn try_read(request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    let (status, headers) = (response.status(), response.headers().clone());
    Ok(Answer { status, headers, text: response.text().await? })
}

impl World {
    /// Starts a system whose WhatsApp and SES take messages and never report on them, until [`World::report`] has them
    /// do so. With `AWS_ENDPOINT_URL_DYNAMODB` in the environment it runs on that DynamoDB.
    pub(crate) async fn start() -> World {
        let logs = Logs::captured();
        let options = Options {
            logs: logs.clone(),
            bootstrap: Some(env!("CARGO_BIN_EXE_functions-under-test").into()),
            dynamodb: std::env::var("AWS_ENDPOINT_URL_DYNAMODB").ok().filter(|url| !url.is_empty()),
            receipts: ReceiptRule::off(),
            ..Options::default()
        };
        let local = Local::start(options).await.unwrap_or_else(|error| panic!("{error}"));
        let mut world = World::of(local.ready());
        (world.local, world.logs) = (Some(local), logs);
        world
    }

    /// A world around a system that runs elsewhere.
    pub(crate) fn of(ready: Ready) -> World {
        let demo = ready.demo.as_ref().expect("the demo is seeded");
        let secrets = vec![demo.token.clone(), demo.api_key.clone(), demo.visitor_token.clone()];
        let ledger = Mutex::new(Ledger { secrets, ..Ledger::default() });
        let http = Client::builder().no_proxy().build().expect("a client");
        World { local: None, logs: Logs::discarded(), http, ledger, ready }
    }

    /// A fresh business.
    pub(crate) async fn business(&self, limit: u64, shards: u16) -> Business {
        let answer = self.sandbox(Method::POST, "/businesses", json!({"limit": limit, "shards": shards})).await;
        let business: Business = serde_json::from_value(answer).expect("the documented shape");
        self.ledger().secrets.push(business.api_key.clone());
        business
    }

    /// A request that sends `text` into `conversation`.
    pub(crate) fn send<'a>(&'a self, token: &'a str, conversation: impl ToString, text: &str) -> Send<'a> {
        let body = json!({"content": text}).to_string().into_bytes();
        let (conversation, text) = (conversation.to_string(), Some(text.to_owned()));
        Send { world: self, token, conversation, body, text, key: None }
    }

    /// Reads something of the public API.
    pub(crate) async fn get(&self, token: &str, path: &str) -> Answer {
        read(self.http.get(format!("{}{path}", self.ready.api)).bearer_auth(token)).await
    }

    /// Calls the public API without any credential.
    pub(crate) async fn call(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let request = self.http.request(method, format!("{}{path}", self.ready.api)).body(body);
        read(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
    }

    /// What one of the template's secrets holds. No log may hold any of it.
    pub(crate) async fn secret(&self, logical_id: &str) -> Value {
        let local = self.local.as_ref().expect("it runs until it is dropped");
        let body = json!({"SecretId": local.engine().secret_id(logical_id).expect("the template declares it")});
        let call = self.http.post(local.engine().secrets_url()).header("X-Amz-Target", "secretsmanager.GetSecretValue");
        let answer = read(call.header("Content-Type", "application/x-amz-json-1.1").body(body.to_string())).await;
        let text = answer.json()["SecretString"].as_str().expect("it has a value").to_owned();
        let secret: Value = serde_json::from_str(&text).expect("JSON");
        let words = secret.as_object().into_iter().flatten().filter_map(|(_, word)| word.as_str());
        self.ledger().secrets.extend(words.map(str::to_owned));
        secret
    }

    /// `used` and `limit` of the running month.
    pub(crate) async fn usage(&self, token: &str) -> (u64, u64) {
        let usage = self.get(token, "/api/v1/usage").await.json();
        (usage["used"].as_u64().expect("a number"), usage["limit"].as_u64().expect("a number"))
    }

    /// What became of a message.
    pub(crate) async fn delivery(&self, token: &str, conversation: Uuid, id: Uuid) -> Value {
        let answer = self.get(token, &format!("/api/v1/conversations/{conversation}/messages/{id}")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json()["delivery"].take()
    }

    /// Waits until a message has this status, and tells the whole of its delivery.
    pub(crate) async fn until_status(&self, token: &str, conversation: Uuid, id: Uuid, status: &str) -> Value {
        self.until(&format!("{id} is {status}"), async || {
            let delivery = self.delivery(token, conversation, id).await;
            (delivery["status"] == status).then_some(delivery)
        })
        .await
    }

    /// Asks the sandbox's control API.
    pub(crate) async fn sandbox(&self, method: Method, path: &str, body: Value) -> Value {
        let request = self.http.request(method, format!("{}/sandbox{path}", self.ready.sandbox));
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = read(request).await;
        assert!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.text);
        serde_json::from_str(&answer.text).unwrap_or_default()
    }

    /// Makes AWS (`aws`) or a provider fail.
    pub(crate) async fn fault(&self, whose: &str, fault: Value) {
        self.sandbox(Method::PUT, &format!("/{whose}/faults"), fault).await;
    }

    /// Makes it well again.
    pub(crate) async fn heal(&self, whose: &str) {
        self.sandbox(Method::DELETE, &format!("/{whose}/faults"), Value::Null).await;
    }

    /// Has a provider report on what it takes from now on.
    pub(crate) async fn report(&self, channel: &str, receipts: Value) {
        self.sandbox(Method::PUT, &format!("/{channel}/receipts"), receipts).await;
    }

    /// Has a provider send the receipts that it holds; returns how many.
    pub(crate) async fn release(&self, channel: &str) -> u64 {
        let answer = self.sandbox(Method::POST, &format!("/{channel}/receipts"), Value::Null).await;
        answer["released"].as_u64().expect("a number")
    }

    /// Runs the sweeper.
    pub(crate) async fn sweep(&self) {
        self.sandbox(Method::POST, "/sweep", Value::Null).await;
    }

    /// Moves the system's clock by so many seconds from where it is.
    pub(crate) async fn pass(&self, seconds: i64) {
        let now = self.sandbox(Method::GET, "/clock", Value::Null).await["now"].clone();
        let now: chrono::DateTime<chrono::Utc> = serde_json::from_value(now).expect("a time");
        self.set_clock(now + chrono::TimeDelta::seconds(seconds)).await;
    }

    /// Sets the system's clock.
    pub(crate) async fn set_clock(&self, now: chrono::DateTime<chrono::Utc>) {
        self.sandbox(Method::POST, "/clock", json!({"now": now})).await;
    }

    /// What a channel's dead-letter queue holds.
    pub(crate) async fn dead_letters(&self, channel: &str) -> Vec<Value> {
        let queues = &self.ready.queues;
        let url = match channel {
            "chat" => &queues.chat,
            "whatsapp" => &queues.whatsapp,
            _ => &queues.email,
        };
        let dead_letters = url.replace("Queue", "DeadLetters");
        let body = json!({"QueueUrl": dead_letters, "MaxNumberOfMessages": 10, "VisibilityTimeout": 0});
        let call = self.http.post(&self.ready.aws.sqs).header("X-Amz-Target", "AmazonSQS.ReceiveMessage");
        let call = call.header("Content-Type", "application/x-amz-json-1.0").body(body.to_string());
        let answer = read(call).await.json();
        let messages = answer["Messages"].as_array().cloned().unwrap_or_default();
        let body = |message: &Value| serde_json::from_str(message["Body"].as_str().expect("a body")).expect("JSON");
        messages.iter().map(body).collect()
    }

    /// The texts that a conversation's customer got, in order.
    pub(crate) async fn received(&self, channel: &str, conversation: Uuid) -> Vec<String> {
        let all = self.sandbox(Method::GET, &format!("/{channel}/messages"), Value::Null).await;
        let all = all.as_array().expect("an array").clone();
        let of_it = all.into_iter().filter(|one| one["conversation_id"] == conversation.to_string());
        of_it.map(|one| one["content"].as_str().expect("a text").to_owned()).collect()
    }

    /// Waits until a conversation's customer got exactly these texts, in this order.
    pub(crate) async fn until_received(&self, channel: &str, conversation: Uuid, texts: &[String]) {
        self.until(&format!("{} texts arrive by {channel}", texts.len()), async || {
            let received = self.received(channel, conversation).await;
            assert!(received.len() <= texts.len(), "got {received:?}, wanted {texts:?}");
            (received.len() == texts.len()).then(|| assert_eq!(received, texts))
        })
        .await;
    }

    /// Asks again and again until there is an answer.
    pub(crate) async fn until<T>(&self, what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let log: Vec<String> = self.logs.lines().iter().rev().take(40).map(ToString::to_string).collect();
        panic!("waited in vain until {what}; the last lines of the log, newest first:\n{}", log.join("\n"));
    }

    /// What this test leaves behind on purpose.
    pub(crate) fn allow(&self, allow: impl FnOnce(&mut Allowed)) {
        allow(&mut self.ledger().allowed);
    }

    /// How often functions called AWS: (function, operation) → times.
    pub(crate) fn calls(&self) -> BTreeMap<(String, String), u64> {
        self.local.as_ref().expect("it runs until it is dropped").engine().calls().counted()
    }

    /// The table, for what no user can see or do.
    pub(crate) fn table(&self) -> platform::table::Table {
        platform::table::Table::new(self.dynamodb(), self.ready.table.clone())
    }

    /// The table's DynamoDB.
    pub(crate) fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let credentials = aws_sdk_dynamodb::config::Credentials::new("test", "test", None, None, "test");
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
            .region(aws_sdk_dynamodb::config::Region::new("local"))
            .credentials_provider(credentials)
            .endpoint_url(&self.ready.aws.dynamodb)
            .build();
        aws_sdk_dynamodb::Client::from_conf(config)
    }

    /// Everything the functions logged so far.
    pub(crate) fn logged(&self) -> Vec<local::LogLine> {
        self.logs.lines()
    }

    /// What functions called broken, for whoever wonders about a 500.
    pub(crate) fn complaints(&self) -> String {
        let errors = self.logged().into_iter().filter(|line| line.text.contains("\"ERROR\""));
        errors.map(|line| line.text + "\n").collect()
    }

    pub(crate) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for World {
    /// Counts, and stops the system. A test that has failed already is left at that.
    fn drop(&mut self) {
        tokio::task::block_in_place(|| {
            Handle::current().block_on(async {
                if !std::thread::panicking() {
                    oracle::check(self).await;
                }
                if let Some(local) = self.local.take() {
                    local.stop().await;
                }
            });
        });
    }
}
