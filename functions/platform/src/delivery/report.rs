//! Reports to operators on what happened to messages: lines that are counted
//! ([`crate::telemetry::metrics`]), and the copies in the dead-letter queue. They say which
//! message, where and why; never its text or its recipient.

use chrono::{DateTime, Utc};
use tracing::Level;

use crate::queue::{AbandonedMessage, Version};
use crate::table::HeldConversation;
use crate::table::record::Message;
use crate::telemetry::metrics::MetricRecord;
use domain::Channel;
use domain::delivery::{Reason, Settlement, Status};

/// The message that a line is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) held: &'a HeldConversation,
    pub(super) message: &'a Message,
    pub(super) channel: Channel,
}

impl Subject<'_> {
    /// Reports a message as `sent`, with the time since it was accepted; as `failed`, because the
    /// provider will never take it; or as `given up`, because it has used up its attempts, with the
    /// reason and the provider's code of the last one.
    pub(super) fn settled(self, settlement: &Settlement, now: DateTime<Utc>) -> MetricRecord {
        match settlement {
            Settlement::Sent { .. } => {
                let latency = now - self.message.created_at;
                self.line(Level::INFO, "sent").count("Sent").seconds("DeliverySeconds", latency)
            }
            Settlement::Failed(reason) => self.because(reason, "failed").count("Failed"),
            Settlement::GivenUp(reason) => {
                let last = self.message.last_reason();
                self.because(reason, "given up")
                    .with("last_reason", last.as_ref().map(|last| &last.code))
                    .with(
                        "provider_code",
                        last.as_ref().and_then(|last| last.provider_code.as_ref()),
                    )
                    .count("GivenUp")
            }
        }
    }

    /// Reports a message as `put back`, to be tried again, or as `in doubt`.
    pub(super) fn requeued(self, status: Status, reason: &Reason) -> MetricRecord {
        match status {
            Status::InDoubt => self.because(reason, "in doubt").count("InDoubt"),
            _ => self.because(reason, "put back").count("PutBack"),
        }
    }

    /// Returns the copy for the dead-letter queue.
    pub(super) fn copy(self, reason: &Reason) -> AbandonedMessage {
        AbandonedMessage {
            v: Version,
            business_id: self.held.business_id,
            conversation_id: self.held.conversation_id,
            message_id: self.message.id,
            channel: self.channel,
            reason: reason.clone(),
            last_reason: self.message.last_reason(),
            attempts: self.message.attempts,
        }
    }

    fn because(self, reason: &Reason, what: &'static str) -> MetricRecord {
        let Reason { code, detail, provider_code } = reason;
        // The words are ours, of which there are some dozens, and not the provider's.
        self.line(Level::WARN, what)
            .with("reason", code)
            .with("detail", detail)
            .with("provider_code", provider_code)
    }

    fn line(self, level: Level, what: &'static str) -> MetricRecord {
        let Message { id, seq, attempts, .. } = self.message;
        MetricRecord::new(level, what)
            .by("Channel", self.channel)
            .with("business", self.held.business_id)
            .with("conversation", self.held.conversation_id)
            .with("message_id", id)
            .with("seq", seq)
            .with("attempts", attempts)
            .with("correlation_id", &self.message.correlation_id)
    }
}
