//! SQS: the doorbells of the channels, and their dead-letter queues.

mod dead_letters;

pub use dead_letters::{
    DeadLetter, DeadLetterBody, DeadLetters, HIDDEN_MINUTES, LONG_POLL_SECONDS, OPERATOR_TIMEOUT,
};

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::stream::{self, StreamExt};
use serde::{Deserialize, Serialize};
use tracing::Level;

use crate::aws::Aws;
use crate::error::InternalError;
use crate::settings::{self, SettingError};
use crate::table::DeliveryLine;
use crate::telemetry::metrics::MetricRecord;
use domain::delivery::Reason;
use domain::event::Subject;
use domain::widget::HELLO_TIMEOUT;
use domain::{BusinessId, Channel, ConversationId, EndpointId, MessageId};

/// The longest delay that SQS takes, in seconds
/// ([SendMessage](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html)).
pub const MAX_DELAY_SECONDS: i64 = 900;

/// How long a call may take, all its tries together. The sweeper rings the doorbells that SQS has
/// not taken by then.
pub const SQS_TIMEOUT: Duration = Duration::from_millis(1_500);

/// The most entries of one batch call, SQS's own limit.
pub const BATCH: usize = 10;

/// How many batches are sent at once.
const CONCURRENT_BATCHES: usize = 5;

/// Asks a worker to look at a conversation. A doorbell says nothing of what was written, so it may
/// be lost, doubled and late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Doorbell {
    /// The version of this form: 1.
    pub v: Version,
    /// The conversation's business; also the message group, so that a noisy business does not hold
    /// up the others ([fair
    /// queues](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-fair-queues.html)).
    #[serde(rename = "business")]
    pub business_id: BusinessId,
    /// The conversation.
    #[serde(rename = "conversation")]
    pub conversation_id: ConversationId,
    /// The channel whose worker answers.
    pub channel: Channel,
}

impl Doorbell {
    /// Returns the log line for a doorbell that SQS did not take. The conversation is in the
    /// outbox, where the sweeper finds it.
    pub fn ring_failed(&self, error: &InternalError) -> MetricRecord {
        MetricRecord::new(Level::WARN, "the doorbell was not rung; the sweeper will ring")
            .by("Channel", self.channel)
            .count("WakeupFailed")
            .with("business", self.business_id)
            .with("conversation", self.conversation_id)
            .with("error", error.chain())
    }
}

/// The only version of a queue's messages so far.
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

/// A dead-letter queue's copy of a message that was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AbandonedMessage {
    /// The version of this form: 1.
    pub v: Version,
    /// The message's business.
    #[serde(rename = "business")]
    pub business_id: BusinessId,
    /// The message's conversation.
    #[serde(rename = "conversation")]
    pub conversation_id: ConversationId,
    /// The message.
    #[serde(rename = "message")]
    pub message_id: MessageId,
    /// The channel it was sent on.
    pub channel: Channel,
    /// Why it was given up, such as its age.
    pub reason: Reason,
    /// Why the last attempt did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_reason: Option<Reason>,
    /// How many attempts were made.
    pub attempts: u32,
}

/// The doorbells of all channels.
#[derive(Debug, Clone)]
pub struct Doorbells {
    client: aws_sdk_sqs::Client,
    urls: BTreeMap<Channel, String>,
}

impl Doorbells {
    /// Reads `CHAT_QUEUE_URL`, `WHATSAPP_QUEUE_URL` and `EMAIL_QUEUE_URL`.
    ///
    /// # Errors
    /// The variable that is missing.
    pub fn from_env(aws: &Aws) -> Result<Doorbells, SettingError> {
        Doorbells::new(aws, queue_url)
    }

    /// Makes the doorbells of all channels, with each queue's URL from `url_of`.
    ///
    /// # Errors
    /// The first error of `url_of`.
    pub fn new<E>(
        aws: &Aws,
        url_of: impl Fn(Channel) -> Result<String, E>,
    ) -> Result<Doorbells, E> {
        let urls = Channel::ALL.into_iter().map(|channel| Ok((channel, url_of(channel)?)));
        Ok(Doorbells { client: client(aws), urls: urls.collect::<Result<_, E>>()? })
    }

    /// Rings for one conversation.
    ///
    /// # Errors
    /// If SQS does not take it. Nothing is lost by that: the sweeper rings again.
    pub async fn ring(&self, doorbell: &Doorbell) -> Result<(), InternalError> {
        let url = &self.urls[&doorbell.channel];
        send(&self.client, url, doorbell, doorbell.business_id, TimeDelta::zero()).await
    }

    /// Rings for any number of conversations of one channel; returns for how many of them. A
    /// failure is only logged: the sweeper rings again.
    pub async fn ring_all(&self, channel: Channel, doorbells: &[Doorbell]) -> usize {
        let url = &self.urls[&channel];
        send_all(&self.client, url, doorbells, |doorbell| doorbell.business_id.to_string()).await
    }

    /// Returns how many doorbells a channel's queue holds.
    ///
    /// # Errors
    /// If SQS does not answer.
    pub async fn depth(&self, channel: Channel) -> Result<QueueDepth, InternalError> {
        depth(&self.client, &self.urls[&channel]).await
    }
}

/// One channel's doorbell, for the functions that learn of a customer's return or of a receipt.
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

    /// Returns the channel.
    #[must_use]
    pub fn channel(&self) -> Channel {
        self.channel
    }

    /// Rings for one conversation. A failure is only logged: the conversation is in the outbox, and
    /// the sweeper rings again.
    pub async fn ring(&self, business_id: BusinessId, conversation_id: ConversationId) {
        let channel = self.channel;
        let doorbell = Doorbell { v: Version, business_id, conversation_id, channel };
        let sent = send(&self.client, &self.url, &doorbell, business_id, TimeDelta::zero()).await;
        if let Err(error) = sent {
            doorbell.ring_failed(&error).write();
        }
    }
}

/// Reads the URL of a channel's queue: `CHAT_QUEUE_URL`, ….
fn queue_url(channel: Channel) -> Result<String, SettingError> {
    settings::required(&format!("{}_QUEUE_URL", channel.name().to_uppercase()))
}

/// The end of the time in which a connection of the chat has to say hello.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HelloTimer {
    /// The version of this form: 1.
    pub v: Version,
    /// API Gateway's id of the connection.
    #[serde(rename = "connection")]
    pub connection_id: String,
}

impl HelloTimer {
    /// Reads a timer as its queue brings it.
    ///
    /// # Errors
    /// The error's place, without the text.
    pub fn parse(body: &str) -> Result<HelloTimer, InternalError> {
        serde_json::from_str(body)
            .map_err(|error| InternalError::unreadable("a hello's timer", &error))
    }
}

/// Timers for the hellos of the chat's connections: messages of a queue, each of which comes
/// [`HELLO_TIMEOUT`] after it was sent. Lambda has no timers of its own.
#[derive(Debug, Clone)]
pub struct HelloTimers {
    client: aws_sdk_sqs::Client,
    url: String,
}

impl HelloTimers {
    /// Reads `HELLO_QUEUE_URL`.
    ///
    /// # Errors
    /// The variable, if it is missing.
    pub fn from_env(aws: &Aws) -> Result<HelloTimers, SettingError> {
        Ok(HelloTimers { client: client(aws), url: settings::required("HELLO_QUEUE_URL")? })
    }

    /// Starts the timer of a connection that was opened now.
    ///
    /// # Errors
    /// If SQS does not take it.
    pub async fn start(
        &self,
        business_id: BusinessId,
        connection_id: &str,
    ) -> Result<(), InternalError> {
        let timer = HelloTimer { v: Version, connection_id: connection_id.to_owned() };
        send(&self.client, &self.url, &timer, business_id, HELLO_TIMEOUT).await
    }
}

/// Asks a worker to look at what is on its way to an endpoint. It may be lost, doubled and late, as
/// a [`Doorbell`] may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventBell {
    /// The version of this form: 1.
    pub v: Version,
    /// The endpoint's business.
    #[serde(rename = "business")]
    pub business_id: BusinessId,
    /// The endpoint; also the message group, so that one that is slow holds up no other.
    #[serde(rename = "endpoint")]
    pub endpoint_id: EndpointId,
    /// The subject of the events.
    pub subject: Subject,
}

impl EventBell {
    /// Returns the bell for a line of deliveries.
    #[must_use]
    pub fn of(line: DeliveryLine) -> EventBell {
        let DeliveryLine { business_id, endpoint_id, subject } = line;
        EventBell { v: Version, business_id, endpoint_id, subject }
    }

    /// Returns the line that it is for.
    #[must_use]
    pub fn line(&self) -> DeliveryLine {
        let EventBell { business_id, endpoint_id, subject, .. } = *self;
        DeliveryLine { business_id, endpoint_id, subject }
    }

    /// Reads a bell as its queue brings it.
    ///
    /// # Errors
    /// The error's place, without the text.
    pub fn parse(body: &str) -> Result<EventBell, InternalError> {
        serde_json::from_str(body)
            .map_err(|error| InternalError::unreadable("an event's bell", &error))
    }
}

/// The bells of events.
#[derive(Debug, Clone)]
pub struct EventBells {
    client: aws_sdk_sqs::Client,
    url: String,
}

impl EventBells {
    /// Reads `WEBHOOK_QUEUE_URL`.
    ///
    /// # Errors
    /// The variable, if it is missing.
    pub fn from_env(aws: &Aws) -> Result<EventBells, SettingError> {
        Ok(EventBells::new(aws, settings::required("WEBHOOK_QUEUE_URL")?))
    }

    /// The bells whose queue has this URL.
    #[must_use]
    pub fn new(aws: &Aws, url: String) -> EventBells {
        EventBells { client: client(aws), url }
    }

    /// Rings for one line, at once.
    ///
    /// # Errors
    /// If SQS does not take it. Nothing is lost by that: the sweeper rings again.
    pub async fn ring(&self, bell: &EventBell) -> Result<(), InternalError> {
        send(&self.client, &self.url, bell, bell.endpoint_id, TimeDelta::zero()).await
    }

    /// Rings for one line at `at`, or as late as SQS allows.
    ///
    /// # Errors
    /// If SQS does not take it. Nothing is lost by that: the sweeper rings again.
    pub async fn ring_at(
        &self,
        bell: &EventBell,
        at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<(), InternalError> {
        send(&self.client, &self.url, bell, bell.endpoint_id, at - now).await
    }

    /// Rings for any number of lines; returns for how many of them. A failure is only logged: the
    /// sweeper rings again.
    pub async fn ring_all(&self, bells: &[EventBell]) -> usize {
        send_all(&self.client, &self.url, bells, |bell| bell.endpoint_id.to_string()).await
    }

    /// Returns how many bells the queue holds.
    ///
    /// # Errors
    /// If SQS does not answer.
    pub async fn depth(&self) -> Result<QueueDepth, InternalError> {
        depth(&self.client, &self.url).await
    }
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
        Ok(WorkerQueue {
            client: client(aws),
            url: settings::required("QUEUE_URL")?,
            dead_letters: settings::required("DEAD_LETTER_QUEUE_URL")?,
        })
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
        send(&self.client, &self.url, doorbell, doorbell.business_id, at - now).await
    }

    /// Has a doorbell, which this worker has received under `receipt_handle`, ring again after
    /// `time`, in whole seconds, unless it is answered before. It rings at the latest when the
    /// queue's own time is over, so a failure is only logged.
    pub async fn ring_again_after(&self, receipt_handle: &str, time: Duration) {
        let seconds = i32::try_from(time.as_secs()).unwrap_or(i32::MAX);
        let call = self
            .client
            .change_message_visibility()
            .queue_url(&self.url)
            .receipt_handle(receipt_handle)
            .visibility_timeout(seconds);
        if let Err(error) = call.send().await {
            let error = InternalError::aws("ChangeMessageVisibility", error).chain();
            tracing::warn!(queue = self.url, error, "doorbell rings again at the queue's own time");
        }
    }

    /// Keeps a copy of a message that was given up.
    ///
    /// # Errors
    /// If SQS does not take it.
    pub async fn dead_letter(&self, message: &AbandonedMessage) -> Result<(), InternalError> {
        let group = message.business_id;
        send(&self.client, &self.dead_letters, message, group, TimeDelta::zero()).await
    }
}

/// Sends each of these in a message of its own, in the group that `group` makes of it; returns how
/// many SQS took.
async fn send_all<T: Serialize>(
    client: &aws_sdk_sqs::Client,
    url: &str,
    bodies: &[T],
    group: impl Fn(&T) -> String,
) -> usize {
    let send_batch = async |batch: &[T]| {
        let entries = batch.iter().enumerate().map(|(index, body)| {
            SendMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .message_body(json(body))
                .message_group_id(group(body))
                .build()
                .expect("id and body are set")
        });
        let call = client.send_message_batch().queue_url(url);
        match call.set_entries(Some(entries.collect())).send().await {
            Ok(answer) => answer.successful().len(),
            Err(error) => {
                let error = InternalError::aws("SendMessageBatch", error).chain();
                tracing::warn!(queue = url, error, "bells not rung; the sweeper will ring");
                0
            }
        }
    };

    stream::iter(bodies.chunks(BATCH))
        .map(send_batch)
        .buffer_unordered(CONCURRENT_BATCHES)
        .fold(0, async |sent, more| sent + more)
        .await
}

/// How many messages a queue holds. SQS says so
/// [approximately](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_GetQueueAttributes.html),
/// and about a minute late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueDepth {
    /// Messages that a reader would get.
    pub visible: usize,
    /// Messages that are being read, or whose reader died.
    pub hidden: usize,
}

async fn depth(client: &aws_sdk_sqs::Client, url: &str) -> Result<QueueDepth, InternalError> {
    let visible = QueueAttributeName::ApproximateNumberOfMessages;
    let hidden = QueueAttributeName::ApproximateNumberOfMessagesNotVisible;
    let call = client
        .get_queue_attributes()
        .queue_url(url)
        .attribute_names(visible.clone())
        .attribute_names(hidden.clone());
    let answer =
        call.send().await.map_err(|error| InternalError::aws("GetQueueAttributes", error))?;

    let count = |name| {
        let count = answer.attributes.as_ref().and_then(|all| all.get(name)?.parse().ok());
        count.ok_or_else(|| InternalError::new("reading how many messages a queue holds"))
    };
    Ok(QueueDepth { visible: count(&visible)?, hidden: count(&hidden)? })
}

fn client(aws: &Aws) -> aws_sdk_sqs::Client {
    aws_sdk_sqs::Client::new(&aws.service_within("SQS", SQS_TIMEOUT))
}

fn json(body: &impl Serialize) -> String {
    serde_json::to_string(body).expect("ids and words always serialize")
}

/// Sends `body` with a delay.
async fn send(
    client: &aws_sdk_sqs::Client,
    url: &str,
    body: &impl Serialize,
    group: impl ToString,
    delay: TimeDelta,
) -> Result<(), InternalError> {
    let call = client
        .send_message()
        .queue_url(url)
        .message_body(json(body))
        .message_group_id(group.to_string())
        .set_delay_seconds(delay_seconds(delay));
    call.send().await.map(drop).map_err(|error| InternalError::aws("SendMessage", error))
}

/// Returns a delay in the seconds that SQS counts in, rounded up so that a doorbell never rings
/// before its time, and at most what SQS takes. `None` is at once.
fn delay_seconds(delay: TimeDelta) -> Option<i32> {
    let seconds = (delay.num_milliseconds() + 999) / 1000;
    let seconds = seconds.clamp(0, MAX_DELAY_SECONDS);
    i32::try_from(seconds).ok().filter(|seconds| *seconds > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `DelaySeconds` is a whole number from 0 to 900
    /// ([SendMessage](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html)).
    #[test]
    fn a_delay_is_whole_seconds_never_too_few_and_at_most_what_sqs_takes() {
        let table = [
            (i64::MIN / 1_000_000, None),
            (-1_000, None),
            (-1, None),
            (0, None),
            (1, Some(1)),
            (999, Some(1)),
            (1_000, Some(1)),
            (1_001, Some(2)),
            (5_000, Some(5)),
            (898_999, Some(899)),
            (899_001, Some(900)),
            (900_000, Some(900)),
            (900_001, Some(900)),
            (86_400_000, Some(900)),
            (i64::MAX / 1_000_000, Some(900)),
        ];
        for (milliseconds, seconds) in table {
            let delay = TimeDelta::milliseconds(milliseconds);
            assert_eq!(delay_seconds(delay), seconds, "{milliseconds} ms");
        }
    }

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
