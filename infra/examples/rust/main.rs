//! Sends a message with a file, follows it, and reads the conversation page by page.
//!
//! Works as it stands while `cargo local` runs; `API`, `CONVERSATION` and `TOKEN` name another
//! system. Needs `reqwest` with `json` and `multipart`, `serde` with `derive`, `serde_json`,
//! `tokio` with `macros` and `time`, and `uuid` with `v4`.

use std::error::Error;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::multipart::{Form, Part};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use uuid::Uuid;

const ATTEMPTS: u32 = 6;

/// A problem that the service answers; decide by `code`.
#[derive(Debug, Deserialize)]
struct Problem {
    code: String,
    detail: String,
}

#[derive(Debug, Deserialize)]
struct Attachment {
    url: String,
}

#[derive(Debug, Deserialize)]
struct Message {
    id: String,
    content: String,
    created_at: String,
}

#[derive(Debug, Deserialize)]
struct Followed {
    delivery: Delivery,
}

#[derive(Debug, Deserialize)]
struct Delivery {
    status: String,
}

#[derive(Debug, Deserialize)]
struct Page {
    messages: Vec<Message>,
    next: String,
    has_more: bool,
}

/// One conversation of the API.
struct Conversation {
    http: Client,
    url: String,
    token: String,
}

type Failure = Box<dyn Error + Send + Sync>;

impl Conversation {
    fn from_env() -> Result<Conversation, Failure> {
        let setting = |name, default: &str| std::env::var(name).unwrap_or(default.to_owned());
        let api = setting("API", "http://127.0.0.1:3000");
        let id = setting("CONVERSATION", "6f1c1f0e-3a57-4a39-9a55-6c1e7bb7d1a4");
        let key =
            "pbk_8d0a1c526b1e4f0e9a3b2c6f6f1f3a10_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

        Ok(Conversation {
            http: Client::builder().timeout(Duration::from_secs(30)).build()?,
            url: format!("{api}/api/v1/conversations/{id}"),
            token: setting("TOKEN", key),
        })
    }

    /// Makes a request, and repeats it while there is no answer that settles it. A form cannot be
    /// sent twice, so the request is made anew each time.
    async fn call<T: DeserializeOwned>(
        &self,
        request: impl Fn(&Client) -> RequestBuilder,
    ) -> Result<T, Failure> {
        let mut attempt = 1;
        loop {
            let result = request(&self.http).bearer_auth(&self.token).send().await;
            let wait = match result {
                Ok(response) if is_settled(response.status()) || attempt == ATTEMPTS => {
                    return read(response).await;
                }
                Ok(response) => retry_after(&response).max(backoff(attempt)),
                Err(error) if attempt == ATTEMPTS => return Err(error.into()),
                Err(_) => backoff(attempt),
            };
            tokio::time::sleep(wait).await;
            attempt += 1;
        }
    }

    /// Uploads a file into the conversation; larger ones than 4 MiB are announced instead.
    async fn upload(&self, name: &str, content: &str) -> Result<Attachment, Failure> {
        let url = format!("{}/upload", self.url);
        let part = || Part::text(content.to_owned()).file_name(name.to_owned());
        self.call(|http| http.post(&url).multipart(Form::new().part("file", part()))).await
    }

    /// Sends a message, once however often it is repeated: all attempts have one key.
    async fn send(&self, content: &str, attachments: &[Attachment]) -> Result<Message, Failure> {
        let url = format!("{}/messages", self.url);
        let key = Uuid::new_v4().to_string();
        let attachments: Vec<_> =
            attachments.iter().map(|file| json!({ "url": file.url })).collect();
        let body = json!({ "content": content, "attachments": attachments });
        self.call(|http| http.post(&url).header("Idempotency-Key", &key).json(&body)).await
    }

    /// Reads a message until it has arrived or failed, for a minute.
    async fn follow(&self, id: &str) -> Result<Delivery, Failure> {
        let url = format!("{}/messages/{id}", self.url);
        let mut reads = 0;
        loop {
            let Followed { delivery } = self.call(|http| http.get(&url)).await?;
            reads += 1;
            if ["delivered", "read", "failed"].contains(&delivery.status.as_str()) || reads == 60 {
                return Ok(delivery);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// Reads all messages of the conversation, oldest first.
    async fn messages(&self) -> Result<Vec<Message>, Failure> {
        let mut messages = Vec::new();
        let mut after = "0".to_owned();
        loop {
            let url = format!("{}/messages?limit=100&after={after}", self.url);
            let page: Page = self.call(|http| http.get(&url)).await?;
            messages.extend(page.messages);
            after = page.next; // kept, it brings later exactly what has come since
            if !page.has_more {
                return Ok(messages);
            }
        }
    }
}

/// Returns whether another attempt would get the same answer.
fn is_settled(status: StatusCode) -> bool {
    status != StatusCode::TOO_MANY_REQUESTS && !status.is_server_error()
}

fn retry_after(response: &Response) -> Duration {
    let header = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    Duration::from_secs(header.and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Returns up to two seconds after the first attempt, and up to twice as long after each further
/// one.
fn backoff(attempt: u32) -> Duration {
    let part = f64::from(Uuid::new_v4().as_fields().0) / f64::from(u32::MAX);
    Duration::from_secs_f64(part * f64::from(2_u32.pow(attempt)))
}

async fn read<T: DeserializeOwned>(response: Response) -> Result<T, Failure> {
    if response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/problem+json") {
        let Problem { code, detail } = response.json().await?;
        return Err(format!("{code}: {detail}").into());
    }
    Ok(response.error_for_status()?.json().await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let conversation = Conversation::from_env()?;

    let file = conversation.upload("order.txt", "Two pairs of shoes, brown.\n").await?;
    println!("uploaded {}", file.url);

    let sent = conversation.send("This is what we packed.", &[file]).await?;
    println!("sent {}", sent.id);
    println!("status {}", conversation.follow(&sent.id).await?.status);

    for message in conversation.messages().await? {
        println!("{} {}", message.created_at, message.content);
    }
    Ok(())
}
