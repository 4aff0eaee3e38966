//! The protocol's writes as pure transitions: the condition of each write, and the state after it.
//! `None` means that the write is refused.
//!
//! In production DynamoDB decides, by the condition expressions of `platform::table`. These
//! functions say the same in Rust, for the model of the protocol; contract tests compare every
//! expression with its function here.

use chrono::{DateTime, TimeDelta, Utc};

use super::lease::{ClaimOutcome, ConversationState, Lease, claim};
use super::progress::Progress;
use super::receipt::ReportedStatus;
use super::standing::Standing;
use super::status::Status;
use crate::id::Seq;

impl ConversationState {
    /// A sender's transaction accepts the message after `last`: the conversation moves on and
    /// enters the outbox.
    #[must_use]
    pub fn accepted(&self, last: Seq, now: DateTime<Utc>) -> Option<ConversationState> {
        (self.seq == last).then(|| ConversationState {
            seq: last.next(),
            due: Some(self.due.unwrap_or(now)),
            ..self.clone()
        })
    }

    /// A worker claims the conversation for `length`.
    ///
    /// # Errors
    /// The outcome of a claim that is not granted.
    pub fn claimed(
        &self,
        now: DateTime<Utc>,
        length: TimeDelta,
    ) -> Result<(ConversationState, Lease), ClaimOutcome> {
        match claim(self, now, length) {
            ClaimOutcome::Granted(lease) => Ok((
                ConversationState {
                    fence: lease.fence,
                    lease_until: Some(lease.until),
                    ..self.clone()
                },
                lease,
            )),
            refused => Err(refused),
        }
    }

    fn is_held_by(&self, fence: u64) -> bool {
        self.lease_until.is_some() && self.fence == fence
    }

    /// The holder renews its lease: it lasts until `until`.
    #[must_use]
    pub fn renewed(&self, fence: u64, until: DateTime<Utc>) -> Option<ConversationState> {
        let held = self.is_held_by(fence);
        held.then(|| ConversationState { lease_until: Some(until), ..self.clone() })
    }

    /// The holder, which has passed the messages up to `settled`, lets go of the conversation.
    /// Refused if that were a step back.
    fn let_go(&self, fence: u64, settled: Seq) -> Option<ConversationState> {
        let forward = self.is_held_by(fence) && self.settled_seq <= settled;
        forward.then(|| ConversationState {
            settled_seq: settled,
            lease_until: None,
            ..self.clone()
        })
    }

    /// The holder releases the conversation behind its last message, `settled`; it leaves the
    /// outbox. Refused if there is a message behind it.
    #[must_use]
    pub fn released(&self, fence: u64, settled: Seq) -> Option<ConversationState> {
        let free = self.let_go(fence, settled).filter(|free| free.seq == settled)?;
        Some(ConversationState { not_before: None, due: None, ..free })
    }

    /// The holder releases the conversation until `at`, behind `settled`.
    #[must_use]
    pub fn postponed(
        &self,
        fence: u64,
        settled: Seq,
        at: DateTime<Utc>,
    ) -> Option<ConversationState> {
        let free = self.let_go(fence, settled)?;
        Some(ConversationState { not_before: Some(at), due: Some(at), ..free })
    }

    /// The holder releases the conversation until `at`, behind `settled`, because the customer is
    /// away. Refused if the conversation is not due at `before` any more: then the customer has
    /// come back meanwhile.
    #[must_use]
    pub fn parked(
        &self,
        fence: u64,
        settled: Seq,
        before: Option<DateTime<Utc>>,
        at: DateTime<Utc>,
    ) -> Option<ConversationState> {
        let free = self.let_go(fence, settled).filter(|free| free.due == before)?;
        Some(ConversationState { not_before: None, due: Some(at), ..free })
    }

    /// The customer is back, so the conversation is due now, unless nothing may be sent yet.
    #[must_use]
    pub fn made_due(&self, now: DateTime<Utc>) -> Option<ConversationState> {
        let waiting = self.settled_seq < self.seq && self.due.is_some();
        let too_early =
            self.lease_until.is_none() && self.not_before.is_some_and(|time| now < time);
        (waiting && !too_early).then(|| ConversationState { due: Some(now), ..self.clone() })
    }

    /// A receipt has settled message `seq`, which was in doubt. If the conversation waits for that
    /// receipt, it is due now: only the first message that is not settled can make it wait.
    #[must_use]
    pub fn unknown_outcome_resolved(
        &self,
        seq: Seq,
        now: DateTime<Utc>,
    ) -> Option<ConversationState> {
        let waiting =
            self.settled_seq.next() == seq && self.lease_until.is_none() && self.due.is_some();
        waiting.then(|| ConversationState { not_before: None, due: Some(now), ..self.clone() })
    }
}

/// The stored state of a message: its progress, and the fence of the last worker that wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MessageState {
    /// The delivery state.
    pub progress: Progress,
    /// The fence of the last worker's write; 0 before the first.
    pub fence: u64,
    /// The provider's own time of the delivery or the bounce that the status rests on.
    pub reported_at: Option<DateTime<Utc>>,
}

impl MessageState {
    fn with(&self, fence: u64, change: impl FnOnce(&mut Progress)) -> MessageState {
        let mut progress = self.progress.clone();
        change(&mut progress);
        MessageState { progress, fence, ..*self }
    }

    /// A worker announces an attempt at the message, which it read as `seen`.
    #[must_use]
    pub fn marked(&self, fence: u64, seen: &Progress, now: DateTime<Utc>) -> Option<MessageState> {
        let same = self.progress.status == seen.status && self.progress.attempts == seen.attempts;
        // A message that was read as `sending` lost its worker: one more unknown outcome.
        let unknown_outcomes = seen.unknown_outcomes + u32::from(seen.status == Status::Sending);

        (same && self.fence <= fence).then(|| {
            self.with(fence, |progress| {
                progress.status = Status::Sending;
                progress.attempts = seen.attempts + 1;
                progress.unknown_outcomes = unknown_outcomes;
                progress.attempted_at = Some(now);
            })
        })
    }

    /// A worker stores the outcome: `sent` or `failed`. Refused if a receipt has settled the
    /// message already.
    #[must_use]
    pub fn settled(&self, fence: u64, end: Status) -> Option<MessageState> {
        let open = !self.progress.status.is_settled() && self.fence <= fence;
        open.then(|| self.with(fence, |progress| progress.status = end))
    }

    /// A worker puts the message back, which it read as `seen`. Refused if another attempt has
    /// begun or a receipt has settled the message.
    #[must_use]
    pub fn requeued(
        &self,
        fence: u64,
        seen: &Progress,
        status: Status,
        counted: bool,
    ) -> Option<MessageState> {
        let open =
            self.progress.status == Status::Sending && self.progress.attempts == seen.attempts;

        (open && self.fence <= fence).then(|| {
            self.with(fence, |progress| {
                progress.status = status;
                progress.attempts = seen.attempts - u32::from(!counted);
                progress.unknown_outcomes =
                    seen.unknown_outcomes + u32::from(status == Status::InDoubt);
            })
        })
    }

    /// A worker notes that the provider took a part of the message, which it read as `seen`, and
    /// puts the message back for the other parts. Refused unless the attempt is still the worker's
    /// own and nothing has settled the message. The attempt is not over, so it is not counted yet.
    #[must_use]
    pub fn noted(&self, fence: u64, seen: &Progress) -> Option<MessageState> {
        let Progress { status, attempts, .. } = self.progress;
        let ours = status == Status::Sending && attempts == seen.attempts && self.fence == fence;

        ours.then(|| {
            self.with(fence, |progress| {
                progress.status = Status::Queued;
                progress.attempts = seen.attempts - 1;
            })
        })
    }

    /// A receipt reports something that happened `at`, by the provider's clock. Refused if it
    /// changes nothing.
    #[must_use]
    pub fn reported(&self, reported: &ReportedStatus, at: DateTime<Utc>) -> Option<MessageState> {
        let standing = Standing { status: self.progress.status, reported_at: self.reported_at };
        let Standing { status, reported_at } = standing.on_receipt(reported, at)?;

        let moved = self.with(self.fence, |progress| progress.status = status);
        Some(MessageState { reported_at, ..moved })
    }
}
