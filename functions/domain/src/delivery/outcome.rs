//! The outcome of handing a message to a provider. The variant of a [`Failure`] *is* the retry
//! policy; the worker asks a channel nothing else.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::PrivateText;

/// The outcome of handing one message to a provider.
pub type SendOutcome = Result<Accepted, Failure>;

/// The provider has the message and is responsible for it from now on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Accepted {
    /// The provider's own id of the message, if it gives one; receipts name it.
    pub provider_id: Option<PrivateText>,
}

/// The provider did not take the message, or its answer was lost.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Failure {
    /// The provider will never take the message: it ends `failed`, the next one proceeds.
    Permanent(Reason),
    /// The provider may take the message later: it is tried again, never before `retry_after`.
    Transient {
        /// The cause.
        reason: Reason,
        /// The wait that the provider asked for, if it did.
        retry_after: Option<Duration>,
    },
    /// The provider takes nothing on this channel, for example because the token has expired or the
    /// account is suspended. The whole channel waits. The cause is not the message, so no attempt
    /// is counted.
    ChannelDown {
        /// The cause.
        reason: Reason,
        /// How long the channel is paused.
        wait: Duration,
    },
    /// The request left and no answer came. The provider may have the message.
    Unknown(Reason),
    /// The customer is away (live chat only); the message waits for their return and no attempt is
    /// counted.
    Away,
}

/// The retry policy that a provider's table gives to each of the provider's errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// Never tried again.
    Permanent,
    /// Tried again after the usual backoff.
    Transient,
    /// Tried again, but not before this many seconds: only time or a person can remove the cause.
    Wait(u64),
    /// Pauses the channel for this many seconds: the error concerns every message of the channel
    /// until a person has removed its cause.
    ChannelWide(u64),
}

impl FailureKind {
    /// Makes a failure of this kind. `retry_after` is the wait that the provider's answer asks for,
    /// if it does; the longer wait wins.
    pub(crate) fn failure(self, reason: Reason, retry_after: Option<Duration>) -> Failure {
        let at_least = |seconds| Duration::from_secs(seconds).max(retry_after.unwrap_or_default());
        match self {
            FailureKind::Permanent => Failure::Permanent(reason),
            FailureKind::Transient => Failure::Transient { reason, retry_after },
            FailureKind::Wait(seconds) => {
                Failure::Transient { reason, retry_after: Some(at_least(seconds)) }
            }
            FailureKind::ChannelWide(seconds) => {
                Failure::ChannelDown { reason, wait: at_least(seconds) }
            }
        }
    }
}

/// Returns the failure of a call that was answered with an HTTP status and without a word of the
/// provider's own: with an empty body, with a page of HTML, or with JSON that is not the
/// provider's. Something between us and the provider may have answered so ([RFC 9110
/// §15](https://www.rfc-editor.org/rfc/rfc9110#section-15)).
///
/// | status | the call | so |
/// |---|---|---|
/// | 5xx, 303, 2xx that is no success | may have had its effect | the outcome is unknown |
/// | 408, 421, 425, 429 | was not taken up | it is tried again |
/// | 401, 403, 407 | was forbidden, as every call would be | the channel waits |
/// | 404, 405, 410, other 3xx | went to the wrong address, as every call would | the channel waits |
/// | any other 4xx | was not accepted | the message ends `failed` |
///
/// No status is a code of the provider's, so the reason has none.
#[must_use]
pub fn of_bare_status(provider: &str, status: u16, retry_after: Option<Duration>) -> Failure {
    let reason = |word, what: &str| {
        Reason::new(word, format!("{provider} {what} (HTTP {status}), and did not say why"))
    };
    let channel_wide = FailureKind::ChannelWide(60);

    match status {
        303 => Failure::Unknown(reason("provider_error", "answered without an outcome")),
        300..=399 => {
            channel_wide.failure(reason("channel_misconfigured", "pointed elsewhere"), retry_after)
        }
        401 | 403 | 407 => {
            channel_wide.failure(reason("not_permitted", "forbade the call"), retry_after)
        }
        404 | 405 | 410 => channel_wide
            .failure(reason("channel_misconfigured", "knows no such address"), retry_after),
        429 => FailureKind::Transient
            .failure(reason("rate_limited", "asked for patience"), retry_after),
        408 | 421 | 425 => FailureKind::Transient
            .failure(reason("provider_error", "did not take the call up"), retry_after),
        400..=499 => Failure::Permanent(reason("message_rejected", "did not accept the message")),
        _ => Failure::Unknown(reason("provider_error", "failed")),
    }
}

/// The longest [`Reason::code`], in bytes. A longer text is cut, here and in the next one: the
/// provider's words are stored with the message, once for each attempt, and must not fill its item.
pub const MAX_CODE_BYTES: usize = 64;

/// The longest [`Reason::detail`], in bytes.
pub const MAX_DETAIL_BYTES: usize = 256;

/// The longest [`Reason::provider_code`], in bytes. A longer text is none.
pub const MAX_PROVIDER_CODE_BYTES: usize = 64;

/// The most digits of a provider's code: Meta's have seven ([error
/// codes](https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes)), and a
/// phone number with its country code has more than nine.
const MAX_CODE_DIGITS: usize = 9;

/// The longest name of an error, in bytes: longer than AWS's names, and shorter than the keys that
/// Secrets Manager generates for us, which have 64.
const MAX_ERROR_NAME_BYTES: usize = 48;

/// Why a message was not taken, as the API shows it. Never holds text, addresses or tokens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reason {
    /// One of the channel's documented words: `rate_limited`, `recipient_unreachable`, ….
    pub code: String,
    /// A sentence for people.
    pub detail: String,
    /// The provider's own code.
    pub provider_code: Option<String>,
}

impl Reason {
    /// Makes a reason without a provider's code.
    pub fn new(code: &str, detail: impl Into<String>) -> Reason {
        Reason {
            code: truncated(code.to_owned(), MAX_CODE_BYTES),
            detail: truncated(detail.into(), MAX_DETAIL_BYTES),
            provider_code: None,
        }
    }

    /// The reason of an attempt that was begun and whose outcome is not stored: its worker died or
    /// is still at work.
    #[must_use]
    pub fn outcome_unknown() -> Reason {
        Reason::new("outcome_unknown", "no answer of the provider has been written down")
    }

    /// Adds the provider's own code. A text that has not the form of a code is none: what stands in
    /// its place may be about the customer.
    #[must_use]
    pub fn with_provider_code(mut self, code: impl fmt::Display) -> Reason {
        let code = code.to_string();
        self.provider_code = is_code(&code).then_some(code);
        self
    }

    /// Returns the reason without its sentence, in which a provider may name the customer.
    #[must_use]
    pub fn without_detail(&self) -> Reason {
        Reason { detail: String::new(), ..self.clone() }
    }
}

/// True for a short number, a name, or several names: `131026`, `MessageRejected`,
/// `Permanent/General`.
fn is_code(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_number = (1..=MAX_CODE_DIGITS).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit());

    let is_name = || text.len() <= MAX_PROVIDER_CODE_BYTES && text.split('/').all(is_error_name);
    is_number || is_name()
}

/// True for a text that has the form of an error's name: letters, perhaps with dots between them.
/// Phone numbers, ids, tokens and keys have digits or are longer.
#[must_use]
pub fn is_error_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphabetic() || byte == b'.';
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.len() <= MAX_ERROR_NAME_BYTES
        && text.bytes().all(is_part)
}

fn truncated(mut text: String, max_bytes: usize) -> String {
    text.truncate(text.floor_char_boundary(max_bytes));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names a failure's kind, its word, and its wait in seconds.
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
            Failure::Away => ("away", "", None),
        }
    }

    #[test]
    fn every_bare_status_is_judged_by_whether_the_call_may_have_had_its_effect() {
        for status in 100..=999 {
            let expected = match status {
                303 => ("unknown", "provider_error", None),
                300..400 => ("channel", "channel_misconfigured", Some(60)),
                401 | 403 | 407 => ("channel", "not_permitted", Some(60)),
                404 | 405 | 410 => ("channel", "channel_misconfigured", Some(60)),
                408 | 421 | 425 => ("transient", "provider_error", None),
                429 => ("transient", "rate_limited", None),
                400..500 => ("permanent", "message_rejected", None),
                _ => ("unknown", "provider_error", None),
            };
            let failure = of_bare_status("WhatsApp", status, None);
            assert_eq!(shown(&failure), expected, "{status}");
        }
    }

    #[test]
    fn a_bare_status_asks_for_a_wait_and_names_no_code() {
        let asked =
            |status, seconds| of_bare_status("SES", status, Some(Duration::from_secs(seconds)));
        assert_eq!(shown(&asked(429, 9)).2, Some(9));
        assert_eq!(shown(&asked(403, 9)).2, Some(60));
        assert_eq!(shown(&asked(403, 600)).2, Some(600));

        let Failure::Unknown(reason) = of_bare_status("SES", 502, None) else {
            panic!("the outcome is unknown")
        };
        assert_eq!(reason.provider_code, None);
        assert_eq!(reason.detail, "SES failed (HTTP 502), and did not say why");
    }

    #[test]
    fn long_words_of_a_provider_are_cut() {
        let reason = Reason::new(&"c".repeat(1_000), "ä".repeat(1_000));
        assert_eq!((reason.code.len(), reason.detail.len()), (64, 256));
        assert_eq!(
            Reason::new("odd", format!("a{}", "ä".repeat(1_000))).detail.len(),
            255,
            "no letter is split"
        );
    }

    #[test]
    fn a_providers_code_is_a_short_number_or_a_name_and_nothing_about_people_or_keys() {
        let kept = |code: &dyn fmt::Display| Reason::new("odd", "").with_provider_code(code);
        for code in ["131026", "-1", "2494102", "MessageRejected", "Permanent/General"] {
            assert_eq!(kept(&code).provider_code.as_deref(), Some(code));
        }

        let key = "aB3dE6gH".repeat(8);
        let letters = "aBcdEfgH".repeat(8);
        let names = ["Permanent"; 7].join("/");
        for other in [
            "15551234567",
            "1234567890",
            "+1555",
            "anna@example.com",
            "pbk_8d0a1c526b1e4f0e9a3b2c6f6f1f3a10_x",
            "8d0a1c52-6b1e-4f0e-9a3b-2c6f6f1f3a10",
            "",
            "-",
            "/",
            ".",
            &key,
            &letters,
            &names,
        ] {
            assert_eq!(kept(&other).provider_code, None, "{other}");
        }
        assert_eq!(kept(&15_551_234_567_i64).provider_code, None);
    }
}
