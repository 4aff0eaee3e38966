//! Refusals of the Cloud API:
//! <https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes>.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use crate::fault::ProviderFault;

/// Returns a fault's answer: its code and its status, or one of the two with the other that Meta
/// documents for it.
pub(super) fn refuse(fault: &ProviderFault) -> Response {
    let code = fault.code.unwrap_or_else(|| default_code(fault.status));
    let mut error = Error::new(code, "The sandbox was told to fail.");
    error.status = fault.status.unwrap_or(error.status);
    error.subcode = fault.subcode;
    let mut answer = error.into_response();
    if let Some(seconds) = fault.retry_after {
        answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    answer
}

/// Returns the code that usually comes with a status.
pub(super) fn default_code(status: Option<u16>) -> u32 {
    match status {
        Some(401) => 190,
        Some(403) => 10,
        Some(404) => 33,
        Some(429) => 130429,
        Some(503) => 2,
        Some(500..) => 131000,
        _ => 100,
    }
}

/// Returns title and status of a code that the Cloud API documents for sending.
pub(super) fn documented(code: u32) -> (&'static str, u16) {
    match code {
        1 => ("API Unknown", 400),
        2 => ("API Service", 503),
        4 => ("API Too Many Calls", 429),
        10 => ("Permission Denied", 403),
        33 => ("Parameter value is not valid", 400),
        100 => ("Invalid parameter", 400),
        190 => ("Access token has expired", 401),
        368 => ("Temporarily blocked for policies violations", 403),
        80007 => ("Rate limit issues", 429),
        130429 => ("Rate limit hit", 429),
        130472 => ("User's number is part of an experiment", 400),
        131000 => ("Something went wrong", 500),
        131005 => ("Access denied", 403),
        131008 => ("Required parameter is missing", 400),
        131009 => ("Parameter value is not valid", 400),
        131016 => ("Service unavailable", 500),
        131021 => ("Recipient cannot be sender", 400),
        131026 => ("Message Undeliverable", 400),
        131031 => ("Account has been locked", 403),
        131042 => ("Business eligibility payment issue", 400),
        131045 => ("Incorrect certificate", 500),
        131047 => ("Re-engagement message", 400),
        131048 => ("Spam rate limit hit", 400),
        131051 => ("Unsupported message type", 400),
        131052 => ("Media download error", 400),
        131053 => ("Media upload error", 400),
        131056 => ("(Business Account, Consumer Account) pair rate limit hit", 400),
        132000 => ("Template Param Count Mismatch", 400),
        132001 => ("Template does not exist", 404),
        132005 => ("Template Hydrated Text Too Long", 400),
        132007 => ("Template Format Character Policy Violated", 400),
        132012 => ("Template Parameter Format Mismatch", 400),
        132015 => ("Template is Paused", 400),
        132016 => ("Template is Disabled", 400),
        132068 => ("Flow is in blocked state", 400),
        132069 => ("Flow is in throttled state", 400),
        133010 => ("Phone number Not Registered", 400),
        _ => ("Unknown error", 400),
    }
}

/// A refusal in the Graph API's shape.
#[derive(Debug)]
pub(super) struct Error {
    pub(super) status: u16,
    pub(super) code: u32,
    pub(super) subcode: Option<u32>,
    pub(super) details: String,
}

impl Error {
    pub(super) fn new(code: u32, details: impl Into<String>) -> Self {
        Self { status: documented(code).1, code, subcode: None, details: details.into() }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let Self { status, code, subcode, details } = self;
        let mut body = json!({ "error": {
            "message": format!("(#{code}) {}", documented(code).0),
            "type": "OAuthException",
            "code": code,
            "error_data": { "messaging_product": "whatsapp", "details": details },
            "fbtrace_id": format!("A{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>())),
        }});
        if let Some(subcode) = subcode {
            body["error"]["error_subcode"] = json!(subcode);
        }
        (StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), Json(body))
            .into_response()
    }
}

/// Returns the refusal of a call without this parameter.
pub(super) fn missing(name: &str) -> Error {
    Error::new(131008, format!("Parameter '{name}' is mandatory."))
}
