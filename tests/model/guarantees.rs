//! The guarantees: the properties that hold in every state.

use stateright::Property;

use crate::actions::Call;
use crate::protocol::{Protocol, WORKERS, Without};
use crate::state::{Report, Sender, State, is_in_doubt};
use domain::Seq;
use domain::delivery::{Command, Status};

/// Every guarantee; and events that some state must show, so that no guarantee holds only because
/// the search never reached a fault.
pub(crate) fn all() -> Vec<Property<Protocol>> {
    vec![
        Property::always("what is counted is what is stored", |_, state: &State| {
            state.used == state.messages.len() as u64 && state.conversation.seq.0 == state.used
        }),
        Property::always("every send is answered for", |_, state: &State| {
            !state.senders.contains(&Sender::InternalError)
        }),
        Property::always("what is not settled is in the outbox", |_, state: &State| {
            state.is_settled() || state.conversation.due.is_some()
        }),
        Property::always("the provider gets messages in order", |_, state: &State| {
            let mut firsts: Vec<Seq> = Vec::new();
            for seq in &state.taken {
                if !firsts.contains(seq) {
                    firsts.push(*seq);
                }
            }
            firsts.is_sorted()
        }),
        Property::always("twice only after a death or a lost answer", |_, state: &State| {
            let twice = |seq: &Seq| state.taken.iter().filter(|taken| *taken == seq).count() > 1;
            state.taken.iter().all(|seq| !twice(seq) || state.excused.contains(seq))
        }),
        Property::always("what is settled stays settled", |_, state: &State| {
            state.ended.iter().all(|seq| state.message(*seq).progress.status.is_settled())
                && (1..=state.conversation.settled_seq.0).all(|seq| state.ended.contains(&Seq(seq)))
        }),
        Property::always(
            "what came back is failed, and what arrived is not",
            |_, state: &State| {
                let reported = |seq, report| state.reported.contains(&(seq, report));
                (1..).map(Seq).zip(&state.messages).all(|(seq, message)| {
                    let is_failed = message.progress.status == Status::Failed;
                    match (reported(seq, Report::Delivered), reported(seq, Report::Bounced)) {
                        (_, true) => is_failed,
                        (true, false) => !is_failed,
                        (false, false) => true,
                    }
                })
            },
        ),
        Property::always(
            "everything is settled once faults stop",
            |protocol: &Protocol, state: &State| protocol.recovers(state),
        ),
        Property::sometimes("sometimes a message is in doubt", |_, state: &State| {
            is_in_doubt(state)
        }),
        Property::sometimes("sometimes a receipt ends a wait", |_, state: &State| {
            let freed = |seq: &Seq| state.conversation.unknown_outcome_resolved(*seq, state.now);
            state
                .cleared
                .iter()
                .filter_map(freed)
                .any(|conversation| conversation.not_before != state.conversation.not_before)
        }),
        Property::sometimes(
            "sometimes a delivered message comes back",
            |protocol: &Protocol, state: &State| {
                let both = |(seq, report): &(Seq, Report)| {
                    *report == Report::Bounced
                        && state.reported.contains(&(*seq, Report::Delivered))
                };
                !protocol.has_bounces() || state.reported.iter().any(both)
            },
        ),
        Property::sometimes("sometimes a customer gets a message twice", |_, state: &State| {
            state.taken.len() > state.messages.len()
        }),
    ]
}

impl Protocol {
    /// True if everything is settled in the end once faults stop: workers finish, time passes, the
    /// sweeper rings, and a worker claims the conversation.
    fn recovers(&self, state: &State) -> bool {
        let mut state = state.clone();
        state.doorbell = false; // The queue may lose everything.

        for _ in 0..12 {
            self.finish(&mut state);
            if state.is_settled() {
                return true;
            }

            if let Some(moment) = state.next_moment() {
                state.pass_until(moment);
            }
            if self.has(Without::Sweeper)
                && state.conversation.due.is_some_and(|due| due <= state.now)
            {
                self.claim(&mut state, 0);
            }
        }
        false
    }

    /// Has every worker execute its commands until it is told to stop.
    fn finish(&self, state: &mut State) {
        for index in 0..WORKERS {
            while let Some(worker) = &state.workers[index] {
                match worker.command {
                    Command::HandOver(_) if state.now >= worker.lease.until => {
                        self.call(state, index, Call::FailsTransiently)
                    }
                    Command::HandOver(_) => self.call(state, index, Call::Takes),
                    _ => self.execute(state, index),
                }
            }
        }
    }
}
