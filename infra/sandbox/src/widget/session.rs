//! One visitor's browser: a real WebSocket client that says hello with the last message it saw,
//! keeps what is new in its order, acknowledges everything, and comes back when it is cut off.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use uuid::Uuid;

use super::endpoint::WidgetEndpoint;
use crate::channel::{Channel, Submission};
use crate::http_client;
use crate::visitor::Visitor;

/// First wait before another try; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// Longest wait before another try.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// Silence after which the widget sends a ping. API Gateway closes a connection after ten silent
/// minutes:
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html>.
const SILENCE: Duration = Duration::from_secs(300);
/// How long a widget waits for the answer to its hello before it tries another connection.
const HELLO_TIMEOUT: Duration = Duration::from_secs(3);
/// How long it waits for `caught_up` once nothing else comes.
const ANSWER: Duration = Duration::from_secs(5);
/// How many acknowledgements are repeated when one of them was not understood.
const RECENT: usize = 32;
/// Silence before they are repeated: a server that has just said hello may not have stored the
/// connection yet.
const SETTLING: Duration = Duration::from_millis(200);
/// How long a widget waits for a message that is on its way to others before it asks for it.
const PENDING: Duration = Duration::from_secs(1);

/// The server's events; a widget skips those that it does not know.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    Hello,
    NewMessage(PlacedMessage),
    NewMessages {
        messages: Vec<PlacedMessage>,
    },
    LargeMessage {
        seq: u64,
        id: Uuid,
    },
    Page {
        after: u64,
    },
    History {
        after: u64,
    },
    CaughtUp {
        seq: u64,
        #[serde(default)]
        pending: u64,
    },
    Error {
        code: String,
    },
    /// API Gateway's own error when the function behind it failed; it does not name the frame.
    #[serde(untagged)]
    Broken {
        message: String,
        #[serde(rename = "requestId")]
        request: String,
    },
}

#[derive(Debug, Deserialize)]
struct PlacedMessage {
    seq: u64,
    message: NewMessage,
}

#[derive(Debug, Deserialize)]
struct NewMessage {
    id: Uuid,
    content: String,
    #[serde(default)]
    attachments: Vec<Value>,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum ConnectionEnd {
    #[error(transparent)]
    Connection(#[from] tungstenite::Error),
    #[error("the server closed it")]
    Closed,
    #[error("it was not answered")]
    Silent,
    #[error("the server answered {0}")]
    Refused(String),
    #[error("a message that did not fit could not be fetched: {0}")]
    NotFetched(#[from] reqwest::Error),
    #[error("the message could not be kept: {0}")]
    NotKept(#[from] std::io::Error),
}

/// Counts a widget as long as it holds a message back.
struct HoldCounter {
    all: Arc<AtomicUsize>,
    counted: bool,
}

impl HoldCounter {
    fn set(&mut self, holds: bool) {
        match (self.counted, holds) {
            (false, true) => _ = self.all.fetch_add(1, Ordering::Relaxed),
            (true, false) => _ = self.all.fetch_sub(1, Ordering::Relaxed),
            (false, false) | (true, true) => {}
        }
        self.counted = holds;
    }
}

impl Drop for HoldCounter {
    fn drop(&mut self) {
        self.set(false);
    }
}

/// One visitor's widget, over all its connections.
pub(super) struct Session {
    endpoint: WidgetEndpoint,
    http: reqwest::Client,
    chat: Arc<Channel>,
    visitor: Visitor,
    /// Whether the hello was answered.
    answered: bool,
    /// Turns true when the widget was brought up to date.
    greet: watch::Sender<bool>,
    seen: HashSet<Uuid>,
    /// Up to this place everything was seen, or will never come.
    after: u64,
    /// The message before the pages that came; the pages before it are asked for one by one.
    oldest: Option<u64>,
    /// Up to this place everything came, or will never come, once no page is missing.
    up_to: u64,
    /// Messages that came too early, by their place.
    held: BTreeMap<u64, NewMessage>,
    holding: HoldCounter,
    /// Whether the widget has asked for what is missing.
    asking: bool,
    /// The place of a message that is on its way to others.
    pending: u64,
    /// The last acknowledgements; they are repeated after the server failed at a frame that it did
    /// not name.
    recent: VecDeque<Uuid>,
    repeat: bool,
}

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

impl Session {
    pub(super) fn new(
        endpoint: WidgetEndpoint,
        chat: Arc<Channel>,
        visitor: Visitor,
        greet: watch::Sender<bool>,
        holding: Arc<AtomicUsize>,
    ) -> Self {
        let seen = chat.seen_by(visitor.conversation_id);
        let after = seen.iter().map(|(_, seq)| *seq).max().unwrap_or(0);
        let seen = seen.into_iter().map(|(id, _)| id).collect();

        Self {
            endpoint,
            http: http_client::loopback(),
            chat,
            visitor,
            answered: false,
            greet,
            seen,
            after,
            oldest: None,
            up_to: 0,
            held: BTreeMap::new(),
            holding: HoldCounter { all: holding, counted: false },
            asking: false,
            pending: 0,
            recent: VecDeque::new(),
            repeat: false,
        }
    }

    pub(super) async fn run(mut self, mut leaving: watch::Receiver<bool>) {
        let mut wait = FIRST_WAIT;
        loop {
            let end = self.connect(&mut leaving).await;
            let Err(end) = end else { return };
            self.held.clear();
            self.oldest = None;
            self.holding.set(false);
            if self.greet.send_replace(false) {
                // It was greeted: the connection broke, the server did not refuse it.
                wait = FIRST_WAIT;
            }
            tracing::debug!(conversation = %self.visitor.conversation_id, %end, "the widget lost its connection; it connects again");
            tokio::select! {
                () = tokio::time::sleep(wait.mul_f64(0.5 + rand::random::<f64>() / 2.0)) => {}
                () = turned_true(&mut leaving) => return,
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// Holds one connection; it ends well only when the visitor leaves.
    async fn connect(&mut self, leaving: &mut watch::Receiver<bool>) -> Result<(), ConnectionEnd> {
        let handshake = self.endpoint.handshake(self.visitor)?;
        let connected = tokio::select! {
            connected = tokio_tungstenite::connect_async(handshake) => connected,
            () = turned_true(leaving) => return Ok(()),
        };

        let (mut socket, _) = connected?;
        send(&mut socket, json!({ "action": "hello", "after": self.after })).await?;

        let hello_deadline = tokio::time::Instant::now() + HELLO_TIMEOUT;
        (self.answered, self.asking, self.pending) = (false, true, 0);

        loop {
            let answered = self.answered;
            let waiting = self.pending > self.after;
            tokio::select! {
                frame = socket.next() => {
                    let frame = frame.ok_or(ConnectionEnd::Closed)??;
                    self.receive(&mut socket, frame).await?;
                    self.holding.set(!self.held.is_empty());
                }
                () = tokio::time::sleep_until(hello_deadline), if !answered => {
                    return Err(ConnectionEnd::Silent);
                }
                () = tokio::time::sleep(ANSWER), if self.asking => {
                    return Err(ConnectionEnd::Silent);
                }
                () = tokio::time::sleep(SETTLING), if answered && self.repeat => {
                    self.repeat_acknowledgements(&mut socket).await?;
                }
                () = tokio::time::sleep(PENDING), if waiting => {
                    self.ask_for_missing(&mut socket).await?;
                }
                () = tokio::time::sleep(SILENCE) => {
                    send(&mut socket, json!({ "action": "ping" })).await?;
                }
                () = turned_true(leaving) => {
                    let _ = socket.close(None).await;
                    // Until the server closes it, too.
                    while let Some(Ok(_)) = socket.next().await {}
                    return Ok(());
                }
            }
        }
    }

    async fn repeat_acknowledgements(&mut self, socket: &mut Socket) -> Result<(), ConnectionEnd> {
        self.repeat = false;
        for id in &self.recent {
            send(socket, json!({ "action": "ack", "id": id })).await?;
        }
        Ok(())
    }

    async fn receive(&mut self, socket: &mut Socket, frame: Message) -> Result<(), ConnectionEnd> {
        let Message::Text(text) = frame else { return Ok(()) };
        match serde_json::from_str(&text) {
            Ok(Event::NewMessage(PlacedMessage { seq, message })) => {
                self.take_message(socket, seq, message).await?;
            }
            Ok(Event::NewMessages { messages }) => {
                for PlacedMessage { seq, message } in messages {
                    self.take_message(socket, seq, message).await?;
                }
            }
            Ok(Event::LargeMessage { seq, id }) => {
                let message = self.fetch_message(id).await?;
                self.take_message(socket, seq, message).await?;
            }
            Ok(Event::Page { after }) => self.oldest = Some(after),
            Ok(Event::History { after }) => {
                self.oldest = Some(after);
                self.catch_up(socket).await?;
            }
            Ok(Event::CaughtUp { seq, pending }) => {
                (self.up_to, self.pending) = (seq, pending);
                self.catch_up(socket).await?;
            }
            Ok(Event::Broken { message, request }) => {
                self.repeat = true;
                return Err(ConnectionEnd::Refused(format!("{message} ({request})")));
            }
            Ok(Event::Error { code }) => {
                self.repeat = true;
                return Err(ConnectionEnd::Refused(code));
            }
            Ok(Event::Hello) => self.answered = true,
            Err(_) => {} // an event that this widget does not know
        }

        Ok(())
    }

    /// Keeps a message when everything before it is there, and asks for what is missing.
    async fn take_message(
        &mut self,
        socket: &mut Socket,
        seq: u64,
        message: NewMessage,
    ) -> Result<(), ConnectionEnd> {
        if seq > self.after + 1 {
            self.held.insert(seq, message);
        } else {
            self.keep_message(socket, seq, message).await?;
        }

        self.keep_following(socket).await?;
        if !self.held.is_empty() && !self.asking {
            self.ask_for_missing(socket).await
        } else {
            Ok(())
        }
    }

    async fn keep_following(&mut self, socket: &mut Socket) -> Result<(), ConnectionEnd> {
        while let Some(message) = self.held.remove(&(self.after + 1)) {
            self.keep_message(socket, self.after + 1, message).await?;
        }
        Ok(())
    }

    async fn ask_for_missing(&mut self, socket: &mut Socket) -> Result<(), ConnectionEnd> {
        self.asking = true;
        Ok(send(socket, json!({ "action": "resume", "after": self.after })).await?)
    }

    /// Keeps what has come once no older page is missing: this visitor reads everything, from its
    /// beginning.
    async fn catch_up(&mut self, socket: &mut Socket) -> Result<(), ConnectionEnd> {
        if let Some(oldest) = self.oldest.filter(|oldest| *oldest > self.after) {
            self.asking = true;
            return Ok(send(socket, json!({ "action": "history", "before": oldest + 1 })).await?);
        }

        self.oldest = None;
        self.asking = false;
        self.greet.send_replace(true);
        let later = self.held.split_off(&(self.up_to + 1));
        for (seq, message) in std::mem::replace(&mut self.held, later) {
            self.keep_message(socket, seq, message).await?;
        }
        self.after = self.after.max(self.up_to);
        self.keep_following(socket).await?;
        // The widget asks once more for what is still missing, but not at once.
        self.pending = self.pending.max(self.held.keys().next().copied().unwrap_or(0));
        Ok(())
    }

    async fn fetch_message(&self, id: Uuid) -> Result<NewMessage, ConnectionEnd> {
        let url = format!("{}/api/v1/chat/messages/{id}", self.endpoint.api_url);
        let answer =
            self.http.get(url).bearer_auth(self.endpoint.token(self.visitor)).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// Keeps a message and acknowledges it.
    async fn keep_message(
        &mut self,
        socket: &mut Socket,
        seq: u64,
        message: NewMessage,
    ) -> Result<(), ConnectionEnd> {
        let id = message.id;
        self.accept(seq, message).await?;
        if !self.recent.contains(&id) {
            self.recent.truncate(RECENT - 1);
            self.recent.push_front(id);
        }
        Ok(send(socket, json!({ "action": "ack", "id": id })).await?)
    }

    /// Records a new message. One that was seen before is dropped: the server may send it again
    /// when it is not sure of the first time.
    async fn accept(&mut self, seq: u64, message: NewMessage) -> Result<(), ConnectionEnd> {
        if self.seen.contains(&message.id) {
            return Ok(());
        }

        let delivered = Submission {
            message_id: Some(message.id),
            conversation_id: Some(self.visitor.conversation_id),
            to: "visitor".into(),
            content: message.content,
            attachments: message.attachments,
            seq: Some(seq),
            ..Submission::default()
        };

        self.chat.accept(delivered).await?;
        self.seen.insert(message.id);
        self.after = self.after.max(seq);

        Ok(())
    }
}

async fn send(socket: &mut Socket, frame: Value) -> Result<(), tungstenite::Error> {
    socket.send(Message::text(frame.to_string())).await
}

/// Waits until a flag turns true.
pub(super) async fn turned_true(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|flag| *flag).await;
}
