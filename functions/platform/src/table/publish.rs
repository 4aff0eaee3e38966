//! Publishing events: each change becomes one event, numbered among the events of its business.
//!
//! One transaction counts the events, stores them, and records their ids, as it is with customers'
//! messages ([`super::customer`]): numbers have no gaps and are given in the order of the writes,
//! so a list can be read on from a number without missing an event that was published later. The
//! record of an id makes a change that is published twice one event.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use chrono::{DateTime, Utc};

use super::cancellation::{is_contended, is_refused, is_unknown};
use super::record::{Endpoint, Event, EventCount, EventData, EventDelivery, EventName};
use super::{Backoff, CONTENTION_BUDGET, Table, expiry, item, key, number, take_item};
use crate::error::InternalError;
use domain::event::{Change, EVENT_TTL, EventId, EventSequence};
use domain::{BusinessId, EndpointId};

/// The most actions of one transaction
/// ([TransactWriteItems](https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html)).
const MAX_ACTIONS: usize = 100;

/// The endpoints of a business, with their ids.
pub type Endpoints = [(EndpointId, Endpoint)];

/// An event that is to be published.
#[derive(Debug, Clone)]
pub struct EventDraft {
    /// The change.
    pub change: Change,
    /// The event's data.
    pub data: EventData,
}

impl Table {
    /// Publishes events of a business in this order, each once: a change that was published before
    /// is left out. Each is on its way to those of `endpoints` that want it, by the same
    /// transaction. Returns those that are new.
    ///
    /// # Errors
    /// If DynamoDB does not answer, or contention lasts. Then the first of them may be published.
    pub async fn publish_events(
        &self,
        business_id: BusinessId,
        drafts: &[EventDraft],
        endpoints: &Endpoints,
        now: DateTime<Utc>,
    ) -> Result<Vec<Event>, InternalError> {
        let mut published = Vec::new();
        // The count is one action, and each event is two, and one more for each endpoint.
        for drafts in drafts.chunks((MAX_ACTIONS - 1) / (2 + endpoints.len())) {
            published.extend(self.publish_at_once(business_id, drafts, endpoints, now).await?);
        }
        Ok(published)
    }

    /// Publishes as many events as fit into one transaction.
    async fn publish_at_once(
        &self,
        business_id: BusinessId,
        drafts: &[EventDraft],
        endpoints: &Endpoints,
        now: DateTime<Utc>,
    ) -> Result<Vec<Event>, InternalError> {
        let mut backoff = Backoff::new(CONTENTION_BUDGET);
        // A transaction whose answer was lost may have been made: its events are known then.
        let mut attempted: HashMap<EventId, Event> = HashMap::new();
        loop {
            let (count, known) = self.published(business_id, drafts).await?;
            let is_known = |id: &EventId| known.contains_key(id);
            let events = numbered(business_id, drafts, count.last, now, is_known);
            if events.is_empty() {
                let own = attempted.into_iter().filter(|(id, event)| {
                    known.get(id).is_some_and(|name| name.sequence == event.sequence)
                });

                let mut own: Vec<Event> = own.map(|(_, event)| event).collect();
                own.sort_by_key(|event| event.sequence);
                return Ok(own);
            }

            match self.transact(self.event_writes(business_id, count, &events, endpoints)).await {
                Ok(()) => return Ok(events),
                Err(error) if is_refused(&error) || is_contended(&error) => {
                    if !backoff.wait().await {
                        return Err(InternalError::contended("TransactWriteItems"));
                    }
                }
                Err(error) if is_unknown(&error) && backoff.wait().await => {
                    attempted.extend(events.into_iter().map(|event| (event.id, event)));
                }
                Err(error) => return Err(InternalError::aws("TransactWriteItems", error)),
            }
        }
    }

    /// Reads the count of a business's events, and the records of those ids that are known.
    async fn published(
        &self,
        business_id: BusinessId,
        drafts: &[EventDraft],
    ) -> Result<(EventCount, HashMap<EventId, EventName>), InternalError> {
        let counted = key::event_count(business_id);
        let ids: Vec<EventId> =
            drafts.iter().map(|draft| EventId::of(business_id, &draft.change)).collect();
        let mut names: Vec<key::Key> =
            ids.iter().map(|id| key::event_name(business_id, *id)).collect();
        names.sort_by(|one, other| one.pk.cmp(&other.pk));
        names.dedup();

        let keys = std::iter::once(counted.clone()).chain(names);
        let mut found = self.get_all(keys).await?;
        let count = take_item(&mut found, Some(&counted))?.unwrap_or_default();
        let mut known = HashMap::new();
        for id in ids {
            let name = key::event_name(business_id, id);
            if let Some(name) = take_item(&mut found, Some(&name))? {
                known.insert(id, name);
            }
        }
        Ok((count, known))
    }

    /// Returns the writes of these events: all of them are made, or none.
    fn event_writes(
        &self,
        business_id: BusinessId,
        count: EventCount,
        events: &[Event],
        endpoints: &Endpoints,
    ) -> Vec<TransactWriteItem> {
        let last = events.last().map_or(count.last, |event| event.sequence);
        let mut writes = vec![self.count_events(business_id, count, last)];
        for event in events {
            let name = EventName { sequence: event.sequence, expires_at: event.expires_at };
            let stored = key::event(business_id, event.sequence);
            let named = key::event_name(business_id, event.id);
            writes.push(self.put_new(item(&stored, event)));
            writes.push(self.put_new(item(&named, &name)));
            for (endpoint_id, _) in endpoints.iter().filter(|(_, one)| one.wants(event.kind)) {
                let key =
                    key::event_delivery(business_id, *endpoint_id, &event.subject, event.sequence);
                let delivery = EventDelivery::of(event, event.created_at);
                writes.push(self.put_new(item(&key, &delivery)));
            }
        }

        writes
    }

    /// Moves the count to the event `last`, unless another publisher was faster.
    fn count_events(
        &self,
        business_id: BusinessId,
        known: EventCount,
        last: EventSequence,
    ) -> TransactWriteItem {
        let counted = item(&key::event_count(business_id), &EventCount { last });
        let put = Put::builder().table_name(&self.name).set_item(Some(counted));
        let put = match known.last.0 {
            0 => put.condition_expression("attribute_not_exists(pk)"),
            known => put
                .condition_expression("#last = :known")
                .expression_attribute_names("#last", "last")
                .expression_attribute_values(":known", number(known)),
        };
        TransactWriteItem::builder().put(put.build().expect("table and item are set")).build()
    }
}

/// Numbers the events that are not known, each change once, behind `last`.
fn numbered(
    business_id: BusinessId,
    drafts: &[EventDraft],
    last: EventSequence,
    now: DateTime<Utc>,
    is_known: impl Fn(&EventId) -> bool,
) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    for EventDraft { change, data } in drafts {
        let id = EventId::of(business_id, change);
        if is_known(&id) || events.iter().any(|event| event.id == id) {
            continue;
        }

        let before = events.last().map_or(last, |event| event.sequence);
        events.push(Event {
            id,
            sequence: before.next(),
            kind: change.kind(),
            subject: change.subject(),
            created_at: now,
            data: data.clone(),
            expires_at: expiry(now, EVENT_TTL),
        });
    }

    events
}

#[cfg(test)]
mod tests {
    use domain::Month;
    use domain::event::QuotaMark;

    use super::*;

    fn draft(mark: QuotaMark) -> EventDraft {
        let month = Month::of(DateTime::UNIX_EPOCH);
        let data = EventData::Quota { month, percent: mark.percent(), limit: 10, used: 10 };
        EventDraft { change: Change::Quota(month, mark), data }
    }

    #[test]
    fn events_are_numbered_without_gaps_and_each_change_once() {
        let business_id = BusinessId(uuid::Uuid::from_u128(0xB));
        let drafts = [QuotaMark::Most, QuotaMark::Most, QuotaMark::All, QuotaMark::Most].map(draft);
        let numbers = |known: &[EventId]| {
            let is_known = |id: &EventId| known.contains(id);
            let events =
                numbered(business_id, &drafts, EventSequence(7), DateTime::UNIX_EPOCH, is_known);
            events.iter().map(|event| event.sequence.0).collect::<Vec<_>>()
        };

        assert_eq!(numbers(&[]), [8, 9]);
        let first = EventId::of(business_id, &drafts[0].change);
        assert_eq!(numbers(&[first]), [8]);
    }
}
