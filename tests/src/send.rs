//! One request that sends a message, and the API's answers.

use reqwest::StatusCode;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::World;
use crate::contract::{Contract, Exchange};

/// An answer of the API.
#[derive(Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: reqwest::header::HeaderMap,
    /// Its body.
    pub text: String,
}

impl Answer {
    /// Its body as JSON.
    ///
    /// # Panics
    /// If it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{error} in {:?}", self.text))
    }

    /// One of its headers.
    ///
    /// # Panics
    /// If it is not ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("our headers are ASCII"))
    }

    /// Its body as text, without a problem's `instance`, which is another one for each request.
    ///
    /// # Panics
    /// If the body is no JSON.
    #[must_use]
    pub fn without_instance(&self) -> String {
        let mut body = self.json();
        if let Some(members) = body.as_object_mut() {
            members.remove("instance");
        }
        body.to_string()
    }

    /// Status and code in one, for assertions.
    #[must_use]
    pub fn problem(&self) -> (u16, String) {
        let code = self.json()["code"].as_str().unwrap_or_default().to_owned();
        (self.status.as_u16(), code)
    }

    /// The message's id of a 201.
    ///
    /// # Panics
    /// If it is another answer.
    pub fn id(&self) -> Uuid {
        assert_eq!(self.status, StatusCode::CREATED, "{}", self.text);
        serde_json::from_value(self.json()["id"].clone()).expect("an id")
    }
}

/// Returns the cursor of a list's next page, if the page says that there is more.
#[must_use]
pub fn next_page(page: &Value) -> Option<&str> {
    page["next"].as_str().filter(|_| page["has_more"] == true)
}

/// A request that sends a message, made step by step.
pub struct Send<'a> {
    world: &'a World,
    token: &'a str,
    conversation_id: String,
    body: Vec<u8>,
    text: Option<String>,
    key: Option<String>,
}

impl<'a> Send<'a> {
    pub(crate) fn new(
        world: &'a World,
        token: &'a str,
        conversation_id: String,
        text: &str,
    ) -> Send<'a> {
        let body = json!({"content": text}).to_string().into_bytes();
        Send { world, token, conversation_id, body, text: Some(text.to_owned()), key: None }
    }

    /// Under an idempotency key.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// With another body than the text makes.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it, and notes what was answered.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn go(self) -> Answer {
        self.attempt().await.expect("the API answers")
    }

    /// Sends it to a system that may die meanwhile, and notes what was answered, if anything was.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn attempt(self) -> reqwest::Result<Answer> {
        let path = format!("/api/v1/conversations/{}/messages", self.conversation_id);
        let request =
            self.world.http.post(format!("{}{path}", self.world.ready.api)).body(self.body);
        let request = request.header("Content-Type", "application/json");
        let request = if self.token.is_empty() { request } else { request.bearer_auth(self.token) };
        let request =
            self.key.iter().fold(request, |request, key| request.header("Idempotency-Key", key));

        self.world.ledger().texts.extend(self.text.clone());
        let answer = try_read(request).await?;
        let text = self.text.as_deref().unwrap_or_default();
        self.world.ledger().note_answer(self.token, self.key, text, &answer);

        Ok(answer)
    }
}

pub(crate) async fn read(request: reqwest::RequestBuilder) -> Answer {
    try_read(request).await.expect("an answer")
}

/// Sends a request. Whatever the API answers has to be what its contract says.
async fn try_read(request: reqwest::RequestBuilder) -> reqwest::Result<Answer> {
    let (client, request) = request.build_split();
    let request = request?;
    let method = request.method().clone();
    let url = request.url().clone();
    let request_headers = request.headers().clone();
    let request_body =
        request.body().and_then(reqwest::Body::as_bytes).unwrap_or_default().to_vec();

    let response = client.execute(request).await?;
    let status = response.status();
    let headers = response.headers().clone();
    let text = response.text().await?;

    if url.path().starts_with("/api/") {
        let violations = Contract::get().violations(&Exchange {
            method: &method,
            url: &url,
            request_headers: &request_headers,
            request_body: &request_body,
            status,
            headers: &headers,
            body: &text,
        });
        assert!(
            violations.is_empty(),
            "{method} {} is answered {status} {text:?}, which breaks infra/openapi.yaml:\n  - {}",
            url.path(),
            violations.join("\n  - ")
        );
    }

    Ok(Answer { status, headers, text })
}
