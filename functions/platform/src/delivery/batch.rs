//! A batch of doorbells, record by record: one that cannot be read or answered fails alone and
//! comes back alone ([partial batch
//! responses](https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html)).

use std::time::Duration;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use futures_util::stream::{self, StreamExt};
use tokio::time::Instant;

use super::Provider;
use super::channels::ChannelCache;
use super::worker::Worker;
use crate::aws::Aws;
use crate::clock::Clock;
use crate::error::InternalError;
use crate::queue::{Doorbell, WorkerQueue};
use crate::runtime::{Error, EventFunction};
use crate::table::Table;

/// How many records are answered at once: a whole batch.
pub const MAX_CONCURRENT_RECORDS: usize = 10;

impl<P: Provider> EventFunction for Worker<P> {
    type Event = SqsEvent;
    type Answer = SqsBatchResponse;

    /// Time to write down the outcome of what was begun: three writes, slow ones.
    const RESERVE: Duration = Duration::from_secs(10);

    /// Reads `TABLE_NAME`, `QUEUE_URL`, `DEAD_LETTER_QUEUE_URL`, `CLOCK_OFFSET_MS` and the
    /// provider's own variables.
    fn from_env() -> Result<Worker<P>, Error> {
        let aws = Aws::from_env()?;
        Ok(Worker {
            table: Table::from_env(&aws)?,
            queue: WorkerQueue::from_env(&aws)?,
            clock: Clock::from_env()?,
            provider: P::from_env(&aws)?,
            channels: ChannelCache::default(),
        })
    }

    /// Answers a batch of doorbells, all at once. Most are for different conversations; of two for
    /// the same conversation, one is answered.
    async fn handle(
        &self,
        event: SqsEvent,
        until: Instant,
    ) -> Result<SqsBatchResponse, InternalError> {
        let failed = stream::iter(event.records)
            .map(|record| answer_record(self, record, until))
            .buffer_unordered(MAX_CONCURRENT_RECORDS)
            .filter_map(std::future::ready);

        let mut response = SqsBatchResponse::default();
        response.batch_item_failures = failed.collect().await;
        Ok(response)
    }
}

/// Answers one record; returns its id if SQS has to bring it again.
async fn answer_record<P: Provider>(
    worker: &Worker<P>,
    record: SqsMessage,
    until: Instant,
) -> Option<BatchItemFailure> {
    let id = record.message_id.unwrap_or_default();
    let outcome = match parse(record.body.as_deref()) {
        Ok(doorbell) => worker.answer(&doorbell, record.receipt_handle.as_deref(), until).await,
        Err(error) => Err(error),
    };

    match outcome {
        Ok(outcome) => {
            tracing::debug!(record = id, ?outcome, "doorbell answered");
            None
        }
        Err(error) => {
            let error = error.chain();
            tracing::error!(record = id, error, "doorbell not answered; it will ring again");
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            Some(failure)
        }
    }
}

fn parse(body: Option<&str>) -> Result<Doorbell, InternalError> {
    serde_json::from_str(body.unwrap_or_default())
        .map_err(|error| InternalError::unreadable("a doorbell", &error))
}
