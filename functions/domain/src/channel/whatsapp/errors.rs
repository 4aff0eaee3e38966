//! The meaning of WhatsApp's [error
//! codes](https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes),
//! whether they answer a call or come later, in a receipt.
//!
//! Meta asks to go by the error's code and not by its status or words. The Cloud API is part of the
//! Graph API, which has codes of its own:
//!
//! | subject | source |
//! |---|---|
//! | codes of the Cloud API, and 0, 3, 4, 10, 190, 200 to 299, 368, 80007 | [WhatsApp error codes](https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes) |
//! | 1, 2, 17, 102, 341; `error_subcode` | [handling errors](https://developers.facebook.com/docs/graph-api/guides/error-handling) |
//! | 4, 17, 32, 613, 80000 to 80014 | [rate limits](https://developers.facebook.com/docs/graph-api/overview/rate-limiting): of the app, a user, a page, and business use cases |
//! | 100 with the subcode 33 | "Object with ID … does not exist, cannot be loaded due to missing permissions": a wrong [phone number id](https://github.com/sajuthankappan/whatsapp-cloud-api-rs/issues/3) |
//! | 803, 2500 | an id in the path that is none: [aliases](https://github.com/daryasary/instagram-graph-api/issues/1), [path components](https://github.com/laravel-notification-channels/facebook/issues/53) |
//! | `is_transient` | comes with 2 and others, also with [HTTP 400](https://github.com/facebook/facebook-python-business-sdk/issues/431) |
//!
//! A code that is not listed follows `is_transient` and its HTTP status.

use std::time::Duration;

use crate::delivery::FailureKind::{self, ChannelWide, Permanent, Transient, Wait};
use crate::delivery::{Failure, Reason, of_bare_status};

/// An error as the Graph API words it, as far as it is read. Its `message` may quote the recipient
/// and is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GraphError {
    /// `code`; `None` if there is none that can be read.
    pub code: Option<i64>,
    /// `error_subcode`.
    pub subcode: Option<i64>,
    /// `is_transient`.
    pub is_transient: bool,
}

/// Errors that are treated alike.
struct ErrorGroup {
    kind: FailureKind,
    /// Our word for them.
    word: &'static str,
    /// Each of Meta's codes, with the sentence that the agent sees.
    codes: &'static [(i64, &'static str)],
}

const UNKNOWN_NUMBER_ID: &str =
    "WhatsApp knows no number of the channel's id, or the token may not use it";

/// Every code of Meta's page that a message can be answered with.
const ERRORS: &[ErrorGroup] = &[
    ErrorGroup {
        kind: ChannelWide(60),
        word: "token_rejected",
        codes: &[
            (0, "WhatsApp did not accept the channel's access token"),
            (102, "WhatsApp did not accept the channel's access token"),
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
            (17, "the token's user has reached their call limit"),
            (32, "the page has reached its call limit"),
            (341, "the app has reached a limit"),
            (613, "the app has reached a limit of this call"),
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
        codes: &[
            (33, UNKNOWN_NUMBER_ID),
            (803, UNKNOWN_NUMBER_ID),
            (2_500, "WhatsApp knows no such address; is the channel's number id right?"),
        ],
    },
    ErrorGroup {
        kind: Permanent,
        word: "message_rejected",
        codes: &[
            (100, "WhatsApp does not accept a parameter"),
            (131_008, "WhatsApp misses a parameter"),
            (131_009, "WhatsApp does not accept a value"),
            (131_062, "WhatsApp does not send this message to a user id, only to a number"),
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
            (131_030, "the number is one for tests, and this person is not on its list"),
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

/// Returns the failure of a call that was answered with this HTTP status and error, and perhaps
/// asks for a wait.
#[must_use]
pub fn failure(status: u16, error: GraphError, retry_after: Option<Duration>) -> Failure {
    let Some(code) = error.code else {
        return match of_bare_status("WhatsApp", status, retry_after) {
            // WhatsApp itself says that a repeat may help.
            Failure::Unknown(reason) | Failure::Permanent(reason) if error.is_transient => {
                Failure::Transient { reason, retry_after }
            }
            failure => failure,
        };
    };

    let (kind, reason) = find(code, error.subcode).unwrap_or_else(|| unlisted(status, code));
    let kind = match kind {
        Permanent if error.is_transient => Transient,
        kind => kind,
    };
    kind.failure(reason, retry_after)
}

/// Returns why a message that WhatsApp had taken ends `failed`. Even a transient code is final
/// here: WhatsApp does not try again, and neither do we, because the customer may have later
/// messages already and a repeat would come behind them.
#[must_use]
pub fn failure_reason(code: Option<i64>) -> Reason {
    let unlisted = Reason::new("undeliverable", "WhatsApp could not deliver the message");
    match code {
        None => unlisted,
        Some(code) => match find(code, None) {
            Some((_, reason)) => reason,
            None => unlisted.with_provider_code(code),
        },
    }
}

fn find(code: i64, subcode: Option<i64>) -> Option<(FailureKind, Reason)> {
    let listed = ERRORS.iter().find_map(|group| {
        let (_, detail) = group.codes.iter().find(|(known, _)| *known == code)?;
        Some((group.kind, group.word, *detail))
    });

    let (kind, word, detail) = match (code, subcode) {
        (100, Some(33)) => (ChannelWide(60), "channel_misconfigured", UNKNOWN_NUMBER_ID),
        (200..=299, _) => {
            (ChannelWide(60), "not_permitted", "the channel's token lacks a permission")
        }
        (80_000..=80_099, _) if listed.is_none() => {
            (ChannelWide(60), "rate_limited", "the business has reached a call limit")
        }
        _ => listed?,
    };
    Some((kind, Reason::new(word, detail).with_provider_code(code)))
}

/// Returns the policy for a code that is not listed. WhatsApp itself reports the failure, so the
/// message was surely not sent.
fn unlisted(status: u16, code: i64) -> (FailureKind, Reason) {
    let (kind, word, detail) = match status {
        401 | 403 => (ChannelWide(60), "not_permitted", "WhatsApp forbade the call"),
        429 => (Transient, "rate_limited", "WhatsApp asked for patience"),
        408 | 421 | 425 => (Transient, "provider_error", "WhatsApp did not take the call up"),
        400..=499 => (Permanent, "message_rejected", "WhatsApp did not accept the message"),
        _ => (Transient, "provider_error", "WhatsApp failed"),
    };
    (kind, Reason::new(word, detail).with_provider_code(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A verdict: its kind, our word, and the wait in seconds.
    type Verdict = (&'static str, &'static str, Option<u64>);

    const fn permanent(word: &'static str) -> Verdict {
        ("permanent", word, None)
    }

    const fn transient(word: &'static str) -> Verdict {
        ("transient", word, None)
    }

    const fn waits(word: &'static str, seconds: u64) -> Verdict {
        ("transient", word, Some(seconds))
    }

    const fn channel(word: &'static str, seconds: u64) -> Verdict {
        ("channel", word, Some(seconds))
    }

    const TOKEN: Verdict = channel("token_rejected", 60);
    const PERMISSION: Verdict = channel("not_permitted", 60);
    const CALL_LIMIT: Verdict = channel("rate_limited", 60);
    const WRONG_ID: Verdict = channel("channel_misconfigured", 60);
    const BLOCKED: Verdict = channel("account_blocked", 900);
    const PROVIDER: Verdict = transient("provider_error");
    const REJECTED: Verdict = permanent("message_rejected");
    const UNREACHABLE: Verdict = permanent("recipient_unreachable");
    const FILE: Verdict = permanent("file_rejected");
    const TEMPLATE: Verdict = permanent("template_unusable");

    /// Every code with the status that Meta's pages give it, and what it must mean; written down
    /// from those pages and not from the table above.
    const CODES: &[(i64, u16, Verdict)] = &[
        (0, 401, TOKEN),
        (1, 400, PROVIDER),
        (2, 503, PROVIDER),
        (3, 500, PERMISSION),
        (4, 400, CALL_LIMIT),
        (10, 403, PERMISSION),
        (17, 400, CALL_LIMIT),
        (32, 400, CALL_LIMIT),
        (33, 400, WRONG_ID),
        (100, 400, REJECTED),
        (102, 401, TOKEN),
        (190, 401, TOKEN),
        (200, 403, PERMISSION),
        (230, 403, PERMISSION),
        (299, 403, PERMISSION),
        (341, 400, CALL_LIMIT),
        (368, 403, BLOCKED),
        (613, 400, CALL_LIMIT),
        (803, 400, WRONG_ID),
        (2_500, 400, WRONG_ID),
        (80_000, 400, CALL_LIMIT),
        (80_004, 400, CALL_LIMIT),
        (80_007, 400, CALL_LIMIT),
        (80_008, 400, CALL_LIMIT),
        (80_014, 400, CALL_LIMIT),
        (130_429, 429, transient("rate_limited")),
        (130_472, 400, UNREACHABLE),
        (130_497, 403, permanent("account_blocked")),
        (131_000, 500, PROVIDER),
        (131_005, 403, PERMISSION),
        (131_008, 400, REJECTED),
        (131_009, 400, REJECTED),
        (131_016, 500, PROVIDER),
        (131_021, 400, UNREACHABLE),
        (131_026, 400, UNREACHABLE),
        (131_030, 400, UNREACHABLE),
        (131_031, 403, BLOCKED),
        (131_037, 400, channel("not_permitted", 900)),
        (131_042, 400, BLOCKED),
        (131_045, 500, PERMISSION),
        (131_047, 400, permanent("outside_messaging_window")),
        (131_048, 400, channel("rate_limited", 900)),
        (131_049, 400, UNREACHABLE),
        (131_050, 400, UNREACHABLE),
        (131_051, 400, REJECTED),
        (131_052, 400, FILE),
        (131_053, 400, FILE),
        (131_056, 400, waits("rate_limited", 6)),
        (131_057, 500, channel("account_in_maintenance", 60)),
        (131_062, 400, REJECTED),
        (132_000, 400, TEMPLATE),
        (132_001, 404, TEMPLATE),
        (132_005, 400, TEMPLATE),
        (132_007, 400, TEMPLATE),
        (132_012, 400, TEMPLATE),
        (132_015, 400, TEMPLATE),
        (132_016, 400, TEMPLATE),
        (132_018, 400, TEMPLATE),
        (132_068, 400, TEMPLATE),
        (132_069, 400, waits("rate_limited", 900)),
        (133_004, 503, PROVIDER),
        (133_010, 400, PERMISSION),
        (134_011, 500, BLOCKED),
        (135_000, 400, REJECTED),
    ];

    fn shown(failure: &Failure) -> (&'static str, &str, Option<u64>) {
        match failure {
            Failure::Permanent(reason) => ("permanent", &reason.code, None),
            Failure::Transient { reason, retry_after } => {
                ("transient", &reason.code, retry_after.map(|wait| wait.as_secs()))
            }
            Failure::ChannelDown { reason, wait } => {
                ("channel", &reason.code, Some(wait.as_secs()))
            }
            Failure::Unknown(reason) => ("unknown", &reason.code, None),
            Failure::Away => panic!("WhatsApp knows no such failure"),
        }
    }

    fn provider_code(failure: &Failure) -> Option<&str> {
        match failure {
            Failure::Permanent(reason)
            | Failure::Transient { reason, .. }
            | Failure::ChannelDown { reason, .. }
            | Failure::Unknown(reason) => reason.provider_code.as_deref(),
            Failure::Away => None,
        }
    }

    fn coded(code: i64) -> GraphError {
        GraphError { code: Some(code), ..GraphError::default() }
    }

    #[test]
    fn every_code_has_its_verdict_with_its_own_status_and_with_any_other() {
        for (code, own, verdict) in CODES {
            for status in [*own, 200, 400, 401, 403, 404, 429, 500, 503] {
                let failure = failure(status, coded(*code), None);
                assert_eq!(shown(&failure), *verdict, "{code} with {status}");
                assert_eq!(provider_code(&failure), Some(&*code.to_string()));
            }
        }
    }

    #[test]
    fn every_listed_code_is_in_the_tests_table_and_none_is_twice() {
        let listed: Vec<i64> =
            ERRORS.iter().flat_map(|group| group.codes).map(|(code, _)| *code).collect();
        let mut once = listed.clone();
        once.sort_unstable();
        once.dedup();
        assert_eq!(once.len(), listed.len());

        let tested = |code: &i64| CODES.iter().any(|(known, ..)| known == code);
        let untested: Vec<_> = listed.iter().filter(|code| !tested(code)).collect();
        assert!(untested.is_empty(), "{untested:?}");
    }

    #[test]
    fn a_subcode_tells_a_wrong_number_id_from_a_wrong_parameter() {
        let of = |code, subcode| {
            let error = GraphError { subcode: Some(subcode), ..coded(code) };
            failure(400, error, None)
        };
        assert_eq!(shown(&of(100, 33)), WRONG_ID);
        assert_eq!(provider_code(&of(100, 33)), Some("100"));
        for (code, subcode, verdict) in [
            (100, 2_388_003, REJECTED),
            (17, 2_446_079, CALL_LIMIT),
            (613, 1_996, CALL_LIMIT),
            (190, 460, TOKEN),
            (190, 463, TOKEN),
            (190, 467, TOKEN),
            (10, 2_018_278, PERMISSION),
        ] {
            assert_eq!(shown(&of(code, subcode)), verdict, "{code}/{subcode}");
        }
    }

    #[test]
    fn a_transient_error_fails_no_message() {
        for (code, _, verdict) in CODES {
            let error = GraphError { is_transient: true, ..coded(*code) };
            let failure = failure(400, error, None);
            let (kind, word, wait) = shown(&failure);
            let expected = if verdict.0 == "permanent" { "transient" } else { verdict.0 };
            assert_eq!((kind, word, wait), (expected, verdict.1, verdict.2), "{code}");
        }
        let error = GraphError { is_transient: true, ..GraphError::default() };
        for status in [200, 400, 500] {
            assert_eq!(shown(&failure(status, error, None)).0, "transient", "{status}");
        }
    }

    #[test]
    fn a_code_that_is_not_listed_keeps_its_number_and_follows_its_status() {
        for code in [-1, 5, 199, 300, 506, 79_999, 80_100, 131_999, i64::MAX] {
            for (status, verdict) in [
                (200, PROVIDER),
                (400, REJECTED),
                (401, PERMISSION),
                (403, PERMISSION),
                (404, REJECTED),
                (408, PROVIDER),
                (429, transient("rate_limited")),
                (500, PROVIDER),
                (503, PROVIDER),
            ] {
                let failure = failure(status, coded(code), None);
                assert_eq!(shown(&failure), verdict, "{code} with {status}");
                assert_eq!(provider_code(&failure), Some(&*code.to_string()));
            }
        }
    }

    #[test]
    fn the_longer_wait_wins() {
        let asked = |code, seconds| {
            let failure = failure(400, coded(code), Some(Duration::from_secs(seconds)));
            shown(&failure).2
        };
        assert_eq!((asked(131_056, 1), asked(131_056, 9)), (Some(6), Some(9)));
        assert_eq!((asked(190, 1), asked(190, 600)), (Some(60), Some(600)));
        assert_eq!((asked(130_429, 30), asked(2, 30)), (Some(30), Some(30)));
    }

    #[test]
    fn a_receipt_of_failure_always_has_a_reason() {
        for (code, _, (_, word, _)) in CODES {
            let reason = failure_reason(Some(*code));
            assert_eq!((&*reason.code, reason.provider_code), (*word, Some(code.to_string())));
        }
        let unknown = failure_reason(Some(999));
        assert_eq!(
            (&*unknown.code, unknown.provider_code.as_deref()),
            ("undeliverable", Some("999"))
        );
        assert_eq!(failure_reason(None).provider_code, None);
    }
}
