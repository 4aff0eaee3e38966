//! Which files each channel can carry. The numbers are the providers', where they have some.

use super::Channel;
use crate::file::MediaType;
use crate::message::Attachment;
use crate::problem::Refusal;

const MIB: u64 = 1 << 20;

/// Chat: ours. The widget gets a link, so this is what a visitor on a telephone can be expected to
/// wait for.
const CHAT: u64 = 25 * MIB;

/// E-mail, all files of a message together. SES takes messages of 40 MB after base64, which makes
/// 35 MB of 25 MiB and leaves room for the text.
const EMAIL: u64 = 25 * MIB;

/// What SES refuses to carry, and how large a message may be.
const SES: &str = "https://docs.aws.amazon.com/ses/latest/dg/quotas.html";
const SES_ENDINGS: &str = "https://docs.aws.amazon.com/ses/latest/dg/mime-types.html";

/// What the Cloud API takes, and how large it may be.
const CLOUD_API: &str =
    "https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media#supported-media-types";

/// What WhatsApp knows files as; each is sent in another way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhatsappMedia {
    /// A picture, shown in the conversation.
    Image,
    /// A film, played in the conversation.
    Video,
    /// Sound, played in the conversation.
    Audio,
    /// Anything else that it takes, shown by its name.
    Document,
}

impl WhatsappMedia {
    /// What a file of this type is sent as, by the Cloud API's
    /// [table](https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media#supported-media-types);
    /// `None` for what it does not take.
    #[must_use]
    pub fn of(content_type: &MediaType) -> Option<WhatsappMedia> {
        Some(match content_type.as_str() {
            "image/jpeg" | "image/png" => WhatsappMedia::Image,
            "video/mp4" | "video/3gpp" => WhatsappMedia::Video,
            "audio/aac" | "audio/amr" | "audio/mpeg" | "audio/mp4" | "audio/ogg" => {
                WhatsappMedia::Audio
            }
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

    /// The largest of its kind, in bytes, by the same table.
    #[must_use]
    pub fn max_bytes(self) -> u64 {
        match self {
            WhatsappMedia::Image => 5 * MIB,
            WhatsappMedia::Video | WhatsappMedia::Audio => 16 * MIB,
            WhatsappMedia::Document => 100 * MIB,
        }
    }

    fn name(self) -> &'static str {
        match self {
            WhatsappMedia::Image => "image",
            WhatsappMedia::Video => "video",
            WhatsappMedia::Audio => "audio file",
            WhatsappMedia::Document => "document",
        }
    }
}

impl Channel {
    /// Checks the files of one message against what the channel carries.
    ///
    /// # Errors
    /// [`Refusal::ContentNotAllowed`], naming the limit, what was found and whose limit it is.
    pub fn check_files(self, files: &[Attachment]) -> Result<(), Refusal> {
        match self {
            Channel::Chat => files.iter().try_for_each(|file| {
                let refuse =
                    || format!("{}; a chat message's file has at most {CHAT} bytes", found(file));
                (file.size <= CHAT).then_some(()).ok_or_else(|| refused(refuse()))
            }),
            Channel::Whatsapp => files.iter().try_for_each(whatsapp),
            Channel::Email => email(files),
        }
    }
}

fn whatsapp(file: &Attachment) -> Result<(), Refusal> {
    let Some(media) = WhatsappMedia::of(&file.content_type) else {
        let detail = format!(
            "{:?} is {}, which WhatsApp does not take ({CLOUD_API})",
            file.filename, file.content_type
        );
        return Err(refused(detail));
    };
    let (kind, most) = (media.name(), media.max_bytes());
    let refuse = || format!("{}; a WhatsApp {kind} has at most {most} ({CLOUD_API})", found(file));
    (file.size <= most).then_some(()).ok_or_else(|| refused(refuse()))
}

fn email(files: &[Attachment]) -> Result<(), Refusal> {
    let sum: u64 = files.iter().map(|file| file.size).sum();
    if sum > EMAIL {
        let detail = format!(
            "the files have {sum} bytes together; those of an e-mail have at most {EMAIL} ({SES})"
        );
        return Err(refused(detail));
    }
    let refused_ending = |file: &&Attachment| {
        let ending =
            file.filename.as_str().rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
        ending.is_some_and(|ending| NOT_BY_SES.contains(&ending.as_str()))
    };
    match files.iter().find(refused_ending) {
        Some(file) => Err(refused(format!(
            "{:?} has an ending that SES does not carry ({SES_ENDINGS})",
            file.filename
        ))),
        None => Ok(()),
    }
}

fn found(file: &Attachment) -> String {
    format!("{:?} has {} bytes", file.filename, file.size)
}

fn refused(detail: String) -> Refusal {
    Refusal::ContentNotAllowed { detail }
}

/// Endings of what may do harm to whoever opens it
/// ([unsupported attachment types](https://docs.aws.amazon.com/ses/latest/dg/mime-types.html)).
const NOT_BY_SES: &[&str] = &[
    "ade", "adp", "app", "asp", "bas", "bat", "cer", "chm", "cmd", "com", "cpl", "crt", "csh",
    "der", "exe", "fxp", "gadget", "hlp", "hta", "inf", "ins", "isp", "its", "js", "jse", "ksh",
    "lib", "lnk", "mad", "maf", "mag", "mam", "maq", "mar", "mas", "mat", "mau", "mav", "maw",
    "mda", "mdb", "mde", "mdt", "mdw", "mdz", "msc", "msh", "msh1", "msh1xml", "msh2", "msh2xml",
    "mshxml", "msi", "msp", "mst", "ops", "pcd", "pif", "plg", "prf", "prg", "ps1", "ps1xml",
    "ps2", "ps2xml", "psc1", "psc2", "reg", "scf", "scr", "sct", "shb", "shs", "sys", "tmp", "url",
    "vb", "vbe", "vbs", "vps", "vsmacros", "vss", "vst", "vsw", "vxd", "ws", "wsc", "wsf", "wsh",
    "xnk",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::FileName;
    use crate::id::UploadId;

    fn file(filename: &str, content_type: &str, size: u64) -> Attachment {
        Attachment {
            id: UploadId(uuid::Uuid::nil()),
            url: String::new(),
            filename: FileName::new(filename),
            content_type: MediaType::parse(content_type).expect("a media type"),
            size,
        }
    }

    fn carried(channel: Channel, filename: &str, content_type: &str, size: u64) -> bool {
        channel.check_files(&[file(filename, content_type, size)]).is_ok()
    }

    #[test]
    fn whatsapp_limits_each_kind_of_file() {
        for (content_type, most) in [
            ("image/jpeg", 5 * MIB),
            ("video/mp4", 16 * MIB),
            ("audio/ogg", 16 * MIB),
            ("application/pdf", 100 * MIB),
        ] {
            assert!(carried(Channel::Whatsapp, "a", content_type, most), "{content_type}");
            assert!(!carried(Channel::Whatsapp, "a", content_type, most + 1), "{content_type}");
        }
        assert!(!carried(Channel::Whatsapp, "a.zip", "application/zip", 1));
        assert!(!carried(Channel::Whatsapp, "a.webp", "image/webp", 1), "that is a sticker");
    }

    #[test]
    fn email_limits_the_sum_and_chat_each_file() {
        let half = file("a.zip", "application/zip", EMAIL / 2);
        assert!(Channel::Email.check_files(&[half.clone(), half.clone()]).is_ok());
        assert!(
            Channel::Email
                .check_files(&[half.clone(), half.clone(), file("b", "text/plain", 1)])
                .is_err()
        );
        let whole = file("a.zip", "application/zip", CHAT);
        assert!(Channel::Chat.check_files(&[whole.clone(), whole]).is_ok());
        assert!(!carried(Channel::Chat, "a", "application/zip", CHAT + 1));
    }

    #[test]
    fn email_carries_nothing_that_ses_refuses() {
        assert!(!carried(Channel::Email, "Setup.EXE", "application/octet-stream", 1));
        assert!(carried(Channel::Email, "exe", "application/octet-stream", 1));
        assert!(carried(Channel::Chat, "setup.exe", "application/octet-stream", 1));
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
