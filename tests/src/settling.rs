//! Lets time pass until everything that was accepted is settled.

use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use serde_json::Value;

use crate::World;
use crate::oracle::Item;

/// How often time passes before a conversation counts as stuck.
const MOST_WAITS: usize = 200;

/// A wait sweeps at every so many looks.
const LOOKS_TO_A_SWEEP: usize = 16;

/// Returns the time of the system's clock.
///
/// # Panics
/// If the sandbox does not say.
pub async fn now(world: &World) -> DateTime<Utc> {
    serde_json::from_value(world.sandbox(Method::GET, "/clock", Value::Null).await["now"].clone())
        .expect("a time")
}

/// When the conversation or event that is to be looked at next is due; `None` once all is settled.
/// Waits until everything that can be done now is done: no worker holds a conversation, and nothing
/// is due. Sweeps now and then meanwhile, since doorbells that were set before the clock was moved
/// ring by the time that was.
pub async fn next_due(world: &World) -> Option<DateTime<Utc>> {
    // Customers of the chat who come back make theirs due before its time; it waits all the same.
    let due = |item: &Item| {
        number(item, "due").map(|due| due.max(number(item, "not_before").unwrap_or(due)))
    };
    let looks = AtomicUsize::new(0);
    let calm = async || {
        if looks.fetch_add(1, Ordering::Relaxed).is_multiple_of(LOOKS_TO_A_SWEEP) {
            world.sweep().await;
        }
        let now = now(world).await.timestamp_millis();
        let conversations = conversations(world).await;
        let is_calm = |item: &Item| {
            !item.contains_key("lease_owner") && due(item).is_none_or(|due| due > now)
        };
        // How far all have come, and how often they changed hands: for as long as these change,
        // a worker works.
        let progress =
            |name: &str| conversations.iter().filter_map(|item| number(item, name)).sum::<i64>();
        match conversations.iter().all(is_calm) {
            true => Ok(conversations.iter().filter_map(due).min()),
            false => Err((progress("settled_seq"), progress("fence"))),
        }
    };
    let next = world.until_at_rest("nothing is due and no worker works", calm).await;

    next.and_then(DateTime::from_timestamp_millis)
}

/// The conversations as the table has them, and what else is due: events on their way to endpoints.
async fn conversations(world: &World) -> Vec<Item> {
    let client = world.dynamodb();
    let scan = client.scan().table_name(&world.ready.table).consistent_read(true);
    let scan = scan
        .filter_expression("sk = :this OR attribute_exists(due)")
        .expression_attribute_values(":this", AttributeValue::S("CONVERSATION".to_owned()));
    let pages = scan.into_paginator().items().send();
    pages.collect::<Result<_, _>>().await.expect("the table can be read")
}

/// Lets time pass, until everything is settled.
///
/// # Panics
/// If something is due again and again.
pub async fn see_through(world: &World) {
    for _ in 0..MOST_WAITS {
        match next_due(world).await {
            None => return,
            // A little more, so that what is due at about the same time is due together.
            Some(due) => world.set_clock(due + TimeDelta::seconds(20)).await,
        }
    }
    panic!("something is due again and again");
}

fn number(item: &Item, name: &str) -> Option<i64> {
    item.get(name).and_then(|value| value.as_n().ok()).and_then(|number| number.parse().ok())
}
