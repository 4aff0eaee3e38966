//! One worker's round over a conversation it holds, as a state machine without any input or output.
//!
//! The worker does what it is told and says what came of it, until it is told to stop. Production's
//! worker does it with the table and a provider, the model of the protocol with plain values; what
//! is done next is decided here for both.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

use super::outcome::{Reason, SendOutcome};
use super::progress::{
    AfterAttempt, NextStep, OnUnknownOutcome, Progress, after_attempt, is_expired, next_step,
};
use super::rate_limit::{RateLimit, RateLimitState};
use super::status::Status;
use crate::id::Seq;

/// A message that keeps changing under the worker's hands this often is somebody else's by now.
const MOST_SURPRISES: u8 = 10;

/// After a pause, the conversations of a channel are looked at within so long, and not all at once:
/// the first finds out whether the channel is well again.
const SPREAD: TimeDelta = TimeDelta::seconds(30);

/// A pause may end before its time, and whoever ends it cannot know all the conversations that
/// wait: each looks again after so long, for the price of a claim. With [`SPREAD`] and the half
/// minute for which workers keep a channel's record that is five minutes.
const LOOK_AGAIN: TimeDelta = TimeDelta::minutes(4);

/// What the worker is to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Command {
    /// Read the next messages after this one; say [`Event::Messages`].
    Read(Seq),
    /// Announce an attempt; say [`Event::Marked`] or [`Event::Changed`].
    Mark(Seq),
    /// Hand the message, or its next part, to the provider; say [`Event::Answered`] or
    /// [`Event::TakenInPart`].
    HandOver(Seq),
    /// Write down what became of the message; say [`Event::Done`].
    Settle(Seq, Settlement),
    /// Put the message back; say [`Event::Done`], [`Event::Changed`] or [`Event::LeaseLost`].
    Requeue {
        /// Which message.
        seq: Seq,
        /// `queued` or `in_doubt`.
        status: Status,
        /// Why; nothing is wrong if the customer is away.
        reason: Option<Reason>,
        /// Whether the attempt counts.
        counted: bool,
    },
    /// Move the conversation past the message; say [`Event::Done`] or [`Event::LeaseLost`].
    Advance(Seq),
    /// Let go of a conversation that has nothing left; say [`Event::Done`], [`Event::Changed`] or
    /// [`Event::LeaseLost`].
    Release,
    /// Have nothing sent on the channel until then; say [`Event::Done`].
    Pause(DateTime<Utc>),
    /// Let go until then, and ring then; say [`Event::Done`].
    Postpone(DateTime<Utc>),
    /// Let go until then, or until the customer is back; say [`Event::Done`] or, if they are back,
    /// [`Event::Changed`].
    Park(DateTime<Utc>),
    /// The round is over.
    Stop(RoundOutcome),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Event {
    /// The round begins.
    Begun,
    /// What was read: the next messages in order, or none.
    Messages(Vec<(Seq, Progress)>),
    /// The attempt is announced; the message as it is now.
    Marked(Progress),
    /// What the provider answered.
    Answered(SendOutcome),
    /// The provider took a part of the message, and the rest is still to come. That is written
    /// down, and the message put back with it; the message as it is now.
    TakenInPart(Progress),
    /// It was done.
    Done,
    /// It was not: the message or the conversation is not what it was any more.
    Changed,
    /// It was not: the conversation is somebody else's.
    LeaseLost,
    /// There is no time left to begin an attempt.
    OutOfTime,
}

/// How a message leaves the worker's hands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Settlement {
    /// The provider took it.
    Sent {
        /// The provider's id of it.
        provider_id: Option<String>,
    },
    /// The provider never will.
    Failed(Reason),
    /// It has had all its chances; a copy goes to the dead-letter queue first.
    GivenUp(Reason),
}

/// What came of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RoundOutcome {
    /// Everything is settled, and the conversation is out of the outbox.
    Settled,
    /// Somebody else holds it and will see what is new.
    Held,
    /// It is not time yet; another doorbell will ring.
    NotYet,
    /// Something has to wait; another doorbell will ring.
    Postponed,
    /// The lease was over before the work was; a successor goes on.
    LeaseLost,
}

/// What a round goes by: the channel's rules, and how the channel is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DeliveryPolicy {
    /// How long a message whose fate is unknown waits for a receipt ([`crate::Channel::receipt_timeout`]).
    pub receipt_timeout: TimeDelta,
    /// What to do when that was in vain.
    pub on_unknown_outcome: OnUnknownOutcome,
    /// How fast messages may follow each other ([`crate::Channel::rate_limit`]).
    pub rate_limit: RateLimit,
    /// How many messages are handed over before it is another conversation's turn.
    pub max_messages: u32,
    /// Until when nothing is sent on the channel.
    pub paused_until: Option<DateTime<Utc>>,
}

/// A round in progress.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Round {
    settled: Seq,
    queue: VecDeque<(Seq, Progress)>,
    awaiting: Awaiting,
    surprises: u8,
    begun: u32,
    rate_limit_state: Option<RateLimitState>,
    policy: DeliveryPolicy,
}

/// What the worker was told last, as far as its answer needs it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Awaiting {
    Beginning,
    Reading,
    Marking,
    HandingOver,
    Settling,
    /// Putting a message back; then the conversation is let go.
    Requeueing(AfterRequeue),
    Advancing,
    Releasing,
    Pausing(DateTime<Utc>),
    LettingGo,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum AfterRequeue {
    Postpone(DateTime<Utc>),
    Park(DateTime<Utc>),
    Pause(DateTime<Utc>),
}

impl Round {
    /// A round over a conversation whose messages are settled up to `settled` and which has used so
    /// much of its pace.
    #[must_use]
    pub fn new(
        settled: Seq,
        rate_limit_state: Option<RateLimitState>,
        policy: DeliveryPolicy,
    ) -> Round {
        let (queue, awaiting) = (VecDeque::new(), Awaiting::Beginning);
        Round { settled, queue, awaiting, surprises: 0, begun: 0, rate_limit_state, policy }
    }

    /// How much of its pace the conversation has used by now.
    #[must_use]
    pub fn rate_limit_state(&self) -> Option<RateLimitState> {
        self.rate_limit_state
    }

    /// What to do next, given what came of the last; `jitter` is uniform in `0.0..1.0`.
    ///
    /// # Panics
    /// If `event` does not answer the last command.
    #[must_use]
    pub fn next(&mut self, event: Event, now: DateTime<Utc>, jitter: f64) -> Command {
        match (std::mem::replace(&mut self.awaiting, Awaiting::Beginning), event) {
            (Awaiting::Beginning, Event::Begun) => self.read(),
            (Awaiting::Reading, Event::Messages(messages)) if messages.is_empty() => {
                self.tell(Awaiting::Releasing, Command::Release)
            }
            (Awaiting::Reading, Event::Messages(messages)) => {
                self.queue = messages.into();
                self.look(now, jitter)
            }
            (Awaiting::Marking, Event::Marked(progress)) => {
                self.begun += 1;
                self.rate_limit_state =
                    self.policy.rate_limit.after_send(self.rate_limit_state, now);
                let seq = self.is_now(progress);
                self.tell(Awaiting::HandingOver, Command::HandOver(seq))
            }
            // The next part is attempted like a message of its own: when the pace allows it.
            (Awaiting::HandingOver, Event::TakenInPart(progress)) => {
                self.is_now(progress);
                self.look(now, jitter)
            }
            (Awaiting::Marking, Event::OutOfTime) => {
                self.tell(Awaiting::LettingGo, Command::Postpone(now))
            }
            (Awaiting::HandingOver, Event::Answered(outcome)) => self.judge(outcome, now, jitter),
            (Awaiting::Settling, Event::Done) => {
                let (seq, _) = self.queue.front().expect("the message that was settled");
                let command = Command::Advance(*seq);
                self.tell(Awaiting::Advancing, command)
            }
            (Awaiting::Requeueing(AfterRequeue::Postpone(at)), Event::Done) => {
                self.tell(Awaiting::LettingGo, Command::Postpone(at))
            }
            (Awaiting::Requeueing(AfterRequeue::Park(at)), Event::Done) => {
                self.tell(Awaiting::LettingGo, Command::Park(at))
            }
            (Awaiting::Requeueing(AfterRequeue::Pause(at)), Event::Done) => {
                self.tell(Awaiting::Pausing(at), Command::Pause(at))
            }
            // Without a spread: whoever found out is the first to try again, unless all look before
            // the pause ends.
            (Awaiting::Pausing(at), Event::Done) => {
                self.tell(Awaiting::LettingGo, Command::Postpone(next_look(at, now)))
            }
            (Awaiting::Advancing, Event::Done) => {
                let (seq, _) = self.queue.pop_front().expect("the message that was moved past");
                self.settled = seq;
                if self.queue.is_empty() { self.read() } else { self.look(now, jitter) }
            }
            (Awaiting::Releasing, Event::Done) => Command::Stop(RoundOutcome::Settled),
            (Awaiting::Releasing, Event::Changed) => self.read(),
            (Awaiting::LettingGo, Event::Done) => Command::Stop(RoundOutcome::Postponed),
            // A receipt may have settled a message that was to be put back: then the next one need
            // not wait for it.
            (Awaiting::Marking | Awaiting::Requeueing(_) | Awaiting::LettingGo, Event::Changed) => {
                self.look_again()
            }
            (_, Event::LeaseLost) => Command::Stop(RoundOutcome::LeaseLost),
            (awaiting, event) => panic!("{event:?} does not answer {awaiting:?}"),
        }
    }

    fn tell(&mut self, awaiting: Awaiting, command: Command) -> Command {
        self.awaiting = awaiting;
        command
    }

    fn read(&mut self) -> Command {
        self.queue.clear();
        self.tell(Awaiting::Reading, Command::Read(self.settled))
    }

    /// The message in hand is this far.
    fn is_now(&mut self, progress: Progress) -> Seq {
        let (seq, first) = self.queue.front_mut().expect("the message in hand");
        *first = progress;
        *seq
    }

    /// Receipts and returning customers change a message a few times; a successor, for good.
    fn look_again(&mut self) -> Command {
        self.surprises += 1;
        if self.surprises > MOST_SURPRISES {
            Command::Stop(RoundOutcome::LeaseLost)
        } else {
            self.read()
        }
    }

    /// Decides about the message whose turn it is.
    fn look(&mut self, now: DateTime<Utc>, jitter: f64) -> Command {
        let (seq, progress) = self.queue.front().expect("somebody's turn").clone();
        match next_step(&progress, self.policy.receipt_timeout, self.policy.on_unknown_outcome, now)
        {
            NextStep::Done => self.tell(Awaiting::Advancing, Command::Advance(seq)),
            NextStep::Attempt => match self.begins(now, jitter) {
                AttemptStart::Now => self.tell(Awaiting::Marking, Command::Mark(seq)),
                AttemptStart::Paused(_) if is_expired(&progress, now) => {
                    let reason =
                        Reason::new("channel_paused", "the channel could not be used for 24 hours");
                    self.tell(Awaiting::Settling, Command::Settle(seq, Settlement::GivenUp(reason)))
                }
                AttemptStart::Paused(at) | AttemptStart::Later(at) => {
                    self.tell(Awaiting::LettingGo, Command::Postpone(at))
                }
            },
            NextStep::GiveUp(reason) => {
                self.tell(Awaiting::Settling, Command::Settle(seq, Settlement::GivenUp(reason)))
            }
            NextStep::AwaitReceipt(at) if progress.status == Status::Sending => {
                let (status, reason) = (Status::InDoubt, Some(Reason::outcome_unknown()));
                let command = Command::Requeue { seq, status, reason, counted: true };
                self.tell(Awaiting::Requeueing(AfterRequeue::Postpone(at)), command)
            }
            NextStep::AwaitReceipt(at) => self.tell(Awaiting::LettingGo, Command::Postpone(at)),
        }
    }

    /// When the next attempt may begin, whichever message it is for.
    fn begins(&self, now: DateTime<Utc>, jitter: f64) -> AttemptStart {
        let DeliveryPolicy { rate_limit, max_messages, paused_until, .. } = &self.policy;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "at most half a minute in milliseconds"
        )]
        let spread = TimeDelta::milliseconds((SPREAD.num_milliseconds() as f64 * jitter) as i64);
        match (paused_until, rate_limit.earliest(self.rate_limit_state)) {
            (Some(until), _) if now < *until => {
                AttemptStart::Paused(next_look(*until, now) + spread)
            }
            (_, Some(earliest)) if now < earliest => AttemptStart::Later(earliest),
            _ if self.begun >= *max_messages => AttemptStart::Later(now),
            _ => AttemptStart::Now,
        }
    }

    /// Decides by what the provider answered.
    fn judge(&mut self, outcome: SendOutcome, now: DateTime<Utc>, jitter: f64) -> Command {
        let (seq, progress) = self.queue.front().expect("the message that was handed over").clone();
        match after_attempt(outcome, &progress, self.policy.receipt_timeout, now, jitter) {
            AfterAttempt::Sent(accepted) => {
                let settlement = Settlement::Sent { provider_id: accepted.provider_id };
                self.tell(Awaiting::Settling, Command::Settle(seq, settlement))
            }
            AfterAttempt::Failed(reason) => {
                self.tell(Awaiting::Settling, Command::Settle(seq, Settlement::Failed(reason)))
            }
            AfterAttempt::Later { status, at, reason } => {
                let command = Command::Requeue { seq, status, reason: Some(reason), counted: true };
                self.tell(Awaiting::Requeueing(AfterRequeue::Postpone(at)), command)
            }
            AfterAttempt::Away(at) => {
                let command =
                    Command::Requeue { seq, status: Status::Queued, reason: None, counted: false };
                self.tell(Awaiting::Requeueing(AfterRequeue::Park(at)), command)
            }
            AfterAttempt::Pause { at, reason } => {
                let command = Command::Requeue {
                    seq,
                    status: Status::Queued,
                    reason: Some(reason),
                    counted: false,
                };
                self.tell(Awaiting::Requeueing(AfterRequeue::Pause(at)), command)
            }
        }
    }
}

/// When a conversation that waits for the end of a pause is looked at.
fn next_look(until: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    until.min(now + LOOK_AGAIN)
}

/// When an attempt may begin.
enum AttemptStart {
    Now,
    /// The channel is paused: look again then.
    Paused(DateTime<Utc>),
    /// Not before: it is too early, or another conversation's turn.
    Later(DateTime<Utc>),
}

#[cfg(test)]
mod tests;
