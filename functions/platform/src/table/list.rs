//! Reading channels, conversations and messages back.

use super::record::{ChannelRecord, Message};
use super::{Table, key};
use crate::error::InternalError;
use domain::timeline::Order;
use domain::{BusinessId, ChannelId, ConversationId, MessageId, Seq};

/// The part of a conversation's messages that a list shows, and where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageRange {
    /// Only messages after this one.
    pub after: Seq,
    /// Only messages before this one, if there is one.
    pub before: Option<Seq>,
    /// Which end of the range comes first.
    pub order: Order,
}

impl MessageRange {
    /// Everything after `after`, oldest first.
    #[must_use]
    pub fn after(after: Seq) -> MessageRange {
        MessageRange { after, before: None, order: Order::OldestFirst }
    }

    /// Returns the cursor that goes on in the same order behind a page without messages.
    #[must_use]
    pub fn next_of_nothing(self) -> Seq {
        match self.order {
            Order::OldestFirst => self.after,
            Order::NewestFirst => self.before.unwrap_or(self.after.next()),
        }
    }

    /// Returns the cursor that goes on in the other order behind a page without messages.
    #[must_use]
    pub fn previous_of_nothing(self) -> Seq {
        match self.order {
            Order::OldestFirst => self.after.next(),
            Order::NewestFirst => {
                let before = self.before.map(|before| Seq(before.0.saturating_sub(1)));
                before.map_or(self.after, |before| before.max(self.after))
            }
        }
    }
}

/// Some messages of a range, up to a limit.
#[derive(Debug)]
pub struct MessageList {
    /// The messages, in the order of the range.
    pub messages: Vec<Message>,
    /// Whether there may be more: DynamoDB says so after a page that ends exactly with the last
    /// message, too.
    pub has_more: bool,
}

impl Table {
    /// The record of a channel.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn channel(
        &self,
        business_id: BusinessId,
        channel_id: ChannelId,
    ) -> Result<Option<ChannelRecord>, InternalError> {
        self.get(&key::channel(business_id, channel_id)).await
    }

    /// Up to `limit` messages of `range`, read consistently. A page ends at `limit` or at [1
    /// MB](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html).
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn messages(
        &self,
        business_id: BusinessId,
        conversation_id: ConversationId,
        range: MessageRange,
        limit: i32,
    ) -> Result<MessageList, InternalError> {
        let MessageRange { after, before, order } = range;
        let first = Seq(after.0.saturating_add(1));
        let last = before.map_or(Seq::MAX.next(), |before| Seq(before.0.saturating_sub(1)));
        let last = last.min(Seq::MAX.next());
        let partition = key::conversation_partition(business_id, conversation_id);
        let sorts = [first, last].map(key::message_sort);
        let (messages, has_more) = self.read_between(partition, sorts, order, limit).await?;
        Ok(MessageList { messages, has_more })
    }

    /// Up to `limit` messages after `after`, oldest first.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn messages_after(
        &self,
        business_id: BusinessId,
        conversation_id: ConversationId,
        after: Seq,
        limit: i32,
    ) -> Result<MessageList, InternalError> {
        let range = MessageRange::after(after);
        self.messages(business_id, conversation_id, range, limit).await
    }

    /// One message by its id, which tells its place.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn message(
        &self,
        business_id: BusinessId,
        conversation_id: ConversationId,
        message_id: MessageId,
    ) -> Result<Option<Message>, InternalError> {
        let Some(seq) = message_id.seq() else { return Ok(None) };
        let message: Option<Message> =
            self.get(&key::message(business_id, conversation_id, seq)).await?;
        Ok(message.filter(|message| message.id == message_id))
    }
}
