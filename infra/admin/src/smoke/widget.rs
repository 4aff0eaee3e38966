//! The visitor's side: a WebSocket that says hello, takes messages and acknowledges them.

use futures_util::{SinkExt, StreamExt};
use http::Uri;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::{self, ClientRequestBuilder, Message};

use super::tls::{self, Connection};
use domain::MessageId;

/// The events that the smoke test has to know; a widget skips the others.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    NewMessage {
        message: NewMessage,
    },
    CaughtUp {},
    Error {
        code: String,
        detail: Option<String>,
    },
    /// API Gateway's own error when the function behind it failed.
    #[serde(untagged)]
    GatewayError {
        message: String,
        #[serde(rename = "requestId")]
        request_id: String,
    },
}

#[derive(Debug, Deserialize)]
struct NewMessage {
    id: MessageId,
}

/// Returns what to look at when a handshake fails.
fn not_opened(url: &str, error: &tungstenite::Error) -> String {
    let advice = match error {
        tungstenite::Error::Http(answer) if answer.status() == 401 => {
            "; is the first key of VisitorKeys the one that chat-socket reads?"
        }
        tungstenite::Error::Http(answer) if answer.status().is_server_error() => {
            "; look at the log of chat-socket"
        }
        _ => "",
    };
    format!("{url} opens no WebSocket: {error}{advice}")
}

/// A connected and greeted widget.
pub(super) struct Widget {
    socket: WebSocketStream<Box<dyn Connection>>,
}

impl Widget {
    /// Connects, says hello, and waits until everything after `settled_seq` was said.
    pub(super) async fn connect(
        url: &str,
        token: &str,
        settled_seq: u64,
    ) -> Result<Widget, String> {
        let uri: Uri = url.parse().map_err(|error| format!("{url}: {error}"))?;
        let connection = tls::connect(&uri).await?;
        let handshake = ClientRequestBuilder::new(uri)
            .with_sub_protocol("pingback-chat")
            .with_sub_protocol(format!("token.{token}"));
        let (socket, _) = tokio_tungstenite::client_async(handshake, connection)
            .await
            .map_err(|error| not_opened(url, &error))?;

        let mut widget = Widget { socket };
        let hello = json!({"action": "hello", "after": settled_seq});
        widget.send(&hello).await?;
        loop {
            match widget.next().await? {
                Event::CaughtUp {} => return Ok(widget),
                Event::NewMessage { message } => widget.acknowledge(message.id).await?,
                Event::Error { code, detail } => {
                    let detail = detail.unwrap_or_default();
                    return Err(format!("chat-socket answered the hello with {code}: {detail}"));
                }
                Event::GatewayError { message, request_id } => {
                    return Err(format!(
                        "API Gateway answered the hello with \"{message}\" (request {request_id}): \
                         look at the log of chat-socket"
                    ));
                }
            }
        }
    }

    /// Waits for a message; acknowledges others, which an earlier run has left.
    pub(super) async fn receive(&mut self, id: MessageId) -> Result<(), String> {
        loop {
            match self.next().await? {
                Event::NewMessage { message } if message.id == id => return Ok(()),
                Event::NewMessage { message } => self.acknowledge(message.id).await?,
                Event::CaughtUp {} | Event::Error { .. } | Event::GatewayError { .. } => {}
            }
        }
    }

    /// Sends the receipt for a message.
    pub(super) async fn acknowledge(&mut self, id: MessageId) -> Result<(), String> {
        self.send(&json!({"action": "ack", "id": id})).await
    }

    /// Closes the connection; one that is gone already is closed, too.
    pub(super) async fn close(mut self) {
        let _ = self.socket.close(None).await;
    }

    async fn send(&mut self, frame: &Value) -> Result<(), String> {
        let sent = self.socket.send(Message::text(frame.to_string())).await;
        sent.map_err(|error| format!("the widget's connection broke: {error}"))
    }

    async fn next(&mut self) -> Result<Event, String> {
        loop {
            let frame = self.socket.next().await;
            let frame = frame.ok_or("API Gateway closed the widget's connection")?;
            let frame = frame.map_err(|error| format!("the widget's connection broke: {error}"))?;
            // A widget skips the events that it does not know.
            if let Message::Text(text) = frame
                && let Ok(event) = serde_json::from_str(&text)
            {
                return Ok(event);
            }
        }
    }
}
