//! WhatsApp through Meta's Cloud API: its limits, its messaging window, and the meaning of its
//! error codes, whether they answer a call or come later, in a receipt.
//!
//! | subject | source |
//! |---|---|
//! | text | [text messages](https://developers.facebook.com/docs/whatsapp/cloud-api/messages/text-messages): 4,096 characters |
//! | files | [supported media types](https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media#supported-media-types) |
//! | rate | [pair rate](https://developers.facebook.com/docs/whatsapp/cloud-api/overview#pair-rate-limits), error 131056 |
//! | window | [customer service windows](https://developers.facebook.com/docs/whatsapp/cloud-api/guides/send-messages) |
//! | template | [components](https://developers.facebook.com/docs/whatsapp/business-management-api/message-templates/components) |
//! | error codes | [error codes](https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes) |
//!
//! Free-form messages may be sent for 24 hours after the customer's last message, and templates
//! that Meta approved at any time.
//!
//! Meta asks to go by the error's code and not by its status or words. A code that is not listed
//! follows its HTTP status.

use std::time::Duration;

use chrono::TimeDelta;

use super::{ChannelRules, Limits, MIB, PendingMessage, SendMode, file_size, refused};
use crate::delivery::FailureKind::{self, ChannelWide, Permanent, Transient, Wait};
use crate::delivery::{Failure, RateLimit, Reason};
use crate::file::MediaType;
use crate::message::Attachment;
use crate::problem::Refusal;

/// How long a customer's message lets a business write to them.
pub const MESSAGING_WINDOW: TimeDelta = TimeDelta::hours(24);

/// Longest text that goes into a template, in characters. A template's body has 1,024, its own
/// words among them. Only Meta counts those: it refuses a text that is too long with them with
/// 132005.
pub const MAX_TEMPLATE_CHARACTERS: usize = 1_024;

const MEDIA_SOURCE: &str =
    "https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media#supported-media-types";

pub(super) const RULES: ChannelRules = ChannelRules {
    name: "whatsapp",
    wire_names: &["whatsapp"],
    limits: Limits { characters: 4_096, attachments: 10 },
    // WhatsApp reports a message it took within seconds; after two minutes without a report it did
    // not take it.
    receipt_timeout: TimeDelta::seconds(120),
    // WhatsApp takes one message in 6 seconds for one person, and up to 45 ahead of that. Messages
    // that leave within the same moment may arrive in any order, so half a second lies between two;
    // that gap is ours.
    rate_limit: RateLimit {
        min_gap: TimeDelta::milliseconds(500),
        interval: TimeDelta::seconds(6),
        burst: 45,
    },
    check_files,
    send_mode,
};

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

    /// Returns the size of the largest file of this kind, in bytes, by the same table.
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

fn check_files(files: &[Attachment]) -> Result<(), Refusal> {
    files.iter().try_for_each(check_file)
}

fn check_file(file: &Attachment) -> Result<(), Refusal> {
    let Some(media) = WhatsappMedia::of(&file.content_type) else {
        return Err(refused(format!(
            "{:?} is {}, which WhatsApp does not take ({MEDIA_SOURCE})",
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

fn send_mode(message: &PendingMessage<'_>) -> Result<SendMode, Refusal> {
    let closed_at = message.window_expires_at;
    if closed_at.is_some_and(|end| message.now < end) {
        Ok(SendMode::FreeForm)
    } else if message.has_template {
        check_template_parameter(message.content, message.attachments)?;
        Ok(SendMode::Template)
    } else {
        Err(Refusal::OutsideMessagingWindow { closed_at })
    }
}

/// Checks whether a text with this many files can be a template's one parameter.
///
/// Meta refuses line breaks, tabs and more than four spaces in a row, there and nowhere else
/// ("Param text cannot have new-line/tab characters or more than 4 consecutive spaces"). The text
/// stays as it was written, so a text that does not fit is refused and not rewritten.
fn check_template_parameter(content: &str, attachments: usize) -> Result<(), Refusal> {
    let length = content.chars().count();

    let limit = if attachments > 0 {
        "cannot carry attachments".to_owned()
    } else if length > MAX_TEMPLATE_CHARACTERS {
        format!("holds at most {MAX_TEMPLATE_CHARACTERS} characters; content has {length}")
    } else if content.contains(is_break_or_tab) {
        "cannot carry line breaks or tabs".to_owned()
    } else if content.contains("     ") {
        "cannot carry more than four spaces in a row".to_owned()
    } else {
        return Ok(());
    };

    Err(refused(format!(
        "the messaging window is closed, and the template that may be sent instead {limit}"
    )))
}

/// True for line breaks and tabs, those of Unicode as well as those of ASCII.
fn is_break_or_tab(character: char) -> bool {
    matches!(character, '\t'..='\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Each code with the policy, our word, and the sentence that the agent sees; in the order of
/// Meta's page.
const CODES: [(i64, FailureKind, &str, &str); 48] = [
    // Authorization.
    (0, ChannelWide(60), "token_rejected", "WhatsApp did not accept the channel's access token"),
    (190, ChannelWide(60), "token_rejected", "the channel's access token has expired"),
    (3, ChannelWide(60), "not_permitted", "the channel's token lacks a permission"),
    (10, ChannelWide(60), "not_permitted", "the channel's token lacks a permission"),
    (131_005, ChannelWide(60), "not_permitted", "the channel's token lacks a permission"),
    // Throttling. Waits are ours but for 131056: one message to a person in six seconds
    // (https://developers.facebook.com/docs/whatsapp/cloud-api/overview#pair-rate-limits).
    (4, ChannelWide(60), "rate_limited", "the app has reached its call limit"),
    (80_007, ChannelWide(60), "rate_limited", "the WhatsApp account has reached its call limit"),
    (130_429, Transient, "rate_limited", "the number has reached its throughput"),
    (131_048, ChannelWide(900), "rate_limited", "WhatsApp limits the number after reports of spam"),
    (131_056, Wait(6), "rate_limited", "too many messages to this person in a short time"),
    // Integrity.
    (
        368,
        ChannelWide(900),
        "account_blocked",
        "WhatsApp has blocked the account for a violation of policy",
    ),
    (
        130_497,
        Permanent,
        "account_blocked",
        "the WhatsApp account may not write to people in this country",
    ),
    (131_031, ChannelWide(900), "account_blocked", "WhatsApp has locked the account"),
    // Sending.
    (1, Transient, "provider_error", "WhatsApp reported an unknown error"),
    (2, Transient, "provider_error", "WhatsApp is temporarily unavailable"),
    (33, ChannelWide(60), "channel_misconfigured", "WhatsApp knows no number of the channel's id"),
    (100, Permanent, "message_rejected", "WhatsApp does not accept a parameter"),
    (
        130_472,
        Permanent,
        "recipient_unreachable",
        "WhatsApp does not deliver to this person as part of an experiment",
    ),
    (
        131_000,
        Transient,
        "provider_error",
        "WhatsApp could not send the message for an unknown reason",
    ),
    (131_008, Permanent, "message_rejected", "WhatsApp misses a parameter"),
    (131_009, Permanent, "message_rejected", "WhatsApp does not accept a value"),
    (131_016, Transient, "provider_error", "a service at WhatsApp is temporarily unavailable"),
    (131_021, Permanent, "recipient_unreachable", "the recipient is the sender"),
    (131_026, Permanent, "recipient_unreachable", "WhatsApp cannot deliver to this person"),
    (
        131_037,
        ChannelWide(900),
        "not_permitted",
        "WhatsApp has not approved the number's display name",
    ),
    (131_042, ChannelWide(900), "account_blocked", "WhatsApp waits for the account's payment"),
    (
        131_045,
        ChannelWide(60),
        "not_permitted",
        "the channel's number is not registered as it should be",
    ),
    (
        131_047,
        Permanent,
        "outside_messaging_window",
        "more than 24 hours have passed since the customer wrote",
    ),
    (
        131_049,
        Permanent,
        "recipient_unreachable",
        "WhatsApp limits what this person gets from businesses",
    ),
    (
        131_050,
        Permanent,
        "recipient_unreachable",
        "this person does not want such messages from the business",
    ),
    (131_051, Permanent, "message_rejected", "WhatsApp does not support this type of message"),
    // For files that customers send and files that WhatsApp fetches itself; ours are uploaded.
    (131_052, Permanent, "file_rejected", "WhatsApp could not fetch a file"),
    // The file is damaged or of another type than declared; a repeat would not help.
    (131_053, Permanent, "file_rejected", "WhatsApp could not use the attached file"),
    (
        131_057,
        ChannelWide(60),
        "account_in_maintenance",
        "the WhatsApp account is being maintained",
    ),
    // Templates. People have to mend a template, and by then the text is old, so nothing is
    // repeated.
    (
        132_000,
        Permanent,
        "template_unusable",
        "the channel's template has not the one parameter that it should have",
    ),
    (
        132_001,
        Permanent,
        "template_unusable",
        "WhatsApp knows no approved template of the channel's name and language",
    ),
    (132_005, Permanent, "template_unusable", "the text is too long for the channel's template"),
    (
        132_007,
        Permanent,
        "template_unusable",
        "the text is against WhatsApp's policy for templates",
    ),
    (
        132_012,
        Permanent,
        "template_unusable",
        "the channel's template takes another kind of parameter",
    ),
    (
        132_015,
        Permanent,
        "template_unusable",
        "WhatsApp has paused the channel's template for its low quality",
    ),
    (
        132_016,
        Permanent,
        "template_unusable",
        "WhatsApp has disabled the channel's template for its low quality",
    ),
    (
        132_018,
        Permanent,
        "template_unusable",
        "WhatsApp does not accept the text as a template's parameter",
    ),
    (132_068, Permanent, "template_unusable", "the flow in the channel's template is blocked"),
    // A flow may send a limited number of messages an hour.
    (
        132_069,
        Wait(900),
        "rate_limited",
        "the flow in the channel's template has reached its limit",
    ),
    // Registration of the number.
    (133_004, Transient, "provider_error", "a server at WhatsApp is temporarily unavailable"),
    (133_010, ChannelWide(60), "not_permitted", "the channel's number is not registered"),
    (
        134_011,
        ChannelWide(900),
        "account_blocked",
        "the WhatsApp account has not accepted the terms of payment",
    ),
    (
        135_000,
        Permanent,
        "message_rejected",
        "WhatsApp could not make a message of the request's parameters",
    ),
];

/// Returns the failure of a call that was answered with `code` and perhaps asks for a wait; `None`
/// if the code is not listed.
#[must_use]
pub fn failure(code: i64, retry_after: Option<Duration>) -> Option<Failure> {
    let (kind, reason) = find_code(code)?;
    Some(kind.failure(reason, retry_after))
}

/// Returns why a message that WhatsApp had taken ends `failed`. Even a transient code is final
/// here: WhatsApp does not try again, and neither do we, because the customer may have later
/// messages already and a repeat would come behind them.
#[must_use]
pub fn failure_reason(code: Option<i64>) -> Reason {
    let unlisted = Reason::new("undeliverable", "WhatsApp could not deliver the message");
    match code {
        None => unlisted,
        Some(code) => match find_code(code) {
            Some((_, reason)) => reason,
            None => unlisted.with_provider_code(code),
        },
    }
}

fn find_code(code: i64) -> Option<(FailureKind, Reason)> {
    let (_, kind, word, detail) = CODES.iter().find(|(known, ..)| *known == code)?;
    Some((*kind, Reason::new(word, *detail).with_provider_code(code)))
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::super::Channel;
    use super::super::tests::{file, is_carried};
    use super::*;

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

    #[test]
    fn a_template_takes_one_plain_line_and_its_refusal_names_what_does_not_fit() {
        let mode = |content: &str, attachments| {
            Channel::Whatsapp.send_mode(content, attachments, None, true, DateTime::UNIX_EPOCH)
        };

        let refusal = |content: &str, attachments| match mode(content, attachments) {
            Ok(SendMode::Template) => String::new(),
            Ok(SendMode::FreeForm) => panic!("the window is closed"),
            Err(Refusal::ContentNotAllowed { detail }) => detail,
            Err(other) => panic!("{other:?}"),
        };

        for fine in ["Your parcel is here — 📦", "a    b", &"é".repeat(MAX_TEMPLATE_CHARACTERS)]
        {
            assert_eq!(refusal(fine, 0), "");
        }

        for (content, attachments, named) in [
            ("see the file", 1, "attachments"),
            (&*"é".repeat(MAX_TEMPLATE_CHARACTERS + 1), 0, "1024 characters; content has 1025"),
            ("two\nlines", 0, "line breaks"),
            ("two\r\nlines", 0, "line breaks"),
            ("two\u{2028}lines", 0, "line breaks"),
            ("a\ttable", 0, "tabs"),
            ("a     b", 0, "four spaces"),
        ] {
            assert!(
                refusal(content, attachments).contains(named),
                "{content:?}: {}",
                refusal(content, attachments)
            );
        }
    }

    #[test]
    fn listed_codes_say_whether_trying_again_can_help() {
        let word = |failure| match failure {
            Some(Failure::Permanent(reason)) => reason.code,
            other => format!("{other:?}"),
        };

        assert_eq!(word(failure(131_026, None)), "recipient_unreachable");
        assert_eq!(word(failure(131_047, None)), "outside_messaging_window");

        let pair_rate = |asked| match failure(131_056, asked) {
            Some(Failure::Transient { reason, retry_after }) => (reason.provider_code, retry_after),
            other => panic!("{other:?}"),
        };

        assert_eq!(pair_rate(None), (Some("131056".into()), Some(Duration::from_secs(6))));
        assert_eq!(pair_rate(Some(Duration::from_secs(9))).1, Some(Duration::from_secs(9)));

        let minute = Duration::from_secs(60);
        assert!(
            matches!(failure(190, None), Some(Failure::ChannelDown { wait, .. }) if wait == minute)
        );

        assert_eq!(failure(999, None), None);
    }

    #[test]
    fn template_and_file_errors_are_permanent_and_account_errors_pause_the_channel() {
        let files = [131_051, 131_052, 131_053];
        for code in [132_000, 132_001, 132_005, 132_007, 132_012, 132_015, 132_016, 132_068]
            .into_iter()
            .chain(files)
        {
            assert!(matches!(failure(code, None), Some(Failure::Permanent(_))), "{code}");
        }

        let minutely = [0, 3, 4, 10, 33, 190, 80_007, 131_005, 131_045, 131_057, 133_010]
            .map(|code| (code, 60));
        let slowly = [368, 131_031, 131_037, 131_042, 131_048, 134_011].map(|code| (code, 900));

        for (code, seconds) in minutely.into_iter().chain(slowly) {
            let outcome = failure(code, Some(Duration::from_secs(1)));
            let wanted = Duration::from_secs(seconds);
            assert!(
                matches!(outcome, Some(Failure::ChannelDown { wait, .. }) if wait == wanted),
                "{code}"
            );
        }
    }

    #[test]
    fn a_receipt_of_failure_always_has_a_reason() {
        assert_eq!(failure_reason(Some(131_026)).code, "recipient_unreachable");
        assert_eq!(failure_reason(Some(130_429)).code, "rate_limited");
        let unknown = failure_reason(Some(999));
        assert_eq!(
            (unknown.code.as_str(), unknown.provider_code.as_deref()),
            ("undeliverable", Some("999"))
        );
        assert_eq!(failure_reason(None).provider_code, None);
    }

    #[test]
    fn no_code_is_listed_twice() {
        let mut codes: Vec<i64> = CODES.iter().map(|(code, ..)| *code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), CODES.len());
    }
}
