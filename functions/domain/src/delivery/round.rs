//! One worker's round over a conversation it holds, as a state machine without input or output.
//!
//! The worker executes a [`Command`], reports its outcome as an [`Event`], and gets the next
//! command, until it is told to stop. In production the worker executes commands with the table and
//! a provider; the model of the protocol executes them with plain values. Both ask the same
//! [`Round`] for the next command.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

use super::command::{Command, DeliveryPolicy, Event, RoundOutcome, Settlement};
use super::outcome::{Reason, SendOutcome};
use super::progress::{AfterAttempt, NextStep, Progress, after_attempt, is_expired, next_step};
use super::status::Status;
use crate::id::Seq;
use crate::rate_limit::RateLimitState;

/// The most times that a message or the conversation may change before the round moves past a
/// message; then another worker must hold the conversation by now.
const MAX_CHANGES: u8 = 10;

/// The time over which the conversations of a channel become due after a pause, so that the first
/// one finds out whether the channel works again.
pub const RESUME_SPREAD: TimeDelta = TimeDelta::seconds(30);

/// How often a waiting conversation checks whether the channel is still paused. An operator may end
/// a pause early and cannot know all conversations that wait for it, so each checks, for the price
/// of a claim. With [`RESUME_SPREAD`] and the half minute for which workers cache a channel's
/// record, an early end takes effect within five minutes.
pub const PAUSE_CHECK_INTERVAL: TimeDelta = TimeDelta::minutes(4);

/// A round in progress.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Round {
    /// The last message that was passed.
    settled_seq: Seq,
    /// Messages that were read and are not settled; the first is the current one.
    queue: VecDeque<(Seq, Progress)>,
    /// Whether there may be others behind those that were read.
    has_more: bool,
    awaiting: Awaiting,
    /// How often a message or the conversation changed since the round moved past a message.
    changes: u8,
    attempts_begun: u32,
    rate_limit_state: Option<RateLimitState>,
    policy: DeliveryPolicy,
}

/// The command whose outcome the round awaits, as far as the next decision depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Awaiting {
    Beginning,
    Reading,
    Marking,
    HandingOver,
    Settling,
    /// The message is put back; then the conversation is released for a time.
    Requeueing(AfterRequeue),
    Releasing,
    Pausing(DateTime<Utc>),
    /// The conversation is postponed or parked.
    Postponing,
}

/// The command that follows once the message is put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum AfterRequeue {
    Postpone(DateTime<Utc>),
    Park(DateTime<Utc>),
    Pause(DateTime<Utc>),
}

impl Round {
    /// Begins a round over a conversation whose messages are settled up to `settled_seq`;
    /// `rate_limit_state` says how much of its rate limit it has used.
    #[must_use]
    pub fn new(
        settled_seq: Seq,
        rate_limit_state: Option<RateLimitState>,
        policy: DeliveryPolicy,
    ) -> Round {
        Round {
            settled_seq,
            queue: VecDeque::new(),
            has_more: false,
            awaiting: Awaiting::Beginning,
            changes: 0,
            attempts_begun: 0,
            rate_limit_state,
            policy,
        }
    }

    /// Returns the last message that is settled and has no unsettled one before it. The write that
    /// releases the conversation stores it; a worker that takes over from one that died before that
    /// passes settled messages itself.
    #[must_use]
    pub fn settled_seq(&self) -> Seq {
        self.settled_seq
    }

    /// Returns how much of its rate limit the conversation has used by now.
    #[must_use]
    pub fn rate_limit_state(&self) -> Option<RateLimitState> {
        self.rate_limit_state
    }

    /// Returns the next command, given the outcome of the last one; `jitter` is uniform in
    /// `0.0..1.0`.
    ///
    /// # Panics
    /// If `event` does not answer the last command.
    #[must_use]
    pub fn next(&mut self, event: Event, now: DateTime<Utc>, jitter: f64) -> Command {
        let awaiting = std::mem::replace(&mut self.awaiting, Awaiting::Beginning);
        match (awaiting, event) {
            (_, Event::LeaseLost) => Command::Stop(RoundOutcome::LeaseLost),

            (Awaiting::Beginning, Event::Begun) => self.read(),
            (Awaiting::Reading, Event::Messages { messages, .. }) if messages.is_empty() => {
                self.issue(Command::Release, Awaiting::Releasing)
            }
            (Awaiting::Reading, Event::Messages { messages, has_more }) => {
                self.queue = messages.into();
                self.has_more = has_more;
                self.decide_current(now, jitter)
            }

            (Awaiting::Marking, Event::Marked(progress)) => {
                self.attempts_begun += 1;
                self.rate_limit_state =
                    self.policy.rate_limit.after_use(self.rate_limit_state, now);
                let seq = self.update_current(progress);
                self.issue(Command::HandOver(seq), Awaiting::HandingOver)
            }
            (Awaiting::Marking, Event::OutOfTime) => self.postpone(now),

            (Awaiting::HandingOver, Event::Answered(outcome)) => {
                self.decide_after_attempt(outcome, now, jitter)
            }
            // The next part is attempted like a message of its own: when the rate limit allows it.
            (Awaiting::HandingOver, Event::TakenInPart(progress)) => {
                self.update_current(progress);
                self.decide_current(now, jitter)
            }

            (Awaiting::Settling, Event::Done) => self.pass_current(now, jitter),

            (Awaiting::Requeueing(AfterRequeue::Postpone(at)), Event::Done) => self.postpone(at),
            (Awaiting::Requeueing(AfterRequeue::Park(at)), Event::Done) => {
                self.issue(Command::Park(at), Awaiting::Postponing)
            }
            (Awaiting::Requeueing(AfterRequeue::Pause(at)), Event::Done) => {
                self.issue(Command::Pause(at), Awaiting::Pausing(at))
            }
            // Without the spread: this conversation tries first when the pause ends, unless the
            // others check before that.
            (Awaiting::Pausing(at), Event::Done) => self.postpone(next_pause_check(at, now)),

            (Awaiting::Postponing, Event::Done) => Command::Stop(RoundOutcome::Postponed),
            (Awaiting::Releasing, Event::Done) => Command::Stop(RoundOutcome::Settled),

            // A receipt may have settled a message that was to be put back: then the next one need
            // not wait for it. A message may have come before the release.
            (
                Awaiting::Marking
                | Awaiting::Requeueing(_)
                | Awaiting::Postponing
                | Awaiting::Releasing,
                Event::Changed,
            ) => self.read_again(),

            (awaiting, event) => panic!("{event:?} does not answer {awaiting:?}"),
        }
    }

    fn issue(&mut self, command: Command, awaiting: Awaiting) -> Command {
        self.awaiting = awaiting;
        command
    }

    fn postpone(&mut self, at: DateTime<Utc>) -> Command {
        self.issue(Command::Postpone(at), Awaiting::Postponing)
    }

    fn give_up(&mut self, seq: Seq, reason: Reason) -> Command {
        self.issue(Command::Settle(seq, Settlement::GivenUp(reason)), Awaiting::Settling)
    }

    fn read(&mut self) -> Command {
        self.queue.clear();
        self.issue(Command::Read(self.settled_seq), Awaiting::Reading)
    }

    /// Reads again after a change. Receipts and returning customers change a message a few times;
    /// more changes than that come from another worker.
    fn read_again(&mut self) -> Command {
        self.changes += 1;
        if self.changes > MAX_CHANGES {
            Command::Stop(RoundOutcome::LeaseLost)
        } else {
            self.read()
        }
    }

    /// Passes the current message, which is settled. Behind the last one the conversation is
    /// released: that it has no other message is the write's own condition.
    fn pass_current(&mut self, now: DateTime<Utc>, jitter: f64) -> Command {
        (self.settled_seq, _) = self.queue.pop_front().expect("the current message");
        self.changes = 0;
        match self.queue.is_empty() {
            false => self.decide_current(now, jitter),
            true if self.has_more => self.read(),
            true => self.issue(Command::Release, Awaiting::Releasing),
        }
    }

    /// The first message that is not settled.
    fn current(&self) -> (Seq, Progress) {
        self.queue.front().expect("the current message").clone()
    }

    /// Replaces the state of the current message.
    fn update_current(&mut self, progress: Progress) -> Seq {
        let (seq, current) = self.queue.front_mut().expect("the current message");
        *current = progress;
        *seq
    }

    /// Decides what to do with the current message.
    fn decide_current(&mut self, now: DateTime<Utc>, jitter: f64) -> Command {
        let (seq, progress) = self.current();
        let DeliveryPolicy { receipt_timeout, on_unknown_outcome, .. } = self.policy;

        match next_step(&progress, receipt_timeout, on_unknown_outcome, now) {
            NextStep::Done => self.pass_current(now, jitter),
            NextStep::Attempt => match self.attempt_start(now, jitter) {
                AttemptStart::Now => self.issue(Command::Mark(seq), Awaiting::Marking),
                AttemptStart::Paused(_) if is_expired(&progress, now) => {
                    let detail = "the channel could not be used for 24 hours";
                    self.give_up(seq, Reason::new("channel_paused", detail))
                }
                AttemptStart::Paused(at) | AttemptStart::Later(at) => self.postpone(at),
            },
            NextStep::GiveUp(reason) => self.give_up(seq, reason),
            NextStep::AwaitReceipt(at) if progress.status == Status::Sending => {
                let command = Command::Requeue {
                    seq,
                    status: Status::InDoubt,
                    reason: Some(Reason::outcome_unknown()),
                    counted: true,
                };
                self.issue(command, Awaiting::Requeueing(AfterRequeue::Postpone(at)))
            }
            NextStep::AwaitReceipt(at) => self.postpone(at),
        }
    }

    /// Returns when the next attempt may begin, for any message of the conversation.
    fn attempt_start(&self, now: DateTime<Utc>, jitter: f64) -> AttemptStart {
        let DeliveryPolicy { rate_limit, max_messages, paused_until, .. } = &self.policy;

        if let Some(until) = paused_until.filter(|until| now < *until) {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "at most half a minute in milliseconds"
            )]
            let spread_millis = (RESUME_SPREAD.num_milliseconds() as f64 * jitter) as i64;
            let spread = TimeDelta::milliseconds(spread_millis);
            return AttemptStart::Paused(next_pause_check(until, now) + spread);
        }

        match rate_limit.earliest(self.rate_limit_state) {
            Some(earliest) if now < earliest => AttemptStart::Later(earliest),
            _ if self.attempts_begun >= *max_messages => AttemptStart::Later(now),
            _ => AttemptStart::Now,
        }
    }

    /// Decides what follows from the provider's answer about the current message.
    fn decide_after_attempt(
        &mut self,
        outcome: SendOutcome,
        now: DateTime<Utc>,
        jitter: f64,
    ) -> Command {
        let (seq, progress) = self.current();

        match after_attempt(outcome, &progress, self.policy.receipt_timeout, now, jitter) {
            AfterAttempt::Sent(accepted) => {
                let settlement = Settlement::Sent { provider_id: accepted.provider_id };
                self.issue(Command::Settle(seq, settlement), Awaiting::Settling)
            }
            AfterAttempt::Failed(reason) => {
                self.issue(Command::Settle(seq, Settlement::Failed(reason)), Awaiting::Settling)
            }
            AfterAttempt::Later { status, at, reason } => {
                let command = Command::Requeue { seq, status, reason: Some(reason), counted: true };
                self.issue(command, Awaiting::Requeueing(AfterRequeue::Postpone(at)))
            }
            AfterAttempt::Away(at) => {
                let command =
                    Command::Requeue { seq, status: Status::Queued, reason: None, counted: false };
                self.issue(command, Awaiting::Requeueing(AfterRequeue::Park(at)))
            }
            AfterAttempt::Pause { at, reason } => {
                let command = Command::Requeue {
                    seq,
                    status: Status::Queued,
                    reason: Some(reason),
                    counted: false,
                };
                self.issue(command, Awaiting::Requeueing(AfterRequeue::Pause(at)))
            }
        }
    }
}

/// Returns when a conversation that waits for the end of a pause checks the channel again.
fn next_pause_check(until: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    until.min(now + PAUSE_CHECK_INTERVAL)
}

/// When an attempt may begin.
enum AttemptStart {
    Now,
    /// The channel is paused: check again at this time.
    Paused(DateTime<Utc>),
    /// Not before this time: the rate limit forbids it, or other conversations go first.
    Later(DateTime<Utc>),
}

#[cfg(test)]
mod tests;
