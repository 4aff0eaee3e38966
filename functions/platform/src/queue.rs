//! SQS: the doorbells of the channels, and their dead-letter queues.

mod dead_letters;

pub use dead_letters::{DeadLetter, DeadLetterBody, DeadLetters, HIDDEN_MINUTES};

use std::time::Duration;

use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tracing::Level;

use crate::aws::Aws;
use crate::error::InternalError;
use crate::settings::{self, SettingError};
use crate::telemetry::metrics::MetricRecord;
use domain::delivery::Reason;
use domain::{BusinessId, Channel, ConversationId, MessageId};

/// The longest delay that SQS takes, in seconds
/// ([SendMessage](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html)).
const LONGEST_DELAY: i64 = 900;

/// A caller waits this long for SQS, all tries together; a doorbell that is not rung by then, the
/// sweeper rings.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// The most doorbells one call can ring, the limit of `SendMessageBatch`.
pub const BATCH: usize = 10;

/// "Look at this conversation." Says nothing of what was written, so it may be lost, doubled and
/// late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Doorbell {
    /// The version of this form: 1.
    pub v: Version,
    /// Whose conversation; also the message group, so that a noisy business does not hold up the
    /// others ([fair
    /// queues](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html)).
    pub business: BusinessId,
    /// Which conversation.
    pub conversation: ConversationId,
    /// Which worker answers.
    pub channel: Channel,
}

impl Doorbell {
    /// What operators are told if SQS does not take it. The outbox holds what it would have said.
    pub fn ring_failed(&self, broken: &InternalError) -> MetricRecord {
        MetricRecord::new(Level::WARN, "the doorbell was not rung; the sweeper will ring")
            .by("Channel", self.channel)
            .count("WakeupFailed")
            .with("business", self.business)
            .with("conversation", self.conversation)
            .with("error", broken.chain())
    }
}

/// The one version of a queue's message that there is so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub struct Version;

impl From<Version> for u8 {
    fn from(_: Version) -> u8 {
        1
    }
}

impl TryFrom<u8> for Version {
    type Error = String;

    fn try_from(v: u8) -> Result<Version, String> {
        if v == 1 { Ok(Version) } else { Err(format!("version {v} is not understood; 1 is")) }
    }
}

/// What a dead-letter queue keeps of a message that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbandonedMessage {
    /// The version of this form: 1.
    pub v: Version,
    /// Whose message.
    pub business: BusinessId,
    /// Which conversation.
    pub conversation: ConversationId,
    /// Which message.
    pub message: MessageId,
    /// On which channel.
    pub channel: Channel,
    /// Why.
    pub reason: Reason,
    /// How often it was handed over.
    pub attempts: u32,
}

/// The doorbells of all channels.
#[derive(Debug, Clone)]
pub struct Doorbells {
    client: aws_sdk_sqs::Client,
    urls: [(Channel, String); 3],
}

impl Doorbells {
    /// Reads `CHAT_QUEUE_URL`, `WHATSAPP_QUEUE_URL` and `EMAIL_QUEUE_URL`.
    ///
    /// # Errors
    /// The variable that is missing.
    pub fn from_env(aws: &Aws) -> Result<Doorbells, SettingError> {
        let url = |channel: Channel| queue_url(channel).map(|url| (channel, url));
        let [chat, whatsapp, email] = Channel::ALL.map(url);
        Ok(Doorbells { client: client(aws), urls: [chat?, whatsapp?, email?] })
    }

    /// The doorbells at these URLs: the chat's, WhatsApp's, e-mail's.
    #[must_use]
    pub fn new(aws: &Aws, [chat, whatsapp, email]: [String; 3]) -> Doorbells {
        let urls = [(Channel::Chat, chat), (Channel::Whatsapp, whatsapp), (Channel::Email, email)];
        Doorbells { client: client(aws), urls }
    }

    /// Rings for one conversation.
    ///
    /// # Errors
    /// If SQS does not take it. Nothing is lost by that: the sweeper rings again.
    pub async fn ring(&self, doorbell: &Doorbell) -> Result<(), InternalError> {
        send(
            &self.client,
            self.url(doorbell.channel),
            doorbell,
            doorbell.business,
            TimeDelta::zero(),
        )
        .await
    }

    /// Rings for up to [`BATCH`] conversations of one channel; returns how many of them SQS took.
    ///
    /// # Errors
    /// If SQS took none.
    pub async fn ring_all(
        &self,
        channel: Channel,
        doorbells: &[Doorbell],
    ) -> Result<usize, InternalError> {
        let entries = doorbells.iter().enumerate().map(|(index, doorbell)| {
            SendMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .message_body(json(doorbell))
                .message_group_id(doorbell.business.to_string())
                .build()
                .expect("id and body are set")
        });
        let call = self
            .client
            .send_message_batch()
            .queue_url(self.url(channel))
            .set_entries(Some(entries.collect()));
        let answer =
            call.send().await.map_err(|error| InternalError::aws("SendMessageBatch", error))?;
        Ok(answer.successful().len())
    }

    fn url(&self, channel: Channel) -> &str {
        let [(_, chat), (_, whatsapp), (_, email)] = &self.urls;
        match channel {
            Channel::Chat => chat,
            Channel::Whatsapp => whatsapp,
            Channel::Email => email,
        }
    }
}

/// One channel's doorbell alone, for whoever hears of its customers: that one is back, or has got a
/// message.
#[derive(Debug, Clone)]
pub struct ChannelDoorbell {
    client: aws_sdk_sqs::Client,
    channel: Channel,
    url: String,
}

impl ChannelDoorbell {
    /// Reads the channel's `…_QUEUE_URL`.
    ///
    /// # Errors
    /// The variable, if it is missing.
    pub fn from_env(aws: &Aws, channel: Channel) -> Result<ChannelDoorbell, SettingError> {
        Ok(ChannelDoorbell { client: client(aws), channel, url: queue_url(channel)? })
    }

    /// The channel.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel
    }

    /// Rings for one conversation. That SQS does not take it is logged and no more: the
    /// conversation is in the outbox, and the sweeper rings again.
    pub async fn ring(&self, business: BusinessId, conversation: ConversationId) {
        let doorbell = Doorbell { v: Version, business, conversation, channel: self.channel };
        if let Err(broken) =
            send(&self.client, &self.url, &doorbell, business, TimeDelta::zero()).await
        {
            doorbell.ring_failed(&broken).write();
        }
    }
}

/// Reads where a channel's doorbell is: `CHAT_QUEUE_URL`, ….
fn queue_url(channel: Channel) -> Result<String, SettingError> {
    settings::required(&format!("{}_QUEUE_URL", channel.name().to_uppercase()))
}

/// A worker's own queue and dead-letter queue.
#[derive(Debug, Clone)]
pub struct WorkerQueue {
    client: aws_sdk_sqs::Client,
    url: String,
    dead_letters: String,
}

impl WorkerQueue {
    /// Reads `QUEUE_URL` and `DEAD_LETTER_QUEUE_URL`.
    ///
    /// # Errors
    /// The variable that is missing.
    pub fn from_env(aws: &Aws) -> Result<WorkerQueue, SettingError> {
        let (url, dead_letters) =
            (settings::required("QUEUE_URL")?, settings::required("DEAD_LETTER_QUEUE_URL")?);
        Ok(WorkerQueue { client: client(aws), url, dead_letters })
    }

    /// Rings this queue at `at`, or as late as SQS allows.
    ///
    /// # Errors
    /// If SQS does not take it. Nothing is lost by that: the sweeper rings again.
    pub async fn ring_at(
        &self,
        doorbell: &Doorbell,
        at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(), InternalError> {
        send(&self.client, &self.url, doorbell, doorbell.business, at - now).await
    }

    /// Keeps a copy of a message that was given up.
    ///
    /// # Errors
    /// If SQS does not take it.
    pub async fn dead_letter(&self, given_up: &AbandonedMessage) -> Result<(), InternalError> {
        send(&self.client, &self.dead_letters, given_up, given_up.business, TimeDelta::zero()).await
    }
}

fn client(aws: &Aws) -> aws_sdk_sqs::Client {
    aws_sdk_sqs::Client::new(&aws.service_within("SQS", PATIENCE))
}

fn json(body: &impl Serialize) -> String {
    serde_json::to_string(body).expect("ids and words always serialize")
}

/// Sends `body` with a delay, rounded up so that a doorbell never rings before its time.
async fn send(
    client: &aws_sdk_sqs::Client,
    url: &str,
    body: &impl Serialize,
    group: BusinessId,
    delay: TimeDelta,
) -> Result<(), InternalError> {
    let seconds = (delay.num_milliseconds().max(0) + 999) / 1000;
    let delay = i32::try_from(seconds.min(LONGEST_DELAY)).unwrap_or(0);
    let call = client
        .send_message()
        .queue_url(url)
        .message_body(json(body))
        .message_group_id(group.to_string());
    let call = if delay == 0 { call } else { call.delay_seconds(delay) };
    call.send().await.map(drop).map_err(|error| InternalError::aws("SendMessage", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bell_is_tiny_and_versioned() {
        let doorbell = r#"{"v":1,"business":"00000000-0000-0000-0000-000000000001","conversation":"00000000-0000-0000-0000-000000000002","channel":"chat"}"#;
        let parsed: Doorbell = serde_json::from_str(doorbell).expect("a doorbell");
        assert_eq!(json(&parsed), doorbell);
        assert!(
            serde_json::from_str::<Doorbell>(&doorbell.replace(r#""v":1"#, r#""v":2"#)).is_err()
        );
    }
}
