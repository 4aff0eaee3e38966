//! Rotation, with a Secrets Manager in memory and a clock that stands still. The times are written
//! out, as infra/OPERATIONS.md tells them to operators.

use std::collections::BTreeMap;
use std::sync::Mutex;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Config, Credentials, Region};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use chrono::{DateTime, TimeDelta, Utc};
use domain::{AgentId, BusinessId};
use serde_json::{Value, json};
use tokio::time::advance;
use uuid::Uuid;

use super::*;

const FIVE_MINUTES: Duration = Duration::from_secs(5 * 60);
const TEN_SECONDS: Duration = Duration::from_secs(10);
const MILLISECOND: Duration = Duration::from_millis(1);

/// The secret of most tests.
const ID: &str = "pingback/secret";

/// A Secrets Manager in memory. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Manager(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    texts: BTreeMap<String, String>,
    /// How often it was called.
    reads: u32,
    /// Whether it refuses every call.
    is_down: bool,
    /// Whether it answers no call.
    is_silent: bool,
}

impl Manager {
    pub(crate) fn put(&self, id: &str, text: impl Into<String>) {
        self.0.lock().expect("no test panics in here").texts.insert(id.to_owned(), text.into());
    }

    pub(crate) fn set_down(&self, is_down: bool) {
        self.0.lock().expect("no test panics in here").is_down = is_down;
    }

    pub(crate) fn set_silent(&self, is_silent: bool) {
        self.0.lock().expect("no test panics in here").is_silent = is_silent;
    }

    pub(crate) fn reads(&self) -> u32 {
        self.0.lock().expect("no test panics in here").reads
    }

    pub(crate) fn secrets(&self) -> Secrets {
        let connector = SharedHttpConnector::new(self.clone());
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
            .http_client(http_client_fn(move |_, _| connector.clone()));
        Secrets::of(Client::from_conf(config.build()))
    }
}

impl HttpConnector for Manager {
    /// Answers `GetSecretValue` ([its
    /// answers](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html)).
    /// The SDK repeats no call that ended with `DecryptionFailure`.
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut state = self.0.lock().expect("no test panics in here");
        state.reads += 1;
        if state.is_silent {
            return HttpConnectorFuture::new(std::future::pending());
        }

        let request: Value =
            serde_json::from_slice(request.body().bytes().expect("it is in memory"))
                .expect("it is JSON");
        let id = request["SecretId"].as_str().expect("it names a secret");
        let (status, answer) = match state.texts.get(id).filter(|_| !state.is_down) {
            Some(text) if text.is_empty() => (200, json!({ "Name": id, "SecretBinary": "AAE=" })),
            Some(text) => (200, json!({ "Name": id, "SecretString": text })),
            None => (400, json!({ "__type": "DecryptionFailure" })),
        };

        let status = status.try_into().expect("a status");
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(answer.to_string()))))
    }
}

async fn text(secrets: &Secrets) -> String {
    secrets.text(ID).await.expect("a text").expose_secret().to_owned()
}

async fn refreshed(secrets: &Secrets) -> String {
    secrets.refreshed(ID).await.expect("a text").expose_secret().to_owned()
}

#[tokio::test(start_paused = true)]
async fn a_new_text_is_in_force_after_five_minutes_and_not_before() {
    let manager = Manager::default();
    let secrets = manager.secrets();
    manager.put(ID, "old");
    assert_eq!(text(&secrets).await, "old");
    manager.put(ID, "new");

    advance(FIVE_MINUTES - MILLISECOND).await;
    assert_eq!((text(&secrets).await, manager.reads()), ("old".to_owned(), 1));
    advance(MILLISECOND).await;
    assert_eq!((text(&secrets).await, manager.reads()), ("new".to_owned(), 2));

    advance(FIVE_MINUTES - MILLISECOND).await;
    assert_eq!((text(&secrets).await, manager.reads()), ("new".to_owned(), 2));
}

#[tokio::test(start_paused = true)]
async fn a_text_that_is_out_of_date_is_read_again_once_in_ten_seconds() {
    let manager = Manager::default();
    let secrets = manager.secrets();
    manager.put(ID, "old");
    assert_eq!(refreshed(&secrets).await, "old");
    manager.put(ID, "new");

    advance(TEN_SECONDS - MILLISECOND).await;
    assert_eq!((refreshed(&secrets).await, manager.reads()), ("old".to_owned(), 1));
    advance(MILLISECOND).await;
    for _ in 0..100 {
        assert_eq!((refreshed(&secrets).await, manager.reads()), ("new".to_owned(), 2));
    }
    assert_eq!((text(&secrets).await, manager.reads()), ("new".to_owned(), 2));
}

#[tokio::test(start_paused = true)]
async fn a_known_text_goes_on_while_secrets_manager_is_down_and_is_asked_for_every_ten_seconds() {
    let manager = Manager::default();
    let secrets = manager.secrets();
    manager.put(ID, "known");
    assert_eq!(text(&secrets).await, "known");
    manager.set_down(true);

    advance(FIVE_MINUTES).await;
    for _ in 0..100 {
        assert_eq!((text(&secrets).await, manager.reads()), ("known".to_owned(), 2));
        assert_eq!((refreshed(&secrets).await, manager.reads()), ("known".to_owned(), 2));
    }
    advance(TEN_SECONDS - MILLISECOND).await;
    assert_eq!((text(&secrets).await, manager.reads()), ("known".to_owned(), 2));
    advance(MILLISECOND).await;
    assert_eq!((text(&secrets).await, manager.reads()), ("known".to_owned(), 3));

    manager.set_down(false);
    manager.put(ID, "new");
    advance(TEN_SECONDS).await;
    assert_eq!((text(&secrets).await, manager.reads()), ("new".to_owned(), 4));
    advance(FIVE_MINUTES - MILLISECOND).await;
    assert_eq!((text(&secrets).await, manager.reads()), ("new".to_owned(), 4));
}

#[tokio::test(start_paused = true)]
async fn without_a_known_text_each_caller_asks_and_fails_until_there_is_one() {
    let manager = Manager::default();
    let secrets = manager.secrets();
    manager.set_down(true);
    for reads in 1..=3 {
        let error = secrets.text(ID).await.expect_err("it is down").chain();
        assert!(error.starts_with("calling GetSecretValue"), "{error}");
        assert_eq!(manager.reads(), reads);
    }

    manager.put(ID, "there it is");
    manager.set_down(false);
    assert_eq!(text(&secrets).await, "there it is");
}

#[tokio::test(start_paused = true)]
async fn each_secret_has_a_text_and_times_of_its_own() {
    let manager = Manager::default();
    let secrets = manager.secrets();
    manager.put(ID, "one");
    manager.put("another", "two");
    manager.put("binary", "");
    assert_eq!(text(&secrets).await, "one");
    advance(TEN_SECONDS).await;
    assert_eq!(secrets.text("another").await.expect("a text").expose_secret(), "two");
    assert_eq!(
        (secrets.refreshed("another").await.expect("a text").expose_secret(), manager.reads()),
        ("two", 2)
    );
    assert_eq!((refreshed(&secrets).await, manager.reads()), ("one".to_owned(), 3));

    let error = secrets.text("binary").await.expect_err("it is no text");
    assert_eq!(error.to_string(), "the secret binary holds no text");
}

#[tokio::test(start_paused = true)]
async fn what_an_old_text_does_not_accept_a_new_one_may() {
    let manager = Manager::default();
    let secrets = manager.secrets();
    let is_accepted = async |wanted: &str| {
        secrets.is_accepted(ID, |text| Ok(text == wanted)).await.expect("an answer")
    };

    manager.put(ID, "old");
    assert!(is_accepted("old").await && !is_accepted("new").await);
    manager.put(ID, "new");
    assert!(!is_accepted("new").await, "it was read a moment ago");
    advance(TEN_SECONDS).await;
    assert!(is_accepted("old").await, "it is known");
    assert!(is_accepted("new").await);
    assert!(!is_accepted("old").await, "it is replaced");
    assert_eq!(manager.reads(), 2);

    advance(TEN_SECONDS).await;
    for _ in 0..100 {
        assert!(!is_accepted("forged").await);
    }
    assert_eq!(manager.reads(), 3, "a forger costs one read in ten seconds");

    let unreadable = |_: &str| Err(InternalError::new("reading the text"));
    assert!(secrets.is_accepted(ID, unreadable).await.is_err());
}

fn key(kid: &str) -> SigningKey {
    SigningKey { kid: kid.to_owned(), secret: kid.repeat(32).into() }
}

fn keys(kids: &[&str]) -> String {
    let keys: Vec<SigningKey> = kids.iter().map(|kid| key(kid)).collect();
    json!({ "keys": keys }).to_string()
}

fn now() -> DateTime<Utc> {
    "2026-03-01T09:05:00Z".parse().expect("a time")
}

/// Returns an agent's token, signed with the key of that name.
fn token(kid: &str) -> String {
    let business_id = BusinessId(Uuid::from_u128(1));
    let agent = AgentId(Uuid::from_u128(2));
    let token = key(kid).sign_agent(business_id, agent, now(), now() + TimeDelta::hours(1));
    token.expect("signed")
}

/// Returns whether one of the keys has signed the token of that name.
async fn opens(keys: &TokenKeys, kid: &str) -> bool {
    let token = token(kid);
    let key = keys.signing_key_for(&token).await.expect("an answer");
    assert!(key.as_ref().is_none_or(|key| key.kid == kid), "it is another key");
    key.is_some_and(|key| key.verify_agent(&token, now()).is_some())
}

#[tokio::test(start_paused = true)]
async fn tokens_follow_the_rotation_of_their_keys() {
    let manager = Manager::default();
    let token_keys = TokenKeys::new(manager.secrets(), ID.to_owned());
    manager.put(ID, keys(&["a"]));
    assert!(opens(&token_keys, "a").await && !opens(&token_keys, "b").await);
    assert_eq!(manager.reads(), 1);

    // Both are good from now on, and the new one signs.
    manager.put(ID, keys(&["b", "a"]));
    advance(TEN_SECONDS).await;
    assert!(opens(&token_keys, "b").await && opens(&token_keys, "a").await);
    assert_eq!(manager.reads(), 2);

    // The old one is left out.
    manager.put(ID, keys(&["b"]));
    advance(FIVE_MINUTES - MILLISECOND).await;
    assert!(opens(&token_keys, "a").await);
    advance(MILLISECOND).await;
    assert!(!opens(&token_keys, "a").await && opens(&token_keys, "b").await);
    assert_eq!(manager.reads(), 3, "what was read just now is not read again for an unknown name");
}

#[tokio::test(start_paused = true)]
async fn unknown_names_cost_one_read_in_ten_seconds_and_what_is_no_token_none() {
    let manager = Manager::default();
    let token_keys = TokenKeys::new(manager.secrets(), ID.to_owned());
    manager.put(ID, keys(&["a"]));

    for no_token in ["", "a", "a.b.c", &token("a")[1..]] {
        let key = token_keys.signing_key_for(no_token).await.expect("an answer");
        assert!(key.is_none(), "{no_token}");
    }
    assert_eq!(manager.reads(), 0);

    assert!(opens(&token_keys, "a").await);
    for reads in 2..=4 {
        advance(TEN_SECONDS).await;
        for kid in ["b", "c", "d"].iter().cycle().take(100) {
            assert!(!opens(&token_keys, kid).await);
        }
        assert_eq!(manager.reads(), reads);
    }

    manager.set_down(true);
    advance(TEN_SECONDS).await;
    for _ in 0..100 {
        assert!(!opens(&token_keys, "b").await && opens(&token_keys, "a").await);
    }
    assert_eq!(manager.reads(), 5, "also while Secrets Manager is down");
}

#[tokio::test(start_paused = true)]
async fn keys_that_cannot_be_read_are_an_error_that_does_not_show_them() {
    let manager = Manager::default();
    let token_keys = TokenKeys::new(manager.secrets(), ID.to_owned());
    for spoilt in ["sssss", r#"{"keys": "sssss"}"#, r#"{"kid": "a", "secret": "sssss"}"#] {
        manager.put(ID, spoilt);
        let key = token_keys.signing_key_for(&token("a")).await;
        let error = key.err().expect("it is spoilt");
        assert!(!error.chain().contains("sssss"), "{}", error.chain());
        assert!(error.chain().contains(ID), "{}", error.chain());
        advance(FIVE_MINUTES).await;
    }
}
