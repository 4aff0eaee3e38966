//! Reading a dead-letter queue without losing anything: what is received is hidden for a while and there again, unless
//! it is removed.

use super::{Bell, GivenUp, client};
use crate::aws::Aws;
use crate::broken::Broken;
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, MessageSystemAttributeName};
use chrono::{DateTime, Utc};
use domain::{BusinessId, Channel, ConversationId};

/// What is received is hidden from everybody else for this long, in seconds: from the next receipt as well, which is how
/// a reader comes to the end.
const HIDDEN: i32 = 120;

/// SQS answers "nothing" now and then although there is something
/// ([short polling](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html)):
/// a long poll, in seconds, asks all of its servers.
const LONG_POLL: i32 = 1;

/// What a dead-letter queue keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kept {
    /// A bell that no worker could answer.
    Bell(Bell),
    /// A copy of a message that was given up.
    GivenUp(GivenUp),
    /// Something that nobody here has written.
    Unreadable,
}

/// One letter, hidden until it is removed, put back, or two minutes are over.
#[derive(Debug, Clone)]
pub struct Letter {
    /// What it is.
    pub kept: Kept,
    /// Since when it is there.
    pub since: Option<DateTime<Utc>>,
    handle: String,
}

impl Letter {
    /// The conversation that it is about.
    #[must_use]
    pub fn about(&self) -> Option<(BusinessId, ConversationId, Channel)> {
        match &self.kept {
            Kept::Bell(bell) => Some((bell.business, bell.conversation, bell.channel)),
            Kept::GivenUp(copy) => Some((copy.business, copy.conversation, copy.channel)),
            Kept::Unreadable => None,
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
        DeadLetters { client: client(aws), url }
    }

    /// Takes up to ten letters, in no particular order; none once nothing more is to be seen.
    ///
    /// # Errors
    /// If SQS does not answer.
    pub async fn take(&self) -> Result<Vec<Letter>, Broken> {
        let call = self.client.receive_message().queue_url(&self.url).max_number_of_messages(10);
        let call = call.visibility_timeout(HIDDEN).wait_time_seconds(LONG_POLL);
        let call = call.message_system_attribute_names(MessageSystemAttributeName::SentTimestamp);
        let answer = call.send().await.map_err(|error| Broken::aws("ReceiveMessage", error))?;
        Ok(answer.messages.unwrap_or_default().into_iter().filter_map(letter).collect())
    }

    /// Shows a letter again.
    ///
    /// # Errors
    /// If SQS does not answer; then the letter is there again in two minutes.
    pub async fn put_back(&self, letter: &Letter) -> Result<(), Broken> {
        let call = self.client.change_message_visibility().queue_url(&self.url).receipt_handle(&letter.handle);
        let answer = call.visibility_timeout(0).send().await;
        answer.map(drop).map_err(|error| Broken::aws("ChangeMessageVisibility", error))
    }

    /// Removes letters for good, up to ten at once.
    ///
    /// # Errors
    /// If SQS does not remove all of them; what is left is there again in two minutes.
    pub async fn remove(&self, letters: &[&Letter]) -> Result<(), Broken> {
        for ten in letters.chunks(super::BATCH) {
            let entry = |(index, letter): (usize, &&Letter)| {
                let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string());
                entry.receipt_handle(&letter.handle).build().expect("id and handle are set")
            };
            let entries = ten.iter().enumerate().map(entry).collect();
            let call = self.client.delete_message_batch().queue_url(&self.url).set_entries(Some(entries));
            let answer = call.send().await.map_err(|error| Broken::aws("DeleteMessageBatch", error))?;
            if !answer.failed().is_empty() {
                return Err(Broken::new("removing letters that SQS keeps"));
            }
        }
        Ok(())
    }
}

fn letter(message: aws_sdk_sqs::types::Message) -> Option<Letter> {
    let body = message.body.as_deref().unwrap_or_default();
    let kept = match (serde_json::from_str(body), serde_json::from_str(body)) {
        (Ok(bell), _) => Kept::Bell(bell),
        (_, Ok(copy)) => Kept::GivenUp(copy),
        _ => Kept::Unreadable,
    };
    let sent = message.attributes.as_ref().and_then(|all| all.get(&MessageSystemAttributeName::SentTimestamp));
    let since = sent.and_then(|millis| DateTime::from_timestamp_millis(millis.parse().ok()?));
    Some(Letter { kept, since, handle: message.receipt_handle? })
}
