//! The endpoints of businesses, which are sent events: each answers what it is told to, and keeps
//! what it got. A fault of `endpoints` hits all of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::fault::{Faults, ProviderFault};
use emulator::Engine;

/// The header with an event's id.
const EVENT_ID_HEADER: &str = "webhook-id";

/// The answer of a receiver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Manners {
    /// The status.
    #[serde(default = "ok")]
    status: u16,
    /// The body.
    #[serde(default)]
    body: String,
    /// How long it takes, in milliseconds.
    #[serde(default)]
    delay_ms: u64,
    /// An address that it redirects to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    /// The seconds after which it wants to be called again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    /// How often it answers so; without a number, always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    times: Option<u64>,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            status: ok(),
            body: String::new(),
            delay_ms: 0,
            location: None,
            retry_after: None,
            times: None,
        }
    }
}

fn ok() -> u16 {
    200
}

/// A request that a receiver got.
#[derive(Debug, Clone, Serialize)]
struct Received {
    at: DateTime<Utc>,
    headers: BTreeMap<String, String>,
    body: String,
    /// The status that it was answered with.
    answered: u16,
}

#[derive(Debug, Default)]
struct Receiver {
    manners: Manners,
    received: Vec<Received>,
}

/// All receivers by name; one that was never heard of answers 200.
#[derive(Debug)]
pub(crate) struct Receivers {
    /// The fault in force at all of them.
    pub(crate) faults: Faults,
    engine: Arc<Engine>,
    by_name: Mutex<BTreeMap<String, Receiver>>,
}

impl Receivers {
    /// Makes the receivers of a system; a fault may kill its worker.
    pub(crate) fn new(engine: Arc<Engine>) -> Receivers {
        Receivers { faults: Faults::default(), engine, by_name: Mutex::default() }
    }

    /// Returns the body of each request with this event, oldest first, of all receivers.
    pub(crate) fn requests_with(&self, event_id: &str) -> Vec<String> {
        let by_name = self.by_name();
        let received = by_name.values().flat_map(|receiver| &receiver.received);
        let wanted = received
            .filter(|one| one.headers.get(EVENT_ID_HEADER).is_some_and(|id| id == event_id));
        wanted.map(|one| one.body.clone()).collect()
    }

    fn by_name(&self) -> MutexGuard<'_, BTreeMap<String, Receiver>> {
        self.by_name.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a request, and returns how it is answered.
    fn note(&self, name: String, headers: &HeaderMap, body: &Bytes) -> Manners {
        let mut by_name = self.by_name();
        let receiver = by_name.entry(name).or_default();
        let manners = receiver.manners.clone();
        if let Some(times) = &mut receiver.manners.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                receiver.manners = Manners::default();
            }
        }

        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        receiver.received.push(Received {
            at: Utc::now(),
            headers: headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect(),
            body: String::from_utf8_lossy(body).into_owned(),
            answered: manners.status,
        });

        manners
    }
}

/// Returns the routes of the receivers, and those that direct them.
pub(crate) fn routes(receivers: Arc<Receivers>) -> Router {
    Router::new()
        .route("/receivers/{name}", post(receive))
        .route("/sandbox/receivers/{name}", get(received).put(set_manners).delete(forget))
        .with_state(receivers)
}

async fn receive(
    State(receivers): State<Arc<Receivers>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let effect = async {
        let manners = receivers.note(name, &headers, &body);
        tokio::time::sleep(Duration::from_millis(manners.delay_ms)).await;

        let status = StatusCode::from_u16(manners.status).unwrap_or(StatusCode::OK);
        let mut answer = (status, manners.body).into_response();
        let location = manners.location.and_then(|location| location.parse().ok());
        answer.headers_mut().extend(location.map(|location| (header::LOCATION, location)));
        let retry_after = manners.retry_after.map(HeaderValue::from);
        answer.headers_mut().extend(retry_after.map(|seconds| (header::RETRY_AFTER, seconds)));
        answer
    };

    let kill = async || receivers.engine.kill("deliver-webhook").await;
    receivers.faults.apply(effect, refuse, kill).await
}

fn refuse(fault: &ProviderFault) -> Response {
    let status = fault.status.and_then(|status| StatusCode::from_u16(status).ok());
    let mut answer = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).into_response();
    let retry_after = fault.retry_after.map(|seconds| (header::RETRY_AFTER, seconds.into()));
    answer.headers_mut().extend(retry_after);
    answer
}

async fn received(State(receivers): State<Arc<Receivers>>, Path(name): Path<String>) -> Response {
    let all = receivers.by_name();
    let received = all.get(&name).map(|receiver| receiver.received.as_slice());
    Json(received.unwrap_or_default()).into_response()
}

async fn set_manners(
    State(receivers): State<Arc<Receivers>>,
    Path(name): Path<String>,
    body: Bytes,
) -> Response {
    match serde_json::from_slice(&body) {
        Ok(manners) => {
            receivers.by_name().entry(name).or_default().manners = manners;
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => (StatusCode::UNPROCESSABLE_ENTITY, error.to_string()).into_response(),
    }
}

async fn forget(State(receivers): State<Arc<Receivers>>, Path(name): Path<String>) -> StatusCode {
    receivers.by_name().remove(&name);
    StatusCode::NO_CONTENT
}
