//! The items of the table. Times that conditions compare are milliseconds since 1970, all others
//! RFC 3339.

mod event;

pub use event::*;

use chrono::serde::ts_milliseconds_option;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::expiry;
use crate::capability::Capability;
use domain::accept::RecordedAnswer;
use domain::delivery::{
    Attempt, AttemptOutcome, ConversationState, History, OnUnknownOutcome, Parts, Progress, Reason,
    Status, Thread,
};
use domain::event::MessageMoment;
use domain::message::{MessageView, SenderType};
use domain::quota::FullShards;
use domain::rate_limit::RateLimitState;
use domain::widget::MinuteCount;
use domain::{
    AgentId, Attachment, Channel, ChannelId, Content, ConversationChannel, ConversationId,
    ConversationStatus, CustomerNumber, FileLink, FileName, Media, MediaType, MessageId, Metadata,
    Month, PrivateText, Scopes, Sender, Seq, UploadId, UploadState,
};

/// How long a message stays at least once it is settled, however old it is by then.
pub const SETTLED_TTL: TimeDelta = TimeDelta::days(7);

/// A business's plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The plan's name.
    pub name: String,
    /// Messages a month.
    pub max_messages_per_month: u64,
    /// How many shards its months are counted on; about its peak of messages a second, divided by
    /// 20.
    pub shards: u16,
    /// Requests a minute that each of its credentials may make to each operation;
    /// [`RequestLimit::of_plan`](domain::request_limit::RequestLimit::of_plan) has the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
    /// Raised by every change.
    pub version: u64,
}

/// A month's limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaHead {
    /// The sum of the shards' caps.
    pub limit: u64,
    /// How many shards there are.
    pub shards: u16,
    /// The plan's version it was made of.
    pub version: u64,
    /// The shards that were seen full: they stay full until the plan changes, which makes another
    /// head.
    #[serde(default, skip_serializing_if = "FullShards::are_none")]
    pub full_shards: FullShards,
}

impl QuotaHead {
    /// Whether all of the month's shards were seen full.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.full_shards.others(self.shards).next().is_none()
    }
}

/// An API key or an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    /// Whether the credential is valid.
    pub is_active: bool,
    /// API keys only: the agent in whose name it sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// API keys only: until when it is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<DateTime<Utc>>,
    /// The things that it may do; all of them where nothing is stored.
    #[serde(default, skip_serializing_if = "Scopes::are_all")]
    pub scopes: Scopes,
    /// API keys only: its owner's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A configured channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelRecord {
    /// Whether messages are accepted on it. What was accepted before is sent all the same.
    pub is_active: bool,
    /// The channel's rule for messages whose outcome is unknown.
    #[serde(default)]
    pub in_doubt: OnUnknownOutcome,
    /// Until when the channel is paused, by an operator or because its provider takes no message.
    #[serde(default, with = "ts_milliseconds_option", skip_serializing_if = "Option::is_none")]
    pub paused_until: Option<DateTime<Utc>>,
    /// The provider's settings.
    pub settings: ChannelSettings,
}

/// The settings of a channel's provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChannelSettings {
    /// The live chat widget.
    Chat {},
    /// WhatsApp Cloud API.
    Whatsapp {
        /// The business number's id at Meta (not the number).
        phone_number_id: String,
        /// The secret with the access token; its name begins with `<stack>/whatsapp/`.
        secret: String,
        /// The template for customers whose messaging window is closed; without it, nothing is
        /// sent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        template: Option<Template>,
    },
    /// Amazon SES.
    Email {
        /// A verified identity, with or without a display name.
        from: PrivateText,
        /// The configuration set whose events become receipts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        configuration_set: Option<String>,
    },
}

/// A message template that Meta approved, whose body has one parameter, which takes a message's
/// text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Its name.
    pub name: String,
    /// Its language and locale code, such as `en_US`.
    pub language: String,
}

impl ChannelSettings {
    /// Whether there is a way to write to a customer whose messaging window is closed.
    #[must_use]
    pub fn has_template(&self) -> bool {
        match self {
            ChannelSettings::Chat {} | ChannelSettings::Email { .. } => false,
            ChannelSettings::Whatsapp { template, .. } => template.is_some(),
        }
    }

    /// The channel they are for.
    #[must_use]
    pub fn channel(&self) -> Channel {
        match self {
            ChannelSettings::Chat {} => Channel::Chat,
            ChannelSettings::Whatsapp { .. } => Channel::Whatsapp,
            ChannelSettings::Email { .. } => Channel::Email,
        }
    }
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// The channel, which this service may not deliver to.
    pub channel: ConversationChannel,
    /// Which of the business's channels.
    pub channel_id: ChannelId,
    /// The customer's phone number, address or visitor id.
    pub recipient: PrivateText,
    /// The status.
    pub status: ConversationStatus,
    /// E-mail: the subject of the thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<PrivateText>,
    /// E-mail: the `Message-ID`s that the customer's mail program knows the thread by.
    #[serde(default, skip_serializing_if = "Thread::is_empty")]
    pub thread: Thread,
    /// The state of its channel's rate limit, where there is one.
    #[serde(rename = "paced", default, skip_serializing_if = "Option::is_none")]
    pub rate_limit_state: Option<RateLimitState>,
    /// The last message.
    pub seq: Seq,
    /// The last message that the provider took or that ended.
    pub settled_seq: Seq,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// When an agent first answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_response_at: Option<DateTime<Utc>>,
    /// WhatsApp: until when free-form messages may be sent.
    #[serde(default, with = "ts_milliseconds_option", skip_serializing_if = "Option::is_none")]
    pub window_expires_at: Option<DateTime<Utc>>,
    /// Raised by every claim.
    pub fence: u64,
    /// The worker that holds it: a random name for this one claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_owner: Option<String>,
    /// Until when a worker holds it.
    #[serde(default, with = "ts_milliseconds_option", skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<DateTime<Utc>>,
    /// Nothing may be sent before.
    #[serde(default, with = "ts_milliseconds_option", skip_serializing_if = "Option::is_none")]
    pub not_before: Option<DateTime<Utc>>,
    /// When the outbox has it looked at again.
    #[serde(default, with = "ts_milliseconds_option", skip_serializing_if = "Option::is_none")]
    pub due: Option<DateTime<Utc>>,
}

impl Conversation {
    /// The state that the delivery rules decide by.
    #[must_use]
    pub fn state(&self) -> ConversationState {
        ConversationState {
            seq: self.seq,
            settled_seq: self.settled_seq,
            lease_until: self.lease_until,
            fence: self.fence,
            not_before: self.not_before,
            due: self.due,
        }
    }
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Its id.
    pub id: MessageId,
    /// Its place in the conversation.
    pub seq: Seq,
    /// Who sent it.
    pub sender: Sender,
    /// The text.
    pub content: Content,
    /// Its files.
    pub attachments: Vec<Attachment>,
    /// Its caller's notes, which no customer sees.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// When it was accepted.
    pub created_at: DateTime<Utc>,
    /// The month it counts in.
    pub month: Month,
    /// The shard it was counted on.
    pub shard: u16,
    /// Its status.
    pub status: Status,
    /// How many attempts were made.
    pub attempts: u32,
    /// How many attempts had an unknown outcome.
    #[serde(rename = "doubts", default)]
    pub unknown_outcomes: u32,
    /// The fence of the worker that had it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fence: Option<u64>,
    /// When it was last handed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempted_at: Option<DateTime<Utc>>,
    /// The provider's id of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<PrivateText>,
    /// When the provider took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<DateTime<Utc>>,
    /// When it reached the customer's device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered_at: Option<DateTime<Utc>>,
    /// When the customer saw it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<DateTime<Utc>>,
    /// When it ended `failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<DateTime<Utc>>,
    /// The provider's own time of the delivery or the bounce that the status rests on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_at: Option<DateTime<Utc>>,
    /// Why it was not taken the last time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Reason>,
    /// WhatsApp: how far each of its parts has come, if it goes in several.
    #[serde(default, skip_serializing_if = "Parts::is_empty")]
    pub parts: Parts,
    /// API Gateway's id of the call that made it, to search the logs by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<String>,
    /// Until when it has to be kept, in seconds since 1970; without it, for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_until: Option<i64>,
    /// When DynamoDB may delete it, in seconds since 1970. Only a settled message has it
    /// ([`Message::expiry_if_settled`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
    /// The outcomes of the attempts that ended; one that is under way is only in `attempts` and
    /// `attempted_at`.
    #[serde(default, skip_serializing_if = "History::is_empty")]
    pub history: History,
}

impl Message {
    /// The message as the public API shows it at `origin`.
    #[must_use]
    pub fn view(&self, conversation_id: ConversationId, origin: &str) -> MessageView<'_> {
        MessageView {
            id: self.id,
            conversation_id,
            sender_type: SenderType::Agent,
            sender_id: self.sender,
            content: self.content.as_str(),
            attachments: self.attachments.iter().map(|file| file.view(origin)).collect(),
            created_at: self.created_at,
        }
    }

    /// Returns the state that events tell of.
    #[must_use]
    pub fn moment(&self) -> MessageMoment {
        MessageMoment {
            status: self.status,
            unknown_outcomes: self.unknown_outcomes,
            reported_at: self.reported_at,
        }
    }

    /// Returns the message with nothing in it that an erasure takes away: no text, no file, no word
    /// of a provider's.
    #[must_use]
    pub fn without_texts(&self) -> Message {
        Message {
            content: Content::erased(),
            attachments: Vec::new(),
            metadata: Metadata::default(),
            provider_id: None,
            error: self.error.as_ref().map(Reason::without_detail),
            parts: Parts::default(),
            correlation_id: None,
            keep_until: None,
            expires_at: None,
            history: History::default(),
            ..self.clone()
        }
    }

    /// Returns the message as it was at the moment of `snapshot`, with the texts that it has now.
    #[must_use]
    pub fn at_moment(self, snapshot: &Message) -> Message {
        let same =
            |reason: &&Reason| snapshot.error.as_ref().is_some_and(|then| then.code == reason.code);
        let error = self.error.as_ref().filter(same).or(snapshot.error.as_ref()).cloned();
        let until_then = |attempt: &Attempt| attempt.attempt <= snapshot.attempts;
        let history = self.history.into_iter().filter(until_then);
        Message {
            content: self.content,
            attachments: self.attachments,
            metadata: self.metadata,
            history: history.fold(History::default(), |history, one| history.with(one)),
            error,
            ..snapshot.clone()
        }
    }

    /// True if customers are shown the message. The agent knows of one that ended `failed`, and may
    /// have sent it again; one that was erased has nothing to show.
    #[must_use]
    pub fn is_shown_to_customers(&self) -> bool {
        self.status != Status::Failed && !self.content.is_erased()
    }

    /// The progress that the worker decides by.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress {
            status: self.status,
            created_at: self.created_at,
            attempts: self.attempts,
            unknown_outcomes: self.unknown_outcomes,
            attempted_at: self.attempted_at,
        }
    }

    /// Returns when DynamoDB may delete the message if it is settled at `now`; `None` for never.
    /// A message that was settled late stays for a while, because the worker has yet to move its
    /// conversation past it, and receipts may follow.
    #[must_use]
    pub fn expiry_if_settled(&self, now: DateTime<Utc>) -> Option<i64> {
        self.keep_until.map(|until| until.max(expiry(now, SETTLED_TTL)))
    }

    /// The history when the attempt that was begun has ended so.
    #[must_use]
    pub fn history_with(&self, outcome: AttemptOutcome, reason: Option<&Reason>) -> History {
        let at = self.attempted_at.unwrap_or(self.created_at);
        self.history.with(Attempt { attempt: self.attempts, at, outcome, reason: reason.cloned() })
    }

    /// Why the last attempt did not succeed, for a message that is not settled. An attempt that a
    /// pause did not count is in no history, so the message's own error comes first. A message that
    /// was given up has the reason for that as its error, and its last attempt's only in its dead
    /// letter.
    #[must_use]
    pub fn last_reason(&self) -> Option<Reason> {
        match self.status {
            Status::Sending => Some(Reason::outcome_unknown()),
            _ => self.error.clone().or_else(|| self.history.last_reason()),
        }
    }

    /// Every attempt that was begun; one without a stored outcome is in doubt.
    #[must_use]
    pub fn attempts_so_far(&self) -> History {
        self.history_with(AttemptOutcome::InDoubt, Some(&Reason::outcome_unknown()))
    }
}

/// A message that the customer wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerMessage {
    /// Its id.
    pub id: MessageId,
    /// Its place among the customer's messages.
    pub number: CustomerNumber,
    /// The text; empty if it has none, or was erased.
    pub content: PrivateText,
    /// The file that came with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media: Option<Media>,
    /// When it was stored.
    pub created_at: DateTime<Utc>,
    /// When DynamoDB may delete it, in seconds since 1970; without it, never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
}

impl CustomerMessage {
    /// The message as the public API shows it, and the widget.
    #[must_use]
    pub fn view(&self, conversation_id: ConversationId) -> MessageView<'_> {
        MessageView {
            id: self.id,
            conversation_id,
            sender_type: SenderType::Customer,
            sender_id: Sender(None),
            content: self.content.as_str(),
            attachments: Vec::new(),
            created_at: self.created_at,
        }
    }
}

/// How many messages the customer of a conversation has written.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CustomerCount {
    /// The last one.
    pub last: CustomerNumber,
    /// The messages of the running minute, of those that have a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minute: Option<MinuteCount>,
}

/// The record of the name that a customer's message came with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustomerMessageName {
    /// The message.
    pub number: CustomerNumber,
    /// When DynamoDB may delete it, in seconds since 1970: with the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<i64>,
}

/// The record of an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idempotency {
    /// The first answer.
    #[serde(flatten)]
    pub first: RecordedAnswer,
    /// The conversation of the message; part of the request's hash as well.
    #[serde(rename = "conversation")]
    pub conversation_id: ConversationId,
    /// When DynamoDB may delete it, in seconds since 1970.
    pub expires_at: i64,
}

/// A file for a conversation's messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upload {
    /// Its id.
    pub id: UploadId,
    /// Where it is read.
    #[serde(rename = "url")]
    pub link: FileLink,
    /// The file's name.
    pub filename: FileName,
    /// The media type; the announced one until the file was inspected.
    pub content_type: MediaType,
    /// Its size in bytes.
    pub size: u64,
    /// Its status.
    pub state: UploadState,
    /// When it was announced or stored.
    pub created_at: DateTime<Utc>,
    /// When DynamoDB may delete it, in seconds since 1970.
    pub expires_at: i64,
}

impl Upload {
    /// Whether this is the capability that was given out for it.
    #[must_use]
    pub fn is_opened_by(&self, capability: &Capability) -> bool {
        Capability::parse(self.link.secret()).is_some_and(|own| own.matches(capability))
    }

    /// The attachment that a message shows.
    #[must_use]
    pub fn attachment(&self) -> Attachment {
        Attachment {
            id: self.id,
            link: self.link.without_host(),
            filename: self.filename.clone(),
            content_type: self.content_type.clone(),
            size: self.size,
        }
    }
}
