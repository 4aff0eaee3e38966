//! `store_customer_message`: one transaction that counts a customer's message, stores it and
//! records the name that it came with. Numbers have no gap, and one name makes one message.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use futures_util::future::join_all;

use super::sample::{BUSINESS_ID, CONVERSATION_ID, MS, NOW, conversation, conversation_key};
use super::scratch::{Scratch, item};
use domain::CustomerNumber;
use domain::timeline::Order;
use domain::widget::MinuteCount;
use platform::table::record::{CustomerCount, CustomerMessage};
use platform::table::{CustomerDraft, CustomerMessageOutcome, Table, key};

fn draft(name: &str, content: &str) -> CustomerDraft {
    CustomerDraft {
        business_id: BUSINESS_ID,
        conversation_id: CONVERSATION_ID,
        name: name.into(),
        content: content.into(),
        media: None,
        per_minute: None,
        keep_until: None,
        now: NOW,
    }
}

async fn scratch() -> Scratch {
    let scratch = Scratch::start().await;
    scratch.items.put(item(&conversation_key(), &conversation())).await;
    scratch
}

async fn store(table: &Table, draft: &CustomerDraft) -> CustomerMessageOutcome {
    table.store_customer_message(draft).await.expect("an answer")
}

fn stored(outcome: CustomerMessageOutcome) -> CustomerMessage {
    match outcome {
        CustomerMessageOutcome::Stored(message) => message,
        other => panic!("{other:?}"),
    }
}

/// The texts of the customer's messages, in their order.
async fn texts(table: &Table) -> Vec<String> {
    let numbers = (CustomerNumber(0), CustomerNumber::MAX);
    let order = Order::OldestFirst;
    let read = table.customer_messages(BUSINESS_ID, CONVERSATION_ID, numbers, order, 100).await;
    let (messages, _) = read.expect("an answer");
    messages.into_iter().map(|message| message.content.into_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_counted_stored_and_named_and_nothing_else_is_changed() {
    let scratch = scratch().await;
    let table = scratch.table();
    let before = scratch.items.all().await;
    let one = stored(store(&table, &draft("1", "Hi")).await);
    assert_eq!((one.number, one.created_at, one.expires_at), (CustomerNumber(1), NOW, None));
    let kept = CustomerDraft { keep_until: Some(1_900_000_000), ..draft("2", "there") };
    let other = stored(store(&table, &kept).await);
    assert_eq!((other.number, other.expires_at), (CustomerNumber(2), Some(1_900_000_000)));

    let all = scratch.items.all().await;
    assert_eq!(all.len(), before.len() + 5, "the count, and two for each message");
    assert!(before.iter().all(|(place, item)| all.get(place) == Some(item)));
    let found = table.customer_message(BUSINESS_ID, CONVERSATION_ID, other.id).await;
    assert_eq!(found.expect("an answer"), Some(other));

    let nowhere = CustomerDraft {
        conversation_id: "67e55044-10b1-426f-9247-bb680e5fe0c8".parse().expect("an id"),
        ..draft("1", "Hi")
    };
    assert_eq!(store(&table, &nowhere).await, CustomerMessageOutcome::NoConversation);
    assert_eq!(scratch.items.all().await, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_name_makes_one_message() {
    let scratch = scratch().await;
    let table = scratch.table();
    let first = stored(store(&table, &draft("1", "Hi")).await);
    let later = CustomerDraft { now: NOW + TimeDelta::days(9), ..draft("1", "Hi") };
    assert_eq!(store(&table, &later).await, CustomerMessageOutcome::Replayed(first.clone()));
    assert_eq!(store(&table, &draft("1", "Hello")).await, CustomerMessageOutcome::NameReused);

    // The message is gone before its name: DynamoDB deletes what has expired in any order.
    scratch.items.remove(&key::customer_message(BUSINESS_ID, CONVERSATION_ID, first.number)).await;
    assert_eq!(store(&table, &draft("1", "Hi")).await, CustomerMessageOutcome::NameReused);
    let next = stored(store(&table, &draft("2", "Hi")).await);
    assert_eq!(next.number, CustomerNumber(2), "numbers never begin anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_come_at_once_get_one_number_each() {
    let scratch = scratch().await;
    let table = scratch.table();
    let drafts: Vec<_> = (0..6).map(|name| draft(&name.to_string(), "Hi")).collect();
    let numbers = join_all(drafts.iter().map(async |draft| {
        let mut outcome = table.store_customer_message(draft).await;
        while outcome.as_ref().is_err_and(|error| error.is_contention()) {
            outcome = table.store_customer_message(draft).await;
        }
        stored(outcome.expect("an answer")).number.0
    }));
    let numbers: BTreeSet<u64> = numbers.await.into_iter().collect();
    assert_eq!(numbers, (1..=6).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn another_message_may_be_faster_and_so_may_the_same_one() {
    let scratch = scratch().await;
    let table = scratch.table();
    let other = table.clone();
    let overtaken = scratch.meanwhile_once("TransactWriteItems", move |_| {
        let other = other.clone();
        async move {
            stored(store(&other, &draft("other", "first")).await);
        }
    });
    assert_eq!(stored(store(&overtaken, &draft("1", "second")).await).number, CustomerNumber(2));

    let same = table.clone();
    let repeated = scratch.meanwhile_once("TransactWriteItems", move |_| {
        let same = same.clone();
        async move {
            stored(store(&same, &draft("2", "third")).await);
        }
    });
    let outcome = store(&repeated, &draft("2", "third")).await;
    assert!(matches!(outcome, CustomerMessageOutcome::Replayed(_)), "{outcome:?}");
    assert_eq!(texts(&table).await, ["first", "second", "third"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_stored_once_although_an_answer_was_lost() {
    let scratch = scratch().await;
    for (name, others) in [("1", 0), ("2", 1)] {
        stored(store(&scratch.losing_an_answer_after(others), &draft(name, name)).await);
    }
    assert_eq!(texts(&scratch.table()).await, ["1", "2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minute_has_so_many_messages_of_those_that_are_limited() {
    let scratch = scratch().await;
    let table = scratch.table();
    let limited = |name: &str, now| CustomerDraft { per_minute: Some(2), now, ..draft(name, "Hi") };
    stored(store(&table, &limited("1", NOW)).await);
    stored(store(&table, &draft("2", "on WhatsApp")).await);
    stored(store(&table, &limited("3", NOW + MS)).await);

    let end = NOW + MinuteCount::LENGTH;
    let before = scratch.items.all().await;
    let refused = store(&table, &limited("4", end - MS)).await;
    assert_eq!(refused, CustomerMessageOutcome::TooMany(end));
    assert_eq!(scratch.items.all().await, before);
    let known = store(&table, &limited("1", end - MS)).await;
    assert!(matches!(known, CustomerMessageOutcome::Replayed(_)), "{known:?}");
    stored(store(&table, &limited("4", end)).await);

    let count: Option<CustomerCount> =
        scratch.items.record(&key::customer_count(BUSINESS_ID, CONVERSATION_ID)).await;
    assert_eq!(count.expect("it is there").last, CustomerNumber(4));
}
