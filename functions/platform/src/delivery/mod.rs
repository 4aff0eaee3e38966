//! Delivering: the worker that every delivery function runs, and what a channel has to bring along.

mod batch;
mod channels;
mod report;
mod worker;

pub use batch::serve;
pub use channels::Channels;
pub use worker::Worker;

use crate::table::record::{ChannelRecord, Conversation, Message};
use domain::delivery::{Outcome, Reference};
use domain::{BusinessId, Channel, ConversationId};

/// What a channel brings along: how to hand one message to its provider.
pub trait Provider {
    /// The channel.
    const CHANNEL: Channel;

    /// Hands `parcel` to the provider and says what came of it. The worker waits for so long and no longer; what has
    /// not answered by then is [`domain::delivery::Failure::Unknown`].
    fn send(&self, parcel: Parcel<'_>) -> impl Future<Output = Outcome> + Send;

    /// The name by which the customer's program knows a message that the provider took as `provider_id`, so that later
    /// messages can refer to it; `None` on channels that know no threads.
    fn name_in_thread(&self, provider_id: &str) -> Option<String> {
        let _ = provider_id;
        None
    }
}

/// One message on its way, with everything a provider may need.
#[derive(Debug, Clone, Copy)]
pub struct Parcel<'a> {
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
}

impl From<Parcel<'_>> for Reference {
    fn from(parcel: Parcel<'_>) -> Reference {
        let Parcel { business, conversation_id: conversation, message, .. } = parcel;
        Reference { business, conversation, message: message.id }
    }
}
