//! The customers of the chat channel: one real WebSocket client per conversation, as a visitor's browser has one. It
//! says hello with the last message it saw, keeps what is new, acknowledges everything, and comes back when it is cut
//! off.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use uuid::Uuid;

use super::channel::{Channel, Delivered};

/// First wait before another try; it doubles.
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// Longest wait before another try.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
/// How long nothing has to happen before a ping. API Gateway closes a connection after ten silent minutes:
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/limits.html>.
const SILENCE: Duration = Duration::from_secs(300);
/// How long somebody who brings customers back waits for their hello to be answered.
const HELLO_WAIT: Duration = Duration::from_secs(5);
/// How long a widget waits for it before it tries another connection.
const HELLO_TIMEOUT: Duration = Duration::from_secs(3);
/// How many acknowledgements are said again when one of them was not understood.
const RECENT: usize = 32;
/// How long a goodbye may take.
const GOODBYE_WAIT: Duration = Duration::from_secs(1);

/// Somebody who chats: a conversation, and the token that lets them into it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Visitor {
    /// The conversation they are in.
    pub conversation_id: Uuid,
    /// Their JWT.
    pub token: String,
}

/// All of them, here or away.
#[derive(Debug)]
pub struct Widgets {
    websocket_url: String,
    chat: Arc<Channel>,
    customers: Mutex<Customers>,
}

#[derive(Debug, Default)]
struct Customers {
    away: bool,
    visitors: Vec<Visitor>,
    open: HashMap<Uuid, Widget>,
}

#[derive(Debug)]
struct Widget {
    task: JoinHandle<()>,
    leave: watch::Sender<bool>,
    greeted: watch::Receiver<bool>,
}

impl Widgets {
    /// Nobody yet.
    pub(crate) fn new(websocket_url: String, chat: Arc<Channel>) -> Self {
        Self { websocket_url, chat, customers: Mutex::default() }
    }

    /// Opens a widget for each of them, unless customers were sent away; they are then remembered for later. Answers
    /// how many of those opened were not greeted in time (they go on trying).
    pub async fn add(&self, visitors: Vec<Visitor>) -> usize {
        let mut customers = self.customers.lock().await;
        let new: Vec<_> = visitors.into_iter().filter(|visitor| !customers.visitors.contains(visitor)).collect();
        customers.visitors.extend(new.iter().cloned());
        if customers.away {
            return 0;
        }
        self.open(&mut customers, new).await
    }

    /// Closes every widget; messages wait from now on.
    pub async fn send_away(&self) {
        let mut customers = self.customers.lock().await;
        customers.away = true;
        close(&mut customers).await;
    }

    /// Opens every widget again; each gets what it missed. Answers as [`Widgets::add`].
    pub async fn bring_back(&self) -> usize {
        let mut customers = self.customers.lock().await;
        customers.away = false;
        let absent = |visitor: &&Visitor| !customers.open.contains_key(&visitor.conversation_id);
        let absent = customers.visitors.iter().filter(absent).cloned().collect();
        self.open(&mut customers, absent).await
    }

    /// Everybody who is here leaves and comes back, as after a break in the line.
    pub async fn reconnect(&self) {
        let mut customers = self.customers.lock().await;
        if !customers.away {
            close(&mut customers).await;
            let all = customers.visitors.clone();
            self.open(&mut customers, all).await;
        }
    }

    /// How many customers there are, and whether they are away.
    pub async fn count(&self) -> (usize, bool) {
        let customers = self.customers.lock().await;
        (customers.visitors.len(), customers.away)
    }

    async fn open(&self, customers: &mut Customers, visitors: Vec<Visitor>) -> usize {
        let mut waiting = Vec::with_capacity(visitors.len());
        for visitor in visitors {
            let (leave, leaving) = watch::channel(false);
            let (greet, greeted) = watch::channel(false);
            let conversation = visitor.conversation_id;
            let session = Session::new(self.websocket_url.clone(), self.chat.clone(), visitor, greet);
            waiting.push(greeted.clone());
            let task = tokio::spawn(session.run(leaving));
            customers.open.insert(conversation, Widget { task, leave, greeted });
        }
        let greeted = waiting.iter_mut().map(turned_true);
        let _ = tokio::time::timeout(HELLO_WAIT, futures_util::future::join_all(greeted)).await;
        customers.open.values().filter(|widget| !*widget.greeted.borrow()).count()
    }
}

async fn close(customers: &mut Customers) {
    let leaving = customers.open.drain().map(|(_, mut widget)| async move {
        let _ = widget.leave.send(true);
        if tokio::time::timeout(GOODBYE_WAIT, &mut widget.task).await.is_err() {
            widget.task.abort();
        }
    });
    futures_util::future::join_all(leaving).await;
}

/// What the server tells a widget; what it does not know, it skips.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    Hello,
    NewMessage {
        seq: u64,
        message: NewMessage,
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
    #[error("the hello was not answered")]
    Silent,
    #[error("the server answered {0}")]
    Refused(String),
    #[error("the message could not be kept: {0}")]
    NotKept(#[from] std::io::Error),
}

/// One visitor's browser, from its first hello to its last goodbye.
struct Session {
    websocket_url: String,
    chat: Arc<Channel>,
    visitor: Visitor,
    greet: watch::Sender<bool>,
    seen: HashSet<Uuid>,
    /// Highest `seq` seen.
    after: u64,
    /// What was acknowledged last, and whether the server may have missed some of it.
    recent: VecDeque<Uuid>,
    missed: bool,
}

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

impl Session {
    fn new(websocket_url: String, chat: Arc<Channel>, visitor: Visitor, greet: watch::Sender<bool>) -> Self {
        let seen = chat.seen_by(visitor.conversation_id);
        let after = seen.iter().map(|(_, seq)| *seq).max().unwrap_or(0);
        let seen = seen.into_iter().map(|(id, _)| id).collect();
        Self { websocket_url, chat, visitor, greet, seen, after, recent: VecDeque::new(), missed: false }
    }

    async fn run(mut self, mut leaving: watch::Receiver<bool>) {
        let mut wait = FIRST_WAIT;
        loop {
            let ended = self.connect(&mut leaving).await;
            let Err(ended) = ended else { return };
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
            connected = tokio_tungstenite::connect_async(&self.websocket_url) => connected,
            () = turned_true(leaving) => return Ok(()),
        };
        let (mut socket, _) = connected?;
        say(&mut socket, json!({ "action": "hello", "token": self.visitor.token, "after": self.after })).await?;
        let answered = tokio::time::Instant::now() + HELLO_TIMEOUT;
        loop {
            let greeted = *self.greet.borrow();
            tokio::select! {
                frame = socket.next() => self.hear(&mut socket, frame.ok_or(Ended::Closed)??).await?,
                () = tokio::time::sleep_until(answered), if !greeted => return Err(Ended::Silent),
                () = tokio::time::sleep(SILENCE) => say(&mut socket, json!({ "action": "ping" })).await?,
                () = turned_true(leaving) => {
                    let _ = socket.close(None).await;
                    while let Some(Ok(_)) = socket.next().await {} // until the server has closed it too
                    return Ok(());
                }
            }
        }
    }

    async fn hear(&mut self, socket: &mut Socket, frame: Message) -> Result<(), Ended> {
        let Message::Text(text) = frame else { return Ok(()) };
        match serde_json::from_str(&text) {
            Ok(Event::Hello) => {
                self.greet.send_replace(true);
                if std::mem::take(&mut self.missed) {
                    for id in &self.recent {
                        say(socket, json!({ "action": "ack", "id": id })).await?;
                    }
                }
            }
            Ok(Event::NewMessage { seq, message }) => {
                let id = message.id;
                self.keep(seq, message).await?;
                if !self.recent.contains(&id) {
                    self.recent.truncate(RECENT - 1);
                    self.recent.push_front(id);
                }
                say(socket, json!({ "action": "ack", "id": id })).await?;
            }
            Ok(Event::Broken { message, request }) => {
                self.missed = true;
                return Err(Ended::Refused(format!("{message} ({request})")));
            }
            Ok(Event::Error { code }) => return Err(Ended::Refused(code)),
            Err(_) => {} // something that this widget is too old for
        }
        Ok(())
    }

    /// A message that was seen before is dropped: the server may send it again when it is not sure of the first time.
    async fn keep(&mut self, seq: u64, message: NewMessage) -> Result<(), Ended> {
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
        };
        self.chat.accept(delivered).await?;
        self.seen.insert(message.id);
        self.after = self.after.max(seq);
        Ok(())
    }
}

async fn turned_true(flag: &mut watch::Receiver<bool>) {
    let _ = flag.wait_for(|flag| *flag).await;
}

async fn say(socket: &mut Socket, what: Value) -> Result<(), tungstenite::Error> {
    socket.send(Message::text(what.to_string())).await
}

#[cfg(test)]
mod tests;
