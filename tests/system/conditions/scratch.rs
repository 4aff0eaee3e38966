//! A table of the test's own: the template's table without its functions, so that only the test
//! changes items.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Config, Credentials, Intercept, Region};
use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, PutRequest, WriteRequest};
use futures_util::FutureExt;
use futures_util::future::OptionFuture;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config as Cases, RngSeed, TestRunner};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::Handle;
use tokio::task::block_in_place;
use yaml_serde::{Mapping, Value};

use super::interference::{LostAnswer, Meanwhile};
use emulator::{Engine, EngineOptions, Failure, FaultRule, Trigger};
use platform::table::Table;
use platform::table::key::Key;

/// An item as DynamoDB stores it, with its attributes sorted by name.
pub(super) type Item = BTreeMap<String, AttributeValue>;

/// Items by `pk` and `sk`.
pub(super) type ItemsByKey = BTreeMap<(String, String), Item>;

/// A table that begins empty and is removed when this is dropped.
pub(super) struct Scratch {
    engine: Option<Engine>,
    endpoint: String,
    /// The table's items.
    pub(super) items: Items,
}

impl Scratch {
    /// Makes the table, in the DynamoDB of `AWS_ENDPOINT_URL_DYNAMODB` if that is set.
    pub(super) async fn start() -> Scratch {
        let template = only_the_table();
        let options = EngineOptions {
            template: template.clone(),
            dynamodb: std::env::var("AWS_ENDPOINT_URL_DYNAMODB").ok().filter(|url| !url.is_empty()),
            ..EngineOptions::default()
        };
        let engine = Engine::start(options).await.unwrap_or_else(|error| panic!("{error}"));
        std::fs::remove_file(template).expect("it was written just now");
        let endpoint = engine.dynamodb_url().to_owned();
        let client = Client::from_conf(config(&endpoint).build());
        let items = Items { client, table: engine.table_name().to_owned() };
        Scratch { engine: Some(engine), endpoint, items }
    }

    /// The table as the functions use it.
    pub(super) fn table(&self) -> Table {
        Table::new(self.items.client.clone(), self.items.table.clone())
    }

    /// The table, with the first transaction that holds `about` telling only the reasons of
    /// `pattern` if it is cancelled: a `+` is one that is told, a `-` one that is not.
    pub(super) fn telling_reasons(&self, about: &str, pattern: &str) -> Table {
        let faults = self.engine.as_ref().expect("it runs").faults();
        faults.clear();
        let error = Failure::try_from(format!("reasons:{pattern}")).expect("a pattern");
        let rule = FaultRule {
            function: Some("*".to_owned()),
            about: Some(about.to_owned()),
            trigger: Trigger { times: Some(1), ..Trigger::default() },
            ..FaultRule::new("TransactWriteItems", error)
        };
        faults.set(rule).expect("a rule");
        self.table()
    }

    /// True if the transaction of [`telling_reasons`](Scratch::telling_reasons) was made.
    pub(super) fn was_told_less(&self) -> bool {
        self.engine.as_ref().expect("it runs").faults().rules().is_empty()
    }

    /// The table, with `happens` run before each call of `operation`. `happens` gets the number of
    /// earlier calls.
    pub(super) fn meanwhile<F: Future<Output = ()>>(
        &self,
        operation: &'static str,
        happens: impl Fn(Items, u32) -> F + Send + Sync + 'static,
    ) -> Table {
        let items = self.items.clone();
        let happens = move |time| happens(items.clone(), time);
        self.intercepted(Meanwhile::new(operation, happens))
    }

    /// The table, with `happens` run before the first call of `operation`.
    pub(super) fn meanwhile_once<F: Future<Output = ()>>(
        &self,
        operation: &'static str,
        happens: impl Fn(Items) -> F + Send + Sync + 'static,
    ) -> Table {
        self.meanwhile(operation, move |items, time| {
            OptionFuture::from((time == 0).then(|| happens(items))).map(Option::unwrap_or_default)
        })
    }

    /// The table, with its first answer lost, so that the SDK repeats the call.
    pub(super) fn losing_the_first_answer(&self) -> Table {
        self.losing_an_answer_after(0)
    }

    /// The table, with one answer lost after `others` answers arrived.
    pub(super) fn losing_an_answer_after(&self, others: u32) -> Table {
        self.intercepted(LostAnswer::after(others))
    }

    fn intercepted(&self, interceptor: impl Intercept + 'static) -> Table {
        let client = Client::from_conf(config(&self.endpoint).interceptor(interceptor).build());
        Table::new(client, self.items.table.clone())
    }
}

fn config(endpoint: &str) -> aws_sdk_dynamodb::config::Builder {
    Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("local"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(endpoint)
}

/// The table's items, read and written without any condition.
#[derive(Clone)]
pub(super) struct Items {
    client: Client,
    table: String,
}

impl Items {
    /// Stores an item, in place of an existing one, and returns it.
    pub(super) async fn put(&self, item: Item) -> Item {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(item.clone().into_iter().collect()));
        put.send().await.expect("a put without a condition");
        item
    }

    /// Removes an item.
    pub(super) async fn remove(&self, key: &Key) {
        let delete =
            self.client.delete_item().table_name(&self.table).set_key(Some(key.attributes()));
        delete.send().await.expect("a deletion without a condition");
    }

    /// Replaces all items by these, and returns them by key. Old and new items are 25 at most.
    pub(super) async fn replace_all(&self, items: Vec<Item>) -> ItemsByKey {
        let items = by_key(items);
        let old = self.all().await.into_keys().filter(|key| !items.contains_key(key));
        let delete = old.map(|(pk, sk)| {
            let delete =
                DeleteRequest::builder().set_key(Some(Key { pk, sk }.attributes())).build();
            WriteRequest::builder().delete_request(delete.expect("the key is set")).build()
        });

        let put = items.values().map(|item| {
            let put =
                PutRequest::builder().set_item(Some(item.clone().into_iter().collect())).build();
            WriteRequest::builder().put_request(put.expect("the item is set")).build()
        });

        let write =
            self.client.batch_write_item().request_items(&self.table, delete.chain(put).collect());
        let left = write.send().await.expect("a write without a condition").unprocessed_items;
        assert!(left.unwrap_or_default().is_empty(), "no other test writes");

        items
    }

    /// Returns the item stored under a key.
    pub(super) async fn get(&self, key: &Key) -> Option<Item> {
        let get = self.client.get_item().table_name(&self.table).consistent_read(true);
        let answer = get.set_key(Some(key.attributes())).send().await.expect("an answer");
        answer.item.map(|item| item.into_iter().collect())
    }

    /// Returns the record stored under a key.
    pub(super) async fn record<T: DeserializeOwned>(&self, key: &Key) -> Option<T> {
        let item: HashMap<_, _> = self.get(key).await?.into_iter().collect();
        Some(serde_dynamo::aws_sdk_dynamodb_1::from_item(item).expect("what the platform stores"))
    }

    /// Returns all items by key.
    pub(super) async fn all(&self) -> ItemsByKey {
        let scan = self.client.scan().table_name(&self.table).consistent_read(true);
        let items = scan
            .into_paginator()
            .items()
            .send()
            .collect::<Result<Vec<_>, _>>()
            .await
            .expect("an answer");
        by_key(items.into_iter().map(BTreeMap::from_iter))
    }
}

fn by_key(items: impl IntoIterator<Item = Item>) -> ItemsByKey {
    let text = |item: &Item, name: &str| item[name].as_s().expect("keys are texts").clone();
    items.into_iter().map(|item| ((text(&item, "pk"), text(&item, "sk")), item)).collect()
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.take() {
            block_in_place(|| Handle::current().block_on(engine.stop()));
        }
    }
}

/// Writes a template that declares only the repository's table.
fn only_the_table() -> PathBuf {
    let whole = tests::contract::root().join("template.yaml");
    let text = std::fs::read_to_string(whole).expect("template.yaml is there");
    let mut document: Mapping = yaml_serde::from_str(&text).expect("template.yaml is YAML");
    document.retain(|name, _| {
        ["AWSTemplateFormatVersion", "Transform", "Resources"].iter().any(|kept| name == kept)
    });

    let resources = document
        .get_mut("Resources")
        .and_then(Value::as_mapping_mut)
        .expect("it declares resources");

    resources.retain(|_, resource| resource["Type"] == "AWS::DynamoDB::Table");
    let path =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.yaml", uuid::Uuid::new_v4()));
    std::fs::write(&path, yaml_serde::to_string(&document).expect("it was YAML"))
        .expect("a writable directory");

    path
}

/// An item of a record's attributes under `key`.
pub(super) fn item(key: &Key, record: &impl Serialize) -> Item {
    let item: HashMap<_, _> =
        serde_dynamo::aws_sdk_dynamodb_1::to_item(record).expect("records are maps");
    item.into_iter().chain(key.attributes()).collect()
}

/// Returns the item with other attributes; `None` removes one.
pub(super) fn with<const N: usize>(
    mut item: Item,
    attributes: [(&str, Option<AttributeValue>); N],
) -> Item {
    for (name, value) in attributes {
        match value {
            Some(value) => item.insert(name.to_owned(), value),
            None => item.remove(name),
        };
    }
    item
}

/// An attribute.
pub(super) fn value(of: impl Serialize) -> AttributeValue {
    serde_dynamo::aws_sdk_dynamodb_1::to_attribute_value(of).expect("plain data")
}

/// Runs `decide` on generated states, the same ones each time. `decide` makes its own checks and
/// returns whether the write was made. Both outcomes have to occur at least ten times.
pub(super) fn for_all<S: Strategy>(cases: u32, states: &S, decide: impl AsyncFn(S::Value) -> bool) {
    let config =
        Cases { cases, rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..Cases::default() };
    let (made, refused) = (AtomicU32::new(0), AtomicU32::new(0));
    let checked = TestRunner::new(config).run(states, |state| {
        let was_made = block_in_place(|| Handle::current().block_on(decide(state)));
        (if was_made { &made } else { &refused }).fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    checked.unwrap_or_else(|failure| panic!("{failure}"));
    println!("{made:?} made, {refused:?} refused");
    assert!(made.into_inner() >= 10 && refused.into_inner() >= 10, "the states are all alike");
}
