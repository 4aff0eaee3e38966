//! What a provider tells later of a message it took, and how it names the message.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use thiserror::Error;

use super::outcome::Reason;
use super::parts::Part;
use super::status::Status;
use crate::id::{BusinessId, ConversationId, MessageId};

/// What a provider reports of a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt {
    /// How far it has come.
    pub reported: ReportedStatus,
    /// Which part of the message, for one that went in several.
    pub part: Part,
    /// When, by the provider's clock.
    pub at: DateTime<Utc>,
    /// The provider's id of the message, if it has one: whoever lost the answer to the call never
    /// heard of it.
    pub provider_id: Option<String>,
}

/// How far a message has come, in a provider's words.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ReportedStatus {
    /// The provider has it.
    Sent,
    /// It reached the customer's device or mailbox.
    Delivered,
    /// The customer has seen it.
    Read,
    /// It will not be delivered.
    Failed(Reason),
}

impl ReportedStatus {
    /// The status that the message shall have.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            ReportedStatus::Sent => Status::Sent,
            ReportedStatus::Delivered => Status::Delivered,
            ReportedStatus::Read => Status::Read,
            ReportedStatus::Failed(_) => Status::Failed,
        }
    }
}

/// A message as providers know it: they are given this with it, and bring it back with every
/// receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageReference {
    /// Whose message.
    pub business: BusinessId,
    /// In which conversation.
    pub conversation: ConversationId,
    /// Which message.
    pub message: MessageId,
}

/// The names of a reference's parts, for providers that take tags.
const NAMES: [&str; 3] = ["business", "conversation", "message"];

impl MessageReference {
    /// Its parts with their names, for providers that take tags.
    #[must_use]
    pub fn tags(&self) -> [(&'static str, String); 3] {
        let [business, conversation, message] = NAMES;
        [
            (business, self.business.to_string()),
            (conversation, self.conversation.to_string()),
            (message, self.message.to_string()),
        ]
    }

    /// Reads tags back; `None` if they are not ours. `tag` finds the value of a name.
    pub fn from_tags<'a>(tag: impl Fn(&str) -> Option<&'a str>) -> Option<MessageReference> {
        let [business, conversation, message] = NAMES.map(tag);
        Some(MessageReference {
            business: business?.parse().ok()?,
            conversation: conversation?.parse().ok()?,
            message: message?.parse().ok()?,
        })
    }
}

/// A text that is no [`MessageReference`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("it is not three ids of ours with dots between them")]
pub struct InvalidReference;

impl fmt::Display for MessageReference {
    /// In one text, for providers that take one: the three ids with dots between them, 110
    /// characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MessageReference { business, conversation, message } = self;
        write!(f, "{business}.{conversation}.{message}")
    }
}

impl FromStr for MessageReference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<MessageReference, InvalidReference> {
        let parts: Vec<&str> = text.split('.').collect();
        let parts: [&str; 3] = parts.try_into().map_err(|_| InvalidReference)?;
        let of =
            |name: &str| NAMES.iter().position(|known| *known == name).map(|place| parts[place]);
        MessageReference::from_tags(of).ok_or(InvalidReference)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use uuid::Uuid;

    use super::*;

    pub(in crate::delivery) fn reference() -> MessageReference {
        MessageReference {
            business: BusinessId(Uuid::from_u128(1)),
            conversation: ConversationId(Uuid::from_u128(2)),
            message: "01900000-0001-7abc-848d-17ffffffffff".parse().expect("a UUID"),
        }
    }

    #[test]
    fn a_reference_comes_back_as_it_went() {
        let text = reference().to_string();
        assert_eq!((text.len(), text.parse()), (110, Ok(reference())));
        let tags = reference().tags();
        let tag = |name: &str| {
            tags.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
        };
        assert_eq!(MessageReference::from_tags(tag), Some(reference()));
    }

    #[test]
    fn what_others_gave_to_a_provider_is_no_reference() {
        let ours = reference().to_string();
        let short = ours.rsplit_once('.').expect("it has dots").0;
        for foreign in
            ["", "campaign.7", "a.b.c", short, &format!("{ours}.x"), &ours.replace('.', ",")]
        {
            assert_eq!(foreign.parse::<MessageReference>(), Err(InvalidReference), "{foreign}");
        }
        assert_eq!(MessageReference::from_tags(|name| (name == "business").then_some("x")), None);
    }
}
