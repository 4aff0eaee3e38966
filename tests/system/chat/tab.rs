//! A browser's tab with the chat in it, as far as its WebSocket is concerned. Only what was heard
//! is known here; what a widget makes of it is [`Reader`]'s, which orders messages as the README
//! says.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{self, ClientRequestBuilder, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use uuid::Uuid;

use tests::{Business, World};

/// How long a message is waited for that is on its way to other tabs, as the widget does.
const PENDING_WAIT: Duration = Duration::from_secs(1);

/// The longest wait for a frame.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Tab {
    socket: WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>,
    /// Events of one frame that were not looked at yet.
    events: VecDeque<Value>,
}

impl Tab {
    pub(crate) async fn open(world: &World, token: &str) -> Tab {
        Tab::try_open(world, token).await.unwrap_or_else(|status| panic!("answered {status}"))
    }

    /// Opens a connection, or returns the status of the answer that refuses it.
    pub(crate) async fn try_open(world: &World, token: &str) -> Result<Tab, u16> {
        Tab::shake_hands(world, &["pingback-chat", &format!("token.{token}")]).await
    }

    /// Opens a connection with these subprotocols.
    pub(crate) async fn shake_hands(world: &World, subprotocols: &[&str]) -> Result<Tab, u16> {
        let address = world.ready.websocket.parse().expect("an address");
        let handshake = subprotocols
            .iter()
            .copied()
            .fold(ClientRequestBuilder::new(address), ClientRequestBuilder::with_sub_protocol);
        match tokio_tungstenite::connect_async(handshake).await {
            Ok((socket, answer)) => {
                assert_eq!(answer.headers()["sec-websocket-protocol"], "pingback-chat");
                Ok(Tab { socket, events: VecDeque::new() })
            }
            Err(tungstenite::Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(other) => panic!("{other}"),
        }
    }

    pub(crate) async fn hello(&mut self, after: u64) {
        self.send_action(json!({"action": "hello", "after": after})).await;
    }

    /// Says hello, and returns the answer; `None` if the connection is closed.
    pub(crate) async fn greeting(&mut self) -> Option<Value> {
        let hello = json!({"action": "hello", "after": 0});
        let _ = self.socket.send(Message::text(hello.to_string())).await;
        self.try_event().await
    }

    /// True if a ping is answered; false if the connection is closed or refused.
    pub(crate) async fn is_alive(&mut self) -> bool {
        let _ = self.socket.send(Message::text(json!({"action": "ping"}).to_string())).await;
        loop {
            match tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("something comes")
            {
                Some(Ok(Message::Text(text))) if text.contains("pong") => return true,
                Some(Ok(Message::Text(text))) if text.contains("\"error\"") => return false,
                Some(Ok(Message::Text(_))) => {}
                None | Some(Err(_) | Ok(_)) => return false,
            }
        }
    }

    /// Says hello once more, with another token.
    pub(crate) async fn hello_with(&mut self, token: &str, after: u64) {
        self.send_action(json!({"action": "hello", "token": token, "after": after})).await;
    }

    pub(crate) async fn send_action(&mut self, what: Value) {
        self.socket.send(Message::text(what.to_string())).await.expect("the line holds");
    }

    /// Sends actions in one packet.
    pub(crate) async fn send_at_once(&mut self, all: &[Value]) {
        for what in all {
            self.socket.feed(Message::text(what.to_string())).await.expect("the line holds");
        }
        self.socket.flush().await.expect("the line holds");
    }

    /// Sends an action if the line holds.
    pub(crate) async fn try_action(&mut self, what: Value) {
        let _ = self.socket.send(Message::text(what.to_string())).await;
    }

    /// Says ping and waits for the answer: whatever was said before was heard.
    pub(crate) async fn ping(&mut self) {
        self.send_action(json!({"action": "ping"})).await;
        assert_eq!(self.next_event().await, json!({"type": "pong"}));
    }

    /// The next event, as of [`Tab::try_event`].
    pub(crate) async fn next_event(&mut self) -> Value {
        self.try_event().await.expect("the line holds")
    }

    /// The next event; `None` if the connection is closed. Messages that come together are events
    /// of their own here.
    pub(crate) async fn try_event(&mut self) -> Option<Value> {
        while self.events.is_empty() {
            let event = self.next_frame().await?;
            match event["type"].as_str() {
                Some("new_messages") => {
                    let messages = event["messages"].as_array().expect("a list").iter();
                    self.events.extend(messages.map(|message| {
                        let mut event = message.clone();
                        event["type"] = json!("new_message");
                        event
                    }));
                }
                _ => self.events.push_back(event),
            }
        }
        self.events.pop_front()
    }

    /// The next event as it comes; `None` if the connection is closed.
    pub(crate) async fn next_frame(&mut self) -> Option<Value> {
        match tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("something comes") {
            Some(Ok(Message::Text(text))) => Some(serde_json::from_str(&text).expect("JSON")),
            None | Some(Err(_) | Ok(_)) => None,
        }
    }

    /// The code of the next event, an error.
    pub(crate) async fn next_error(&mut self) -> String {
        let event = self.next_event().await;
        assert_eq!(event["type"], "error", "{event}");
        event["code"].as_str().expect("a code").to_owned()
    }

    /// The next event, a message: its place, id and text.
    pub(crate) async fn next_message(&mut self) -> (u64, Uuid, String) {
        let event = self.next_event().await;
        let (seq, id) = message_of(&event);
        (seq, id, event["message"]["content"].as_str().expect("a text").to_owned())
    }

    /// The messages until `caught_up`, and its place.
    pub(crate) async fn until_caught_up(&mut self) -> (Vec<(u64, Uuid)>, u64) {
        let mut all = Vec::new();
        loop {
            let event = self.next_event().await;
            if event["type"] == "caught_up" {
                return (all, event["seq"].as_u64().expect("a place"));
            }
            all.push(message_of(&event));
        }
    }

    /// Asks for what came after `after`.
    pub(crate) async fn resume(&mut self, after: u64) -> (Vec<(u64, Uuid)>, u64) {
        self.send_action(json!({"action": "resume", "after": after})).await;
        self.until_caught_up().await
    }

    pub(crate) async fn close(mut self) {
        self.socket.close(None).await.expect("the line holds");
        while let Some(Ok(_)) = self.socket.next().await {}
    }

    /// Breaks the line, without a word.
    pub(crate) fn drop_connection(self) {}

    pub(crate) async fn until_closed(&mut self) {
        let closed = async {
            while !matches!(self.socket.next().await, None | Some(Err(_) | Ok(Message::Close(_)))) {
            }
        };
        tokio::time::timeout(PATIENCE, closed).await.expect("the server closes");
    }
}

/// Place and id of the message in an event.
pub(crate) fn message_of(event: &Value) -> (u64, Uuid) {
    assert_eq!(event["type"], "new_message", "{event}");
    let id = event["message"]["id"].as_str().expect("an id").parse().expect("a UUID");
    (event["seq"].as_u64().expect("a place"), id)
}

/// Fetches a message as the widget does.
pub(crate) async fn fetch(world: &World, token: &str, id: Uuid) -> (u16, Value) {
    let answer = world.get(token, &format!("/api/v1/chat/messages/{id}")).await;
    (answer.status.as_u16(), answer.json())
}

/// A tab that shows messages in their order, each once.
pub(crate) struct Reader {
    tab: Tab,
    last: u64,
    up_to: u64,
    /// The message that was on its way to other tabs.
    pending: u64,
    held: BTreeMap<u64, Uuid>,
    asking: bool,
}

impl Reader {
    pub(crate) async fn open(world: &World, business: &Business) -> Reader {
        Reader::after(world, business, 0).await
    }

    /// Breaks the line and connects again.
    pub(crate) async fn come_back(self, world: &World, business: &Business) -> Reader {
        let last = self.last;
        self.tab.drop_connection();
        Reader::after(world, business, last).await
    }

    async fn after(world: &World, business: &Business, last: u64) -> Reader {
        let tab = super::tab(world, business, last).await;
        Reader { tab, last, up_to: last, pending: 0, held: BTreeMap::new(), asking: true }
    }

    /// Waits for an event; the messages that can be shown now.
    pub(crate) async fn read(&mut self) -> Vec<Uuid> {
        let event = match self.pending > self.last && !self.asking {
            false => self.tab.next_event().await,
            true => match tokio::time::timeout(PENDING_WAIT, self.tab.next_event()).await {
                Ok(event) => event,
                Err(_) => {
                    self.resume().await;
                    return Vec::new();
                }
            },
        };
        if event["type"] == "caught_up" {
            self.asking = false;
            self.up_to = self.up_to.max(event["seq"].as_u64().expect("a place"));
            self.pending = event["pending"].as_u64().unwrap_or(0);
        } else {
            let (seq, id) = message_of(&event);
            if seq > self.last {
                self.held.insert(seq, id);
            }
        }

        let mut shown = Vec::new();
        loop {
            match self.held.remove(&(self.last + 1)) {
                Some(id) => shown.push(id),
                None if self.last < self.up_to => {}
                None => break,
            }
            self.last += 1;
        }

        if !self.held.is_empty() && !self.asking {
            self.resume().await;
        }

        shown
    }

    async fn resume(&mut self) {
        self.asking = true;
        self.tab.send_action(json!({"action": "resume", "after": self.last})).await;
    }
}
