//! What a provider can answer. The variant of a failure *is* the policy: nothing else is asked of
//! the channels.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What came of handing one message to a provider.
pub type SendOutcome = Result<Accepted, Failure>;

/// The provider has the message and answers for it from now on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Accepted {
    /// The provider's own id of the message, if it gives one; receipts come with it.
    pub provider_id: Option<String>,
}

/// The provider did not take the message, or did not say so.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Failure {
    /// It never will: the message ends `failed`, the next one proceeds.
    Permanent(Reason),
    /// It may later: the message is tried again, never before `retry_after`.
    Transient {
        /// Why.
        reason: Reason,
        /// What the provider asked for, if it did.
        retry_after: Option<Duration>,
    },
    /// It takes nothing on this channel, whatever the message is: the token has expired, the
    /// account is suspended. The whole channel waits, and no attempt is counted for what says
    /// nothing about the message.
    ChannelDown {
        /// Why.
        reason: Reason,
        /// For how long the channel is left alone.
        wait: Duration,
    },
    /// The request left and no answer came. The provider may have the message.
    Unknown(Reason),
    /// The customer is away (live chat only); the message waits for their return and no attempt is
    /// counted.
    Away,
}

/// Whether trying again can help: what a provider's table says of each of its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FailureKind {
    Permanent,
    Transient,
    /// Transient, but not before so many seconds: nothing but time, or somebody who does something,
    /// helps.
    Wait(u64),
    /// The same, and it is so for every message of the channel, until somebody mends it.
    ChannelWide(u64),
}

impl FailureKind {
    /// What a call failed with for this reason, if its answer perhaps asks for a wait itself.
    pub(super) fn failure(self, reason: Reason, asked: Option<Duration>) -> Failure {
        let at_least = |seconds| Duration::from_secs(seconds).max(asked.unwrap_or_default());
        match self {
            FailureKind::Permanent => Failure::Permanent(reason),
            FailureKind::Transient => Failure::Transient { reason, retry_after: asked },
            FailureKind::Wait(seconds) => {
                Failure::Transient { reason, retry_after: Some(at_least(seconds)) }
            }
            FailureKind::ChannelWide(seconds) => {
                Failure::ChannelDown { reason, wait: at_least(seconds) }
            }
        }
    }
}

/// The longest [`Reason::code`], [`Reason::detail`] and [`Reason::provider_code`], in bytes; what
/// is longer is cut. A provider's words are kept with the message, once for each attempt, and must
/// not fill its item.
pub const LONGEST_WORDS: (usize, usize, usize) = (64, 256, 64);

/// Why a message was not taken, as the API shows it. Never holds text, addresses or tokens.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reason {
    /// One of the channel's documented words: `rate_limited`, `recipient_unreachable`, ….
    pub code: String,
    /// For people.
    pub detail: String,
    /// What the provider called it.
    pub provider_code: Option<String>,
}

impl Reason {
    /// A reason that the provider gave no code for.
    pub fn new(code: &str, detail: impl Into<String>) -> Reason {
        let (longest_code, longest_detail, _) = LONGEST_WORDS;
        let (code, detail) =
            (cut(code.to_owned(), longest_code), cut(detail.into(), longest_detail));
        Reason { code, detail, provider_code: None }
    }

    /// An attempt was begun, and what came of it is not written down: a worker died over it, or is
    /// at it.
    #[must_use]
    pub fn outcome_unknown() -> Reason {
        Reason::new("outcome_unknown", "no answer of the provider has been written down")
    }

    /// Adds what the provider called it.
    #[must_use]
    pub fn with_provider_code(mut self, code: impl fmt::Display) -> Reason {
        self.provider_code = Some(cut(code.to_string(), LONGEST_WORDS.2));
        self
    }
}

fn cut(mut text: String, longest: usize) -> String {
    text.truncate(text.floor_char_boundary(longest));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_that_talks_too_much_is_cut_short() {
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
