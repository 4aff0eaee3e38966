//! What there is: the table, the queue, the provider, and whoever works on them.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use chrono::{DateTime, Utc};

use domain::Seq;
use domain::delivery::stored::MessageState;
use domain::delivery::{Command, ConversationState, Lease, Progress, Round, Status};

/// One moment of the system.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// The clock.
    pub(crate) now: DateTime<Utc>,
    /// The conversation.
    pub(crate) turn: ConversationState,
    /// Its messages; message 1 stands first.
    pub(crate) messages: Vec<MessageState>,
    /// What the month's shard says.
    pub(crate) used: u64,
    /// Whether a doorbell is in the queue.
    pub(crate) doorbell: bool,
    /// Those who send one message each.
    pub(crate) senders: Vec<Sender>,
    /// Those who deliver.
    pub(crate) workers: Vec<Option<Worker>>,
    /// What the provider took, in order.
    pub(crate) taken: Vec<Seq>,
    /// Of which of these it has sent a receipt.
    pub(crate) reported: Vec<Seq>,
    /// Messages in doubt that such a receipt has settled, and whose conversation was not told yet.
    pub(crate) cleared: Vec<Seq>,
    /// Messages over which a worker died, or whose answer was lost, after the provider took them.
    pub(crate) excused: Vec<Seq>,
    /// Messages that were settled at some time.
    pub(crate) ended: Vec<Seq>,
    /// Crashes, provider faults and steps of time that may still happen.
    pub(crate) left: Budget,
}

/// What may still happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    pub(crate) crashes: u8,
    pub(crate) faults: u8,
    pub(crate) ticks: u8,
}

/// Somebody who sends one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Sender {
    /// Nothing was done yet.
    Idle,
    /// The conversation was read, and this was its last message.
    Read(Seq),
    /// The transaction was made; the doorbell is not rung yet.
    Accepted,
    /// 201 was answered, or the sender died before it could.
    Done,
    /// 500 was answered.
    Broken,
}

/// Somebody who delivers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Worker {
    /// What it was told to do and has not done yet.
    pub(crate) command: Command,
    /// Who tells it.
    pub(crate) round: Round,
    /// Its right to.
    pub(crate) lease: Lease,
    /// The messages as it knows them.
    pub(crate) known: Vec<(Seq, Progress)>,
    /// The provider took a part of the message in hand, which it has not written down yet.
    pub(crate) in_part: bool,
}

impl Worker {
    pub(crate) fn known(&self, seq: Seq) -> &Progress {
        &self.known.iter().find(|(known, _)| *known == seq).expect("it was read").1
    }

    /// The message is this far by now.
    pub(crate) fn learn(&mut self, seq: Seq, progress: &Progress) {
        self.known.iter_mut().find(|(known, _)| *known == seq).expect("it was read").1 =
            progress.clone();
    }
}

impl State {
    pub(crate) fn message(&self, seq: Seq) -> &MessageState {
        &self.messages[place(seq)]
    }

    /// Replaces a message, if the write was let through.
    pub(crate) fn write(&mut self, seq: Seq, write: Option<MessageState>) -> bool {
        let Some(stored) = write else { return false };
        if stored.progress.status.is_settled() && !self.ended.contains(&seq) {
            self.ended.push(seq);
            self.ended.sort();
        }
        self.messages[place(seq)] = stored;
        true
    }

    /// Replaces the conversation, if the write was let through.
    pub(crate) fn write_turn(&mut self, write: Option<ConversationState>) -> bool {
        let done = write.is_some();
        if let Some(turn) = write {
            self.turn = turn;
        }
        done
    }

    pub(crate) fn excuse(&mut self, seq: Seq) {
        if !self.excused.contains(&seq) {
            self.excused.push(seq);
            self.excused.sort();
        }
    }

    /// One doorbell in the queue says as much as many: the queue may keep one that was heard.
    pub(crate) fn ring(&mut self) {
        self.doorbell = true;
    }

    /// Senders are all alike, and so are workers: which of them does a thing makes no difference.
    pub(crate) fn sorted(mut self) -> State {
        self.senders.sort();
        self.workers.sort_by_cached_key(|worker| {
            BuildHasherDefault::<DefaultHasher>::default().hash_one(worker)
        });
        self
    }

    /// Whether nothing is left to do, the outbox's promise included.
    pub(crate) fn is_settled(&self) -> bool {
        self.turn.settled_seq == self.turn.seq
            && self.turn.due.is_none()
            && self.messages.iter().all(|message| message.progress.status.is_settled())
    }

    /// The next time at which anything becomes possible.
    pub(crate) fn next_moment(&self) -> Option<DateTime<Utc>> {
        let turn = [self.turn.lease_until, self.turn.not_before, self.turn.due];
        turn.into_iter().flatten().filter(|moment| *moment > self.now).min()
    }

    /// Lets time pass. A worker that has not written down by the end of its lease what the provider
    /// took is as good as dead: Lambda stops it long before.
    pub(crate) fn pass_until(&mut self, moment: DateTime<Utc>) {
        self.now = moment;
        let overtaken: Vec<Seq> = self
            .workers
            .iter()
            .flatten()
            .filter(|worker| worker.lease.until <= moment)
            .filter_map(holding)
            .collect();
        for seq in overtaken {
            self.excuse(seq);
        }
    }
}

/// The message that the provider took and the worker has not written down yet.
pub(crate) fn holding(worker: &Worker) -> Option<Seq> {
    match &worker.command {
        Command::Settle(seq, domain::delivery::Settlement::Sent { .. }) => Some(*seq),
        _ => None,
    }
}

pub(crate) fn is_in_doubt(state: &State) -> bool {
    state.messages.iter().any(|message| message.progress.status == Status::InDoubt)
}

fn place(seq: Seq) -> usize {
    usize::try_from(seq.0).expect("two messages") - 1
}
