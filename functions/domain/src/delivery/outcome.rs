//! What a provider can answer. The variant of a failure *is* the policy: nothing else is asked of the channels.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// What came of handing one message to a provider.
pub type Outcome = Result<Accepted, Failure>;

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
    /// The request left and no answer came. The provider may have the message.
    Unknown(Reason),
    /// The customer is away (live chat only); the message waits for their return and no attempt is counted.
    Away,
}

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
        Reason { code: code.to_owned(), detail: detail.into(), provider_code: None }
    }

    /// Adds what the provider called it.
    #[must_use]
    pub fn with_provider_code(mut self, code: impl fmt::Display) -> Reason {
        self.provider_code = Some(code.to_string());
        self
    }
}
