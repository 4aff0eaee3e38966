//! A client's frames become events, and functions reach the client through the Management API.

use aws_sdk_apigatewaymanagement::primitives::Blob;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::{ClientRequestBuilder, Error, Message};

use crate::{client, engine, options, start};
use emulator::{Engine, EngineOptions, Logs};

#[tokio::test]
async fn a_frame_goes_to_the_function_and_its_answer_comes_back() {
    let logs = Logs::captured();
    let engine = start(logs.clone()).await;
    let (mut socket, _) =
        tokio_tungstenite::connect_async(format!("{}/live?token=t", engine.websocket_url()))
            .await
            .unwrap();
    socket.send(Message::text("hi")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("you said hi"));
    socket.send(Message::text("fail")).await.unwrap();
    let event: Value =
        serde_json::from_str(socket.next().await.unwrap().unwrap().to_text().unwrap()).unwrap();
    assert_eq!(event["message"], "Internal server error");

    let management = client!(aws_sdk_apigatewaymanagement, engine.management_url());
    let id = event["connectionId"].as_str().unwrap();
    let connection = management.get_connection().connection_id(id).send().await.unwrap();
    assert!(
        connection.connected_at().is_some()
            && connection.last_active_at() > connection.connected_at()
    );
    management
        .post_to_connection()
        .connection_id(id)
        .data(Blob::new("from outside"))
        .send()
        .await
        .unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("from outside"));
    let large = Blob::new(vec![b'x'; 128 * 1024 + 1]);
    let error =
        management.post_to_connection().connection_id(id).data(large).send().await.unwrap_err();
    assert!(error.into_service_error().is_payload_too_large_exception());

    management.delete_connection().connection_id(id).send().await.unwrap();
    let Message::Close(Some(close)) = socket.next().await.unwrap().unwrap() else {
        panic!("a close frame is sent")
    };
    assert_eq!(close.code, CloseCode::Normal);
    let error = management
        .post_to_connection()
        .connection_id(id)
        .data(Blob::new("late"))
        .send()
        .await
        .unwrap_err();
    assert!(error.into_service_error().is_gone_exception());

    while !logs.lines().iter().any(|line| line.text.contains("$disconnect")) {
        tokio::task::yield_now().await;
    }

    engine.stop().await;
    shows_genuine_events(&logs);
}

fn shows_genuine_events(logs: &Logs) {
    let lines = logs.lines();
    let events = lines
        .iter()
        .filter(|line| line.function == "socket")
        .filter_map(|line| serde_json::from_str(&line.text).ok());
    let events: Vec<Value> =
        events.filter(|event: &Value| event["requestContext"].is_object()).collect();
    let kinds: Vec<_> =
        events.iter().map(|event| event["requestContext"]["eventType"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["CONNECT", "MESSAGE", "MESSAGE", "DISCONNECT"]);
    assert_eq!(events[0]["queryStringParameters"]["token"], "t");
    assert_eq!(events[0]["requestContext"]["routeKey"], "$connect");
    assert_eq!(events[1]["requestContext"]["routeKey"], "$default");
    assert_eq!(events[1]["requestContext"]["stage"], "live");
    assert_eq!(events[1]["body"], "hi");
    assert_eq!(events[3]["requestContext"]["disconnectStatusCode"], 1000);
    let id = events[0]["requestContext"]["connectionId"].as_str().unwrap();
    assert!(id.len() == 16 && id.ends_with('='), "{id}");

    assert!(events.iter().all(|event| event["requestContext"]["connectionId"] == id));
}

#[tokio::test]
async fn a_function_may_refuse_a_connection() {
    let engine = engine().await;
    let refused =
        tokio_tungstenite::connect_async(format!("{}/?token=wrong", engine.websocket_url())).await;
    let Err(Error::Http(response)) = refused else { panic!("the handshake is refused") };
    assert_eq!(response.status(), 401);
    engine.stop().await;
}

#[tokio::test]
async fn a_function_may_choose_the_subprotocol() {
    let engine = engine().await;
    let handshake = || ClientRequestBuilder::new(engine.websocket_url().parse().unwrap());
    let asked = handshake().with_sub_protocol("token.a-b_c").with_sub_protocol("probe");
    let (_, answer) = tokio_tungstenite::connect_async(asked).await.unwrap();
    assert_eq!(answer.headers()["sec-websocket-protocol"], "probe");

    // A client that asked for one and got none hangs up.
    let asked = handshake().with_sub_protocol("other");
    let refused = tokio_tungstenite::connect_async(asked).await;
    assert!(matches!(refused, Err(Error::Protocol(_))), "{refused:?}");
    engine.stop().await;
}

#[tokio::test]
async fn a_route_takes_no_more_than_its_throttle_lets_through() {
    let engine = engine().await;
    let (mut socket, _) = tokio_tungstenite::connect_async(engine.websocket_url()).await.unwrap();
    let rare = r#"{"action":"rare"}"#;
    for answer in [format!("you said {rare}"), format!("you said {rare}")] {
        socket.send(Message::text(rare)).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(answer));
    }

    socket.send(Message::text(rare)).await.unwrap();
    let refused = socket.next().await.unwrap().unwrap();
    let refused: Value = serde_json::from_str(refused.to_text().unwrap()).unwrap();
    assert_eq!(refused["message"], "Too Many Requests");
    assert!(refused["connectionId"].is_string() && refused["requestId"].is_string(), "{refused}");

    socket.send(Message::text("hi")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("you said hi"));
    engine.stop().await;
}

#[tokio::test]
async fn a_machine_has_only_so_many_connections() {
    let engine = Engine::start(EngineOptions { max_connections: 2, ..options() }).await.unwrap();
    let connect = async || tokio_tungstenite::connect_async(engine.websocket_url()).await;
    let (mut first, _) = connect().await.unwrap();
    let (_second, _) = connect().await.unwrap();
    let Err(Error::Http(refused)) = connect().await else { panic!("there is no place") };
    assert_eq!(refused.status(), 429);

    first.close(None).await.unwrap();
    while connect().await.is_err() {
        tokio::task::yield_now().await;
    }
    engine.stop().await;
}

#[tokio::test]
async fn frames_that_api_gateway_does_not_take_end_the_connection() {
    let engine = engine().await;
    let too_large = Message::text("x".repeat(32 * 1024 + 1));
    for (frame, code) in
        [(too_large, CloseCode::Size), (Message::binary(vec![1]), CloseCode::Unsupported)]
    {
        let (mut socket, _) =
            tokio_tungstenite::connect_async(engine.websocket_url()).await.unwrap();
        socket.send(frame).await.unwrap();
        let Message::Close(Some(close)) = socket.next().await.unwrap().unwrap() else {
            panic!("a close frame is sent")
        };
        assert_eq!(close.code, code);
    }

    engine.stop().await;
}

#[tokio::test]
async fn a_message_may_have_several_frames_and_128_kb_in_all() {
    let engine = engine().await;
    for (length, code) in [(128 * 1024, None), (128 * 1024 + 1, Some(CloseCode::Size))] {
        let (mut socket, _) =
            tokio_tungstenite::connect_async(engine.websocket_url()).await.unwrap();
        let text = "x".repeat(length);
        let mut parts = text.as_bytes().chunks(32 * 1024).peekable();
        let mut kind = OpCode::Data(Data::Text);
        while let Some(part) = parts.next() {
            let frame = Frame::message(part.to_vec(), kind, parts.peek().is_none());
            // A client that was cut off cannot send the rest.
            let sent = socket.send(Message::Frame(frame)).await;
            assert!(sent.is_ok() || code.is_some());
            kind = OpCode::Data(Data::Continue);
        }
        let answer = socket.next().await.unwrap().unwrap();
        match code {
            None => assert!(answer.is_text(), "{answer:?}"),
            Some(code) => {
                assert!(matches!(answer, Message::Close(Some(close)) if close.code == code))
            }
        }
    }

    engine.stop().await;
}

#[tokio::test]
async fn a_stop_says_goodbye() {
    let engine = engine().await;
    let (mut socket, _) = tokio_tungstenite::connect_async(engine.websocket_url()).await.unwrap();
    socket.send(Message::text("hi")).await.unwrap();
    socket.next().await.unwrap().unwrap();
    engine.stop().await;
    let Message::Close(Some(close)) = socket.next().await.unwrap().unwrap() else {
        panic!("a close frame is sent")
    };
    assert_eq!(close.code, CloseCode::Away);
}
