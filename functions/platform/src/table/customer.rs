//! The messages that customers write: stored under their own numbers, beside agents' messages.
//!
//! They take no `seq`, are not counted against a plan, and no doorbell is rung for them: delivery
//! and quota do not know of them. One transaction counts the message, stores it, and records the
//! name that it came with, so that the same name makes one message. Numbers have no gaps and are
//! given in the order of the writes, by which lists can be read on from ([`domain::timeline`]).

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use chrono::{DateTime, Utc};
use serde::de::IgnoredAny;

use super::cancellation::{is_contended, is_refused};
use super::record::{CustomerCount, CustomerMessage, CustomerMessageName};
use super::{Backoff, CONTENTION_BUDGET, Table, item, key, number, take_item};
use crate::error::InternalError;
use domain::timeline::Order;
use domain::widget::MinuteCount;
use domain::{
    BusinessId, ConversationId, CustomerNumber, Media, MessageId, MessageNumber, PrivateText,
};

/// A message that a customer wrote, ready to be stored.
#[derive(Debug, Clone)]
pub struct CustomerDraft {
    /// The business.
    pub business_id: BusinessId,
    /// The conversation.
    pub conversation_id: ConversationId,
    /// The name that it came with: the widget's `client_id`, or the provider's id.
    pub name: PrivateText,
    /// The text; empty if it has none.
    pub content: PrivateText,
    /// The file that came with it.
    pub media: Option<Media>,
    /// How many messages the conversation's customer may write in a minute; `None` for any number.
    pub per_minute: Option<u32>,
    /// Until when it is kept, in seconds since 1970; `None` for ever.
    pub keep_until: Option<i64>,
    /// When it is stored.
    pub now: DateTime<Utc>,
}

/// The outcome of storing a customer's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CustomerMessageOutcome {
    /// It is stored.
    Stored(CustomerMessage),
    /// It was stored before, under the same name.
    Replayed(CustomerMessage),
    /// Its name has come with another message.
    NameReused,
    /// The customer has written too many; the next one may come then.
    TooMany(DateTime<Utc>),
    /// There is no such conversation.
    NoConversation,
}

impl Table {
    /// Stores a message that a customer wrote, once for each name.
    ///
    /// # Errors
    /// If DynamoDB does not answer, or contention lasts. The same name stores it once, however
    /// often it is tried.
    pub async fn store_customer_message(
        &self,
        draft: &CustomerDraft,
    ) -> Result<CustomerMessageOutcome, InternalError> {
        let mut backoff = Backoff::new(CONTENTION_BUDGET);
        loop {
            let Some(state) = self.customer_state(draft).await? else {
                return Ok(CustomerMessageOutcome::NoConversation);
            };
            if let Some(known) = state.known {
                return self.known_customer_message(draft, known).await;
            }
            let minute = match draft.per_minute {
                None => state.count.minute,
                Some(limit) => match MinuteCount::spend(state.count.minute, limit, draft.now) {
                    Ok(minute) => Some(minute),
                    Err(at) => return Ok(CustomerMessageOutcome::TooMany(at)),
                },
            };

            let message = draft.message(state.count.last.next());
            match self.transact(self.customer_writes(draft, &message, minute)).await {
                Ok(()) => return Ok(CustomerMessageOutcome::Stored(message)),
                // Another message was faster, or this one under its own name.
                Err(error) if is_refused(&error) || is_contended(&error) => {
                    if !backoff.wait().await {
                        return Err(InternalError::contended("TransactWriteItems"));
                    }
                }
                Err(error) => return Err(InternalError::aws("TransactWriteItems", error)),
            }
        }
    }

    /// One message of a customer by its id, which tells its number.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn customer_message(
        &self,
        business_id: BusinessId,
        conversation_id: ConversationId,
        message_id: MessageId,
    ) -> Result<Option<CustomerMessage>, InternalError> {
        let Some(MessageNumber::Customer(number)) = message_id.number() else { return Ok(None) };
        let key = key::customer_message(business_id, conversation_id, number);
        let message: Option<CustomerMessage> = self.get(&key).await?;
        Ok(message.filter(|message| message.id == message_id))
    }

    /// Up to `limit` of a customer's messages with numbers after `after` and up to `up_to`, in this
    /// order, read consistently, and whether there may be more.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn customer_messages(
        &self,
        business_id: BusinessId,
        conversation_id: ConversationId,
        (after, up_to): (CustomerNumber, CustomerNumber),
        order: Order,
        limit: i32,
    ) -> Result<(Vec<CustomerMessage>, bool), InternalError> {
        let first = CustomerNumber(after.0.saturating_add(1));
        let last = up_to.min(CustomerNumber::MAX.next());
        let partition = key::conversation_partition(business_id, conversation_id);
        let sorts = [first, last].map(key::customer_message_sort);
        self.read_between(partition, sorts, order, limit).await
    }

    /// Reads all that a message is stored by, in one call; `None` if there is no such conversation.
    async fn customer_state(
        &self,
        draft: &CustomerDraft,
    ) -> Result<Option<CustomerState>, InternalError> {
        let CustomerDraft { business_id, conversation_id, .. } = *draft;
        let conversation = key::conversation(business_id, conversation_id);
        let counted = key::customer_count(business_id, conversation_id);
        let named = key::customer_message_name(business_id, conversation_id, &draft.name);

        let keys = [&conversation, &counted, &named].map(Clone::clone);
        let mut found = self.get_all(keys).await?;
        if take_item::<IgnoredAny>(&mut found, Some(&conversation))?.is_none() {
            return Ok(None);
        }
        let known: Option<CustomerMessageName> = take_item(&mut found, Some(&named))?;
        Ok(Some(CustomerState {
            known: known.map(|known| known.number),
            count: take_item(&mut found, Some(&counted))?.unwrap_or_default(),
        }))
    }

    /// Returns the writes of one message: all of them are made, or none.
    fn customer_writes(
        &self,
        draft: &CustomerDraft,
        message: &CustomerMessage,
        minute: Option<MinuteCount>,
    ) -> Vec<TransactWriteItem> {
        let CustomerDraft { business_id, conversation_id, keep_until, .. } = *draft;
        let stored = key::customer_message(business_id, conversation_id, message.number);
        let named = key::customer_message_name(business_id, conversation_id, &draft.name);
        let name = CustomerMessageName { number: message.number, expires_at: keep_until };
        vec![
            self.count_customer_message(draft, message.number, minute),
            self.put_new(item(&stored, message)),
            self.put_new(item(&named, &name)),
        ]
    }

    /// Returns the outcome for a name that is known already.
    async fn known_customer_message(
        &self,
        draft: &CustomerDraft,
        number: CustomerNumber,
    ) -> Result<CustomerMessageOutcome, InternalError> {
        let key = key::customer_message(draft.business_id, draft.conversation_id, number);
        let known: Option<CustomerMessage> = self.get(&key).await?;
        // One whose time is over, or that was erased, cannot be compared any more.
        let same =
            known.filter(|known| known.content == draft.content && known.media == draft.media);
        Ok(same.map_or(CustomerMessageOutcome::NameReused, CustomerMessageOutcome::Replayed))
    }

    /// Moves the count to the message `next`, unless another one was faster.
    fn count_customer_message(
        &self,
        draft: &CustomerDraft,
        next: CustomerNumber,
        minute: Option<MinuteCount>,
    ) -> TransactWriteItem {
        let key = key::customer_count(draft.business_id, draft.conversation_id);
        let count = CustomerCount { last: next, minute };
        let put = Put::builder().table_name(&self.name).set_item(Some(item(&key, &count)));
        let put = match next.0 - 1 {
            0 => put.condition_expression("attribute_not_exists(pk)"),
            known => put
                .condition_expression("#last = :known")
                .expression_attribute_names("#last", "last")
                .expression_attribute_values(":known", number(known)),
        };
        TransactWriteItem::builder().put(put.build().expect("table and item are set")).build()
    }
}

impl CustomerDraft {
    /// Returns the message that is stored under `number`.
    fn message(&self, number: CustomerNumber) -> CustomerMessage {
        CustomerMessage {
            id: MessageId::of_customer(self.now, number, rand::random()),
            number,
            content: self.content.clone(),
            media: self.media.clone(),
            created_at: self.now,
            expires_at: self.keep_until,
        }
    }
}

/// All that a message is stored by.
struct CustomerState {
    /// The message that has its name.
    known: Option<CustomerNumber>,
    count: CustomerCount,
}
