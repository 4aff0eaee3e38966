//! `open_month`: a month is opened once, by the plan that is in force at that moment, with caps
//! that add up to its limit. The rule for the caps is [`domain::quota::open`].

use super::sample::{BUSINESS_ID, NOW};
use super::scratch::{Item, Items, Scratch, item};
use domain::Month;
use domain::quota::{self, FullShards, Shard};
use platform::table::key;
use platform::table::record::{Plan, QuotaHead};

/// A plan of `limit` messages on `shards` shards.
pub(super) fn plan(limit: u64, shards: u16, version: u64) -> Plan {
    Plan {
        name: "a plan".into(),
        max_messages_per_month: limit,
        shards,
        requests_per_minute: None,
        version,
    }
}

/// The month of [`NOW`].
pub(super) fn month() -> Month {
    Month::of(NOW)
}

/// Stores a plan.
pub(super) async fn put_plan(items: &Items, plan: &Plan) {
    items.put(item(&key::plan(BUSINESS_ID), plan)).await;
}

/// An open month with these shards: its head, and all its items.
pub(super) fn month_of(version: u64, shards: &[Shard]) -> (QuotaHead, Vec<Item>) {
    let count = u16::try_from(shards.len()).expect("a few");
    let head = QuotaHead {
        limit: quota::Usage::of(shards).limit,
        shards: count,
        version,
        full_shards: FullShards::default(),
    };
    let shards = (0..)
        .zip(shards)
        .map(|(index, shard)| item(&key::quota_shard(BUSINESS_ID, month(), index), shard));
    let items = shards.chain([item(&key::quota_head(BUSINESS_ID, month()), &head)]).collect();
    (head, items)
}

/// Stores an open month.
pub(super) async fn put_month(items: &Items, version: u64, shards: &[Shard]) {
    for item in month_of(version, shards).1 {
        items.put(item).await;
    }
}

/// Returns the open month with its shards, and checks that there are no others; `None` if it is not
/// open.
pub(super) async fn stored_month(items: &Items) -> Option<(QuotaHead, Vec<Shard>)> {
    let head: QuotaHead = items.record(&key::quota_head(BUSINESS_ID, month())).await?;
    let mut shards = Vec::new();
    for index in 0..head.shards {
        shards.push(
            items
                .record(&key::quota_shard(BUSINESS_ID, month(), index))
                .await
                .expect("the head counts it"),
        );
    }
    assert_eq!(items.get(&key::quota_shard(BUSINESS_ID, month(), head.shards)).await, None);
    Some((head, shards))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_is_opened_as_the_rule_says_and_only_once() {
    for (limit, wanted) in [(0, 1), (1, 4), (97, 4), (250, 16), (100_000, 64), (100_000, 200)] {
        let scratch = Scratch::start().await;
        put_plan(&scratch.items, &plan(limit, wanted, 3)).await;
        let head = scratch.table().open_month(BUSINESS_ID, month()).await.expect("an answer");
        let shards = quota::open(limit, wanted);
        assert_eq!((head.limit, usize::from(head.shards), head.version), (limit, shards.len(), 3));
        assert_eq!(stored_month(&scratch.items).await, Some((head.clone(), shards)));
        let before = scratch.items.all().await;
        assert_eq!(
            scratch.table().open_month(BUSINESS_ID, month()).await.expect("an answer"),
            head
        );
        assert_eq!(scratch.items.all().await, before);
    }
}

/// Opens the month of a plan of 40 messages on 2 shards; `happens` runs just before the write.
async fn opened_while<F>(
    happens: impl Fn(Items) -> F + Send + Sync + 'static,
) -> (Scratch, Option<QuotaHead>)
where
    F: Future<Output = ()>,
{
    let scratch = Scratch::start().await;
    put_plan(&scratch.items, &plan(40, 2, 1)).await;
    let table = scratch.meanwhile_once("TransactWriteItems", happens);
    let head = table.open_month(BUSINESS_ID, month()).await.ok();
    (scratch, head)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_changes_meanwhile_makes_the_month() {
    let change = async |items: Items| put_plan(&items, &plan(90, 4, 2)).await;
    let (scratch, head) = opened_while(change).await;
    assert_eq!(
        head,
        Some(QuotaHead { limit: 90, shards: 4, version: 2, full_shards: FullShards::default() })
    );
    let stored = stored_month(&scratch.items).await;
    assert_eq!(stored.map(|(_, shards)| shards), Some(quota::open(90, 4)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_of_a_business_that_is_removed_meanwhile_is_not_opened() {
    let (scratch, head) =
        opened_while(async |items: Items| items.remove(&key::plan(BUSINESS_ID)).await).await;
    assert_eq!(head, None);
    assert!(scratch.items.all().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_that_another_caller_opens_meanwhile_stays_as_it_is() {
    let used = [Shard { used: 3, cap: 20 }, Shard { used: 1, cap: 20 }];
    let open = move |items: Items| async move { put_month(&items, 1, &used).await };
    let (scratch, head) = opened_while(open).await;
    assert_eq!(stored_month(&scratch.items).await, Some((head.expect("an answer"), used.to_vec())));
}

/// No write leads to a head without its shards or a shard without its head; even so no count is
/// lost.
#[tokio::test(flavor = "multi_thread")]
async fn neither_a_head_nor_a_shard_is_ever_overwritten() {
    let head = QuotaHead { limit: 7, shards: 1, version: 1, full_shards: FullShards::default() };
    let stray = head.clone();
    let open = move |items: Items| {
        let stray = item(&key::quota_head(BUSINESS_ID, month()), &stray);
        async move { drop(items.put(stray).await) }
    };

    let (scratch, found) = opened_while(open).await;
    assert_eq!(found, Some(head));
    assert_eq!(scratch.items.all().await.len(), 2, "plan and head; no shard was made");

    for index in [0, 1] {
        let shard = Shard { used: 5, cap: 6 };
        let key = key::quota_shard(BUSINESS_ID, month(), index);
        let put = move |items: Items| async move {
            items.put(item(&key::quota_shard(BUSINESS_ID, month(), index), &shard)).await;
        };
        let (scratch, head) = opened_while(put).await;
        assert_eq!(head, None, "after the budget for contention");
        assert_eq!(scratch.items.record(&key).await, Some(shard));
        assert_eq!(
            scratch.items.all().await.len(),
            2,
            "plan and shard; neither a head nor another shard was made"
        );
    }
}
