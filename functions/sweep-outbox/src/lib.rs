//! Rings again for every conversation that is due. Lost doorbells, crashed workers and emptied queues
//! need nothing else.

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
use platform::table::{Table, key};
use platform::telemetry::metrics::MetricRecord;

/// How many buckets are swept at once, so that a long one does not hold up the others.
const AT_ONCE: usize = 8;

/// The function.
#[derive(Debug, Clone)]
pub struct SweepOutbox {
    table: Table,
    clock: Clock,
    doorbells: Doorbells,
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct SweepOutcome {
    /// Conversations that were due.
    pub due: usize,
    /// Doorbells that SQS took.
    pub rung: usize,
    /// Since when the one that waits longest is due.
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

    /// The next sweep rings for what is left by then.
    const RESERVE: Duration = Duration::from_secs(5);

    /// Reads `TABLE_NAME`, the queues' URLs and what AWS clients need.
    fn from_env() -> Result<SweepOutbox, Error> {
        let aws = Aws::from_env()?;
        Ok(SweepOutbox {
            table: Table::from_env(&aws)?,
            clock: Clock::from_env()?,
            doorbells: Doorbells::from_env(&aws)?,
        })
    }

    /// Sweeps every bucket of every channel. A queue that does not take its doorbells is logged, and
    /// the other channels go on; a table that does not answer fails the sweep.
    async fn handle(
        &self,
        _: EventBridgeEvent<serde_json::Value>,
        until: Instant,
    ) -> Result<SweepOutcome, InternalError> {
        let now = self.clock.now();
        let (mut outcome, mut failed) = ([SweepOutcome::default(); Channel::ALL.len()], None);
        let channels = Channel::ALL.into_iter().zip(0..);
        let buckets = channels
            .flat_map(|(channel, at)| key::outbox_buckets(channel).map(move |b| (channel, at, b)));
        let mut sweeps = stream::iter(buckets)
            .map(|(channel, at, bucket)| async move {
                (at, self.sweep(channel, &bucket, now, until).await)
            })
            .buffer_unordered(AT_ONCE);
        while let Some((at, bucket)) = sweeps.next().await {
            match bucket {
                Ok(bucket) => outcome[at] = outcome[at].and(bucket),
                // The others are swept all the same.
                Err(broken) => {
                    tracing::error!(
                        error = broken.chain(),
                        "the sweep of a bucket failed; the next sweep repeats it"
                    );
                    failed = Some(broken);
                }
            }
        }
        for (channel, outcome) in Channel::ALL.into_iter().zip(outcome) {
            report(channel, outcome, now);
        }
        let all = outcome.into_iter().fold(SweepOutcome::default(), SweepOutcome::and);
        failed.map_or(Ok(all), Err)
    }
}

impl SweepOutbox {
    async fn sweep(
        &self,
        channel: Channel,
        bucket: &str,
        now: DateTime<Utc>,
        until: Instant,
    ) -> Result<SweepOutcome, InternalError> {
        let mut outcome = SweepOutcome::default();
        let mut page = None;
        loop {
            let (due, next) = self.table.due(bucket, now, page.take()).await?;
            let oldest = due.iter().map(|due| due.since).min();
            outcome = outcome.and(SweepOutcome { due: due.len(), rung: 0, oldest });
            for some in due.chunks(BATCH) {
                if Instant::now() >= until {
                    return Ok(outcome);
                }
                let doorbell = |due: &platform::table::DueConversation| Doorbell {
                    v: Version,
                    business: due.business,
                    conversation: due.conversation,
                    channel,
                };
                let doorbells: Vec<Doorbell> = some.iter().map(doorbell).collect();
                match self.doorbells.ring_all(channel, &doorbells).await {
                    Ok(rung) => outcome.rung += rung,
                    Err(broken) => {
                        tracing::warn!(%channel, error = broken.chain(), "doorbells were not rung")
                    }
                }
            }
            page = next;
            if page.is_none() {
                return Ok(outcome);
            }
        }
    }
}

/// Says what was due on a channel, if anything was. `OldestDueSeconds` that keeps growing is a
/// channel that stands still.
fn report(channel: Channel, SweepOutcome { due, rung, oldest }: SweepOutcome, now: DateTime<Utc>) {
    let Some(oldest) = oldest else { return };
    let line = MetricRecord::new(Level::INFO, "swept")
        .by("Channel", channel)
        .count_many("Due", due)
        .count_many("Wakeups", rung);
    let line = line.seconds("OldestDueSeconds", now - oldest);
    if rung < due { line.count_many("WakeupFailed", due - rung).write() } else { line.write() }
}
