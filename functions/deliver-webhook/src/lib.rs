//! Sends events to the endpoints of businesses, signed, and those of one subject in their order.
//!
//! The table is the queue, as it is with messages, and SQS only rings: SQS as the timer would have
//! each event that waits for its next attempt in flight, for hours, and of those a queue has
//! [120,000](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html):
//! one endpoint that is gone could stop all others'.

pub mod call;

use std::time::Duration;

use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::stream::{self, StreamExt};
use tokio::time::Instant;
use tracing::Level;

use call::{EndpointClient, PostOutcome};
use domain::webhook::schedule::{ANSWER_TIMEOUT, GIVE_UP_AFTER, after_failure};
use domain::webhook::{AttemptResult, DeliveryStatus, EndpointHealth, EndpointStatus, NextAttempt};
use platform::aws::Aws;
use platform::clock::Clock;
use platform::error::InternalError;
use platform::event_view::ShownEvent;
use platform::origin::api_url_from_env;
use platform::queue::{EventBell, EventBells};
use platform::runtime::{Error, EventFunction};
use platform::settings;
use platform::table::record::{Endpoint, EndpointAttempt, EventDelivery};
use platform::table::{DeliveryLine, Table};
use platform::telemetry::metrics::MetricRecord;

/// How many records are answered at once: a whole batch.
const MAX_CONCURRENT_RECORDS: usize = 10;

/// How long a worker has a delivery: longer than an attempt and the writes around it, and than the
/// function itself runs.
const LEASE: TimeDelta = TimeDelta::seconds(45);

/// The function.
#[derive(Debug, Clone)]
pub struct DeliverWebhook {
    table: Table,
    clock: Clock,
    bells: EventBells,
    client: EndpointClient,
    origin: String,
}

impl EventFunction for DeliverWebhook {
    type Event = SqsEvent;
    type Answer = SqsBatchResponse;

    /// An attempt, and the writes of its outcome.
    const RESERVE: Duration = Duration::from_secs(ANSWER_TIMEOUT.as_secs() + 5);

    /// Reads `TABLE_NAME`, `WEBHOOK_QUEUE_URL`, `WEBHOOK_REACH`, `API_URL`, `CLOCK_OFFSET_MS` and
    /// what AWS clients need.
    fn from_env() -> Result<DeliverWebhook, Error> {
        let aws = Aws::from_env()?;
        Ok(DeliverWebhook {
            table: Table::from_env(&aws)?,
            clock: Clock::from_env()?,
            bells: EventBells::from_env(&aws)?,
            client: EndpointClient::new(settings::webhook_reach()?)?,
            origin: api_url_from_env()?,
        })
    }

    async fn handle(
        &self,
        event: SqsEvent,
        until: Instant,
    ) -> Result<SqsBatchResponse, InternalError> {
        let failed = stream::iter(event.records)
            .map(|record| self.answer_record(record, until))
            .buffer_unordered(MAX_CONCURRENT_RECORDS)
            .filter_map(std::future::ready);

        let mut response = SqsBatchResponse::default();
        response.batch_item_failures = failed.collect().await;
        Ok(response)
    }
}

/// Where an endpoint stands after an attempt.
struct Attempted {
    endpoint: Option<Endpoint>,
    goes_on: bool,
}

impl DeliverWebhook {
    /// Answers one record; returns its id if SQS has to bring it again.
    async fn answer_record(&self, record: SqsMessage, until: Instant) -> Option<BatchItemFailure> {
        let id = record.message_id.unwrap_or_default();
        let bell = EventBell::parse(record.body.as_deref().unwrap_or_default());
        let outcome = match bell {
            Ok(bell) => self.work_off(bell.line(), until).await,
            Err(error) => Err(error),
        };

        let error = outcome.err()?.chain();
        tracing::error!(record = id, error, "bell not answered; it will ring again");
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = id;
        Some(failure)
    }

    /// Delivers the events of one subject to one endpoint, one after the other, until one has to
    /// wait.
    async fn work_off(&self, line: DeliveryLine, until: Instant) -> Result<(), InternalError> {
        let found = self.table.endpoint(line.business_id, line.endpoint_id).await?;
        let mut endpoint = found;

        loop {
            let pending = self.table.pending_deliveries(line).await?;
            let Some((head, others)) = pending.split_first() else { return Ok(()) };
            let now = self.clock.now();

            let Some(known) = &endpoint else {
                for delivery in &pending {
                    self.table.drop_delivery(line, delivery.sequence).await?;
                }

                return Ok(());
            };
            // It is another worker's, which goes on with the others.
            if head.lease_until.is_some_and(|until| now < until) {
                return Ok(());
            }

            if known.status == EndpointStatus::Disabled || now - head.since > GIVE_UP_AFTER {
                self.table.end_delivery(line, head, DeliveryStatus::Failed, None).await?;
                count("failed", line, head, None);
                continue;
            }

            if let Some(quiet_until) = known.health.is_quiet(now) {
                let at = quiet_until + spread_of(quiet_until - now);
                self.table.postpone_delivery(line, head, at, None).await?;
                return self.queue_behind(line, others, at).await;
            }

            if let Some(at) = head.not_before.filter(|at| now < *at) {
                return self.queue_behind(line, others, at).await;
            }

            if Instant::now() >= until {
                return self.bells.ring(&EventBell::of(line)).await;
            }

            let Attempted { endpoint: after, goes_on } =
                self.attempt(line, head, known.clone(), now).await?;
            if !goes_on {
                return Ok(());
            }

            endpoint = after;
        }
    }

    /// Has deliveries that wait for another one looked at when that is, and not every minute.
    async fn queue_behind(
        &self,
        line: DeliveryLine,
        others: &[EventDelivery],
        at: DateTime<Utc>,
    ) -> Result<(), InternalError> {
        for other in others.iter().filter(|other| other.due.is_some_and(|due| due < at)) {
            self.table.queue_delivery_behind(line, other, at).await?;
        }
        Ok(())
    }

    /// Makes one attempt, and writes down its outcome.
    async fn attempt(
        &self,
        line: DeliveryLine,
        head: &EventDelivery,
        endpoint: Endpoint,
        now: DateTime<Utc>,
    ) -> Result<Attempted, InternalError> {
        let stays = |endpoint| Attempted { endpoint, goes_on: false };
        if !self.table.claim_delivery(line, head, now + LEASE).await? {
            return Ok(stays(Some(endpoint)));
        }

        let claimed = EventDelivery { attempts: head.attempts + 1, ..head.clone() };

        let event = self.table.event(line.business_id, head.sequence).await?;
        let Some(event) = event else {
            // Its time is over, and so is the delivery's.
            self.table.drop_delivery(line, head.sequence).await?;
            return Ok(Attempted { endpoint: Some(endpoint), goes_on: true });
        };

        let current = self.table.messages_of_events(line.business_id, [&event]).await?;
        let shown = ShownEvent::of(&event, &current);
        let body = serde_json::to_string(&shown.view(line.business_id, &self.origin))
            .map_err(|error| InternalError::because("writing an event", error))?;

        let id = event.id.to_string();
        let secrets = endpoint.signing_secrets(now);
        let outcome = self.client.post(&endpoint.url, secrets, &id, body, now).await;
        let attempt = &outcome.attempt;
        match AttemptResult::of_status(attempt.status) {
            AttemptResult::Delivered => {
                let status = DeliveryStatus::Delivered;
                self.table.end_delivery(line, &claimed, status, Some(attempt)).await?;
                count("delivered", line, &claimed, Some(attempt));
                let endpoint = self.succeeded(line, endpoint).await?;
                Ok(Attempted { endpoint: Some(endpoint), goes_on: true })
            }
            AttemptResult::Gone => {
                self.table.delete_endpoint(line.business_id, line.endpoint_id).await?;
                count("gone", line, &claimed, Some(attempt));
                Ok(Attempted { endpoint: None, goes_on: true })
            }
            AttemptResult::Failed => self.failed(line, claimed, endpoint, outcome).await,
        }
    }

    /// Forgets that an endpoint has failed.
    async fn succeeded(
        &self,
        line: DeliveryLine,
        endpoint: Endpoint,
    ) -> Result<Endpoint, InternalError> {
        if endpoint.health == EndpointHealth::default() {
            return Ok(endpoint);
        }

        let DeliveryLine { business_id, endpoint_id, .. } = line;
        let health = EndpointHealth::default();
        let enabled = EndpointStatus::Enabled;
        self.table.note_endpoint_health(business_id, endpoint_id, health, enabled).await?;
        Ok(Endpoint { health, ..endpoint })
    }

    /// Writes down an attempt that failed: the delivery waits or is given up, and the endpoint is
    /// left alone for a while, or switched off.
    async fn failed(
        &self,
        line: DeliveryLine,
        claimed: EventDelivery,
        endpoint: Endpoint,
        outcome: PostOutcome,
    ) -> Result<Attempted, InternalError> {
        let PostOutcome { attempt, asked_wait } = outcome;
        let DeliveryLine { business_id, endpoint_id, .. } = line;
        let now = self.clock.now();
        let jitter = rand::random();
        let next = after_failure(claimed.attempts, claimed.since, now, jitter, asked_wait);
        let goes_on = match next {
            NextAttempt::At(at) => {
                self.table.postpone_delivery(line, &claimed, at, Some(&attempt)).await?;
                count("retried", line, &claimed, Some(&attempt));
                // A bell that is not rung is the sweeper's, and so is one beyond SQS's reach.
                if let Err(error) = self.bells.ring_at(&EventBell::of(line), at, now).await {
                    tracing::warn!(error = error.chain(), "bell not rung; the sweeper will ring");
                }

                false
            }
            NextAttempt::GiveUp => {
                let status = DeliveryStatus::Failed;
                self.table.end_delivery(line, &claimed, status, Some(&attempt)).await?;
                count("failed", line, &claimed, Some(&attempt));
                true
            }
        };

        let health = endpoint.health.after_failure(now);
        let status = match health.is_hopeless(now) {
            true => EndpointStatus::Disabled,
            false => endpoint.status,
        };

        self.table.note_endpoint_health(business_id, endpoint_id, health, status).await?;
        if status == EndpointStatus::Disabled {
            count("disabled", line, &claimed, Some(&attempt));
        }
        Ok(Attempted { endpoint: Some(Endpoint { health, status, ..endpoint }), goes_on })
    }
}

/// Writes a line about a delivery, and counts its outcome.
fn count(
    outcome: &'static str,
    line: DeliveryLine,
    delivery: &EventDelivery,
    attempt: Option<&EndpointAttempt>,
) {
    let level = if outcome == "delivered" { Level::INFO } else { Level::WARN };
    MetricRecord::new(level, "event delivery")
        .by("Outcome", outcome)
        .count("EventDeliveries")
        .with("business", line.business_id)
        .with("endpoint", line.endpoint_id)
        .with("event", delivery.event_id)
        .with("sequence", delivery.sequence)
        .with("attempts", delivery.attempts)
        .with("status", attempt.and_then(|attempt| attempt.status))
        .with("fault", attempt.and_then(|attempt| attempt.fault.as_deref()))
        .with("took_ms", attempt.map(|attempt| attempt.took_ms))
        .write();
}

/// Returns a random part of a fifth of `wait`, so that what waits does not come back at once.
fn spread_of(wait: TimeDelta) -> TimeDelta {
    let fifth = wait.num_milliseconds().max(0) / 5;
    let part: f64 = rand::random();
    TimeDelta::milliseconds((fifth as f64 * part) as i64)
}
