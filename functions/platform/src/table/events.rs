//! Reading events back, and the messages that they are about.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};

use super::record::{CustomerMessage, Event, EventCount, EventData, Message};
use super::{Table, key, read};
use crate::error::InternalError;
use domain::event::EventSequence;
use domain::timeline::Order;
use domain::{BusinessId, ConversationId, MessageId, MessageNumber};

/// Some events of a business.
#[derive(Debug)]
pub struct EventList {
    /// The events, by number.
    pub events: Vec<Event>,
    /// Whether there may be more.
    pub has_more: bool,
}

/// The messages that events are about, as they are now. Those that are gone are missing.
#[derive(Debug, Default)]
pub struct CurrentMessages {
    /// Agents' messages.
    pub agents: HashMap<MessageId, Message>,
    /// The customers' own.
    pub customers: HashMap<MessageId, CustomerMessage>,
}

impl Table {
    /// Up to `limit` events of a business after the number `after`, read consistently.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn events_after(
        &self,
        business_id: BusinessId,
        after: EventSequence,
        limit: i32,
    ) -> Result<EventList, InternalError> {
        let first = EventSequence(after.0.saturating_add(1)).min(EventSequence::MAX.next());
        let sorts = [first, EventSequence::MAX].map(key::event_sort);
        let partition = key::events_partition(business_id);
        let (events, has_more) =
            self.read_between(partition, sorts, Order::OldestFirst, limit).await?;
        Ok(EventList { events, has_more })
    }

    /// Up to `limit` events of a business before the number `before`, newest first, read
    /// consistently.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn events_before(
        &self,
        business_id: BusinessId,
        before: EventSequence,
        limit: i32,
    ) -> Result<EventList, InternalError> {
        let last = EventSequence(before.0.saturating_sub(1)).min(EventSequence::MAX);
        let sorts = [EventSequence(1), last].map(key::event_sort);
        let partition = key::events_partition(business_id);
        let (events, has_more) =
            self.read_between(partition, sorts, Order::NewestFirst, limit).await?;
        Ok(EventList { events, has_more })
    }

    /// The number of the last event of a business that was made before `since`; 0 if there is none.
    /// Numbers and times grow together, so it is looked for by halves, with about 30 reads at most.
    /// Events whose time is over are from before.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn last_event_before(
        &self,
        business_id: BusinessId,
        since: DateTime<Utc>,
    ) -> Result<EventSequence, InternalError> {
        let count: Option<EventCount> = self.get(&key::event_count(business_id)).await?;
        let (mut before, mut from) = (0, count.unwrap_or_default().last.0 + 1);
        while from - before > 1 {
            let middle = before + (from - before) / 2;
            let event: Option<Event> =
                self.get(&key::event(business_id, EventSequence(middle))).await?;
            match event.is_some_and(|event| event.created_at >= since) {
                true => from = middle,
                false => before = middle,
            }
        }
        Ok(EventSequence(before))
    }

    /// The messages that these events are about, at most 100.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn messages_of_events<'a>(
        &self,
        business_id: BusinessId,
        events: impl IntoIterator<Item = &'a Event>,
    ) -> Result<CurrentMessages, InternalError> {
        let subjects = events.into_iter().filter_map(|event| message_of(&event.data));
        let places: HashMap<MessageId, ConversationId> = subjects.collect();
        let mut current = CurrentMessages::default();
        if places.is_empty() {
            return Ok(current);
        }

        let keys: HashSet<key::Key> = places
            .iter()
            .filter_map(|(id, conversation_id)| place(business_id, *conversation_id, *id))
            .collect();
        for item in self.get_all(keys).await? {
            let sort = item.get(key::SK).and_then(|sort| sort.as_s().ok());
            if sort.is_some_and(|sort| sort.starts_with(key::MESSAGE_PREFIX)) {
                let message: Message = read(item)?;
                current.agents.insert(message.id, message);
            } else {
                let message: CustomerMessage = read(item)?;
                current.customers.insert(message.id, message);
            }
        }
        Ok(current)
    }
}

/// Returns the key of a message by its id.
fn place(
    business_id: BusinessId,
    conversation_id: ConversationId,
    id: MessageId,
) -> Option<key::Key> {
    Some(match id.number()? {
        MessageNumber::Agent(seq) => key::message(business_id, conversation_id, seq),
        MessageNumber::Customer(number) => {
            key::customer_message(business_id, conversation_id, number)
        }
    })
}

/// Returns the message that an event is about.
fn message_of(data: &EventData) -> Option<(MessageId, ConversationId)> {
    match data {
        EventData::Message { conversation_id, snapshot } => Some((snapshot.id, *conversation_id)),
        EventData::CustomerMessage { conversation_id, message_id, .. } => {
            Some((*message_id, *conversation_id))
        }
        EventData::Quota { .. } | EventData::Channel { .. } | EventData::Test {} => None,
    }
}
