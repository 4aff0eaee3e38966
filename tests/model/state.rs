//! The state of the system: the table, the queue, the provider, the senders and the workers.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use chrono::{DateTime, TimeDelta, Utc};

use domain::Seq;
use domain::delivery::transitions::MessageState;
use domain::delivery::{
    Command, ConversationState, Lease, Progress, Reason, ReportedStatus, Round, Status,
};

/// One moment of the system.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// The clock.
    pub(crate) now: DateTime<Utc>,
    /// The conversation.
    pub(crate) conversation: ConversationState,
    /// The conversation's messages; message 1 stands first.
    pub(crate) messages: Vec<MessageState>,
    /// The `used` of the month's shard.
    pub(crate) used: u64,
    /// True if a doorbell is in the queue.
    pub(crate) doorbell: bool,
    /// Senders of one message each.
    pub(crate) senders: Vec<Sender>,
    /// The delivery workers; `None` for one that holds no conversation.
    pub(crate) workers: Vec<Option<Worker>>,
    /// The messages that the provider took, in order.
    pub(crate) taken: Vec<Seq>,
    /// The receipts that the provider has sent.
    pub(crate) reported: Vec<(Seq, Report)>,
    /// Messages in doubt that a receipt has settled, and whose conversation is not due yet.
    pub(crate) cleared: Vec<Seq>,
    /// Messages whose worker died, or whose answer was lost, after the provider took them: these
    /// may be sent twice.
    pub(crate) excused: Vec<Seq>,
    /// Messages that were settled in some earlier state.
    pub(crate) ended: Vec<Seq>,
    /// Crashes, provider faults and steps of time that may still happen.
    pub(crate) left: Budget,
}

/// The faults and steps of time that a search may still use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    pub(crate) crashes: u8,
    pub(crate) faults: u8,
    pub(crate) ticks: u8,
    pub(crate) bounces: u8,
}

/// The content of a receipt. A message is delivered before it comes back; the receipts of both may
/// arrive in either order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Report {
    Sent,
    Delivered,
    Bounced,
}

impl Report {
    /// Returns the report, and when that happened by the provider's clock.
    pub(crate) fn reported(self) -> (ReportedStatus, DateTime<Utc>) {
        let after = |seconds| DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds);
        match self {
            Report::Sent => (ReportedStatus::Sent, after(0)),
            Report::Delivered => (ReportedStatus::Delivered, after(1)),
            Report::Bounced => (ReportedStatus::Bounced(Reason::new("model", "")), after(2)),
        }
    }
}

/// The progress of a caller that sends one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Sender {
    /// Nothing is done yet.
    Idle,
    /// The sender has read the conversation; this was its last message.
    Read(Seq),
    /// The transaction is made; the doorbell is not rung yet.
    Accepted,
    /// The sender has answered 201, or died before that.
    Done,
    /// The sender has answered 500.
    InternalError,
}

/// A worker that holds the conversation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Worker {
    /// The command that it has not executed yet.
    pub(crate) command: Command,
    /// The round that gives it commands.
    pub(crate) round: Round,
    /// Its lease of the conversation.
    pub(crate) lease: Lease,
    /// The messages as it has read them.
    pub(crate) known: Vec<(Seq, Progress)>,
    /// True if the provider took a part of the current message and the worker has not stored that
    /// yet.
    pub(crate) in_part: bool,
}

impl Worker {
    pub(crate) fn known(&self, seq: Seq) -> &Progress {
        &self.known.iter().find(|(known, _)| *known == seq).expect("it was read").1
    }

    /// Replaces the state of a message that was read.
    pub(crate) fn update(&mut self, seq: Seq, progress: &Progress) {
        self.known.iter_mut().find(|(known, _)| *known == seq).expect("it was read").1 =
            progress.clone();
    }
}

impl State {
    pub(crate) fn message(&self, seq: Seq) -> &MessageState {
        &self.messages[index_of(seq)]
    }

    /// Replaces a message unless the write was refused; returns whether it was written.
    pub(crate) fn write(&mut self, seq: Seq, write: Option<MessageState>) -> bool {
        let Some(stored) = write else { return false };
        if stored.progress.status.is_settled() && !self.ended.contains(&seq) {
            self.ended.push(seq);
            self.ended.sort();
        }
        self.messages[index_of(seq)] = stored;
        true
    }

    /// Replaces the conversation unless the write was refused; returns whether it was written.
    pub(crate) fn write_conversation(&mut self, write: Option<ConversationState>) -> bool {
        let Some(conversation) = write else { return false };
        self.conversation = conversation;
        true
    }

    /// Allows the message to be sent twice.
    pub(crate) fn excuse(&mut self, seq: Seq) {
        if !self.excused.contains(&seq) {
            self.excused.push(seq);
            self.excused.sort();
        }
    }

    /// Puts a doorbell into the queue. One stands for many, since the queue may deliver it again.
    pub(crate) fn ring(&mut self) {
        self.doorbell = true;
    }

    /// Sorts senders and workers: each is like the others, so their order makes no difference.
    pub(crate) fn sorted(mut self) -> State {
        self.senders.sort();
        self.workers.sort_by_cached_key(|worker| {
            BuildHasherDefault::<DefaultHasher>::default().hash_one(worker)
        });
        self
    }

    /// True if every message is settled and the conversation has left the outbox.
    pub(crate) fn is_settled(&self) -> bool {
        self.conversation.settled_seq == self.conversation.seq
            && self.conversation.due.is_none()
            && self.messages.iter().all(|message| message.progress.status.is_settled())
    }

    /// Returns the next time at which something becomes possible.
    pub(crate) fn next_moment(&self) -> Option<DateTime<Utc>> {
        let moments =
            [self.conversation.lease_until, self.conversation.not_before, self.conversation.due];
        moments.into_iter().flatten().filter(|moment| *moment > self.now).min()
    }

    /// Lets time pass. A worker that has not stored by the end of its lease what the provider took
    /// counts as dead: one that lives and can write renews its lease.
    pub(crate) fn pass_until(&mut self, moment: DateTime<Utc>) {
        self.now = moment;
        let overtaken: Vec<Seq> = self
            .workers
            .iter()
            .flatten()
            .filter(|worker| worker.lease.until <= moment)
            .filter_map(taken_but_not_stored)
            .collect();
        for seq in overtaken {
            self.excuse(seq);
        }
    }
}

/// Returns the message that the provider took and the worker has not stored yet.
pub(crate) fn taken_but_not_stored(worker: &Worker) -> Option<Seq> {
    match &worker.command {
        Command::Settle(seq, domain::delivery::Settlement::Sent { .. }) => Some(*seq),
        _ => None,
    }
}

pub(crate) fn is_in_doubt(state: &State) -> bool {
    state.messages.iter().any(|message| message.progress.status == Status::InDoubt)
}

fn index_of(seq: Seq) -> usize {
    usize::try_from(seq.0).expect("two messages") - 1
}
