//! Makes events of the table's changes, which DynamoDB's stream brings: a change and its event are
//! one, so no crash of the function that made the change comes between them.
//!
//! A batch has the changes of many businesses. Those of one are published in the stream's order,
//! which is that of the writes to each item. What fails comes again, with all that is behind it; what
//! was published by then is known by its id.

mod change;

pub use change::read;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_lambda_events::event::dynamodb::{Event as StreamEvent, EventRecord};
use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use futures_util::stream::{self, StreamExt};
use tokio::time::Instant;

use domain::event::{Change, QuotaMark};
use domain::quota::Usage;
use domain::{BusinessId, Month};
use platform::aws::Aws;
use platform::clock::Clock;
use platform::error::InternalError;
use platform::queue::{EventBell, EventBells};
use platform::runtime::{Error, EventFunction};
use platform::table::record::EventData;
use platform::table::{DeliveryLine, EventDraft, Table};

use change::StreamChange;

/// How many businesses' events are published at once.
const MAX_CONCURRENT_BUSINESSES: usize = 8;

/// The function.
#[derive(Debug, Clone)]
pub struct PublishEvents {
    table: Table,
    clock: Clock,
    bells: EventBells,
}

/// The changes of one business, with the place in the batch of the first one.
#[derive(Default)]
struct Group {
    first: usize,
    changes: Vec<StreamChange>,
}

impl EventFunction for PublishEvents {
    type Event = StreamEvent;
    type Answer = DynamoDbEventResponse;

    /// A read and a transaction, with their retries.
    const RESERVE: Duration = Duration::from_secs(8);

    /// Reads `TABLE_NAME`, `WEBHOOK_QUEUE_URL`, `CLOCK_OFFSET_MS` and what AWS clients need.
    fn from_env() -> Result<PublishEvents, Error> {
        let aws = Aws::from_env()?;
        Ok(PublishEvents {
            table: Table::from_env(&aws)?,
            clock: Clock::from_env()?,
            bells: EventBells::from_env(&aws)?,
        })
    }

    /// Publishes a batch. The answer names the first record that has to come again, if there is
    /// one ([partial batch
    /// responses](https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html)).
    async fn handle(
        &self,
        event: StreamEvent,
        until: Instant,
    ) -> Result<DynamoDbEventResponse, InternalError> {
        let numbers: Vec<Option<String>> =
            event.records.iter().map(|record| record.change.sequence_number.clone()).collect();
        let (groups, unreadable) = group(event.records);

        let published = stream::iter(groups)
            .map(|(business_id, group)| async move {
                let outcome = if Instant::now() < until {
                    self.publish(business_id, group.changes).await
                } else {
                    Err(InternalError::new("publishing events in time"))
                };

                outcome.err().map(|error| {
                    let error = error.chain();
                    tracing::error!(business = %business_id, error, "events not published; they come again");
                    group.first
                })
            })
            .buffer_unordered(MAX_CONCURRENT_BUSINESSES)
            .filter_map(std::future::ready);
        let failed: Vec<usize> = published.collect().await;

        let mut response = DynamoDbEventResponse::default();
        let first = failed.into_iter().chain(unreadable).min();
        response.batch_item_failures.extend(first.map(|first| {
            let mut failure = DynamoDbBatchItemFailure::default();
            failure.item_identifier = numbers.get(first).cloned().flatten();
            failure
        }));
        Ok(response)
    }
}

/// Reads the records of a batch up to the first one that cannot be read, and tells its place.
/// Nothing behind it is published: it might be of the same message.
fn group(records: Vec<EventRecord>) -> (BTreeMap<BusinessId, Group>, Option<usize>) {
    let mut groups: BTreeMap<BusinessId, Group> = BTreeMap::new();
    for (place, record) in records.into_iter().enumerate() {
        match change::read(record) {
            Ok(Some((business_id, change))) => {
                let new = Group { first: place, changes: Vec::new() };
                groups.entry(business_id).or_insert(new).changes.push(change);
            }
            Ok(None) => {}
            Err(error) => {
                let error = error.chain();
                tracing::error!(error, "change not read; it comes again");
                return (groups, Some(place));
            }
        }
    }

    (groups, None)
}

impl PublishEvents {
    /// Publishes changes of one business in this order.
    async fn publish(
        &self,
        business_id: BusinessId,
        changes: Vec<StreamChange>,
    ) -> Result<(), InternalError> {
        let mut drafts = Vec::new();
        for change in changes {
            match change {
                StreamChange::Event(draft) => drafts.push(draft),
                StreamChange::Counted(month) => {
                    let usage = self.table.usage_of_open_month(business_id, month).await?;
                    drafts.extend(usage.into_iter().flat_map(|usage| reached(month, usage)));
                }
            }
        }

        if drafts.is_empty() {
            return Ok(());
        }
        let now = self.clock.now();
        let endpoints = self.table.endpoints(business_id).await?;
        let events = self.table.publish_events(business_id, &drafts, &endpoints, now).await?;
        let mut bells = BTreeSet::new();
        for event in events {
            let wanted = endpoints.iter().filter(|(_, endpoint)| endpoint.wants(event.kind));
            bells.extend(wanted.map(|(endpoint_id, _)| DeliveryLine {
                business_id,
                endpoint_id: *endpoint_id,
                subject: event.subject,
            }));
            let (kind, sequence) = (event.kind, event.sequence);
            tracing::info!(business = %business_id, event = %event.id, %kind, %sequence, "published");
        }
        let bells: Vec<EventBell> = bells.into_iter().map(EventBell::of).collect();
        self.bells.ring_all(&bells).await;
        Ok(())
    }
}

/// Returns an event for each mark that a month has reached; one that was told before is known by
/// its id.
fn reached(month: Month, usage: Usage) -> impl Iterator<Item = EventDraft> {
    let Usage { limit, used } = usage;
    let marks = QuotaMark::ALL.into_iter().filter(move |mark| mark.is_reached(used, limit));
    marks.map(move |mark| {
        let percent = mark.percent();
        let data = EventData::Quota { month, percent, limit, used };
        EventDraft { change: Change::Quota(month, mark), data }
    })
}
