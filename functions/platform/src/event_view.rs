//! Events as callers read them, in lists and in what is sent to their endpoints.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::message_view::MessageWithDelivery;
use crate::table::CurrentMessages;
use crate::table::record::{CustomerMessage, Event, EventData, Message};
use domain::event::{EventId, EventSequence, EventType};
use domain::message::rfc3339;
use domain::{BusinessId, ChannelId, ConversationId, Month, PrivateText};

/// An event with the messages that it shows.
pub struct ShownEvent<'a> {
    event: &'a Event,
    message: Option<ShownMessage>,
}

/// A message as it was at the moment that an event tells of.
enum ShownMessage {
    Agent(ConversationId, Box<Message>),
    Customer(ConversationId, CustomerMessage),
}

impl fmt::Debug for ShownEvent<'_> {
    /// The kind: all else may be about people.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShownEvent({}, …)", self.event.kind)
    }
}

impl<'a> ShownEvent<'a> {
    /// Takes the texts that an event shows out of the messages as they are now. A message that is
    /// gone, or was erased, has none.
    #[must_use]
    pub fn of(event: &'a Event, current: &CurrentMessages) -> ShownEvent<'a> {
        let message = match &event.data {
            EventData::Message { conversation_id, snapshot } => {
                let now = current.agents.get(&snapshot.id).cloned();
                let message = match now {
                    Some(now) => now.at_moment(snapshot),
                    None => (**snapshot).clone(),
                };
                Some(ShownMessage::Agent(*conversation_id, Box::new(message)))
            }
            EventData::CustomerMessage { conversation_id, message_id, created_at } => {
                let message = current.customers.get(message_id).cloned();
                let message = message.or_else(|| gone(event, *message_id, *created_at));
                message.map(|message| ShownMessage::Customer(*conversation_id, message))
            }
            EventData::Quota { .. } | EventData::Channel { .. } | EventData::Test {} => None,
        };
        ShownEvent { event, message }
    }

    /// Returns the event of this business as the API shows it at `origin`.
    #[must_use]
    pub fn view(&self, business_id: BusinessId, origin: &str) -> EventView<'_> {
        let data = match (&self.event.data, &self.message) {
            (_, Some(ShownMessage::Agent(conversation_id, message))) => DataView::Message {
                message: MessageWithDelivery::of(message, *conversation_id, origin),
            },
            (_, Some(ShownMessage::Customer(conversation_id, message))) => DataView::Message {
                message: MessageWithDelivery::of_customer(message, *conversation_id),
            },
            (EventData::Quota { month, percent, limit, used }, None) => {
                let (month, percent, limit, used) = (*month, *percent, *limit, *used);
                DataView::Quota { quota: QuotaView { month, percent, limit, used } }
            }
            (EventData::Channel { channel_id, channel, paused_until }, None) => {
                let channel = ChannelView {
                    id: *channel_id,
                    kind: channel.name(),
                    paused_until: *paused_until,
                };
                DataView::Channel { channel }
            }
            (
                EventData::Message { .. } | EventData::CustomerMessage { .. } | EventData::Test {},
                None,
            ) => DataView::Nothing {},
        };

        EventView {
            id: self.event.id,
            kind: self.event.kind,
            sequence: self.event.sequence,
            created_at: self.event.created_at,
            business_id,
            data,
        }
    }
}

/// Returns a customer's message that is gone, as one that was erased.
fn gone(
    event: &Event,
    id: domain::MessageId,
    created_at: DateTime<Utc>,
) -> Option<CustomerMessage> {
    let domain::MessageNumber::Customer(number) = id.number()? else { return None };
    Some(CustomerMessage {
        id,
        number,
        content: PrivateText::default(),
        media: None,
        created_at,
        expires_at: Some(event.expires_at),
    })
}

/// An event as callers read it.
#[derive(Debug, Serialize)]
pub struct EventView<'a> {
    id: EventId,
    #[serde(rename = "type")]
    kind: EventType,
    sequence: EventSequence,
    #[serde(serialize_with = "rfc3339")]
    created_at: DateTime<Utc>,
    business_id: BusinessId,
    data: DataView<'a>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum DataView<'a> {
    Message { message: MessageWithDelivery<'a> },
    Quota { quota: QuotaView },
    Channel { channel: ChannelView },
    Nothing {},
}

#[derive(Debug, Serialize)]
struct QuotaView {
    month: Month,
    percent: u64,
    limit: u64,
    used: u64,
}

#[derive(Debug, Serialize)]
struct ChannelView {
    id: ChannelId,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(serialize_with = "rfc3339")]
    paused_until: DateTime<Utc>,
}
