//! A message that a provider accepted, as its customer sees it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

/// One message as its customer has it, the way `GET /sandbox/{channel}/messages` answers it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub(crate) struct CustomerMessage {
    /// The system's id; null if the call carried no reference to a message.
    pub(crate) message_id: Option<Uuid>,
    /// The system's id; null as above.
    pub(crate) conversation_id: Option<Uuid>,
    /// Phone number, mail address, or `visitor` for the chat widget.
    pub(crate) to: String,
    /// The text.
    pub(crate) content: String,
    /// The message's files, as the channel words them.
    pub(crate) attachments: Vec<Value>,
    /// A mail's subject.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) subject: Option<String>,
    /// A mail's headers, as its reader's program gets them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) headers: Vec<Header>,
    /// WhatsApp's template, if the message went as one: its name and language, and the text that
    /// the customer reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) template: Option<Value>,
    /// The parts that have come of a message that its provider takes in parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) parts: Option<ReceivedParts>,
    /// The time at which the provider accepted it, by the moved clock.
    pub(crate) at: DateTime<Utc>,
}

/// One header of a mail.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub(crate) struct Header {
    /// Its name, as it was written.
    pub(crate) name: String,
    /// Its value, on one line.
    pub(crate) value: String,
}

/// The parts of a message that have come, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct ReceivedParts {
    /// How many there are.
    pub(crate) of: u8,
    /// Their numbers, from 1.
    pub(crate) got: Vec<u8>,
}
