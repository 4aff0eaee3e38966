//! A dead-letter queue, read without losing anything: a letter that was received is hidden for a
//! while, and visible again afterwards unless it was removed.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry,
    DeleteMessageBatchRequestEntry, MessageSystemAttributeName,
};
use chrono::{DateTime, Utc};

use super::{AbandonedMessage, BATCH, Doorbell, QueueDepth, depth};
use crate::aws::Aws;
use crate::error::InternalError;
use domain::{BusinessId, Channel, ConversationId};

/// How many minutes a received letter is hidden: from its reader's next call as well, which is how
/// a reader comes to the end. SQS hides for up to [12
/// hours](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html);
/// this is long enough for what can be in flight at once, and not too long to wait for the letters
/// of a reader that died.
pub const HIDDEN_MINUTES: i32 = 15;

/// How long one receive waits, in seconds. SQS answers "nothing" now and then although there is
/// something ([short
/// polling](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html));
/// a long poll asks all of its servers.
pub const LONG_POLL_SECONDS: i32 = 1;

/// How long an operator's call may take, all its tries together: longer than a worker's, which has
/// the sweeper behind it, and longer than any poll.
pub const OPERATOR_TIMEOUT: Duration = Duration::from_secs(10);

/// The content of a dead letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadLetterBody {
    /// A doorbell that no worker could answer.
    Doorbell(Doorbell),
    /// A copy of a message that was given up.
    Abandoned(AbandonedMessage),
    /// Something that this system has not written.
    Unreadable,
}

/// One letter, hidden until it is removed, made visible, or a quarter of an hour is over.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Its content.
    pub content: DeadLetterBody,
    /// When it came into the queue.
    pub since: Option<DateTime<Utc>>,
    handle: String,
}

impl DeadLetter {
    /// Returns the conversation that the letter is about.
    #[must_use]
    pub fn about(&self) -> Option<(BusinessId, ConversationId, Channel)> {
        match &self.content {
            DeadLetterBody::Doorbell(doorbell) => {
                Some((doorbell.business_id, doorbell.conversation_id, doorbell.channel))
            }
            DeadLetterBody::Abandoned(copy) => {
                Some((copy.business_id, copy.conversation_id, copy.channel))
            }
            DeadLetterBody::Unreadable => None,
        }
    }
}

/// A channel's dead-letter queue, for operators.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    client: aws_sdk_sqs::Client,
    url: String,
}

impl DeadLetters {
    /// Reads the queue at `url`.
    #[must_use]
    pub fn new(aws: &Aws, url: String) -> DeadLetters {
        let config = aws.service_within("SQS", OPERATOR_TIMEOUT);
        DeadLetters { client: aws_sdk_sqs::Client::new(&config), url }
    }

    /// Returns how many letters there are.
    ///
    /// # Errors
    /// If SQS does not answer.
    pub async fn depth(&self) -> Result<QueueDepth, InternalError> {
        depth(&self.client, &self.url).await
    }

    /// Receives up to ten letters, in no particular order; none once no more are visible.
    ///
    /// # Errors
    /// If SQS does not answer.
    pub async fn receive(&self) -> Result<Vec<DeadLetter>, InternalError> {
        let call = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(10)
            .visibility_timeout(HIDDEN_MINUTES * 60)
            .wait_time_seconds(LONG_POLL_SECONDS)
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
        let answer =
            call.send().await.map_err(|error| InternalError::aws("ReceiveMessage", error))?;

        Ok(answer.messages.unwrap_or_default().into_iter().filter_map(dead_letter).collect())
    }

    /// Makes letters visible again; returns how many SQS goes on hiding, for a quarter of an hour
    /// at most.
    pub async fn make_visible(&self, letters: &[DeadLetter]) -> usize {
        let mut hidden = 0;

        for chunk in letters.chunks(BATCH) {
            let entries = chunk.iter().enumerate().map(|(index, letter)| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(index.to_string())
                    .receipt_handle(&letter.handle)
                    .visibility_timeout(0)
                    .build()
                    .expect("id and handle are set")
            });
            let call = self.client.change_message_visibility_batch().queue_url(&self.url);
            let answer = call.set_entries(Some(entries.collect())).send().await;
            hidden += answer.map_or(chunk.len(), |answer| answer.failed.len());
        }

        hidden
    }

    /// Removes letters for good, up to [`BATCH`] at once; returns the indices of those that SQS
    /// keeps.
    ///
    /// # Errors
    /// If SQS does not answer; the letters that are left are visible again in a quarter of an hour.
    pub async fn delete(&self, letters: &[DeadLetter]) -> Result<BTreeSet<usize>, InternalError> {
        let entries = letters.iter().enumerate().map(|(index, letter)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string());
            entry.receipt_handle(&letter.handle).build().expect("id and handle are set")
        });

        let call = self
            .client
            .delete_message_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries.collect()));

        let answer =
            call.send().await.map_err(|error| InternalError::aws("DeleteMessageBatch", error))?;

        let index = |entry: &BatchResultErrorEntry| entry.id.parse().ok();
        Ok(answer.failed().iter().filter_map(index).collect())
    }
}

fn dead_letter(message: aws_sdk_sqs::types::Message) -> Option<DeadLetter> {
    let body = message.body.as_deref().unwrap_or_default();
    let content = match (serde_json::from_str(body), serde_json::from_str(body)) {
        (Ok(doorbell), _) => DeadLetterBody::Doorbell(doorbell),
        (_, Ok(copy)) => DeadLetterBody::Abandoned(copy),
        _ => DeadLetterBody::Unreadable,
    };

    let sent = message
        .attributes
        .as_ref()
        .and_then(|all| all.get(&MessageSystemAttributeName::SentTimestamp));

    let since = sent.and_then(|millis| DateTime::from_timestamp_millis(millis.parse().ok()?));
    Some(DeadLetter { content, since, handle: message.receipt_handle? })
}
