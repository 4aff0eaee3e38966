//! One worker's round over a conversation it holds, as a state machine without any input or output.
//!
//! The worker does what it is told and says what came of it, until it is told to stop. Production's worker does it with
//! the table and a provider, the model of the protocol with plain values; what is done next is decided here for both.

use super::outcome::{Outcome, Reason};
use super::pace::{Pace, Paced};
use super::progress::{Doubt, Progress, Ruling, Step, is_expired, next_step, rule};
use super::status::Status;
use crate::id::Seq;
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::VecDeque;

/// A message that keeps changing under the worker's hands this often is somebody else's by now.
const MOST_SURPRISES: u8 = 10;

/// After a pause, the conversations of a channel are looked at within so long, and not all at once: the first finds out
/// whether the channel is well again.
const SPREAD: TimeDelta = TimeDelta::seconds(30);

/// What the worker is to do.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Command {
    /// Read the next messages after this one; say [`Event::Messages`].
    Read(Seq),
    /// Announce an attempt; say [`Event::Marked`] or [`Event::Changed`].
    Mark(Seq),
    /// Hand the message to the provider; say [`Event::Answered`].
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
    /// Let go until then, or until the customer is back; say [`Event::Done`] or, if they are back, [`Event::Changed`].
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
    /// A round over a conversation whose messages are settled up to `settled` and which has used so much of its pace.
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
                let (seq, first) = self.queue.front_mut().expect("the message that was marked");
                *first = progress;
                let command = Command::HandOver(*seq);
                self.tell(Doing::HandingOver, command)
            }
            (Doing::Marking, Event::OutOfTime) => self.tell(Doing::LettingGo, Command::Postpone(now)),
            (Doing::HandingOver, Event::Answered(outcome)) => self.judge(outcome, now, jitter),
            (Doing::Settling, Event::Done) => {
                let (seq, _) = self.queue.front().expect("the message that was settled");
                let command = Command::Advance(*seq);
                self.tell(Doing::Advancing, command)
            }
            (Doing::PuttingBack(LetGo::Postpone(at)), Event::Done) => {
                self.tell(Doing::LettingGo, Command::Postpone(at))
            }
            (Doing::PuttingBack(LetGo::Leave(at)), Event::Done) => self.tell(Doing::LettingGo, Command::Leave(at)),
            (Doing::PuttingBack(LetGo::Pause(at)), Event::Done) => self.tell(Doing::Pausing(at), Command::Pause(at)),
            // Whoever found out is the first to try again.
            (Doing::Pausing(at), Event::Done) => self.tell(Doing::LettingGo, Command::Postpone(at)),
            (Doing::Advancing, Event::Done) => {
                let (seq, _) = self.queue.pop_front().expect("the message that was moved past");
                self.settled = seq;
                if self.queue.is_empty() { self.read() } else { self.look(now, jitter) }
            }
            (Doing::Releasing, Event::Done) => Command::Stop(Heard::Settled),
            (Doing::Releasing, Event::Changed) => self.read(),
            (Doing::LettingGo, Event::Done) => Command::Stop(Heard::Postponed),
            // A receipt may have settled a message that was to be put back: then the next one need not wait for it.
            (Doing::Marking | Doing::PuttingBack(_) | Doing::LettingGo, Event::Changed) => self.look_again(),
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
                    let reason = Reason::new("channel_paused", "the channel could not be used for 24 hours");
                    self.tell(Doing::Settling, Command::Settle(seq, Settlement::GivenUp(reason)))
                }
                Begins::Paused(at) | Begins::Later(at) => self.tell(Doing::LettingGo, Command::Postpone(at)),
            },
            Step::GiveUp(reason) => self.tell(Doing::Settling, Command::Settle(seq, Settlement::GivenUp(reason))),
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
        #[expect(clippy::cast_possible_truncation, reason = "at most half a minute in milliseconds")]
        let spread = TimeDelta::milliseconds((SPREAD.num_milliseconds() as f64 * jitter) as i64);
        match (paused_until, pace.earliest(self.paced)) {
            (Some(until), _) if now < *until => Begins::Paused(*until + spread),
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
            Ruling::Failed(reason) => self.tell(Doing::Settling, Command::Settle(seq, Settlement::Failed(reason))),
            Ruling::Later { status, at, reason } => {
                let command = Command::PutBack { seq, status, reason: Some(reason), counted: true };
                self.tell(Doing::PuttingBack(LetGo::Postpone(at)), command)
            }
            Ruling::Away(at) => {
                let command = Command::PutBack { seq, status: Status::Queued, reason: None, counted: false };
                self.tell(Doing::PuttingBack(LetGo::Leave(at)), command)
            }
            Ruling::Pause { at, reason } => {
                let command = Command::PutBack { seq, status: Status::Queued, reason: Some(reason), counted: false };
                self.tell(Doing::PuttingBack(LetGo::Pause(at)), command)
            }
        }
    }
}

/// When an attempt may begin.
enum Begins {
    Now,
    /// Not before: the channel is paused.
    Paused(DateTime<Utc>),
    /// Not before: it is too early, or another conversation's turn.
    Later(DateTime<Utc>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::{Accepted, Failure};

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    fn message(status: Status) -> Progress {
        Progress { status, created_at: NOW, attempts: 0, doubts: 0, attempted_at: None }
    }

    fn taken() -> Outcome {
        Ok(Accepted { provider_id: None })
    }

    fn terms() -> Terms {
        let (doubt, policy) = (TimeDelta::seconds(120), Doubt::Resend);
        Terms { doubt, policy, pace: Pace::FREE, turn: 10, paused_until: None }
    }

    /// Runs a round over `messages`, answering each hand-over with `outcome`; returns everything that was told.
    fn run(messages: &[Progress], outcome: &Outcome) -> Vec<Command> {
        run_with(messages, outcome, terms(), |_| Event::Done)
    }

    /// The same, where `put_back` says what comes of putting a message back, and may change the messages.
    fn run_with(
        messages: &[Progress],
        outcome: &Outcome,
        terms: Terms,
        put_back: impl Fn(&mut Vec<Progress>) -> Event,
    ) -> Vec<Command> {
        let mut messages = messages.to_vec();
        let mut round = Round::new(Seq(0), None, terms);
        let (mut event, mut told) = (Event::Begun, Vec::new());
        loop {
            let command = round.next(event, NOW, 0.5);
            told.push(command.clone());
            event = match command {
                Command::Read(after) => {
                    let all = (1..).map(Seq).zip(messages.iter().cloned());
                    Event::Messages(all.filter(|(seq, _)| *seq > after).collect())
                }
                Command::Mark(_) => Event::Marked(Progress { attempts: 1, ..message(Status::Sending) }),
                Command::HandOver(_) => Event::Answered(outcome.clone()),
                Command::PutBack { .. } => put_back(&mut messages),
                Command::Stop(_) => return told,
                _ => Event::Done,
            };
        }
    }

    #[test]
    fn messages_go_out_one_after_the_other() {
        let told = run(&[message(Status::Queued), message(Status::Queued)], &taken());
        let sent = || Settlement::Sent { provider_id: None };
        let one =
            |seq| [Command::Mark(seq), Command::HandOver(seq), Command::Settle(seq, sent()), Command::Advance(seq)];
        let (first, second) = (one(Seq(1)), one(Seq(2)));
        let end = [Command::Read(Seq(2)), Command::Release, Command::Stop(Heard::Settled)];
        let wanted: Vec<_> = [Command::Read(Seq(0))].into_iter().chain(first).chain(second).chain(end).collect();
        assert_eq!(told, wanted);
    }

    #[test]
    fn nothing_overtakes_a_message_that_has_to_wait() {
        let reason = || Reason::new("rate_limited", "slower");
        let busy = Err(Failure::Transient { reason: reason(), retry_after: None });
        let told = run(&[message(Status::Queued), message(Status::Queued)], &busy);
        assert!(told.iter().all(|command| !matches!(command, Command::Mark(Seq(2)))));
        assert_eq!(told.last(), Some(&Command::Stop(Heard::Postponed)));
    }

    #[test]
    fn what_is_settled_already_is_only_moved_past() {
        let told = run(&[message(Status::Delivered)], &taken());
        assert_eq!(told[1], Command::Advance(Seq(1)));
        assert!(!told.contains(&Command::HandOver(Seq(1))));
    }

    #[test]
    fn a_message_that_a_dead_worker_left_is_put_in_doubt_first() {
        let told = run(&[message(Status::Sending)], &taken());
        assert!(matches!(told[1], Command::PutBack { status: Status::InDoubt, .. }));
        assert_eq!(told[2], Command::Postpone(NOW + TimeDelta::seconds(120)));
    }

    #[test]
    fn a_receipt_that_is_faster_than_the_worker_lets_the_next_message_go_at_once() {
        let no_answer = Err(Failure::Unknown(Reason::new("no_answer", "nothing came")));
        let told = run_with(&[message(Status::Queued), message(Status::Sent)], &no_answer, terms(), |messages| {
            messages[0].status = Status::Delivered;
            Event::Changed
        });
        let end = [Command::Advance(Seq(1)), Command::Advance(Seq(2)), Command::Read(Seq(2))];
        assert!(matches!(told[3], Command::PutBack { seq: Seq(1), status: Status::InDoubt, .. }));
        assert_eq!(told[4..8], [&[Command::Read(Seq(0))], &end[..]].concat());
        assert_eq!(told.last(), Some(&Command::Stop(Heard::Settled)));
    }

    #[test]
    fn a_message_that_never_lets_itself_be_put_back_is_somebody_elses() {
        let told = run_with(&[message(Status::Sending)], &taken(), terms(), |_| Event::Changed);
        let tries = told.iter().filter(|command| matches!(command, Command::PutBack { .. })).count();
        assert_eq!((tries, told.last()), (1 + usize::from(MOST_SURPRISES), Some(&Command::Stop(Heard::LeaseLost))));
    }

    #[test]
    fn a_message_in_doubt_is_left_as_it_is_and_waited_for() {
        let told = run(&[message(Status::InDoubt)], &taken());
        assert_eq!(told[1], Command::Postpone(NOW + TimeDelta::seconds(120)));
    }

    #[test]
    fn after_its_turn_a_conversation_lets_the_others_go_first() {
        let waiting = vec![message(Status::Queued); 3];
        let told = run_with(&waiting, &taken(), Terms { turn: 2, ..terms() }, |_| Event::Done);
        let marked = told.iter().filter(|command| matches!(command, Command::Mark(_))).count();
        let end = [Command::Advance(Seq(2)), Command::Postpone(NOW), Command::Stop(Heard::Postponed)];
        assert_eq!((marked, &told[told.len() - 3..]), (2, &end[..]));
    }

    #[test]
    fn the_next_message_waits_for_its_time_and_the_conversation_remembers() {
        let gap = TimeDelta::milliseconds(500);
        let pace = Pace { gap, ..Pace::FREE };
        let told = run_with(&vec![message(Status::Queued); 2], &taken(), Terms { pace, ..terms() }, |_| Event::Done);
        assert!(!told.contains(&Command::Mark(Seq(2))) && told.contains(&Command::Postpone(NOW + gap)));
        let mut next = Round::new(Seq(1), pace.after(None, NOW), Terms { pace, ..terms() });
        assert_eq!(next.next(Event::Begun, NOW, 0.5), Command::Read(Seq(1)));
        let waiting = Event::Messages(vec![(Seq(2), message(Status::Queued))]);
        assert_eq!(next.next(waiting.clone(), NOW, 0.5), Command::Postpone(NOW + gap));
        let mut next = Round::new(Seq(1), pace.after(None, NOW), Terms { pace, ..terms() });
        assert_eq!(next.next(Event::Begun, NOW + gap, 0.5), Command::Read(Seq(1)));
        assert_eq!(next.next(waiting, NOW + gap, 0.5), Command::Mark(Seq(2)), "its time has come");
        let marked = Event::Marked(message(Status::Sending));
        assert_eq!(next.next(marked, NOW + gap, 0.5), Command::HandOver(Seq(2)));
        assert_eq!(next.paced().map(|paced| paced.last), Some(NOW + gap));
    }

    #[test]
    fn a_channel_that_is_down_is_paused_and_costs_no_attempt() {
        let (reason, minute) = (Reason::new("token_rejected", "no"), TimeDelta::seconds(60));
        let down = Err(Failure::ChannelDown { reason, wait: std::time::Duration::from_secs(60) });
        let told = run(&[message(Status::Queued)], &down);
        assert!(matches!(told[3], Command::PutBack { counted: false, status: Status::Queued, .. }), "{told:?}");
        assert_eq!(told[4..6], [Command::Pause(NOW + minute), Command::Postpone(NOW + minute)]);
    }

    #[test]
    fn on_a_paused_channel_nothing_is_begun_and_what_has_had_its_day_ends() {
        let until = NOW + TimeDelta::seconds(60);
        let paused = || Terms { paused_until: Some(until), ..terms() };
        let told = run_with(&[message(Status::Queued)], &taken(), paused(), |_| Event::Done);
        assert_eq!(told[1], Command::Postpone(until + SPREAD / 2));
        let old = Progress { created_at: NOW - TimeDelta::hours(24), ..message(Status::Queued) };
        let told = run_with(&[old], &taken(), paused(), |_| Event::Done);
        assert!(matches!(&told[1], Command::Settle(_, Settlement::GivenUp(reason)) if reason.code == "channel_paused"));
        let over = Terms { paused_until: Some(NOW), ..terms() };
        let told = run_with(&[message(Status::Queued)], &taken(), over, |_| Event::Done);
        assert_eq!(told[1], Command::Mark(Seq(1)));
    }
}
