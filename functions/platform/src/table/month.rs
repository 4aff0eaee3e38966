//! A month's limit and what is used of it: opening the month and reading it.

use aws_sdk_dynamodb::types::{ConditionCheck, TransactWriteItem};

use super::cancellation::is_passing;
use super::record::{Plan, QuotaHead};
use super::{Backoff, Table, item, key, number, update, value};
use crate::error::InternalError;
use domain::quota::{self, FullShards, Shard, Usage};
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
                Err(error) if !is_passing(&error) => {
                    return Err(InternalError::aws("TransactWriteItems", error));
                }
                // Another caller opened it, or the plan changed: look again.
                Err(_) if !backoff.wait().await => {
                    return Err(InternalError::contended("TransactWriteItems"));
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
        let head = QuotaHead {
            limit: plan.max_messages_per_month,
            shards: count,
            version: plan.version,
            full_shards: FullShards::default(),
        };

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

    /// Remembers which shards were seen full, under the version of the plan that they were seen
    /// under: from then on no request tries them, and none any shard once all are. If that cannot
    /// be written the next request that sees it writes it.
    pub(super) async fn remember_full(
        &self,
        business_id: BusinessId,
        month: Month,
        version: u64,
        full: FullShards,
    ) {
        let call = self
            .change(&key::quota_head(business_id, month))
            .update_expression("SET full_shards = :full")
            .condition_expression("version = :version")
            .expression_attribute_values(":full", value(&full))
            .expression_attribute_values(":version", number(version));
        if let Err(error) = update::<QuotaHead>(call).await {
            let error = error.chain();
            tracing::warn!(error, "full shards not remembered; the next request sees them");
        }
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

    /// The usage of a month by its shards; `None` for one that is not open yet.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn usage_of_open_month(
        &self,
        business_id: BusinessId,
        month: Month,
    ) -> Result<Option<Usage>, InternalError> {
        let head: Option<QuotaHead> = self.get(&key::quota_head(business_id, month)).await?;
        match head {
            Some(head) => self.usage(business_id, month, Some(&head), None).await.map(Some),
            None => Ok(None),
        }
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
