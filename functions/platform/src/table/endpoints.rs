//! The endpoints of a business: at most ten, made, changed and deleted by its callers.

use aws_sdk_dynamodb::types::{Delete, TransactWriteItem, Update};
use serde::Deserialize;

use super::cancellation::{is_contended, is_refused};
use super::record::Endpoint;
use super::{
    Backoff, CONTENTION_BUDGET, Table, WriteOutcome, item, key, number, read_all, text, update,
    value,
};
use crate::error::InternalError;
use domain::webhook::{EndpointHealth, EndpointStatus, MAX_ENDPOINTS};
use domain::{BusinessId, EndpointId};

/// The outcome of making an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateEndpointOutcome {
    /// It is there.
    Created,
    /// The business has as many as it may have.
    TooMany,
}

impl Table {
    /// Makes an endpoint, and counts it.
    ///
    /// # Errors
    /// If DynamoDB does not answer, or contention lasts.
    pub async fn create_endpoint(
        &self,
        business_id: BusinessId,
        endpoint_id: EndpointId,
        endpoint: &Endpoint,
    ) -> Result<CreateEndpointOutcome, InternalError> {
        let count = Update::builder()
            .table_name(&self.name)
            .set_key(Some(key::endpoint_count(business_id).attributes()))
            .update_expression("ADD #count :one")
            .condition_expression("attribute_not_exists(pk) OR #count < :most")
            .expression_attribute_names("#count", "count")
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":most", number(MAX_ENDPOINTS))
            .build()
            .expect("table, key and expression are set");
        let put = self.put_new(item(&key::endpoint(business_id, endpoint_id), endpoint));
        let writes = vec![TransactWriteItem::builder().update(count).build(), put];

        let mut backoff = Backoff::new(CONTENTION_BUDGET);
        loop {
            match self.transact(writes.clone()).await {
                Ok(()) => return Ok(CreateEndpointOutcome::Created),
                Err(error) if is_refused(&error) => return Ok(CreateEndpointOutcome::TooMany),
                Err(error) if is_contended(&error) => {
                    if !backoff.wait().await {
                        return Err(InternalError::contended("TransactWriteItems"));
                    }
                }
                Err(error) => return Err(InternalError::aws("TransactWriteItems", error)),
            }
        }
    }

    /// Deletes an endpoint; false if there is none. What was on its way to it goes nowhere.
    ///
    /// # Errors
    /// If DynamoDB does not answer, or contention lasts.
    pub async fn delete_endpoint(
        &self,
        business_id: BusinessId,
        endpoint_id: EndpointId,
    ) -> Result<bool, InternalError> {
        let delete = Delete::builder()
            .table_name(&self.name)
            .set_key(Some(key::endpoint(business_id, endpoint_id).attributes()))
            .condition_expression("attribute_exists(pk)")
            .build()
            .expect("table and key are set");
        let count = Update::builder()
            .table_name(&self.name)
            .set_key(Some(key::endpoint_count(business_id).attributes()))
            .update_expression("ADD #count :less")
            .expression_attribute_names("#count", "count")
            .expression_attribute_values(":less", number(-1))
            .build()
            .expect("table, key and expression are set");
        let writes = vec![
            TransactWriteItem::builder().delete(delete).build(),
            TransactWriteItem::builder().update(count).build(),
        ];

        let mut backoff = Backoff::new(CONTENTION_BUDGET);
        loop {
            match self.transact(writes.clone()).await {
                Ok(()) => return Ok(true),
                Err(error) if is_refused(&error) => return Ok(false),
                Err(error) if is_contended(&error) => {
                    if !backoff.wait().await {
                        return Err(InternalError::contended("TransactWriteItems"));
                    }
                }
                Err(error) => return Err(InternalError::aws("TransactWriteItems", error)),
            }
        }
    }

    /// One endpoint.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn endpoint(
        &self,
        business_id: BusinessId,
        endpoint_id: EndpointId,
    ) -> Result<Option<Endpoint>, InternalError> {
        self.get(&key::endpoint(business_id, endpoint_id)).await
    }

    /// The endpoints of a business, by id.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn endpoints(
        &self,
        business_id: BusinessId,
    ) -> Result<Vec<(EndpointId, Endpoint)>, InternalError> {
        #[derive(Deserialize)]
        struct Row {
            sk: String,
            #[serde(flatten)]
            endpoint: Endpoint,
        }

        let call = self
            .query()
            .key_condition_expression("pk = :pk AND begins_with(sk, :endpoints)")
            .expression_attribute_values(":pk", text(key::plan(business_id).pk))
            .expression_attribute_values(":endpoints", text(key::ENDPOINT_PREFIX));
        let endpoint = |row: Row| {
            let id = key::parse_endpoint(&row.sk)
                .ok_or_else(|| InternalError::new("reading the id of an endpoint"))?;
            Ok((id, row.endpoint))
        };

        read_all(call).await?.into_iter().map(endpoint).collect()
    }

    /// Stores an endpoint as its caller has changed it, unless it has changed since it was read:
    /// false then, or if it is gone.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn change_endpoint(
        &self,
        business_id: BusinessId,
        endpoint_id: EndpointId,
        was: &Endpoint,
        is: &Endpoint,
    ) -> Result<bool, InternalError> {
        let mut set = vec!["#url = :url", "#status = :status", "secret = :secret"];
        let mut remove = Vec::new();
        let mut call = self
            .change(&key::endpoint(business_id, endpoint_id))
            .condition_expression(
                "#url = :was_url AND #status = :was_status AND secret = :was_secret",
            )
            .expression_attribute_names("#url", "url")
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":was_url", value(&was.url))
            .expression_attribute_values(":was_status", value(&was.status))
            .expression_attribute_values(":was_secret", value(&was.secret))
            .expression_attribute_values(":url", value(&is.url))
            .expression_attribute_values(":status", value(&is.status))
            .expression_attribute_values(":secret", value(&is.secret));

        match &is.events {
            Some(events) => {
                set.push("events = :events");
                call = call.expression_attribute_values(":events", value(events));
            }
            None => remove.push("events"),
        }

        match &is.description {
            Some(description) => {
                set.push("description = :description");
                call = call.expression_attribute_values(":description", value(description));
            }
            None => remove.push("description"),
        }

        match &is.former_secret {
            Some(former) => {
                set.push("former_secret = :former_secret");
                call = call.expression_attribute_values(":former_secret", value(former));
            }
            None => remove.push("former_secret"),
        }
        // Another address or another chance: what the endpoint has answered so far is over.
        if is.health != was.health {
            set.push("health = :health");
            call = call.expression_attribute_values(":health", value(&is.health));
        }

        let mut expression = format!("SET {}", set.join(", "));
        if !remove.is_empty() {
            expression.push_str(" REMOVE ");
            expression.push_str(&remove.join(", "));
        }

        match update::<Endpoint>(call.update_expression(expression)).await? {
            WriteOutcome::Done(_) => Ok(true),
            // Its own write, the answer to which was lost.
            WriteOutcome::Refused(now) => Ok(now == *is),
            WriteOutcome::Missing => Ok(false),
        }
    }

    /// Notes how an endpoint has answered, and whether it is sent events from now on.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn note_endpoint_health(
        &self,
        business_id: BusinessId,
        endpoint_id: EndpointId,
        health: EndpointHealth,
        status: EndpointStatus,
    ) -> Result<(), InternalError> {
        let call = self
            .change(&key::endpoint(business_id, endpoint_id))
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":health", value(&health));
        let call = match status {
            EndpointStatus::Enabled => call.update_expression("SET health = :health"),
            EndpointStatus::Disabled => call
                .update_expression("SET health = :health, #status = :status")
                .expression_attribute_names("#status", "status")
                .expression_attribute_values(":status", value(&status)),
        };

        update::<Endpoint>(call).await.map(drop)
    }
}
