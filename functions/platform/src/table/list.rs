//! Reading channels, conversations and messages back.

use super::record::{ChannelRecord, Message};
use super::{Table, key, text};
use crate::error::InternalError;
use domain::{BusinessId, ChannelId, ConversationId, MessageId, Seq};

/// The messages of a conversation after some `seq`, up to a limit.
#[derive(Debug)]
pub struct MessagesAfter {
    /// The messages, oldest first.
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

    /// Up to `limit` messages after `after`, oldest first, read consistently. A page ends at
    /// `limit` or at [1
    /// MB](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html).
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn messages_after(
        &self,
        business_id: BusinessId,
        conversation_id: ConversationId,
        after: Seq,
        limit: i32,
    ) -> Result<MessagesAfter, InternalError> {
        let call = self
            .query()
            .limit(limit)
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(
                ":pk",
                text(key::conversation_partition(business_id, conversation_id)),
            )
            .expression_attribute_values(":first", text(key::message_sort(after.next())))
            .expression_attribute_values(":last", text(key::message_sort(Seq::MAX.next())));

        let answer = call.send().await.map_err(|error| InternalError::aws("Query", error))?;
        let has_more = answer.last_evaluated_key.is_some();
        let messages = answer.items.unwrap_or_default().into_iter().map(super::read);

        Ok(MessagesAfter { messages: messages.collect::<Result<_, _>>()?, has_more })
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
