//! What the Cloud API's answers mean for a message.
//!
//! Codes and meanings: [Cloud API error codes](https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes).

use domain::delivery::{Failure, Reason};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;
use std::time::Duration;

/// The Graph API's error answer, as far as it is read. Its `message` may quote the recipient and is left alone.
#[derive(Debug, Deserialize)]
pub struct ErrorBody {
    error: GraphError,
}

#[derive(Debug, Deserialize)]
struct GraphError {
    code: i64,
}

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Permanent,
    Transient,
    /// Transient, but not before so many seconds.
    Wait(u64),
}

use Kind::{Permanent, Transient, Wait};

/// Code, what to do, our word, and the sentence that the agent sees.
const CODES: [(i64, Kind, &str, &str); 24] = [
    (0, Wait(60), "token_rejected", "WhatsApp did not accept the channel's access token"),
    (190, Wait(60), "token_rejected", "the channel's access token has expired"),
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
    (131_031, Permanent, "account_blocked", "WhatsApp has locked the account"),
    (130_472, Permanent, "recipient_unreachable", "WhatsApp does not deliver to this person as part of an experiment"),
    (131_000, Transient, "provider_error", "WhatsApp could not send the message for an unknown reason"),
    (131_008, Permanent, "message_rejected", "WhatsApp misses a parameter"),
    (131_009, Permanent, "message_rejected", "WhatsApp does not accept a value"),
    (131_016, Transient, "provider_error", "a service at WhatsApp is temporarily unavailable"),
    (131_021, Permanent, "recipient_unreachable", "the recipient is the sender"),
    (131_026, Permanent, "recipient_unreachable", "WhatsApp cannot deliver to this person"),
    (131_047, Permanent, "outside_messaging_window", "more than 24 hours have passed since the customer wrote"),
    (131_051, Permanent, "message_rejected", "WhatsApp does not support this type of message"),
    (131_057, Wait(60), "account_in_maintenance", "the WhatsApp account is being maintained"),
    (133_010, Permanent, "not_permitted", "the channel's number is not registered"),
];

/// What an error answer means.
#[must_use]
pub fn of_error(status: StatusCode, body: Option<ErrorBody>, retry_after: Option<Duration>) -> Failure {
    let Some(ErrorBody { error }) = body else { return of_status(status, retry_after) };
    let Some((_, kind, word, detail)) = CODES.iter().find(|(code, ..)| *code == error.code) else {
        return match of_status(status, retry_after) {
            // WhatsApp itself says that it failed; that is an answer.
            Failure::Unknown(reason) => Failure::Transient { reason, retry_after },
            known => known,
        };
    };
    let reason = Reason::new(word, *detail).with_provider_code(error.code);
    match kind {
        Permanent => Failure::Permanent(reason),
        Transient => Failure::Transient { reason, retry_after },
        Wait(seconds) => {
            let least = Duration::from_secs(*seconds);
            Failure::Transient { reason, retry_after: Some(retry_after.map_or(least, |asked| asked.max(least))) }
        }
    }
}

/// What a bare status means. A 5xx without WhatsApp's own words comes from something in between, which may have
/// passed the message on.
fn of_status(status: StatusCode, retry_after: Option<Duration>) -> Failure {
    let reason = |word, detail| Reason::new(word, detail).with_provider_code(format!("HTTP {}", status.as_u16()));
    match status.as_u16() {
        429 => Failure::Transient { reason: reason("rate_limited", "WhatsApp asks for patience"), retry_after },
        401 | 403 => Failure::Transient {
            reason: reason("token_rejected", "WhatsApp did not accept the channel's access token"),
            retry_after: Some(retry_after.unwrap_or(Duration::from_secs(60))),
        },
        400..=499 => Failure::Permanent(reason("message_rejected", "WhatsApp did not accept the message")),
        _ => Failure::Unknown(reason("provider_error", "WhatsApp failed without saying how")),
    }
}

/// What a call without an answer means: one that never connected sent nothing.
#[must_use]
pub fn of_transport(error: &reqwest::Error) -> Failure {
    if error.is_connect() {
        let reason = Reason::new("unreachable", "WhatsApp could not be reached");
        return Failure::Transient { reason, retry_after: None };
    }
    Failure::Unknown(Reason::new("no_answer", "WhatsApp did not answer"))
}

/// `Retry-After` in seconds ([RFC 9110 §10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)); Meta never
/// sends a date there.
#[must_use]
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, code: i64) -> Failure {
        let body = serde_json::from_value(serde_json::json!({"error": {"message": "…", "code": code}}));
        of_error(StatusCode::from_u16(status).expect("a status"), body.ok(), None)
    }

    #[test]
    fn documented_codes_are_judged_by_the_table() {
        assert!(matches!(error(400, 131_026), Failure::Permanent(reason) if reason.code == "recipient_unreachable"));
        assert!(matches!(error(400, 131_047), Failure::Permanent(reason) if reason.code == "outside_messaging_window"));
        let Failure::Transient { reason, retry_after } = error(400, 131_056) else {
            panic!("the pair rate is transient")
        };
        assert_eq!((reason.provider_code.as_deref(), retry_after), (Some("131056"), Some(Duration::from_secs(6))));
    }

    #[test]
    fn no_code_is_listed_twice() {
        let mut codes: Vec<i64> = CODES.iter().map(|(code, ..)| *code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), CODES.len());
    }

    #[test]
    fn what_is_not_documented_follows_its_status() {
        let bare = |status| of_error(StatusCode::from_u16(status).expect("a status"), None, None);
        assert!(matches!(bare(429), Failure::Transient { .. }));
        assert!(matches!(bare(404), Failure::Permanent(_)));
        assert!(matches!(bare(502), Failure::Unknown(_)));
        assert!(matches!(error(500, 999), Failure::Transient { .. }));
        assert!(matches!(error(400, 999), Failure::Permanent(_)));
    }
}
