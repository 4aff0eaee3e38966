//! The table's stream: each change of an item, in the order of the writes, read without any of the
//! code that makes events of it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::send::read;
use crate::world::World;

/// Any signature will do; the key names no function.
const AUTHORIZATION: &str = "AWS4-HMAC-SHA256 \
     Credential=test/20260101/local/dynamodb/aws4_request, SignedHeaders=host, Signature=0";

/// The most records that are read at once.
const PAGE: u32 = 1_000;

/// A reader, which goes on where it stopped.
#[derive(Debug, Default)]
pub struct StreamReader {
    /// The place in each shard.
    places: BTreeMap<String, String>,
}

impl StreamReader {
    /// Calls `see` with each record since the last time; the first time, with all that there are.
    pub async fn for_each(&mut self, world: &World, mut see: impl FnMut(&Value)) {
        let named = json!({ "TableName": world.ready.table });
        let table = call(world, "DynamoDB_20120810.DescribeTable", &named).await;
        let arn = &table["Table"]["LatestStreamArn"];
        let wanted = json!({ "StreamArn": arn });
        let stream = call(world, "DynamoDBStreams_20120810.DescribeStream", &wanted).await;

        for shard in stream["StreamDescription"]["Shards"].as_array().into_iter().flatten() {
            let id = shard["ShardId"].as_str().expect("an id").to_owned();
            let mut place = match self.places.get(&id) {
                Some(place) => place.clone(),
                None => beginning(world, arn, &id).await,
            };

            loop {
                let wanted = json!({ "ShardIterator": place, "Limit": PAGE });
                let page = call(world, "DynamoDBStreams_20120810.GetRecords", &wanted).await;
                let records = page["Records"].as_array().map(Vec::as_slice).unwrap_or_default();
                records.iter().for_each(&mut see);
                if let Some(next) = page["NextShardIterator"].as_str() {
                    next.clone_into(&mut place);
                }
                if records.is_empty() || page["NextShardIterator"].is_null() {
                    break;
                }
            }

            self.places.insert(id, place);
        }
    }
}

async fn beginning(world: &World, arn: &Value, shard: &str) -> String {
    let wanted = json!({ "StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON" });
    let answer = call(world, "DynamoDBStreams_20120810.GetShardIterator", &wanted).await;
    answer["ShardIterator"].as_str().expect("a place").to_owned()
}

async fn call(world: &World, target: &str, body: &Value) -> Value {
    let request = world
        .http
        .post(&world.ready.aws.dynamodb)
        .header("x-amz-target", target)
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-date", "20260101T000000Z")
        .header("authorization", AUTHORIZATION);

    let answer = read(request.body(body.to_string())).await;
    assert_eq!(answer.status, 200, "{target}: {}", answer.text);
    answer.json()
}
