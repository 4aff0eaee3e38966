//! Fills the table with copies of what the product itself has put there.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::stream::{self, StreamExt};
use uuid::Uuid;

use domain::{BusinessId, Channel, ConversationId, MessageId, Seq};
use platform::table::key::{self, Key};
use tests::{Business, World};

/// The most requests of one `BatchWriteItem`, and how many of these are made at once.
const WRITES: usize = 25;
const AT_ONCE: usize = 4;

type Item = HashMap<String, AttributeValue>;

/// Writes items, in any order.
async fn put(world: &World, items: impl Iterator<Item = Item>) {
    let request = |item| {
        let put = PutRequest::builder().set_item(Some(item)).build();
        WriteRequest::builder().put_request(put.expect("the item is set")).build()
    };
    let requests: Vec<WriteRequest> = items.map(request).collect();
    let write = async |chunk: &[WriteRequest]| {
        let call = world.dynamodb().batch_write_item();
        let answer = call.request_items(&world.ready.table, chunk.to_vec()).send().await;
        let left = answer.expect("a write without a condition").unprocessed_items;
        assert!(left.unwrap_or_default().is_empty(), "the local DynamoDB takes all");
    };

    stream::iter(requests.chunks(WRITES)).for_each_concurrent(AT_ONCE, write).await;
}

async fn get(world: &World, key: &Key) -> Item {
    let get = world.dynamodb().get_item().table_name(&world.ready.table);
    let found = get.set_key(Some(key.attributes())).send().await.expect("an answer");
    found.item.expect("the product has put it there")
}

fn text(value: impl ToString) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// Sets the keys of a copy.
fn under(key: &Key, mut item: Item) -> Item {
    item.extend(key.attributes());
    item
}

/// Fills a conversation with copies of its first message, each settled, up to `size`.
pub(crate) async fn messages(world: &World, of: (BusinessId, ConversationId), size: u64) {
    let (business_id, conversation_id) = of;
    let place = key::conversation(business_id, conversation_id);
    let mut conversation = get(world, &place).await;
    let last = conversation["seq"].as_n().expect("a number").parse::<u64>().expect("a number");
    let first = get(world, &key::message(business_id, conversation_id, Seq(1))).await;

    let copies = (last + 1..=size).map(|seq| {
        let id = MessageId::new(Utc::now(), Seq(seq), rand::random());
        let mut copy = under(&key::message(business_id, conversation_id, Seq(seq)), first.clone());
        copy.insert("seq".to_owned(), number(seq));
        copy.insert("id".to_owned(), text(id));
        copy
    });
    put(world, copies).await;

    for name in ["seq", "settled_seq"] {
        conversation.insert(name.to_owned(), number(last.max(size)));
    }
    put(world, std::iter::once(conversation)).await;
}

/// Adds copies of a conversation to its business.
pub(crate) async fn conversations(world: &World, of: (BusinessId, ConversationId), count: u64) {
    let (business_id, conversation_id) = of;
    let conversation = get(world, &key::conversation(business_id, conversation_id)).await;
    let copies = (0..count).map(|_| {
        let id = ConversationId(Uuid::from_u128(rand::random()));
        under(&key::conversation(business_id, id), conversation.clone())
    });
    put(world, copies).await;
}

/// Adds copies of a business: plan, key, channels, conversations, and the month that it counts in.
pub(crate) async fn businesses(world: &World, business: &Business, count: u64) {
    let id = &business.business_id.to_string();
    let scan = world
        .dynamodb()
        .scan()
        .table_name(&world.ready.table)
        .consistent_read(true)
        .filter_expression("begins_with(pk, :business)")
        .expression_attribute_values(":business", text(format!("B#{id}")));
    let pages = scan.into_paginator().items().send();
    let all: Vec<Item> = pages.collect::<Result<_, _>>().await.expect("the table can be read");

    let kinds = ["PLAN", "KEY#", "CHANNEL#", "QUOTA#", "SHARD", "CONVERSATION"];
    let is_kept = |item: &&Item| {
        let sort = item[key::SK].as_s().expect("a key");
        kinds.iter().any(|kind| sort.starts_with(kind))
    };
    let items: Vec<&Item> = all.iter().filter(is_kept).collect();
    assert!(items.len() >= kinds.len(), "each kind is there: {}", items.len());

    let copies = (0..count).flat_map(|_| {
        let other = Uuid::from_u128(rand::random()).to_string();
        items.iter().map(move |item| {
            let mut copy: Item = (*item).clone();
            let own = item[key::PK].as_s().expect("a key");
            copy.insert(key::PK.to_owned(), text(own.replacen(id, &other, 1)));
            copy
        })
    });
    put(world, copies).await;
}

/// Adds conversations of other businesses with a message to deliver, due from `from` on.
pub(crate) async fn due(
    world: &World,
    of: (BusinessId, ConversationId),
    count: u64,
    from: DateTime<Utc>,
) {
    let conversation = get(world, &key::conversation(of.0, of.1)).await;
    let copies = (0..count).map(|place| {
        let business_id = BusinessId(Uuid::from_u128(rand::random()));
        let id = ConversationId(Uuid::from_u128(rand::random()));
        let due = from + TimeDelta::milliseconds(i64::try_from(place).expect("few"));
        let mut copy = under(&key::conversation(business_id, id), conversation.clone());
        copy.insert("seq".to_owned(), number(1));
        copy.insert("settled_seq".to_owned(), number(0));
        copy.insert("outbox_bucket".to_owned(), text(key::outbox_bucket(Channel::Email, id)));
        copy.insert("due".to_owned(), number(due.timestamp_millis()));
        copy
    });
    put(world, copies).await;
}
