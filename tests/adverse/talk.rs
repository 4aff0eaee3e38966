//! Conversations, what was sent into them, and the system as it looks from above: what waits, what
//! is in hand.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use tests::{Business, CHANNELS, World};

pub(crate) use tests::settling::{next_due, now, see_through};

/// A conversation, and what was sent into it.
#[derive(Debug)]
pub(crate) struct Talk {
    pub(crate) channel: &'static str,
    pub(crate) conversation_id: Uuid,
    /// The texts, oldest first.
    pub(crate) texts: Vec<String>,
    /// The messages' ids.
    pub(crate) ids: Vec<Uuid>,
}

impl Talk {
    /// One conversation more.
    pub(crate) async fn new(world: &World, business: &Business, channel: &'static str) -> Talk {
        let conversation_id = world.another_conversation(business, channel).await;
        Talk { channel, conversation_id, texts: Vec::new(), ids: Vec::new() }
    }

    /// So many conversations on each channel.
    pub(crate) async fn on_every_channel(
        world: &World,
        business: &Business,
        each: usize,
    ) -> Vec<Talk> {
        let channels = CHANNELS.iter().flat_map(|channel| std::iter::repeat_n(*channel, each));
        join_all(channels.map(|channel| Talk::new(world, business, channel))).await
    }

    /// Sends so many messages, one after the other; each is answered 201.
    pub(crate) async fn send_messages(&mut self, world: &World, business: &Business, count: usize) {
        for _ in 0..count {
            let text = format!("message number {} by {}", self.texts.len() + 1, self.channel);
            let answer = world.send(&business.api_key, self.conversation_id, &text).go().await;
            self.ids.push(answer.id());
            self.texts.push(text);
        }
    }

    /// Returns one of its messages, by its place.
    pub(crate) async fn delivery(&self, world: &World, business: &Business, place: usize) -> Value {
        world.delivery(&business.api_key, self.conversation_id, self.ids[place]).await
    }

    /// Waits until one of its messages has this status.
    pub(crate) async fn until_status(
        &self,
        world: &World,
        business: &Business,
        place: usize,
        status: &str,
    ) {
        world.until_status(&business.api_key, self.conversation_id, self.ids[place], status).await;
    }

    /// Returns the messages that its customer got, with the time of each: the message's place,
    /// first copies only.
    pub(crate) async fn received(&self, world: &World) -> BTreeMap<usize, DateTime<Utc>> {
        if self.channel == "chat" {
            world.until_shown().await;
        }

        let path = format!("/{}/messages?conversation_id={}", self.channel, self.conversation_id);
        let all = world.sandbox(Method::GET, &path, Value::Null).await;
        let mut received = BTreeMap::new();

        for one in all.as_array().expect("an array") {
            let id: Uuid = serde_json::from_value(one["message_id"].clone()).expect("an id");
            let at = serde_json::from_value(one["at"].clone()).expect("a time");
            let place = self.ids.iter().position(|sent| *sent == id).expect("one of its messages");
            received.entry(place).or_insert(at);
        }

        received
    }

    /// How many copies its customer got, of whatever message.
    pub(crate) async fn copies(&self, world: &World) -> usize {
        world.received(self.channel, self.conversation_id).await.len()
    }

    /// When a worker last announced that it hands over one of its messages, by its place.
    pub(crate) async fn attempted_at(&self, world: &World, place: usize) -> DateTime<Utc> {
        let items = scan(world, "id = :this", &self.ids[place].to_string()).await;
        text(&items[0], "attempted_at").parse().expect("it was tried")
    }

    /// Itself and its messages as the table has them, by their keys.
    pub(crate) async fn stored(&self, world: &World) -> BTreeMap<String, Item> {
        let items =
            scan(world, "contains(pk, :this)", &self.conversation_id.to_string()).await.into_iter();
        let items = items.map(|item| (text(&item, "sk"), item));
        items.filter(|(key, _)| key == "CONVERSATION" || key.starts_with("M#")).collect()
    }

    /// Rings for it, whether it is time or not.
    pub(crate) async fn ring(&self, world: &World, business: &Business) {
        let queues = &world.ready.queues;
        let url = match self.channel {
            "chat" => &queues.chat,
            "whatsapp" => &queues.whatsapp,
            _ => &queues.email,
        };
        let business = business.business_id;
        let conversation_id = self.conversation_id;
        let doorbell = json!({"v": 1, "business": business, "conversation": conversation_id, "channel": self.channel});
        let call = json!({"QueueUrl": url, "MessageBody": doorbell.to_string(), "MessageGroupId": business});
        let request = world.http().post(&world.ready.aws.sqs).body(call.to_string());
        let request = request.header("X-Amz-Target", "AmazonSQS.SendMessage");
        let answer = request
            .header("Content-Type", "application/x-amz-json-1.0")
            .send()
            .await
            .expect("an answer");

        assert_eq!(answer.status(), 200);
    }
}

/// Has everybody say so many messages, all at once.
pub(crate) async fn all_send(world: &World, business: &Business, talks: &mut [Talk], count: usize) {
    join_all(talks.iter_mut().map(|talk| talk.send_messages(world, business, count))).await;
}

/// Returns how much the queues handed out so far: records, deliveries.
pub(crate) async fn handed_out(world: &World) -> (u64, u64) {
    let out = world.sandbox(Method::GET, "/queues", Value::Null).await["handed_out"].take();
    (out["records"].as_u64().expect("a number"), out["deliveries"].as_u64().expect("a number"))
}

/// How many messages have this status.
pub(crate) async fn count(world: &World, status: &str) -> usize {
    let messages = scan(world, "begins_with(sk, :this)", "M#").await.into_iter();
    messages.filter(|message| text(message, "status") == status).count()
}

/// Every message was taken by its provider. In which order, and how often, the oracle looks at.
pub(crate) async fn all_arrived(world: &World, talks: &[Talk]) {
    for talk in talks {
        let places: Vec<usize> = talk.received(world).await.into_keys().collect();
        assert_eq!(places, Vec::from_iter(0..talk.ids.len()), "{talk:?}");
    }
}

pub(crate) type Item = HashMap<String, AttributeValue>;

/// The items that this is true of.
async fn scan(world: &World, filter: &str, this: &str) -> Vec<Item> {
    let scan = world
        .dynamodb()
        .scan()
        .table_name(&world.ready.table)
        .consistent_read(true)
        .filter_expression(filter);
    let pages = scan
        .expression_attribute_values(":this", AttributeValue::S(this.to_owned()))
        .into_paginator();
    pages.items().send().collect::<Result<_, _>>().await.expect("the table can be read")
}

fn text(item: &Item, name: &str) -> String {
    item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default()
}
