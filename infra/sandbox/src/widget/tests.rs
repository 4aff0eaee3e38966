//! A widget against a server that behaves badly.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;

use super::*;
use crate::clock::Clock;
use crate::seed::Keys;

type Peer = WebSocketStream<TcpStream>;

#[expect(clippy::result_large_err, reason = "tungstenite asks for this closure")]
async fn accept(listener: &TcpListener) -> Peer {
    let choose = |request: &Request, mut response: Response| {
        let asked = request.headers()["sec-websocket-protocol"].to_str().unwrap();
        assert!(asked.starts_with("pingback-chat, token."), "{asked}");
        let chosen = HeaderValue::from_static("pingback-chat");
        response.headers_mut().insert("sec-websocket-protocol", chosen);
        Ok(response)
    };
    tokio_tungstenite::accept_hdr_async(listener.accept().await.unwrap().0, choose).await.unwrap()
}

async fn heard(peer: &mut Peer) -> Value {
    loop {
        if let Message::Text(text) = peer.next().await.unwrap().unwrap() {
            return serde_json::from_str(&text).unwrap();
        }
    }
}

async fn tell(peer: &mut Peer, what: Value) {
    peer.send(Message::text(what.to_string())).await.unwrap();
}

fn message(id: Uuid, seq: u64, content: &str) -> Value {
    json!({ "type": "new_message", "seq": seq, "message": { "id": id, "conversation_id": Uuid::nil(),
        "sender_type": "agent", "sender_id": null, "content": content, "attachments": [],
        "created_at": "2026-03-01T09:05:00Z" } })
}

/// A listener, and the widgets that will come to it.
async fn street() -> (TcpListener, Arc<Channel>, Arc<Widgets>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let websocket_url = format!("ws://{}", listener.local_addr().unwrap());
    let keys = Keys::load(None, false).unwrap();
    let clock = Arc::new(Clock::default());
    let api_url = "http://127.0.0.1:9".into();
    let endpoint = WidgetEndpoint { websocket_url, api_url, keys, clock: clock.clone() };
    let chat = Arc::new(Channel::open("chat", None, clock).unwrap());
    (listener, chat.clone(), Arc::new(Widgets::new(endpoint, chat)))
}

fn visitor() -> Visitor {
    Visitor { business_id: Uuid::new_v4(), conversation_id: Uuid::new_v4() }
}

/// Hears the hello; answers it.
async fn greet(peer: &mut Peer, after: u64) {
    assert_eq!(heard(peer).await, json!({ "action": "hello", "after": after }));
    tell(peer, json!({ "type": "hello", "conversation_id": Uuid::nil() })).await;
}

fn contents(chat: &Channel) -> Vec<String> {
    chat.accepted().into_iter().map(|message| message.content).collect()
}

#[tokio::test]
async fn it_keeps_each_message_once_acknowledges_all_and_resumes_where_it_was() {
    let (listener, chat, widgets) = street().await;
    let first = Uuid::new_v4();
    let second = Uuid::new_v4();

    let server = async {
        let mut peer = accept(&listener).await;
        greet(&mut peer, 0).await;
        for _ in 0..2 {
            tell(&mut peer, message(first, 1, "Hi")).await;
            assert_eq!(heard(&mut peer).await, json!({ "action": "ack", "id": first }));
        }
        drop(peer);

        let mut peer = accept(&listener).await;
        greet(&mut peer, 1).await;
        tell(&mut peer, json!({ "type": "something_new" })).await;
        tell(&mut peer, message(second, 2, "There")).await;
        assert_eq!(heard(&mut peer).await, json!({ "action": "ack", "id": second }));
        tell(&mut peer, json!({ "type": "caught_up", "seq": 2 })).await;
        peer
    };

    let (not_greeted, mut peer) = tokio::join!(widgets.add(vec![visitor()]), server);
    assert_eq!(not_greeted, 0);
    assert_eq!(contents(&chat), ["Hi", "There"]);

    let (again, ()) = tokio::join!(accept(&listener), async {
        tell(
            &mut peer,
            json!({ "message": "Internal server error", "connectionId": "c", "requestId": "r" }),
        )
        .await;
    });

    let mut peer = again;
    greet(&mut peer, 2).await;
    tell(&mut peer, json!({ "type": "caught_up", "seq": 2 })).await;
    for id in [second, first] {
        assert_eq!(heard(&mut peer).await, json!({ "action": "ack", "id": id }));
    }

    let ((), last) = tokio::join!(widgets.send_away(), peer.next());
    assert!(matches!(last, Some(Ok(Message::Close(_)))), "{last:?}");
    assert_eq!(widgets.count().await, (1, true));
}

#[tokio::test]
async fn it_holds_back_what_comes_too_early_until_it_has_asked_for_what_is_missing() {
    let (listener, chat, widgets) = street().await;
    let ids = [Uuid::new_v4(), Uuid::new_v4(), Uuid::new_v4()];
    let server = async {
        let mut peer = accept(&listener).await;
        greet(&mut peer, 0).await;
        // A worker's event overtakes the replay's.
        tell(&mut peer, message(ids[1], 2, "two")).await;
        tell(&mut peer, message(ids[0], 1, "one")).await;
        tell(&mut peer, json!({ "type": "caught_up", "seq": 1 })).await;
        for id in &ids[..2] {
            assert_eq!(heard(&mut peer).await, json!({ "action": "ack", "id": id }));
        }
        // The third will never come.
        tell(&mut peer, message(ids[2], 4, "four")).await;
        assert_eq!(heard(&mut peer).await, json!({ "action": "resume", "after": 2 }));
        while widgets.holding() != 1 {
            tokio::task::yield_now().await;
        }
        tell(&mut peer, json!({ "type": "caught_up", "seq": 3, "pending": 5 })).await;
        assert_eq!(heard(&mut peer).await, json!({ "action": "ack", "id": ids[2] }));
        // The fifth went to others.
        assert_eq!(heard(&mut peer).await, json!({ "action": "resume", "after": 4 }));
        assert_eq!(widgets.holding(), 0);
    };

    tokio::join!(widgets.add(vec![visitor()]), server);

    assert_eq!(contents(&chat), ["one", "two", "four"]);
}
