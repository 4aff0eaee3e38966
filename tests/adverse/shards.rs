//! The month's shards while everybody calls at once: what they add up to at every moment.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, Get, TransactGetItem};
use futures_util::future::join_all;
use serde_json::json;
use uuid::Uuid;

use crate::talk::{now, see_through};
use crate::{CALLERS, either, send};
use domain::{BusinessId, ConversationId, Month};
use platform::table::{PlanChange, key};
use tests::suite::{Suite, remark};
use tests::{Business, World};

/// How often an operator tries a change again that the sends left no time for.
const CHANGE_RETRIES: u32 = 3;

/// The most shards that a plan of these tests asks for.
const MOST_SHARDS: u16 = 16;

pub(crate) fn tests(suite: Suite) -> Suite {
    let suite = suite.test("a_plan_that_goes_up_and_down_adds_up_at_every_moment", changing);
    [1, 4, 16].into_iter().fold(suite, |suite, shards| {
        suite.test(format!("the_first_64_of_a_month_open_it_once_on_{shards}_shards"), move || {
            first(shards)
        })
    })
}

/// Plans go up and down while 64 callers send and an observer reads head and shards as fast as they
/// can.
async fn changing() {
    let world = World::start().await;
    let business = world.business(60, 4).await;
    let conflict = json!({
        "operation": "TransactWriteItems", "error": "TransactionConflict", "probability": 0.1, "function": "*",
    });

    world.fault("aws", conflict).await;
    let conversations = world.conversations_for_many(&business).await;
    let over = AtomicBool::new(false);
    let caller = |number| {
        let conversation_id = conversations[number % conversations.len()];
        send_until(&world, &business, conversation_id, &over)
    };
    let sends = join_all((0..CALLERS).map(caller));
    let looks = look_until(&world, &business, &conversations, &over);
    let (accepted, looks, changes) = tokio::join!(sends, looks, change(&world, &business, &over));
    let accepted: u64 = accepted.into_iter().sum();

    remark(format!(
        "  plans under load: {changes} changes, {accepted} accepted, {looks} snapshots add up"
    ));
    assert_eq!(world.usage(&business.api_key).await.0, accepted);

    see_through(&world).await;
}

/// Changes the plan again and again, up by what was used and down below it; returns how often.
async fn change(world: &World, business: &Business, over: &AtomicBool) -> u64 {
    let table = world.table();
    let id = BusinessId(business.business_id);
    let now = now(world).await;
    let mut changes = 0;

    for round in 0..either(2, 20) {
        for (more, shards) in [(40, 4), (90, 8), (-30, 8), (60, MOST_SHARDS), (-200, 1)] {
            let used = world.usage(&business.api_key).await.0;
            let limit = used.saturating_add_signed(more);
            let change = PlanChange {
                name: Some(&format!("round {round}")),
                shards: Some(shards),
                ..PlanChange::of_limit(limit)
            };
            // Sends may keep changing the months for as long as it tries; then an operator does.
            let mut retries = 0;
            while let Err(error) = table.operator().change_plan(id, change, now).await {
                assert!(retries < CHANGE_RETRIES, "a change: {error:?}");
                retries += 1;
            }
            changes += 1;
        }
    }

    over.store(true, Ordering::Relaxed);
    changes
}

/// Sends until it is over, whatever is answered; returns how many were accepted.
async fn send_until(
    world: &World,
    business: &Business,
    conversation_id: Uuid,
    over: &AtomicBool,
) -> u64 {
    let mut accepted = 0;

    while !over.load(Ordering::Relaxed) {
        let answer = send(world, business, conversation_id, "while the plan changes").await;
        match answer.status.as_u16() {
            201 => accepted += 1,
            status => assert_eq!(status, 403, "{} {}", answer.text, world.complaints()),
        }
    }

    accepted
}

/// Looks until it is over; returns how many snapshots there were, each of which adds up.
async fn look_until(
    world: &World,
    business: &Business,
    conversations: &[Uuid],
    over: &AtomicBool,
) -> u64 {
    let month = Month::of(now(world).await);
    let client = world.dynamodb();
    let mut looks = 0;
    let mut before = 0;

    while !over.load(Ordering::Relaxed) {
        let Some(snapshot) =
            Snapshot::take(&client, &world.ready.table, business, month, conversations).await
        else {
            continue;
        };
        if snapshot.head.is_none() {
            continue; // The month is not open yet.
        }
        snapshot.adds_up();
        assert!(snapshot.used() >= before, "{snapshot:?}: {before} were counted before");
        (looks, before) = (looks + 1, snapshot.used());
    }

    looks
}

/// A month as it is at one moment.
#[derive(Debug)]
struct Snapshot {
    /// Limit, shards and version of the plan.
    plan: Numbers,
    /// The same of the month; none before it is open.
    head: Option<Numbers>,
    /// Used and cap of each shard.
    shards: Vec<(u64, u64)>,
    /// Messages in all conversations.
    messages: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Numbers {
    limit: u64,
    shards: u64,
    version: u64,
}

impl Snapshot {
    /// Reads plan, head, all shards and all conversations in one transaction, which is serializable
    /// with those that write
    /// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-isolation>);
    /// none if it was cancelled for one of them.
    async fn take(
        client: &Client,
        table: &str,
        business: &Business,
        month: Month,
        conversations: &[Uuid],
    ) -> Option<Snapshot> {
        let id = BusinessId(business.business_id);
        let shards = (0..MOST_SHARDS).map(|shard| key::quota_shard(id, month, shard));
        let counted = conversations.len();
        let conversations = conversations
            .iter()
            .map(|conversation_id| key::conversation(id, ConversationId(*conversation_id)));
        let keys = [key::plan(id), key::quota_head(id, month)]
            .into_iter()
            .chain(shards)
            .chain(conversations);
        let gets = keys.map(|key| {
            let get = Get::builder().table_name(table).set_key(Some(key.attributes())).build();
            TransactGetItem::builder().get(get.expect("table and key are set")).build()
        });
        let items =
            match client.transact_get_items().set_transact_items(Some(gets.collect())).send().await
            {
                Ok(answer) => answer
                    .responses
                    .unwrap_or_default()
                    .into_iter()
                    .map(|found| found.item.unwrap_or_default()),
                Err(error) => {
                    let service = error.as_service_error();
                    assert!(
                        service.is_some_and(|error| error.is_transaction_canceled_exception()),
                        "{error:?}"
                    );
                    return None;
                }
            };
        let items: Vec<Item> = items.collect();
        let (month, conversations) = items.split_at(items.len() - counted);

        Some(Snapshot {
            plan: numbers(&month[0], "max_messages_per_month").expect("the business has a plan"),
            head: numbers(&month[1], "limit"),
            shards: month[2..]
                .iter()
                .filter_map(|shard| number(shard, "used").zip(number(shard, "cap")))
                .collect(),
            messages: conversations
                .iter()
                .filter_map(|conversation| number(conversation, "seq"))
                .sum(),
        })
    }

    fn used(&self) -> u64 {
        self.shards.iter().map(|(used, _)| used).sum()
    }

    /// Holds of an open month at every moment: the caps add up to the limit, no shard is
    /// over its own, what is used is what was accepted, and the limit is the plan's, or what was
    /// used when the plan became smaller than that.
    fn adds_up(&self) {
        let head = self.head.expect("the month is open");
        let caps: u64 = self.shards.iter().map(|(_, cap)| cap).sum();
        assert_eq!((caps, self.shards.len() as u64), (head.limit, head.shards), "{self:?}");
        assert!(self.shards.iter().all(|(used, cap)| used <= cap), "{self:?}");
        assert_eq!(self.used(), self.messages, "{self:?}");
        assert_eq!(head.version, self.plan.version, "{self:?}");
        let is_full = self.used() == head.limit && head.limit > self.plan.limit;
        assert!(head.limit == self.plan.limit || is_full, "{self:?}");
    }
}

type Item = HashMap<String, AttributeValue>;

fn numbers(item: &Item, limit: &str) -> Option<Numbers> {
    Some(Numbers {
        limit: number(item, limit)?,
        shards: number(item, "shards")?,
        version: number(item, "version")?,
    })
}

fn number(item: &Item, name: &str) -> Option<u64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// 64 callers are the first of the month, all at once.
async fn first(shards: u16) {
    let world = World::start().await;
    for limit in [u64::from(shards) * 10, 1_000] {
        let business = world.business(limit, shards).await;
        let conversations = world.conversations_for_many(&business).await;
        let caller = async |number: usize| {
            let conversation_id = conversations[number % conversations.len()];
            let answer = send(&world, &business, conversation_id, "the first of the month").await;
            (answer.status.as_u16(), answer)
        };
        let answers = join_all((0..CALLERS).map(caller)).await;
        let accepted = answers.iter().filter(|(status, _)| *status == 201).count() as u64;
        let fit = limit.min(CALLERS as u64);
        assert_eq!(accepted, fit, "limit {limit}, {shards} shards");
        for (_, answer) in answers.iter().filter(|(status, _)| *status != 201) {
            assert_eq!(answer.problem(), (403, "quota_exceeded".into()), "{}", world.complaints());
        }
        let month = Month::of(now(&world).await);
        let client = world.dynamodb();
        let snapshot =
            Snapshot::take(&client, &world.ready.table, &business, month, &conversations).await;
        let snapshot = snapshot.expect("no transaction writes");
        snapshot.adds_up();
        // Had it been opened twice, what was counted before would not be counted any more.
        let head = snapshot.head.map(|head| (head.limit, head.shards));
        assert_eq!(
            (head, snapshot.used()),
            (Some((limit, u64::from(shards))), fit),
            "{snapshot:?}"
        );
    }
}
