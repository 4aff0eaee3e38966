//! The parts of a message. WhatsApp carries one file at a time, so each part is a message of its
//! own there, and the customer sees them in this order.

use domain::channel::WhatsappMedia;
use domain::{Attachment, MediaType};
use platform::table::record::Message;

/// The longest caption, in characters ([image
/// messages](https://developers.facebook.com/docs/whatsapp/cloud-api/messages/image-messages)).
const MAX_CAPTION_CHARACTERS: usize = 1_024;

/// One message at WhatsApp.
#[derive(Clone, Copy, PartialEq)]
pub enum MessagePart<'a> {
    /// The text.
    Text(&'a str),
    /// A file.
    File {
        /// The file.
        file: &'a Attachment,
        /// The kind of media it is sent as.
        media: WhatsappMedia,
        /// The text, if it goes with the file.
        caption: Option<&'a str>,
    },
}

/// Returns the parts of a message, always the same ones. The text is the first file's caption if it
/// can be, so that customers see the two together; otherwise it comes first and on its own.
#[must_use]
pub fn parts_of(message: &Message) -> Vec<MessagePart<'_>> {
    let content = message.content.as_str();

    let kinds = message.attachments.iter().map(|file| sent_as(&file.content_type));
    let first_takes_it = kinds.clone().next().is_some_and(takes_captions);
    let caption =
        (first_takes_it && content.chars().count() <= MAX_CAPTION_CHARACTERS).then_some(content);
    let text = caption.is_none().then_some(MessagePart::Text(content));
    let captions = std::iter::once(caption).chain(std::iter::repeat(None));
    let files = message.attachments.iter().zip(kinds).zip(captions);
    text.into_iter()
        .chain(files.map(|((file, media), caption)| MessagePart::File { file, media, caption }))
        .collect()
}

/// Returns the kind of media for a type. Acceptance lets only known types through; a type that is
/// not known any more is sent as a document, which WhatsApp refuses.
fn sent_as(content_type: &MediaType) -> WhatsappMedia {
    WhatsappMedia::of(content_type).unwrap_or(WhatsappMedia::Document)
}

/// Returns whether media can have a caption: a recording cannot ([audio
/// messages](https://developers.facebook.com/docs/whatsapp/cloud-api/messages/audio-messages)).
fn takes_captions(media: WhatsappMedia) -> bool {
    match media {
        WhatsappMedia::Image | WhatsappMedia::Video | WhatsappMedia::Document => true,
        WhatsappMedia::Audio => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(content: &str, types: &[&str]) -> Message {
        let attachment = |kind: &&str| {
            json!({ "id": "67e55044-10b1-426f-9247-bb680e5fe0c8", "url": "/api/v1/files/a",
                "filename": "a", "content_type": kind, "size": 1 })
        };
        let message = json!({
            "id": "01900000-0001-7abc-848d-17ffffffffff", "seq": 1, "sender": null, "content": content,
            "attachments": types.iter().map(attachment).collect::<Vec<_>>(), "created_at": "2026-03-01T09:05:00Z",
            "month": "2026-03", "shard": 0, "status": "queued", "attempts": 0,
        });
        serde_json::from_value(message).expect("a message")
    }

    fn shape(content: &str, types: &[&str]) -> Vec<String> {
        let message = message(content, types);
        let shown = |piece: MessagePart<'_>| match piece {
            MessagePart::Text(text) => format!("text {}", text.len()),
            MessagePart::File { media, caption, .. } => {
                format!("{media:?} {}", caption.map_or(0, str::len))
            }
        };
        parts_of(&message).into_iter().map(shown).collect()
    }

    #[test]
    fn a_text_goes_with_the_first_file_where_it_can() {
        assert_eq!(shape("hello", &[]), ["text 5"]);
        assert_eq!(shape("hello", &["image/png"]), ["Image 5"]);
        assert_eq!(shape("hello", &["application/pdf", "video/mp4"]), ["Document 5", "Video 0"]);
        assert_eq!(shape("hello", &["audio/ogg", "image/jpeg"]), ["text 5", "Audio 0", "Image 0"]);
        assert_eq!(shape(&"x".repeat(1_024), &["video/mp4"]), ["Video 1024"]);
        assert_eq!(shape(&"x".repeat(1_025), &["video/mp4"]), ["text 1025", "Video 0"]);
    }
}
