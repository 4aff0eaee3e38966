//! The open connections of the WebSocket API, and the Management API that reaches them.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html>

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::http::{Method, Response, StatusCode};
use axum::middleware::{self, Next};
use axum::response::IntoResponse;
use axum::routing::post;
use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;
use tokio::sync::mpsc;

use crate::aws::{self, Authorizer, caller};
use crate::template::{ApiKind, Stack};

/// Largest message in either direction, in bytes.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html>
pub(super) const MAX_MESSAGE: usize = 128 * 1024;

/// Open connections by id. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Connections(Arc<Mutex<HashMap<String, Connection>>>);

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) outgoing: mpsc::UnboundedSender<Outgoing>,
    pub(super) connected_at: DateTime<Utc>,
    pub(super) last_active_at: DateTime<Utc>,
    pub(super) source_ip: String,
    pub(super) user_agent: String,
}

/// An order to a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Outgoing {
    /// Sends this.
    Message(Bytes),
    /// Closes it.
    Close,
}

impl Connections {
    pub(super) fn add(&self, id: &str, connection: Connection) {
        self.all().insert(id.to_owned(), connection);
    }

    pub(super) fn remove(&self, id: &str) {
        self.all().remove(id);
    }

    /// Notes that the client was active.
    pub(super) fn touch(&self, id: &str) {
        if let Some(connection) = self.all().get_mut(id) {
            connection.last_active_at = Utc::now();
        }
    }

    /// Drops every connection's sender, which ends it.
    pub(super) fn close_all(&self) {
        self.all().clear();
    }

    /// Sends an order; false if there is no such connection any more.
    pub(super) fn send(&self, id: &str, outgoing: Outgoing) -> bool {
        self.all().get(id).is_some_and(|connection| connection.outgoing.send(outgoing).is_ok())
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Connection>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Decides who may use the Management API of the one WebSocket API.
#[derive(Clone)]
pub(super) struct ManagementAccess {
    authorizer: Authorizer,
    /// API and stage as ARNs have them, by the template's own names: `ChatApi/live`.
    stage: String,
}

impl ManagementAccess {
    pub(super) fn new(stack: &Stack, authorizer: Authorizer) -> Self {
        let api = stack.apis.iter().find(|(_, kind)| **kind == ApiKind::WebSocket);
        let api = api.map(|(id, _)| id.as_str()).unwrap_or_default();
        let stage = stack.websocket.as_ref().map(|api| api.stage.as_str()).unwrap_or_default();
        Self { authorizer, stage: format!("{api}/{stage}") }
    }
}

/// Returns the Management API's routes, with and without the stage before their path.
pub(super) fn router(connections: Connections, access: ManagementAccess) -> Router {
    let methods = || post(post_to_connection).get(get_connection).delete(delete_connection);
    Router::new()
        .route("/@connections/{id}", methods())
        .route("/{stage}/@connections/{id}", methods())
        .layer(middleware::from_fn_with_state(access, authorize))
        .layer(DefaultBodyLimit::max(4 * MAX_MESSAGE))
        .with_state(connections)
}

/// Refuses a function whose role does not allow what it asks for.
async fn authorize(
    State(access): State<ManagementAccess>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let operation = match *request.method() {
        Method::DELETE => "DeleteConnection",
        Method::GET => "GetConnection",
        _ => "PostToConnection",
    };
    let asked_for = aws::Request::new(
        format!("apigatewaymanagementapi:{operation}"),
        // Policies cannot name connections: API Gateway gives them their ids.
        format!("{}/{}/@connections/*", access.stage, request.method()),
    );

    let function = caller(request.headers());
    match function.map(|function| access.authorizer.authorize(function, asked_for)) {
        Some(Err(denied)) => {
            error(StatusCode::FORBIDDEN, "AccessDeniedException", &denied.to_string())
        }
        Some(Ok(())) | None => next.run(request).await,
    }
}

async fn post_to_connection(
    State(connections): State<Connections>,
    Path(path): Path<HashMap<String, String>>,
    body: Bytes,
) -> Response<Body> {
    if body.len() > MAX_MESSAGE {
        let kind = "PayloadTooLargeException";
        return error(StatusCode::PAYLOAD_TOO_LARGE, kind, kind);
    }
    match connections.send(&path["id"], Outgoing::Message(body)) {
        true => StatusCode::OK.into_response(),
        false => gone(),
    }
}

async fn get_connection(
    State(connections): State<Connections>,
    Path(path): Path<HashMap<String, String>>,
) -> Response<Body> {
    let all = connections.all();
    let Some(connection) = all.get(&path["id"]) else { return gone() };
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
    let answer = json!({
        "connectedAt": time(connection.connected_at),
        "identity": { "sourceIp": connection.source_ip, "userAgent": connection.user_agent },
        "lastActiveAt": time(connection.last_active_at),
    });
    axum::Json(answer).into_response()
}

async fn delete_connection(
    State(connections): State<Connections>,
    Path(path): Path<HashMap<String, String>>,
) -> Response<Body> {
    match connections.send(&path["id"], Outgoing::Close) {
        true => StatusCode::NO_CONTENT.into_response(),
        false => gone(),
    }
}

fn gone() -> Response<Body> {
    error(StatusCode::GONE, "GoneException", "GoneException")
}

/// Returns an error, with its type in the header where the SDK looks for it.
fn error(status: StatusCode, kind: &str, message: &str) -> Response<Body> {
    (status, [("x-amzn-ErrorType", kind)], axum::Json(json!({ "message": message })))
        .into_response()
}
