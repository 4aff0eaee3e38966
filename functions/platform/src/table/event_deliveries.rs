//! Events on their way to endpoints: the worker's reads and conditional writes.
//!
//! The table is the queue, as it is with messages: a delivery is in the outbox while it is pending,
//! and SQS only rings. Each write asks for the number of attempts that was read, so of two workers
//! at one delivery the slower one changes nothing.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::outbox::read_page;
use super::record::{EndpointAttempt, Event, EventDelivery};
use super::{Cursor, Page, Table, item, key, millis, number, read_all, text, update, value};
use crate::error::InternalError;
use domain::event::{EventId, EventSequence, Subject};
use domain::webhook::DeliveryStatus;
use domain::{BusinessId, EndpointId};

/// The events of one subject on their way to one endpoint, which are delivered in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeliveryLine {
    /// The business.
    pub business_id: BusinessId,
    /// The endpoint.
    pub endpoint_id: EndpointId,
    /// The subject.
    pub subject: Subject,
}

impl DeliveryLine {
    fn key(&self, sequence: EventSequence) -> key::Key {
        key::event_delivery(self.business_id, self.endpoint_id, &self.subject, sequence)
    }
}

impl EventDelivery {
    /// Returns a delivery of `event` that is due at `now`.
    #[must_use]
    pub fn of(event: &Event, now: DateTime<Utc>) -> EventDelivery {
        EventDelivery {
            event_id: event.id,
            sequence: event.sequence,
            kind: event.kind,
            status: DeliveryStatus::Pending,
            attempts: 0,
            since: now,
            lease_until: None,
            not_before: None,
            due: Some(now),
            outbox_bucket: Some(key::webhook_bucket(event.sequence)),
            last_attempt: None,
            expires_at: event.expires_at,
        }
    }
}

impl Table {
    /// The deliveries of a line that are pending, in their order, read consistently.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn pending_deliveries(
        &self,
        line: DeliveryLine,
    ) -> Result<Vec<EventDelivery>, InternalError> {
        let call = self
            .query()
            .key_condition_expression("pk = :pk AND begins_with(sk, :subject)")
            .filter_expression("#status = :pending")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(
                ":pk",
                text(key::deliveries_partition(line.business_id, line.endpoint_id)),
            )
            .expression_attribute_values(":subject", text(key::delivery_prefix(&line.subject)))
            .expression_attribute_values(":pending", value(&DeliveryStatus::Pending));
        read_all(call).await
    }

    /// Begins an attempt at a delivery, which is this worker's until `until`; false if another
    /// worker was faster.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn claim_delivery(
        &self,
        line: DeliveryLine,
        seen: &EventDelivery,
        until: DateTime<Utc>,
    ) -> Result<bool, InternalError> {
        let call = self
            .of_attempts(line, seen)
            .update_expression("SET attempts = :next, lease_until = :until, due = :until")
            .expression_attribute_values(":next", number(seen.attempts + 1))
            .expression_attribute_values(":until", millis(until));
        Ok(update::<IgnoredAny>(call).await?.is_done())
    }

    /// Ends a delivery, with its last attempt if there was one; false if another worker has it.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn end_delivery(
        &self,
        line: DeliveryLine,
        seen: &EventDelivery,
        status: DeliveryStatus,
        attempt: Option<&EndpointAttempt>,
    ) -> Result<bool, InternalError> {
        let call =
            self.of_attempts(line, seen).expression_attribute_values(":status", value(&status));
        let set = "SET #status = :status";
        let remove = "REMOVE due, outbox_bucket, lease_until, not_before";
        let call = match attempt {
            None => call.update_expression(format!("{set} {remove}")),
            Some(attempt) => call
                .update_expression(format!("{set}, last_attempt = :attempt {remove}"))
                .expression_attribute_values(":attempt", value(attempt)),
        };
        Ok(update::<IgnoredAny>(call).await?.is_done())
    }

    /// Has a delivery wait until `at`, with its last attempt if there was one; false if another
    /// worker has it.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn postpone_delivery(
        &self,
        line: DeliveryLine,
        seen: &EventDelivery,
        at: DateTime<Utc>,
        attempt: Option<&EndpointAttempt>,
    ) -> Result<bool, InternalError> {
        let call = self.of_attempts(line, seen).expression_attribute_values(":at", millis(at));
        let set = "SET due = :at, not_before = :at";
        let call = match attempt {
            None => call.update_expression(format!("{set} REMOVE lease_until")),
            Some(attempt) => call
                .update_expression(format!("{set}, last_attempt = :attempt REMOVE lease_until"))
                .expression_attribute_values(":attempt", value(attempt)),
        };
        Ok(update::<IgnoredAny>(call).await?.is_done())
    }

    /// Has the outbox look at a delivery that waits for another one at `at`, and not before.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn queue_delivery_behind(
        &self,
        line: DeliveryLine,
        seen: &EventDelivery,
        at: DateTime<Utc>,
    ) -> Result<(), InternalError> {
        let call = self
            .of_attempts(line, seen)
            .update_expression("SET due = :at")
            .expression_attribute_values(":at", millis(at));
        update::<IgnoredAny>(call).await.map(drop)
    }

    /// Begins a write to a delivery that is still as it was seen.
    fn of_attempts(
        &self,
        line: DeliveryLine,
        seen: &EventDelivery,
    ) -> aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder {
        self.change(&line.key(seen.sequence))
            .condition_expression("#status = :pending AND attempts = :seen")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":pending", value(&DeliveryStatus::Pending))
            .expression_attribute_values(":seen", number(seen.attempts))
    }

    /// Sends an event to an endpoint once more, or for the first time.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn redeliver(
        &self,
        line: DeliveryLine,
        event: &Event,
        now: DateTime<Utc>,
    ) -> Result<(), InternalError> {
        let delivery = item(&line.key(event.sequence), &EventDelivery::of(event, now));
        let put = self.client.put_item().table_name(&self.name).set_item(Some(delivery));
        put.send().await.map(drop).map_err(|error| InternalError::aws("PutItem", error))
    }

    /// Removes a delivery whose endpoint is gone.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn drop_delivery(
        &self,
        line: DeliveryLine,
        sequence: EventSequence,
    ) -> Result<(), InternalError> {
        let key = Some(line.key(sequence).attributes());
        let delete = self.client.delete_item().table_name(&self.name).set_key(key);
        delete.send().await.map(drop).map_err(|error| InternalError::aws("DeleteItem", error))
    }

    /// One event, by its number.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn event(
        &self,
        business_id: BusinessId,
        sequence: EventSequence,
    ) -> Result<Option<Event>, InternalError> {
        self.get(&key::event(business_id, sequence)).await
    }

    /// The numbers of events by their ids; those of ids that are not known are missing.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn event_numbers(
        &self,
        business_id: BusinessId,
        ids: &[EventId],
    ) -> Result<Vec<EventSequence>, InternalError> {
        let mut numbers = Vec::new();
        for id in ids {
            let name: Option<super::record::EventName> =
                self.get(&key::event_name(business_id, *id)).await?;
            numbers.extend(name.map(|name| name.sequence));
        }
        Ok(numbers)
    }

    /// The deliveries of these events to an endpoint; of an event that it was not sent there is
    /// none.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn deliveries_of(
        &self,
        business_id: BusinessId,
        endpoint_id: EndpointId,
        events: &[Event],
    ) -> Result<Vec<EventDelivery>, InternalError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }

        let keys = events.iter().map(|event| {
            key::event_delivery(business_id, endpoint_id, &event.subject, event.sequence)
        });

        let found = self.get_all(keys).await?;
        let mut deliveries: Vec<EventDelivery> =
            found.into_iter().map(super::read).collect::<Result<_, _>>()?;
        deliveries.sort_by_key(|delivery| std::cmp::Reverse(delivery.sequence));
        Ok(deliveries)
    }

    /// The lines of one bucket that have a delivery due at `now`, longest due first; pages are as
    /// those of [`Table::due`].
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn due_deliveries(
        &self,
        bucket: &str,
        now: DateTime<Utc>,
        limit: i32,
        page: Option<Cursor>,
    ) -> Result<Page<(DeliveryLine, DateTime<Utc>)>, InternalError> {
        #[derive(Deserialize)]
        struct Row {
            pk: String,
            sk: String,
            #[serde(with = "chrono::serde::ts_milliseconds")]
            due: DateTime<Utc>,
        }

        let call = self.due_in(bucket, now, page).limit(limit);
        let line = |Row { pk, sk, due }: Row| {
            let (business_id, endpoint_id, subject) = key::parse_event_delivery(&pk, &sk)?;
            Some((DeliveryLine { business_id, endpoint_id, subject }, due))
        };

        read_page(call, line).await
    }
}
