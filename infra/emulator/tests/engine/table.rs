//! The table is made as declared, here or in another DynamoDB, and lasts where it should.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::json;

use crate::{client, engine, options};
use emulator::{Engine, EngineOptions};

async fn exists(client: &Client, table: &str) -> bool {
    client.describe_table().table_name(table).send().await.is_ok()
}

#[tokio::test]
async fn the_table_has_its_index_and_its_end_of_items() {
    let engine = engine().await;
    let client = client!(aws_sdk_dynamodb, engine.dynamodb_url());
    let table = client
        .describe_table()
        .table_name(engine.table_name())
        .send()
        .await
        .unwrap()
        .table
        .unwrap();
    let index = &table.global_secondary_indexes()[0];
    assert_eq!(index.index_name(), Some("due"));
    assert_eq!(index.projection().unwrap().non_key_attributes(), ["note"]);
    let ttl = client.describe_time_to_live().table_name(engine.table_name()).send().await.unwrap();
    assert_eq!(ttl.time_to_live_description().unwrap().attribute_name(), Some("expires_at"));

    engine.stop().await;
}

#[tokio::test]
async fn another_dynamodb_can_be_used_and_is_left_as_it_was() {
    let host = engine().await;
    let elsewhere = host.dynamodb_url().to_owned();
    let guest =
        Engine::start(EngineOptions { dynamodb: Some(elsewhere), ..options() }).await.unwrap();
    let table = guest.table_name().to_owned();
    assert_ne!(table, host.table_name());
    assert_eq!(guest.invoke("writer", json!({ "pk": "a" })).await.unwrap(), "written");
    let client = client!(aws_sdk_dynamodb, host.dynamodb_url());
    let get = client.get_item().table_name(&table).key("pk", AttributeValue::S("a".to_owned()));
    assert!(get.send().await.unwrap().item.is_some());
    guest.stop().await;
    assert!(!exists(&client, &table).await);
    assert!(exists(&client, host.table_name()).await);

    host.stop().await;
}

#[tokio::test]
async fn items_in_a_data_directory_outlive_the_engine() {
    let directory = std::env::temp_dir().join(format!("probe-{}", uuid::Uuid::new_v4()));
    let lasting = || EngineOptions { data_dir: Some(directory.clone()), ..options() };
    let engine = Engine::start(lasting()).await.unwrap();
    assert_eq!(engine.invoke("writer", json!({ "pk": "kept" })).await.unwrap(), "written");
    engine.stop().await;
    let engine = Engine::start(lasting()).await.unwrap();
    let client = client!(aws_sdk_dynamodb, engine.dynamodb_url());
    let get = client
        .get_item()
        .table_name(engine.table_name())
        .key("pk", AttributeValue::S("kept".to_owned()));
    assert!(get.send().await.unwrap().item.is_some());
    engine.stop().await;

    std::fs::remove_dir_all(directory).unwrap();
}
