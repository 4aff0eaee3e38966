//! Amazon SES v2, as far as `SendEmail` goes: what it demands, what it answers, how it refuses.
//! What it reports later is in `events.rs`.
//!
//! Shapes: <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html>; the error's
//! name is in a header, as <https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html> has
//! it.

mod events;
mod raw;

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Providers;
use super::aws_error::AwsError;
use super::channel::{Delivered, Header};
use super::fault::ProviderFault;
use emulator::account::REGION;
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
    if let Some(function) = emulator::caller(&headers) {
        for resource in ["identity/*", "configuration-set/*"] {
            providers.needed(function, "ses:SendEmail", resource);
        }
    }
    let effect = async {
        match signed(&headers).and_then(|()| message(&body, providers.clock.now())) {
            Err(error) => error.into_response(),
            Ok(message) => accept(&providers, message).await,
        }
    };
    providers
        .email
        .faults
        .apply(effect, refuse, async || providers.kill("deliver-email").await)
        .await
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

/// A mail, as far as anybody looks at it.
struct Mail {
    subject: Option<String>,
    content: String,
    attachments: Vec<Value>,
    headers: Vec<Header>,
}

impl Mail {
    /// SES overwrites two headers, or adds them:
    /// <https://docs.aws.amazon.com/ses/latest/dg/header-fields.html>.
    fn stamped(mut self, ses_id: &str, now: DateTime<Utc>) -> Self {
        let domain = if REGION == "us-east-1" { "email".to_owned() } else { REGION.to_owned() };
        for (name, value) in [
            ("Message-ID", format!("<{ses_id}@{domain}.amazonses.com>")),
            ("Date", now.to_rfc2822()),
        ] {
            self.headers.retain(|header| !header.name.eq_ignore_ascii_case(name));
            self.headers.push(Header { name: name.into(), value });
        }
        self
    }
}

fn signed(headers: &HeaderMap) -> Result<(), AwsError> {
    let scheme = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match scheme.is_some_and(|value| value.starts_with("AWS4-HMAC-SHA256 ")) {
        true => Ok(()),
        false => Err(AwsError::new(
            403,
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        )),
    }
}

/// What the body asks to send, if SES would take it, and what is kept for its receipts.
fn message(body: &[u8], now: DateTime<Utc>) -> Result<(Delivered, TakenMail), AwsError> {
    let email: SendEmail = serde_json::from_slice(body).map_err(|error| {
        AwsError::new(400, "SerializationException", format!("The body is no SendEmail: {error}"))
    })?;
    let from =
        email.from_email_address.as_deref().ok_or_else(|| bad("FromEmailAddress is required."))?;
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
    let mail = match (simple, raw, template) {
        (Some(simple), None, None) => simple_content(simple)?,
        (None, Some(raw), None) => raw::read(&raw.data)?,
        (None, None, Some(_)) => {
            return Err(bad("This sandbox has no templates: send Content.Simple or Content.Raw."));
        }
        _ => return Err(bad("Content must have exactly one of Simple, Raw and Template.")),
    };
    // Ids begin so in the oldest region.
    let ses_id = format!("0100{:012x}-{}-000000", rand::random::<u32>(), Uuid::new_v4());
    let Mail { subject, content, attachments, headers } = mail.stamped(&ses_id, now);
    let tagged = |name: &str| {
        let tag = email.email_tags.iter().find(|tag| tag.name == name)?;
        Uuid::parse_str(&tag.value).ok()
    };
    let (message_id, conversation_id) = (tagged("message"), tagged("conversation"));
    let to = to_addresses.join(", ");
    let delivered = Delivered {
        message_id,
        conversation_id,
        to,
        content,
        attachments,
        subject: subject.clone(),
        headers,
        ..Delivered::default()
    };
    let taken = TakenMail {
        message_id: ses_id,
        from: from.to_owned(),
        to: to_addresses.clone(),
        subject,
        configuration_set: email.configuration_set_name.clone(),
        tags: email
            .email_tags
            .iter()
            .map(|tag| (tag.name.clone(), vec![tag.value.clone()]))
            .collect(),
        at: now,
    };
    Ok((delivered, taken))
}

/// The text, and what else is attached. Limits:
/// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_MessageHeader.html>.
fn simple_content(simple: Simple) -> Result<Mail, AwsError> {
    if simple.subject.data.is_empty() {
        return Err(bad("Content.Simple.Subject.Data is empty."));
    }
    for NameValue { name, value } in &simple.headers {
        let legal_name = (1..=126).contains(&name.len())
            && name.bytes().all(|b| (33..=126).contains(&b) && b != b':');
        let legal_value =
            (1..=870).contains(&value.len()) && value.bytes().all(|b| (32..=126).contains(&b));
        if !legal_name || !legal_value {
            return Err(bad(format!("Illegal header: {name}")));
        }
    }
    let attachments = simple.attachments.iter().map(|one| {
        json!({ "filename": one["FileName"], "content_type": one["ContentType"] }) // the bytes are of no use to a reader
    });
    let attachments = attachments.collect();
    let body = simple.body.text.or(simple.body.html);
    let content = body.ok_or_else(|| bad("Content.Simple.Body must have Text or Html."))?.data;
    let headers = simple
        .headers
        .into_iter()
        .map(|NameValue { name, value }| Header { name, value })
        .collect();
    Ok(Mail { subject: Some(simple.subject.data), content, attachments, headers })
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
    let plain = address.is_ascii()
        && !address.bytes().any(|byte| byte.is_ascii_control() || b" <>,;".contains(&byte));
    plain
        && address
            .rsplit_once('@')
            .is_some_and(|(local, domain)| !local.is_empty() && domain.contains('.'))
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
