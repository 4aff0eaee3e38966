//! The meaning of WhatsApp's [error
//! codes](https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes),
//! whether they answer a call or come later, in a receipt.
//!
//! Meta asks to go by the error's code and not by its status or words. A code that is not listed
//! follows its HTTP status.

use std::time::Duration;

use crate::delivery::FailureKind::{self, ChannelWide, Permanent, Transient, Wait};
use crate::delivery::{Failure, Reason};

/// Errors that are treated alike.
struct ErrorGroup {
    kind: FailureKind,
    /// Our word for them.
    word: &'static str,
    /// Each of Meta's codes, with the sentence that the agent sees.
    codes: &'static [(i64, &'static str)],
}

/// Every code of Meta's page that a message can be answered with.
const ERRORS: &[ErrorGroup] = &[
    ErrorGroup {
        kind: ChannelWide(60),
        word: "token_rejected",
        codes: &[
            (0, "WhatsApp did not accept the channel's access token"),
            (190, "the channel's access token has expired"),
        ],
    },
    ErrorGroup {
        kind: ChannelWide(60),
        word: "not_permitted",
        codes: &[
            (3, "the channel's token lacks a permission"),
            (10, "the channel's token lacks a permission"),
            (131_005, "the channel's token lacks a permission"),
            (131_045, "the channel's number is not registered as it should be"),
            (133_010, "the channel's number is not registered"),
        ],
    },
    ErrorGroup {
        kind: ChannelWide(60),
        word: "rate_limited",
        codes: &[
            (4, "the app has reached its call limit"),
            (80_007, "the WhatsApp account has reached its call limit"),
        ],
    },
    ErrorGroup {
        kind: Transient,
        word: "rate_limited",
        codes: &[(130_429, "the number has reached its throughput")],
    },
    ErrorGroup {
        kind: ChannelWide(900),
        word: "rate_limited",
        codes: &[(131_048, "WhatsApp limits the number after reports of spam")],
    },
    // One message to a person in six seconds; all other waits are ours
    // (https://developers.facebook.com/docs/whatsapp/cloud-api/overview#pair-rate-limits).
    ErrorGroup {
        kind: Wait(6),
        word: "rate_limited",
        codes: &[(131_056, "too many messages to this person in a short time")],
    },
    ErrorGroup {
        kind: ChannelWide(900),
        word: "account_blocked",
        codes: &[
            (368, "WhatsApp has blocked the account for a violation of policy"),
            (131_031, "WhatsApp has locked the account"),
            (131_042, "WhatsApp waits for the account's payment"),
            (134_011, "the WhatsApp account has not accepted the terms of payment"),
        ],
    },
    ErrorGroup {
        kind: Permanent,
        word: "account_blocked",
        codes: &[(130_497, "the WhatsApp account may not write to people in this country")],
    },
    ErrorGroup {
        kind: Transient,
        word: "provider_error",
        codes: &[
            (1, "WhatsApp reported an unknown error"),
            (2, "WhatsApp is temporarily unavailable"),
            (131_000, "WhatsApp could not send the message for an unknown reason"),
            (131_016, "a service at WhatsApp is temporarily unavailable"),
            (133_004, "a server at WhatsApp is temporarily unavailable"),
        ],
    },
    ErrorGroup {
        kind: ChannelWide(60),
        word: "channel_misconfigured",
        codes: &[(33, "WhatsApp knows no number of the channel's id")],
    },
    ErrorGroup {
        kind: Permanent,
        word: "message_rejected",
        codes: &[
            (100, "WhatsApp does not accept a parameter"),
            (131_008, "WhatsApp misses a parameter"),
            (131_009, "WhatsApp does not accept a value"),
            (131_051, "WhatsApp does not support this type of message"),
            (135_000, "WhatsApp could not make a message of the request's parameters"),
        ],
    },
    ErrorGroup {
        kind: Permanent,
        word: "recipient_unreachable",
        codes: &[
            (130_472, "WhatsApp does not deliver to this person as part of an experiment"),
            (131_021, "the recipient is the sender"),
            (131_026, "WhatsApp cannot deliver to this person"),
            (131_049, "WhatsApp limits what this person gets from businesses"),
            (131_050, "this person does not want such messages from the business"),
        ],
    },
    ErrorGroup {
        kind: ChannelWide(900),
        word: "not_permitted",
        codes: &[(131_037, "WhatsApp has not approved the number's display name")],
    },
    ErrorGroup {
        kind: Permanent,
        word: "outside_messaging_window",
        codes: &[(131_047, "more than 24 hours have passed since the customer wrote")],
    },
    // 131052 is for files that customers send and files that WhatsApp fetches itself; ours are
    // uploaded. With 131053 the file is damaged or of another type than declared. A repeat would
    // not help.
    ErrorGroup {
        kind: Permanent,
        word: "file_rejected",
        codes: &[
            (131_052, "WhatsApp could not fetch a file"),
            (131_053, "WhatsApp could not use the attached file"),
        ],
    },
    ErrorGroup {
        kind: ChannelWide(60),
        word: "account_in_maintenance",
        codes: &[(131_057, "the WhatsApp account is being maintained")],
    },
    // People have to mend a template, and by then the text is old, so nothing is repeated.
    ErrorGroup {
        kind: Permanent,
        word: "template_unusable",
        codes: &[
            (132_000, "the channel's template has not the one parameter that it should have"),
            (132_001, "WhatsApp knows no approved template of the channel's name and language"),
            (132_005, "the text is too long for the channel's template"),
            (132_007, "the text is against WhatsApp's policy for templates"),
            (132_012, "the channel's template takes another kind of parameter"),
            (132_015, "WhatsApp has paused the channel's template for its low quality"),
            (132_016, "WhatsApp has disabled the channel's template for its low quality"),
            (132_018, "WhatsApp does not accept the text as a template's parameter"),
            (132_068, "the flow in the channel's template is blocked"),
        ],
    },
    // A flow may send a limited number of messages an hour.
    ErrorGroup {
        kind: Wait(900),
        word: "rate_limited",
        codes: &[(132_069, "the flow in the channel's template has reached its limit")],
    },
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
    ERRORS.iter().find_map(|group| {
        let (_, detail) = group.codes.iter().find(|(known, _)| *known == code)?;
        Some((group.kind, Reason::new(group.word, *detail).with_provider_code(code)))
    })
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
        let codes = ERRORS.iter().flat_map(|group| group.codes);
        let mut codes: Vec<i64> = codes.map(|(code, _)| *code).collect();
        let listed = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), listed);
    }
}
