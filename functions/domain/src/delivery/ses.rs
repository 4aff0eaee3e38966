//! What Amazon SES's words mean for a message: those it refuses a call with, and those it reports
//! later.
//!
//! | words | source |
//! |---|---|
//! | refusals of a call | [`SendEmail`, errors](https://docs.aws.amazon.com/ses/latest/APIReference-V2/API_SendEmail.html#API_SendEmail_Errors), [common errors](https://docs.aws.amazon.com/ses/latest/APIReference-V2/CommonErrors.html), [sending errors](https://docs.aws.amazon.com/ses/latest/dg/troubleshoot-error-messages.html) |
//! | quotas | [errors related to the sending quotas](https://docs.aws.amazon.com/ses/latest/dg/manage-sending-quotas-errors.html): wait for up to ten minutes |
//! | bounces, complaints | [contents of notifications](https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html) |
//!
//! A suppressed address is not refused: SES takes the message, reports that it was sent, and then
//! that it bounced ([suppression
//! list](https://docs.aws.amazon.com/ses/latest/dg/sending-email-suppression-list.html)).

use std::time::Duration;

use super::outcome::FailureKind::{self, ChannelWide, Permanent, Transient, Wait};
use super::outcome::{Failure, Reason};

/// SES's word, what to do, our word, and the sentence that the agent sees.
///
/// What is wrong with the account or the channel is wrong with every message, and with none of
/// them: the channel is paused until somebody has put it right, for as long as messages are tried.
const REFUSALS: [(&str, FailureKind, &str, &str); 20] = [
    (
        "MessageRejected",
        Permanent,
        "message_rejected",
        "SES does not accept what is in the message",
    ),
    ("BadRequestException", Permanent, "message_rejected", "SES does not accept the message"),
    ("ValidationException", Permanent, "message_rejected", "SES does not accept the message"),
    ("SerializationException", Permanent, "message_rejected", "SES could not read the message"),
    (
        "TooManyRequestsException",
        Transient,
        "rate_limited",
        "the account sends more a second than it may",
    ),
    (
        "ThrottlingException",
        Transient,
        "rate_limited",
        "the account sends more a second than it may",
    ),
    ("Throttling", Transient, "rate_limited", "the account sends more a second than it may"),
    (
        "LimitExceededException",
        ChannelWide(600),
        "rate_limited",
        "the account has reached what it may send in 24 hours",
    ),
    (
        "AccountSuspendedException",
        ChannelWide(900),
        "account_blocked",
        "SES has suspended the account",
    ),
    (
        "SendingPausedException",
        ChannelWide(900),
        "account_blocked",
        "sending is paused, for the account or the channel",
    ),
    (
        "MailFromDomainNotVerifiedException",
        ChannelWide(900),
        "channel_misconfigured",
        "the channel's domain is not verified",
    ),
    (
        "NotFoundException",
        ChannelWide(900),
        "channel_misconfigured",
        "SES does not know the channel's configuration set",
    ),
    (
        "AccessDeniedException",
        ChannelWide(60),
        "not_permitted",
        "this service may not send for the channel's identity",
    ),
    (
        "UnrecognizedClientException",
        ChannelWide(60),
        "not_permitted",
        "SES does not know this service's credentials",
    ),
    (
        "ExpiredTokenException",
        Transient,
        "not_permitted",
        "this service's credentials have expired",
    ),
    (
        "InvalidSignatureException",
        Transient,
        "not_permitted",
        "SES did not accept the call's signature",
    ),
    ("InternalFailure", Transient, "provider_error", "SES failed"),
    ("InternalServiceErrorException", Transient, "provider_error", "SES failed"),
    ("ServiceUnavailable", Transient, "provider_error", "SES is not available"),
    ("RequestTimeout", Transient, "provider_error", "SES did not get the whole call in time"),
];

/// What a refusal means whose name is `word`; `None` if it is not listed. `message` is only
/// searched for the sentences that tell apart what SES gives one name; it may quote addresses and
/// goes no further. `asked` is a wait that SES asks for.
#[must_use]
pub fn refused(word: &str, message: &str, asked: Option<Duration>) -> Option<Failure> {
    let (_, kind, code, detail) = REFUSALS.iter().find(|(known, ..)| *known == word)?;
    let (kind, code, detail) = match (*kind, message) {
        (Transient, _) if message.contains("Daily message quota exceeded") => {
            (ChannelWide(600), *code, "the account has reached what it may send in 24 hours")
        }
        (Permanent, _) if message.contains("Email address is not verified") => {
            let detail = "SES has not verified the channel's address, or the account is still in SES's sandbox";
            (Wait(900), "channel_misconfigured", detail)
        }
        (kind, _) => (kind, *code, *detail),
    };
    let reason = Reason::new(code, detail).with_provider_code(word);
    Some(kind.failure(reason, asked))
}

/// Why a mail came back, by SES's type and subtype. However passing the reason, SES has stopped
/// trying.
#[must_use]
pub fn bounced(kind: &str, subtype: &str) -> Reason {
    let (code, detail) = match (kind, subtype) {
        (_, "Suppressed" | "OnAccountSuppressionList" | "OnTenantSuppressionList") => SUPPRESSED,
        ("Permanent", _) => {
            ("recipient_unreachable", "the address does not exist or takes no mail")
        }
        (_, "MailboxFull") => ("mailbox_full", "the customer's mailbox is full"),
        (_, "MessageTooLarge") => {
            ("message_rejected", "the message is too large for the customer's mail server")
        }
        (_, "ContentRejected" | "AttachmentRejected") => {
            ("message_rejected", "the customer's mail server did not accept what is in the message")
        }
        _ => (
            "undeliverable",
            "the customer's mail server did not take the message for as long as SES tried",
        ),
    };
    Reason::new(code, detail).with_provider_code(format!("{kind}/{subtype}"))
}

/// Why a mail that a complaint is reported of was never sent; `None` if it was, and somebody
/// complained of it.
#[must_use]
pub fn complained(subtype: Option<&str>) -> Option<Reason> {
    let subtype = subtype.filter(|subtype| subtype.ends_with("SuppressionList"))?;
    Some(Reason::new(SUPPRESSED.0, SUPPRESSED.1).with_provider_code(format!("Complaint/{subtype}")))
}

const SUPPRESSED: (&str, &str) = (
    "recipient_suppressed",
    "SES does not write to this address any more, after a bounce or a complaint",
);

#[cfg(test)]
mod tests {
    use super::*;

    fn told(word: &str, message: &str) -> (String, Option<Option<u64>>) {
        match refused(word, message, None).expect("it is listed") {
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

    #[test]
    fn refusals_say_whether_trying_again_can_help() {
        assert_eq!(told("MessageRejected", ""), ("message_rejected".into(), None));
        assert_eq!(told("TooManyRequestsException", ""), ("rate_limited".into(), Some(None)));
        assert_eq!(
            told("SendingPausedException", ""),
            ("account_blocked on the channel".into(), Some(Some(900)))
        );
        let longer = Some(Duration::from_secs(1_000));
        let asked = |word| match refused(word, "", longer) {
            Some(Failure::Transient { retry_after, .. }) => retry_after,
            Some(Failure::ChannelDown { wait, .. }) => Some(wait),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            (asked("TooManyRequestsException"), asked("LimitExceededException")),
            (longer, longer)
        );
        assert_eq!(refused("SomethingNew", "", None), None);
    }

    #[test]
    fn one_name_for_two_things_is_told_apart() {
        let rate = "Maximum sending rate exceeded.";
        assert_eq!(told("ThrottlingException", rate), ("rate_limited".into(), Some(None)));
        let quota = "Daily message quota exceeded.";
        assert_eq!(
            told("ThrottlingException", quota),
            ("rate_limited on the channel".into(), Some(Some(600)))
        );
        let unverified =
            "Email address is not verified. The following identities failed the check in region …";
        assert_eq!(
            told("MessageRejected", unverified),
            ("channel_misconfigured".into(), Some(Some(900)))
        );
    }

    #[test]
    fn no_word_is_listed_twice() {
        let mut words: Vec<&str> = REFUSALS.iter().map(|(word, ..)| *word).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), REFUSALS.len());
    }

    #[test]
    fn a_bounce_says_why() {
        let why = |kind, subtype| bounced(kind, subtype).code;
        assert_eq!(why("Permanent", "General"), "recipient_unreachable");
        assert_eq!(why("Permanent", "Suppressed"), "recipient_suppressed");
        assert_eq!(why("Permanent", "OnAccountSuppressionList"), "recipient_suppressed");
        assert_eq!(why("Transient", "MailboxFull"), "mailbox_full");
        assert_eq!(why("Transient", "MessageTooLarge"), "message_rejected");
        assert_eq!(why("Transient", "ContentRejected"), "message_rejected");
        assert_eq!(why("Transient", "General"), "undeliverable");
        assert_eq!(why("Undetermined", "Undetermined"), "undeliverable");
        let code = bounced("Permanent", "OnAccountSuppressionList").provider_code;
        assert_eq!(code.as_deref(), Some("Permanent/OnAccountSuppressionList"));
    }

    #[test]
    fn a_complaint_is_of_a_mail_that_arrived_or_of_none() {
        assert_eq!(complained(None), None);
        assert_eq!(complained(Some("abuse")), None);
        let suppressed = complained(Some("OnAccountSuppressionList")).expect("it was never sent");
        assert_eq!(suppressed.code, "recipient_suppressed");
        assert_eq!(suppressed.provider_code.as_deref(), Some("Complaint/OnAccountSuppressionList"));
    }
}
