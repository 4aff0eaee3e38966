//! Reading agents' messages and the customer's as one list.

use std::collections::HashMap;

use futures_util::future::try_join;

use super::record::{CustomerMessage, Message};
use super::{MessageRange, Table};
use crate::error::InternalError;
use domain::timeline::{Merged, RangeStart, Span};
use domain::{BusinessId, ConversationId, MessageId, Seq};

/// A page of a conversation.
#[derive(Debug)]
pub struct Timeline {
    /// Its messages, in the order of the list.
    pub entries: Vec<Entry>,
    /// Where the list goes on.
    pub page: Merged,
}

/// A message of either side.
#[derive(Debug)]
pub enum Entry {
    /// An agent wrote it.
    Agent(Box<Message>),
    /// The customer wrote it.
    Customer(CustomerMessage),
}

impl Entry {
    fn id(&self) -> MessageId {
        match self {
            Entry::Agent(message) => message.id,
            Entry::Customer(message) => message.id,
        }
    }
}

impl Table {
    /// Up to `limit` messages of `span`. Both ranges are read at once, each consistently and as far
    /// as the page may go.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn timeline(
        &self,
        business_id: BusinessId,
        conversation_id: ConversationId,
        span: Span,
        limit: usize,
    ) -> Result<Timeline, InternalError> {
        // One more than the page has tells whether there is more.
        let each = i32::try_from(limit).map_or(i32::MAX, |limit| limit.saturating_add(1));
        let Span { after, up_to, order } = span;
        let range = MessageRange {
            after: after.seq,
            before: Some(Seq(up_to.seq.0.saturating_add(1))),
            order,
        };
        let numbers = (after.number, up_to.number);

        let agents = self.messages(business_id, conversation_id, range, each);
        let customers = self.customer_messages(business_id, conversation_id, numbers, order, each);
        let (agents, (customers, has_more_of_customers)) = try_join(agents, customers).await?;

        let agents_start = RangeStart {
            ids: agents.messages.iter().map(|message| message.id).collect(),
            has_more: agents.has_more,
        };
        let customers_start = RangeStart {
            ids: customers.iter().map(|message| message.id).collect(),
            has_more: has_more_of_customers,
        };
        let page = span.merge(&agents_start, &customers_start, limit);

        let agents = agents.messages.into_iter().map(|message| Entry::Agent(Box::new(message)));
        let entries = agents.chain(customers.into_iter().map(Entry::Customer));
        let mut by_id: HashMap<MessageId, Entry> =
            entries.map(|entry| (entry.id(), entry)).collect();
        let entries = page.ids.iter().filter_map(|id| by_id.remove(id)).collect();
        Ok(Timeline { entries, page })
    }
}
