//! The protocol as a state machine: the effects of what senders and workers do.

use chrono::TimeDelta;

use crate::actions::Call;
use crate::state::{Budget, Report, Sender, State, Worker};
use domain::delivery::transitions::MessageState;
use domain::delivery::{
    Accepted, Command, ConversationState, DeliveryPolicy, Event, Failure, OnUnknownOutcome,
    Progress, Reason, Round, SendOutcome, Settlement, Status,
};
use domain::rate_limit::RateLimit;
use domain::{Channel, Seq};

pub(crate) const LEASE: TimeDelta = TimeDelta::seconds(10);
pub(crate) const SENDERS: usize = 2;
pub(crate) const WORKERS: usize = 2;

/// The protocol, whole or without one of its parts.
#[derive(Debug, Clone)]
pub(crate) struct Protocol {
    receipt_timeout: TimeDelta,
    /// How many messages a worker sends before it releases the conversation.
    max_messages: u32,
    /// How many messages a worker reads at once.
    page: usize,
    /// True if messages may go in several parts.
    pub(crate) parts: bool,
    /// What the provider may report of a message that it took.
    pub(crate) reports: &'static [Report],
    pub(crate) budget: Budget,
    without: Option<Without>,
}

/// A part of the protocol that a search takes away to show that it is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Without {
    Sweeper,
    Fence,
    SeqCondition,
    Lease,
}

/// Returns what a search may use.
fn budget() -> Budget {
    if is_whole() {
        Budget { crashes: 2, faults: 1, ticks: 2, bounces: 0 }
    } else {
        Budget { crashes: 1, faults: 1, ticks: 1, bounces: 0 }
    }
}

/// True if `WHOLE` in the environment asks for twenty times as many states.
fn is_whole() -> bool {
    std::env::var_os("WHOLE").is_some()
}

impl Protocol {
    /// A channel that sends a message in doubt again at once; a worker sends one message at a time.
    pub(crate) fn chat() -> Protocol {
        Protocol {
            receipt_timeout: Channel::Chat.receipt_timeout(),
            max_messages: 1,
            page: 1,
            parts: false,
            reports: &[Report::Sent],
            budget: budget(),
            without: None,
        }
    }

    /// A channel that waits for receipts and takes messages in parts.
    pub(crate) fn with_receipts() -> Protocol {
        Protocol {
            receipt_timeout: Channel::Whatsapp.receipt_timeout(),
            max_messages: 2,
            page: 2,
            parts: true,
            ..Protocol::chat()
        }
    }

    /// A channel that waits for receipts, and whose provider may report a message as delivered and
    /// then as bounced. One crash less than elsewhere and one step of time keep the search small.
    pub(crate) fn with_bounces() -> Protocol {
        let budget = budget();
        Protocol {
            receipt_timeout: Channel::Email.receipt_timeout(),
            parts: false,
            reports: if is_whole() {
                &[Report::Sent, Report::Delivered, Report::Bounced]
            } else {
                &[Report::Delivered, Report::Bounced]
            },
            budget: Budget { crashes: budget.crashes - 1, ticks: 1, bounces: 1, ..budget },
            ..Protocol::with_receipts()
        }
    }

    pub(crate) fn without(self, part: Without) -> Protocol {
        Protocol { without: Some(part), ..self }
    }

    /// True if the provider may report that a message came back.
    pub(crate) fn has_bounces(&self) -> bool {
        self.budget.bounces > 0
    }

    pub(crate) fn has(&self, part: Without) -> bool {
        self.without != Some(part)
    }

    /// Returns the conversation as a claim sees it: without the lease if that part is taken away.
    fn claimable(&self, state: &ConversationState) -> ConversationState {
        if self.has(Without::Lease) {
            state.clone()
        } else {
            ConversationState { lease_until: None, ..state.clone() }
        }
    }

    pub(crate) fn accept(&self, state: &mut State, index: usize, last: Seq) {
        let conversation = if self.has(Without::SeqCondition) {
            state.conversation.clone()
        } else {
            ConversationState { seq: last, ..state.conversation.clone() }
        };
        let seq_is_free = state.messages.len() as u64 == last.0;

        match conversation.accepted(last, state.now) {
            None => state.senders[index] = Sender::Idle,
            Some(_) if !seq_is_free => state.senders[index] = Sender::InternalError,
            Some(accepted) => {
                state.conversation = accepted;
                state.used += 1;
                let progress = Progress {
                    status: Status::Queued,
                    created_at: state.now,
                    attempts: 0,
                    unknown_outcomes: 0,
                    attempted_at: None,
                };
                state.messages.push(MessageState { progress, fence: 0, reported_at: None });
                state.senders[index] = Sender::Accepted;
            }
        }
    }

    pub(crate) fn claim(&self, state: &mut State, index: usize) {
        let claimed = self.claimable(&state.conversation).claimed(state.now, LEASE);
        let Ok((conversation, lease)) = claimed else { return };

        let policy = DeliveryPolicy {
            receipt_timeout: self.receipt_timeout,
            on_unknown_outcome: OnUnknownOutcome::Resend,
            rate_limit: RateLimit::UNLIMITED,
            max_messages: self.max_messages,
            paused_until: None,
        };
        let mut round = Round::new(conversation.settled_seq, None, policy);
        let command = round.next(Event::Begun, state.now, 0.5);

        state.conversation = conversation;
        state.workers[index] =
            Some(Worker { command, round, lease, known: Vec::new(), in_part: false });
    }

    /// Renews a worker's lease. One that has lost it to another is not told: its writes are
    /// refused.
    pub(crate) fn renew(&self, state: &mut State, index: usize) {
        let Some(mut worker) = state.workers[index].take() else { return };
        let fence =
            if self.has(Without::Fence) { worker.lease.fence } else { state.conversation.fence };
        let until = state.now + LEASE;
        let renewed = state.conversation.renewed(fence, until);
        if state.write_conversation(renewed) {
            worker.lease.until = until;
        }
        state.workers[index] = Some(worker);
    }

    /// Gives a worker its next command, after the outcome of its last one.
    fn next_command(&self, state: &mut State, index: usize, mut worker: Worker, event: Event) {
        worker.command = worker.round.next(event, state.now, 0.5);
        state.workers[index] =
            if matches!(worker.command, Command::Stop(_)) { None } else { Some(worker) };
    }

    /// Executes a worker's command: one read or one write.
    pub(crate) fn execute(&self, state: &mut State, index: usize) {
        let Some(mut worker) = state.workers[index].take() else { return };
        // Without the fence, every write passes for one of the current holder.
        let (message_fence, conversation_fence) = if self.has(Without::Fence) {
            (worker.lease.fence, worker.lease.fence)
        } else {
            (u64::MAX, state.conversation.fence)
        };

        let event = match worker.command.clone() {
            Command::Read(after) => {
                let all =
                    (1..).map(Seq).zip(state.messages.iter().map(|stored| stored.progress.clone()));
                worker.known = all.filter(|(seq, _)| *seq > after).collect();
                let has_more = worker.known.len() > self.page;
                worker.known.truncate(self.page);
                Event::Messages { messages: worker.known.clone(), has_more }
            }
            Command::Mark(_) if state.now >= worker.lease.until => Event::OutOfTime,
            Command::Mark(seq) => {
                let marked = state.message(seq).marked(message_fence, worker.known(seq), state.now);
                if state.write(seq, marked) {
                    let progress = state.message(seq).progress.clone();
                    worker.update(seq, &progress);
                    Event::Marked(progress)
                } else {
                    Event::Changed
                }
            }
            // The worker has called the provider, and stores that a part was taken.
            Command::HandOver(seq) => {
                worker.in_part = false;
                let noted = state.message(seq).noted(message_fence, worker.known(seq));
                if state.write(seq, noted) {
                    let progress = state.message(seq).progress.clone();
                    worker.update(seq, &progress);
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
                let settled = state.message(seq).settled(message_fence, end);
                if !state.write(seq, settled) && !state.message(seq).progress.status.is_settled() {
                    return; // Another worker holds the conversation: this one gives up.
                }
                Event::Done
            }
            Command::Requeue { seq, status, counted, .. } => {
                let back =
                    state.message(seq).requeued(message_fence, worker.known(seq), status, counted);
                match state.write(seq, back) {
                    true => Event::Done,
                    false if state.message(seq).fence > message_fence => Event::LeaseLost,
                    false => Event::Changed,
                }
            }
            Command::Release => {
                let still_held = state.conversation.lease_until.is_some()
                    && state.conversation.fence == conversation_fence;
                let settled = worker.round.settled_seq();
                let released = state.conversation.released(conversation_fence, settled);
                match state.write_conversation(released) {
                    true => Event::Done,
                    false if still_held => Event::Changed,
                    false => Event::LeaseLost,
                }
            }
            Command::Postpone(at) => {
                let settled = worker.round.settled_seq();
                let postponed = state.conversation.postponed(conversation_fence, settled, at);
                state.write_conversation(postponed);
                state.ring();
                Event::Done
            }
            Command::Park(_) | Command::Pause(_) | Command::Stop(_) => {
                unreachable!("not part of this model")
            }
        };
        self.next_command(state, index, worker, event);
    }

    /// Ends a worker's call of the provider.
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
            Call::TakesAnswerLost | Call::RequestLost => Err(Failure::Unknown(reason())),
            Call::FailsTransiently => {
                Err(Failure::Transient { reason: reason(), retry_after: None })
            }
            Call::FailsPermanently => Err(Failure::Permanent(reason())),
            Call::TakesPart => unreachable!("stored before the call is answered"),
        };

        if matches!(call, Call::Takes | Call::TakesAnswerLost) {
            state.taken.push(seq);
        }
        if call == Call::TakesAnswerLost {
            state.excuse(seq);
        }
        if call != Call::Takes {
            state.left.faults = state.left.faults.saturating_sub(1);
        }
        self.next_command(state, index, worker, Event::Answered(outcome));
    }
}
