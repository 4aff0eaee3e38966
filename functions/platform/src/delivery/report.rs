//! What operators are told: what became of messages, as lines that are counted
//! ([`crate::telemetry::metrics`]), and what the dead-letter queue keeps. Which message, where and
//! why; never what it says or to whom.

use chrono::{DateTime, Utc};
use tracing::Level;

use crate::queue::{AbandonedMessage, Version};
use crate::table::HeldConversation;
use crate::table::record::Message;
use crate::telemetry::metrics::MetricRecord;
use domain::Channel;
use domain::delivery::{Reason, Settlement, Status};

/// What a line is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) held: &'a HeldConversation,
    pub(super) message: &'a Message,
    pub(super) channel: Channel,
}

impl Subject<'_> {
    /// `sent`, with how long it took since it was accepted; `failed`, because the provider never
    /// will take it; `given up`, because it has had all its chances.
    pub(super) fn settled(self, settlement: &Settlement, now: DateTime<Utc>) -> MetricRecord {
        match settlement {
            Settlement::Sent { .. } => {
                let took = now - self.message.created_at;
                self.line(Level::INFO, "sent").count("Sent").seconds("DeliverySeconds", took)
            }
            Settlement::Failed(reason) => self.because(reason, "failed").count("Failed"),
            Settlement::GivenUp(reason) => self.because(reason, "given up").count("GivenUp"),
        }
    }

    /// `put back`, to be tried again, or `in doubt`.
    pub(super) fn requeue(self, status: Status, reason: &Reason) -> MetricRecord {
        match status {
            Status::InDoubt => self.because(reason, "in doubt").count("InDoubt"),
            _ => self.because(reason, "put back").count("PutBack"),
        }
    }

    /// What the dead-letter queue keeps.
    pub(super) fn copy(self, reason: &Reason) -> AbandonedMessage {
        AbandonedMessage {
            v: Version,
            business: self.held.business,
            conversation: self.held.id,
            message: self.message.id,
            channel: self.channel,
            reason: reason.clone(),
            attempts: self.message.attempts,
        }
    }

    fn because(self, reason: &Reason, what: &'static str) -> MetricRecord {
        let Reason { code, detail, provider_code } = reason;
        // Our own words, of which there are some dozens, and not the provider's.
        self.line(Level::WARN, what)
            .with("reason", code)
            .with("detail", detail)
            .with("provider_code", provider_code)
    }

    fn line(self, level: Level, what: &'static str) -> MetricRecord {
        let Message { id, seq, attempts, .. } = self.message;
        MetricRecord::new(level, what)
            .by("Channel", self.channel)
            .with("business", self.held.business)
            .with("conversation", self.held.id)
            .with("message_id", id)
            .with("seq", seq)
            .with("attempts", attempts)
            .with("correlation_id", &self.message.correlation_id)
    }
}
