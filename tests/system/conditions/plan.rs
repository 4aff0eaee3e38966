//! `change_plan`: the plan, the months' heads and all caps change together or not at all, on the
//! condition that they are as they were read. The rule for the caps is [`domain::quota::recap`].

use super::month::{month, plan, put_month, put_plan, stored_month};
use super::sample::{BUSINESS_ID, NOW};
use super::scratch::{Items, Scratch, item, value, with};
use domain::quota::{self, Shard, Usage};
use platform::table::PlanChange;
use platform::table::key;
use platform::table::record::{Plan, QuotaHead};

async fn change(table: &platform::table::Table, limit: u64, shards: u16) -> Option<Plan> {
    table
        .operator()
        .change_plan(
            BUSINESS_ID,
            PlanChange {
                name: Some("a plan"),
                shards: Some(shards),
                ..PlanChange::of_limit(limit)
            },
            NOW,
        )
        .await
        .ok()
}

/// Two shards with a cap of twelve together, of which six are used.
const BEFORE: [Shard; 2] = [Shard { used: 4, cap: 6 }, Shard { used: 2, cap: 6 }];

/// Changes the plan of an open month to `limit` messages on two shards; `happens` runs just before
/// the write.
async fn changed_while<F>(
    limit: u64,
    happens: impl Fn(Items) -> F + Send + Sync + 'static,
) -> (Plan, QuotaHead, Vec<Shard>)
where
    F: Future<Output = ()>,
{
    let scratch = Scratch::start().await;
    put_plan(&scratch.items, &plan(12, 2, 1)).await;
    put_month(&scratch.items, 1, &BEFORE).await;
    let table = scratch.meanwhile_once("TransactWriteItems", happens);
    let plan = change(&table, limit, 2).await.expect("a change");
    assert_eq!(scratch.items.record(&key::plan(BUSINESS_ID)).await.as_ref(), Some(&plan));
    let (head, shards) = stored_month(&scratch.items).await.expect("it stays open");
    assert_eq!((head.version, head.limit), (plan.version, Usage::of(&shards).limit));
    (plan, head, shards)
}

#[tokio::test(flavor = "multi_thread")]
async fn caps_become_what_the_rule_says() {
    for (limit, wanted) in [(12, 2), (100, 2), (100, 8), (6, 2), (3, 1), (0, 1)] {
        let scratch = Scratch::start().await;
        put_plan(&scratch.items, &plan(12, 2, 1)).await;
        put_month(&scratch.items, 1, &BEFORE).await;
        let after = change(&scratch.table(), limit, wanted).await;
        assert_eq!(after, Some(plan(limit, wanted, 2)));
        let (head, shards) = stored_month(&scratch.items).await.expect("it stays open");
        assert_eq!(
            shards,
            quota::recap(&BEFORE.map(|shard| shard.used), limit, wanted),
            "{limit} on {wanted}"
        );
        assert_eq!((head.limit, head.version), (limit.max(6), 2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_plan_is_made_for_a_business_without_one() {
    let scratch = Scratch::start().await;
    assert_eq!(change(&scratch.table(), 10, 1).await, None);
    assert!(scratch.items.all().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_later_of_two_simultaneous_changes_counts() {
    let (plan, head, _) = changed_while(100, async |items: Items| {
        put_plan(&items, &plan(50, 2, 2)).await;
        let key = key::quota_head(BUSINESS_ID, month());
        let head = with(items.get(&key).await.expect("it is open"), [("version", Some(value(2)))]);
        items.put(head).await;
    })
    .await;
    assert_eq!((plan.version, head.limit), (3, 100));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_simultaneous_change_of_the_plan_alone_is_respected() {
    let other = async |items: Items| put_plan(&items, &plan(50, 2, 7)).await;
    assert_eq!(changed_while(100, other).await.0.version, 8);
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_that_are_added_meanwhile_are_counted() {
    let add = async |items: Items| {
        let more = [BEFORE[0], BEFORE[1], Shard { used: 1, cap: 9 }];
        put_month(&items, 5, &more).await;
    };
    let (_, head, shards) = changed_while(100, add).await;
    assert_eq!((head.shards, Usage::of(&shards)), (3, Usage { limit: 100, used: 7 }));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_counted_meanwhile_stay_counted_and_below_the_cap() {
    let count = async |items: Items| {
        let key = key::quota_shard(BUSINESS_ID, month(), 0);
        items.put(item(&key, &Shard { used: 6, cap: 6 })).await;
    };
    // Down to the number that was used: the shard with four was to get a cap of four.
    let (_, _, shards) = changed_while(6, count).await;
    assert_eq!(shards, [Shard { used: 6, cap: 6 }, Shard { used: 2, cap: 2 }]);
    // Up, so that the messages counted meanwhile still fit: it succeeds at once.
    let (_, _, shards) = changed_while(36, count).await;
    assert_eq!(shards, [Shard { used: 6, cap: 19 }, Shard { used: 2, cap: 17 }]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_is_there_already_is_not_overwritten() {
    let scratch = Scratch::start().await;
    put_plan(&scratch.items, &plan(12, 1, 1)).await;
    put_month(&scratch.items, 1, &BEFORE[..1]).await;

    // The shard exists before the head counts it, which no write leads to; at the next try the head
    // counts it.
    let table = scratch.meanwhile("TransactWriteItems", async |items: Items, time| match time {
        0 => drop(items.put(item(&key::quota_shard(BUSINESS_ID, month(), 1), &BEFORE[1])).await),
        _ => {
            let key = key::quota_head(BUSINESS_ID, month());
            let head =
                with(items.get(&key).await.expect("it is open"), [("shards", Some(value(2)))]);
            items.put(head).await;
        }
    });

    assert_eq!(change(&table, 100, 2).await, Some(plan(100, 2, 2)));
    let (_, shards) = stored_month(&scratch.items).await.expect("it stays open");
    assert_eq!(shards, quota::recap(&BEFORE.map(|shard| shard.used), 100, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_that_is_opened_meanwhile_gets_the_new_limit_too() {
    let scratch = Scratch::start().await;
    put_plan(&scratch.items, &plan(12, 2, 1)).await;
    let other = scratch.table();
    let table = scratch.meanwhile_once("TransactWriteItems", move |_| {
        let other = other.clone();
        async move {
            other.open_month(BUSINESS_ID, month()).await.expect("an answer");
        }
    });

    assert_eq!(change(&table, 100, 2).await, Some(plan(100, 2, 2)));
    assert_eq!(
        scratch.table().open_month(BUSINESS_ID, month()).await.expect("an answer").limit,
        100
    );
    let (_, shards) = stored_month(&scratch.items).await.expect("it was opened");

    assert_eq!(shards, quota::open(100, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_that_begins_meanwhile_gets_the_new_limit_too() {
    let scratch = Scratch::start().await;
    put_plan(&scratch.items, &plan(12, 2, 1)).await;
    put_month(&scratch.items, 1, &BEFORE).await;
    let other = scratch.table();
    let table = scratch.meanwhile_once("TransactWriteItems", move |_| {
        let other = other.clone();
        async move {
            other.open_month(BUSINESS_ID, month().next()).await.expect("an answer");
        }
    });

    assert_eq!(change(&table, 100, 3).await, Some(plan(100, 3, 2)));
    let (head, _) = stored_month(&scratch.items).await.expect("it stays open");
    let next: QuotaHead = scratch
        .items
        .record(&key::quota_head(BUSINESS_ID, month().next()))
        .await
        .expect("it was opened");

    assert_eq!([head.limit, next.limit], [100; 2]);
    let shards =
        scratch.table().shards(BUSINESS_ID, month().next(), next.shards).await.expect("an answer");
    assert_eq!(
        Usage::of(&shards.into_iter().map(|(_, shard)| shard).collect::<Vec<_>>()).limit,
        100
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_are_not_given_stay_as_a_simultaneous_change_set_them() {
    let scratch = Scratch::start().await;
    put_plan(&scratch.items, &plan(12, 2, 1)).await;
    let other = scratch.table();
    let table = scratch.meanwhile_once("TransactWriteItems", move |_| {
        let other = other.clone();
        async move {
            other
                .operator()
                .change_plan(
                    BUSINESS_ID,
                    PlanChange {
                        name: Some("pro"),
                        shards: Some(8),
                        requests_per_minute: Some(6),
                        ..PlanChange::of_limit(50)
                    },
                    NOW,
                )
                .await
                .expect("a change");
        }
    });
    let after = table
        .operator()
        .change_plan(BUSINESS_ID, PlanChange::of_limit(100), NOW)
        .await
        .expect("a change");
    assert_eq!(after, Plan { name: "pro".into(), requests_per_minute: Some(6), ..plan(100, 8, 3) });
    assert_eq!(scratch.items.record(&key::plan(BUSINESS_ID)).await, Some(after));
}
