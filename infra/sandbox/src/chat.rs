//! The chat channel's provider: API Gateway's `@connections`, which it passes on to the gateway or
//! fails on demand. The widget records what the visitor sees.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html>

use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use crate::aws_error::AwsError;
use crate::channel::Channel;
use crate::clock::Clock;
use crate::fault::ProviderFault;
use crate::http_client;
use emulator::Engine;

/// The chat channel's provider.
#[derive(Debug)]
pub(crate) struct ChatProvider {
    /// The messages that the visitors' widgets acknowledged, and the fault in force.
    pub(crate) channel: Arc<Channel>,
    engine: Arc<Engine>,
    http: reqwest::Client,
}

impl ChatProvider {
    /// Opens the provider; with a directory it keeps what it accepted there.
    ///
    /// # Errors
    /// A file of the directory cannot be read or written.
    pub(crate) fn open(
        directory: Option<&Path>,
        engine: &Arc<Engine>,
        clock: &Arc<Clock>,
    ) -> io::Result<Self> {
        let channel = Arc::new(Channel::open("chat", directory, clock.clone())?);
        Ok(Self { channel, engine: engine.clone(), http: http_client::loopback() })
    }

    /// Passes a call on to the gateway.
    async fn forward(
        &self,
        method: Method,
        path: &str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Response {
        let url = format!("{}{path}", self.engine.management_url().trim_end_matches('/'));
        let mut request = self.http.request(method, url).body(body);

        for name in [header::AUTHORIZATION, header::CONTENT_TYPE] {
            if let Some(value) = headers.get(&name) {
                request = request.header(name, value);
            }
        }

        match request.send().await {
            Ok(answer) => axum::http::Response::<reqwest::Body>::from(answer).map(Body::new),
            Err(error) => {
                let name = "InternalServerErrorException";
                AwsError::new(500, name, error.to_string()).into_response()
            }
        }
    }
}

/// Returns the provider's routes.
pub(crate) fn routes(provider: Arc<ChatProvider>) -> Router {
    Router::new()
        .route("/providers/chat/@connections/{id}", any(connections))
        .route("/providers/chat/{stage}/@connections/{id}", any(connections))
        .with_state(provider)
}

/// Answers any method on `/providers/chat/@connections/{id}`.
async fn connections(
    State(provider): State<Arc<ChatProvider>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().trim_start_matches("/providers/chat");
    let effect = provider.forward(method, path, &headers, body);
    let kill = async || provider.engine.kill("deliver-chat").await;
    let answer = provider.channel.faults.apply(effect, refuse, kill).await;

    if answer.status().as_u16() == 410 {
        // The visitor's end finds out, too, that the connection is gone, and opens another one.
        let sandbox = HeaderMap::new();
        let _ = provider.forward(Method::DELETE, path, &sandbox, Bytes::new()).await;
    }

    answer
}

fn refuse(fault: &ProviderFault) -> Response {
    let status = fault.status.unwrap_or(500);
    let name = match status {
        401 | 403 => "ForbiddenException",
        410 => "GoneException",
        413 => "PayloadTooLargeException",
        429 => "LimitExceededException",
        503 => "ServiceUnavailableException",
        500.. => "InternalServerErrorException",
        _ => "BadRequestException",
    };
    AwsError::of_fault(status, name, fault)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fault_answers_its_status_with_the_exception_that_belongs_to_it() {
        for (status, name) in [
            (403, "ForbiddenException"),
            (410, "GoneException"),
            (413, "PayloadTooLargeException"),
            (429, "LimitExceededException"),
            (500, "InternalServerErrorException"),
        ] {
            let fault: ProviderFault = serde_json::from_value(json!({ "status": status })).unwrap();
            let answer = refuse(&fault);
            assert_eq!(answer.status(), status);
            assert_eq!(answer.headers()["x-amzn-errortype"], name);
        }
    }
}
