//! The requests of callers, agents and customers.

use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{SinkExt, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{self, ClientRequestBuilder, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use uuid::Uuid;

use crate::{Stage, lock, try_sandbox};
use tests::{Answer, Business, PNG, next_page};

/// The time between two messages of a conversation; on WhatsApp a pair has its pace.
const BETWEEN: Duration = Duration::from_millis(900);
const BETWEEN_ON_WHATSAPP: Duration = Duration::from_secs(8);

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Everything at once, until the traffic is over.
pub(crate) async fn all(stage: &Stage<'_>) {
    let senders = stage
        .conversations
        .iter()
        .map(|(channel, place, id)| send_into(stage, channel, &stage.large[*place], *id));
    tokio::join!(
        join_all(senders),
        join_all(stage.small.iter().map(|business| spend(stage, business))),
        read(stage),
        upload(stage),
        chat(stage),
        write_back(stage),
        come_and_go(stage),
    );
}

/// Sends one message after the other, every second one under a key, and every fourth twice at once.
async fn send_into(stage: &Stage<'_>, channel: &str, business: &Business, conversation_id: Uuid) {
    let between = if channel == "whatsapp" { BETWEEN_ON_WHATSAPP } else { BETWEEN };
    let mut number = 0;
    while stage.goes_on() {
        number += 1;
        let text = format!("message {number} to {conversation_id}");
        let send = || {
            let send = stage.world.send(&business.api_key, conversation_id, &text);
            if number % 2 == 0 { send.key(format!("{conversation_id}-{number}")) } else { send }
        };

        let begun = Instant::now();
        let answers = match number % 4 {
            0 => join_all([send().go(), send().go()]).await,
            _ => vec![send().go().await],
        };
        lock(&stage.waits).push(begun.elapsed().as_secs_f64() * 1000.0);
        for answer in answers {
            stage.count("send", answer.status, &[201, 409, 429]);
        }
        stage.pause(between).await;
    }
}

/// Sends into a business whose limit is spent soon.
async fn spend(stage: &Stage<'_>, business: &Business) {
    while stage.goes_on() {
        let conversation_id = business.conversation_id("email");
        let text = format!("beyond the limit {}", Uuid::new_v4());
        let answer = stage.world.send(&business.api_key, conversation_id, &text).go().await;
        stage.count("send beyond a limit", answer.status, &[201, 403, 429]);
        stage.pause(BETWEEN).await;
    }
}

/// Reads lists, page by page, one message of each, and what was used.
async fn read(stage: &Stage<'_>) {
    for (_, place, id) in stage.conversations.iter().cycle() {
        if !stage.goes_on() {
            return;
        }

        let key = &stage.large[*place].api_key;
        let path = format!("/api/v1/conversations/{id}/messages");
        let mut next = "0".to_owned();
        for _ in 0..3 {
            let page = stage.world.get(key, &format!("{path}?limit=20&after={next}")).await;
            stage.count("list", page.status, &[200, 429]);
            if page.status != 200 {
                break;
            }
            let page = page.json();
            if let Some(first) = page["messages"][0]["id"].as_str() {
                let answer = stage.world.get(key, &format!("{path}/{first}")).await;
                stage.count("message", answer.status, &[200, 429]);
            }
            let Some(after) = next_page(&page) else { break };
            after.clone_into(&mut next);
        }

        let usage = stage.world.get(key, "/api/v1/usage").await;
        stage.count("usage", usage.status, &[200, 429]);
        stage.pause(Duration::from_millis(300)).await;
    }
}

/// Brings files in both ways; some go with a message, some are announced and never come, some stop
/// in the middle.
async fn upload(stage: &Stage<'_>) {
    let business = &stage.large[0];
    let conversation_id = business.conversation_id("email");
    for number in 0.. {
        if !stage.goes_on() {
            return;
        }

        let file = match number % 4 {
            0 => store(stage, business, conversation_id).await,
            way => announce(stage, business, conversation_id, way).await,
        };
        if let Some(url) = file {
            let body = json!({"content": "see the file", "attachments": [{"url": url}]});
            let send = stage.world.send(&business.api_key, conversation_id, "see the file");
            let answer = send.body(body.to_string()).go().await;
            stage.count("send with a file", answer.status, &[201, 429]);
            let file = stage.world.http().get(url.as_str().expect("a URL"));
            let answer = stage.world.ask(file).await;
            stage.count("file", answer.status, &[302, 307, 404, 429]);
        }
        stage.pause(Duration::from_secs(2)).await;
    }
}

/// Brings a file as a form does; returns its URL.
async fn store(stage: &Stage<'_>, business: &Business, conversation_id: Uuid) -> Option<Value> {
    let head = "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"soaked.png\"\r\n\
                Content-Type: image/png\r\n\r\n";
    let body = [head.as_bytes(), PNG, b"\r\n--edge--\r\n"].concat();
    let kind = "multipart/form-data; boundary=edge";
    let answer = post_upload(stage, business, conversation_id, kind, body).await;
    stage.count("upload", answer.status, &[201, 422, 429]);
    (answer.status == 201).then(|| answer.json()["url"].clone())
}

/// Announces a file, and brings it, half of it, or nothing; returns its URL if it was brought.
async fn announce(
    stage: &Stage<'_>,
    business: &Business,
    conversation_id: Uuid,
    way: u32,
) -> Option<Value> {
    let body = json!({"filename": "soaked.png", "content_type": "image/png", "size": PNG.len()})
        .to_string();
    let kind = "application/json";
    let answer = post_upload(stage, business, conversation_id, kind, body.into()).await;
    stage.count("announcement", answer.status, &[201, 422, 429]);
    if answer.status != 201 {
        return None;
    }

    let upload = answer.json()["upload"].clone();
    let upload = if upload.is_null() { answer.json() } else { upload };
    match way {
        1 => {
            let headers = upload["headers"].as_object().expect("headers").iter();
            let headers = headers.filter(|(name, _)| *name != "content-length");
            let url = upload["url"].as_str().expect("a URL");
            let put = headers.fold(stage.world.http().put(url), |put, (name, value)| {
                put.header(name, value.as_str().expect("a text"))
            });
            // S3's answer; a fault may be in its place.
            let _ = put.body(PNG).send().await;
        }
        2 => bring_half(&upload).await,
        _ => {}
    }

    None
}

async fn post_upload(
    stage: &Stage<'_>,
    business: &Business,
    conversation_id: Uuid,
    kind: &str,
    body: Vec<u8>,
) -> Answer {
    let route = if kind == "application/json" { "uploads" } else { "upload" };
    let path = format!("/api/v1/conversations/{conversation_id}/{route}");
    let bearer = format!("Bearer {}", business.api_key);
    let headers = [("authorization", bearer.as_str()), ("content-type", kind)];
    stage.world.call(Method::POST, &path, &headers, body).await
}

/// Begins to bring an announced file, and hangs up.
async fn bring_half(upload: &Value) {
    let url: tungstenite::http::Uri =
        upload["url"].as_str().expect("a URL").parse().expect("a URL");
    let authority = url.authority().expect("a host").as_str();
    let path = url.path_and_query().expect("a path");
    let mut request = format!("PUT {path} HTTP/1.1\r\nHost: {authority}\r\n");
    for (name, value) in upload["headers"].as_object().expect("headers") {
        if name != "content-length" {
            request += &format!("{name}: {}\r\n", value.as_str().expect("a text"));
        }
    }
    request += &format!("Content-Length: {}\r\n\r\n", PNG.len());

    let Ok(mut stream) = TcpStream::connect(authority).await else { return };
    let _ = stream.write_all(request.as_bytes()).await;
    let _ = stream.write_all(&PNG[..PNG.len() / 2]).await;
    let _ = stream.flush().await;
}

/// Widgets that come, say hello, read for a while, and go: some with a word, some without.
async fn chat(stage: &Stage<'_>) {
    for number in 0_usize.. {
        if !stage.goes_on() {
            return;
        }
        let business = &stage.large[number % stage.large.len()];
        let token = stage.world.visitor_token(business.conversation_id("chat")).await;
        if let Ok(mut socket) = connect(&stage.world.ready.websocket, &token).await {
            say(&mut socket, &json!({"action": "hello", "after": 0})).await;
            let end = Instant::now() + Duration::from_secs(2);
            while let Ok(Some(Ok(_))) = tokio::time::timeout_at(end, socket.next()).await {}
            say(&mut socket, &json!({"action": "ping"})).await;
            if number % 2 == 0 {
                let _ = socket.close(None).await;
            }
        }
        stage.pause(Duration::from_secs(1)).await;
    }
}

/// Customers who write on WhatsApp: webhooks that are signed.
async fn write_back(stage: &Stage<'_>) {
    while stage.goes_on() {
        let text = json!({"from": "15550100200", "text": "where is my parcel, please?"});
        try_sandbox(stage.world, Method::POST, "/whatsapp/customers", text).await;
        stage.pause(Duration::from_secs(2)).await;
    }
}

/// All customers of the chat leave, and come back.
async fn come_and_go(stage: &Stage<'_>) {
    while stage.goes_on() {
        stage.pause(Duration::from_secs(15)).await;
        try_sandbox(stage.world, Method::DELETE, "/chat/widgets", Value::Null).await;
        stage.pause(Duration::from_secs(3)).await;
        try_sandbox(stage.world, Method::POST, "/chat/widgets", Value::Null).await;
    }
}

/// Opens a socket with a token; with an empty one, without.
pub(crate) async fn connect(url: &str, token: &str) -> Result<Socket, tungstenite::Error> {
    let request = ClientRequestBuilder::new(url.parse().expect("an address"));
    let request = match token {
        "" => request,
        _ => request.with_sub_protocol("pingback-chat").with_sub_protocol(format!("token.{token}")),
    };
    Ok(tokio_tungstenite::connect_async(request).await?.0)
}

/// Sends a frame; a connection that is closed takes none.
pub(crate) async fn say(socket: &mut Socket, what: &Value) {
    let _ = socket.send(Message::text(what.to_string())).await;
}
