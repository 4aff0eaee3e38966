//! The outcome of handing a message to a provider. The variant of a [`Failure`] *is* the retry
//! policy; the worker asks a channel nothing else.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The outcome of handing one message to a provider.
pub type SendOutcome = Result<Accepted, Failure>;

/// The provider has the message and is responsible for it from now on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Accepted {
    /// The provider's own id of the message, if it gives one; receipts name it.
    pub provider_id: Option<String>,
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

/// The longest [`Reason::code`], in bytes. A longer text is cut, here and in the next two: the
/// provider's words are stored with the message, once for each attempt, and must not fill its item.
pub const MAX_CODE_BYTES: usize = 64;

/// The longest [`Reason::detail`], in bytes.
pub const MAX_DETAIL_BYTES: usize = 256;

/// The longest [`Reason::provider_code`], in bytes.
pub const MAX_PROVIDER_CODE_BYTES: usize = 64;

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

    /// Adds the provider's own code.
    #[must_use]
    pub fn with_provider_code(mut self, code: impl fmt::Display) -> Reason {
        self.provider_code = Some(truncated(code.to_string(), MAX_PROVIDER_CODE_BYTES));
        self
    }
}

fn truncated(mut text: String, max_bytes: usize) -> String {
    text.truncate(text.floor_char_boundary(max_bytes));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_of_a_provider_are_cut() {
        let reason = Reason::new(&"c".repeat(1_000), "ä".repeat(1_000))
            .with_provider_code("x".repeat(1_000));
        let lengths =
            (reason.code.len(), reason.detail.len(), reason.provider_code.map(|code| code.len()));
        assert_eq!(lengths, (64, 256, Some(64)));
        assert_eq!(
            Reason::new("odd", format!("a{}", "ä".repeat(1_000))).detail.len(),
            255,
            "no letter is split"
        );
    }
}
