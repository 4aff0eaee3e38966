//! Sending events to an endpoint again, for the API's callers and for operators: which events those
//! are, and the writes and bells that bring them on their way.

use chrono::{DateTime, Utc};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::error::InternalError;
use crate::queue::{EventBell, EventBells};
use crate::table::record::{Endpoint, Event};
use crate::table::{DeliveryLine, Table};
use domain::event::{EventId, EventSequence};
use domain::{BusinessId, EndpointId};

/// How many events of a time one call sends again at most: what fits into a function's time.
pub const MAX_EVENTS: i32 = 100;

/// How many deliveries are written at once.
const CONCURRENT_WRITES: usize = 10;

/// The events that are to be sent again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redelivery {
    /// Those with these ids.
    pub ids: Vec<EventId>,
    /// And those of a time.
    pub range: Option<EventRange>,
}

/// The events of a time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventRange {
    /// Only those that were made at this time or later.
    pub since: Option<DateTime<Utc>>,
    /// Only those that were made before this time.
    pub until: Option<DateTime<Utc>>,
    /// Only those behind this one.
    pub after: Option<EventSequence>,
}

/// The outcome of sending events again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RedeliveryOutcome {
    /// How many events were found.
    pub found: usize,
    /// How many of them are on their way: those of the types that the endpoint asks for.
    pub sent: usize,
    /// When the last of those that were found was made.
    pub last_at: Option<DateTime<Utc>>,
    /// The event behind which to go on, if there are more.
    pub next: Option<EventSequence>,
}

/// Sends events to one endpoint again.
#[derive(Debug, Clone, Copy)]
pub struct Redeliverer<'a> {
    /// The table.
    pub table: &'a Table,
    /// The bells of events.
    pub bells: &'a EventBells,
    /// The endpoint's business.
    pub business_id: BusinessId,
    /// The endpoint's id.
    pub endpoint_id: EndpointId,
}

impl Redeliverer<'_> {
    /// Has the endpoint sent the events that are wanted, the first [`MAX_EVENTS`] of a time.
    ///
    /// A disabled endpoint is sent nothing, and one that is switched off while it is sent fails.
    ///
    /// # Errors
    /// If DynamoDB does not answer. Then some of them may be on their way.
    pub async fn redeliver(
        &self,
        endpoint: &Endpoint,
        wanted: &Redelivery,
        now: DateTime<Utc>,
    ) -> Result<RedeliveryOutcome, InternalError> {
        let Redeliverer { table, business_id, .. } = *self;
        let mut events = Vec::new();
        for number in table.event_numbers(business_id, &wanted.ids).await? {
            events.extend(table.event(business_id, number).await?);
        }

        let mut next = None;
        if let Some(range) = &wanted.range {
            let (page, behind) = self.read_range(range).await?;
            events.extend(page);
            next = behind;
        }

        events.sort_unstable_by_key(|event| event.sequence);
        events.dedup_by_key(|event| event.sequence);
        let found = events.len();
        let last_at = events.last().map(|event| event.created_at);
        events.retain(|event| endpoint.wants(event.kind));

        let sent = events.len();
        self.send(events, now).await?;
        Ok(RedeliveryOutcome { found, sent, last_at, next })
    }

    /// Reads the first events of a time, and the place behind them if there are more.
    async fn read_range(
        &self,
        range: &EventRange,
    ) -> Result<(Vec<Event>, Option<EventSequence>), InternalError> {
        let EventRange { since, until, after } = *range;
        let first = match since {
            Some(since) => self.table.last_event_before(self.business_id, since).await?,
            None => EventSequence::default(),
        };

        let behind = after.unwrap_or_default().max(first);
        let page = self.table.events_after(self.business_id, behind, MAX_EVENTS).await?;
        let is_in = |event: &Event| until.is_none_or(|until| event.created_at < until);

        let last = page.events.last().filter(|last| page.has_more && is_in(last));
        let next = last.map(|last| last.sequence);
        Ok((page.events.into_iter().filter(is_in).collect(), next))
    }

    /// Has the endpoint sent these events, whatever it was sent before.
    ///
    /// # Errors
    /// If DynamoDB does not answer. Then some of them may be on their way.
    pub async fn send(&self, events: Vec<Event>, now: DateTime<Utc>) -> Result<(), InternalError> {
        let Redeliverer { table, business_id, endpoint_id, .. } = *self;
        let writes = stream::iter(events)
            .map(|event| async move {
                let line = DeliveryLine { business_id, endpoint_id, subject: event.subject };
                table.redeliver(line, &event, now).await?;
                Ok::<_, InternalError>(line)
            })
            .buffered(CONCURRENT_WRITES);

        let mut lines: Vec<DeliveryLine> = writes.try_collect().await?;
        lines.sort_unstable();
        lines.dedup();
        let bells: Vec<EventBell> = lines.into_iter().map(EventBell::of).collect();
        self.bells.ring_all(&bells).await;
        Ok(())
    }
}
