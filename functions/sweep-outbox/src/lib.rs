//! Rings again for every conversation that is due. Lost bells, crashed workers and emptied queues
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
use platform::broken::Broken;
use platform::clock::Clock;
use platform::queue::{BATCH, Bell, Bells, Version};
use platform::runtime::{Error, EventFunction};
use platform::table::{Table, key};
use platform::telemetry::metrics::Line;

/// How many buckets are swept at once, so that a long one does not hold up the others.
const AT_ONCE: usize = 8;

/// The function.
#[derive(Debug, Clone)]
pub struct SweepOutbox {
    table: Table,
    clock: Clock,
    bells: Bells,
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Swept {
    /// Conversations that were due.
    pub due: usize,
    /// Bells that SQS took.
    pub rung: usize,
    /// Since when the one that waits longest is due.
    pub oldest: Option<DateTime<Utc>>,
}

impl Swept {
    fn and(self, other: Swept) -> Swept {
        let oldest = self.oldest.into_iter().chain(other.oldest).min();
        Swept { due: self.due + other.due, rung: self.rung + other.rung, oldest }
    }
}

impl EventFunction for SweepOutbox {
    type Event = EventBridgeEvent<serde_json::Value>;
    type Answer = Swept;

    /// The next sweep rings for what is left by then.
    const RESERVE: Duration = Duration::from_secs(5);

    /// Reads `TABLE_NAME`, the queues' URLs and what AWS clients need.
    fn from_env() -> Result<SweepOutbox, Error> {
        let aws = Aws::from_env()?;
        Ok(SweepOutbox {
            table: Table::from_env(&aws)?,
            clock: Clock::from_env()?,
            bells: Bells::from_env(&aws)?,
        })
    }

    /// Sweeps every bucket of every channel. A queue that does not take its bells is logged, and
    /// the other channels go on; a table that does not answer fails the sweep.
    async fn handle(
        &self,
        _: EventBridgeEvent<serde_json::Value>,
        until: Instant,
    ) -> Result<Swept, Broken> {
        let now = self.clock.now();
        let (mut swept, mut failed) = ([Swept::default(); Channel::ALL.len()], None);
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
                Ok(bucket) => swept[at] = swept[at].and(bucket),
                // The others are swept all the same.
                Err(broken) => {
                    tracing::error!(error = broken.chain(), "a bucket was not swept");
                    failed = Some(broken);
                }
            }
        }
        for (channel, swept) in Channel::ALL.into_iter().zip(swept) {
            report(channel, swept, now);
        }
        let all = swept.into_iter().fold(Swept::default(), Swept::and);
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
    ) -> Result<Swept, Broken> {
        let mut swept = Swept::default();
        let mut page = None;
        loop {
            let (due, next) = self.table.due(bucket, now, page.take()).await?;
            let oldest = due.iter().map(|due| due.since).min();
            swept = swept.and(Swept { due: due.len(), rung: 0, oldest });
            for some in due.chunks(BATCH) {
                if Instant::now() >= until {
                    return Ok(swept);
                }
                let bell = |due: &platform::table::Due| Bell {
                    v: Version,
                    business: due.business,
                    conversation: due.conversation,
                    channel,
                };
                let bells: Vec<Bell> = some.iter().map(bell).collect();
                match self.bells.ring_all(channel, &bells).await {
                    Ok(rung) => swept.rung += rung,
                    Err(broken) => {
                        tracing::warn!(%channel, error = broken.chain(), "bells were not rung")
                    }
                }
            }
            page = next;
            if page.is_none() {
                return Ok(swept);
            }
        }
    }
}

/// Says what was due on a channel, if anything was. `OldestDueSeconds` that keeps growing is a
/// channel that stands still.
fn report(channel: Channel, Swept { due, rung, oldest }: Swept, now: DateTime<Utc>) {
    let Some(oldest) = oldest else { return };
    let line = Line::new(Level::INFO, "swept")
        .by("Channel", channel)
        .count_many("Due", due)
        .count_many("Rung", rung);
    let line = line.seconds("OldestDueSeconds", now - oldest);
    if rung < due { line.count_many("BellNotRung", due - rung).write() } else { line.write() }
}
