//! E-mail through Amazon SES: its limits, and the meaning of SES's words, both those it refuses a
//! call with and those it reports later.
//!
//! | subject | source |
//! |---|---|
//! | size of a message | [quotas](https://docs.aws.amazon.com/ses/latest/dg/quotas.html) |
//! | endings of files | [unsupported attachment types](https://docs.aws.amazon.com/ses/latest/dg/mime-types.html) |
//! | refusals of a call | [`SendEmail`, errors](https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html#API_SendEmail_Errors), [common errors](https://docs.aws.amazon.com/ses/latest/APIReference-V2/CommonErrors.html), [sending errors](https://docs.aws.amazon.com/ses/latest/dg/troubleshoot-error-messages.html) |
//! | sending quotas | [errors related to the sending quotas](https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas-errors.html): wait for up to ten minutes |
//! | bounces, complaints | [contents of notifications](https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html) |
//!
//! SES does not refuse a suppressed address: it takes the message, reports that it was sent, and
//! then that it bounced ([suppression
//! list](https://docs.aws.amazon.com/ses/latest/dg/sending-email-suppression-list.html)).

mod address;

use std::time::Duration;

use chrono::TimeDelta;

pub use address::{Address, NamedAddress};

use super::rules::{ChannelRules, Limits, MIB, always_free_form, refused};
use crate::delivery::FailureKind::{self, ChannelWide, Permanent, Transient, Wait};
use crate::delivery::{Failure, Reason, ReportedStatus};
use crate::message::Attachment;
use crate::problem::Refusal;
use crate::rate_limit::RateLimit;

/// The largest sum of a message's files, in bytes. SES takes messages of 40 MB after base64, which
/// makes 35 MB of 25 MiB and leaves room for the text.
pub(super) const MAX_TOTAL_FILE_BYTES: u64 = 25 * MIB;

const SIZE_SOURCE: &str = "https://docs.aws.amazon.com/ses/latest/dg/quotas.html";
const ENDINGS_SOURCE: &str = "https://docs.aws.amazon.com/ses/latest/dg/mime-types.html";

pub(super) const RULES: ChannelRules = ChannelRules {
    name: "email",
    wire_names: &["email"],
    // Ours; a body of 256 KiB is the API's own limit before that.
    limits: Limits { characters: 100_000, attachments: 10 },
    // SES reports a message it took within seconds; after two minutes without a report it did not
    // take it.
    receipt_timeout: TimeDelta::seconds(120),
    rate_limit: RateLimit::UNLIMITED,
    check_files,
    is_recipient: |text| Address::parse(text).is_some(),
    recipient: "a mail address that SES can write to",
    send_mode: always_free_form,
};

fn check_files(files: &[Attachment]) -> Result<(), Refusal> {
    let sum: u64 = files.iter().map(|file| file.size).sum();
    if sum > MAX_TOTAL_FILE_BYTES {
        return Err(refused(format!(
            "the files have {sum} bytes together; those of an e-mail have at most \
             {MAX_TOTAL_FILE_BYTES} ({SIZE_SOURCE})"
        )));
    }

    match files.iter().find(|file| has_refused_ending(file)) {
        Some(file) => Err(refused(format!(
            "\"{}\" has an ending that SES does not carry ({ENDINGS_SOURCE})",
            file.filename
        ))),
        None => Ok(()),
    }
}

fn has_refused_ending(file: &Attachment) -> bool {
    let ending = file.filename.as_str().rsplit_once('.').map(|(_, ending)| ending);
    ending.is_some_and(|ending| REFUSED_ENDINGS.contains(&ending.to_ascii_lowercase().as_str()))
}

/// Endings of files that may do harm when they are opened.
const REFUSED_ENDINGS: &[&str] = &[
    "ade", "adp", "app", "asp", "bas", "bat", "cer", "chm", "cmd", "com", "cpl", "crt", "csh",
    "der", "exe", "fxp", "gadget", "hlp", "hta", "inf", "ins", "isp", "its", "js", "jse", "ksh",
    "lib", "lnk", "mad", "maf", "mag", "mam", "maq", "mar", "mas", "mat", "mau", "mav", "maw",
    "mda", "mdb", "mde", "mdt", "mdw", "mdz", "msc", "msh", "msh1", "msh1xml", "msh2", "msh2xml",
    "mshxml", "msi", "msp", "mst", "ops", "pcd", "pif", "plg", "prf", "prg", "ps1", "ps1xml",
    "ps2", "ps2xml", "psc1", "psc2", "reg", "scf", "scr", "sct", "shb", "shs", "sys", "tmp", "url",
    "vb", "vbe", "vbs", "vps", "vsmacros", "vss", "vst", "vsw", "vxd", "ws", "wsc", "wsf", "wsh",
    "xnk",
];

/// Errors that are treated alike.
struct ErrorGroup {
    kind: FailureKind,
    code: &'static str,
    /// Each of SES's error names, with the sentence that the agent sees.
    names: &'static [(&'static str, &'static str)],
}

/// Every error that SES refuses a call with.
///
/// An error of the account or of the channel concerns every message alike, so it pauses the channel
/// until an operator has removed its cause, for as long as messages are tried.
const REFUSALS: &[ErrorGroup] = &[
    ErrorGroup {
        kind: Permanent,
        code: "message_rejected",
        names: &[
            ("MessageRejected", "SES does not accept what is in the message"),
            ("BadRequestException", "SES does not accept the message"),
            ("ValidationException", "SES does not accept the message"),
            ("SerializationException", "SES could not read the message"),
        ],
    },
    ErrorGroup {
        kind: Transient,
        code: "rate_limited",
        names: &[
            ("TooManyRequestsException", "the account sends more a second than it may"),
            ("ThrottlingException", "the account sends more a second than it may"),
            ("Throttling", "the account sends more a second than it may"),
        ],
    },
    ErrorGroup {
        kind: ChannelWide(600),
        code: "rate_limited",
        names: &[(
            "LimitExceededException",
            "the account has reached what it may send in 24 hours",
        )],
    },
    ErrorGroup {
        kind: ChannelWide(900),
        code: "account_blocked",
        names: &[
            ("AccountSuspendedException", "SES has suspended the account"),
            ("SendingPausedException", "sending is paused, for the account or the channel"),
        ],
    },
    ErrorGroup {
        kind: ChannelWide(900),
        code: "channel_misconfigured",
        names: &[
            ("MailFromDomainNotVerifiedException", "the channel's domain is not verified"),
            ("NotFoundException", "SES does not know the channel's configuration set"),
        ],
    },
    ErrorGroup {
        kind: ChannelWide(60),
        code: "not_permitted",
        names: &[
            ("AccessDeniedException", "this service may not send for the channel's identity"),
            ("UnrecognizedClientException", "SES does not know this service's credentials"),
        ],
    },
    ErrorGroup {
        kind: Transient,
        code: "not_permitted",
        names: &[
            ("ExpiredTokenException", "this service's credentials have expired"),
            ("InvalidSignatureException", "SES did not accept the call's signature"),
        ],
    },
    ErrorGroup {
        kind: Transient,
        code: "provider_error",
        names: &[
            ("InternalFailure", "SES failed"),
            ("InternalServiceErrorException", "SES failed"),
            ("ServiceUnavailable", "SES is not available"),
            ("RequestTimeout", "SES did not get the whole call in time"),
        ],
    },
];

/// Returns the failure that SES's error `name` means; `None` if it is not listed. `message` is only
/// searched for the sentences that tell apart errors of one name; it may quote addresses and goes
/// no further. `retry_after` is a wait that SES asks for.
#[must_use]
pub fn failure(name: &str, message: &str, retry_after: Option<Duration>) -> Option<Failure> {
    let (group, detail) = REFUSALS.iter().find_map(|group| {
        let (_, detail) = group.names.iter().find(|(known, _)| *known == name)?;
        Some((group, *detail))
    })?;

    let (kind, code, detail) = match group.kind {
        Transient if message.contains("Daily message quota exceeded") => {
            (ChannelWide(600), group.code, "the account has reached what it may send in 24 hours")
        }
        Permanent if message.contains("Email address is not verified") => (
            Wait(900),
            "channel_misconfigured",
            "SES has not verified the channel's address, or the account is still in SES's sandbox",
        ),
        kind => (kind, group.code, detail),
    };

    let reason = Reason::new(code, detail).with_provider_code(name);
    Some(kind.failure(reason, retry_after))
}

/// Returns what a bounce of SES's type and subtype says of a message. Even a transient one is
/// final: SES reports those after it has stopped trying.
///
/// A mail may bounce after its delivery, since a mail server may find that it cannot deliver what
/// it has accepted ([contents of
/// notifications](https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html)). That it
/// was not delivered then is the last word, for all types but one: *General* of *Transient* is
/// typically an out-of-office answer ([soft
/// bounces](https://repost.aws/knowledge-center/ses-understand-soft-bounces)), which a delivered
/// mail provokes.
///
/// | type | subtype | without a delivery | after a delivery |
/// |---|---|---|---|
/// | Permanent | any: General, NoEmail, Suppressed, OnAccountSuppressionList | failed | failed |
/// | Transient | General | failed | delivered |
/// | Transient | any other: MailboxFull, MessageTooLarge, CustomTimeoutExceeded, ContentRejected, AttachmentRejected | failed | failed |
/// | Undetermined | any | failed | failed |
/// | a new one | any | failed | failed |
#[must_use]
pub fn bounce(kind: &str, subtype: &str) -> ReportedStatus {
    let reason = bounce_reason(kind, subtype);
    match (kind, subtype) {
        ("Transient", "General") => ReportedStatus::Failed(reason),
        _ => ReportedStatus::Bounced(reason),
    }
}

fn bounce_reason(kind: &str, subtype: &str) -> Reason {
    let reason = match (kind, subtype) {
        (_, "Suppressed" | "OnAccountSuppressionList" | "OnTenantSuppressionList") => suppressed(),
        ("Permanent", _) => {
            Reason::new("recipient_unreachable", "the address does not exist or takes no mail")
        }
        (_, "MailboxFull") => Reason::new("mailbox_full", "the customer's mailbox is full"),
        (_, "MessageTooLarge") => Reason::new(
            "message_rejected",
            "the message is too large for the customer's mail server",
        ),
        (_, "ContentRejected" | "AttachmentRejected") => Reason::new(
            "message_rejected",
            "the customer's mail server did not accept what is in the message",
        ),
        _ => Reason::new(
            "undeliverable",
            "the customer's mail server did not take the message for as long as SES tried",
        ),
    };

    reason.with_provider_code(format!("{kind}/{subtype}"))
}

/// Returns why a mail with this complaint was never sent; `None` if it was sent and its recipient
/// complained.
#[must_use]
pub fn complaint_reason(subtype: Option<&str>) -> Option<Reason> {
    let subtype = subtype.filter(|subtype| subtype.ends_with("SuppressionList"))?;
    Some(suppressed().with_provider_code(format!("Complaint/{subtype}")))
}

fn suppressed() -> Reason {
    Reason::new(
        "recipient_suppressed",
        "SES does not write to this address any more, after a bounce or a complaint",
    )
}

#[cfg(test)]
mod tests {
    use super::super::Channel;
    use super::super::tests::is_carried;
    use super::*;

    #[test]
    fn email_carries_no_file_that_ses_refuses() {
        assert!(!is_carried(Channel::Email, "Setup.EXE", "application/octet-stream", 1));
        assert!(is_carried(Channel::Email, "exe", "application/octet-stream", 1));
        assert!(is_carried(Channel::Chat, "setup.exe", "application/octet-stream", 1));
    }

    fn outcome(word: &str, message: &str) -> (String, Option<Option<u64>>) {
        match failure(word, message, None).expect("it is listed") {
            Failure::Permanent(reason) => (reason.code, None),
            Failure::Transient { reason, retry_after } => {
                (reason.code, Some(retry_after.map(|wait| wait.as_secs())))
            }
            Failure::ChannelDown { reason, wait } => {
                (format!("{} on the channel", reason.code), Some(Some(wait.as_secs())))
            }
            other => panic!("{other:?}"),
        }
    }

    /// Every name of SES's pages with its verdict: our code, and for what is tried again the wait
    /// in seconds; written down from the pages and not from the table above.
    const NAMES: [(&str, &str, Option<Option<u64>>); 20] = [
        ("MessageRejected", "message_rejected", None),
        ("BadRequestException", "message_rejected", None),
        ("ValidationException", "message_rejected", None),
        ("SerializationException", "message_rejected", None),
        ("TooManyRequestsException", "rate_limited", Some(None)),
        ("ThrottlingException", "rate_limited", Some(None)),
        ("Throttling", "rate_limited", Some(None)),
        ("LimitExceededException", "rate_limited on the channel", Some(Some(600))),
        ("AccountSuspendedException", "account_blocked on the channel", Some(Some(900))),
        ("SendingPausedException", "account_blocked on the channel", Some(Some(900))),
        (
            "MailFromDomainNotVerifiedException",
            "channel_misconfigured on the channel",
            Some(Some(900)),
        ),
        ("NotFoundException", "channel_misconfigured on the channel", Some(Some(900))),
        ("AccessDeniedException", "not_permitted on the channel", Some(Some(60))),
        ("UnrecognizedClientException", "not_permitted on the channel", Some(Some(60))),
        ("ExpiredTokenException", "not_permitted", Some(None)),
        ("InvalidSignatureException", "not_permitted", Some(None)),
        ("InternalFailure", "provider_error", Some(None)),
        ("InternalServiceErrorException", "provider_error", Some(None)),
        ("ServiceUnavailable", "provider_error", Some(None)),
        ("RequestTimeout", "provider_error", Some(None)),
    ];

    #[test]
    fn every_name_has_its_verdict() {
        for (name, code, wait) in NAMES {
            assert_eq!(outcome(name, ""), (code.to_owned(), wait), "{name}");
        }

        let tested = |name: &str| NAMES.iter().any(|(known, ..)| *known == name);
        let listed = REFUSALS.iter().flat_map(|group| group.names).map(|(name, _)| *name);
        let untested: Vec<_> = listed.filter(|name| !tested(name)).collect();
        assert!(untested.is_empty(), "{untested:?}");
        assert_eq!(failure("SomethingNew", "", None), None);
    }

    #[test]
    fn the_longer_wait_wins() {
        let longer = Some(Duration::from_secs(1_000));
        let asked = |word| match failure(word, "", longer) {
            Some(Failure::Transient { retry_after, .. }) => retry_after,
            Some(Failure::ChannelDown { wait, .. }) => Some(wait),
            other => panic!("{other:?}"),
        };

        assert_eq!(
            (asked("TooManyRequestsException"), asked("LimitExceededException")),
            (longer, longer)
        );
    }

    #[test]
    fn one_name_for_two_errors_is_told_apart_by_its_sentence() {
        let rate = "Maximum sending rate exceeded.";
        assert_eq!(outcome("ThrottlingException", rate), ("rate_limited".into(), Some(None)));

        let quota = "Daily message quota exceeded.";
        assert_eq!(
            outcome("ThrottlingException", quota),
            ("rate_limited on the channel".into(), Some(Some(600)))
        );

        let unverified =
            "Email address is not verified. The following identities failed the check in region …";
        assert_eq!(
            outcome("MessageRejected", unverified),
            ("channel_misconfigured".into(), Some(Some(900)))
        );
    }

    #[test]
    fn no_word_is_listed_twice() {
        let words = REFUSALS.iter().flat_map(|group| group.names);
        let mut words: Vec<&str> = words.map(|(word, _)| *word).collect();
        let listed = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), listed);
    }

    /// Every type and subtype that SES documents ([bounce
    /// object](https://docs.aws.amazon.com/ses/latest/dg/event-publishing-retrieving-sns-contents.html#event-publishing-retrieving-sns-contents-bounce-object)),
    /// with new ones; whether it is the last word, and our code.
    const BOUNCES: [(&str, &str, bool, &str); 15] = [
        ("Undetermined", "Undetermined", true, "undeliverable"),
        ("Permanent", "General", true, "recipient_unreachable"),
        ("Permanent", "NoEmail", true, "recipient_unreachable"),
        ("Permanent", "Suppressed", true, "recipient_suppressed"),
        ("Permanent", "OnAccountSuppressionList", true, "recipient_suppressed"),
        ("Permanent", "OnTenantSuppressionList", true, "recipient_suppressed"),
        ("Transient", "General", false, "undeliverable"),
        ("Transient", "MailboxFull", true, "mailbox_full"),
        ("Transient", "MessageTooLarge", true, "message_rejected"),
        ("Transient", "CustomTimeoutExceeded", true, "undeliverable"),
        ("Transient", "ContentRejected", true, "message_rejected"),
        ("Transient", "AttachmentRejected", true, "message_rejected"),
        ("Transient", "SomethingNew", true, "undeliverable"),
        ("Permanent", "SomethingNew", true, "recipient_unreachable"),
        ("SomethingNew", "General", true, "undeliverable"),
    ];

    #[test]
    fn a_bounce_says_why_and_whether_it_is_the_last_word() {
        for (kind, subtype, is_last_word, code) in BOUNCES {
            let (reason, last_word) = match bounce(kind, subtype) {
                ReportedStatus::Failed(reason) => (reason, false),
                ReportedStatus::Bounced(reason) => (reason, true),
                other => panic!("{other:?}"),
            };
            let expected_code = format!("{kind}/{subtype}");
            assert_eq!((last_word, reason.code.as_str()), (is_last_word, code), "{expected_code}");
            assert_eq!(reason.provider_code, Some(expected_code));
        }
    }

    #[test]
    fn a_complaint_is_of_a_mail_that_arrived_or_of_none() {
        assert_eq!(complaint_reason(None), None);
        assert_eq!(complaint_reason(Some("abuse")), None);
        let suppressed =
            complaint_reason(Some("OnAccountSuppressionList")).expect("it was never sent");
        assert_eq!(suppressed.code, "recipient_suppressed");
        assert_eq!(suppressed.provider_code.as_deref(), Some("Complaint/OnAccountSuppressionList"));
    }
}
