//! Refusals of AWS services that speak the restJson1 protocol.
//!
//! <https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html#operation-error-serialization>

use axum::Json;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::fault::ProviderFault;

/// The header with the error's name.
const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// A refusal: status, the exception's name and a sentence.
#[derive(Debug)]
pub(super) struct AwsError {
    status: u16,
    name: &'static str,
    message: String,
}

impl AwsError {
    pub(super) fn new(status: u16, name: &'static str, message: impl Into<String>) -> Self {
        Self { status, name, message: message.into() }
    }

    /// The answer of a fault.
    pub(super) fn of_fault(status: u16, name: &'static str, fault: &ProviderFault) -> Response {
        let mut answer = Self::new(status, name, "The sandbox was told to fail.").into_response();
        if let Some(seconds) = fault.retry_after {
            answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        answer
    }

    /// The sentence.
    #[cfg(test)]
    pub(super) fn message(&self) -> &str {
        &self.message
    }
}

impl IntoResponse for AwsError {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(ERROR_TYPE, self.name)], Json(json!({ "message": self.message })))
            .into_response()
    }
}
