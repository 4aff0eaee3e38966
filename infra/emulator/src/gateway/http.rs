//! The HTTP API's front: turns a request into its function's event (`http_event.rs`), and the
//! answer into the response (`http_response.rs`).

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::{Extension, Router};
use bytes::Bytes;
use chrono::Utc;
use http::header::{HOST, VARY};
use http::uri::Authority;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt, Limited};

use super::context::short_id;
use super::route::Routes;
use super::throttle::Throttles;
use super::{http_event, http_response};
use crate::cors;
use crate::lambda::{InvokeError, Lambda, Logs};
use crate::listen::Peer;
use crate::template::CorsRule;
use crate::traffic::{Begun, Traffic};

/// Largest request body, in bytes.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>
const MAX_BODY: usize = 10 * 1024 * 1024;
/// Longest wait for a function, from the same page.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Where requests are noted.
pub(crate) struct Watch {
    pub(crate) traffic: Traffic,
    pub(crate) logs: Logs,
}

/// The HTTP API.
pub(super) struct Front {
    pub(super) routes: Routes,
    pub(super) throttles: Throttles,
    pub(super) cors: Option<CorsRule>,
    pub(super) lambda: Arc<Lambda>,
    pub(super) watch: Watch,
}

/// Returns the routes to functions, and the `extra` ones.
pub(super) fn router(front: Front, extra: Router) -> Router {
    extra.merge(Router::new().fallback(handle).with_state(Arc::new(front)))
}

async fn handle(
    State(front): State<Arc<Front>>,
    Extension(peer): Extension<Peer>,
    request: Request,
) -> Response<Body> {
    let begun = Begun::now();
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let request_id = short_id();
    let mut response = front.answer(peer, request, &request_id).await;
    let id = HeaderValue::from_str(&request_id).expect("base64 is a header value");
    response.headers_mut().insert("apigw-requestid", id);
    let status = response.status().as_u16();
    let noted = front.watch.traffic.note_request(method.as_str(), &path, status, begun);
    front.watch.logs.note_request(&noted);
    response
}

impl Front {
    /// Answers a request. With a CORS rule, the gateway answers preflights itself on every path,
    /// and replaces the CORS headers of functions.
    async fn answer(&self, peer: Peer, request: Request, request_id: &str) -> Response<Body> {
        let Some(rule) = self.cors.as_ref().map(std::slice::from_ref) else {
            return self.invoke(peer, request, request_id).await;
        };

        let (parts, body) = request.into_parts();
        if parts.method == Method::OPTIONS {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            *response.headers_mut() = cors::preflight(rule, &parts).unwrap_or_default();
            return response;
        }

        let allowed = cors::headers(rule, &parts.headers, &parts.method);
        let mut response = self.invoke(peer, Request::from_parts(parts, body), request_id).await;
        let headers = response.headers_mut();
        let of_the_function: Vec<_> =
            headers.keys().filter(|name| is_cors(name)).cloned().collect();

        for name in of_the_function {
            headers.remove(name);
        }

        for (name, value) in &allowed {
            // The answer depends on what the function says as well.
            if name == VARY {
                headers.append(name, value.clone());
            } else {
                headers.insert(name, value.clone());
            }
        }
        response
    }

    async fn invoke(&self, peer: Peer, request: Request, request_id: &str) -> Response<Body> {
        let (parts, body) = request.into_parts();
        if !names_a_host(&parts.headers) {
            return http_response::message(StatusCode::BAD_REQUEST, "Bad Request");
        }
        let Some(found) = self.routes.find(parts.method.as_str(), parts.uri.path()) else {
            return http_response::message(StatusCode::NOT_FOUND, "Not Found");
        };
        if !self.throttles.admit(found.key) {
            return http_response::message(StatusCode::TOO_MANY_REQUESTS, "Too Many Requests");
        }

        let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
            return http_response::message(
                StatusCode::PAYLOAD_TOO_LARGE,
                "Request Entity Too Large",
            );
        };

        let event =
            http_event::event(&found, &parts, &body.to_bytes(), peer, request_id, Utc::now());
        let invocation = self.lambda.invoke(found.function, Bytes::from(event));

        match tokio::time::timeout(MAX_WAIT, invocation).await {
            Ok(Ok(answer)) => http_response::response(&answer).unwrap_or_else(internal),
            Ok(Err(InvokeError::TooLarge(_))) => {
                http_response::message(StatusCode::PAYLOAD_TOO_LARGE, "Request Too Long")
            }
            // What users see of a throttled function; AWS does not document it.
            Ok(Err(InvokeError::Throttled)) | Err(_) => {
                http_response::message(StatusCode::SERVICE_UNAVAILABLE, "Service Unavailable")
            }
            Ok(Err(_)) => internal(),
        }
    }
}

/// True if `Host` can be a host's name. AWS finds the API by it, so a function never sees another.
fn names_a_host(headers: &HeaderMap) -> bool {
    let host = headers.get(HOST).map(HeaderValue::as_bytes).unwrap_or_default();
    Authority::try_from(host).is_ok()
}

fn is_cors(name: &HeaderName) -> bool {
    name.as_str().starts_with("access-control-")
}

fn internal() -> Response<Body> {
    http_response::message(StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name() {
        let names = |host: &'static [u8]| {
            let value = HeaderValue::from_static(std::str::from_utf8(host).expect("a text"));
            names_a_host(&HeaderMap::from_iter([(HOST, value)]))
        };
        assert!(names(b"api.example.com") && names(b"127.0.0.1:3000") && names(b"[::1]:3000"));
        assert!(
            !names(b"") && !names(b"a\t\"b") && !names(b"a/b") && !names_a_host(&HeaderMap::new())
        );
    }
}
