//! The demo's clients of the public API and of the sandbox.

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use super::picture::Picture;
use super::step::{DemoError, text, within};
use crate::ready::Ready;
use sandbox::http_client;

/// A client of both.
#[derive(Debug)]
pub(super) struct Api {
    http: Client,
    api: String,
    sandbox: String,
}

impl Api {
    pub(super) fn new(ready: &Ready) -> Self {
        Self {
            http: http_client::loopback(),
            api: ready.api.clone(),
            sandbox: ready.sandbox.clone(),
        }
    }

    /// Sends a message, and returns status and body of the answer.
    pub(super) async fn send(
        &self,
        conversation: &str,
        token: &str,
        content: &str,
        attachments: &[Value],
    ) -> Result<(u16, Value), DemoError> {
        let path = format!("/api/v1/conversations/{conversation}/messages");
        let body = json!({ "content": content, "attachments": attachments });

        let request = self.http.post(format!("{}{path}", self.api)).bearer_auth(token).json(&body);
        self.call(&path, request).await
    }

    /// Announces a file, uploads it to the presigned URL, and returns the attachment that a message
    /// references.
    pub(super) async fn upload(
        &self,
        conversation: &str,
        token: &str,
        picture: &Picture,
    ) -> Result<Value, DemoError> {
        let Picture { filename, content_type, bytes } = *picture;
        let path = format!("/api/v1/conversations/{conversation}/uploads");
        let body =
            json!({ "filename": filename, "content_type": content_type, "size": bytes.len() });

        let post = self.http.post(format!("{}{path}", self.api)).bearer_auth(token).json(&body);
        let mut announced = expect_success(&path, self.call(&path, post).await?)?;

        let upload = announced["upload"].take();
        let mut put = self.http.put(text(&upload["url"])).body(bytes);
        for (name, value) in upload["headers"].as_object().into_iter().flatten() {
            put = put.header(name, text(value));
        }

        expect_success("the presigned URL", self.call("the presigned URL", put).await?)?;
        Ok(json!({ "url": announced["url"].take() }))
    }

    /// Reads from the public API.
    pub(super) async fn get(&self, path: &str, token: &str) -> Result<Value, DemoError> {
        let request = self.http.get(format!("{}{path}", self.api)).bearer_auth(token);
        expect_success(path, self.call(path, request).await?)
    }

    /// Reads from the sandbox.
    pub(super) async fn get_from_sandbox(&self, path: &str) -> Result<Value, DemoError> {
        let request = self.http.get(format!("{}{path}", self.sandbox));
        expect_success(path, self.call(path, request).await?)
    }

    /// Posts to the sandbox.
    pub(super) async fn post_to_sandbox(
        &self,
        path: &str,
        body: &Value,
    ) -> Result<Value, DemoError> {
        let request = self.http.post(format!("{}{path}", self.sandbox)).json(body);
        expect_success(path, self.call(path, request).await?)
    }

    async fn call(&self, path: &str, request: RequestBuilder) -> Result<(u16, Value), DemoError> {
        let exchange = async {
            let response = request.send().await?;
            Ok((response.status().as_u16(), response.bytes().await?))
        };
        let answer: Result<_, reqwest::Error> =
            within(exchange, &format!("{path} was not answered")).await?;

        let (status, body) =
            answer.map_err(|error| DemoError(format!("{path} cannot be called: {error}.")))?;
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }
}

fn expect_success(path: &str, (status, body): (u16, Value)) -> Result<Value, DemoError> {
    match status {
        200..=299 => Ok(body),
        _ => Err(DemoError(format!("{path} was answered {status} {body}."))),
    }
}
