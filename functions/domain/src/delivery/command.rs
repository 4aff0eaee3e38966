//! The commands that a worker gets during a [`Round`](super::Round), and the events it reports.

use chrono::{DateTime, TimeDelta, Utc};

use super::outcome::{Reason, SendOutcome};
use super::progress::{OnUnknownOutcome, Progress};
use super::status::Status;
use crate::PrivateText;
use crate::id::Seq;
use crate::rate_limit::RateLimit;

/// The next thing that the worker has to do, with the events that may answer it. Whatever releases
/// the conversation also moves it past the messages that the round has passed
/// ([`Round::settled_seq`](super::Round::settled_seq)).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Command {
    /// Read the next messages after this one. Answer: [`Event::Messages`].
    Read(Seq),
    /// Announce an attempt. Answer: [`Event::Marked`], [`Event::Changed`] or [`Event::OutOfTime`].
    Mark(Seq),
    /// Hand the message, or its next part, to the provider. Answer: [`Event::Answered`] or
    /// [`Event::TakenInPart`].
    HandOver(Seq),
    /// Store the outcome of the message. Answer: [`Event::Done`].
    Settle(Seq, Settlement),
    /// Put the message back. Answer: [`Event::Done`], [`Event::Changed`] or [`Event::LeaseLost`].
    Requeue {
        /// The message.
        seq: Seq,
        /// Its new status: `queued` or `in_doubt`.
        status: Status,
        /// The cause; `None` if the customer is away.
        reason: Option<Reason>,
        /// Whether the attempt counts.
        counted: bool,
    },
    /// Release a conversation that has no message left. Answer: [`Event::Done`],
    /// [`Event::Changed`] or [`Event::LeaseLost`].
    Release,
    /// Pause the channel until this time. Answer: [`Event::Done`].
    Pause(DateTime<Utc>),
    /// Release the conversation until this time, and have the doorbell ring then. Answer:
    /// [`Event::Done`] or [`Event::Changed`].
    Postpone(DateTime<Utc>),
    /// Release the conversation until this time, or until the customer is back. Answer:
    /// [`Event::Done`] or, if they are back, [`Event::Changed`].
    Park(DateTime<Utc>),
    /// The round is over.
    Stop(RoundOutcome),
}

/// The outcome of a [`Command`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Event {
    /// The round begins.
    Begun,
    /// The messages that were read.
    Messages {
        /// In order; empty if there are none.
        messages: Vec<(Seq, Progress)>,
        /// Whether there were, or may have been, others behind them.
        has_more: bool,
    },
    /// The attempt is announced; this is the message's new state.
    Marked(Progress),
    /// The provider's answer.
    Answered(SendOutcome),
    /// The provider took a part of the message, and other parts are left. The worker has stored
    /// that and put the message back in the same write; this is the message's new state.
    TakenInPart(Progress),
    /// The command was executed.
    Done,
    /// The write was refused: the message or the conversation has changed since it was read.
    Changed,
    /// The write was refused: another worker holds the conversation.
    LeaseLost,
    /// The lease or the invocation leaves no time for an attempt.
    OutOfTime,
}

/// The outcome with which a worker settles a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Settlement {
    /// The provider took it.
    Sent {
        /// The provider's id of the message.
        provider_id: Option<PrivateText>,
    },
    /// The provider will never take it.
    Failed(Reason),
    /// Its attempts or its time are used up; a copy goes to the dead-letter queue first.
    GivenUp(Reason),
}

/// The outcome of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RoundOutcome {
    /// Every message is settled, and the conversation has left the outbox.
    Settled,
    /// Another worker holds the conversation and will see new messages.
    Held,
    /// Nothing may be sent yet; another doorbell will ring.
    NotYet,
    /// A message has to wait; another doorbell will ring.
    Postponed,
    /// The lease ended before the work did; another worker goes on.
    LeaseLost,
}

/// The rules of a round: the channel's limits and settings, and whether it is paused.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DeliveryPolicy {
    /// How long a message in doubt waits for a receipt ([`crate::Channel::receipt_timeout`]).
    pub receipt_timeout: TimeDelta,
    /// The policy when no receipt came by then.
    pub on_unknown_outcome: OnUnknownOutcome,
    /// How fast messages may follow each other ([`crate::Channel::rate_limit`]).
    pub rate_limit: RateLimit,
    /// How many messages are handed over before other conversations go first.
    pub max_messages: u32,
    /// The end of the channel's pause, if it is paused.
    pub paused_until: Option<DateTime<Utc>>,
}
