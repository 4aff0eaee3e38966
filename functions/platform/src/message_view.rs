//! Messages as callers of the API read them: with their delivery.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::table::record::{CustomerMessage, Message};
use domain::delivery::{Attempt, AttemptOutcome, Reason, Status};
use domain::message::{MessageView, rfc3339};
use domain::{ConversationId, Media, Metadata};

/// A message with its delivery. An agent's has its caller's notes, if there are any; the customer's
/// the file that came with it.
#[derive(Serialize)]
pub struct MessageWithDelivery<'a> {
    #[serde(flatten)]
    message: MessageView<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Metadata>,
    delivery: Delivery<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    media: Option<&'a Media>,
}

#[derive(Serialize)]
struct Delivery<'a> {
    status: Status,
    attempts: u32,
    history: Vec<AttemptView>,
    sent_at: Option<Time>,
    delivered_at: Option<Time>,
    read_at: Option<Time>,
    failed_at: Option<Time>,
    error: Option<ErrorView<'a>>,
}

/// An attempt; `code`, `detail` and `provider_code` are null if nothing went wrong.
#[derive(Serialize)]
struct AttemptView {
    attempt: u32,
    at: Time,
    outcome: AttemptOutcome,
    code: Option<String>,
    detail: Option<String>,
    provider_code: Option<String>,
}

#[derive(Serialize)]
#[serde(transparent)]
struct Time(#[serde(serialize_with = "rfc3339")] DateTime<Utc>);

#[derive(Serialize)]
struct ErrorView<'a> {
    #[serde(flatten)]
    reason: &'a Reason,
    /// Whether the message will be tried again.
    retryable: bool,
}

impl fmt::Debug for MessageWithDelivery<'_> {
    /// The status: all else is about people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageWithDelivery({}, …)", self.delivery.status)
    }
}

impl MessageWithDelivery<'_> {
    /// Returns the message of this conversation as the API shows it at `origin`.
    #[must_use]
    pub fn of<'a>(
        message: &'a Message,
        conversation_id: ConversationId,
        origin: &str,
    ) -> MessageWithDelivery<'a> {
        let retryable = !message.status.is_settled();
        MessageWithDelivery {
            message: message.view(conversation_id, origin),
            metadata: Some(&message.metadata).filter(|metadata| !metadata.is_empty()),
            media: None,
            delivery: Delivery {
                status: message.status,
                attempts: message.attempts,
                history: message.attempts_so_far().into_iter().map(AttemptView::of).collect(),
                sent_at: message.sent_at.map(Time),
                delivered_at: message.delivered_at.map(Time),
                read_at: message.read_at.map(Time),
                failed_at: message.failed_at.map(Time),
                error: message.error.as_ref().map(|reason| ErrorView { reason, retryable }),
            },
        }
    }

    /// Returns the customer's message of this conversation as the API shows it. It is delivered:
    /// the business has it.
    #[must_use]
    pub fn of_customer(
        message: &CustomerMessage,
        conversation_id: ConversationId,
    ) -> MessageWithDelivery<'_> {
        MessageWithDelivery {
            message: message.view(conversation_id),
            metadata: None,
            delivery: Delivery {
                status: Status::Delivered,
                attempts: 0,
                history: Vec::new(),
                sent_at: None,
                delivered_at: Some(Time(message.created_at)),
                read_at: None,
                failed_at: None,
                error: None,
            },
            media: message.media.as_ref(),
        }
    }
}

impl AttemptView {
    fn of(Attempt { attempt, at, outcome, reason }: Attempt) -> AttemptView {
        let (code, detail, provider_code) = match reason {
            Some(Reason { code, detail, provider_code }) => {
                (Some(code), Some(detail), provider_code)
            }
            None => (None, None, None),
        };
        AttemptView { attempt, at: Time(at), outcome, code, detail, provider_code }
    }
}
