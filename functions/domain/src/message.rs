//! A message as agents write it and as the API shows it.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize, Serializer};

use crate::{
    AgentId, ConversationId, FileLink, FileName, MediaType, MessageId, PrivateText, UploadId, text,
};

/// The fewest days for which messages may be kept, if not for ever: what happened to one can be
/// read for a month at least.
pub const MIN_RETENTION_DAYS: u32 = 30;

/// A message's text: never blank, and without control characters but tabs and line ends. How long
/// it may be depends on the channel ([`crate::channel`]).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Content(String);

/// Why a text is no message's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentFault {
    /// A reader would see nothing ([`text::is_blank`]).
    Blank,
    /// It has this control character ([`text::control_character`]).
    Control(char),
}

impl Content {
    /// Takes `text` as a message's.
    ///
    /// # Errors
    /// Returns the fault of a text; a blank text is called blank, whatever else it has.
    pub fn new(text: String) -> Result<Content, ContentFault> {
        if text::is_blank(&text) {
            return Err(ContentFault::Blank);
        }

        match text::control_character(&text) {
            Some(control) => Err(ContentFault::Control(control)),
            None => Ok(Content(text)),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the text of a message that was erased.
    #[must_use]
    pub fn erased() -> Content {
        Content(String::new())
    }

    /// True if the message was erased: no message is empty otherwise.
    #[must_use]
    pub fn is_erased(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the length in characters (Unicode scalar values), as the channels' limits count it.
    #[must_use]
    pub fn characters(&self) -> usize {
        self.0.chars().count()
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Content(…)")
    }
}

/// The most attachments that any channel carries in one message.
pub const MAX_ATTACHMENTS: usize = 10;

/// A file that goes with a message, from our own record of its upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    /// The upload's id.
    pub id: UploadId,
    /// Where it is read.
    #[serde(rename = "url")]
    pub link: FileLink,
    /// The name that the agent gave the file, safe to show.
    pub filename: FileName,
    /// The type of the file.
    pub content_type: MediaType,
    /// Size in bytes.
    pub size: u64,
}

impl Attachment {
    /// The attachment as the API shows it at `origin`, its address without a slash at its end.
    #[must_use]
    pub fn view(&self, origin: &str) -> AttachmentView<'_> {
        AttachmentView {
            id: self.id,
            url: self.link.url(origin),
            filename: &self.filename,
            content_type: &self.content_type,
            size: self.size,
        }
    }
}

/// The five fields that the public API shows of an attachment.
#[derive(Clone, PartialEq, Serialize)]
pub struct AttachmentView<'a> {
    /// The upload's id.
    pub id: UploadId,
    /// The address at which the file is read.
    pub url: String,
    /// The file's name.
    pub filename: &'a FileName,
    /// The type of the file.
    pub content_type: &'a MediaType,
    /// Size in bytes.
    pub size: u64,
}

/// The sender of a message: the agent behind the token, or `None` for a business's own API key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sender(pub Option<AgentId>);

/// A file that a customer sent, which stays with their provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Media {
    /// Its kind.
    pub kind: MediaKind,
    /// The provider's id of it.
    pub id: PrivateText,
}

/// The kind of a file that a customer sent, in WhatsApp's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaKind {
    /// A picture.
    Image,
    /// A film.
    Video,
    /// Sound, also a voice message.
    Audio,
    /// Any other file.
    Document,
    /// A picture without a frame.
    Sticker,
}

/// The seven fields that the public API shows of a message, in the documented order.
#[derive(Clone, PartialEq, Serialize)]
pub struct MessageView<'a> {
    /// The message's id.
    pub id: MessageId,
    /// The conversation it was sent into.
    pub conversation_id: ConversationId,
    /// Who wrote it.
    pub sender_type: SenderType,
    /// The agent, or null for an API key and for the customer.
    pub sender_id: Sender,
    /// The text.
    pub content: &'a str,
    /// The message's files.
    pub attachments: Vec<AttachmentView<'a>>,
    /// When it was accepted, RFC 3339 in UTC.
    #[serde(serialize_with = "rfc3339")]
    pub created_at: DateTime<Utc>,
}

/// The kind of a message's sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SenderType {
    /// A person or a program that answers for the business.
    Agent,
    /// The customer of the conversation.
    Customer,
}

/// Writes a time as the API shows it: RFC 3339 in UTC with `Z`, with milliseconds only where there
/// are any.
///
/// # Errors
/// The error of the serializer.
pub fn rfc3339<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_rfc3339_opts(SecondsFormat::AutoSi, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_text_is_no_content_and_a_control_character_is_named() {
        for blank in ["", " ", "\n\t", "\u{a0}\u{2003}", "\u{200b}", "\0"] {
            assert_eq!(Content::new(blank.into()), Err(ContentFault::Blank), "{blank:?}");
        }
        assert_eq!(Content::new("a\u{8}b\0".into()), Err(ContentFault::Control('\u{8}')));
        assert_eq!(Content::new(" é\u{1F600}\r\n".into()).map(|c| c.characters()), Ok(5));
    }

    #[test]
    fn the_api_shows_exactly_seven_fields_in_order() {
        let view = MessageView {
            id: "01900000-0001-7abc-848d-17ffffffffff".parse().expect("a UUID"),
            conversation_id: "67e55044-10b1-426f-9247-bb680e5fe0c8".parse().expect("a UUID"),
            sender_type: SenderType::Agent,
            sender_id: Sender(None),
            content: "hello",
            attachments: Vec::new(),
            created_at: "2026-03-01T09:05:00Z".parse().expect("a time"),
        };

        assert_eq!(
            serde_json::to_string(&view).expect("plain data"),
            r#"{"id":"01900000-0001-7abc-848d-17ffffffffff","conversation_id":"67e55044-10b1-426f-9247-bb680e5fe0c8","sender_type":"agent","sender_id":null,"content":"hello","attachments":[],"created_at":"2026-03-01T09:05:00Z"}"#
        );
    }
}
