//! Amazon SES v2, as far as `SendEmail` goes: what it demands, what it answers, how it refuses. What it reports later is
//! in `events.rs`.
//!
//! Shapes: <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html>; the error's name is in a header,
//! as <https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html> has it.

mod events;

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use mail_parser::MimeHeaders;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Providers;
use super::aws_error::AwsError;
use super::channel::Delivered;
use super::fault::ProviderFault;
use events::TakenMail;

pub(super) use events::Events;

/// Recipients of one message, all kinds together.
const RECIPIENT_LIMIT: usize = 50;
/// Longest tag name and value, in characters.
const TAG_LIMIT: usize = 256;

/// `POST /providers/ses/v2/email/outbound-emails`.
pub(super) async fn outbound_emails(
    State(providers): State<Arc<Providers>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let effect = async {
        match signed(&headers).and_then(|()| message(&body, providers.clock.now())) {
            Err(error) => error.into_response(),
            Ok(message) => accept(&providers, message).await,
        }
    };
    providers.email.faults.apply(effect, refuse, async || providers.kill("deliver-email").await).await
}

async fn accept(providers: &Providers, (message, taken): (Delivered, TakenMail)) -> Response {
    if let Err(error) = providers.email.accept(Delivered { taken: json!(taken), ..message }).await {
        return AwsError::new(500, "InternalFailure", error.to_string()).into_response();
    }
    providers.email_receipts.taken(&taken);
    Json(json!({ "MessageId": taken.message_id })).into_response()
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[derive(Default)]
struct SendEmail {
    from_email_address: Option<String>,
    destination: Destination,
    content: Content,
    reply_to_addresses: Vec<String>,
    email_tags: Vec<NameValue>,
    configuration_set_name: Option<String>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Destination {
    to_addresses: Vec<String>,
    cc_addresses: Vec<String>,
    bcc_addresses: Vec<String>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Content {
    simple: Option<Simple>,
    raw: Option<Raw>,
    template: Option<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Simple {
    subject: Text,
    body: Body,
    #[serde(default)]
    headers: Vec<NameValue>,
    #[serde(default)]
    attachments: Vec<Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Body {
    text: Option<Text>,
    html: Option<Text>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Text {
    data: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Raw {
    data: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NameValue {
    name: String,
    value: String,
}

fn signed(headers: &HeaderMap) -> Result<(), AwsError> {
    let scheme = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match scheme.is_some_and(|value| value.starts_with("AWS4-HMAC-SHA256 ")) {
        true => Ok(()),
        false => Err(AwsError::new(403, "MissingAuthenticationTokenException", "Missing Authentication Token")),
    }
}

/// What the body asks to send, if SES would take it, and what is kept for its receipts.
fn message(body: &[u8], now: DateTime<Utc>) -> Result<(Delivered, TakenMail), AwsError> {
    let email: SendEmail = serde_json::from_slice(body)
        .map_err(|error| AwsError::new(400, "SerializationException", format!("The body is no SendEmail: {error}")))?;
    let from = email.from_email_address.as_deref().ok_or_else(|| bad("FromEmailAddress is required."))?;
    let Destination { to_addresses, cc_addresses, bcc_addresses } = &email.destination;
    let recipients = || [to_addresses, cc_addresses, bcc_addresses].into_iter().flatten();
    if recipients().count() == 0 {
        return Err(bad("Destination has no recipient."));
    }
    if recipients().count() > RECIPIENT_LIMIT {
        return Err(bad(format!("Destination has more than {RECIPIENT_LIMIT} recipients.")));
    }
    let addresses = recipients().chain(&email.reply_to_addresses).map(String::as_str);
    if let Some(address) = addresses.chain([from]).find(|address| !is_address(address)) {
        return Err(bad(format!("Illegal address: {address}")));
    }
    email.email_tags.iter().try_for_each(tag)?;

    let Content { simple, raw, template } = email.content;
    let subject = simple.as_ref().map(|simple| simple.subject.data.clone());
    let (content, attachments) = match (simple, raw, template) {
        (Some(simple), None, None) => simple_content(simple)?,
        (None, Some(raw), None) => raw_content(&raw)?,
        (None, None, Some(_)) => return Err(bad("This sandbox has no templates: send Content.Simple or Content.Raw.")),
        _ => return Err(bad("Content must have exactly one of Simple, Raw and Template.")),
    };
    let tagged = |name: &str| {
        let tag = email.email_tags.iter().find(|tag| tag.name == name)?;
        Uuid::parse_str(&tag.value).ok()
    };
    let (message_id, conversation_id) = (tagged("message"), tagged("conversation"));
    let to = to_addresses.join(", ");
    let delivered = Delivered { message_id, conversation_id, to, content, attachments, ..Delivered::default() };
    let taken = TakenMail {
        // The form of the ids that SES gives in eu-central-1.
        message_id: format!("0107{:012x}-{}-000000", rand::random::<u32>(), Uuid::new_v4()),
        from: from.to_owned(),
        to: to_addresses.clone(),
        subject,
        configuration_set: email.configuration_set_name.clone(),
        tags: email.email_tags.iter().map(|tag| (tag.name.clone(), vec![tag.value.clone()])).collect(),
        at: now,
    };
    Ok((delivered, taken))
}

/// The text, and what else is attached. Limits:
/// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_MessageHeader.html>.
fn simple_content(simple: Simple) -> Result<(String, Vec<Value>), AwsError> {
    if simple.subject.data.is_empty() {
        return Err(bad("Content.Simple.Subject.Data is empty."));
    }
    for NameValue { name, value } in &simple.headers {
        let legal_name = (1..=126).contains(&name.len()) && name.bytes().all(|b| (33..=126).contains(&b) && b != b':');
        let legal_value = (1..=870).contains(&value.len()) && value.bytes().all(|b| (32..=126).contains(&b));
        if !legal_name || !legal_value {
            return Err(bad(format!("Illegal header: {name}")));
        }
    }
    let attachments = simple.attachments.iter().map(|one| {
        json!({ "filename": one["FileName"], "content_type": one["ContentType"] }) // the bytes are of no use to a reader
    });
    let attachments = attachments.collect();
    match (simple.body.text, simple.body.html) {
        (Some(body), _) | (None, Some(body)) => Ok((body.data, attachments)),
        (None, None) => Err(bad("Content.Simple.Body must have Text or Html.")),
    }
}

fn raw_content(raw: &Raw) -> Result<(String, Vec<Value>), AwsError> {
    let bytes = STANDARD.decode(&raw.data).map_err(|_| bad("Content.Raw.Data is not base64."))?;
    let mail = mail_parser::MessageParser::default().parse(&bytes).filter(|mail| !mail.headers().is_empty());
    let mail = mail.ok_or_else(|| bad("Content.Raw.Data is no MIME message."))?;
    let content = mail.body_text(0).ok_or_else(|| bad("Content.Raw.Data has no body."))?.into_owned();
    let attachments = mail.attachments().map(|part| {
        let content_type = part.content_type().map(|of| format!("{}/{}", of.ctype(), of.subtype().unwrap_or("*")));
        json!({ "filename": part.attachment_name(), "content_type": content_type })
    });
    Ok((content, attachments.collect()))
}

/// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_MessageTag.html>
fn tag(tag: &NameValue) -> Result<(), AwsError> {
    let legal = |text: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        (1..=TAG_LIMIT).contains(&text.len()) && text.bytes().all(known)
    };
    match legal(&tag.name) && legal(&tag.value) {
        true => Ok(()),
        false => Err(bad(format!("Illegal message tag: {}={}", tag.name, tag.value))),
    }
}

/// `local@domain`, or with a name before it: `Name <local@domain>`.
fn is_address(text: &str) -> bool {
    let address = match text.split_once('<') {
        Some((_, rest)) => rest.strip_suffix('>').unwrap_or_default(),
        None => text,
    };
    let plain = address.is_ascii() && !address.bytes().any(|byte| byte.is_ascii_control() || b" <>,;".contains(&byte));
    plain && address.rsplit_once('@').is_some_and(|(local, domain)| !local.is_empty() && domain.contains('.'))
}

fn bad(message: impl Into<String>) -> AwsError {
    AwsError::new(400, "BadRequestException", message)
}

fn refuse(fault: &ProviderFault) -> Response {
    let status = fault.status.unwrap_or(400);
    let name = match status {
        401 | 403 => "AccessDeniedException",
        404 => "NotFoundException",
        429 => "TooManyRequestsException",
        503 => "ServiceUnavailable",
        500.. => "InternalFailure",
        _ => "MessageRejected",
    };
    AwsError::of_fault(status, name, fault)
}

#[cfg(test)]
mod tests;
