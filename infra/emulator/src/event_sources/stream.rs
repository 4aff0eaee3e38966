//! Reads a table's stream for a function: shard by shard, in order, and one batch of a shard at a
//! time. A batch that fails is tried again until it is over, and holds up what is behind it.
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-eventsourcemapping.html>

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use chrono::{SecondsFormat, Utc};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::polling::Polling;
use super::queue_event::failures;
use crate::account::{ACCOUNT_ID, PARTITION, REGION};
use crate::aws::Streams;
use crate::lambda::{InvokeError, Lambda};
use crate::template::StreamSource;

/// Pause between two reads of a shard that had nothing new. Lambda reads four times a second.
const PAUSE: Duration = Duration::from_millis(50);

/// Waits before a batch that failed is tried again: the first one, which doubles, and the longest.
/// On AWS they grow to a minute.
const RETRIES: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(5)];

/// How far each shard of a stream was processed. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Progress(Arc<Mutex<BTreeMap<String, String>>>);

impl Progress {
    fn get(&self, shard: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(shard).cloned()
    }

    fn set(&self, shard: &str, iterator: String) {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.insert(shard.to_owned(), iterator);
    }

    fn forget(&self, shard: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(shard);
    }

    /// Returns the place of each shard behind which nothing is processed.
    pub(super) fn places(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

/// One stream with its function.
pub(super) struct Poller {
    pub(super) function: String,
    pub(super) source: StreamSource,
    pub(super) table: String,
    pub(super) streams: Streams,
    pub(super) lambda: Arc<Lambda>,
    pub(super) polling: Polling,
    pub(super) sqs: aws_sdk_sqs::Client,
    /// The URL of the queue for letters about records that were given up.
    pub(super) letters: Option<String>,
    pub(super) progress: Progress,
    /// Told the number of the last record that was processed.
    pub(super) processed: watch::Sender<Option<String>>,
}

/// A batch, and how often it has failed.
struct Batch {
    records: Vec<Value>,
    failures: u32,
}

impl Poller {
    /// Reads the stream, until the task is aborted.
    pub(super) async fn poll(self: Arc<Self>) {
        loop {
            match self.streams.arn(&self.table).await {
                Some(arn) => self.read(&arn).await,
                None => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    async fn read(self: &Arc<Self>, arn: &str) {
        loop {
            let mut is_idle = true;
            for shard in self.streams.shards(arn).await {
                is_idle &= !self.read_shard(arn, &shard).await;
            }

            if is_idle {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Processes one batch of a shard; false if it has nothing new.
    async fn read_shard(self: &Arc<Self>, arn: &str, shard: &str) -> bool {
        let from_beginning = self.source.from_beginning;
        let iterator = match self.progress.get(shard) {
            Some(iterator) => iterator,
            None => match self.streams.iterator(arn, shard, from_beginning).await {
                Some(iterator) => {
                    self.progress.set(shard, iterator.clone());
                    iterator
                }
                None => return false,
            },
        };

        let read = self.streams.records(&iterator, self.source.batch_size);
        let Some(found) = self.polling.ask(read).await else {
            // A place expires, and DynamoDB Local trims the record that one names: the shard is
            // read from its beginning again, as the function asks, and some records come twice.
            self.progress.forget(shard);
            return false;
        };
        let last = found.records.last().and_then(number).map(str::to_owned);

        if last.is_some() {
            // In a task of its own, so that a batch is finished when polling stops.
            let poller = Arc::clone(self);
            let (arn, shard) = (arn.to_owned(), shard.to_owned());
            let records = found.records;
            let processed =
                tokio::spawn(async move { poller.process(records, &arn, &shard).await }).await;
            if !processed.unwrap_or(false) {
                return false;
            }
        }

        if let Some(next) = found.next {
            self.progress.set(shard, next);
        }

        if last.is_some() {
            self.processed.send_replace(last.clone());
        }

        last.is_some()
    }

    /// Invokes the function until each record was processed or given up; false if the local system
    /// stops before that.
    async fn process(&self, records: Vec<Value>, arn: &str, shard: &str) -> bool {
        let records: Vec<Value> =
            records.into_iter().filter(|record| self.source.matches(record)).collect();
        let mut batches = VecDeque::from([Batch { records, failures: 0 }]);

        while let Some(batch) = batches.pop_front() {
            if batch.records.is_empty() {
                continue;
            }

            let event = event(&batch.records, arn);
            let answer = self.lambda.invoke(&self.function, event).await;
            let failed_at = match answer {
                Err(InvokeError::Stopped) => return false,
                Err(_) => Some(0),
                Ok(answer) if self.source.reports_failures => {
                    first_failure(&batch.records, &answer)
                }
                Ok(_) => None,
            };

            let Some(failed_at) = failed_at else { continue };

            let failures = if failed_at == 0 { batch.failures + 1 } else { 1 };
            let mut left = batch.records;
            left.drain(..failed_at);
            if left.len() > 1 && self.source.bisects {
                let second = left.split_off(left.len() / 2);
                batches.push_front(Batch { records: second, failures: batch.failures });
                batches.push_front(Batch { records: left, failures: batch.failures });
            } else if self.source.max_retries.is_some_and(|most| failures > most) {
                self.give_up(&left, arn, shard).await;
                continue;
            } else {
                batches.push_front(Batch { records: left, failures });
            }

            let [first, longest] = RETRIES;
            tokio::time::sleep((first * (1 << failures.min(10))).min(longest)).await;
        }

        true
    }

    /// Sends a letter that names the records, as Lambda does, without them.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html>
    async fn give_up(&self, records: &[Value], arn: &str, shard: &str) {
        let Some(url) = &self.letters else { return };
        let [first, last] = [records.first(), records.last()].map(|record| record.and_then(number));
        let function =
            format!("arn:{PARTITION}:lambda:{REGION}:{ACCOUNT_ID}:function:{}", self.function);
        let letter = json!({
            "requestContext": {
                "requestId": uuid::Uuid::new_v4(),
                "functionArn": function,
                "condition": "RetryAttemptsExhausted",
                "approximateInvokeCount": self.source.max_retries.map(|most| most + 1),
            },
            "version": "1.0",
            "timestamp": Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true),
            "DDBStreamBatchInfo": {
                "shardId": shard,
                "startSequenceNumber": first,
                "endSequenceNumber": last,
                "batchSize": records.len(),
                "streamArn": arn,
            },
        });
        // A queue that does not answer is being stopped.
        let _ =
            self.sqs.send_message().queue_url(url).message_body(letter.to_string()).send().await;
    }
}

/// Returns the event for a batch.
/// <https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html>
fn event(records: &[Value], arn: &str) -> Bytes {
    let record = |record: &Value| {
        let mut record = record.clone();
        record["awsRegion"] = json!(REGION);
        record["eventSourceARN"] = json!(arn);
        record
    };

    let records: Vec<Value> = records.iter().map(record).collect();
    Bytes::from(json!({ "Records": records }).to_string())
}

/// Returns the number of a record in its shard.
fn number(record: &Value) -> Option<&str> {
    record["dynamodb"]["SequenceNumber"].as_str()
}

/// Returns the place of the first record that was not processed according to the function's answer:
/// the lowest that it names, and the first of all if the answer is malformed.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html>
fn first_failure(records: &[Value], answer: &[u8]) -> Option<usize> {
    let Some(failed) = failures(answer) else { return Some(0) };
    let place = |id: &String| {
        records.iter().position(|record| number(record) == Some(id.as_str())).unwrap_or(0)
    };

    failed.iter().map(place).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_begins_with_the_first_record_that_failed() {
        let records: Vec<Value> = ["1", "2", "3"]
            .map(|number| json!({ "dynamodb": { "SequenceNumber": number } }))
            .into();
        let failures = |ids: &[&str]| {
            let items: Vec<Value> = ids.iter().map(|id| json!({ "itemIdentifier": id })).collect();
            json!({ "batchItemFailures": items }).to_string()
        };

        for (answer, expected) in [
            ("".to_owned(), None),
            ("null".to_owned(), None),
            (failures(&[]), None),
            (failures(&["2"]), Some(1)),
            (failures(&["3", "2"]), Some(1)),
            (failures(&["9"]), Some(0)),
            (failures(&[""]), Some(0)),
            ("not JSON".to_owned(), Some(0)),
        ] {
            assert_eq!(first_failure(&records, answer.as_bytes()), expected, "{answer}");
        }
    }
}
