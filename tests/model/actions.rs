//! The actions of the model: which can happen next, and the state after each.

use chrono::{DateTime, Utc};
use stateright::{Model, Property};

use crate::guarantees;
use crate::protocol::{LEASE, Protocol, SENDERS, WORKERS, Without};
use crate::state::{Report, Sender, State, Worker, taken_but_not_stored};
use domain::Seq;
use domain::delivery::{Command, ConversationState, Status};

/// One step of an actor.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// A sender reads the conversation.
    ReadConversation(usize),
    /// A sender makes its accept transaction.
    Accept(usize),
    /// A sender rings the doorbell and answers 201.
    RingDoorbell(usize),
    /// A sender dies after its transaction.
    SenderDies(usize),
    /// The queue loses a doorbell.
    LoseDoorbell,
    /// A worker receives a doorbell; `redelivered` if the queue will deliver it again.
    ReceiveDoorbell { worker: usize, redelivered: bool },
    /// A worker executes its command.
    Execute(usize),
    /// A worker calls the provider, with this result.
    Call(usize, Call),
    /// A worker renews its lease.
    Renew(usize),
    /// A worker dies.
    WorkerDies(usize),
    /// A receipt of the provider is stored. The function that stores it may die before
    /// [`Action::ResolveUnknownOutcome`].
    Receipt(Seq, Report),
    /// The conversation that waits for this receipt becomes due.
    ResolveUnknownOutcome(Seq),
    /// The sweeper rings for the conversation.
    Sweep,
    /// Time passes until the next thing is due.
    Tick,
}

/// The result of a call of the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Call {
    /// The provider takes the message.
    Takes,
    /// The provider takes a part of the message, and other parts are left.
    TakesPart,
    /// The provider takes the message, and its answer is lost.
    TakesAnswerLost,
    /// The request is lost before it reaches the provider.
    RequestLost,
    /// The provider refuses the message for now.
    FailsTransiently,
    /// The provider refuses the message for good.
    FailsPermanently,
}

impl Protocol {
    /// Adds the steps that a worker can make now.
    fn worker_actions(
        &self,
        state: &State,
        index: usize,
        worker: &Worker,
        actions: &mut Vec<Action>,
    ) {
        match worker.command {
            Command::HandOver(_) if worker.in_part => actions.push(Action::Execute(index)),
            // The lease is over: the worker does not call any more.
            Command::HandOver(_) if state.now >= worker.lease.until => {
                actions.push(Action::Call(index, Call::FailsTransiently))
            }
            Command::HandOver(_) => {
                actions.push(Action::Call(index, Call::Takes));
                if state.left.faults > 0 {
                    let faults = [
                        Call::TakesAnswerLost,
                        Call::RequestLost,
                        Call::FailsTransiently,
                        Call::FailsPermanently,
                    ];
                    let faults = faults.into_iter().chain(self.parts.then_some(Call::TakesPart));
                    actions.extend(faults.map(|fault| Action::Call(index, fault)));
                }
            }
            _ => actions.push(Action::Execute(index)),
        }

        if worker.lease.until < state.now + LEASE {
            actions.push(Action::Renew(index));
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
        let conversation = ConversationState {
            seq: Seq(0),
            settled_seq: Seq(0),
            lease_until: None,
            fence: 0,
            not_before: None,
            due: None,
        };
        vec![State {
            now: DateTime::<Utc>::UNIX_EPOCH,
            conversation,
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
                Sender::Idle => actions.push(Action::ReadConversation(index)),
                Sender::Read(_) => actions.push(Action::Accept(index)),
                Sender::Accepted => {
                    actions.extend([Action::RingDoorbell(index), Action::SenderDies(index)])
                }
                Sender::Done | Sender::InternalError => {}
            }
        }

        for (index, worker) in state.workers.iter().enumerate() {
            match worker {
                Some(worker) => self.worker_actions(state, index, worker, actions),
                None if state.doorbell => actions.extend(
                    [false, true]
                        .map(|redelivered| Action::ReceiveDoorbell { worker: index, redelivered }),
                ),
                None => {}
            }
        }

        if state.doorbell {
            actions.push(Action::LoseDoorbell);
        }
        let possible = |report: &&Report| **report != Report::Bounced || state.left.bounces > 0;
        for report in self.reports.iter().filter(possible) {
            let unreported =
                state.taken.iter().filter(|seq| !state.reported.contains(&(**seq, *report)));
            actions.extend(unreported.map(|seq| Action::Receipt(*seq, *report)));
        }
        actions.extend(state.cleared.iter().map(|seq| Action::ResolveUnknownOutcome(*seq)));

        if self.has(Without::Sweeper)
            && !state.doorbell
            && state.conversation.due.is_some_and(|due| due <= state.now)
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
            Action::ReadConversation(index) => {
                state.senders[index] = Sender::Read(state.conversation.seq)
            }
            Action::Accept(index) => {
                let Sender::Read(last) = state.senders[index] else { return None };
                self.accept(&mut state, index, last);
            }
            Action::RingDoorbell(index) => {
                state.ring();
                state.senders[index] = Sender::Done;
            }
            Action::SenderDies(index) => {
                state.senders[index] = Sender::Done;
            }
            Action::LoseDoorbell => state.doorbell = false,
            Action::ReceiveDoorbell { worker, redelivered } => {
                state.doorbell = redelivered;
                self.claim(&mut state, worker);
            }
            Action::Execute(index) => self.execute(&mut state, index),
            Action::Call(index, call) => self.call(&mut state, index, call),
            Action::Renew(index) => self.renew(&mut state, index),
            Action::WorkerDies(index) => {
                let dead = state.workers[index].take()?;
                state.left.crashes -= 1;
                if let Some(seq) = taken_but_not_stored(&dead) {
                    state.excuse(seq);
                }
            }
            Action::Receipt(seq, report) => {
                state.reported.push((seq, report));
                state.reported.sort();
                state.left.bounces -= u8::from(report == Report::Bounced);
                let in_doubt = state.message(seq).progress.status == Status::InDoubt;
                let (reported, at) = report.reported();
                let reported = state.message(seq).reported(&reported, at);
                if state.write(seq, reported) && in_doubt {
                    state.cleared.push(seq);
                    state.cleared.sort();
                }
            }
            Action::ResolveUnknownOutcome(seq) => {
                state.cleared.retain(|cleared| *cleared != seq);
                let over = state.conversation.unknown_outcome_resolved(seq, state.now);
                if state.write_conversation(over) {
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
        guarantees::all()
    }
}
