//! Every refusal that the API can answer, and the one match that turns refusals into problem
//! documents.

mod field_error;

pub use field_error::{FieldError, Loc, MAX_ECHO_CHARACTERS, echo};

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::file::{MAX_UNREFERENCED_BYTES, MAX_UNREFERENCED_FILES, MediaType, UnreferencedUploads};
use crate::message::rfc3339;
use crate::scope::Scope;
use crate::webhook::MAX_ENDPOINTS;

/// A rule that said no to a caller.
#[derive(Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The request's body, or the file in it, is too large.
    BodyTooLarge {
        /// The limit, in bytes.
        most: u64,
    },
    /// The `Authorization` header identifies no active caller; the answer does not say why.
    Unauthorized,
    /// The caller's API key may not do this.
    MissingScope(Scope),
    /// The credential has made more requests to the operation than its plan allows.
    TooManyRequests {
        /// Requests that a full bucket holds.
        most: u64,
        /// Seconds in which it fills.
        window_seconds: u64,
        /// Seconds until a request is allowed.
        retry_after_seconds: u64,
    },
    /// The request does not have the documented form. The answer lists the first
    /// [`MAX_LISTED_ERRORS`] errors, so a parser may stop after one more.
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
    /// As many uploads of the business as may wait for a message do so.
    TooManyUploads {
        /// The uploads that wait.
        waiting: UnreferencedUploads,
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
    /// No such endpoint, or another business's.
    EndpointNotFound,
    /// The business has as many endpoints as it may have.
    TooManyEndpoints,
    /// A call of a webhook without proof that the provider made it.
    NotFromProvider,
    /// The address has no such method.
    MethodNotAllowed {
        /// The methods that it has, as `Allow` lists them.
        allowed: &'static str,
    },
    /// The body is of another media type than the address takes.
    UnsupportedMediaType {
        /// The media types that it takes, as `Accept` lists them.
        taken: &'static str,
    },
    /// Contention or throttling outlasted the retry budget; nothing was written.
    Busy,
}

impl fmt::Debug for Refusal {
    /// The code: the details repeat what the caller sent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Refusal({:?})", Problem::from(self.clone()).code)
    }
}

/// The most errors that a refusal lists. A body of 256 KiB can have tens of thousands, and an
/// answer that lists them all is larger than Lambda lets through.
pub const MAX_LISTED_ERRORS: usize = 100;

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

/// The codes that clients may match on; they never change their meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is the refusal of the same name")]
pub enum Code {
    BodyTooLarge,
    Unauthorized,
    Forbidden,
    TooManyRequests,
    ValidationError,
    ConversationNotFound,
    MessageNotFound,
    FileNotFound,
    ContentNotAllowed,
    ChannelInactive,
    ChannelNotSupported,
    OutsideMessagingWindow,
    AttachmentNotFound,
    TooManyUploads,
    IdempotencyKeyReused,
    QuotaExceeded,
    EndpointNotFound,
    TooManyEndpoints,
    NotFromProvider,
    MethodNotAllowed,
    UnsupportedMediaType,
    Busy,
    Internal,
}

impl Code {
    /// Every code there is; a test compares them with the OpenAPI document.
    pub const ALL: [Code; 23] = [
        Code::BodyTooLarge,
        Code::Unauthorized,
        Code::Forbidden,
        Code::TooManyRequests,
        Code::ValidationError,
        Code::ConversationNotFound,
        Code::MessageNotFound,
        Code::FileNotFound,
        Code::ContentNotAllowed,
        Code::ChannelInactive,
        Code::ChannelNotSupported,
        Code::OutsideMessagingWindow,
        Code::AttachmentNotFound,
        Code::TooManyUploads,
        Code::IdempotencyKeyReused,
        Code::QuotaExceeded,
        Code::EndpointNotFound,
        Code::TooManyEndpoints,
        Code::NotFromProvider,
        Code::MethodNotAllowed,
        Code::UnsupportedMediaType,
        Code::Busy,
        Code::Internal,
    ];

    /// Returns the HTTP status and the title of the code.
    #[must_use]
    pub fn status_and_title(self) -> (u16, &'static str) {
        match self {
            Code::BodyTooLarge => (413, "The body is too large"),
            Code::Unauthorized => (401, "Not authenticated"),
            Code::Forbidden => (403, "Not allowed for this key"),
            Code::TooManyRequests => (429, "Too many requests"),
            Code::ValidationError => (422, "The request is not valid"),
            Code::ConversationNotFound => (404, "Conversation not found"),
            Code::MessageNotFound => (404, "Message not found"),
            Code::FileNotFound => (404, "File not found"),
            Code::ContentNotAllowed => (422, "The channel cannot carry this"),
            Code::ChannelInactive => (422, "The channel is switched off"),
            Code::ChannelNotSupported => (422, "The channel is not supported"),
            Code::OutsideMessagingWindow => (422, "The messaging window is closed"),
            Code::AttachmentNotFound => (422, "Attachment not found"),
            Code::TooManyUploads => (422, "Too many files wait for a message"),
            Code::IdempotencyKeyReused => (422, "The idempotency key was used for another request"),
            Code::QuotaExceeded => (403, "The month's messages are spent"),
            Code::EndpointNotFound => (404, "Endpoint not found"),
            Code::TooManyEndpoints => (422, "Too many endpoints"),
            Code::NotFromProvider => (403, "Not from the provider"),
            Code::MethodNotAllowed => (405, "The method is not allowed here"),
            Code::UnsupportedMediaType => (415, "The content type is not taken"),
            Code::Busy => (503, "Too busy right now"),
            Code::Internal => (500, "Something is broken on our side"),
        }
    }
}

/// A problem document ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)), media type
/// `application/problem+json`.
#[derive(Clone, PartialEq, Serialize)]
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
    /// The request, as a URI that ends with API Gateway's id of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance: Option<String>,
    /// The error of each field; only for `validation_error`, and at most [`MAX_LISTED_ERRORS`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
    /// Whether the request has more errors than are listed; only for `validation_error`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more_errors: Option<bool>,
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
            instance: None,
            errors: Vec::new(),
            more_errors: None,
            month: None,
        }
    }

    /// Names the request by API Gateway's id of it, which the answer's header `apigw-requestid` has
    /// as well.
    #[must_use]
    pub fn at(self, request_id: Option<&str>) -> Problem {
        Problem { instance: request_id.map(|id| format!("urn:pingback:request:{id}")), ..self }
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
            Refusal::MissingScope(scope) => {
                Problem::new(Code::Forbidden, format!("this API key has no scope \"{scope}\""))
            }
            Refusal::TooManyRequests { most, window_seconds, retry_after_seconds } => Problem::new(
                Code::TooManyRequests,
                format!(
                    "one credential may make {most} requests to this operation in \
                     {window_seconds} s; try again in {retry_after_seconds} s"
                ),
            ),
            Refusal::Invalid(errors) => invalid(errors),
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
                format!("messages cannot be sent on \"{}\"", echo(&channel)),
            ),
            Refusal::OutsideMessagingWindow { closed_at } => {
                Problem::new(Code::OutsideMessagingWindow, window_detail(closed_at))
            }
            Refusal::AttachmentNotFound { url, fault } => Problem::new(
                Code::AttachmentNotFound,
                format!("\"{}\" {}", echo(&url), fault_detail(&fault)),
            ),
            Refusal::TooManyUploads { waiting: UnreferencedUploads { files, bytes } } => {
                Problem::new(
                    Code::TooManyUploads,
                    format!(
                        "{files} files with {bytes} bytes wait for a message; at most \
                     {MAX_UNREFERENCED_FILES} with {MAX_UNREFERENCED_BYTES} may, and each counts until \
                     a message references it or the next day (UTC) is over"
                    ),
                )
            }
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
            Refusal::EndpointNotFound => {
                Problem::new(Code::EndpointNotFound, "there is no such endpoint")
            }
            Refusal::TooManyEndpoints => Problem::new(
                Code::TooManyEndpoints,
                format!("a business has at most {MAX_ENDPOINTS} endpoints"),
            ),
            Refusal::NotFromProvider => Problem::new(
                Code::NotFromProvider,
                "a signature or a verify token of the provider's app is required",
            ),
            Refusal::MethodNotAllowed { allowed } => {
                Problem::new(Code::MethodNotAllowed, format!("this address takes {allowed}"))
            }
            Refusal::UnsupportedMediaType { taken } => Problem::new(
                Code::UnsupportedMediaType,
                format!("the Content-Type of the body has to be {taken}"),
            ),
            Refusal::Busy => Problem::new(Code::Busy, "nothing was written; try again shortly"),
        }
    }
}

fn invalid(mut errors: Vec<FieldError>) -> Problem {
    let more_errors = errors.len() > MAX_LISTED_ERRORS;
    errors.truncate(MAX_LISTED_ERRORS);

    let first = errors.first().map(ToString::to_string).unwrap_or_default();
    let detail = match errors.len() {
        _ if more_errors => {
            format!("{first}; more is wrong than the {MAX_LISTED_ERRORS} listed errors")
        }
        0 | 1 => first,
        count => format!("{first}; errors lists {} more", count - 1),
    };
    let more_errors = Some(more_errors);
    Problem { errors, more_errors, ..Problem::new(Code::ValidationError, detail) }
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
    use serde_json::json;

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

    #[test]
    fn the_first_hundred_errors_are_listed_and_more_are_announced() {
        let problem_with = |errors: usize| {
            let name = |place: usize| FieldError::missing([place.to_string().as_str()]);
            let errors = (0..errors).map(name).collect();
            serde_json::to_value(Problem::from(Refusal::Invalid(errors))).expect("plain data")
        };

        let all = problem_with(MAX_LISTED_ERRORS);
        assert_eq!(all["errors"].as_array().map(Vec::len), Some(100));
        let detail = "the 0 is not valid: Field required; errors lists 99 more";
        assert_eq!((&all["more_errors"], &all["detail"]), (&json!(false), &json!(detail)));

        let first = problem_with(MAX_LISTED_ERRORS + 1);
        assert_eq!(first["errors"], all["errors"]);
        let detail = "the 0 is not valid: Field required; more is wrong than the 100 listed errors";
        assert_eq!((&first["more_errors"], &first["detail"]), (&json!(true), &json!(detail)));
    }

    #[test]
    fn the_first_error_is_told_in_a_sentence() {
        let detail = |errors: Vec<FieldError>| Problem::from(Refusal::Invalid(errors)).detail;
        let url = [Loc::from("body"), "attachments".into(), 0.into(), "url".into()];
        assert_eq!(
            detail(vec![FieldError::missing(url)]),
            "attachments[0].url in the body is not valid: Field required"
        );
        let json =
            FieldError::new([Loc::from("body"), 11.into()], "JSON is broken", "json_invalid");
        assert_eq!(detail(vec![json.clone()]), "the body is not valid: JSON is broken");
        let limit = FieldError::wrong(["query", "limit"], "a whole number", "int_parsing");
        assert_eq!(
            detail(vec![limit, json]),
            "limit in the query is not valid: Input should be a whole number; errors lists 1 more"
        );
    }

    #[test]
    fn what_the_caller_wrote_is_repeated_up_to_a_length() {
        let long = "\u{1}ü".repeat(MAX_ECHO_CHARACTERS);
        let cut = format!("{}…", "\u{1}ü".repeat(MAX_ECHO_CHARACTERS / 2));
        let exact = "ü".repeat(MAX_ECHO_CHARACTERS);
        assert_eq!((echo(&long), echo(&exact)), (cut.clone().into(), exact.as_str().into()));

        let error = FieldError::new(["body", long.as_str()], long.clone(), "extra_forbidden");
        assert_eq!((&error.loc[1], &error.msg), (&Loc::Name(cut.clone()), &cut));

        let gone = Refusal::AttachmentNotFound { url: long.clone(), fault: UploadFault::Unknown };
        let detail = Problem::from(gone).detail;
        assert_eq!(detail, format!("\"{cut}\" is not an upload of this conversation"));
        let channel = Refusal::ChannelNotSupported { channel: long };
        assert!(Problem::from(channel).detail.ends_with(&format!("\"{cut}\"")));
    }
}
