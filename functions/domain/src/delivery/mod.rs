//! Delivering a message: which worker holds its conversation, what the worker does next, and how a
//! provider's answer changes the message.
//!
//! The conversation is the queue: its messages stand in `seq` order, and `settled_seq` is the last
//! one that the provider took or that ended `failed`. A worker claims the conversation with a lease
//! and a fence ([`claim`]), sends the messages that are not settled one after the other
//! ([`Round`]), and releases the conversation. Each of its writes is a conditional transition
//! ([`transitions`]).

mod command;
mod history;
mod lease;
mod outcome;
mod parts;
mod progress;
mod receipt;
mod reference;
mod round;
mod standing;
mod status;
mod thread;
pub mod transitions;

pub use command::{Command, DeliveryPolicy, Event, RoundOutcome, Settlement};
pub use history::{Attempt, AttemptOutcome, FIRST_ATTEMPTS_KEPT, History, LAST_ATTEMPTS_KEPT};
pub use lease::{ClaimOutcome, ConversationState, Lease, claim};
pub(crate) use outcome::FailureKind;
pub use outcome::{
    Accepted, Failure, MAX_CODE_BYTES, MAX_DETAIL_BYTES, MAX_PROVIDER_CODE_BYTES, Reason,
    SendOutcome, is_error_name, of_bare_status,
};
pub use parts::{Part, Parts};
pub use progress::{
    AWAY_RETRY_INTERVAL, AfterAttempt, MAX_AGE, MAX_ATTEMPTS, MAX_BACKOFF, MAX_UNKNOWN_OUTCOMES,
    NextStep, OnUnknownOutcome, Progress, after_attempt, next_step,
};
pub use receipt::{Receipt, ReportedStatus};
pub use reference::{InvalidReference, MessageReference, PROOF_TAG_NAME};
pub use round::{PAUSE_CHECK_INTERVAL, RESUME_SPREAD, Round};
pub use standing::Standing;
pub use status::Status;
pub use thread::{MAX_THREAD_NAMES, Thread};
