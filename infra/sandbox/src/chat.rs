//! The chat channel's provider: API Gateway's `@connections`, passed on to the gateway, failing on
//! demand. What the visitor sees is recorded by the widget, not here.
//!
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-how-to-call-websocket-api-connections.html>

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::{IntoResponse, Response};

use super::Providers;
use super::aws_error::AwsError;
use super::fault::ProviderFault;

/// Any method on `/providers/chat/@connections/{id}`.
pub(super) async fn connections(
    State(providers): State<Arc<Providers>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let path = uri.path().trim_start_matches("/providers/chat");
    if let Some(function) = emulator::caller(&headers) {
        let resource = format!("ChatApi/ChatStage/{method}/@connections/*");
        providers.needed(function, "execute-api:ManageConnections", &resource);
    }
    let effect = forward(&providers, method, path, &headers, body);
    let answer = providers
        .chat
        .faults
        .apply(effect, refuse, async || providers.kill("deliver-chat").await)
        .await;
    if answer.status().as_u16() == 410 {
        // A connection that is gone is gone: the visitor's end finds out too, and comes back with
        // another.
        let _ = forward(&providers, Method::DELETE, path, &headers, Bytes::new()).await;
    }
    answer
}

async fn forward(
    providers: &Providers,
    method: Method,
    path: &str,
    headers: &HeaderMap,
    body: Bytes,
) -> Response {
    let Some(management_url) = providers.management_url.get() else {
        return AwsError::new(
            503,
            "ServiceUnavailableException",
            "The chat gateway is not up yet.",
        )
        .into_response();
    };
    let mut request = providers
        .http
        .request(method, format!("{}{path}", management_url.trim_end_matches('/')))
        .body(body);
    for name in [header::AUTHORIZATION, header::CONTENT_TYPE] {
        if let Some(value) = headers.get(&name) {
            request = request.header(name, value);
        }
    }
    match request.send().await {
        Ok(answer) => axum::http::Response::<reqwest::Body>::from(answer).map(Body::new),
        Err(error) => {
            AwsError::new(500, "InternalServerErrorException", error.to_string()).into_response()
        }
    }
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
