//! A browser's tab with the chat in it, as far as its WebSocket is concerned. Only what was heard
//! is known here; what a widget makes of it is [`Reader`]'s, which orders messages as the README
//! says.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use uuid::Uuid;

use tests::{Business, World};

/// The longest wait for a frame.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Tab(WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>);

impl Tab {
    pub(crate) async fn open(world: &World) -> Tab {
        Tab(tokio_tungstenite::connect_async(&world.ready.websocket)
            .await
            .expect("the gateway takes it")
            .0)
    }

    pub(crate) async fn hello(&mut self, token: &str, after: u64) {
        self.send_action(json!({"action": "hello", "token": token, "after": after})).await;
    }

    pub(crate) async fn send_action(&mut self, what: Value) {
        self.0.send(Message::text(what.to_string())).await.expect("the line holds");
    }

    /// Says ping and waits for the answer: whatever was said before was heard.
    pub(crate) async fn ping(&mut self) {
        self.send_action(json!({"action": "ping"})).await;
        assert_eq!(self.next_event().await, json!({"type": "pong"}));
    }

    /// The next event.
    pub(crate) async fn next_event(&mut self) -> Value {
        let next = tokio::time::timeout(PATIENCE, self.0.next()).await.expect("something comes");
        match next.expect("the line holds").expect("the line holds") {
            Message::Text(text) => serde_json::from_str(&text).expect("JSON"),
            other => panic!("an event was expected, not {other:?}"),
        }
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
        self.0.close(None).await.expect("the line holds");
        while let Some(Ok(_)) = self.0.next().await {}
    }

    /// Breaks the line, without a word.
    pub(crate) fn drop_connection(self) {}

    pub(crate) async fn until_closed(&mut self) {
        let closed = async {
            while !matches!(self.0.next().await, None | Some(Err(_) | Ok(Message::Close(_)))) {}
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
        Reader { tab, last, up_to: last, held: BTreeMap::new(), asking: true }
    }

    /// Waits for an event; the messages that can be shown now.
    pub(crate) async fn read(&mut self) -> Vec<Uuid> {
        let event = self.tab.next_event().await;
        if event["type"] == "caught_up" {
            self.asking = false;
            self.up_to = self.up_to.max(event["seq"].as_u64().expect("a place"));
            if event["pending"].as_u64().is_some_and(|pending| pending > self.last) {
                self.resume().await;
            }
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
