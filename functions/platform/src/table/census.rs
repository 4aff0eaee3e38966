//! Going through the whole table, for operators: there is no index of all messages, because nothing
//! that is in a hurry needs one. Each page is [1
//! MB](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Scan.html) of items read,
//! whatever is found in it, and is paid for as such.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{Cursor, Table, key, read, text, value};
use crate::error::InternalError;
use domain::delivery::{Reason, Status};
use domain::{BusinessId, ConversationId, MessageId, Month, Seq};

/// Which messages are looked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct MessageFilter {
    /// Of this business alone.
    pub business: Option<BusinessId>,
    /// FoundMessage in this month alone.
    pub month: Option<Month>,
    /// Which have come this far, and no further.
    pub status: Option<Status>,
}

/// A message without what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundMessage {
    /// Whose.
    pub business: BusinessId,
    /// In which conversation.
    pub conversation: ConversationId,
    /// Its id.
    pub id: MessageId,
    /// Its place.
    pub seq: Seq,
    /// The month it counts in.
    pub month: Month,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// How far it has come.
    pub status: Status,
    /// How often it was handed over.
    pub attempts: u32,
    /// Why it was not taken the last time.
    pub error: Option<Reason>,
}

#[derive(Deserialize)]
struct Row {
    pk: String,
    id: MessageId,
    seq: Seq,
    month: Month,
    created_at: DateTime<Utc>,
    status: Status,
    attempts: u32,
    #[serde(default)]
    error: Option<Reason>,
}

impl Table {
    /// One page of the table: the messages in it that are looked for, how many items it had, and
    /// where it ended. Consistent: every message that was accepted before the first page was asked
    /// for is in one of the pages.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn census(
        &self,
        sought: MessageFilter,
        page: Option<Cursor>,
    ) -> Result<(Vec<FoundMessage>, usize, Option<Cursor>), InternalError> {
        let mut filter = String::from("begins_with(sk, :messages)");
        let mut call = self.client.scan().table_name(&self.name).consistent_read(true);
        call = call.expression_attribute_values(":messages", text(key::MESSAGE_PREFIX));
        if let Some(business) = sought.business {
            filter += " AND begins_with(pk, :of)";
            call = call.expression_attribute_values(":of", text(key::conversations_of(business)));
        }
        if let Some(month) = sought.month {
            filter += " AND #month = :month";
            call = call.expression_attribute_values(":month", value(&month));
        }
        if let Some(status) = sought.status {
            filter += " AND #status = :status";
            call = call.expression_attribute_values(":status", value(&status));
        }
        for (name, attribute) in [("#month", "month"), ("#status", "status"), ("#error", "error")] {
            call = call.expression_attribute_names(name, attribute);
        }
        let call = call
            .filter_expression(filter)
            .projection_expression("pk, id, seq, #month, created_at, #status, attempts, #error")
            .set_exclusive_start_key(page.map(|page| page.0));
        let answer = call.send().await.map_err(|error| InternalError::aws("Scan", error))?;
        let scanned = usize::try_from(answer.scanned_count).unwrap_or_default();
        let messages =
            answer.items.unwrap_or_default().into_iter().map(counted).collect::<Result<_, _>>()?;
        Ok((messages, scanned, answer.last_evaluated_key.map(Cursor)))
    }

    /// One page of the table: the months that are open in it, whosever, how many items it had, and
    /// where it ended.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn open_months(
        &self,
        page: Option<Cursor>,
    ) -> Result<(Vec<(BusinessId, Month)>, usize, Option<Cursor>), InternalError> {
        let call = self
            .client
            .scan()
            .table_name(&self.name)
            .consistent_read(true)
            .filter_expression("begins_with(sk, :months)")
            .expression_attribute_values(":months", text(key::QUOTA_PREFIX))
            .projection_expression("pk, sk")
            .set_exclusive_start_key(page.map(|page| page.0));
        let answer = call.send().await.map_err(|error| InternalError::aws("Scan", error))?;
        let scanned = usize::try_from(answer.scanned_count).unwrap_or_default();
        let months =
            answer.items.unwrap_or_default().into_iter().map(month).collect::<Result<_, _>>()?;
        Ok((months, scanned, answer.last_evaluated_key.map(Cursor)))
    }

    /// The months of one business that are open.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn months_of(
        &self,
        business: BusinessId,
    ) -> Result<Vec<(BusinessId, Month)>, InternalError> {
        let mut months = Vec::new();
        let mut page = None;
        loop {
            let call = self
                .client
                .query()
                .table_name(&self.name)
                .consistent_read(true)
                .key_condition_expression("pk = :pk AND begins_with(sk, :months)")
                .expression_attribute_values(":pk", text(key::plan(business).pk))
                .expression_attribute_values(":months", text(key::QUOTA_PREFIX))
                .projection_expression("pk, sk")
                .set_exclusive_start_key(page.take());
            let answer = call.send().await.map_err(|error| InternalError::aws("Query", error))?;
            for item in answer.items.unwrap_or_default() {
                months.push(month(item)?);
            }
            page = answer.last_evaluated_key;
            if page.is_none() {
                return Ok(months);
            }
        }
    }

    /// What a month's counters say is used; `None` if the month is not open.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn counters(
        &self,
        b: BusinessId,
        month: Month,
    ) -> Result<Option<domain::quota::Usage>, InternalError> {
        match self.get::<super::record::QuotaHead>(&key::quota_head(b, month)).await? {
            Some(head) => self.usage(b, month, Some(&head), None).await.map(Some),
            None => Ok(None),
        }
    }
}

fn counted(item: super::Item) -> Result<FoundMessage, InternalError> {
    let Row { pk, id, seq, month, created_at, status, attempts, error } = read(item)?;
    let whose = key::parse_conversation_partition(&pk);
    let (business, conversation) =
        whose.ok_or_else(|| InternalError::new("reading whose message it is"))?;
    Ok(FoundMessage { business, conversation, id, seq, month, created_at, status, attempts, error })
}

fn month(item: super::Item) -> Result<(BusinessId, Month), InternalError> {
    #[derive(Deserialize)]
    struct Keys {
        pk: String,
        sk: String,
    }
    let Keys { pk, sk } = read(item)?;
    key::parse_quota_head(&pk, &sk).ok_or_else(|| InternalError::new("reading whose month it is"))
}
