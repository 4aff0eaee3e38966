//! The reference by which providers name a message.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::id::{BusinessId, ConversationId, MessageId};

/// The reference by which providers know a message: they get it with the message and repeat it in
/// every receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageReference {
    /// The business that sent the message.
    pub business_id: BusinessId,
    /// The conversation it was sent into.
    pub conversation_id: ConversationId,
    /// The message's own id.
    pub message_id: MessageId,
}

/// The names of a reference's three ids, for providers that take tags.
const TAG_NAMES: [&str; 3] = ["business", "conversation", "message"];

/// The name under which a reference's proof goes out, for providers that take tags.
pub const PROOF_TAG_NAME: &str = "tag";

impl MessageReference {
    /// Returns the ids with their names, for providers that take tags.
    #[must_use]
    pub fn tags(&self) -> [(&'static str, String); 3] {
        let [business, conversation, message] = TAG_NAMES;
        [
            (business, self.business_id.to_string()),
            (conversation, self.conversation_id.to_string()),
            (message, self.message_id.to_string()),
        ]
    }

    /// Parses the reference from tags; `None` if they are not ours. `tag` returns the value of a
    /// name.
    pub fn from_tags<'a>(tag: impl Fn(&str) -> Option<&'a str>) -> Option<MessageReference> {
        let [business, conversation, message] = TAG_NAMES.map(tag);
        Some(MessageReference {
            business_id: business?.parse().ok()?,
            conversation_id: conversation?.parse().ok()?,
            message_id: message?.parse().ok()?,
        })
    }
}

/// The error for a text that is not a [`MessageReference`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("it is not three ids of ours with dots between them")]
pub struct InvalidReference;

impl fmt::Display for MessageReference {
    /// Writes the three ids with dots between them, 110 characters, for providers that take one
    /// text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let MessageReference { business_id, conversation_id, message_id } = self;
        write!(f, "{business_id}.{conversation_id}.{message_id}")
    }
}

impl FromStr for MessageReference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<MessageReference, InvalidReference> {
        let parts: Vec<&str> = text.split('.').collect();
        let parts: [&str; 3] = parts.try_into().map_err(|_| InvalidReference)?;
        let of = |name: &str| {
            TAG_NAMES.iter().position(|known| *known == name).map(|place| parts[place])
        };
        MessageReference::from_tags(of).ok_or(InvalidReference)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use uuid::Uuid;

    use super::*;

    pub(in crate::delivery) fn reference() -> MessageReference {
        MessageReference {
            business_id: BusinessId(Uuid::from_u128(1)),
            conversation_id: ConversationId(Uuid::from_u128(2)),
            message_id: "01900000-0001-7abc-848d-17ffffffffff".parse().expect("a UUID"),
        }
    }

    #[test]
    fn a_reference_is_parsed_back_from_text_and_tags() {
        let text = reference().to_string();
        assert_eq!((text.len(), text.parse()), (110, Ok(reference())));
        let tags = reference().tags();
        let tag = |name: &str| {
            tags.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
        };
        assert_eq!(MessageReference::from_tags(tag), Some(reference()));
    }

    #[test]
    fn a_foreign_text_is_no_reference() {
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
