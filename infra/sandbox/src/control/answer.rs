//! Bodies and refusals of the control API.

use axum::Json;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::json;

/// A refusal, as a problem document: a status and one sentence.
#[derive(Debug)]
pub(super) struct HttpError(pub(super) StatusCode, pub(super) String);

impl HttpError {
    pub(super) fn unprocessable(sentence: impl std::fmt::Display) -> Self {
        Self(StatusCode::UNPROCESSABLE_ENTITY, sentence.to_string())
    }

    pub(super) fn not_found(sentence: impl std::fmt::Display) -> Self {
        Self(StatusCode::NOT_FOUND, sentence.to_string())
    }

    pub(super) fn bad_gateway(sentence: impl std::fmt::Display) -> Self {
        Self(StatusCode::BAD_GATEWAY, sentence.to_string())
    }
}

impl IntoResponse for HttpError {
    fn into_response(self) -> Response {
        let Self(status, detail) = self;
        let title = status.canonical_reason().unwrap_or_default();
        let body = json!({
            "type": "about:blank", "title": title, "status": status.as_u16(),
            "detail": detail,
        });
        (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(body)).into_response()
    }
}

/// A JSON body, of any content type. An empty body is read as `{}`, so that `curl -X POST` needs
/// none.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = HttpError;

    async fn from_request(request: Request, state: &S) -> Result<Self, HttpError> {
        let bytes = Bytes::from_request(request, state).await.map_err(HttpError::unprocessable)?;
        let json: &[u8] = if bytes.trim_ascii().is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(json).map(Self).map_err(HttpError::unprocessable)
    }
}
