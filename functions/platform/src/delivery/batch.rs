//! A batch of bells, record by record: one that cannot be read or answered fails alone and comes
//! back alone ([partial batch
//! responses](https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html)).

use std::time::Duration;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use futures_util::stream::{self, StreamExt};
use lambda_runtime::LambdaEvent;
use tokio::time::Instant;

use super::Provider;
use super::worker::Worker;
use crate::broken::Broken;
use crate::clock;
use crate::queue::Bell;

/// The worker begins nothing this long before Lambda would stop it, so that it can write down what
/// came of what it has begun: three writes, slow ones.
const RESERVE: Duration = Duration::from_secs(10);

/// Answers a batch of bells, all at once: most are for different conversations, and of two for the
/// same one is answered.
pub async fn serve<P: Provider>(
    worker: &Worker<P>,
    event: LambdaEvent<SqsEvent>,
) -> SqsBatchResponse {
    let until = Instant::now() + clock::time_left(event.context.deadline()).saturating_sub(RESERVE);
    let records = event.payload.records;
    let failed =
        stream::iter(records).map(|record| one(worker, record, until)).buffer_unordered(10);
    let batch_item_failures = failed.filter_map(std::future::ready).collect().await;
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = batch_item_failures;
    response
}

/// Answers one record; returns its id if it has to come again.
async fn one<P: Provider>(
    worker: &Worker<P>,
    record: SqsMessage,
    until: Instant,
) -> Option<BatchItemFailure> {
    let id = record.message_id.unwrap_or_default();
    let heard = match parse(record.body.as_deref()) {
        Ok(bell) => worker.answer(&bell, until).await,
        Err(broken) => Err(broken),
    };
    match heard {
        Ok(heard) => {
            tracing::debug!(record = id, ?heard, "bell answered");
            None
        }
        Err(broken) => {
            tracing::error!(
                record = id,
                error = broken.chain(),
                "bell not answered; it will ring again"
            );
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            Some(failure)
        }
    }
}

fn parse(body: Option<&str>) -> Result<Bell, Broken> {
    serde_json::from_str(body.unwrap_or_default())
        .map_err(|error| Broken::unreadable("a bell", &error))
}
