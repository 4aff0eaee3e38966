//! A widget against a server that behaves badly.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::super::clock::Clock;
use super::*;

type Peer = WebSocketStream<TcpStream>;

async fn accept(listener: &TcpListener) -> Peer {
    tokio_tungstenite::accept_async(listener.accept().await.unwrap().0).await.unwrap()
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

#[tokio::test]
async fn it_keeps_each_message_once_acknowledges_all_and_resumes_where_it_was() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}", listener.local_addr().unwrap());
    let chat = Arc::new(Channel::open("chat", None, Arc::new(Clock::default())).unwrap());
    let widgets = Arc::new(Widgets::new(url, chat.clone()));
    let visitor = Visitor { conversation_id: Uuid::new_v4(), token: "jwt".into() };
    let (first, second) = (Uuid::new_v4(), Uuid::new_v4());

    let server = async {
        let mut peer = accept(&listener).await;
        assert_eq!(heard(&mut peer).await, json!({ "action": "hello", "token": "jwt", "after": 0 }));
        tell(&mut peer, json!({ "type": "hello", "conversation_id": Uuid::nil() })).await;
        for _ in 0..2 {
            tell(&mut peer, message(first, 1, "Hi")).await;
            assert_eq!(heard(&mut peer).await, json!({ "action": "ack", "id": first }));
        }
        drop(peer);

        let mut peer = accept(&listener).await;
        assert_eq!(heard(&mut peer).await, json!({ "action": "hello", "token": "jwt", "after": 1 }));
        tell(&mut peer, json!({ "type": "something_new" })).await;
        tell(&mut peer, message(second, 2, "There")).await;
        assert_eq!(heard(&mut peer).await, json!({ "action": "ack", "id": second }));
        peer
    };
    let (not_greeted, mut peer) = tokio::join!(widgets.add(vec![visitor]), server);
    assert_eq!(not_greeted, 0);
    let contents: Vec<_> = chat.accepted().into_iter().map(|message| message.content).collect();
    assert_eq!(contents, ["Hi", "There"]);

    let (again, ()) = tokio::join!(accept(&listener), async {
        tell(&mut peer, json!({ "message": "Internal server error", "connectionId": "c", "requestId": "r" })).await;
    });
    let mut peer = again;
    assert_eq!(heard(&mut peer).await, json!({ "action": "hello", "token": "jwt", "after": 2 }));
    tell(&mut peer, json!({ "type": "hello", "conversation_id": Uuid::nil() })).await;
    for id in [second, first] {
        assert_eq!(heard(&mut peer).await, json!({ "action": "ack", "id": id }));
    }

    let ((), last) = tokio::join!(widgets.send_away(), peer.next());
    assert!(matches!(last, Some(Ok(Message::Close(_)))), "{last:?}");
    assert_eq!(widgets.count().await, (1, true));
}
