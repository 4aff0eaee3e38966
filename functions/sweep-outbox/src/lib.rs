//! Rings again for every conversation that is due. Lost doorbells, crashed workers and emptied
//! queues need nothing else.
//!
//! It also keeps the files of accepted messages that the function that accepted them did not come
//! to keep, and rings for endpoints that are to be sent an event.
//!
//! A bell that waits in its queue is not rung again, as `round.rs` says. A sweep that has too much
//! to do for its time has done a part for each queue, and the next one goes on there.

mod part;
mod round;

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use serde::Serialize;
use tokio::time::Instant;
use tracing::Level;

use part::{DuePage, Part, Queues};
use platform::aws::Aws;
use platform::clock::Clock;
use platform::error::InternalError;
use platform::files::Files;
use platform::queue::{Doorbells, EventBells};
use platform::runtime::{Error, EventFunction};
use platform::table::{Cursor, SweepRound, Table, key};
use platform::telemetry::metrics::MetricRecord;
use round::{FEW, Turn};

/// How many buckets of a queue are read at once, so that a long one does not hold up the others.
const MAX_CONCURRENT_BUCKETS: usize = 4;

/// The function.
#[derive(Debug, Clone)]
pub struct SweepOutbox {
    table: Table,
    clock: Clock,
    queues: Queues,
    files: Files,
}

/// The result of a sweep, or of what it did about one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct SweepOutcome {
    /// Conversations, and events for endpoints, that were due.
    pub due: usize,
    /// Bells that SQS took.
    pub rung: usize,
    /// Bells that SQS did not take.
    pub refused: usize,
    /// When the one that waits longest became due.
    pub oldest: Option<DateTime<Utc>>,
}

impl SweepOutcome {
    fn and(self, other: SweepOutcome) -> SweepOutcome {
        SweepOutcome {
            due: self.due + other.due,
            rung: self.rung + other.rung,
            refused: self.refused + other.refused,
            oldest: self.oldest.into_iter().chain(other.oldest).min(),
        }
    }
}

impl EventFunction for SweepOutbox {
    type Event = EventBridgeEvent<serde_json::Value>;
    type Answer = SweepOutcome;

    /// The longest read of a last page and its bells. The next sweep goes on behind them.
    const RESERVE: Duration = Duration::from_secs(8);

    /// Reads `TABLE_NAME`, the queues' URLs, `ATTACHMENTS_BUCKET` and what AWS clients need.
    fn from_env() -> Result<SweepOutbox, Error> {
        let aws = Aws::from_env()?;
        let queues =
            Queues { doorbells: Doorbells::from_env(&aws)?, events: EventBells::from_env(&aws)? };
        Ok(SweepOutbox {
            table: Table::from_env(&aws)?,
            clock: Clock::from_env()?,
            queues,
            files: Files::from_env(&aws)?,
        })
    }

    /// Sweeps all queues side by side. If a queue does not take its bells, that is logged and the
    /// other queues go on; if the table does not answer, the sweep fails.
    async fn handle(
        &self,
        _: EventBridgeEvent<serde_json::Value>,
        until: Instant,
    ) -> Result<SweepOutcome, InternalError> {
        let now = self.clock.now();
        let mut rounds = self.table.sweep_rounds().await.unwrap_or_else(|error| {
            tracing::warn!(
                error = error.chain(),
                "the last sweep's places not read; this one rings for all"
            );
            BTreeMap::new()
        });
        let sweeps =
            Part::all().map(|part| self.sweep(part, rounds.remove(part.name()), now, until));
        let (swept, kept) = tokio::join!(join_all(sweeps), self.keep_files(now, until));

        let mut total = SweepOutcome::default();
        let mut failed = kept.err();
        for (part, (outcome, result)) in Part::all().zip(swept) {
            report(part.name(), outcome, now);
            total = total.and(outcome);
            failed = result.err().or(failed);
        }
        failed.map_or(Ok(total), Err)
    }
}

/// The next thing to do about a bucket.
enum Next {
    /// Ring for a page, the bucket's first.
    Ring(DuePage),
    /// Read on, from the beginning or from where the last page ended.
    Read(Option<Cursor>),
}

impl SweepOutbox {
    /// Rings for what is due for one queue, a page of each bucket at a time.
    async fn sweep(
        &self,
        part: Part,
        round: Option<SweepRound>,
        now: DateTime<Utc>,
        until: Instant,
    ) -> (SweepOutcome, Result<(), InternalError>) {
        let (mut outcome, first, mut failed) = self.look(part, now).await;
        let turn = self.turn(part, round.as_ref(), outcome.due, now).await;
        let was_known = round.is_some();
        let (began, mut open) = match (turn, round) {
            (Turn::GoOn, Some(round)) => {
                let left = round.left.into_iter();
                (round.began, left.map(|(bucket, at)| (bucket, Next::Read(at))).collect())
            }
            (Turn::Wait, Some(round)) => (round.began, Vec::new()),
            (Turn::Wait, None) => (now, Vec::new()),
            _ => (now, first),
        };

        while !open.is_empty() && Instant::now() < until {
            let mut pages = stream::iter(open)
                .map(async |(bucket, next)| {
                    let swept = self.sweep_page(part, &bucket, next, now, until).await;
                    (bucket, swept)
                })
                .buffer_unordered(MAX_CONCURRENT_BUCKETS);

            let mut left = Vec::new();
            while let Some((bucket, swept)) = pages.next().await {
                match swept {
                    Ok((of_page, next)) => {
                        outcome = outcome.and(of_page);
                        left.extend(next.map(|next| (bucket, next)));
                    }
                    Err(error) => failed = Some(not_swept(part, error)),
                }
            }
            open = left;
        }

        let left = open.into_iter().map(|(bucket, next)| match next {
            Next::Ring(_) => (bucket, None),
            Next::Read(at) => (bucket, at),
        });
        let round = SweepRound { began, left: left.collect() };
        self.remember(part, turn, was_known, &round).await;
        (outcome, failed.map_or(Ok(()), Err))
    }

    /// Reads the first page of each bucket that has something due, and counts what is behind it.
    async fn look(
        &self,
        part: Part,
        now: DateTime<Utc>,
    ) -> (SweepOutcome, Vec<(String, Next)>, Option<InternalError>) {
        let mut looks = stream::iter(part.buckets())
            .map(async |bucket| {
                let page = DuePage::read(&self.table, part, &bucket, now, None).await?;
                let behind = match &page.end {
                    Some(end) => self.table.count_due(&bucket, now, end.clone()).await?,
                    None => 0,
                };
                Ok((bucket, behind, page))
            })
            .buffer_unordered(MAX_CONCURRENT_BUCKETS);

        let mut outcome = SweepOutcome::default();
        let mut first = Vec::new();
        let mut failed = None;
        while let Some(look) = looks.next().await {
            match look {
                Ok((bucket, behind, page)) => {
                    let (due, oldest) = (page.due + behind, page.oldest);
                    outcome = outcome.and(SweepOutcome { due, oldest, ..SweepOutcome::default() });
                    if due > 0 {
                        first.push((bucket, Next::Ring(page)));
                    }
                }
                // The other buckets are swept all the same.
                Err(error) => failed = Some(not_swept(part, error)),
            }
        }
        (outcome, first, failed)
    }

    /// Decides what to do about a queue.
    async fn turn(
        &self,
        part: Part,
        round: Option<&SweepRound>,
        due: usize,
        now: DateTime<Utc>,
    ) -> Turn {
        // Not every minute for a queue that is in order.
        let depth = if due < FEW { Ok(0) } else { self.queues.depth(part).await };
        let depth = depth.unwrap_or_else(|error| {
            let queue = part.name();
            tracing::warn!(queue, error = error.chain(), "depth unknown; bells are rung");
            0
        });
        round::turn(round, due, depth, now)
    }

    /// Rings for one page of a bucket; returns what is next there, if there is more.
    async fn sweep_page(
        &self,
        part: Part,
        bucket: &str,
        next: Next,
        now: DateTime<Utc>,
        until: Instant,
    ) -> Result<(SweepOutcome, Option<Next>), InternalError> {
        if Instant::now() >= until {
            return Ok((SweepOutcome::default(), Some(next)));
        }

        let page = match next {
            Next::Ring(page) => page,
            Next::Read(at) => DuePage::read(&self.table, part, bucket, now, at).await?,
        };
        let (rung, refused) = self.queues.ring(&page).await;
        let outcome = SweepOutcome { rung, refused, ..SweepOutcome::default() };
        Ok((outcome, page.end.map(|end| Next::Read(Some(end)))))
    }

    /// Remembers what the next sweep has to know. One that does not know it rings for all.
    async fn remember(&self, part: Part, turn: Turn, was_known: bool, round: &SweepRound) {
        let is_over = turn != Turn::Wait && round.left.is_empty();
        let written = match (is_over, was_known) {
            (true, false) => return,
            (true, true) => self.table.delete_sweep_round(part.name()).await,
            (false, true) if turn == Turn::Wait => return,
            (false, _) => self.table.put_sweep_round(part.name(), round).await,
        };
        if let Err(error) = written {
            let queue = part.name();
            tracing::warn!(
                queue,
                error = error.chain(),
                "sweep not remembered; the next one rings for all"
            );
        }
    }
}

/// Logs that one bucket was not swept, and returns why.
fn not_swept(part: Part, error: InternalError) -> InternalError {
    let queue = part.name();
    tracing::error!(queue, error = error.chain(), "bucket not swept; the next sweep retries");
    error
}

impl SweepOutbox {
    /// Keeps the files that are due in every bucket. A file that is not kept stays in the outbox,
    /// and the others are kept all the same.
    async fn keep_files(&self, now: DateTime<Utc>, until: Instant) -> Result<(), InternalError> {
        let mut sweeps = stream::iter(key::upload_buckets())
            .map(|bucket| async move { self.keep_files_of(&bucket, now, until).await })
            .buffer_unordered(MAX_CONCURRENT_BUCKETS);

        let mut failed = None;
        while let Some(swept) = sweeps.next().await {
            if let Err(error) = swept {
                let chain = error.chain();
                tracing::error!(error = chain, "files not kept; the next sweep retries");
                failed = Some(error);
            }
        }

        failed.map_or(Ok(()), Err)
    }

    async fn keep_files_of(
        &self,
        bucket: &str,
        now: DateTime<Utc>,
        until: Instant,
    ) -> Result<(), InternalError> {
        let mut cursor = None;
        let mut failed = None;
        loop {
            let page = self.table.due_uploads(bucket, now, cursor).await?;
            for place in page.records {
                if Instant::now() >= until {
                    return failed.map_or(Ok(()), Err);
                }
                let upload = place.upload;
                match self.table.keep_file(&self.files, place).await {
                    Ok(true) => tracing::info!(%upload, "file kept for its message"),
                    Ok(false) => tracing::error!(%upload, "file of an accepted message is missing"),
                    Err(error) => failed = Some(error),
                }
            }

            cursor = page.end;
            if cursor.is_none() {
                return failed.map_or(Ok(()), Err);
            }
        }
    }
}

/// Reports what was due for a queue, if anything was. One whose `OldestDueSeconds` keeps growing
/// stands still.
fn report(queue: &str, outcome: SweepOutcome, now: DateTime<Utc>) {
    let SweepOutcome { due, rung, refused, oldest } = outcome;
    let Some(oldest) = oldest else { return };

    let line = MetricRecord::new(Level::INFO, "swept")
        .by("Channel", queue)
        .count_many("Due", due)
        .count_many("Wakeups", rung)
        .seconds("OldestDueSeconds", now - oldest);
    if refused > 0 { line.count_many("WakeupFailed", refused).write() } else { line.write() }
}
