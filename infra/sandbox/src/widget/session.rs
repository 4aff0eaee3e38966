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

use super::{Gate, Visitor, turned_true};
use crate::channel::{Channel, Delivered};

/// First wait before another try; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// Longest wait before another try.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How long nothing has to happen before a ping. API Gateway closes a connection after ten silent
/// minutes:
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html>.
const SILENCE: Duration = Duration::from_secs(300);
/// How long a widget waits for it before it tries another connection.
const HELLO_TIMEOUT: Duration = Duration::from_secs(3);
/// How long it waits for `caught_up` once nothing else comes.
const ANSWER: Duration = Duration::from_secs(5);
/// How many acknowledgements are said again when one of them was not understood.
const RECENT: usize = 32;
/// How long it is quiet before they are: a server that has just said hello may not have noted yet
/// who is there.
const SETTLING: Duration = Duration::from_millis(200);
/// How long a message that is on its way to others is waited for before it is asked for.
const PENDING: Duration = Duration::from_millis(500);

/// What the server tells a widget; what it does not know, it skips.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    Hello,
    NewMessage {
        seq: u64,
        message: NewMessage,
    },
    LargeMessage {
        seq: u64,
        id: Uuid,
    },
    CaughtUp {
        seq: u64,
        #[serde(default)]
        pending: u64,
    },
    Error {
        code: String,
    },
    /// API Gateway's own words when the function behind it failed; they do not say at what.
    #[serde(untagged)]
    Broken {
        message: String,
        #[serde(rename = "requestId")]
        request: String,
    },
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
enum Ended {
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

/// Counts one among those who hold a message back, as long as it does.
struct Holding {
    all: Arc<AtomicUsize>,
    counted: bool,
}

impl Holding {
    fn set(&mut self, holds: bool) {
        match (self.counted, holds) {
            (false, true) => _ = self.all.fetch_add(1, Ordering::Relaxed),
            (true, false) => _ = self.all.fetch_sub(1, Ordering::Relaxed),
            (false, false) | (true, true) => {}
        }
        self.counted = holds;
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.set(false);
    }
}

/// One visitor's browser, from its first hello to its last goodbye.
pub(super) struct Session {
    gate: Gate,
    http: reqwest::Client,
    chat: Arc<Channel>,
    visitor: Visitor,
    /// Whether the hello was answered.
    answered: bool,
    /// Turns true when it was brought up to date.
    greet: watch::Sender<bool>,
    seen: HashSet<Uuid>,
    /// Up to here everything was seen, or will never come.
    after: u64,
    /// What came too early.
    held: BTreeMap<u64, NewMessage>,
    holding: Holding,
    /// Whether the server was asked what is missing.
    asking: bool,
    /// A message that is on its way to others.
    pending: u64,
    /// What was acknowledged last; said again after the server failed at something and did not say
    /// at what.
    recent: VecDeque<Uuid>,
    repeat: bool,
}

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

impl Session {
    pub(super) fn new(
        gate: Gate,
        chat: Arc<Channel>,
        visitor: Visitor,
        greet: watch::Sender<bool>,
        holding: Arc<AtomicUsize>,
    ) -> Self {
        let seen = chat.seen_by(visitor.conversation_id);
        let after = seen.iter().map(|(_, seq)| *seq).max().unwrap_or(0);
        let seen = seen.into_iter().map(|(id, _)| id).collect();
        Self {
            gate,
            http: crate::http_client::loopback(),
            chat,
            visitor,
            answered: false,
            greet,
            seen,
            after,
            held: BTreeMap::new(),
            holding: Holding { all: holding, counted: false },
            asking: false,
            pending: 0,
            recent: VecDeque::new(),
            repeat: false,
        }
    }

    pub(super) async fn run(mut self, mut leaving: watch::Receiver<bool>) {
        let mut wait = FIRST_WAIT;
        loop {
            let ended = self.connect(&mut leaving).await;
            let Err(ended) = ended else { return };
            self.held.clear();
            self.holding.set(false);
            if self.greet.send_replace(false) {
                wait = FIRST_WAIT; // it was in: the line broke, nobody turned it away
            }
            tracing::debug!(conversation = %self.visitor.conversation_id, %ended, "the widget is cut off");
            tokio::select! {
                () = tokio::time::sleep(wait.mul_f64(0.5 + rand::random::<f64>() / 2.0)) => {}
                () = turned_true(&mut leaving) => return,
            }
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    /// One connection; it ends well only when the visitor leaves.
    async fn connect(&mut self, leaving: &mut watch::Receiver<bool>) -> Result<(), Ended> {
        let connected = tokio::select! {
            connected = tokio_tungstenite::connect_async(&self.gate.websocket_url) => connected,
            () = turned_true(leaving) => return Ok(()),
        };
        let (mut socket, _) = connected?;
        let token = self.gate.token(self.visitor);
        say(&mut socket, json!({ "action": "hello", "token": token, "after": self.after })).await?;
        let patience = tokio::time::Instant::now() + HELLO_TIMEOUT;
        (self.answered, self.asking, self.pending) = (false, true, 0);
        loop {
            let (answered, waiting) = (self.answered, self.pending > self.after);
            tokio::select! {
                frame = socket.next() => {
                    self.hear(&mut socket, frame.ok_or(Ended::Closed)??).await?;
                    self.holding.set(!self.held.is_empty());
                }
                () = tokio::time::sleep_until(patience), if !answered => return Err(Ended::Silent),
                () = tokio::time::sleep(ANSWER), if self.asking => return Err(Ended::Silent),
                () = tokio::time::sleep(SETTLING), if answered && self.repeat => self.repeat(&mut socket).await?,
                () = tokio::time::sleep(PENDING), if waiting => self.ask(&mut socket).await?,
                () = tokio::time::sleep(SILENCE) => say(&mut socket, json!({ "action": "ping" })).await?,
                () = turned_true(leaving) => {
                    let _ = socket.close(None).await;
                    while let Some(Ok(_)) = socket.next().await {} // until the server has closed it too
                    return Ok(());
                }
            }
        }
    }

    async fn repeat(&mut self, socket: &mut Socket) -> Result<(), Ended> {
        self.repeat = false;
        for id in &self.recent {
            say(socket, json!({ "action": "ack", "id": id })).await?;
        }
        Ok(())
    }

    async fn hear(&mut self, socket: &mut Socket, frame: Message) -> Result<(), Ended> {
        let Message::Text(text) = frame else { return Ok(()) };
        match serde_json::from_str(&text) {
            Ok(Event::NewMessage { seq, message }) => self.show(socket, seq, message).await?,
            Ok(Event::LargeMessage { seq, id }) => {
                let message = self.fetch(id).await?;
                self.show(socket, seq, message).await?;
            }
            Ok(Event::CaughtUp { seq, pending }) => {
                self.greet.send_replace(true);
                (self.asking, self.pending) = (false, pending);
                let later = self.held.split_off(&(seq + 1));
                for (seq, message) in std::mem::replace(&mut self.held, later) {
                    self.keep(socket, seq, message).await?;
                }
                self.after = self.after.max(seq);
                self.keep_what_follows(socket).await?;
                // What is held all the same is asked about once more, but not at once.
                self.pending = self.pending.max(self.held.keys().next().copied().unwrap_or(0));
            }
            Ok(Event::Broken { message, request }) => {
                self.repeat = true;
                return Err(Ended::Refused(format!("{message} ({request})")));
            }
            Ok(Event::Error { code }) => {
                self.repeat = true;
                return Err(Ended::Refused(code));
            }
            Ok(Event::Hello) => self.answered = true,
            Err(_) => {} // something that this widget is too old for
        }
        Ok(())
    }

    /// Keeps a message when everything before it is there; asks for what is not.
    async fn show(
        &mut self,
        socket: &mut Socket,
        seq: u64,
        message: NewMessage,
    ) -> Result<(), Ended> {
        if seq > self.after + 1 {
            self.held.insert(seq, message);
        } else {
            self.keep(socket, seq, message).await?;
        }
        self.keep_what_follows(socket).await?;
        if !self.held.is_empty() && !self.asking { self.ask(socket).await } else { Ok(()) }
    }

    async fn keep_what_follows(&mut self, socket: &mut Socket) -> Result<(), Ended> {
        while let Some(message) = self.held.remove(&(self.after + 1)) {
            self.keep(socket, self.after + 1, message).await?;
        }
        Ok(())
    }

    async fn ask(&mut self, socket: &mut Socket) -> Result<(), Ended> {
        self.asking = true;
        Ok(say(socket, json!({ "action": "resume", "after": self.after })).await?)
    }

    async fn fetch(&self, id: Uuid) -> Result<NewMessage, Ended> {
        let url = format!("{}/api/v1/chat/messages/{id}", self.gate.api_url);
        let answer = self.http.get(url).bearer_auth(self.gate.token(self.visitor)).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// Keeps a message and says that it is here.
    async fn keep(
        &mut self,
        socket: &mut Socket,
        seq: u64,
        message: NewMessage,
    ) -> Result<(), Ended> {
        let id = message.id;
        self.accept(seq, message).await?;
        if !self.recent.contains(&id) {
            self.recent.truncate(RECENT - 1);
            self.recent.push_front(id);
        }
        Ok(say(socket, json!({ "action": "ack", "id": id })).await?)
    }

    /// A message that was seen before is dropped: the server may send it again when it is not sure
    /// of the first time.
    async fn accept(&mut self, seq: u64, message: NewMessage) -> Result<(), Ended> {
        if self.seen.contains(&message.id) {
            return Ok(());
        }
        let delivered = Delivered {
            message_id: Some(message.id),
            conversation_id: Some(self.visitor.conversation_id),
            to: "visitor".into(),
            content: message.content,
            attachments: message.attachments,
            seq: Some(seq),
            ..Delivered::default()
        };
        self.chat.accept(delivered).await?;
        self.seen.insert(message.id);
        self.after = self.after.max(seq);
        Ok(())
    }
}

async fn say(socket: &mut Socket, what: Value) -> Result<(), tungstenite::Error> {
    socket.send(Message::text(what.to_string())).await
}
