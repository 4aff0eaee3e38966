//! A month's limit and what is used of it: opening the month and reading it.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{ConditionCheck, TransactWriteItem};

use super::record::{Plan, QuotaHead};
use super::{Backoff, Table, item, key, number};
use crate::error::{self, InternalError};
use domain::quota::{self, Shard, Usage};
use domain::{BusinessId, Month};

impl Table {
    /// Opens a month that is not open yet, and returns its head, even if another caller opened it.
    ///
    /// One transaction: the plan is still the one that the caps were made of, and neither head nor
    /// shard exists. So a month is opened once, with caps that add up to its limit, however many
    /// callers come first.
    ///
    /// # Errors
    /// If DynamoDB does not answer, contention outlasts the budget, or the business has no plan.
    pub async fn open_month(
        &self,
        business_id: BusinessId,
        month: Month,
    ) -> Result<QuotaHead, InternalError> {
        let mut backoff = Backoff::new(super::CONTENTION_BUDGET);
        loop {
            if let Some(head) = self.get(&key::quota_head(business_id, month)).await? {
                return Ok(head);
            }
            let plan = self
                .plan(business_id)
                .await?
                .ok_or_else(|| InternalError::new("opening a month without a plan"))?;
            let (head, actions) = self.opening(business_id, month, &plan);
            match self.transact(actions).await {
                Ok(()) => return Ok(head),
                Err(error) if !is_cancelled(&error) => {
                    return Err(InternalError::aws("TransactWriteItems", error));
                }
                // Another caller opened it, or the plan changed: look again.
                Err(error) if !backoff.wait().await => {
                    return Err(InternalError::contended("TransactWriteItems", error));
                }
                Err(_) => {}
            }
        }
    }

    fn opening(
        &self,
        business_id: BusinessId,
        month: Month,
        plan: &Plan,
    ) -> (QuotaHead, Vec<TransactWriteItem>) {
        let shards = quota::open(plan.max_messages_per_month, plan.shards);
        let count = u16::try_from(shards.len()).expect("at most 64");
        let head =
            QuotaHead { limit: plan.max_messages_per_month, shards: count, version: plan.version };

        let check = ConditionCheck::builder()
            .table_name(&self.name)
            .set_key(Some(key::plan(business_id).attributes()))
            .condition_expression("version = :version")
            .expression_attribute_values(":version", number(plan.version));

        let check = check.build().expect("table, key and condition are set");
        let keys = (0..).map(|index| key::quota_shard(business_id, month, index));
        let shards = keys.zip(&shards).map(|(key, shard)| self.put_new(item(&key, shard)));
        let actions = [
            TransactWriteItem::builder().condition_check(check).build(),
            self.put_new(item(&key::quota_head(business_id, month), &head)),
        ];

        (head, actions.into_iter().chain(shards).collect())
    }

    /// The shards of a month, each read consistently.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn shards(
        &self,
        business_id: BusinessId,
        month: Month,
        count: u16,
    ) -> Result<Vec<(u16, Shard)>, InternalError> {
        #[derive(serde::Deserialize)]
        struct Row {
            pk: String,
            #[serde(flatten)]
            shard: Shard,
        }

        let items = self
            .get_all((0..count).map(|index| key::quota_shard(business_id, month, index)))
            .await?;
        let index_of = |pk: &str| pk.rsplit('#').next().and_then(|index| index.parse().ok());
        let rows = items.into_iter().map(|item| {
            let row: Row = super::read(item)?;
            let index = index_of(&row.pk)
                .ok_or_else(|| InternalError::new("reading the number of a quota shard"))?;
            Ok((index, row.shard))
        });

        rows.collect()
    }

    /// A month's usage; a month that is not open yet has all of the plan's limit left.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn usage(
        &self,
        business_id: BusinessId,
        month: Month,
        head: Option<&QuotaHead>,
        plan: Option<&Plan>,
    ) -> Result<Usage, InternalError> {
        match head {
            Some(head) => {
                let shards = self.shards(business_id, month, head.shards).await?;
                Ok(Usage::of(&shards.into_iter().map(|(_, shard)| shard).collect::<Vec<_>>()))
            }
            None => {
                Ok(Usage { limit: plan.map_or(0, |plan| plan.max_messages_per_month), used: 0 })
            }
        }
    }
}

/// Whether a transaction was cancelled for reasons that another look may change: a condition, or
/// contention.
pub(super) fn is_cancelled<R>(error: &SdkError<TransactWriteItemsError, R>) -> bool {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
            let may_change = |code: &str| {
                matches!(code, "None" | "ConditionalCheckFailed") || error::is_contention(code)
            };
            cancelled
                .cancellation_reasons()
                .iter()
                .all(|reason| reason.code().is_none_or(may_change))
        }
        Some(other) => other.code().is_some_and(error::is_contention),
        None => false,
    }
}
