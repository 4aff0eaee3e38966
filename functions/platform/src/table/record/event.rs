//! Events, the endpoints that they are sent to, and each event on its way to one.

use std::collections::BTreeSet;

use chrono::serde::ts_milliseconds_option;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Message;
use domain::event::{EventId, EventSequence, EventType, Subject};
use domain::webhook::{DeliveryStatus, EndpointHealth, EndpointStatus, EndpointUrl, SigningSecret};
use domain::{Channel, ChannelId, ConversationId, MessageId, Month, PrivateText};

/// How many events a business has had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EventCount {
    /// The last one.
    pub last: EventSequence,
}

/// The record of an event's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventName {
    /// The event.
    pub sequence: EventSequence,
    /// When DynamoDB may delete it, in seconds since 1970: with the event.
    pub expires_at: i64,
}

/// An event. It has no text of a message: texts are read from the message when the event is shown,
/// so that an erasure takes them from here as well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// Its place among the events of its business.
    pub sequence: EventSequence,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// The item that it is about.
    pub subject: Subject,
    /// When it was published.
    pub created_at: DateTime<Utc>,
    /// Its data.
    pub data: EventData,
    /// When DynamoDB may delete it, in seconds since 1970.
    pub expires_at: i64,
}

/// The data of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventData {
    /// Of an agent's message.
    Message {
        /// Its conversation.
        conversation_id: ConversationId,
        /// The message as it was then, without its texts.
        snapshot: Box<Message>,
    },
    /// Of a message that the customer wrote.
    CustomerMessage {
        /// Its conversation.
        conversation_id: ConversationId,
        /// Its id.
        message_id: MessageId,
        /// When it was stored.
        created_at: DateTime<Utc>,
    },
    /// Of a month.
    Quota {
        /// The month.
        month: Month,
        /// The part that is used, in percent.
        percent: u64,
        /// Messages the month allows.
        limit: u64,
        /// Messages accepted in it.
        used: u64,
    },
    /// Of a channel.
    Channel {
        /// The channel's id.
        channel_id: ChannelId,
        /// Its kind.
        channel: Channel,
        /// Until when it is, or was, paused.
        paused_until: DateTime<Utc>,
    },
    /// Nothing: a caller wants to see whether it arrives.
    Test {},
}

/// An endpoint that a business has its events sent to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Where it is.
    pub url: EndpointUrl,
    /// The kinds of events that it is sent; all of them without a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events: Option<BTreeSet<EventType>>,
    /// Its owner's words for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<PrivateText>,
    /// Whether it is sent events.
    pub status: EndpointStatus,
    /// The key that signs its deliveries.
    pub secret: SigningSecret,
    /// The key that signed them before the last rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former_secret: Option<FormerSecret>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// How it has answered of late.
    #[serde(default)]
    pub health: EndpointHealth,
}

/// The secret before an endpoint's last rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerSecret {
    /// The secret.
    pub secret: SigningSecret,
    /// Until when it signs as well.
    pub signs_until: DateTime<Utc>,
}

impl Endpoint {
    /// Whether it is sent events of this kind now.
    #[must_use]
    pub fn wants(&self, kind: EventType) -> bool {
        let is_listed = self.events.as_ref().is_none_or(|kinds| kinds.contains(&kind));
        self.status == EndpointStatus::Enabled && is_listed
    }

    /// Returns the endpoint switched on or off. Switching it on is another chance, so it forgets
    /// what it has answered so far.
    #[must_use]
    pub fn switched(self, status: EndpointStatus) -> Endpoint {
        let health = match status {
            EndpointStatus::Enabled => EndpointHealth::default(),
            EndpointStatus::Disabled => self.health,
        };
        Endpoint { status, health, ..self }
    }

    /// Returns the secrets that sign a delivery at `now`.
    pub fn signing_secrets(&self, now: DateTime<Utc>) -> impl Iterator<Item = &SigningSecret> {
        let former = self.former_secret.as_ref().filter(|former| now < former.signs_until);
        std::iter::once(&self.secret).chain(former.map(|former| &former.secret))
    }
}

/// How many endpoints a business has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EndpointCount {
    /// As many.
    pub count: u32,
}

/// An event on its way to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventDelivery {
    /// The event's id.
    pub event_id: EventId,
    /// Its number.
    pub sequence: EventSequence,
    /// Its kind.
    #[serde(rename = "type")]
    pub kind: EventType,
    /// How far it has come.
    pub status: DeliveryStatus,
    /// How many attempts were begun.
    pub attempts: u32,
    /// Since when it is to be delivered.
    pub since: DateTime<Utc>,
    /// Until when a worker has it.
    #[serde(default, with = "ts_milliseconds_option", skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<DateTime<Utc>>,
    /// Nothing is tried before.
    #[serde(default, with = "ts_milliseconds_option", skip_serializing_if = "Option::is_none")]
    pub not_before: Option<DateTime<Utc>>,
    /// When the outbox has it looked at again, while it is pending.
    #[serde(default, with = "ts_milliseconds_option", skip_serializing_if = "Option::is_none")]
    pub due: Option<DateTime<Utc>>,
    /// The part of the outbox that it is in, while it is pending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbox_bucket: Option<String>,
    /// The last attempt that ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempt: Option<EndpointAttempt>,
    /// When DynamoDB may delete it, in seconds since 1970: with the event.
    pub expires_at: i64,
}

/// An attempt to deliver an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointAttempt {
    /// When it began.
    pub at: DateTime<Utc>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// The answer's status; `None` if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The beginning of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<PrivateText>,
    /// Why there was no answer, in our words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}
