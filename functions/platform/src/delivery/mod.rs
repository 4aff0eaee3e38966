//! Delivering: the worker that every delivery function runs, and what a channel has to bring along.

mod batch;
mod channels;
mod report;
mod worker;

pub use channels::ChannelCache;
pub use worker::Worker;

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::aws::Aws;
use crate::runtime::Error;
use crate::table::record::{ChannelRecord, Conversation, Message};
use domain::delivery::{MessageReference, Part, SendOutcome};
use domain::{BusinessId, Channel, ConversationId};

/// What a channel brings along: how to hand one message to its provider.
pub trait Provider: Sized {
    /// The channel.
    const CHANNEL: Channel;

    /// A provider that has not answered after this long will not.
    const TIMEOUT: Duration = Duration::from_secs(10);

    /// Makes the provider from its environment.
    ///
    /// # Errors
    /// A sentence that names the variable that is missing or malformed.
    fn from_env(aws: &Aws) -> Result<Self, Error>;

    /// ClaimedConversation `parcel`, one part of a message, to the provider and says what came of it. The worker
    /// waits until the parcel's time is over and no longer; what has not answered by then is
    /// [`domain::delivery::Failure::Unknown`].
    fn send(&self, parcel: OutboundMessage<'_>) -> impl Future<Output = SendOutcome> + Send;

    /// In how many parts the provider takes a message, always the same for the same message. The
    /// worker hands them over one by one, and notes that one is through before it begins the next.
    fn parts(&self, message: &Message) -> u8 {
        let _ = message;
        1
    }

    /// The name by which the customer's program knows a message that the provider took as
    /// `provider_id`, so that later messages can refer to it; `None` on channels that know no
    /// threads.
    fn name_in_thread(&self, provider_id: &str) -> Option<String> {
        let _ = provider_id;
        None
    }
}

/// One message on its way, with everything a provider may need.
#[derive(Debug, Clone, Copy)]
pub struct OutboundMessage<'a> {
    /// Whose.
    pub business: BusinessId,
    /// The conversation's id.
    pub conversation_id: ConversationId,
    /// The conversation: recipient, subject.
    pub conversation: &'a Conversation,
    /// The channel: sender, secrets.
    pub channel: &'a ChannelRecord,
    /// The message.
    pub message: &'a Message,
    /// Which part of it.
    pub part: Part,
    /// What time it is.
    pub now: DateTime<Utc>,
    /// Until when its answer is waited for.
    pub until: Instant,
}

impl From<OutboundMessage<'_>> for MessageReference {
    fn from(parcel: OutboundMessage<'_>) -> MessageReference {
        let OutboundMessage { business, conversation_id, message, .. } = parcel;
        MessageReference { business_id: business, conversation_id, message_id: message.id }
    }
}
