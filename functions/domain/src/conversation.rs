//! A conversation's channel and status, as PingBack stores them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::channel::Channel;
use crate::problem::Refusal;

/// The channel of a conversation. PingBack has several names for some channels, and channels that
/// this service does not deliver to; the stored name is kept as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct ConversationChannel {
    wire_name: String,
    channel: Option<Channel>,
}

impl ConversationChannel {
    /// Returns the channel that this service delivers to.
    ///
    /// # Errors
    /// [`Refusal::ChannelNotSupported`] for every other channel.
    pub fn supported(&self) -> Result<Channel, Refusal> {
        self.channel.ok_or_else(|| Refusal::ChannelNotSupported { channel: self.wire_name.clone() })
    }
}

impl From<Channel> for ConversationChannel {
    fn from(channel: Channel) -> ConversationChannel {
        ConversationChannel { wire_name: channel.name().to_owned(), channel: Some(channel) }
    }
}

impl From<String> for ConversationChannel {
    fn from(wire_name: String) -> ConversationChannel {
        ConversationChannel { channel: Channel::from_wire(&wire_name), wire_name }
    }
}

impl From<&str> for ConversationChannel {
    fn from(wire_name: &str) -> ConversationChannel {
        wire_name.to_owned().into()
    }
}

impl From<ConversationChannel> for String {
    fn from(channel: ConversationChannel) -> String {
        channel.wire_name
    }
}

impl fmt::Display for ConversationChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.wire_name)
    }
}

/// The status of a conversation. Messages may be sent into a conversation of any status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConversationStatus {
    /// An agent is on it.
    Open,
    /// It waits for the customer.
    Pending,
    /// An agent called it solved.
    Resolved,
    /// It is over.
    Closed,
    /// A status that PingBack introduced after this version. It may be sent into like the others;
    /// it is never written, because its name is not known.
    #[serde(other, skip_serializing)]
    Unknown,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json, to_value};

    use super::*;

    #[test]
    fn a_conversations_channel_is_stored_as_it_was_read() {
        for (wire_name, channel) in [
            ("chat", Some(Channel::Chat)),
            ("webchat", Some(Channel::Chat)),
            ("widget", Some(Channel::Chat)),
            ("whatsapp", Some(Channel::Whatsapp)),
            ("email", Some(Channel::Email)),
            ("sms", None),
        ] {
            let stored: ConversationChannel = from_value(json!(wire_name)).expect("a name");
            assert_eq!(stored.supported().ok(), channel);
            assert_eq!(stored.to_string(), wire_name);
            assert_eq!(to_value(&stored).expect("a name"), json!(wire_name));
        }
    }

    #[test]
    fn a_channel_that_is_not_supported_is_refused_by_its_name() {
        let refused = ConversationChannel::from("sms").supported();
        assert_eq!(refused, Err(Refusal::ChannelNotSupported { channel: "sms".to_owned() }));
    }

    #[test]
    fn each_status_is_stored_under_its_own_name() {
        for (name, status) in [
            ("open", ConversationStatus::Open),
            ("pending", ConversationStatus::Pending),
            ("resolved", ConversationStatus::Resolved),
            ("closed", ConversationStatus::Closed),
        ] {
            assert_eq!(from_value::<ConversationStatus>(json!(name)).expect("a status"), status);
            assert_eq!(to_value(status).expect("a name"), Value::from(name));
        }
    }

    #[test]
    fn a_status_of_a_later_version_is_read_and_never_written() {
        let later: ConversationStatus = from_value(json!("snoozed")).expect("a status");
        assert_eq!(later, ConversationStatus::Unknown);
        assert!(to_value(later).is_err());
    }
}
