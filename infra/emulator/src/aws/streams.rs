//! Reads a table's stream. The service's own JSON is that of the records which Lambda hands to
//! functions, so it is passed on as it comes, which an SDK would not do.
//! <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Operations_Amazon_DynamoDB_Streams.html>

use serde_json::{Value, json};

use crate::account::REGION;

/// The streams of a DynamoDB, below the proxy: what polls them is AWS itself.
#[derive(Debug, Clone)]
pub(crate) struct Streams {
    url: String,
    http: reqwest::Client,
}

/// Some records of a shard.
#[derive(Debug)]
pub(crate) struct Records {
    pub(crate) records: Vec<Value>,
    /// Where the shard goes on; `None` at its end.
    pub(crate) next: Option<String>,
}

impl Streams {
    pub(super) fn new(url: String) -> reqwest::Result<Self> {
        // A proxy in the environment would not find loopback ports.
        Ok(Self { url, http: reqwest::Client::builder().no_proxy().build()? })
    }

    /// Returns the ARN of a table's stream; `None` if it has none, or while DynamoDB does not
    /// answer.
    pub(crate) async fn arn(&self, table: &str) -> Option<String> {
        let body = json!({ "TableName": table });
        let answer = self.call("DynamoDB_20120810.DescribeTable", &body).await?;
        text(&answer["Table"]["LatestStreamArn"])
    }

    /// Returns the shards of a stream, in their order; none while DynamoDB does not answer.
    pub(crate) async fn shards(&self, arn: &str) -> Vec<String> {
        let body = json!({ "StreamArn": arn });
        let answer = self.call("DynamoDBStreams_20120810.DescribeStream", &body).await;
        let answer = answer.unwrap_or_default();
        let shards = answer["StreamDescription"]["Shards"].as_array().into_iter().flatten();
        shards.filter_map(|shard| text(&shard["ShardId"])).collect()
    }

    /// Returns the place before a shard's first record, or behind its last one.
    pub(crate) async fn iterator(
        &self,
        arn: &str,
        shard: &str,
        from_beginning: bool,
    ) -> Option<String> {
        let kind = if from_beginning { "TRIM_HORIZON" } else { "LATEST" };
        let body = json!({ "StreamArn": arn, "ShardId": shard, "ShardIteratorType": kind });
        let answer = self.call("DynamoDBStreams_20120810.GetShardIterator", &body).await?;
        text(&answer["ShardIterator"])
    }

    /// Returns the records behind a place; `None` while DynamoDB does not answer, or if it does not
    /// know the place any more.
    pub(crate) async fn records(&self, iterator: &str, limit: usize) -> Option<Records> {
        let body = json!({ "ShardIterator": iterator, "Limit": limit });
        let mut answer = self.call("DynamoDBStreams_20120810.GetRecords", &body).await?;
        let records = match answer["Records"].take() {
            Value::Array(records) => records,
            _ => Vec::new(),
        };
        Some(Records { records, next: text(&answer["NextShardIterator"]) })
    }

    async fn call(&self, target: &str, body: &Value) -> Option<Value> {
        let credential = format!("local/20260101/{REGION}/dynamodb/aws4_request");
        let request = self
            .http
            .post(&self.url)
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", target)
            .header("x-amz-date", "20260101T000000Z")
            .header(
                "authorization",
                format!(
                    "AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host, Signature=0"
                ),
            )
            .body(body.to_string());
        let answer = request.send().await.ok()?.error_for_status().ok()?;
        serde_json::from_slice(&answer.bytes().await.ok()?).ok()
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}
