//! The kinds of files that WhatsApp takes, and their limits.

use crate::channel::rules::{MIB, file_size, refused};
use crate::file::MediaType;
use crate::message::Attachment;
use crate::problem::Refusal;

/// Ogg without its codec.
const OGG: &str = "audio/ogg";

const MEDIA_SOURCE: &str =
    "https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media#supported-media-types";

/// WhatsApp's kinds of files; each is sent in another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhatsappMedia {
    /// A picture, shown in the conversation.
    Image,
    /// A film, played in the conversation.
    Video,
    /// Sound, played in the conversation.
    Audio,
    /// Any other supported file, shown by its name.
    Document,
}

impl WhatsappMedia {
    /// Returns the kind as which a file of this type is sent, by the Cloud API's
    /// [table](https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media#supported-media-types);
    /// `None` for a type that it does not take.
    #[must_use]
    pub fn of(content_type: &MediaType) -> Option<WhatsappMedia> {
        Some(match content_type.essence() {
            "image/jpeg" | "image/png" => WhatsappMedia::Image,
            "video/mp4" | "video/3gpp" => WhatsappMedia::Video,
            "audio/aac" | "audio/amr" | "audio/mpeg" | "audio/mp4" => WhatsappMedia::Audio,
            OGG if content_type.codec().is_none_or(|codec| codec == "opus") => WhatsappMedia::Audio,
            "text/plain"
            | "application/pdf"
            | "application/msword"
            | "application/vnd.ms-excel"
            | "application/vnd.ms-powerpoint"
            | "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
            | "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
            | "application/vnd.openxmlformats-officedocument.presentationml.presentation" => {
                WhatsappMedia::Document
            }
            _ => return None,
        })
    }

    /// Returns a type as an upload names it: "`audio/ogg` (OPUS codecs only; base `audio/ogg` not
    /// supported)", by the same table. Other parameters are not in it.
    #[must_use]
    pub fn upload_type(content_type: &MediaType) -> &str {
        match content_type.essence() {
            OGG => "audio/ogg; codecs=opus",
            essence => essence,
        }
    }

    /// Returns the size of the largest file of this kind, in bytes, by the same table.
    #[must_use]
    pub fn max_bytes(self) -> u64 {
        match self {
            WhatsappMedia::Image => 5 * MIB,
            WhatsappMedia::Video | WhatsappMedia::Audio => 16 * MIB,
            WhatsappMedia::Document => 100 * MIB,
        }
    }

    /// The kind, for people.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            WhatsappMedia::Image => "image",
            WhatsappMedia::Video => "video",
            WhatsappMedia::Audio => "audio file",
            WhatsappMedia::Document => "document",
        }
    }
}

pub(super) fn check_files(files: &[Attachment]) -> Result<(), Refusal> {
    files.iter().try_for_each(check_file)
}

fn check_file(file: &Attachment) -> Result<(), Refusal> {
    let Some(media) = WhatsappMedia::of(&file.content_type) else {
        return Err(refused(format!(
            "\"{}\" is {}, which WhatsApp does not take ({MEDIA_SOURCE})",
            file.filename, file.content_type
        )));
    };

    let max_bytes = media.max_bytes();
    if file.size > max_bytes {
        return Err(refused(format!(
            "{}; a WhatsApp {} has at most {max_bytes} ({MEDIA_SOURCE})",
            file_size(file),
            media.name()
        )));
    }

    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Channel;
    use crate::channel::tests::{file, is_carried};

    #[test]
    fn whatsapp_limits_each_kind_of_file() {
        for (content_type, most) in [
            ("image/jpeg", 5 * MIB),
            ("video/mp4", 16 * MIB),
            ("audio/ogg", 16 * MIB),
            ("application/pdf", 100 * MIB),
        ] {
            assert!(is_carried(Channel::Whatsapp, "a", content_type, most), "{content_type}");
            assert!(!is_carried(Channel::Whatsapp, "a", content_type, most + 1), "{content_type}");
        }
        assert!(!is_carried(Channel::Whatsapp, "a.zip", "application/zip", 1));
        assert!(!is_carried(Channel::Whatsapp, "a.webp", "image/webp", 1), "that is a sticker");
    }

    #[test]
    fn ogg_is_carried_as_opus_with_its_codec_said() {
        for content_type in ["audio/ogg; codecs=opus", "audio/opus", "application/ogg"] {
            assert!(is_carried(Channel::Whatsapp, "a.ogg", content_type, 1), "{content_type}");
        }
        let upload_type = |content_type: &str| {
            let content_type = MediaType::parse(content_type).expect("a media type");
            WhatsappMedia::upload_type(&content_type).to_owned()
        };
        assert_eq!(upload_type("audio/opus"), "audio/ogg; codecs=opus");
        assert_eq!(upload_type("text/plain; charset=iso-8859-1"), "text/plain");
        assert_eq!(upload_type("image/jpg"), "image/jpeg");

        assert!(!is_carried(Channel::Whatsapp, "a.ogg", "audio/ogg; codecs=vorbis", 1));
    }

    /// A customer's program gets what the API was sent, by any of its names.
    #[test]
    fn the_spellings_of_what_whatsapp_takes_are_taken() {
        for spelling in [
            "image/jpg",
            "image/pjpeg",
            "image/x-png",
            "audio/mp3",
            "audio/x-m4a",
            "audio/x-aac",
            "audio/opus",
            "application/ogg",
            "video/3gp",
            "video/x-m4v",
            "application/x-pdf",
            "application/msexcel",
        ] {
            assert!(is_carried(Channel::Whatsapp, "a", spelling, 1), "{spelling}");
        }
    }

    #[test]
    fn a_refusal_names_limit_file_and_source() {
        let Err(Refusal::ContentNotAllowed { detail }) =
            Channel::Whatsapp.check_files(&[file("tour.mp4", "video/mp4", 16 * MIB + 1)])
        else {
            panic!("one byte too many was let through");
        };
        for part in ["tour.mp4", "16777217", "16777216", "developers.facebook.com"] {
            assert!(detail.contains(part), "{detail}");
        }
    }
}
