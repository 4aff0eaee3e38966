//! What WhatsApp's error codes mean for a message, whether they answer a call or come later, in a
//! receipt.
//!
//! Codes and meanings: [error
//! codes](https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes).
//! Meta asks to go by the code and not by status or words. What is not listed follows its HTTP
//! status.

use std::time::Duration;

use super::outcome::FailureKind::{self, ChannelWide, Permanent, Transient, Wait};
use super::outcome::{Failure, Reason};

/// Code, what to do, our word, and the sentence that the agent sees; in the order of Meta's page.
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
    // Of files that customers send, and of files that WhatsApp fetches itself; ours are uploaded.
    (131_052, Permanent, "file_rejected", "WhatsApp could not fetch a file"),
    // The file is damaged or not what it says it is: it is the same tomorrow.
    (131_053, Permanent, "file_rejected", "WhatsApp could not use the attached file"),
    (
        131_057,
        ChannelWide(60),
        "account_in_maintenance",
        "the WhatsApp account is being maintained",
    ),
    // Templates. However often it is tried, a template is mended by people, and by then the text is
    // old.
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
    // A flow's limit is by the hour, on messages that it may send.
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

/// What the answer to a call means that carries `code` and perhaps asks for a wait; `None` if the
/// code is not listed.
#[must_use]
pub fn answered(code: i64, retry_after: Option<Duration>) -> Option<Failure> {
    let (kind, reason) = listed(code)?;
    Some(kind.failure(reason, retry_after))
}

/// Why a message that WhatsApp had taken ends `failed`. However passing the reason, WhatsApp is
/// done with it, and so are we: later messages may be with the customer already, and a repeat would
/// come behind them.
#[must_use]
pub fn reported(code: Option<i64>) -> Reason {
    let unknown = || Reason::new("undeliverable", "WhatsApp could not deliver the message");
    match code {
        None => unknown(),
        Some(code) => {
            listed(code).map_or_else(|| unknown().with_provider_code(code), |(_, reason)| reason)
        }
    }
}

fn listed(code: i64) -> Option<(FailureKind, Reason)> {
    let (_, kind, word, detail) = CODES.iter().find(|(known, ..)| *known == code)?;
    Some((*kind, Reason::new(word, *detail).with_provider_code(code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listed_codes_say_whether_trying_again_can_help() {
        let word = |failure| match failure {
            Some(Failure::Permanent(reason)) => reason.code,
            other => format!("{other:?}"),
        };
        assert_eq!(word(answered(131_026, None)), "recipient_unreachable");
        assert_eq!(word(answered(131_047, None)), "outside_messaging_window");
        let pair_rate = |asked| match answered(131_056, asked) {
            Some(Failure::Transient { reason, retry_after }) => (reason.provider_code, retry_after),
            other => panic!("{other:?}"),
        };
        assert_eq!(pair_rate(None), (Some("131056".into()), Some(Duration::from_secs(6))));
        assert_eq!(pair_rate(Some(Duration::from_secs(9))).1, Some(Duration::from_secs(9)));
        let minute = Duration::from_secs(60);
        assert!(
            matches!(answered(190, None), Some(Failure::ChannelDown { wait, .. }) if wait == minute)
        );
        assert_eq!(answered(999, None), None);
    }

    #[test]
    fn what_is_wrong_with_a_template_or_a_file_is_not_tried_again_and_what_is_with_the_account_is_waited_for()
     {
        let files = [131_051, 131_052, 131_053];
        for code in [132_000, 132_001, 132_005, 132_007, 132_012, 132_015, 132_016, 132_068]
            .into_iter()
            .chain(files)
        {
            assert!(matches!(answered(code, None), Some(Failure::Permanent(_))), "{code}");
        }
        let minutely = [0, 3, 4, 10, 33, 190, 80_007, 131_005, 131_045, 131_057, 133_010]
            .map(|code| (code, 60));
        let slowly = [368, 131_031, 131_037, 131_042, 131_048, 134_011].map(|code| (code, 900));
        for (code, seconds) in minutely.into_iter().chain(slowly) {
            let failure = answered(code, Some(Duration::from_secs(1)));
            let wanted = Duration::from_secs(seconds);
            assert!(
                matches!(failure, Some(Failure::ChannelDown { wait, .. }) if wait == wanted),
                "{code}"
            );
        }
    }

    #[test]
    fn a_receipt_of_failure_always_has_a_reason() {
        assert_eq!(reported(Some(131_026)).code, "recipient_unreachable");
        assert_eq!(reported(Some(130_429)).code, "rate_limited");
        let unknown = reported(Some(999));
        assert_eq!(
            (unknown.code.as_str(), unknown.provider_code.as_deref()),
            ("undeliverable", Some("999"))
        );
        assert_eq!(reported(None).provider_code, None);
    }

    #[test]
    fn no_code_is_listed_twice() {
        let mut codes: Vec<i64> = CODES.iter().map(|(code, ..)| *code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), CODES.len());
    }
}
