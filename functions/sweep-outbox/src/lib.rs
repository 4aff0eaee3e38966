//! Rings again for every conversation that is due. Lost bells, crashed workers and emptied queues need nothing else.

use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use domain::Channel;
use futures_util::stream::{self, StreamExt};
use lambda_runtime::{LambdaEvent, service_fn};
use platform::aws::Aws;
use platform::broken::Broken;
use platform::clock::{self, Clock};
use platform::queue::{BATCH, Bell, Bells, Version};
use platform::settings::SettingError;
use platform::table::{Table, key};
use serde::Serialize;
use std::time::Duration;
use tokio::time::Instant;

/// What is not rung by then, the next sweep will.
const RESERVE: Duration = Duration::from_secs(5);

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
}

/// Runs the function until Lambda stops it.
///
/// # Errors
/// What kept it from starting, in a sentence.
pub async fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    platform::telemetry::init();
    let function = SweepOutbox::from_env()?;
    lambda_runtime::run(service_fn(|event| function.handle(event))).await
}

impl SweepOutbox {
    /// Reads `TABLE_NAME`, the queues' URLs and what AWS clients need.
    ///
    /// # Errors
    /// The variable that is missing or malformed.
    pub fn from_env() -> Result<SweepOutbox, SettingError> {
        let aws = Aws::from_env()?;
        Ok(SweepOutbox { table: Table::from_env(&aws)?, clock: Clock::from_env()?, bells: Bells::from_env(&aws)? })
    }

    /// Sweeps every bucket of every channel.
    ///
    /// # Errors
    /// If the table does not answer. A queue that does not take its bells is logged; the other channels go on.
    pub async fn handle(
        &self,
        event: LambdaEvent<EventBridgeEvent<serde_json::Value>>,
    ) -> Result<Swept, lambda_runtime::Error> {
        let until = Instant::now() + clock::time_left(event.context.deadline()).saturating_sub(RESERVE);
        let (mut swept, mut failed) = (Swept::default(), None);
        let buckets =
            Channel::ALL.into_iter().flat_map(|channel| key::outbox_buckets(channel).map(move |b| (channel, b)));
        let mut sweeps = stream::iter(buckets)
            .map(|(channel, bucket)| async move { self.sweep(channel, &bucket, until).await })
            .buffer_unordered(AT_ONCE);
        while let Some(bucket) = sweeps.next().await {
            match bucket {
                Ok(Swept { due, rung }) => swept = Swept { due: swept.due + due, rung: swept.rung + rung },
                // The others are swept all the same.
                Err(broken) => {
                    tracing::error!(error = broken.chain(), "a bucket was not swept");
                    failed = Some(broken);
                }
            }
        }
        match swept.due {
            0 => tracing::debug!("nothing is due"),
            due => tracing::info!(due, rung = swept.rung, "swept"),
        }
        failed.map_or(Ok(swept), |broken| Err(broken.into()))
    }

    async fn sweep(&self, channel: Channel, bucket: &str, until: Instant) -> Result<Swept, Broken> {
        let now = self.clock.now();
        let mut swept = Swept::default();
        let mut page = None;
        loop {
            let (due, next) = self.table.due(bucket, now, page.take()).await?;
            swept.due += due.len();
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
                    Err(broken) => tracing::warn!(%channel, error = broken.chain(), "bells were not rung"),
                }
            }
            page = next;
            if page.is_none() {
                return Ok(swept);
            }
        }
    }
}
