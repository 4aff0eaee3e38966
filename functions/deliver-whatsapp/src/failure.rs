//! The meaning of the Cloud API's answers for a message. The meaning of its error codes is in
//! [`domain::channel::whatsapp`].

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde::Deserialize;

use domain::channel::whatsapp;
use domain::delivery::{Failure, Reason};

/// The Graph API's error answer, as far as it is read. Its `message` may quote the recipient and is
/// not read.
#[derive(Debug, Deserialize)]
pub struct ErrorBody {
    error: GraphError,
}

#[derive(Debug, Deserialize)]
struct GraphError {
    code: i64,
}

/// Returns what an error answer means.
#[must_use]
pub fn of_error(
    status: StatusCode,
    body: Option<ErrorBody>,
    retry_after: Option<Duration>,
) -> Failure {
    let Some(ErrorBody { error }) = body else { return of_status(status, retry_after) };
    whatsapp::failure(error.code, retry_after).unwrap_or_else(|| {
        match of_status(status, retry_after) {
            // WhatsApp itself reports the failure, so the outcome is known.
            Failure::Unknown(reason) => Failure::Transient { reason, retry_after },
            known => known,
        }
    })
}

/// Returns what a bare status means. A 5xx without WhatsApp's own words comes from something in
/// between, which may have passed the message on.
fn of_status(status: StatusCode, retry_after: Option<Duration>) -> Failure {
    let reason = |word, detail| {
        Reason::new(word, detail).with_provider_code(format!("HTTP {}", status.as_u16()))
    };

    match status.as_u16() {
        429 => Failure::Transient {
            reason: reason("rate_limited", "WhatsApp asks for patience"),
            retry_after,
        },
        401 | 403 => Failure::ChannelDown {
            reason: reason("token_rejected", "WhatsApp did not accept the channel's access token"),
            wait: retry_after.unwrap_or(Duration::from_secs(60)),
        },
        400..=499 => {
            Failure::Permanent(reason("message_rejected", "WhatsApp did not accept the message"))
        }
        _ => Failure::Unknown(reason("provider_error", "WhatsApp failed without saying how")),
    }
}

/// Returns what a call without an answer means: one that never connected sent nothing.
#[must_use]
pub fn of_transport(error: &reqwest::Error) -> Failure {
    if error.is_connect() {
        let reason = Reason::new("unreachable", "WhatsApp could not be reached");
        return Failure::Transient { reason, retry_after: None };
    }
    Failure::Unknown(Reason::new("no_answer", "WhatsApp did not answer"))
}

/// Returns `Retry-After` in seconds ([RFC 9110
/// §10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)); Meta never sends a date there.
#[must_use]
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, code: i64) -> Failure {
        let body =
            serde_json::from_value(serde_json::json!({"error": {"message": "…", "code": code}}));
        of_error(StatusCode::from_u16(status).expect("a status"), body.ok(), None)
    }

    #[test]
    fn documented_codes_are_judged_by_the_table_whatever_the_status() {
        for status in [400, 500] {
            let unreachable = error(status, 131_026);
            assert!(
                matches!(unreachable, Failure::Permanent(reason) if reason.code == "recipient_unreachable")
            );
        }
        let wait = Some(Duration::from_secs(6));
        let pair_rate = error(400, 131_056);
        assert!(matches!(pair_rate, Failure::Transient { retry_after, .. } if retry_after == wait));
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
