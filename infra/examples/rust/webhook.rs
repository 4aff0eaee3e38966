//! Is told events: verifies each webhook, refuses copies that come late, and takes each event once.
//!
//! `SECRET` is that of an endpoint whose URL leads to this program, at `PORT`. Without it the
//! program makes an endpoint, has an event sent to it, and removes it again: that works as it
//! stands while `cargo local` runs. Needs `axum` with `http1` and `tokio`, `base64`, `hmac`,
//! `reqwest` with `json`, `serde_json`, `sha2`, and `tokio` with `macros`, `net`, `sync` and
//! `time`.

use std::collections::HashSet;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Client, Method};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// The seconds that a timestamp may be away; what is older may have been recorded and sent again.
const TOLERANCE: u64 = 300;

type Failure = Box<dyn Error + Send + Sync>;

/// Returns the event of a webhook, or why it is none that this service sends now. `body` is the
/// bytes as they came.
fn verify(secret: &str, headers: &HeaderMap, body: &[u8], now: u64) -> Result<Value, &'static str> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let timestamp = header("webhook-timestamp");
    if timestamp.parse().map_or(true, |at: u64| now.abs_diff(at) > TOLERANCE) {
        return Err("the timestamp is too far away");
    }

    let key = secret.strip_prefix("whsec_").and_then(|key| BASE64_STANDARD.decode(key).ok());
    let key = key.ok_or("SECRET is no secret of an endpoint")?;
    let signed = format!("{}.{timestamp}.", header("webhook-id"));
    let mac = Hmac::<Sha256>::new_from_slice(&key).map_err(|_| "SECRET is too short")?;
    let mac = mac.chain_update(signed).chain_update(body);

    // There are two while a secret is being replaced.
    let mut signatures = header("webhook-signature").split(' ');
    let is_good = signatures.any(|signature| {
        let encoded = signature.strip_prefix("v1,").unwrap_or_default();
        let tag = BASE64_STANDARD.decode(encoded).unwrap_or_default();
        mac.clone().verify_slice(&tag).is_ok()
    });
    if !is_good {
        return Err("no signature is good");
    }
    serde_json::from_slice(body).map_err(|_| "the body is no JSON")
}

/// The program that is told.
#[derive(Default)]
struct Receiver {
    secret: Mutex<String>,
    /// In your database, and written in one transaction with what the event changes.
    taken: Mutex<HashSet<String>>,
    tried_out: Notify,
}

async fn receive(
    State(receiver): State<Arc<Receiver>>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let secret = receiver.secret.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let event = match verify(&secret, &headers, &body, now) {
        Ok(event) => event,
        Err(fault) => {
            println!("refused {fault}");
            return StatusCode::BAD_REQUEST;
        }
    };

    // An event may come twice, and its id is the same then.
    let id = event["id"].as_str().unwrap_or_default();
    let kind = event["type"].as_str().unwrap_or_default();
    let mut taken = receiver.taken.lock().unwrap_or_else(PoisonError::into_inner);
    if taken.insert(id.to_owned()) {
        println!("told {kind} {id}");
    }

    if kind == "endpoint.test" {
        receiver.tried_out.notify_one();
    }
    StatusCode::NO_CONTENT
}

/// The endpoints of a business.
struct Endpoints {
    http: Client,
    url: String,
    token: String,
}

impl Endpoints {
    fn from_env() -> Result<Endpoints, Failure> {
        let setting = |name, default: &str| std::env::var(name).unwrap_or(default.to_owned());
        let key =
            "pbk_8d0a1c526b1e4f0e9a3b2c6f6f1f3a10_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        Ok(Endpoints {
            http: Client::builder().timeout(Duration::from_secs(30)).build()?,
            url: format!("{}/api/v1/webhook_endpoints", setting("API", "http://127.0.0.1:3000")),
            token: setting("TOKEN", key),
        })
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Result<Value, Failure> {
        let request = self.http.request(method, format!("{}{path}", self.url));
        let request = request.bearer_auth(&self.token);
        let request = if body.is_null() { request } else { request.json(body) };
        let answer = request.send().await?.error_for_status()?.bytes().await?;
        Ok(if answer.is_empty() { Value::Null } else { serde_json::from_slice(&answer)? })
    }

    /// Makes an endpoint, has an event sent to it, and removes it.
    async fn try_out(&self, url: &str, receiver: &Receiver) -> Result<(), Failure> {
        let new = json!({ "url": url, "events": ["endpoint.test"] });
        let endpoint = self.call(Method::POST, "", &new).await?;
        let secret = endpoint["secret"].as_str().unwrap_or_default().to_owned();
        *receiver.secret.lock().unwrap_or_else(PoisonError::into_inner) = secret;

        let path = format!("/{}", endpoint["id"].as_str().unwrap_or_default());
        self.call(Method::POST, &format!("{path}/test"), &Value::Null).await?;
        let told =
            tokio::time::timeout(Duration::from_secs(60), receiver.tried_out.notified()).await;
        self.call(Method::DELETE, &path, &Value::Null).await?;
        told.map_err(|_| "no event came".into())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let secret = std::env::var("SECRET").ok();
    let receiver = Arc::new(Receiver::default());
    let app = Router::new().route("/", post(receive)).with_state(Arc::clone(&receiver));

    let port = std::env::var("PORT").map_or(Ok(0), |port| port.parse())?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let url = format!("http://{}/", listener.local_addr()?);
    println!("listening {url}");

    match secret {
        Some(secret) => {
            *receiver.secret.lock().unwrap_or_else(PoisonError::into_inner) = secret;
            axum::serve(listener, app).await?;
        }
        None => {
            tokio::spawn(async move { axum::serve(listener, app).await });
            Endpoints::from_env()?.try_out(&url, &receiver).await?;
        }
    }
    Ok(())
}
