//! The outbox: which conversations are promised to be looked at, and when.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use chrono::serde::ts_milliseconds;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Table, key, millis, text, update};
use crate::error::InternalError;
use domain::{BusinessId, ConversationId};

/// A conversation that is, or will be, due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueConversation {
    /// Whose.
    pub business: BusinessId,
    /// Which.
    pub conversation: ConversationId,
    /// Since when, or from when on.
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
    ) -> Result<(Vec<DueConversation>, Option<Cursor>), InternalError> {
        let call = self
            .outbox(bucket, page)
            .key_condition_expression("outbox_bucket = :bucket AND due <= :now");
        promised(call.expression_attribute_values(":now", millis(now))).await
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
    ) -> Result<(Vec<DueConversation>, Option<Cursor>), InternalError> {
        promised(self.outbox(bucket, page).key_condition_expression("outbox_bucket = :bucket"))
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
        b: BusinessId,
        c: ConversationId,
        now: DateTime<Utc>,
    ) -> Result<bool, InternalError> {
        let call = self
            .change(&key::conversation(b, c))
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
async fn promised(
    call: QueryFluentBuilder,
) -> Result<(Vec<DueConversation>, Option<Cursor>), InternalError> {
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
            .map(|(business, conversation)| DueConversation { business, conversation, since })
            .ok_or_else(|| InternalError::new("reading whose conversation is due"))
    });

    Ok((rows.collect::<Result<_, _>>()?, answer.last_evaluated_key.map(Cursor)))
}

/// Where a page ended.
#[derive(Debug)]
pub struct Cursor(pub(super) super::Item);
