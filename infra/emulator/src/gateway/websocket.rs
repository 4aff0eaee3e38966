//! The WebSocket API's front: turns handshakes, frames and closed connections into events
//! (`websocket_event.rs`). Functions reach clients through `connections.rs`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ws::{
    CloseFrame, Message, WebSocket, WebSocketUpgrade, rejection::WebSocketUpgradeRejection,
};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode, header};
use axum::response::IntoResponse;
use axum::{Extension, Router};
use bytes::Bytes;
use chrono::Utc;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;

use super::connections::{Connection, Connections, MAX_MESSAGE, Outgoing};
use super::context::{short_id, source_ip};
use super::http_response;
use super::throttle::Throttles;
use super::websocket_event::{Origin, selected};
use crate::lambda::Lambda;
use crate::listen::Peer;
use crate::template::WebSocketApi;

/// Largest frame, in bytes. This and the next two are from
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html>.
const MAX_FRAME: usize = 32 * 1024;
/// Longest time without a frame.
const MAX_IDLE: Duration = Duration::from_secs(10 * 60);
/// Longest life of a connection.
const MAX_AGE: Duration = Duration::from_secs(2 * 60 * 60);

/// Close codes of RFC 6455, section 7.4.1.
const NORMAL: u16 = 1000;
const GOING_AWAY: u16 = 1001;
const UNSUPPORTED_DATA: u16 = 1003;
const NO_STATUS: u16 = 1005;
const ABNORMAL: u16 = 1006;
const TOO_BIG: u16 = 1009;

struct Front {
    throttles: Throttles,
    /// How many more connections there may be.
    places: Arc<Semaphore>,
    api: WebSocketApi,
    lambda: Arc<Lambda>,
    connections: Connections,
}

pub(super) fn router(
    api: WebSocketApi,
    lambda: Arc<Lambda>,
    connections: Connections,
    max_connections: usize,
) -> Router {
    let throttles = Throttles::new(api.routes.keys(), &api.throttles, api.default_throttle);
    let places = Arc::new(Semaphore::new(max_connections));
    let front = Front { throttles, places, api, lambda, connections };
    Router::new().fallback(handshake).with_state(Arc::new(front))
}

async fn handshake(
    State(front): State<Arc<Front>>,
    Extension(peer): Extension<Peer>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Request,
) -> Response<Body> {
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade.max_frame_size(MAX_FRAME).max_message_size(MAX_MESSAGE),
        Err(refusal) => return refusal.into_response(),
    };

    let (request, _) = request.into_parts();
    // The deployed API has its stage in the path; here the bare address works, too.
    let path = request.uri.path().trim_matches('/');

    if !path.is_empty() && path != front.api.stage {
        return http_response::message(StatusCode::FORBIDDEN, "Forbidden");
    }

    let place = Arc::clone(&front.places).try_acquire_owned();
    let Some(place) = place.ok().filter(|_| front.throttles.admit("$connect")) else {
        return http_response::message(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests");
    };

    let text = |name| {
        request
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };

    let origin = Origin {
        connection_id: short_id(),
        connected_at: Utc::now(),
        stage: front.api.stage.clone(),
        host: text(header::HOST),
        source_ip: source_ip(peer.0),
        user_agent: text(header::USER_AGENT),
    };

    let event = origin.connect(&request.headers, request.uri.query().unwrap_or_default());

    match front.connect(event).await {
        Ok(subprotocol) => {
            // The one that the function chose, if the client speaks it.
            let upgrade = upgrade.protocols(subprotocol);
            upgrade.on_upgrade(async move |socket| {
                front.converse(origin, socket).await;
                drop(place);
            })
        }
        Err(status) => http_response::message(status, "Forbidden"),
    }
}

impl Front {
    /// Asks the function behind `$connect`, if there is one, whether the client may connect;
    /// returns the subprotocol that it chooses.
    /// <https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-connect-route-subprotocol.html>
    async fn connect(&self, event: Bytes) -> Result<Option<String>, StatusCode> {
        let Some(function) = self.api.routes.get("$connect") else { return Ok(None) };
        let answer =
            self.lambda.invoke(function, event).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
        let answer: Value = serde_json::from_slice(&answer).map_err(|_| StatusCode::BAD_GATEWAY)?;
        let status = answer["statusCode"].as_u64().and_then(|status| u16::try_from(status).ok());
        let status = status
            .and_then(|status| StatusCode::from_u16(status).ok())
            .ok_or(StatusCode::BAD_GATEWAY)?;
        if !status.is_success() {
            return Err(status);
        }

        let headers = answer["headers"].as_object().into_iter().flatten();
        let mut subprotocols = headers
            .filter(|(name, _)| name.eq_ignore_ascii_case(header::SEC_WEBSOCKET_PROTOCOL.as_str()));
        Ok(subprotocols.find_map(|(_, value)| value.as_str()).map(str::to_owned))
    }

    /// Runs a connection, from handshake to `$disconnect`.
    async fn converse(self: Arc<Self>, origin: Origin, mut socket: WebSocket) {
        let (outgoing, mut to_send) = mpsc::unbounded_channel();
        let connection = Connection {
            outgoing,
            connected_at: origin.connected_at,
            last_active_at: origin.connected_at,
            source_ip: origin.source_ip.clone(),
            user_agent: origin.user_agent.clone(),
        };

        self.connections.add(&origin.connection_id, connection);
        let (code, reason) = self.exchange(&origin, &mut socket, &mut to_send).await;
        self.connections.remove(&origin.connection_id);
        // A client that has gone does not get the close frame.
        let _ = socket
            .send(Message::Close(Some(CloseFrame { code, reason: reason.as_str().into() })))
            .await;

        if let Some(function) = self.api.routes.get("$disconnect") {
            // A failure here shows in the function's log only, as on AWS.
            let _ = self.lambda.invoke(function, origin.disconnect(code, &reason)).await;
        }
    }

    /// Carries frames both ways until the connection ends; returns why, as a close code and its
    /// reason.
    async fn exchange(
        self: &Arc<Self>,
        origin: &Origin,
        socket: &mut WebSocket,
        to_send: &mut mpsc::UnboundedReceiver<Outgoing>,
    ) -> (u16, String) {
        let too_old = Instant::now() + MAX_AGE;
        let mut idle = Instant::now() + MAX_IDLE;

        loop {
            tokio::select! {
                outgoing = to_send.recv() => match outgoing {
                    Some(Outgoing::Message(bytes)) => {
                        if socket.send(frame(bytes)).await.is_err() {
                            return (ABNORMAL, String::new());
                        }
                    }
                    Some(Outgoing::Close) => return (NORMAL, "Connection closed normally".to_owned()),
                    None => return (GOING_AWAY, "Going away".to_owned()),
                },
                incoming = socket.recv() => match incoming {
                    Some(Ok(Message::Text(text))) => self.dispatch(origin, text.to_string()),
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Binary(_))) => {
                        return (UNSUPPORTED_DATA, "Binary is not supported".to_owned());
                    }
                    Some(Ok(Message::Close(Some(close)))) => {
                        return (close.code, close.reason.to_string());
                    }
                    Some(Ok(Message::Close(None))) => return (NO_STATUS, String::new()),
                    Some(Err(error)) if is_too_big(&error) => {
                        return (TOO_BIG, "Message too big".to_owned());
                    }
                    Some(Err(_)) | None => return (ABNORMAL, String::new()),
                },
                () = tokio::time::sleep_until(idle.min(too_old)) => return (GOING_AWAY, "Going away".to_owned()),
            }
            idle = Instant::now() + MAX_IDLE;
            self.connections.touch(&origin.connection_id);
        }
    }

    /// Sends a frame to its route's function. Frames are not waited for, so two of them may run at
    /// once and in any order, as on AWS.
    fn dispatch(self: &Arc<Self>, origin: &Origin, text: String) {
        let front = Arc::clone(self);
        let origin = origin.clone();

        tokio::spawn(async move {
            let own = |key: &String| !key.starts_with('$') && front.api.routes.contains_key(key);
            let selected = selected(&front.api.selection, &text).filter(own);
            let key = selected.unwrap_or_else(|| "$default".to_owned());
            let problem = match front.api.routes.get(&key) {
                None => "Forbidden",
                Some(_) if !front.throttles.admit(&key) => "Too Many Requests",
                Some(function) => {
                    match front.lambda.invoke(function, origin.message(&key, &text)).await {
                        Ok(_) => return,
                        Err(_) => "Internal server error",
                    }
                }
            };
            let id = &origin.connection_id;
            let error = json!({ "message": problem, "connectionId": id, "requestId": short_id() });
            front.connections.send(id, Outgoing::Message(Bytes::from(error.to_string())));
        });
    }
}

fn frame(bytes: Bytes) -> Message {
    match std::str::from_utf8(&bytes) {
        Ok(text) => Message::text(text),
        Err(_) => Message::Binary(bytes),
    }
}

fn is_too_big(error: &axum::Error) -> bool {
    use tokio_tungstenite::tungstenite;
    let source = std::error::Error::source(error)
        .and_then(|source| source.downcast_ref::<tungstenite::Error>());
    matches!(source, Some(tungstenite::Error::Capacity(_)))
}
