//! The outbox: which conversations are promised to be looked at, and when.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::Select;
use chrono::serde::ts_milliseconds;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::record::Conversation;
use super::{Cursor, Page, Table, key, millis, text, update};
use crate::error::InternalError;
use domain::{BusinessId, ConversationId};

/// A conversation that is, or will be, due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueConversation {
    /// The business it belongs to.
    pub business_id: BusinessId,
    /// The conversation's id.
    pub conversation_id: ConversationId,
    /// The time at which it became or becomes due.
    pub since: DateTime<Utc>,
}

impl Table {
    /// The conversations of one bucket that are due at `now`, longest due first, `limit` at a time
    /// or as many as DynamoDB reads at once; `page` is where the page before ended.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn due(
        &self,
        bucket: &str,
        now: DateTime<Utc>,
        limit: Option<i32>,
        page: Option<Cursor>,
    ) -> Result<Page<DueConversation>, InternalError> {
        read_due(self.due_in(bucket, now, page).set_limit(limit)).await
    }

    /// How many entries of one bucket, of whichever kind, are due at `now` from a page on.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn count_due(
        &self,
        bucket: &str,
        now: DateTime<Utc>,
        page: Cursor,
    ) -> Result<usize, InternalError> {
        let call = self.due_in(bucket, now, Some(page)).select(Select::Count);
        let mut pages = call.into_paginator().send();
        let mut count = 0;
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| InternalError::aws("Query", error))?;
            count += usize::try_from(page.count).unwrap_or_default();
        }
        Ok(count)
    }

    /// The conversations of up to 100 entries as they are now, which the index lags behind: as many
    /// as one
    /// [BatchGetItem](https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html)
    /// reads.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn conversations(
        &self,
        entries: impl IntoIterator<Item = DueConversation>,
    ) -> Result<HashMap<ConversationId, Conversation>, InternalError> {
        let keys =
            entries.into_iter().map(|due| key::conversation(due.business_id, due.conversation_id));
        let rows = self.get_all(keys).await?.into_iter().map(|item| {
            let partition = item.get(key::PK).and_then(|pk| pk.as_s().ok());
            let (_, conversation_id) = partition
                .and_then(|pk| key::parse_conversation_partition(pk))
                .ok_or_else(|| InternalError::new("reading a conversation by its key"))?;
            Ok((conversation_id, super::read(item)?))
        });
        rows.collect()
    }

    /// Begins a query of what is due in one bucket.
    pub(super) fn due_in(
        &self,
        bucket: &str,
        now: DateTime<Utc>,
        page: Option<Cursor>,
    ) -> QueryFluentBuilder {
        self.outbox(bucket, page)
            .key_condition_expression("outbox_bucket = :bucket AND due <= :now")
            .expression_attribute_values(":now", millis(now))
    }

    /// All conversations of one bucket, due or not: whichever has a message that is not settled, a
    /// moment after that message was accepted. Pages are as those of [`Table::due`].
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn unsettled(
        &self,
        bucket: &str,
        page: Option<Cursor>,
    ) -> Result<Page<DueConversation>, InternalError> {
        read_due(self.outbox(bucket, page).key_condition_expression("outbox_bucket = :bucket"))
            .await
    }

    /// Begins a query of one bucket.
    pub(super) fn outbox(&self, bucket: &str, page: Option<Cursor>) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.name)
            .index_name(key::OUTBOX_INDEX)
            .expression_attribute_values(":bucket", text(bucket))
            .set_exclusive_start_key(page.map(|page| page.0))
    }

    /// Makes a conversation due now if it has anything left to send and nothing keeps it from being
    /// sent: for customers who are back. One that must wait is due when it may be sent anyway;
    /// until then the sweeper would ring in vain.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn make_due(
        &self,
        business_id: BusinessId,
        conversation_id: ConversationId,
        now: DateTime<Utc>,
    ) -> Result<bool, InternalError> {
        let call = self
            .change(&key::conversation(business_id, conversation_id))
            .update_expression("SET due = :now")
            .condition_expression(
                "settled_seq < seq AND attribute_exists(due) AND (attribute_exists(lease_until) \
                 OR attribute_not_exists(not_before) OR not_before <= :now)",
            )
            .expression_attribute_values(":now", millis(now));
        Ok(update::<IgnoredAny>(call).await?.is_done())
    }
}

async fn read_due(call: QueryFluentBuilder) -> Result<Page<DueConversation>, InternalError> {
    #[derive(Deserialize)]
    struct Row {
        pk: String,
        #[serde(with = "ts_milliseconds")]
        due: DateTime<Utc>,
    }

    let due = |Row { pk, due: since }: Row| {
        let (business_id, conversation_id) = key::parse_conversation_partition(&pk)?;
        Some(DueConversation { business_id, conversation_id, since })
    };
    read_page(call, due).await
}

/// Runs one query of the outbox, and reads each row; `parse` returns `None` for a key that is none
/// of ours.
pub(super) async fn read_page<R: DeserializeOwned, T>(
    call: QueryFluentBuilder,
    parse: impl Fn(R) -> Option<T>,
) -> Result<Page<T>, InternalError> {
    let answer = call.send().await.map_err(|error| InternalError::aws("Query", error))?;
    let rows = answer.items.unwrap_or_default().into_iter().map(|item| {
        parse(super::read(item)?)
            .ok_or_else(|| InternalError::new("reading what is due by its key"))
    });

    Ok(Page {
        records: rows.collect::<Result<_, _>>()?,
        items_read: usize::try_from(answer.scanned_count).unwrap_or_default(),
        end: answer.last_evaluated_key.map(Cursor),
    })
}
