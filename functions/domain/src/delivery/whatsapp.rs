//! What WhatsApp's error codes mean for a message, whether they answer a call or come later, in a receipt.
//!
//! Codes and meanings: [Cloud API error codes](https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes).

use super::outcome::{Failure, Reason};
use std::time::Duration;

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Permanent,
    Transient,
    /// Transient, but not before so many seconds.
    Wait(u64),
    /// The same, and it is so for every message of the channel.
    ChannelWide(u64),
}

use Kind::{ChannelWide, Permanent, Transient, Wait};

/// Code, what to do, our word, and the sentence that the agent sees.
const CODES: [(i64, Kind, &str, &str); 29] = [
    (0, ChannelWide(60), "token_rejected", "WhatsApp did not accept the channel's access token"),
    (190, ChannelWide(60), "token_rejected", "the channel's access token has expired"),
    (3, Permanent, "not_permitted", "the channel's token lacks a permission"),
    (10, Permanent, "not_permitted", "the channel's token lacks a permission"),
    (1, Transient, "provider_error", "WhatsApp reported an unknown error"),
    (2, Transient, "provider_error", "WhatsApp is temporarily unavailable"),
    (4, Wait(60), "rate_limited", "the app has reached its call limit"),
    (80_007, Wait(60), "rate_limited", "the WhatsApp account has reached its call limit"),
    (130_429, Transient, "rate_limited", "the number has reached its throughput"),
    (131_048, Wait(900), "rate_limited", "WhatsApp limits the number after reports of spam"),
    (131_056, Wait(6), "rate_limited", "too many messages to this person in a short time"),
    (368, Permanent, "account_blocked", "WhatsApp has blocked the account for a violation of policy"),
    (130_497, Permanent, "account_blocked", "the WhatsApp account may not write to people in this country"),
    (131_031, Permanent, "account_blocked", "WhatsApp has locked the account"),
    (131_042, Permanent, "account_blocked", "WhatsApp waits for the account's payment"),
    (130_472, Permanent, "recipient_unreachable", "WhatsApp does not deliver to this person as part of an experiment"),
    (131_000, Transient, "provider_error", "WhatsApp could not send the message for an unknown reason"),
    (131_008, Permanent, "message_rejected", "WhatsApp misses a parameter"),
    (131_009, Permanent, "message_rejected", "WhatsApp does not accept a value"),
    (131_016, Transient, "provider_error", "a service at WhatsApp is temporarily unavailable"),
    (131_021, Permanent, "recipient_unreachable", "the recipient is the sender"),
    (131_026, Permanent, "recipient_unreachable", "WhatsApp cannot deliver to this person"),
    (131_047, Permanent, "outside_messaging_window", "more than 24 hours have passed since the customer wrote"),
    (131_049, Permanent, "recipient_unreachable", "WhatsApp limits what this person gets from businesses"),
    (131_050, Permanent, "recipient_unreachable", "this person does not want such messages from the business"),
    (131_051, Permanent, "message_rejected", "WhatsApp does not support this type of message"),
    (131_053, Permanent, "message_rejected", "WhatsApp could not use the attached file"),
    (131_057, Wait(60), "account_in_maintenance", "the WhatsApp account is being maintained"),
    (133_010, Permanent, "not_permitted", "the channel's number is not registered"),
];

/// What the answer to a call means that carries `code` and perhaps asks for a wait; `None` if the code is not listed.
#[must_use]
pub fn answered(code: i64, retry_after: Option<Duration>) -> Option<Failure> {
    let (kind, reason) = listed(code)?;
    Some(match kind {
        Permanent => Failure::Permanent(reason),
        Transient => Failure::Transient { reason, retry_after },
        ChannelWide(seconds) => {
            let wait = Duration::from_secs(seconds).max(retry_after.unwrap_or_default());
            Failure::ChannelDown { reason, wait }
        }
        Wait(seconds) => {
            let least = Duration::from_secs(seconds);
            Failure::Transient { reason, retry_after: Some(retry_after.map_or(least, |asked| asked.max(least))) }
        }
    })
}

/// Why a message that WhatsApp had taken ends `failed`. However passing the reason, WhatsApp is done with it, and so
/// are we: later messages may be with the customer already, and a repeat would come behind them.
#[must_use]
pub fn reported(code: Option<i64>) -> Reason {
    let unknown = || Reason::new("undeliverable", "WhatsApp could not deliver the message");
    match code {
        None => unknown(),
        Some(code) => listed(code).map_or_else(|| unknown().with_provider_code(code), |(_, reason)| reason),
    }
}

fn listed(code: i64) -> Option<(Kind, Reason)> {
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
        assert!(matches!(answered(190, None), Some(Failure::ChannelDown { wait, .. }) if wait == minute));
        assert_eq!(answered(999, None), None);
    }

    #[test]
    fn a_receipt_of_failure_always_has_a_reason() {
        assert_eq!(reported(Some(131_026)).code, "recipient_unreachable");
        assert_eq!(reported(Some(130_429)).code, "rate_limited");
        let unknown = reported(Some(999));
        assert_eq!((unknown.code.as_str(), unknown.provider_code.as_deref()), ("undeliverable", Some("999")));
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
