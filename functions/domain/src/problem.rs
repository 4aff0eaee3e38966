//! Every refusal that the API can answer, and the one match that turns refusals into problem
//! documents.

use std::fmt::Display;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::file::MediaType;
use crate::message::rfc3339;

/// A rule that said no to a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The request's body, or the file in it, is too large.
    BodyTooLarge {
        /// The limit, in bytes.
        most: u64,
    },
    /// The `Authorization` header identifies no active caller; the answer does not say why.
    Unauthorized,
    /// The request does not have the documented form.
    Invalid(Vec<FieldError>),
    /// No such conversation, or another business's: the answer is the same.
    ConversationNotFound,
    /// No such message in the conversation.
    MessageNotFound,
    /// The file does not exist, or has expired.
    FileNotFound,
    /// The conversation's channel cannot carry the content.
    ContentNotAllowed {
        /// The limit and what was found.
        detail: String,
    },
    /// The conversation's channel was switched off.
    ChannelInactive,
    /// The conversation is on a channel that this service does not deliver to.
    ChannelNotSupported {
        /// The channel's name in the conversation.
        channel: String,
    },
    /// WhatsApp's 24 hours after the customer's last message are over.
    OutsideMessagingWindow {
        /// When the window closed; `None` if the customer has not written yet.
        closed_at: Option<DateTime<Utc>>,
    },
    /// An attachment is not one of the conversation's finished uploads.
    AttachmentNotFound {
        /// The URL that was referenced.
        url: String,
        /// The fault of the upload.
        fault: UploadFault,
    },
    /// The idempotency key came with another request before.
    IdempotencyKeyReused,
    /// The plan's month is spent.
    QuotaExceeded {
        /// Messages the month allows.
        limit: u64,
        /// Messages accepted in the month.
        used: u64,
        /// When the next month begins.
        resets_at: DateTime<Utc>,
    },
    /// A call of a webhook without proof that the provider made it.
    NotFromProvider,
    /// Contention or throttling outlasted the retry budget; nothing was written.
    Busy,
}

/// The largest body of a message, in bytes.
pub const MAX_BODY_BYTES: usize = 256 * 1024;

/// Why an upload cannot be referenced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadFault {
    /// The conversation has no upload under this URL, or it has expired.
    Unknown,
    /// The upload was announced, and its file has not arrived yet.
    Unfinished,
    /// The file has another size than was announced.
    OtherSize {
        /// The announced size, in bytes.
        announced: u64,
        /// The file's size, in bytes.
        found: u64,
    },
    /// The file has another type than was announced.
    OtherType {
        /// The announced type.
        announced: MediaType,
        /// The type that its first bytes show.
        found: MediaType,
    },
}

/// The error of one field, in FastAPI's shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The path of the field: `["body", "attachments", 0, "url"]`.
    pub loc: Vec<Loc>,
    /// The error, for people.
    pub msg: String,
    /// The error, for programs: `missing`, `string_type`, `extra_forbidden`, …
    #[serde(rename = "type")]
    pub kind: &'static str,
}

/// One step of a [`FieldError::loc`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Loc {
    /// A part of the request, or a field.
    Name(String),
    /// An index into an array, from 0.
    Index(usize),
}

impl From<&str> for Loc {
    fn from(name: &str) -> Loc {
        Loc::Name(name.to_owned())
    }
}

impl From<usize> for Loc {
    fn from(index: usize) -> Loc {
        Loc::Index(index)
    }
}

impl FieldError {
    /// Makes an error at `loc`.
    pub fn new<L: Into<Loc>>(
        loc: impl IntoIterator<Item = L>,
        msg: impl Into<String>,
        kind: &'static str,
    ) -> FieldError {
        FieldError { loc: loc.into_iter().map(Into::into).collect(), msg: msg.into(), kind }
    }

    /// Reports a field that is missing.
    pub fn missing<L: Into<Loc>>(loc: impl IntoIterator<Item = L>) -> FieldError {
        FieldError::new(loc, "Field required", "missing")
    }

    /// Reports a text without a visible character.
    pub fn blank<L: Into<Loc>>(loc: impl IntoIterator<Item = L>) -> FieldError {
        FieldError::new(loc, "String should not be blank", "string_too_short")
    }

    /// Reports a text with a control character in it.
    pub fn control<L: Into<Loc>>(loc: impl IntoIterator<Item = L>, control: char) -> FieldError {
        let msg = format!(
            "String should have no control characters but tabs and line ends; it has U+{:04X}",
            u32::from(control)
        );
        FieldError::new(loc, msg, "string_pattern_mismatch")
    }

    /// Reports a field that is not documented.
    pub fn forbidden<L: Into<Loc>>(loc: impl IntoIterator<Item = L>) -> FieldError {
        FieldError::new(loc, "Extra inputs are not permitted", "extra_forbidden")
    }

    /// Reports a value that is not `expected`.
    pub fn wrong<L: Into<Loc>>(
        loc: impl IntoIterator<Item = L>,
        expected: impl Display,
        kind: &'static str,
    ) -> FieldError {
        FieldError::new(loc, format!("Input should be {expected}"), kind)
    }
}

/// The codes that clients may match on; they never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the refusal of the same name")]
pub enum Code {
    BodyTooLarge,
    Unauthorized,
    ValidationError,
    ConversationNotFound,
    MessageNotFound,
    FileNotFound,
    ContentNotAllowed,
    ChannelInactive,
    ChannelNotSupported,
    OutsideMessagingWindow,
    AttachmentNotFound,
    IdempotencyKeyReused,
    QuotaExceeded,
    NotFromProvider,
    Busy,
    Internal,
}

impl Code {
    /// Every code there is; a test compares them with the OpenAPI document.
    pub const ALL: [Code; 16] = [
        Code::BodyTooLarge,
        Code::Unauthorized,
        Code::ValidationError,
        Code::ConversationNotFound,
        Code::MessageNotFound,
        Code::FileNotFound,
        Code::ContentNotAllowed,
        Code::ChannelInactive,
        Code::ChannelNotSupported,
        Code::OutsideMessagingWindow,
        Code::AttachmentNotFound,
        Code::IdempotencyKeyReused,
        Code::QuotaExceeded,
        Code::NotFromProvider,
        Code::Busy,
        Code::Internal,
    ];

    /// Returns the HTTP status and the title of the code.
    #[must_use]
    pub fn status_and_title(self) -> (u16, &'static str) {
        match self {
            Code::BodyTooLarge => (413, "The body is too large"),
            Code::Unauthorized => (401, "Not authenticated"),
            Code::ValidationError => (422, "The request is not valid"),
            Code::ConversationNotFound => (404, "Conversation not found"),
            Code::MessageNotFound => (404, "Message not found"),
            Code::FileNotFound => (404, "File not found"),
            Code::ContentNotAllowed => (422, "The channel cannot carry this"),
            Code::ChannelInactive => (422, "The channel is switched off"),
            Code::ChannelNotSupported => (422, "The channel is not supported"),
            Code::OutsideMessagingWindow => (422, "The messaging window is closed"),
            Code::AttachmentNotFound => (422, "Attachment not found"),
            Code::IdempotencyKeyReused => (422, "The idempotency key was used for another request"),
            Code::QuotaExceeded => (403, "The month's messages are spent"),
            Code::NotFromProvider => (403, "Not from the provider"),
            Code::Busy => (503, "Too busy right now"),
            Code::Internal => (500, "Something is broken on our side"),
        }
    }
}

/// A problem document ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)), media type
/// `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Problem {
    /// The kind of problem, as a URI; `about:blank` would say no more than the status.
    #[serde(rename = "type")]
    pub uri: String,
    /// The kind of problem, for people; the same for every occurrence.
    pub title: &'static str,
    /// The HTTP status.
    pub status: u16,
    /// The details of this occurrence, for people.
    pub detail: String,
    /// The kind of problem, for programs.
    pub code: Code,
    /// The error of each field; only for `validation_error`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// The month's numbers; only for `quota_exceeded`.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub month: Option<SpentMonth>,
}

/// The members that a `quota_exceeded` problem adds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SpentMonth {
    /// Messages the month allows.
    pub limit: u64,
    /// Messages accepted in the month.
    pub used: u64,
    /// When the next month begins.
    #[serde(serialize_with = "rfc3339")]
    pub resets_at: DateTime<Utc>,
}

impl Problem {
    fn new(code: Code, detail: impl Into<String>) -> Problem {
        let (status, title) = code.status_and_title();
        let name = serde_json::to_value(code).ok();
        let name = name.as_ref().and_then(|name| name.as_str()).unwrap_or_default();

        Problem {
            uri: format!("urn:pingback:problem:{name}"),
            title,
            status,
            detail: detail.into(),
            code,
            errors: Vec::new(),
            month: None,
        }
    }

    /// The answer to an internal error. It says nothing about the error; the log has the full
    /// chain.
    #[must_use]
    pub fn internal() -> Problem {
        Problem::new(
            Code::Internal,
            "the request could not be completed; it is safe to repeat it with the same Idempotency-Key",
        )
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        match refusal {
            Refusal::BodyTooLarge { most } => {
                Problem::new(Code::BodyTooLarge, format!("at most {most} bytes are taken here"))
            }
            Refusal::Unauthorized => {
                Problem::new(Code::Unauthorized, "a valid bearer token is required")
            }
            Refusal::Invalid(errors) => {
                Problem { errors, ..Problem::new(Code::ValidationError, "see errors") }
            }
            Refusal::ConversationNotFound => {
                Problem::new(Code::ConversationNotFound, "there is no such conversation")
            }
            Refusal::MessageNotFound => {
                Problem::new(Code::MessageNotFound, "there is no such message")
            }
            Refusal::FileNotFound => Problem::new(Code::FileNotFound, "there is no such file"),
            Refusal::ContentNotAllowed { detail } => Problem::new(Code::ContentNotAllowed, detail),
            Refusal::ChannelInactive => {
                Problem::new(Code::ChannelInactive, "the conversation's channel was switched off")
            }
            Refusal::ChannelNotSupported { channel } => Problem::new(
                Code::ChannelNotSupported,
                format!("messages cannot be sent on \"{channel}\""),
            ),
            Refusal::OutsideMessagingWindow { closed_at } => {
                Problem::new(Code::OutsideMessagingWindow, window_detail(closed_at))
            }
            Refusal::AttachmentNotFound { url, fault } => Problem::new(
                Code::AttachmentNotFound,
                format!("\"{url}\" {}", fault_detail(&fault)),
            ),
            Refusal::IdempotencyKeyReused => Problem::new(
                Code::IdempotencyKeyReused,
                "this Idempotency-Key came with another request before",
            ),
            Refusal::QuotaExceeded { limit, used, resets_at } => Problem {
                month: Some(SpentMonth { limit, used, resets_at }),
                ..Problem::new(
                    Code::QuotaExceeded,
                    format!("{used} of {limit} messages of this month are used"),
                )
            },
            Refusal::NotFromProvider => Problem::new(
                Code::NotFromProvider,
                "a signature or a verify token of the provider's app is required",
            ),
            Refusal::Busy => Problem::new(Code::Busy, "nothing was written; try again shortly"),
        }
    }
}

fn fault_detail(fault: &UploadFault) -> String {
    match fault {
        UploadFault::Unknown => "is not an upload of this conversation".to_owned(),
        UploadFault::Unfinished => {
            "was announced, and its file has not arrived; upload it first".to_owned()
        }
        UploadFault::OtherSize { announced, found } => {
            format!("was announced with {announced} bytes and has {found}; upload it anew")
        }
        UploadFault::OtherType { announced, found } => {
            format!(
                "was announced as {announced}, and its first bytes are those of {found}; upload it anew"
            )
        }
    }
}

fn window_detail(closed_at: Option<DateTime<Utc>>) -> String {
    match closed_at {
        Some(at) => format!(
            "the 24 hours after the customer's last message ended at {}",
            at.format("%FT%TZ")
        ),
        None => "the customer has not written yet, and WhatsApp allows answers only".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spent_month_carries_its_numbers() {
        let resets_at = "2026-12-01T00:00:00Z".parse().expect("a time");
        let problem = Problem::from(Refusal::QuotaExceeded { limit: 5, used: 5, resets_at });
        assert_eq!(
            serde_json::to_value(problem).expect("plain data"),
            serde_json::json!({
                "type": "urn:pingback:problem:quota_exceeded", "title": "The month's messages are spent", "status": 403,
                "detail": "5 of 5 messages of this month are used", "code": "quota_exceeded",
                "limit": 5, "used": 5, "resets_at": "2026-12-01T00:00:00Z",
            })
        );
    }

    #[test]
    fn validation_errors_have_fastapis_shape() {
        let error = FieldError {
            loc: vec!["body".into(), "attachments".into(), 0.into(), "url".into()],
            msg: "Field required".into(),
            kind: "missing",
        };

        let problem =
            serde_json::to_value(Problem::from(Refusal::Invalid(vec![error]))).expect("plain data");
        assert_eq!(
            problem["errors"][0]["loc"],
            serde_json::json!(["body", "attachments", 0, "url"])
        );

        assert_eq!(problem["errors"][0]["type"], "missing");
        assert!(problem.get("limit").is_none());
    }
}
