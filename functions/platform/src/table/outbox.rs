//! The outbox: which conversations are promised to be looked at, and when.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use chrono::serde::ts_milliseconds;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::IgnoredAny;

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
    /// The conversations of one bucket that are due at `now`, longest due first, a page of the
    /// index at a time; `page` is where the page before ended.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn due(
        &self,
        bucket: &str,
        now: DateTime<Utc>,
        page: Option<Cursor>,
    ) -> Result<Page<DueConversation>, InternalError> {
        let call = self
            .outbox(bucket, page)
            .key_condition_expression("outbox_bucket = :bucket AND due <= :now");
        read_due(call.expression_attribute_values(":now", millis(now))).await
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

    fn outbox(&self, bucket: &str, page: Option<Cursor>) -> QueryFluentBuilder {
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

/// Runs one query of the outbox.
async fn read_due(call: QueryFluentBuilder) -> Result<Page<DueConversation>, InternalError> {
    #[derive(Deserialize)]
    struct Row {
        pk: String,
        #[serde(with = "ts_milliseconds")]
        due: DateTime<Utc>,
    }

    let answer = call.send().await.map_err(|error| InternalError::aws("Query", error))?;
    let rows = answer.items.unwrap_or_default().into_iter().map(|item| {
        let Row { pk, due: since } = super::read(item)?;
        key::parse_conversation_partition(&pk)
            .map(|(business_id, conversation_id)| DueConversation {
                business_id,
                conversation_id,
                since,
            })
            .ok_or_else(|| InternalError::new("reading whose conversation is due"))
    });

    Ok(Page {
        records: rows.collect::<Result<_, _>>()?,
        items_read: usize::try_from(answer.scanned_count).unwrap_or_default(),
        end: answer.last_evaluated_key.map(Cursor),
    })
}
