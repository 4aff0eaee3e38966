//! Delivery: the worker that every delivery function runs, and the provider that each channel adds.

mod batch;
mod channels;
mod report;
mod worker;

pub use batch::MAX_CONCURRENT_RECORDS;
pub use channels::{CHANNEL_TTL, ChannelCache};
pub use worker::{LEASE, LEASE_RESERVE, MIN_MESSAGE_TIME, RENEW_AT, RING_AGAIN_AFTER, Worker};

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::aws::Aws;
use crate::error::InternalError;
use crate::runtime::Error;
use crate::table::record::{ChannelRecord, Conversation, Message};
use domain::delivery::{Failure, MessageReference, Part, Reason, SendOutcome};
use domain::{BusinessId, Channel, ConversationId};

/// A channel's provider: how one message is handed over to it.
pub trait Provider: Sized {
    /// The channel.
    const CHANNEL: Channel;

    /// The longest time that the worker waits for the provider's answer.
    const TIMEOUT: Duration = Duration::from_secs(10);

    /// Makes the provider from its environment.
    ///
    /// # Errors
    /// A sentence that names the variable that is missing or malformed.
    fn from_env(aws: &Aws) -> Result<Self, Error>;

    /// Hands one part of a message over to the provider and returns its answer. The worker waits
    /// until `outbound.until` and no longer; without an answer by then the outcome is
    /// [`domain::delivery::Failure::Unknown`].
    fn send(&self, outbound: OutboundMessage<'_>) -> impl Future<Output = SendOutcome> + Send;

    /// Returns in how many parts the provider takes a message, always the same number for the same
    /// message. The worker hands them over one by one, and records each before it begins the next.
    fn parts(&self, message: &Message) -> u8 {
        let _ = message;
        1
    }

    /// Returns how long it may take to hand over a part of a message, at most [`Provider::TIMEOUT`].
    /// The worker does not begin one that it has less time left for: another invocation does.
    fn time_needed(&self, message: &Message, part: Part) -> Duration {
        let _ = (message, part);
        MIN_MESSAGE_TIME
    }

    /// Returns the name by which the customer's program knows the message that the provider took as
    /// `provider_id`, so that later messages can refer to it; `None` on channels without threads.
    fn name_in_thread(&self, provider_id: &str) -> Option<String> {
        let _ = provider_id;
        None
    }
}

/// One part of a message on its way, with everything a provider may need.
#[derive(Debug, Clone, Copy)]
pub struct OutboundMessage<'a> {
    /// The message's business.
    pub business_id: BusinessId,
    /// The message's conversation.
    pub conversation_id: ConversationId,
    /// The conversation's record, with recipient and subject.
    pub conversation: &'a Conversation,
    /// The channel's record, with sender and secrets.
    pub channel: &'a ChannelRecord,
    /// The message.
    pub message: &'a Message,
    /// The part of it that is sent.
    pub part: Part,
    /// The time of sending.
    pub now: DateTime<Utc>,
    /// The end of the worker's wait for an answer.
    pub until: Instant,
}

impl OutboundMessage<'_> {
    /// Returns half of the time that is left: the longest wait for what a call to the provider
    /// needs. If the worker's wait ended first, the outcome would be unknown, although nothing had
    /// left.
    #[must_use]
    pub fn half_of_time_left(&self) -> Duration {
        self.until.saturating_duration_since(Instant::now()) / 2
    }
}

/// Returns the failure of a message whose reference cannot be signed, because the keys cannot be
/// read: its receipts would be ignored.
#[must_use]
pub fn keys_unavailable(error: &InternalError) -> Failure {
    tracing::error!(error = error.chain(), "receipt keys not read; the message is tried again");
    let reason = Reason::new("keys_unavailable", "the keys for receipts could not be read");
    Failure::Transient { reason, retry_after: None }
}

impl From<OutboundMessage<'_>> for MessageReference {
    fn from(outbound: OutboundMessage<'_>) -> MessageReference {
        MessageReference {
            business_id: outbound.business_id,
            conversation_id: outbound.conversation_id,
            message_id: outbound.message.id,
        }
    }
}
