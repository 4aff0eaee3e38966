//! The demo's two doors: the public API, as any client has it, and the sandbox.

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use super::journey::Picture;
use super::{Disappointment, text, within};
use crate::ready::Ready;
use sandbox::http_client;

/// Both doors.
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

    /// Sends a message: status and body of the answer.
    pub(super) async fn send(
        &self,
        conversation: &str,
        token: &str,
        content: &str,
        attachments: &[Value],
    ) -> Result<(u16, Value), Disappointment> {
        let path = format!("/api/v1/conversations/{conversation}/messages");
        let body = json!({ "content": content, "attachments": attachments });
        self.call(
            &path,
            self.http.post(format!("{}{path}", self.api)).bearer_auth(token).json(&body),
        )
        .await
    }

    /// Announces a file and puts it where the answer says: what a message references.
    pub(super) async fn upload(
        &self,
        conversation: &str,
        token: &str,
        picture: &Picture,
    ) -> Result<Value, Disappointment> {
        let Picture { filename, content_type, bytes } = *picture;
        let path = format!("/api/v1/conversations/{conversation}/upload");
        let body =
            json!({ "filename": filename, "content_type": content_type, "size": bytes.len() });
        let post = self.http.post(format!("{}{path}", self.api)).bearer_auth(token).json(&body);
        let mut announced = expect(&path, self.call(&path, post).await?)?;
        let upload = announced["upload"].take();
        let mut put = self.http.put(text(&upload["url"])).body(bytes);
        for (name, value) in upload["headers"].as_object().into_iter().flatten() {
            put = put.header(name, text(value));
        }
        expect("the presigned URL", self.call("the presigned URL", put).await?)?;
        Ok(json!({ "url": announced["url"].take() }))
    }

    /// Reads from the public API.
    pub(super) async fn get(&self, path: &str, token: &str) -> Result<Value, Disappointment> {
        let answer = self
            .call(path, self.http.get(format!("{}{path}", self.api)).bearer_auth(token))
            .await?;
        expect(path, answer)
    }

    /// Reads from the sandbox.
    pub(super) async fn look(&self, path: &str) -> Result<Value, Disappointment> {
        expect(path, self.call(path, self.http.get(format!("{}{path}", self.sandbox))).await?)
    }

    /// Tells the sandbox something.
    pub(super) async fn control(&self, path: &str, body: &Value) -> Result<Value, Disappointment> {
        expect(
            path,
            self.call(path, self.http.post(format!("{}{path}", self.sandbox)).json(body)).await?,
        )
    }

    async fn call(
        &self,
        path: &str,
        request: RequestBuilder,
    ) -> Result<(u16, Value), Disappointment> {
        let answer = async {
            let answer = request.send().await?;
            Ok((answer.status().as_u16(), answer.bytes().await?))
        };
        let answer: Result<_, reqwest::Error> =
            within(answer, &format!("{path} was not answered")).await?;
        let (status, body) =
            answer.map_err(|error| Disappointment(format!("{path} cannot be called: {error}.")))?;
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }
}

fn expect(path: &str, (status, body): (u16, Value)) -> Result<Value, Disappointment> {
    match status {
        200..=299 => Ok(body),
        _ => Err(Disappointment(format!("{path} was answered {status} {body}."))),
    }
}
