//! The HTTP API's front: from a request to its function's event, from the answer to the response. The shapes of both
//! live in `http_event.rs` and `http_response.rs`.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::{Extension, Router};
use bytes::Bytes;
use chrono::Utc;
use http::{HeaderValue, Response, StatusCode};
use http_body_util::{BodyExt, Limited};

use super::route::Routes;
use super::{http_event, http_response, short_id};
use crate::lambda::{InvokeError, Lambda};
use crate::listen::Peer;

/// Largest request body, in bytes, and longest wait for a function.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>
const MAX_BODY: usize = 10 * 1024 * 1024;
const MAX_WAIT: Duration = Duration::from_secs(30);

struct Front {
    routes: Routes,
    lambda: Arc<Lambda>,
}

/// Routes to functions, except for the `extra` ones.
pub(super) fn router(routes: Routes, lambda: Arc<Lambda>, extra: Router) -> Router {
    extra.merge(Router::new().fallback(handle).with_state(Arc::new(Front { routes, lambda })))
}

async fn handle(State(front): State<Arc<Front>>, Extension(peer): Extension<Peer>, request: Request) -> Response<Body> {
    let request_id = short_id();
    let mut response = front.answer(peer, request, &request_id).await;
    let id = HeaderValue::from_str(&request_id).expect("base64 is a header value");
    response.headers_mut().insert("apigw-requestid", id);
    response
}

impl Front {
    async fn answer(&self, peer: Peer, request: Request, request_id: &str) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let Some(found) = self.routes.find(parts.method.as_str(), parts.uri.path()) else {
            return http_response::message(StatusCode::NOT_FOUND, "Not Found");
        };
        let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
            return http_response::message(StatusCode::PAYLOAD_TOO_LARGE, "Request Entity Too Large");
        };
        let event = http_event::event(&found, &parts, &body.to_bytes(), peer, request_id, Utc::now());
        let invocation = self.lambda.invoke(found.function, Bytes::from(event));
        match tokio::time::timeout(MAX_WAIT, invocation).await {
            Ok(Ok(answer)) => http_response::response(&answer).unwrap_or_else(internal),
            Ok(Err(InvokeError::TooLarge(_))) => {
                http_response::message(StatusCode::PAYLOAD_TOO_LARGE, "Request Too Long")
            }
            Ok(Err(_)) => internal(),
            Err(_) => http_response::message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable"),
        }
    }
}

fn internal() -> Response<Body> {
    http_response::message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
}
