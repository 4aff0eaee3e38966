//! Files that go with messages: brought in both ways, looked at, referenced, read, and gone in
//! time.

mod bringing;
mod keeping;
mod links;
mod reading;
mod referencing;

use reqwest::header::{HeaderMap, HeaderName};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use tests::{Answer, Business, World};

/// Uploads a file as a form does.
pub(super) async fn store(
    world: &World,
    token: &str,
    conversation_id: Uuid,
    name: &str,
    kind: &str,
    bytes: &[u8],
) -> Answer {
    let head = format!(
        "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: {kind}\r\n\r\n"
    );
    let body = [head.as_bytes(), bytes, b"\r\n--edge--\r\n"].concat();
    let path = format!("/api/v1/conversations/{conversation_id}/upload");
    let bearer = format!("Bearer {token}");
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "multipart/form-data; boundary=edge"),
    ];

    noted(world, world.call(Method::POST, &path, &headers, body).await)
}

/// Announces a file.
pub(super) async fn announce(
    world: &World,
    token: &str,
    conversation_id: Uuid,
    name: &str,
    kind: &str,
    size: u64,
) -> Answer {
    let body = json!({"filename": name, "content_type": kind, "size": size}).to_string();
    let path = format!("/api/v1/conversations/{conversation_id}/uploads");
    let bearer = format!("Bearer {token}");
    let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
    noted(world, world.call(Method::POST, &path, &headers, body.into_bytes()).await)
}

/// Notes that neither the file's URL nor its name may be in a log.
fn noted(world: &World, answer: Answer) -> Answer {
    if answer.status == StatusCode::CREATED {
        let upload = answer.json();
        let word = |name: &str| upload[name].as_str().expect("a text").to_owned();
        let mut ledger = world.ledger();
        ledger.secrets.push(word("url").rsplit_once('/').expect("a path").1.to_owned());
        ledger.texts.push(word("filename"));
    }
    answer
}

/// Brings an announced file.
pub(super) async fn bring(upload: &Value, bytes: &[u8]) -> reqwest::Response {
    let headers = upload["headers"].as_object().expect("headers").iter().map(|(name, value)| {
        let value = value.as_str().expect("a text").parse().expect("a header");
        (name.parse::<HeaderName>().expect("a header"), value)
    });
    let headers: HeaderMap = headers.filter(|(name, _)| *name != "content-length").collect();
    let url = upload["url"].as_str().expect("a URL").to_owned();
    Client::new().put(url).headers(headers).body(bytes.to_vec()).send().await.expect("S3 answers")
}

pub(super) async fn send(
    world: &World,
    business: &Business,
    conversation_id: Uuid,
    urls: &[&Value],
) -> Answer {
    let attachments: Vec<Value> = urls.iter().map(|url| json!({"url": url})).collect();
    let body = json!({"content": "see the file", "attachments": attachments}).to_string();
    world.send(&business.api_key, conversation_id, "see the file").body(body).go().await
}

/// Asks for a file, and does not go where it is told to.
async fn lead(world: &World, url: &Value) -> Answer {
    world.ask(world.http().get(url.as_str().expect("a URL"))).await
}
