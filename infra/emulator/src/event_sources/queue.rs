//! Polls a queue for a function: receives messages, invokes the function with batches, and deletes
//! the messages that were processed. The others stay in the queue until their visibility timeout,
//! and go to the dead letters when they have been received too often. `fair_buffer.rs` fills the
//! batches.

use std::sync::Arc;
use std::time::Duration;

use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageSystemAttributeName,
};
use bytes::Bytes;
use tokio::time::Instant;

use super::fair_buffer::{Delivery, FairBuffer};
use super::polling::Polling;
use super::queue_event::{event, processed};
use crate::aws;
use crate::lambda::{Lambda, Lineage};
use crate::template::QueueSource;

/// Most invocations of one source at once: one machine has less room than the region that a
/// template is written for.
const MAX_CONCURRENCY: usize = 4;

/// A long poll of one second: the emulator does not wake one on a FIFO queue after a redrive.
const WAIT_SECONDS: i32 = 1;

/// Most messages in one call to SQS.
const MAX_RECEIVE: usize = 10;

/// The longest visibility timeout, in seconds: a message in the buffer must not be received again.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html>
const WHILE_BUFFERED: i32 = 43_200;

/// Pause after SQS could not be reached, which happens only during a stop.
const RETRY: Duration = Duration::from_millis(100);

/// One queue with its function: one task receives, several invoke.
pub(super) struct Poller {
    pub(super) function: String,
    /// Whether Lambda invokes it however often it was invoked in the same chain of requests.
    pub(super) may_loop: bool,
    pub(super) source: QueueSource,
    pub(super) url: String,
    pub(super) arn: String,
    /// The queue's own visibility timeout, in seconds.
    pub(super) visibility: i32,
    pub(super) sqs: aws_sdk_sqs::Client,
    pub(super) lambda: Arc<Lambda>,
    pub(super) polling: Polling,
    pub(super) buffer: FairBuffer,
}

/// Returns the chain of requests that a message belongs to.
fn lineage_of(message: &Message) -> Lineage {
    let attributes = message.attributes.as_ref();
    let header = attributes.and_then(|all| all.get(&MessageSystemAttributeName::AwsTraceHeader));
    header.map(|header| Lineage::of_header(header)).unwrap_or_default()
}

/// Returns how many tasks invoke a source's function, each with one invocation at a time.
pub(super) fn concurrency(source: &QueueSource) -> usize {
    source.maximum_concurrency.unwrap_or(MAX_CONCURRENCY).min(MAX_CONCURRENCY)
}

impl Poller {
    /// Receives messages into the buffer, until the task is aborted.
    pub(super) async fn fetch(self: Arc<Self>) {
        loop {
            let mut messages = self.polling.ask(self.receive()).await;
            let groups: Vec<_> = messages.iter_mut().map(aws::restore_group_id).collect();
            self.buffer.add(messages.into_iter().zip(groups).collect());
        }
    }

    /// Invokes the function with batches out of the buffer, until the task is aborted.
    pub(super) async fn poll(self: Arc<Self>) {
        loop {
            let batch = self.gather().await;
            // In a task of its own, so that a batch is finished when polling stops.
            let poller = Arc::clone(&self);
            let _ = tokio::spawn(async move { poller.process(batch).await }).await;
        }
    }

    /// Returns a batch: what is there at once, or what comes within the batching window.
    async fn gather(&self) -> Vec<Delivery> {
        let mut batch = self.buffer.take_batch(self.source.batch_size, &[]).await;
        let until = Instant::now() + self.source.batching_window;
        while batch.len() < self.source.batch_size && Instant::now() < until {
            let more = self.buffer.take_batch(self.source.batch_size - batch.len(), &batch);
            match tokio::time::timeout_at(until, more).await {
                Ok(more) => batch.extend(more),
                Err(_) => break,
            }
        }
        batch
    }

    async fn receive(&self) -> Vec<Message> {
        let request = self
            .sqs
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(MAX_RECEIVE as i32)
            .visibility_timeout(WHILE_BUFFERED)
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

    async fn process(&self, batch: Vec<Delivery>) {
        let begun = Instant::now();
        let received: Vec<&Message> = batch.iter().map(|delivery| &delivery.message).collect();
        let (messages, lineage) = self.outside_loops(&received);
        let event = event(&messages, &self.arn);
        // The function may change when its messages come back.
        self.hand_out(&received).await;
        let answer = match messages.is_empty() {
            true => Ok(Bytes::new()),
            false => self.lambda.invoke_in(lineage, &self.function, event).await,
        };

        self.buffer.finish(&batch, begun);
        // The function logs its failure; here it only means that nothing was processed.
        let Ok(answer) = answer else { return };
        let ids: Vec<&str> = messages.iter().filter_map(|message| message.message_id()).collect();
        let done = match self.source.reports_failures {
            true => processed(&ids, &answer),
            false => ids.into_iter().collect(),
        };

        let is_done =
            |message: &&&Message| message.message_id().is_some_and(|id| done.contains(id));

        self.delete(messages.iter().filter(is_done).copied()).await;
    }

    /// Returns the messages of a batch that Lambda invokes the function for, and their chain. Those
    /// of a recursive loop stay in the queue, as failed ones do, and go to the dead letters.
    fn outside_loops<'a>(&self, batch: &[&'a Message]) -> (Vec<&'a Message>, Lineage) {
        let mut chain = Lineage::default();
        let mut messages = Vec::new();
        for message in batch {
            let lineage = lineage_of(message);
            if self.may_loop || !lineage.is_loop_of(&self.function) {
                chain.join(lineage);
                messages.push(*message);
            } else {
                self.lambda.count_dropped_loop(&self.function);
            }
        }

        (messages, chain)
    }

    /// Starts the queue's visibility timeout, after which a message is received again.
    async fn hand_out(&self, messages: &[&Message]) {
        let entry = |(index, message): (usize, &&Message)| {
            let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(index.to_string());
            let entry = entry.visibility_timeout(self.visibility);
            entry.set_receipt_handle(message.receipt_handle.clone()).build().ok()
        };
        let entries: Vec<_> = messages.iter().enumerate().filter_map(entry).collect();
        for chunk in entries.chunks(MAX_RECEIVE) {
            let request = self.sqs.change_message_visibility_batch().queue_url(&self.url);
            // A message that was deleted already cannot be changed.
            let _ = request.set_entries(Some(chunk.to_vec())).send().await;
        }
    }

    async fn delete<'a>(&self, messages: impl Iterator<Item = &'a Message>) {
        let entry = |(index, message): (usize, &Message)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string());
            entry.set_receipt_handle(message.receipt_handle.clone()).build().ok()
        };

        let entries: Vec<_> = messages.enumerate().filter_map(entry).collect();

        for chunk in entries.chunks(MAX_RECEIVE) {
            let request = self
                .sqs
                .delete_message_batch()
                .queue_url(&self.url)
                .set_entries(Some(chunk.to_vec()));
            // A message that could not be deleted is delivered again, as SQS does.
            let _ = request.send().await;
        }
    }
}
