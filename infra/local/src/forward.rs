//! Endpoints of the demo business: programs on this machine that are sent its events.

use axum::http::Uri;
use chrono::DateTime;
use reqwest::{Client, RequestBuilder, Url};
use serde_json::{Value, json};

use crate::ready::Ready;
use domain::webhook::SigningSecret;
use sandbox::http_client;

const PATH: &str = "/api/v1/webhook_endpoints";

/// The endpoints of one business, by its API key.
pub(crate) struct Endpoints {
    http: Client,
    url: String,
    key: String,
}

/// An endpoint that was made.
pub(crate) struct Endpoint {
    id: String,
    secret: SigningSecret,
}

impl Endpoints {
    /// Returns the endpoints of the business that has this key.
    pub(crate) fn new(api: &str, key: &str) -> Endpoints {
        let http = http_client::loopback();
        Endpoints { http, url: format!("{api}{PATH}"), key: key.to_owned() }
    }

    /// Returns those of the demo business.
    ///
    /// # Errors
    /// A sentence, if there is none.
    pub(crate) fn of_demo(ready: &Ready) -> Result<Endpoints, String> {
        let demo = ready.demo.as_ref().ok_or("there is no demo business whose events are sent")?;
        Ok(Endpoints::new(&ready.api, &demo.api_key))
    }

    /// Makes an endpoint at a URL. Another one with this URL or description, of an earlier start,
    /// is deleted: its secret is not shown again.
    ///
    /// # Errors
    /// A sentence, if the API refuses the URL.
    pub(crate) async fn make(&self, url: &str, description: &str) -> Result<Endpoint, String> {
        let wanted = Url::parse(url).map_err(|error| format!("{url} is no URL: {error}"))?;
        let listed = self.call(self.http.get(&self.url)).await?;
        for known in listed["endpoints"].as_array().into_iter().flatten() {
            if known["url"] == wanted.as_str() || known["description"] == description {
                self.delete_by_id(text(&known["id"])).await?;
            }
        }

        let body = json!({ "url": url, "description": description });
        let made = self.call(self.http.post(&self.url).json(&body)).await?;
        let told = text(&made["secret"]).to_owned();
        let secret = told.try_into().map_err(|_| "the API returned no secret")?;
        Ok(Endpoint { id: text(&made["id"]).to_owned(), secret })
    }

    /// Deletes an endpoint.
    ///
    /// # Errors
    /// A sentence, if the API does not.
    pub(crate) async fn delete(&self, endpoint: Endpoint) -> Result<(), String> {
        self.delete_by_id(&endpoint.id).await
    }

    async fn delete_by_id(&self, id: &str) -> Result<(), String> {
        self.call(self.http.delete(format!("{}/{id}", self.url))).await.map(drop)
    }

    async fn call(&self, request: RequestBuilder) -> Result<Value, String> {
        let answer = request.bearer_auth(&self.key).send().await;
        let answer = answer.map_err(|error| format!("the API does not answer: {error}"))?;
        let is_good = answer.status().is_success();

        let body = answer.bytes().await.map_err(|error| error.to_string())?;
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        if is_good {
            return Ok(body);
        }

        let detail = body["detail"].as_str().unwrap_or("the API refuses the endpoint");
        Err(detail.to_owned())
    }
}

impl Endpoint {
    /// Returns the secret that signs its events, for a program that verifies them.
    pub(crate) fn secret(&self) -> String {
        self.secret.reveal()
    }

    /// Returns whether its secret signed a request with these headers and this body, as the
    /// [Standard Webhooks specification](https://www.standardwebhooks.com) says.
    pub(crate) fn has_signed<'a>(
        &self,
        header: impl Fn(&str) -> Option<&'a str>,
        body: &str,
    ) -> bool {
        let seconds = header("webhook-timestamp").and_then(|seconds| seconds.parse().ok());
        let at = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        let (Some(id), Some(at), Some(signatures)) =
            (header("webhook-id"), at, header("webhook-signature"))
        else {
            return false;
        };

        let expected = self.secret.sign(id, at, body);
        signatures.split(' ').any(|signature| signature == expected)
    }
}

/// Parses the address of another service.
pub(crate) fn http_url(text: &str) -> Result<String, String> {
    let is_http = text.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
    });
    is_http
        .then(|| text.to_owned())
        .ok_or_else(|| "this is no URL like http://127.0.0.1:5000".into())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_signed_by_its_own_secret_alone() {
        let endpoint = |byte| Endpoint { id: "1".into(), secret: SigningSecret::new([byte; 32]) };
        let at = DateTime::from_timestamp(1_772_355_900, 0).expect("a time");
        let signature = format!("v1,old {}", endpoint(1).secret.sign("event", at, "{}"));
        let header = |name: &str| match name {
            "webhook-id" => Some("event"),
            "webhook-timestamp" => Some("1772355900"),
            "webhook-signature" => Some(signature.as_str()),
            _ => None,
        };

        assert!(endpoint(1).has_signed(header, "{}"));
        assert!(!endpoint(1).has_signed(header, "{ }") && !endpoint(2).has_signed(header, "{}"));
        assert!(!endpoint(1).has_signed(|_| None, "{}"));
    }
}
