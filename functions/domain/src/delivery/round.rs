//! One worker's round over a conversation it holds, as a state machine without any input or output.
//!
//! The worker does what it is told and says what came of it, until it is told to stop. Production's
//! worker does it with the table and a provider, the model of the protocol with plain values; what
//! is done next is decided here for both.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};

use super::outcome::{Outcome, Reason};
use super::pace::{Pace, Paced};
use super::progress::{Doubt, Progress, Ruling, Step, is_expired, next_step, rule};
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
    PutBack {
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
    Leave(DateTime<Utc>),
    /// The round is over.
    Stop(Heard),
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
    Answered(Outcome),
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
pub enum Heard {
    /// Everything is settled, and the conversation is out of the outbox.
    Settled,
    /// Somebody else holds it and will see what is new.
    Held,
    /// It is not time yet; another bell will ring.
    NotYet,
    /// Something has to wait; another bell will ring.
    Postponed,
    /// The lease was over before the work was; a successor goes on.
    LeaseLost,
}

/// What a round goes by: the channel's rules, and how the channel is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Terms {
    /// How long a message whose fate is unknown waits for a receipt ([`crate::Channel::doubt`]).
    pub doubt: TimeDelta,
    /// What to do when that was in vain.
    pub policy: Doubt,
    /// How fast messages may follow each other ([`crate::Channel::pace`]).
    pub pace: Pace,
    /// How many messages are handed over before it is another conversation's turn.
    pub turn: u32,
    /// Until when nothing is sent on the channel.
    pub paused_until: Option<DateTime<Utc>>,
}

/// A round in progress.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Round {
    settled: Seq,
    queue: VecDeque<(Seq, Progress)>,
    doing: Doing,
    surprises: u8,
    begun: u32,
    paced: Option<Paced>,
    terms: Terms,
}

/// What the worker was told last, as far as its answer needs it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Doing {
    Beginning,
    Reading,
    Marking,
    HandingOver,
    Settling,
    /// Putting a message back; then the conversation is let go.
    PuttingBack(LetGo),
    Advancing,
    Releasing,
    Pausing(DateTime<Utc>),
    LettingGo,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum LetGo {
    Postpone(DateTime<Utc>),
    Leave(DateTime<Utc>),
    Pause(DateTime<Utc>),
}

impl Round {
    /// A round over a conversation whose messages are settled up to `settled` and which has used so
    /// much of its pace.
    #[must_use]
    pub fn new(settled: Seq, paced: Option<Paced>, terms: Terms) -> Round {
        let (queue, doing) = (VecDeque::new(), Doing::Beginning);
        Round { settled, queue, doing, surprises: 0, begun: 0, paced, terms }
    }

    /// How much of its pace the conversation has used by now.
    #[must_use]
    pub fn paced(&self) -> Option<Paced> {
        self.paced
    }

    /// What to do next, given what came of the last; `jitter` is uniform in `0.0..1.0`.
    ///
    /// # Panics
    /// If `event` does not answer the last command.
    #[must_use]
    pub fn next(&mut self, event: Event, now: DateTime<Utc>, jitter: f64) -> Command {
        match (std::mem::replace(&mut self.doing, Doing::Beginning), event) {
            (Doing::Beginning, Event::Begun) => self.read(),
            (Doing::Reading, Event::Messages(messages)) if messages.is_empty() => {
                self.tell(Doing::Releasing, Command::Release)
            }
            (Doing::Reading, Event::Messages(messages)) => {
                self.queue = messages.into();
                self.look(now, jitter)
            }
            (Doing::Marking, Event::Marked(progress)) => {
                self.begun += 1;
                self.paced = self.terms.pace.after(self.paced, now);
                let seq = self.is_now(progress);
                self.tell(Doing::HandingOver, Command::HandOver(seq))
            }
            // The next part is attempted like a message of its own: when the pace allows it.
            (Doing::HandingOver, Event::TakenInPart(progress)) => {
                self.is_now(progress);
                self.look(now, jitter)
            }
            (Doing::Marking, Event::OutOfTime) => {
                self.tell(Doing::LettingGo, Command::Postpone(now))
            }
            (Doing::HandingOver, Event::Answered(outcome)) => self.judge(outcome, now, jitter),
            (Doing::Settling, Event::Done) => {
                let (seq, _) = self.queue.front().expect("the message that was settled");
                let command = Command::Advance(*seq);
                self.tell(Doing::Advancing, command)
            }
            (Doing::PuttingBack(LetGo::Postpone(at)), Event::Done) => {
                self.tell(Doing::LettingGo, Command::Postpone(at))
            }
            (Doing::PuttingBack(LetGo::Leave(at)), Event::Done) => {
                self.tell(Doing::LettingGo, Command::Leave(at))
            }
            (Doing::PuttingBack(LetGo::Pause(at)), Event::Done) => {
                self.tell(Doing::Pausing(at), Command::Pause(at))
            }
            // Without a spread: whoever found out is the first to try again, unless all look before
            // the pause ends.
            (Doing::Pausing(at), Event::Done) => {
                self.tell(Doing::LettingGo, Command::Postpone(next_look(at, now)))
            }
            (Doing::Advancing, Event::Done) => {
                let (seq, _) = self.queue.pop_front().expect("the message that was moved past");
                self.settled = seq;
                if self.queue.is_empty() { self.read() } else { self.look(now, jitter) }
            }
            (Doing::Releasing, Event::Done) => Command::Stop(Heard::Settled),
            (Doing::Releasing, Event::Changed) => self.read(),
            (Doing::LettingGo, Event::Done) => Command::Stop(Heard::Postponed),
            // A receipt may have settled a message that was to be put back: then the next one need
            // not wait for it.
            (Doing::Marking | Doing::PuttingBack(_) | Doing::LettingGo, Event::Changed) => {
                self.look_again()
            }
            (_, Event::LeaseLost) => Command::Stop(Heard::LeaseLost),
            (doing, event) => panic!("{event:?} does not answer {doing:?}"),
        }
    }

    fn tell(&mut self, doing: Doing, command: Command) -> Command {
        self.doing = doing;
        command
    }

    fn read(&mut self) -> Command {
        self.queue.clear();
        self.tell(Doing::Reading, Command::Read(self.settled))
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
        if self.surprises > MOST_SURPRISES { Command::Stop(Heard::LeaseLost) } else { self.read() }
    }

    /// Decides about the message whose turn it is.
    fn look(&mut self, now: DateTime<Utc>, jitter: f64) -> Command {
        let (seq, progress) = self.queue.front().expect("somebody's turn").clone();
        match next_step(&progress, self.terms.doubt, self.terms.policy, now) {
            Step::Done => self.tell(Doing::Advancing, Command::Advance(seq)),
            Step::Attempt => match self.begins(now, jitter) {
                Begins::Now => self.tell(Doing::Marking, Command::Mark(seq)),
                Begins::Paused(_) if is_expired(&progress, now) => {
                    let reason =
                        Reason::new("channel_paused", "the channel could not be used for 24 hours");
                    self.tell(Doing::Settling, Command::Settle(seq, Settlement::GivenUp(reason)))
                }
                Begins::Paused(at) | Begins::Later(at) => {
                    self.tell(Doing::LettingGo, Command::Postpone(at))
                }
            },
            Step::GiveUp(reason) => {
                self.tell(Doing::Settling, Command::Settle(seq, Settlement::GivenUp(reason)))
            }
            Step::AwaitReceipt(at) if progress.status == Status::Sending => {
                let (status, reason) = (Status::InDoubt, Some(Reason::outcome_unknown()));
                let command = Command::PutBack { seq, status, reason, counted: true };
                self.tell(Doing::PuttingBack(LetGo::Postpone(at)), command)
            }
            Step::AwaitReceipt(at) => self.tell(Doing::LettingGo, Command::Postpone(at)),
        }
    }

    /// When the next attempt may begin, whichever message it is for.
    fn begins(&self, now: DateTime<Utc>, jitter: f64) -> Begins {
        let Terms { pace, turn, paused_until, .. } = &self.terms;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "at most half a minute in milliseconds"
        )]
        let spread = TimeDelta::milliseconds((SPREAD.num_milliseconds() as f64 * jitter) as i64);
        match (paused_until, pace.earliest(self.paced)) {
            (Some(until), _) if now < *until => Begins::Paused(next_look(*until, now) + spread),
            (_, Some(earliest)) if now < earliest => Begins::Later(earliest),
            _ if self.begun >= *turn => Begins::Later(now),
            _ => Begins::Now,
        }
    }

    /// Decides by what the provider answered.
    fn judge(&mut self, outcome: Outcome, now: DateTime<Utc>, jitter: f64) -> Command {
        let (seq, progress) = self.queue.front().expect("the message that was handed over").clone();
        match rule(outcome, &progress, self.terms.doubt, now, jitter) {
            Ruling::Sent(accepted) => {
                let settlement = Settlement::Sent { provider_id: accepted.provider_id };
                self.tell(Doing::Settling, Command::Settle(seq, settlement))
            }
            Ruling::Failed(reason) => {
                self.tell(Doing::Settling, Command::Settle(seq, Settlement::Failed(reason)))
            }
            Ruling::Later { status, at, reason } => {
                let command = Command::PutBack { seq, status, reason: Some(reason), counted: true };
                self.tell(Doing::PuttingBack(LetGo::Postpone(at)), command)
            }
            Ruling::Away(at) => {
                let command =
                    Command::PutBack { seq, status: Status::Queued, reason: None, counted: false };
                self.tell(Doing::PuttingBack(LetGo::Leave(at)), command)
            }
            Ruling::Pause { at, reason } => {
                let command = Command::PutBack {
                    seq,
                    status: Status::Queued,
                    reason: Some(reason),
                    counted: false,
                };
                self.tell(Doing::PuttingBack(LetGo::Pause(at)), command)
            }
        }
    }
}

/// When a conversation that waits for the end of a pause is looked at.
fn next_look(until: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    until.min(now + LOOK_AGAIN)
}

/// When an attempt may begin.
enum Begins {
    Now,
    /// The channel is paused: look again then.
    Paused(DateTime<Utc>),
    /// Not before: it is too early, or another conversation's turn.
    Later(DateTime<Utc>),
}

#[cfg(test)]
mod tests;
