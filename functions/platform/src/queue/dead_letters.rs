//! Reading a dead-letter queue without losing anything: what is received is hidden for a while and
//! there again, unless it is removed.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry,
    DeleteMessageBatchRequestEntry, MessageSystemAttributeName, QueueAttributeName,
};
use chrono::{DateTime, Utc};

use super::{AbandonedMessage, BATCH, Doorbell};
use crate::aws::Aws;
use crate::error::InternalError;
use domain::{BusinessId, Channel, ConversationId};

/// What is received is hidden from everybody else for so many minutes: from the next receipt as
/// well, which is how a reader comes to the end. SQS hides for up to [12
/// hours](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html);
/// this is long enough for what can be in flight at once, and not too long to wait for what a
/// reader left when it died.
pub const HIDDEN_MINUTES: i32 = 15;

/// SQS answers "nothing" now and then although there is something ([short
/// polling](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html)):
/// a long poll, in seconds, asks all of its servers.
const LONG_POLL: i32 = 1;

/// An operator at a desk waits this long for SQS, all tries together: longer than workers do, who
/// have a sweeper behind them, and than any poll.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a dead-letter queue keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadLetterBody {
    /// A doorbell that no worker could answer.
    Doorbell(Doorbell),
    /// A copy of a message that was given up.
    Abandoned(AbandonedMessage),
    /// Something that nobody here has written.
    Unreadable,
}

/// One letter, hidden until it is removed, put back, or a quarter of an hour is over.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// What it is.
    pub content: DeadLetterBody,
    /// Since when it is there.
    pub since: Option<DateTime<Utc>>,
    handle: String,
}

impl DeadLetter {
    /// The conversation that it is about.
    #[must_use]
    pub fn about(&self) -> Option<(BusinessId, ConversationId, Channel)> {
        match &self.content {
            DeadLetterBody::Doorbell(doorbell) => {
                Some((doorbell.business, doorbell.conversation, doorbell.channel))
            }
            DeadLetterBody::Abandoned(copy) => {
                Some((copy.business, copy.conversation, copy.channel))
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
    /// The queue at `url`.
    #[must_use]
    pub fn new(aws: &Aws, url: String) -> DeadLetters {
        DeadLetters { client: aws_sdk_sqs::Client::new(&aws.service_within("SQS", PATIENCE)), url }
    }

    /// How many letters are hidden, because somebody reads them or died over that. SQS says so
    /// [approximately](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html),
    /// and about a minute late.
    ///
    /// # Errors
    /// If SQS does not answer.
    pub async fn hidden(&self) -> Result<usize, InternalError> {
        let name = QueueAttributeName::ApproximateNumberOfMessagesNotVisible;
        let call =
            self.client.get_queue_attributes().queue_url(&self.url).attribute_names(name.clone());
        let answer =
            call.send().await.map_err(|error| InternalError::aws("GetQueueAttributes", error))?;
        let count = answer.attributes.as_ref().and_then(|all| all.get(&name)?.parse().ok());
        count.ok_or_else(|| InternalError::new("reading how many letters are hidden"))
    }

    /// Takes up to ten letters, in no particular order; none once nothing more is to be seen.
    ///
    /// # Errors
    /// If SQS does not answer.
    pub async fn receive(&self) -> Result<Vec<DeadLetter>, InternalError> {
        let call = self.client.receive_message().queue_url(&self.url).max_number_of_messages(10);
        let call = call.visibility_timeout(HIDDEN_MINUTES * 60).wait_time_seconds(LONG_POLL);
        let call = call.message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
        let answer =
            call.send().await.map_err(|error| InternalError::aws("ReceiveMessage", error))?;
        Ok(answer.messages.unwrap_or_default().into_iter().filter_map(letter).collect())
    }

    /// Shows letters again; returns how many SQS goes on hiding, for a quarter of an hour at most.
    pub async fn make_visible(&self, letters: &[DeadLetter]) -> usize {
        let mut hidden = 0;
        for ten in letters.chunks(BATCH) {
            let entries = ten.iter().enumerate().map(|(index, letter)| {
                let entry =
                    ChangeMessageVisibilityBatchRequestEntry::builder().id(index.to_string());
                let entry = entry.receipt_handle(&letter.handle).visibility_timeout(0);
                entry.build().expect("id and handle are set")
            });
            let call = self.client.change_message_visibility_batch().queue_url(&self.url);
            let answer = call.set_entries(Some(entries.collect())).send().await;
            hidden += answer.map_or(ten.len(), |answer| answer.failed.len());
        }
        hidden
    }

    /// Removes letters for good, up to [`BATCH`] at once; returns the places of those that SQS
    /// keeps.
    ///
    /// # Errors
    /// If SQS does not answer; whatever is left is there again in a quarter of an hour.
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
        let place = |entry: &BatchResultErrorEntry| entry.id.parse().ok();
        Ok(answer.failed().iter().filter_map(place).collect())
    }
}

fn letter(message: aws_sdk_sqs::types::Message) -> Option<DeadLetter> {
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
