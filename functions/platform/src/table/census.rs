//! Scans of the whole table, for operators: there is no index of all messages, because nothing
//! urgent needs one. Each page is [1
//! MB](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Scan.html) of items read,
//! whatever the filter finds in it, and is paid for as such.

use serde::Deserialize;

use super::{Cursor, OperatorTable, Page, key, read, read_all, text, value};
use crate::error::InternalError;
use domain::{BusinessId, Month};

/// A filter of messages; `None` lets everything through.
#[derive(Debug, Clone, Copy, Default)]
pub struct MessageFilter {
    /// Only this business's messages.
    pub business_id: Option<BusinessId>,
    /// Only messages counted in this month.
    pub month: Option<Month>,
}

/// A month of a business that messages are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenMonth {
    /// The business.
    pub business_id: BusinessId,
    /// The month.
    pub month: Month,
}

#[derive(Deserialize)]
struct MessageKeys {
    pk: String,
    month: Month,
}

impl OperatorTable<'_> {
    /// One page of the table: the month that each message counts in which passes the filter.
    /// Consistent: every message that was accepted before the first page was asked for is in one of
    /// the pages.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn census(
        self,
        sought: MessageFilter,
        page: Option<Cursor>,
    ) -> Result<Page<OpenMonth>, InternalError> {
        let mut filter = String::from("begins_with(sk, :messages)");
        let mut call = self.table.client.scan().table_name(&self.table.name).consistent_read(true);
        call = call.expression_attribute_values(":messages", text(key::MESSAGE_PREFIX));

        if let Some(business_id) = sought.business_id {
            filter += " AND begins_with(pk, :of)";
            call =
                call.expression_attribute_values(":of", text(key::conversations_of(business_id)));
        }

        if let Some(month) = sought.month {
            filter += " AND #month = :month";
            call = call.expression_attribute_values(":month", value(&month));
        }

        let call = call
            .filter_expression(filter)
            .expression_attribute_names("#month", "month")
            .projection_expression("pk, #month")
            .set_exclusive_start_key(page.map(|page| page.0));

        let answer = call.send().await.map_err(|error| InternalError::aws("Scan", error))?;
        let items_read = usize::try_from(answer.scanned_count).unwrap_or_default();
        let records = answer
            .items
            .unwrap_or_default()
            .into_iter()
            .map(|item| month_of_message(read(item)?))
            .collect::<Result<_, _>>()?;

        Ok(Page { records, items_read, end: answer.last_evaluated_key.map(Cursor) })
    }

    /// One page of the table: the open months of all businesses in it.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn open_months(self, page: Option<Cursor>) -> Result<Page<OpenMonth>, InternalError> {
        let call = self
            .table
            .client
            .scan()
            .table_name(&self.table.name)
            .consistent_read(true)
            .filter_expression("begins_with(sk, :months)")
            .expression_attribute_values(":months", text(key::QUOTA_PREFIX))
            .projection_expression("pk, sk")
            .set_exclusive_start_key(page.map(|page| page.0));

        let answer = call.send().await.map_err(|error| InternalError::aws("Scan", error))?;
        let items_read = usize::try_from(answer.scanned_count).unwrap_or_default();
        let records = answer
            .items
            .unwrap_or_default()
            .into_iter()
            .map(|item| open_month(read(item)?))
            .collect::<Result<_, _>>()?;

        Ok(Page { records, items_read, end: answer.last_evaluated_key.map(Cursor) })
    }

    /// The open months of one business.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn months_of(self, business_id: BusinessId) -> Result<Vec<OpenMonth>, InternalError> {
        let call = self
            .table
            .query()
            .key_condition_expression("pk = :pk AND begins_with(sk, :months)")
            .expression_attribute_values(":pk", text(key::plan(business_id).pk))
            .expression_attribute_values(":months", text(key::QUOTA_PREFIX))
            .projection_expression("pk, sk");
        read_all::<QuotaKeys>(call).await?.into_iter().map(open_month).collect()
    }

    /// A month's usage by its counters; `None` if the month is not open.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn counters(
        self,
        business_id: BusinessId,
        month: Month,
    ) -> Result<Option<domain::quota::Usage>, InternalError> {
        match self
            .table
            .get::<super::record::QuotaHead>(&key::quota_head(business_id, month))
            .await?
        {
            Some(head) => self.table.usage(business_id, month, Some(&head), None).await.map(Some),
            None => Ok(None),
        }
    }
}

fn month_of_message(MessageKeys { pk, month }: MessageKeys) -> Result<OpenMonth, InternalError> {
    let (business_id, _) = key::parse_conversation_partition(&pk)
        .ok_or_else(|| InternalError::new("reading the conversation of a message"))?;
    Ok(OpenMonth { business_id, month })
}

#[derive(Deserialize)]
struct QuotaKeys {
    pk: String,
    sk: String,
}

fn open_month(QuotaKeys { pk, sk }: QuotaKeys) -> Result<OpenMonth, InternalError> {
    let (business_id, month) = key::parse_quota_head(&pk, &sk)
        .ok_or_else(|| InternalError::new("reading the business of a month"))?;
    Ok(OpenMonth { business_id, month })
}
