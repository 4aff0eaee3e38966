//! The messages that a visitor writes: their form, and why one is refused.

use std::fmt;

use chrono::{DateTime, Utc};

use super::{MAX_CLIENT_ID_CHARACTERS, MAX_MESSAGE_CHARACTERS, MESSAGES_PER_MINUTE};
use crate::Content;
use crate::message::ContentFault;

/// A message as a visitor writes it.
#[derive(Clone, PartialEq, Eq)]
pub struct VisitorMessage {
    /// The widget's own name for it: visible ASCII characters.
    pub client_id: String,
    /// The text.
    pub content: Content,
}

/// Why a visitor's message is not stored. [`fmt::Display`] writes the sentence for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageRefusal {
    /// The `client_id` does not have the form of one.
    ClientId,
    /// A reader would see nothing.
    Blank,
    /// The text has this control character.
    Control(char),
    /// The text has so many characters, which are too many.
    TooLong(usize),
    /// The `client_id` has come with another text.
    ClientIdReused,
    /// The conversation has written too many; it may write the next one then.
    TooMany(DateTime<Utc>),
    /// There is no such conversation.
    NoConversation,
    /// Others were written at the same moment, or the table is busy: nothing was stored.
    Busy,
}

impl VisitorMessage {
    /// Takes what a widget sent as a message.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(client_id: String, content: String) -> Result<VisitorMessage, MessageRefusal> {
        let is_id = (1..=MAX_CLIENT_ID_CHARACTERS).contains(&client_id.len())
            && client_id.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_id {
            return Err(MessageRefusal::ClientId);
        }

        let content = Content::new(content).map_err(|fault| match fault {
            ContentFault::Blank => MessageRefusal::Blank,
            ContentFault::Control(control) => MessageRefusal::Control(control),
        })?;
        match content.characters() {
            characters if characters > MAX_MESSAGE_CHARACTERS => {
                Err(MessageRefusal::TooLong(characters))
            }
            _ => Ok(VisitorMessage { client_id, content }),
        }
    }
}

impl fmt::Debug for VisitorMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VisitorMessage(…)")
    }
}

impl MessageRefusal {
    /// Returns the reason for programs.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            MessageRefusal::ClientId => "client_id_invalid",
            MessageRefusal::Blank | MessageRefusal::Control(_) => "content_not_allowed",
            MessageRefusal::TooLong(_) => "content_too_long",
            MessageRefusal::ClientIdReused => "client_id_reused",
            MessageRefusal::TooMany(_) => "too_many_messages",
            MessageRefusal::NoConversation => "conversation_not_found",
            MessageRefusal::Busy => "busy",
        }
    }

    /// Returns the member of the frame that is at fault, if one is.
    #[must_use]
    pub fn field(self) -> Option<&'static str> {
        match self {
            MessageRefusal::ClientId | MessageRefusal::ClientIdReused => Some("client_id"),
            MessageRefusal::Blank | MessageRefusal::Control(_) | MessageRefusal::TooLong(_) => {
                Some("content")
            }
            MessageRefusal::TooMany(_) | MessageRefusal::NoConversation | MessageRefusal::Busy => {
                None
            }
        }
    }

    /// Returns the limit that was passed, if one was.
    #[must_use]
    pub fn limit(self) -> Option<u64> {
        match self {
            MessageRefusal::ClientId => Some(MAX_CLIENT_ID_CHARACTERS as u64),
            MessageRefusal::TooLong(_) => Some(MAX_MESSAGE_CHARACTERS as u64),
            MessageRefusal::TooMany(_) => Some(MESSAGES_PER_MINUTE.into()),
            MessageRefusal::Blank
            | MessageRefusal::Control(_)
            | MessageRefusal::ClientIdReused
            | MessageRefusal::NoConversation
            | MessageRefusal::Busy => None,
        }
    }

    /// Returns in how many seconds the same message may be sent again, rounded up; `None` if time
    /// alone does not help.
    #[must_use]
    pub fn retry_after(self, now: DateTime<Utc>) -> Option<u64> {
        match self {
            MessageRefusal::TooMany(at) => Some(super::seconds_until(at, now)),
            MessageRefusal::Busy => Some(1),
            MessageRefusal::ClientId
            | MessageRefusal::Blank
            | MessageRefusal::Control(_)
            | MessageRefusal::TooLong(_)
            | MessageRefusal::ClientIdReused
            | MessageRefusal::NoConversation => None,
        }
    }
}

impl fmt::Display for MessageRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MessageRefusal::ClientId => {
                write!(f, "client_id has 1 to {MAX_CLIENT_ID_CHARACTERS} visible ASCII characters")
            }
            MessageRefusal::Blank => f.write_str("content shows something"),
            MessageRefusal::Control(control) => {
                let code = u32::from(*control);
                write!(f, "content has no control characters like U+{code:04X}")
            }
            MessageRefusal::TooLong(characters) => write!(
                f,
                "content has at most {MAX_MESSAGE_CHARACTERS} characters, and this one has \
                 {characters}"
            ),
            MessageRefusal::ClientIdReused => {
                f.write_str("client_id has come with another content; make a new one")
            }
            MessageRefusal::TooMany(_) => {
                write!(f, "a conversation writes at most {MESSAGES_PER_MINUTE} messages a minute")
            }
            MessageRefusal::NoConversation => f.write_str("there is no such conversation"),
            MessageRefusal::Busy => f.write_str("nothing was stored; send it again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn parse(client_id: &str, content: &str) -> Result<String, MessageRefusal> {
        let message = VisitorMessage::parse(client_id.to_owned(), content.to_owned());
        message.map(|message| message.content.as_str().to_owned())
    }

    #[test]
    fn a_message_has_a_name_and_shows_something_and_is_not_too_long() {
        let longest = "\u{1F600}".repeat(MAX_MESSAGE_CHARACTERS);
        assert_eq!(parse("a", " Hi\n"), Ok(" Hi\n".to_owned()));
        assert_eq!(parse(&"i".repeat(64), &longest).as_ref(), Ok(&longest));

        for client_id in ["", " ", "a b", "é", "\n", &"i".repeat(65)] {
            assert_eq!(parse(client_id, "Hi"), Err(MessageRefusal::ClientId), "{client_id:?}");
        }
        assert_eq!(parse("a", " \u{200b}"), Err(MessageRefusal::Blank));
        assert_eq!(parse("a", "\u{8}b"), Err(MessageRefusal::Control('\u{8}')));
        let too_long = MAX_MESSAGE_CHARACTERS + 1;
        assert_eq!(parse("a", &"x".repeat(too_long)), Err(MessageRefusal::TooLong(too_long)));
    }

    #[test]
    fn the_longest_message_fits_into_one_frame_however_it_is_written() {
        /// [Quotas](https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html).
        const LARGEST_FRAME: usize = 32 * 1024;
        let client_id = "\"".repeat(MAX_CLIENT_ID_CHARACTERS);
        for character in ["x", "é", "\"", "\n", "\u{ffff}", "\u{1F600}"] {
            let content = character.repeat(MAX_MESSAGE_CHARACTERS);
            let frame = serde_json::json!({
                "action": "message", "client_id": client_id, "content": content,
            });
            assert!(frame.to_string().len() <= LARGEST_FRAME, "{character:?}");
        }
    }

    #[test]
    fn a_refusal_names_field_limit_and_when_to_come_back() {
        let now = DateTime::UNIX_EPOCH;
        let then = now + TimeDelta::milliseconds(4_001);
        for refusal in [
            MessageRefusal::ClientId,
            MessageRefusal::TooLong(9_999),
            MessageRefusal::TooMany(then),
        ] {
            let limit = refusal.limit().expect("it has one").to_string();
            assert!(refusal.to_string().contains(&limit), "{refusal}");
        }
        for refusal in [MessageRefusal::Blank, MessageRefusal::Control('\u{8}')] {
            assert_eq!((refusal.code(), refusal.field()), ("content_not_allowed", Some("content")));
        }
        assert!(MessageRefusal::Control('\u{8}').to_string().contains("U+0008"));
        assert_eq!(MessageRefusal::TooMany(then).retry_after(now), Some(5));
        assert_eq!(MessageRefusal::TooMany(then).retry_after(then), Some(1), "never at once");
        assert_eq!(MessageRefusal::Blank.retry_after(now), None);
    }
}
