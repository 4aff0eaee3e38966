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
        kind: ChannelWide(900),
        word: "not_permitted",
        codes: &[(131_037, "WhatsApp has not approved the number's display name")],
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
            (131_051, "WhatsApp does not support this type of message"),
            (131_062, "WhatsApp does not send this message to a user id, only to a number"),
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
mod tests;
