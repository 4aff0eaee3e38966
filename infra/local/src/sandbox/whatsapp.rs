//! WhatsApp's Cloud API, as far as text messages go: what it demands, what it answers, how it refuses. What it reports
//! later is in `webhook.rs`.
//!
//! Shapes: <https://developers.facebook.com/docs/whatsapp/cloud-api/messages/text-messages>; errors and their statuses:
//! <https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes>.

mod webhook;

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::Providers;
use super::channel::Delivered;
use super::fault::ProviderFault;
use webhook::TakenMessage;

pub(super) use webhook::Webhook;

/// Longest text, in characters.
const TEXT_LIMIT: usize = 4096;
/// Longest `biz_opaque_callback_data`, in characters.
const CALLBACK_DATA_LIMIT: usize = 512;

/// `POST /providers/whatsapp/{version}/{phone_number_id}/messages`.
pub(super) async fn messages(
    State(providers): State<Arc<Providers>>,
    Path((_version, phone_number_id)): Path<(String, String)>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let effect = async {
        let accepted = authorized(&providers, &headers).and_then(|()| message(&phone_number_id, &body));
        match accepted {
            Err(error) => error.into_response(),
            Ok(message) => accept(&providers, message).await,
        }
    };
    providers.whatsapp.faults.apply(effect, refuse, async || providers.kill("deliver-whatsapp").await).await
}

async fn accept(providers: &Providers, (message, taken): (Delivered, TakenMessage)) -> Response {
    let answer = json!({
        "messaging_product": "whatsapp",
        "contacts": [{ "input": message.to, "wa_id": digits(&message.to) }],
        "messages": [{ "id": taken.wamid }],
    });
    if let Err(error) = providers.whatsapp.accept(Delivered { taken: json!(taken), ..message }).await {
        return Error::new(131016, error.to_string()).into_response();
    }
    providers.whatsapp_receipts.taken(&taken);
    Json(answer).into_response()
}

fn authorized(providers: &Providers, headers: &HeaderMap) -> Result<(), Error> {
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    match token {
        Some(token) if token == providers.whatsapp_token => Ok(()),
        Some(_) => Err(Error::new(190, "The sandbox did not issue this access token.")),
        None => Err(Error::new(190, "An access token is required: Authorization: Bearer …")),
    }
}

/// What the body asks to send, if the Cloud API would take it, and what is kept for its receipts.
fn message(phone_number_id: &str, body: &[u8]) -> Result<(Delivered, TakenMessage), Error> {
    if phone_number_id.is_empty() || !phone_number_id.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Error::new(33, format!("'{phone_number_id}' is no phone number ID.")));
    }
    let body: Map<String, Value> = serde_json::from_slice(body)
        .map_err(|error| Error::new(100, format!("The body is no JSON object: {error}.")))?;
    let known = ["messaging_product", "recipient_type", "to", "type", "text", "context", "biz_opaque_callback_data"];
    only(&body, &known, "")?;
    exactly(&body, "messaging_product", "whatsapp", true)?;
    exactly(&body, "recipient_type", "individual", false)?;
    // The provider's default. It has other types, which nothing here sends.
    exactly(&body, "type", "text", false)?;

    let to = text_of(&body, "to")?.ok_or_else(|| missing("to"))?;
    if !(7..=15).contains(&digits(to).len()) || to.bytes().any(|byte| !b"+-() 0123456789".contains(&byte)) {
        return Err(Error::new(131009, "Parameter 'to' is no phone number of 7 to 15 digits."));
    }
    let text = body.get("text").ok_or_else(|| missing("text"))?;
    let text = text.as_object().ok_or_else(|| Error::new(131009, "Parameter 'text' must be an object."))?;
    only(text, &["body", "preview_url"], "text.")?;
    if text.get("preview_url").is_some_and(|preview| !preview.is_boolean()) {
        return Err(Error::new(131009, "Parameter 'text.preview_url' must be true or false."));
    }
    let content = text_of(text, "body")?.filter(|body| !body.is_empty()).ok_or_else(|| missing("text.body"))?;
    within("text.body", content, TEXT_LIMIT)?;
    let callback_data = text_of(&body, "biz_opaque_callback_data")?;
    within("biz_opaque_callback_data", callback_data.unwrap_or_default(), CALLBACK_DATA_LIMIT)?;

    let (conversation_id, message_id) = ours(callback_data.unwrap_or_default());
    let taken = TakenMessage {
        wamid: format!("wamid.{}", STANDARD.encode(rand::random::<[u8; 30]>())),
        phone_number_id: phone_number_id.into(),
        to: to.into(),
        callback_data: callback_data.map(str::to_owned),
    };
    let delivered =
        Delivered { message_id, conversation_id, to: to.into(), content: content.into(), ..Delivered::default() };
    Ok((delivered, taken))
}

/// Conversation and message out of `{business}.{conversation}.{message}`, which the provider itself never looks into.
fn ours(callback_data: &str) -> (Option<Uuid>, Option<Uuid>) {
    let ids: Vec<_> = callback_data.split('.').map(|id| Uuid::parse_str(id).ok()).collect();
    match ids[..] {
        [Some(_business), conversation, message] => (conversation, message),
        _ => (None, None),
    }
}

fn digits(phone_number: &str) -> String {
    phone_number.chars().filter(char::is_ascii_digit).collect()
}

fn only(body: &Map<String, Value>, known: &[&str], inside: &str) -> Result<(), Error> {
    match body.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(Error::new(100, format!("Unexpected parameter '{inside}{name}'."))),
        None => Ok(()),
    }
}

fn exactly(body: &Map<String, Value>, name: &str, value: &str, required: bool) -> Result<(), Error> {
    match text_of(body, name)? {
        Some(given) if given == value => Ok(()),
        Some(_) if name == "type" => Err(Error::new(131051, "This sandbox sends messages of type 'text' only.")),
        Some(given) => Err(Error::new(131009, format!("Parameter '{name}' must be '{value}', not '{given}'."))),
        None if required => Err(missing(name)),
        None => Ok(()),
    }
}

fn text_of<'a>(body: &'a Map<String, Value>, name: &str) -> Result<Option<&'a str>, Error> {
    let not_text = || Error::new(131009, format!("Parameter '{name}' must be a string."));
    body.get(name).map(|value| value.as_str().ok_or_else(not_text)).transpose()
}

fn within(name: &str, text: &str, limit: usize) -> Result<(), Error> {
    match text.chars().count() {
        long if long > limit => {
            Err(Error::new(131009, format!("Parameter '{name}' must be at most {limit} characters long.")))
        }
        _ => Ok(()),
    }
}

fn missing(name: &str) -> Error {
    Error::new(131008, format!("Parameter '{name}' is mandatory."))
}

/// A fault's answer: its code with its status, or whichever of the two is given with what belongs to it.
fn refuse(fault: &ProviderFault) -> Response {
    let code = fault.code.unwrap_or_else(|| default_code(fault.status));
    let mut error = Error::new(code, "The sandbox was told to fail.");
    error.status = fault.status.unwrap_or(error.status);
    let mut answer = error.into_response();
    if let Some(seconds) = fault.retry_after {
        answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    answer
}

/// The code that usually comes with a status.
fn default_code(status: Option<u16>) -> u32 {
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

/// Title and status of the codes that the Cloud API documents for sending.
fn documented(code: u32) -> (&'static str, u16) {
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
        133010 => ("Phone number Not Registered", 400),
        _ => ("Unknown error", 400),
    }
}

/// A refusal in the Graph API's shape.
#[derive(Debug)]
struct Error {
    status: u16,
    code: u32,
    details: String,
}

impl Error {
    fn new(code: u32, details: impl Into<String>) -> Self {
        Self { status: documented(code).1, code, details: details.into() }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let Self { status, code, details } = self;
        let body = json!({ "error": {
            "message": format!("(#{code}) {}", documented(code).0),
            "type": "OAuthException",
            "code": code,
            "error_data": { "messaging_product": "whatsapp", "details": details },
            "fbtrace_id": format!("A{}", URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>())),
        }});
        (StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), Json(body)).into_response()
    }
}

#[cfg(test)]
mod tests;
