//! Polls a queue for a function: takes batches, invokes, deletes what was processed. What was not stays in the queue
//! until its visibility timeout, and goes to the dead letters when it has been received too often.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, Message, MessageSystemAttributeName};
use tokio::time::Instant;

use super::queue_event::{event, processed};
use crate::lambda::Lambda;
use crate::template::QueueSource;

/// Most pollers of one source: a template asks for what a region has, one machine has less.
const MAX_POLLERS: usize = 4;

/// A long poll of one second: the emulator does not wake one on a FIFO queue after a redrive.
const WAIT_SECONDS: i32 = 1;

/// Most messages that SQS hands out, or deletes, at once.
const MAX_RECEIVE: usize = 10;

/// Pause after SQS could not be reached, which happens only while everything stops.
const RETRY: Duration = Duration::from_millis(100);

/// One event source; it is polled by several tasks at once.
pub(super) struct Poller {
    pub(super) function: String,
    pub(super) source: QueueSource,
    pub(super) url: String,
    pub(super) arn: String,
    pub(super) sqs: aws_sdk_sqs::Client,
    pub(super) lambda: Arc<Lambda>,
}

/// How many tasks poll a source, each with one invocation at a time.
pub(super) fn concurrency(source: &QueueSource) -> usize {
    source.maximum_concurrency.unwrap_or(MAX_POLLERS).min(MAX_POLLERS)
}

impl Poller {
    /// Polls until the task is aborted.
    pub(super) async fn poll(self: Arc<Self>) {
        loop {
            let batch = self.gather().await;
            if batch.is_empty() {
                continue;
            }
            // On its own, so that a batch that was taken is seen through when polling stops.
            let poller = Arc::clone(&self);
            let _ = tokio::spawn(async move { poller.process(batch).await }).await;
        }
    }

    /// A batch: what is there at once, or what comes together within the batching window.
    async fn gather(&self) -> Vec<Message> {
        let mut batch = self.receive(self.source.batch_size).await;
        let until = Instant::now() + self.source.batching_window;
        while !batch.is_empty() && batch.len() < self.source.batch_size && Instant::now() < until {
            match tokio::time::timeout_at(until, self.receive(self.source.batch_size - batch.len())).await {
                Ok(more) => batch.extend(more),
                Err(_) => break,
            }
        }
        batch
    }

    async fn receive(&self, wanted: usize) -> Vec<Message> {
        let wanted = i32::try_from(wanted.min(MAX_RECEIVE)).unwrap_or(1);
        let request = self
            .sqs
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(wanted)
            .wait_time_seconds(WAIT_SECONDS)
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::All);
        match request.send().await {
            Ok(received) => received.messages.unwrap_or_default(),
            Err(_) => {
                tokio::time::sleep(RETRY).await;
                Vec::new()
            }
        }
    }

    async fn process(&self, batch: Vec<Message>) {
        // A function that fails says so in its log; here it only means that nothing was processed.
        let Ok(answer) = self.lambda.invoke(&self.function, event(&batch, &self.arn)).await else { return };
        let ids: Vec<&str> = batch.iter().filter_map(Message::message_id).collect();
        let done = match self.source.reports_failures {
            true => processed(&ids, &answer),
            false => ids.into_iter().collect(),
        };
        self.delete(batch.iter().filter(|message| message.message_id().is_some_and(|id| done.contains(id)))).await;
    }

    async fn delete<'a>(&self, messages: impl Iterator<Item = &'a Message>) {
        let entry = |(index, message): (usize, &Message)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string());
            entry.set_receipt_handle(message.receipt_handle.clone()).build().ok()
        };
        let entries: Vec<_> = messages.enumerate().filter_map(entry).collect();
        for chunk in entries.chunks(MAX_RECEIVE) {
            let request = self.sqs.delete_message_batch().queue_url(&self.url).set_entries(Some(chunk.to_vec()));
            // What stays undeleted is delivered again, as SQS promises no less.
            let _ = request.send().await;
        }
    }
}

/// Shorthand for the ids of messages that are done with.
pub(super) type Ids<'a> = BTreeSet<&'a str>;
