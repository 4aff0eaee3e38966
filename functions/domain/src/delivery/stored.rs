//! The writes of the protocol as pure transitions: what each asks of what is stored, and what it
//! makes of it.
//!
//! In production DynamoDB decides, by the condition expressions of `platform::table`. These
//! functions say the same in Rust, for the model of the protocol; contract tests hold every
//! expression against its function here.

use chrono::{DateTime, TimeDelta, Utc};

use super::lease::{ClaimOutcome, ConversationState, Lease, claim};
use super::progress::Progress;
use super::status::Status;
use crate::id::Seq;

impl ConversationState {
    /// Accepting the message after `last`: the conversation moves on and is promised to the outbox.
    #[must_use]
    pub fn accepted(&self, last: Seq, now: DateTime<Utc>) -> Option<ConversationState> {
        let moved = ConversationState {
            seq: last.next(),
            due: Some(self.due.unwrap_or(now)),
            ..self.clone()
        };
        (self.seq == last).then_some(moved)
    }

    /// A worker asks for the conversation.
    ///
    /// # Errors
    /// Why it does not get it.
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

    /// The holder moves past message `seq`.
    #[must_use]
    pub fn advanced(&self, fence: u64, seq: Seq) -> Option<ConversationState> {
        let next = self.is_held_by(fence) && self.settled_seq.next() == seq;
        next.then(|| ConversationState { settled_seq: seq, ..self.clone() })
    }

    /// The holder lets go for good.
    #[must_use]
    pub fn released(&self, fence: u64) -> Option<ConversationState> {
        let settled = self.is_held_by(fence) && self.settled_seq == self.seq;
        settled.then(|| ConversationState {
            lease_until: None,
            not_before: None,
            due: None,
            ..self.clone()
        })
    }

    /// The holder lets go until `at`.
    #[must_use]
    pub fn postponed(&self, fence: u64, at: DateTime<Utc>) -> Option<ConversationState> {
        let held = self.is_held_by(fence);
        held.then(|| ConversationState {
            lease_until: None,
            not_before: Some(at),
            due: Some(at),
            ..self.clone()
        })
    }

    /// The holder lets go until `at` because the customer is away, and was since the conversation
    /// was due at `before`.
    #[must_use]
    pub fn parked(
        &self,
        fence: u64,
        before: Option<DateTime<Utc>>,
        at: DateTime<Utc>,
    ) -> Option<ConversationState> {
        let still_away = self.is_held_by(fence) && self.due == before;
        still_away.then(|| ConversationState {
            lease_until: None,
            not_before: None,
            due: Some(at),
            ..self.clone()
        })
    }

    /// The customer is back. Where nothing may be sent yet, nobody is to look any earlier for that.
    #[must_use]
    pub fn made_due(&self, now: DateTime<Utc>) -> Option<ConversationState> {
        let waiting = self.settled_seq < self.seq && self.due.is_some();
        let too_early =
            self.lease_until.is_none() && self.not_before.is_some_and(|time| now < time);
        (waiting && !too_early).then(|| ConversationState { due: Some(now), ..self.clone() })
    }

    /// A receipt has settled message `seq`, whose fate nobody knew. If the conversation waits for
    /// that and for nothing else, it need not any more: only the message whose turn it is can make
    /// it wait.
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

/// A message as it is stored: how far it has come, and the fence of the last worker that touched
/// it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MessageState {
    /// How far it has come.
    pub progress: Progress,
    /// 0 until a worker touches it.
    pub fence: u64,
}

impl MessageState {
    fn with(&self, fence: u64, change: impl FnOnce(&mut Progress)) -> MessageState {
        let mut progress = self.progress.clone();
        change(&mut progress);
        MessageState { progress, fence }
    }

    /// A worker announces an attempt at the message it saw as `seen`.
    #[must_use]
    pub fn marked(&self, fence: u64, seen: &Progress, now: DateTime<Utc>) -> Option<MessageState> {
        let same = self.progress.status == seen.status && self.progress.attempts == seen.attempts;
        // Found as `sending`: a worker died over it, which is one more time that nobody knows.
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

    /// A worker writes down the end: `sent` or `failed`. What a receipt has settled already stays.
    #[must_use]
    pub fn settled(&self, fence: u64, end: Status) -> Option<MessageState> {
        let open = !self.progress.status.is_settled() && self.fence <= fence;
        open.then(|| self.with(fence, |progress| progress.status = end))
    }

    /// A worker puts back the message it saw as `seen`: that very attempt, which nothing has
    /// settled since.
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

    /// A worker notes that the provider took a part of the message it saw as `seen`, and puts it
    /// back for the rest: that very attempt, in its own hands, and the message's end not told by
    /// anybody. The attempt is not over by that, so it is not counted yet.
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

    /// A receipt says that the message came this far.
    #[must_use]
    pub fn reported(&self, status: Status) -> Option<MessageState> {
        let forward = self.progress.status.on_receipt(status)?;
        Some(self.with(self.fence, |progress| progress.status = forward))
    }
}
