//! Sweeps that find more than a few conversations due: how many bells they ring, and for whom when
//! there is too little time for all.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, PutRequest, WriteRequest};
use chrono::TimeDelta;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::partial::{hold_queues, take_rung};
use domain::event::{EventSequence, Subject};
use domain::{BusinessId, Channel, ConversationId, EndpointId};
use platform::table::key::{self, Key};
use tests::World;
use tests::contract::edited_template;
use tests::machine::Directory;
use tests::settling::now;

/// The most requests of one `BatchWriteItem`.
const WRITES: usize = 25;

/// More conversations than a sweep rings for without a look at their queue.
const MANY: usize = 300;

/// Conversations of each channel that a sweep of a few seconds has no time for.
const EACH: usize = 1_000;

/// Entries of the outbox, and nothing else: no worker finds anything to send for them.
struct Due<'a> {
    world: &'a World,
    keys: Vec<Key>,
}

impl Due<'_> {
    /// Makes `count` conversations of a channel due.
    async fn add(&mut self, channel: Channel, count: usize) {
        let business_id = BusinessId(Uuid::from_u128(rand::random()));
        let conversation = |_| {
            let conversation_id = ConversationId(Uuid::from_u128(rand::random()));
            let bucket = key::outbox_bucket(channel, conversation_id);
            (key::conversation(business_id, conversation_id), bucket)
        };
        self.add_entries((0..count).map(conversation).collect()).await;
    }

    /// Makes `count` events due at an endpoint, each of another subject.
    async fn add_events(&mut self, count: usize) {
        let business_id = BusinessId(Uuid::from_u128(rand::random()));
        let endpoint_id = EndpointId(Uuid::from_u128(rand::random()));
        let delivery = |number| {
            let sequence = EventSequence(number as u64);
            let subject = Subject::Test(Uuid::from_u128(rand::random()));
            let key = key::event_delivery(business_id, endpoint_id, &subject, sequence);
            (key, key::webhook_bucket(sequence))
        };
        self.add_entries((1..=count).map(delivery).collect()).await;
    }

    /// Stores entries of the outbox: an hour's worth of them, none of which is due at the same
    /// moment as another.
    async fn add_entries(&mut self, entries: Vec<(Key, String)>) {
        let step = TimeDelta::hours(1) / i32::try_from(entries.len()).expect("few");
        let mut due = now(self.world).await - TimeDelta::hours(1);
        let mut rows = Vec::new();
        for (key, bucket) in entries {
            let mut row = key.attributes();
            row.insert("outbox_bucket".to_owned(), AttributeValue::S(bucket));
            let millis = due.timestamp_millis().to_string();
            row.insert("due".to_owned(), AttributeValue::N(millis));
            rows.push(row);
            self.keys.push(key);
            due += step;
        }

        for chunk in rows.chunks(WRITES) {
            let put = chunk.iter().map(|row| {
                let put = PutRequest::builder().set_item(Some(row.clone())).build();
                WriteRequest::builder().put_request(put.expect("the item is set")).build()
            });
            self.write(put.collect()).await;
        }
    }

    /// Removes them.
    async fn remove(self) {
        for chunk in self.keys.chunks(WRITES) {
            let delete = chunk.iter().map(|key| {
                let delete = DeleteRequest::builder().set_key(Some(key.attributes())).build();
                WriteRequest::builder().delete_request(delete.expect("the key is set")).build()
            });
            self.write(delete.collect()).await;
        }
    }

    async fn write(&self, requests: Vec<WriteRequest>) {
        let write = self.world.dynamodb().batch_write_item();
        let write = write.request_items(&self.world.ready.table, requests);
        let left = write.send().await.expect("a write without a condition").unprocessed_items;
        assert!(left.unwrap_or_default().is_empty(), "the local DynamoDB takes all");
    }
}

/// A world whose workers answer no bell.
async fn without_workers(world: &World) -> Due<'_> {
    hold_queues(world, true).await;
    Due { world, keys: Vec::new() }
}

async fn sweep(world: &World) -> Value {
    world.engine().run_schedule("sweep-outbox").await.expect("an answer")
}

fn count(answer: &Value, name: &str) -> usize {
    usize::try_from(answer[name].as_u64().expect("a number")).expect("few")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_outage_leaves_is_rung_for_once() {
    let world = World::start().await;
    let mut due = without_workers(&world).await;
    due.add(Channel::Chat, MANY).await;
    let chat = world.queue("chat");

    while count(&sweep(&world).await, "rung") > 0 {
        world.pass(60).await;
    }
    assert_eq!(world.queue_depth(&chat).await, MANY, "a bell for each");
    for _ in 0..2 {
        world.pass(60).await;
        assert_eq!(count(&sweep(&world).await, "due"), MANY);
    }
    assert_eq!(world.queue_depth(&chat).await, MANY, "their bells are still there");

    world.pass(1_800).await;
    sweep(&world).await;
    assert_eq!(take_rung(&world, Channel::Chat).await.len(), 2 * MANY, "others' bells, maybe");
    sweep(&world).await;
    assert_eq!(take_rung(&world, Channel::Chat).await.len(), MANY, "the queue was emptied");
    due.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_are_rung_for_once_as_well() {
    let world = World::start().await;
    let mut due = without_workers(&world).await;
    due.add_events(MANY).await;

    assert_eq!(count(&sweep(&world).await, "rung"), MANY);
    let again = sweep(&world).await;
    assert_eq!((count(&again, "due"), count(&again, "rung")), (MANY, 0));
    due.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn few_are_rung_for_whatever_waits_in_their_queue() {
    let world = World::start().await;
    let mut due = without_workers(&world).await;
    due.add(Channel::Email, 20).await;

    for _ in 0..3 {
        assert_eq!(count(&sweep(&world).await, "rung"), 20);
    }
    due.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_goes_on_where_the_last_one_had_no_more_time() {
    let folder = Directory::new("system");
    let edited = edited_template(folder.path(), "Timeout: 50 # less", "Timeout: 15 # less");
    let world = World::start_of(edited, BTreeMap::new()).await;
    let mut due = without_workers(&world).await;
    let channels = [Channel::Chat, Channel::Whatsapp, Channel::Email];
    let all = channels.len() * EACH;
    for channel in channels {
        due.add(channel, EACH).await;
    }

    world.fault("aws", json!({"operation": "SendMessageBatch", "error": "timeout"})).await;
    let first = sweep(&world).await;
    let tried = count(&first, "refused");
    assert_eq!((count(&first, "due"), count(&first, "rung")), (all, 0));
    assert!(tried < all, "all were tried");
    for channel in channels {
        let has_tried = world.logged().iter().any(|line| {
            let line: Value = serde_json::from_str(&line.text).unwrap_or_default();
            line["message"] == "swept"
                && line["channel"] == channel.name()
                && line["wakeup_failed"].as_u64() > Some(0)
        });
        assert!(has_tried, "none was rung for on {channel}");
    }

    world.heal("aws").await;
    let second = sweep(&world).await;
    assert_eq!(count(&second, "rung"), all - tried, "it goes on with the others");
    let mut left = 0;
    for channel in channels {
        left += world.queue_depth(&world.queue(channel.name())).await;
    }
    assert_eq!(left, all - tried);
    let rung = take_rung(&world, Channel::Email).await;
    assert_eq!(rung.iter().collect::<BTreeSet<_>>().len(), rung.len(), "each once");
    due.remove().await;
}
