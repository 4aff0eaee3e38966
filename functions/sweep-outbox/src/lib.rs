//! Rings again for every conversation that is due. Lost doorbells, crashed workers and emptied
//! queues need nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use chrono::{DateTime, Utc};
use futures_util::stream::{self, StreamExt};
use serde::Serialize;
use tokio::time::Instant;
use tracing::Level;

use domain::Channel;
use platform::aws::Aws;
use platform::clock::Clock;
use platform::error::InternalError;
use platform::queue::{BATCH, Doorbell, Doorbells, Version};
use platform::runtime::{Error, EventFunction};
use platform::table::{DueConversation, Table, key};
use platform::telemetry::metrics::MetricRecord;

/// How many buckets are swept at once, so that a long one does not hold up the others.
const MAX_CONCURRENT_BUCKETS: usize = 8;

/// The function.
#[derive(Debug, Clone)]
pub struct SweepOutbox {
    table: Table,
    clock: Clock,
    doorbells: Doorbells,
}

/// The result of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct SweepOutcome {
    /// Conversations that were due.
    pub due: usize,
    /// Doorbells that SQS took.
    pub rung: usize,
    /// When the conversation that waits longest became due.
    pub oldest: Option<DateTime<Utc>>,
}

impl SweepOutcome {
    fn and(self, other: SweepOutcome) -> SweepOutcome {
        let oldest = self.oldest.into_iter().chain(other.oldest).min();
        SweepOutcome { due: self.due + other.due, rung: self.rung + other.rung, oldest }
    }
}

impl EventFunction for SweepOutbox {
    type Event = EventBridgeEvent<serde_json::Value>;
    type Answer = SweepOutcome;

    /// The longest read of a last page and its doorbells. The next sweep rings for the
    /// conversations that are left by then.
    const RESERVE: Duration = Duration::from_secs(8);

    /// Reads `TABLE_NAME`, the queues' URLs and what AWS clients need.
    fn from_env() -> Result<SweepOutbox, Error> {
        let aws = Aws::from_env()?;
        Ok(SweepOutbox {
            table: Table::from_env(&aws)?,
            clock: Clock::from_env()?,
            doorbells: Doorbells::from_env(&aws)?,
        })
    }

    /// Sweeps every bucket of every channel. If a queue does not take its doorbells, that is logged
    /// and the other channels go on; if the table does not answer, the sweep fails.
    async fn handle(
        &self,
        _: EventBridgeEvent<serde_json::Value>,
        until: Instant,
    ) -> Result<SweepOutcome, InternalError> {
        let now = self.clock.now();
        let buckets = Channel::ALL
            .into_iter()
            .flat_map(|channel| key::outbox_buckets(channel).map(move |bucket| (channel, bucket)));

        let mut sweeps = stream::iter(buckets)
            .map(|(channel, bucket)| async move {
                (channel, self.sweep_bucket(channel, &bucket, now, until).await)
            })
            .buffer_unordered(MAX_CONCURRENT_BUCKETS);

        let mut outcomes = BTreeMap::from(Channel::ALL.map(|it| (it, SweepOutcome::default())));
        let mut failed = None;
        while let Some((channel, swept)) = sweeps.next().await {
            match swept {
                Ok(bucket) => {
                    outcomes.entry(channel).and_modify(|outcome| *outcome = outcome.and(bucket));
                }
                // The other buckets are swept all the same.
                Err(error) => {
                    let chain = error.chain();
                    tracing::error!(%channel, error = chain, "bucket not swept; the next sweep retries");
                    failed = Some(error);
                }
            }
        }

        for (channel, outcome) in &outcomes {
            report(*channel, *outcome, now);
        }
        let total = outcomes.into_values().fold(SweepOutcome::default(), SweepOutcome::and);

        failed.map_or(Ok(total), Err)
    }
}

impl SweepOutbox {
    async fn sweep_bucket(
        &self,
        channel: Channel,
        bucket: &str,
        now: DateTime<Utc>,
        until: Instant,
    ) -> Result<SweepOutcome, InternalError> {
        let doorbell = |due: &DueConversation| Doorbell {
            v: Version,
            business_id: due.business_id,
            conversation_id: due.conversation_id,
            channel,
        };

        let mut outcome = SweepOutcome::default();
        let mut cursor = None;
        loop {
            let page = self.table.due(bucket, now, cursor).await?;
            let oldest = page.records.iter().map(|due| due.since).min();
            outcome = outcome.and(SweepOutcome { due: page.records.len(), rung: 0, oldest });

            for chunk in page.records.chunks(BATCH) {
                if Instant::now() >= until {
                    return Ok(outcome);
                }
                let doorbells: Vec<Doorbell> = chunk.iter().map(doorbell).collect();
                match self.doorbells.ring_all(channel, &doorbells).await {
                    Ok(rung) => outcome.rung += rung,
                    Err(error) => {
                        let error = error.chain();
                        tracing::warn!(%channel, error, "doorbells not rung; the next sweep retries");
                    }
                }
            }

            cursor = page.end;
            if cursor.is_none() {
                return Ok(outcome);
            }
        }
    }
}

/// Reports the conversations that were due on a channel, if there were any. A channel whose
/// `OldestDueSeconds` keeps growing stands still.
fn report(channel: Channel, outcome: SweepOutcome, now: DateTime<Utc>) {
    let SweepOutcome { due, rung, oldest } = outcome;
    let Some(oldest) = oldest else { return };

    let line = MetricRecord::new(Level::INFO, "swept")
        .by("Channel", channel)
        .count_many("Due", due)
        .count_many("Wakeups", rung)
        .seconds("OldestDueSeconds", now - oldest);
    if rung < due { line.count_many("WakeupFailed", due - rung).write() } else { line.write() }
}
