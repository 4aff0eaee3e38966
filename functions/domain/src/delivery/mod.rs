//! Delivering a message: whose turn it is, what comes next, and what a provider's answer means.
//!
//! The conversation is the queue: its messages stand in `seq` order, `settled_seq` is the last one
//! that the provider took or that ended. A worker holds the conversation by a lease with a fence,
//! sends what is not settled, one after the other, and lets go.

mod history;
mod lease;
mod outcome;
mod pace;
mod parts;
mod progress;
mod receipt;
mod round;
pub mod ses;
mod status;
pub mod stored;
mod thread;
pub mod whatsapp;

pub use history::{Attempt, Ending, FIRST_TOLD, History, LAST_TOLD};
pub use lease::{Claim, Lease, Turn, claim};
pub use outcome::{Accepted, Failure, LONGEST_WORDS, Outcome, Reason};
pub use pace::{Pace, Paced};
pub use parts::{Part, Parts};
pub use progress::{
    Doubt, MAX_AGE, MAX_ATTEMPTS, MAX_DOUBTS, Progress, Ruling, Step, next_step, rule,
};
pub use receipt::{NotAReference, Receipt, Reference, Reported};
pub use round::{Command, Event, Heard, Round, Settlement, Terms};
pub use status::Status;
pub use thread::{KEPT, Thread};
