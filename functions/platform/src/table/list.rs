//! Reading channels, conversations and messages back.

use super::record::{ChannelRecord, Message};
use super::{Table, key, text};
use crate::error::InternalError;
use domain::{BusinessId, ChannelId, ConversationId, MessageId, Seq};

impl Table {
    /// The record of a channel.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn channel(
        &self,
        business: BusinessId,
        id: ChannelId,
    ) -> Result<Option<ChannelRecord>, InternalError> {
        self.get(&key::channel(business, id)).await
    }

    /// Up to `limit` messages after `after`, oldest first, read consistently, and whether there may
    /// be more: a page ends at `limit` or at [1
    /// MB](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html).
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn messages_after(
        &self,
        business: BusinessId,
        conversation: ConversationId,
        after: Seq,
        limit: i32,
    ) -> Result<(Vec<Message>, bool), InternalError> {
        let call = self
            .query()
            .limit(limit)
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(
                ":pk",
                text(key::conversation_partition(business, conversation)),
            )
            .expression_attribute_values(":first", text(key::message_sort(after.next())))
            .expression_attribute_values(":last", text(key::message_sort(Seq::MAX.next())));

        let answer = call.send().await.map_err(|error| InternalError::aws("Query", error))?;
        let more = answer.last_evaluated_key.is_some();
        let messages = answer.items.unwrap_or_default().into_iter().map(super::read);

        Ok((messages.collect::<Result<_, _>>()?, more))
    }

    /// One message by its id, which tells its place.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn message(
        &self,
        business: BusinessId,
        conversation: ConversationId,
        id: MessageId,
    ) -> Result<Option<Message>, InternalError> {
        let Some(seq) = id.seq() else { return Ok(None) };
        let message: Option<Message> = self.get(&key::message(business, conversation, seq)).await?;
        Ok(message.filter(|message| message.id == id))
    }
}
