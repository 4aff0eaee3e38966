//! Changing a plan: the plan, and of each month that is open the head and all its caps, in one
//! transaction, effective at once. Months that are over stay as they were.

use aws_sdk_dynamodb::types::{ConditionCheck, Put, TransactWriteItem, Update};
use chrono::{DateTime, Utc};

use super::cancellation::is_passing;
use super::record::{Plan, QuotaHead};
use super::{Backoff, OperatorTable, item, key, number};
use crate::error::InternalError;
use domain::quota::{self, FullShards, Usage};
use domain::{BusinessId, Month};

/// A change of a plan. What is `None` stays as it is at that moment.
#[derive(Clone, Copy)]
pub struct PlanChange<'a> {
    /// Messages a month.
    pub limit: u64,
    /// The plan's name.
    pub name: Option<&'a str>,
    /// How many shards its months are counted on.
    pub shards: Option<u16>,
    /// Requests a minute of each credential and operation.
    pub requests_per_minute: Option<u32>,
}

impl PlanChange<'_> {
    /// A change of the limit alone.
    #[must_use]
    pub fn of_limit(limit: u64) -> PlanChange<'static> {
        PlanChange { limit, name: None, shards: None, requests_per_minute: None }
    }
}

impl OperatorTable<'_> {
    /// Changes the plan of a business from now on. A limit below what a month has used leaves the
    /// month exactly full. Returns the plan as it is then.
    ///
    /// The month of `now` may be over before the change is made, so the one after it changes along,
    /// or is not open yet.
    ///
    /// # Errors
    /// If the business has no plan, DynamoDB does not answer, sends kept changing the months for
    /// ten seconds, or both are open and have more shards than [a
    /// transaction](https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html)
    /// takes: then the first is over, and the change can be made with a later `now`.
    pub async fn change_plan(
        self,
        business_id: BusinessId,
        change: PlanChange<'_>,
        now: DateTime<Utc>,
    ) -> Result<Plan, InternalError> {
        let running = Month::of(now);
        let mut backoff = Backoff::new(std::time::Duration::from_secs(10));

        loop {
            let before = self
                .table
                .plan(business_id)
                .await?
                .ok_or_else(|| InternalError::new("changing a plan that does not exist"))?;
            let after = Plan {
                name: change.name.map_or(before.name, str::to_owned),
                max_messages_per_month: change.limit,
                shards: change.shards.unwrap_or(before.shards),
                requests_per_minute: change.requests_per_minute.or(before.requests_per_minute),
                version: before.version + 1,
            };
            let mut actions =
                vec![self.put_if_version(&key::plan(business_id), &after, before.version)];
            for month in [running, running.next()] {
                match self.table.get::<QuotaHead>(&key::quota_head(business_id, month)).await? {
                    Some(head) => {
                        actions.extend(self.recap(business_id, month, &head, &after).await?)
                    }
                    // Opening it checks the plan's version, so it is enough that it is not open
                    // when this happens.
                    None => actions.push(self.still_closed(business_id, month)),
                }
            }
            match self.table.transact(actions).await {
                Ok(()) => return Ok(after),
                Err(error) if is_passing(&error) && backoff.wait().await => {}
                Err(error) => return Err(InternalError::aws("TransactWriteItems", error)),
            }
        }
    }

    /// The head and every shard with its new cap. The head's version stands for the caps that were
    /// read; of `used` it is enough that it still fits below the new cap, so sends go on meanwhile.
    async fn recap(
        &self,
        business_id: BusinessId,
        month: Month,
        head: &QuotaHead,
        plan: &Plan,
    ) -> Result<Vec<TransactWriteItem>, InternalError> {
        let mut before = self.table.shards(business_id, month, head.shards).await?;
        before.sort_by_key(|(index, _)| *index);
        let used: Vec<u64> = before.iter().map(|(_, shard)| shard.used).collect();
        let after = quota::recap(&used, plan.max_messages_per_month, plan.shards);
        let count = u16::try_from(after.len()).expect("at most 64");
        let new = QuotaHead {
            limit: Usage::of(&after).limit,
            shards: count,
            version: plan.version,
            full_shards: FullShards::default(),
        };

        let mut actions =
            vec![self.put_if_version(&key::quota_head(business_id, month), &new, head.version)];
        for (index, shard) in (0u16..).zip(&after) {
            let key = key::quota_shard(business_id, month, index);
            actions.push(match before.get(usize::from(index)) {
                Some(_) => self.set_cap(&key, shard.cap),
                None => self.table.put_new(item(&key, shard)),
            });
        }

        Ok(actions)
    }

    fn still_closed(&self, business_id: BusinessId, month: Month) -> TransactWriteItem {
        let check = ConditionCheck::builder()
            .table_name(&self.table.name)
            .set_key(Some(key::quota_head(business_id, month).attributes()))
            .condition_expression("attribute_not_exists(pk)");
        let check = check.build().expect("table, key and condition are set");
        TransactWriteItem::builder().condition_check(check).build()
    }

    fn put_if_version(
        &self,
        key: &key::Key,
        record: &impl serde::Serialize,
        version: u64,
    ) -> TransactWriteItem {
        let put = Put::builder()
            .table_name(&self.table.name)
            .set_item(Some(item(key, record)))
            .condition_expression("version = :version")
            .expression_attribute_values(":version", number(version));
        TransactWriteItem::builder().put(put.build().expect("table and item are set")).build()
    }

    fn set_cap(&self, key: &key::Key, cap: u64) -> TransactWriteItem {
        let update = Update::builder()
            .table_name(&self.table.name)
            .set_key(Some(key.attributes()))
            .update_expression("SET cap = :cap")
            .condition_expression("used <= :cap")
            .expression_attribute_values(":cap", number(cap));
        TransactWriteItem::builder()
            .update(update.build().expect("table, key and expression are set"))
            .build()
    }
}
