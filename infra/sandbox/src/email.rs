//! Amazon SES v2's `SendEmail`: its checks, answers and refusals. `events.rs` has its later
//! reports.
//!
//! Shapes: <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html>; the error's
//! name is in a header, as <https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html> has
//! it.

mod events;
mod inbox;
mod mail;
mod raw;

use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::aws_error::AwsError;
use crate::channel::{Channel, Submission};
use crate::clock::Clock;
use crate::fault::ProviderFault;
use crate::receipts::{ReceiptRule, Receipts};
use crate::seed::CONFIGURATION_SET;
use emulator::{AccessDenied, Engine};
use events::{MailRecord, SesEvents};
use inbox::Inbox;
use mail::{Mail, bad_request};

/// Most recipients of one message, all kinds together.
const RECIPIENT_LIMIT: usize = 50;
/// Longest tag name and value, in characters.
const TAG_LIMIT: usize = 256;

/// Amazon SES v2.
#[derive(Debug)]
pub(crate) struct EmailProvider {
    /// The mails it accepted, and the fault in force.
    pub(crate) channel: Channel,
    /// The last mails, as they came.
    pub(crate) inbox: Inbox,
    /// Its events.
    pub(crate) receipts: Receipts<SesEvents>,
    engine: Arc<Engine>,
    clock: Arc<Clock>,
}

impl EmailProvider {
    /// Opens the provider; with a directory it keeps what it accepted there.
    ///
    /// # Errors
    /// A file of the directory cannot be read or written.
    pub(crate) fn open(
        directory: Option<&Path>,
        engine: &Arc<Engine>,
        rule: ReceiptRule,
        clock: &Arc<Clock>,
    ) -> io::Result<Self> {
        Ok(Self {
            channel: Channel::open("email", directory, clock.clone())?,
            inbox: Inbox::default(),
            receipts: Receipts::open("email", directory, SesEvents, rule, engine, clock)?,
            engine: engine.clone(),
            clock: clock.clone(),
        })
    }

    /// Keeps a mail, sends its receipts, and answers SES's id.
    async fn accept(&self, accepted: AcceptedMail) -> Response {
        let AcceptedMail { message, record, bytes } = accepted;
        if let Some(message_id) = message.message_id {
            self.inbox.keep(message_id, bytes);
        }

        let message = Submission { record: json!(record), ..message };
        if let Err(error) = self.channel.accept(message).await {
            return AwsError::new(500, "InternalFailure", error.to_string()).into_response();
        }

        self.receipts.send_for(&record);
        Json(json!({ "MessageId": record.message_id })).into_response()
    }
}

/// Returns the provider's routes.
pub(crate) fn routes(provider: Arc<EmailProvider>) -> Router {
    Router::new()
        .route("/providers/ses/v2/email/outbound-emails", post(outbound_emails))
        .with_state(provider)
}

/// Answers `POST /providers/ses/v2/email/outbound-emails`.
async fn outbound_emails(
    State(provider): State<Arc<EmailProvider>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let effect = async {
        let message = check_signature(&headers)
            .and_then(|()| check_role(&provider.engine, &headers, &body))
            .and_then(|()| read(&body, provider.clock.now()));
        match message {
            Err(error) => error.into_response(),
            Ok(message) => provider.accept(message).await,
        }
    };

    let kill = async || provider.engine.kill("deliver-email").await;

    provider.channel.faults.apply(effect, refuse, kill).await
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

/// The content of a mail; SES has other kinds, which nothing here sends.
#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Content {
    raw: Option<Raw>,
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

fn check_signature(headers: &HeaderMap) -> Result<(), AwsError> {
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

/// Refuses a function whose role may not send such a mail from the sender's domain and with its
/// configuration set, in SES's words:
/// <https://repost.aws/knowledge-center/amazon-ses-iam-user-email-access-denied>.
fn check_role(engine: &Engine, headers: &HeaderMap, body: &[u8]) -> Result<(), AwsError> {
    let Some(function) = emulator::caller(headers) else { return Ok(()) };
    let email: SendEmail = serde_json::from_slice(body).unwrap_or_default();
    // SES checks other actions for each kind of content.
    let operation = match email.content.raw {
        Some(_) => "sesv2:SendEmail/Raw",
        None => "sesv2:SendEmail",
    };

    let from = email.from_email_address.unwrap_or_default();
    let domain = from.rsplit('@').next().unwrap_or_default().trim_end_matches('>');
    let configuration_set = email.configuration_set_name.map(|name| {
        // By the template's own name, as of every resource.
        let name = if name == CONFIGURATION_SET { "EmailReceipts".to_owned() } else { name };
        format!("configuration-set/{name}")
    });

    for resource in [Some(format!("identity/{domain}")), configuration_set].iter().flatten() {
        engine.authorize(function, operation, resource).map_err(|denied| {
            let AccessDenied { user, action, resource } = denied;
            let message = format!(
                "User `{user}' is not authorized to perform `{action}' on resource `{resource}'"
            );
            AwsError::new(403, "AccessDeniedException", message)
        })?;
    }

    Ok(())
}

/// A mail that SES takes.
#[derive(Debug)]
struct AcceptedMail {
    message: Submission,
    /// The record that its receipts are made of.
    record: MailRecord,
    bytes: Vec<u8>,
}

/// Reads the mail that a body asks to send, if SES would take it.
fn read(body: &[u8], now: DateTime<Utc>) -> Result<AcceptedMail, AwsError> {
    let email: SendEmail = serde_json::from_slice(body).map_err(|error| {
        AwsError::new(400, "SerializationException", format!("The body is no SendEmail: {error}"))
    })?;

    let from = email.from_email_address.as_deref();
    let from = from.ok_or_else(|| bad_request("FromEmailAddress is required."))?;
    check_addresses(&email, from)?;
    email.email_tags.iter().try_for_each(check_tag)?;
    let raw = email.content.raw;
    let raw = raw.ok_or_else(|| bad_request("This sandbox takes Content.Raw and no other."))?;
    let bytes = raw::decode(&raw.data)?;
    let mail = raw::read(&bytes)?;

    // Ids begin so in the oldest region.
    let ses_id = format!("0100{:012x}-{}-000000", rand::random::<u32>(), Uuid::new_v4());
    let Mail { subject, content, attachments, headers } = mail.stamped(&ses_id, now);
    let tagged = |name: &str| {
        let tag = email.email_tags.iter().find(|tag| tag.name == name)?;
        Uuid::parse_str(&tag.value).ok()
    };

    let tags = email.email_tags.iter().map(|tag| (tag.name.clone(), vec![tag.value.clone()]));
    let to_addresses = &email.destination.to_addresses;
    let record = MailRecord {
        message_id: ses_id,
        from: from.to_owned(),
        to: to_addresses.clone(),
        subject: subject.clone(),
        configuration_set: email.configuration_set_name.clone(),
        tags: tags.collect(),
        at: now,
    };

    let bytes = raw::with_headers(&bytes, &headers);
    let message = Submission {
        message_id: tagged("message"),
        conversation_id: tagged("conversation"),
        to: to_addresses.join(", "),
        content,
        attachments,
        subject,
        headers,
        ..Submission::default()
    };

    Ok(AcceptedMail { message, record, bytes })
}

/// Checks the recipients, and that every address is one.
fn check_addresses(email: &SendEmail, from: &str) -> Result<(), AwsError> {
    let Destination { to_addresses, cc_addresses, bcc_addresses } = &email.destination;
    let recipients = || [to_addresses, cc_addresses, bcc_addresses].into_iter().flatten();
    if recipients().count() == 0 {
        return Err(bad_request("Destination has no recipient."));
    }

    if recipients().count() > RECIPIENT_LIMIT {
        let sentence = format!("Destination has more than {RECIPIENT_LIMIT} recipients.");
        return Err(bad_request(sentence));
    }

    let addresses = recipients().chain(&email.reply_to_addresses).map(String::as_str);
    match addresses.chain([from]).find(|address| !is_address(address)) {
        Some(address) => Err(bad_request(format!("Illegal address: {address}"))),
        None => Ok(()),
    }
}

/// Checks a tag's characters and length.
/// <https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_MessageTag.html>
fn check_tag(tag: &NameValue) -> Result<(), AwsError> {
    let legal = |text: &str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        (1..=TAG_LIMIT).contains(&text.len()) && text.bytes().all(known)
    };
    match legal(&tag.name) && legal(&tag.value) {
        true => Ok(()),
        false => Err(bad_request(format!("Illegal message tag: {}={}", tag.name, tag.value))),
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
