//! Changing a plan: the plan, the running month's head and all its caps in one transaction, effective at once.

use super::record::{Plan, QuotaHead};
use super::{Patience, Table, item, key, month, number};
use crate::broken::Broken;
use aws_sdk_dynamodb::types::{ConditionCheck, Put, TransactWriteItem, Update};
use domain::quota::{self, Usage};
use domain::{BusinessId, Month};

impl Table {
    /// Gives the business `limit` messages a month on `shards` shards, from now on. A limit below what the running
    /// month has used leaves the month exactly full. Returns the plan as it is then.
    ///
    /// # Errors
    /// If the business has no plan, DynamoDB does not answer, or sends kept changing the month for ten seconds.
    pub async fn change_plan(
        &self,
        business: BusinessId,
        name: &str,
        limit: u64,
        shards: u16,
        running: Month,
    ) -> Result<Plan, Broken> {
        let mut patience = Patience::new(std::time::Duration::from_secs(10));
        loop {
            let before =
                self.plan(business).await?.ok_or_else(|| Broken::new("changing a plan that does not exist"))?;
            let head: Option<QuotaHead> = self.get(&key::quota_head(business, running)).await?;
            let after =
                Plan { name: name.to_owned(), max_messages_per_month: limit, shards, version: before.version + 1 };
            let mut actions = vec![self.put_if_version(&key::plan(business), &after, before.version)];
            match &head {
                Some(head) => actions.extend(self.recap(business, running, head, &after).await?),
                // Opening it checks the plan's version, so it is enough that it is not open when this happens.
                None => actions.push(self.still_closed(business, running)),
            }
            match self.client.transact_write_items().set_transact_items(Some(actions)).send().await {
                Ok(_) => return Ok(after),
                Err(error) if month::is_cancelled(&error) && patience.wait().await => {}
                Err(error) => return Err(Broken::aws("TransactWriteItems", error)),
            }
        }
    }

    /// The head and every shard with its new cap. The head's version stands for the caps that were read; of `used` it
    /// is enough that it still fits below the new cap, so sends go on meanwhile.
    async fn recap(
        &self,
        business: BusinessId,
        month: Month,
        head: &QuotaHead,
        plan: &Plan,
    ) -> Result<Vec<TransactWriteItem>, Broken> {
        let mut before = self.shards(business, month, head.shards).await?;
        before.sort_by_key(|(index, _)| *index);
        let used: Vec<u64> = before.iter().map(|(_, shard)| shard.used).collect();
        let after = quota::recap(&used, plan.max_messages_per_month, plan.shards);
        let count = u16::try_from(after.len()).expect("at most 64");
        let new = QuotaHead { limit: Usage::of(&after).limit, shards: count, version: plan.version };
        let mut actions = vec![self.put_if_version(&key::quota_head(business, month), &new, head.version)];
        for (index, shard) in (0u16..).zip(&after) {
            let key = key::quota_shard(business, month, index);
            actions.push(match before.get(usize::from(index)) {
                Some(_) => self.set_cap(&key, shard.cap),
                None => self.put_new(item(&key, shard)),
            });
        }
        Ok(actions)
    }

    fn still_closed(&self, business: BusinessId, month: Month) -> TransactWriteItem {
        let check = ConditionCheck::builder()
            .table_name(&self.name)
            .set_key(Some(key::quota_head(business, month).attributes()))
            .condition_expression("attribute_not_exists(pk)");
        let check = check.build().expect("table, key and condition are set");
        TransactWriteItem::builder().condition_check(check).build()
    }

    fn put_if_version(&self, key: &key::Key, record: &impl serde::Serialize, version: u64) -> TransactWriteItem {
        let put = Put::builder()
            .table_name(&self.name)
            .set_item(Some(item(key, record)))
            .condition_expression("version = :version")
            .expression_attribute_values(":version", number(version));
        TransactWriteItem::builder().put(put.build().expect("table and item are set")).build()
    }

    fn set_cap(&self, key: &key::Key, cap: u64) -> TransactWriteItem {
        let update = Update::builder()
            .table_name(&self.name)
            .set_key(Some(key.attributes()))
            .update_expression("SET cap = :cap")
            .condition_expression("used <= :cap")
            .expression_attribute_values(":cap", number(cap));
        TransactWriteItem::builder().update(update.build().expect("table, key and expression are set")).build()
    }
}
