//! What can happen next.

use chrono::{DateTime, TimeDelta, Utc};
use stateright::{Model, Property};

use crate::promises;
use crate::state::{Budget, Sender, State, Worker, holding};
use domain::delivery::stored::MessageState;
use domain::delivery::{
    Accepted, Command, ConversationState, DeliveryPolicy, Event, Failure, OnUnknownOutcome,
    Progress, RateLimit, Reason, Round, SendOutcome, Settlement, Status,
};
use domain::{Channel, Seq};

const LEASE: TimeDelta = TimeDelta::seconds(45);
const SENDERS: usize = 2;
pub(crate) const WORKERS: usize = 2;

/// The protocol, or what is left of it.
#[derive(Debug, Clone)]
pub(crate) struct Protocol {
    receipt_timeout: TimeDelta,
    /// How many messages a worker sends in a row.
    max_messages: u32,
    /// Whether its messages may be in parts.
    parts: bool,
    budget: Budget,
    without: Option<Without>,
}

/// A part of the protocol that is taken away, to see that it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Without {
    Sweeper,
    Fence,
    SeqCondition,
    Lease,
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// A sender reads the conversation.
    Look(usize),
    /// A sender makes its transaction.
    Accept(usize),
    /// A sender rings and answers 201.
    Ring(usize),
    /// A sender dies after its transaction.
    SenderDies(usize),
    /// The queue loses a doorbell.
    LoseBell,
    /// A worker gets a doorbell; `again` if the queue keeps it all the same.
    Hear { worker: usize, again: bool },
    /// A worker does what it was told.
    Obey(usize),
    /// A worker calls the provider, and this happens.
    Call(usize, Call),
    /// A worker dies.
    WorkerDies(usize),
    /// The provider reports that it has a message. Whoever writes that down may die before
    /// [`Action::DoubtOver`].
    Receipt(Seq),
    /// The conversation that waits for this message's fate is told that it need not.
    DoubtOver(Seq),
    /// The sweeper runs.
    Sweep,
    /// Time passes until the next thing is due.
    Tick,
}

/// What comes of a call of the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    /// It takes the message.
    Takes,
    /// It takes a part of the message, and there is more to come.
    TakesPart,
    /// It takes the message, and its answer is lost.
    TakesUnheard,
    /// The call is lost on the way.
    LostOnTheWay,
    /// It says: later.
    SaysLater,
    /// It says: never.
    SaysNever,
}

impl Protocol {
    /// A channel that sends again at once, and on which each message is a turn.
    pub(crate) fn chat() -> Protocol {
        let budget = Budget { crashes: 2, faults: 1, ticks: 2 };
        Protocol {
            receipt_timeout: Channel::Chat.receipt_timeout(),
            max_messages: 1,
            parts: false,
            budget,
            without: None,
        }
    }

    /// A channel that waits for receipts, and takes messages in parts.
    pub(crate) fn patient() -> Protocol {
        Protocol {
            receipt_timeout: Channel::Whatsapp.receipt_timeout(),
            max_messages: 2,
            parts: true,
            ..Protocol::chat()
        }
    }

    pub(crate) fn without(self, part: Without) -> Protocol {
        Protocol { without: Some(part), ..self }
    }

    pub(crate) fn has(&self, part: Without) -> bool {
        self.without != Some(part)
    }

    /// The conversation as a claim sees it.
    fn claimable(&self, state: &ConversationState) -> ConversationState {
        if self.has(Without::Lease) {
            state.clone()
        } else {
            ConversationState { lease_until: None, ..state.clone() }
        }
    }

    fn accept(&self, state: &mut State, index: usize, last: Seq) {
        let turn = if self.has(Without::SeqCondition) {
            state.turn.clone()
        } else {
            ConversationState { seq: last, ..state.turn.clone() }
        };
        let place_is_free = state.messages.len() as u64 == last.0;
        match turn.accepted(last, state.now) {
            None => state.senders[index] = Sender::Idle,
            Some(_) if !place_is_free => state.senders[index] = Sender::Broken,
            Some(turn) => {
                state.turn = turn;
                state.used += 1;
                let progress = Progress {
                    status: Status::Queued,
                    created_at: state.now,
                    attempts: 0,
                    unknown_outcomes: 0,
                    attempted_at: None,
                };
                state.messages.push(MessageState { progress, fence: 0 });
                state.senders[index] = Sender::Accepted;
            }
        }
    }

    pub(crate) fn hear(&self, state: &mut State, index: usize) {
        if let Ok((turn, lease)) = self.claimable(&state.turn).claimed(state.now, LEASE) {
            let (receipt_timeout, on_unknown_outcome) =
                (self.receipt_timeout, OnUnknownOutcome::Resend);
            let terms = DeliveryPolicy {
                receipt_timeout,
                on_unknown_outcome,
                rate_limit: RateLimit::UNLIMITED,
                max_messages: self.max_messages,
                paused_until: None,
            };
            let mut round = Round::new(turn.settled_seq, None, terms);
            let command = round.next(Event::Begun, state.now, 0.5);
            state.turn = turn;
            state.workers[index] =
                Some(Worker { command, round, lease, known: Vec::new(), in_part: false });
        }
    }

    /// A worker's command is done: it gets the next.
    fn tell(&self, state: &mut State, index: usize, mut worker: Worker, event: Event) {
        worker.command = worker.round.next(event, state.now, 0.5);
        state.workers[index] =
            if matches!(worker.command, Command::Stop(_)) { None } else { Some(worker) };
    }

    /// Makes the write or read that a worker was told to make.
    pub(crate) fn obey(&self, state: &mut State, index: usize) {
        let Some(mut worker) = state.workers[index].take() else { return };
        let fence = if self.has(Without::Fence) { worker.lease.fence } else { u64::MAX };
        let of_turn = if self.has(Without::Fence) { fence } else { state.turn.fence };
        let event = match worker.command.clone() {
            Command::Read(after) => {
                let all =
                    (1..).map(Seq).zip(state.messages.iter().map(|stored| stored.progress.clone()));
                worker.known = all.filter(|(seq, _)| *seq > after).collect();
                Event::Messages(worker.known.clone())
            }
            Command::Mark(_) if state.now >= worker.lease.until => Event::OutOfTime,
            Command::Mark(seq) => {
                let marked = state.message(seq).marked(fence, worker.known(seq), state.now);
                if state.write(seq, marked) {
                    let progress = state.message(seq).progress.clone();
                    worker.learn(seq, &progress);
                    Event::Marked(progress)
                } else {
                    Event::Changed
                }
            }
            // It has called the provider, and this is the note.
            Command::HandOver(seq) => {
                worker.in_part = false;
                let noted = state.message(seq).noted(fence, worker.known(seq));
                if state.write(seq, noted) {
                    let progress = state.message(seq).progress.clone();
                    worker.learn(seq, &progress);
                    Event::TakenInPart(progress)
                } else {
                    Event::Answered(Err(Failure::Unknown(Reason::outcome_unknown())))
                }
            }
            Command::Settle(seq, end) => {
                let end = if matches!(end, Settlement::Sent { .. }) {
                    Status::Sent
                } else {
                    Status::Failed
                };
                let settled = state.message(seq).settled(fence, end);
                if !state.write(seq, settled) && !state.message(seq).progress.status.is_settled() {
                    return; // It is a successor's by now: the worker gives up.
                }
                Event::Done
            }
            Command::Requeue { seq, status, counted, .. } => {
                let back = state.message(seq).requeued(fence, worker.known(seq), status, counted);
                match state.write(seq, back) {
                    true => Event::Done,
                    false if state.message(seq).fence > fence => Event::LeaseLost,
                    false => Event::Changed,
                }
            }
            Command::Advance(seq) => {
                let advanced = state.turn.advanced(of_turn, seq);
                if state.write_turn(advanced) { Event::Done } else { Event::LeaseLost }
            }
            Command::Release => {
                let still_held = state.turn.lease_until.is_some() && state.turn.fence == of_turn;
                let released = state.turn.released(of_turn);
                match state.write_turn(released) {
                    true => Event::Done,
                    false if still_held => Event::Changed,
                    false => Event::LeaseLost,
                }
            }
            Command::Postpone(at) => {
                let postponed = state.turn.postponed(of_turn, at);
                state.write_turn(postponed);
                state.ring();
                Event::Done
            }
            Command::Park(_) | Command::Pause(_) | Command::Stop(_) => {
                unreachable!("not of this model")
            }
        };
        self.tell(state, index, worker, event);
    }

    pub(crate) fn call(&self, state: &mut State, index: usize, call: Call) {
        let Some(mut worker) = state.workers[index].take() else { return };
        let Command::HandOver(seq) = worker.command else { unreachable!("not a call") };
        if call == Call::TakesPart {
            worker.in_part = true;
            state.workers[index] = Some(worker);
            state.left.faults = state.left.faults.saturating_sub(1);
            return;
        }
        let reason = || Reason::new("model", "");
        let outcome: SendOutcome = match call {
            Call::Takes => Ok(Accepted { provider_id: None }),
            Call::TakesUnheard | Call::LostOnTheWay => Err(Failure::Unknown(reason())),
            Call::SaysLater => Err(Failure::Transient { reason: reason(), retry_after: None }),
            Call::SaysNever => Err(Failure::Permanent(reason())),
            Call::TakesPart => unreachable!("written down before anything is answered"),
        };
        if matches!(call, Call::Takes | Call::TakesUnheard) {
            state.taken.push(seq);
        }
        if call == Call::TakesUnheard {
            state.excuse(seq);
        }
        if call != Call::Takes {
            state.left.faults = state.left.faults.saturating_sub(1);
        }
        self.tell(state, index, worker, Event::Answered(outcome));
    }

    /// What a worker can do now.
    fn moves(&self, state: &State, index: usize, worker: &Worker, actions: &mut Vec<Action>) {
        match worker.command {
            Command::HandOver(_) if worker.in_part => actions.push(Action::Obey(index)),
            // Held up beyond its lease, it does not call any more.
            Command::HandOver(_) if state.now >= worker.lease.until => {
                actions.push(Action::Call(index, Call::SaysLater))
            }
            Command::HandOver(_) => {
                actions.push(Action::Call(index, Call::Takes));
                if state.left.faults > 0 {
                    let faults =
                        [Call::TakesUnheard, Call::LostOnTheWay, Call::SaysLater, Call::SaysNever];
                    let faults = faults.into_iter().chain(self.parts.then_some(Call::TakesPart));
                    actions.extend(faults.map(|fault| Action::Call(index, fault)));
                }
            }
            _ => actions.push(Action::Obey(index)),
        }
        if state.left.crashes > 0 {
            actions.push(Action::WorkerDies(index));
        }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let turn = ConversationState {
            seq: Seq(0),
            settled_seq: Seq(0),
            lease_until: None,
            fence: 0,
            not_before: None,
            due: None,
        };
        vec![State {
            now: DateTime::<Utc>::UNIX_EPOCH,
            turn,
            messages: Vec::new(),
            used: 0,
            doorbell: false,
            senders: vec![Sender::Idle; SENDERS],
            workers: vec![None; WORKERS],
            taken: Vec::new(),
            reported: Vec::new(),
            cleared: Vec::new(),
            excused: Vec::new(),
            ended: Vec::new(),
            left: self.budget,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for (index, sender) in state.senders.iter().enumerate() {
            match sender {
                Sender::Idle => actions.push(Action::Look(index)),
                Sender::Read(_) => actions.push(Action::Accept(index)),
                Sender::Accepted => {
                    actions.extend([Action::Ring(index), Action::SenderDies(index)])
                }
                Sender::Done | Sender::Broken => {}
            }
        }
        for (index, worker) in state.workers.iter().enumerate() {
            match worker {
                Some(worker) => self.moves(state, index, worker, actions),
                None if state.doorbell => {
                    actions.extend([false, true].map(|again| Action::Hear { worker: index, again }))
                }
                None => {}
            }
        }
        if state.doorbell {
            actions.push(Action::LoseBell);
        }
        let silent = state.taken.iter().filter(|seq| !state.reported.contains(seq));
        actions.extend(silent.map(|seq| Action::Receipt(*seq)));
        actions.extend(state.cleared.iter().map(|seq| Action::DoubtOver(*seq)));
        if self.has(Without::Sweeper)
            && !state.doorbell
            && state.turn.due.is_some_and(|due| due <= state.now)
        {
            actions.push(Action::Sweep);
        }
        if state.left.ticks > 0 && state.next_moment().is_some() {
            actions.push(Action::Tick);
        }
    }

    fn next_state(&self, before: &State, action: Action) -> Option<State> {
        let mut state = before.clone();
        match action {
            Action::Look(index) => state.senders[index] = Sender::Read(state.turn.seq),
            Action::Accept(index) => {
                let Sender::Read(last) = state.senders[index] else { return None };
                self.accept(&mut state, index, last);
            }
            Action::Ring(index) => {
                state.ring();
                state.senders[index] = Sender::Done;
            }
            Action::SenderDies(index) => {
                state.senders[index] = Sender::Done;
            }
            Action::LoseBell => state.doorbell = false,
            Action::Hear { worker, again } => {
                state.doorbell = again;
                self.hear(&mut state, worker);
            }
            Action::Obey(index) => self.obey(&mut state, index),
            Action::Call(index, call) => self.call(&mut state, index, call),
            Action::WorkerDies(index) => {
                let dead = state.workers[index].take()?;
                state.left.crashes -= 1;
                if let Some(seq) = holding(&dead) {
                    state.excuse(seq);
                }
            }
            Action::Receipt(seq) => {
                state.reported.push(seq);
                state.reported.sort();
                let in_doubt = state.message(seq).progress.status == Status::InDoubt;
                let reported = state.message(seq).reported(Status::Sent);
                if state.write(seq, reported) && in_doubt {
                    state.cleared.push(seq);
                    state.cleared.sort();
                }
            }
            Action::DoubtOver(seq) => {
                state.cleared.retain(|cleared| *cleared != seq);
                let over = state.turn.unknown_outcome_resolved(seq, state.now);
                if state.write_turn(over) {
                    state.ring();
                }
            }
            Action::Sweep => state.ring(),
            Action::Tick => {
                let moment = state.next_moment()?;
                state.pass_until(moment);
                state.left.ticks -= 1;
            }
        }
        let state = state.sorted();
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        promises::all()
    }
}
