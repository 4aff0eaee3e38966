//! The second call of accepting a message: one transaction that counts and stores it, or does
//! neither.
//!
//! `used` changes only here, together with the message it counts; that is the whole of why the
//! count is exact.

mod draft;
mod transaction;

pub use draft::MessageDraft;
pub use transaction::IDEMPOTENCY_TTL;

use std::ops::ControlFlow;
use std::time::Duration;

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use tokio::time::Instant;

use super::cancellation::{cancellation, is_unknown};
use super::record::{Idempotency, Message, QuotaHead};
use super::{Backoff, Table, key};
use crate::error::{self, InternalError};
use domain::accept::{
    CancellationOutcome, CurrentConversation, RecordedAnswer, Retry, ShardFault,
    read as read_cancelled,
};
use domain::problem::Refusal;
use domain::quota::{FullShards, Shard, Usage};
use domain::{BusinessId, ConversationId, Month, Seq};
use transaction::TransactionAttempt;

/// However much happens to a conversation meanwhile, no try begins after this long …
pub const ACCEPT_LAST_TRY: Duration = Duration::from_secs(4);

/// … and the answer to the last one is waited for this long in all.
pub const ACCEPT_DEADLINE: Duration = Duration::from_secs(8);

/// The outcome of accepting a draft.
#[derive(Debug)]
pub enum AcceptOutcome {
    /// The message is stored and counted.
    Accepted(Message),
    /// The same request was accepted before under its key; the message as it is now.
    Replayed(Message),
    /// A rule refused it, and nothing was written.
    Refused(Refusal),
    /// The conversation is on another channel than the content was checked for: check again.
    ChannelChanged,
    /// A file of it has expired, or another message has referenced it by now: check again.
    UploadsChanged,
}

/// Any shard of a month that was not seen full.
fn any_shard(head: &QuotaHead) -> u16 {
    any_of(head.full_shards.others(head.shards)).unwrap_or(0)
}

/// Any such shard but `this`, if there is another.
fn another_shard(head: &QuotaHead, this: u16) -> u16 {
    let others = head.full_shards.others(head.shards).filter(|shard| *shard != this);
    any_of(others).unwrap_or(this)
}

fn any_of(shards: impl Iterator<Item = u16>) -> Option<u16> {
    let shards: Vec<u16> = shards.collect();
    (!shards.is_empty()).then(|| shards[rand::random_range(0..shards.len())])
}

/// The outcome of one try.
enum TransactionOutcome {
    /// The transaction was made.
    Accepted,
    /// DynamoDB cancelled it.
    Cancelled(CancellationOutcome),
    /// Contention or throttling refused the call; an earlier call of the same try may have taken
    /// effect.
    NotNow,
    /// The answer is missing or tells nothing: the transaction may have been made.
    Unknown(InternalError),
}

impl Table {
    /// Accepts `draft` as the message after `last`, in a month whose head was read as `head`
    /// (`None`: not open yet) and whose first shard as `first_shard`. A month of one shard that was
    /// seen full is refused without a transaction, unless its plan has changed since.
    ///
    /// # Errors
    /// If DynamoDB does not report the transaction's outcome, or the table contradicts itself.
    pub async fn accept(
        &self,
        draft: &MessageDraft,
        last: Seq,
        head: Option<QuotaHead>,
        first_shard: Option<Shard>,
    ) -> Result<AcceptOutcome, InternalError> {
        let month = Month::of(draft.now);
        let mut head = match head {
            Some(head) => head,
            None => self.open_month(draft.business_id, month).await?,
        };

        if head.limit == 0 || head.is_spent() {
            // A month that is spent has used up its limit. The last place may have gone to this
            // very request, sent twice.
            let known = if head.is_spent() { self.known_answer(draft).await? } else { None };
            let usage = Usage { limit: head.limit, used: head.limit };
            return Ok(known.unwrap_or_else(|| spent(usage, month)));
        }
        let begun = Instant::now();
        let mut backoff = Backoff::new(super::CONTENTION_BUDGET);
        let is_full = head.shards == 1 && first_shard.is_some_and(|shard| !shard.has_room());
        let shard = if is_full {
            match self.shard_with_room(draft, month, &mut head).await? {
                ControlFlow::Continue(shard) => shard,
                ControlFlow::Break(answer) => return Ok(answer),
            }
        } else {
            any_shard(&head)
        };
        let mut this = TransactionAttempt::new(draft, last, shard);
        let mut in_doubt = None;

        loop {
            let learnt = match self.attempt(draft, month, &this, begun + ACCEPT_DEADLINE).await? {
                TransactionOutcome::Accepted => {
                    return Ok(AcceptOutcome::Accepted(this.message(draft, month)));
                }
                TransactionOutcome::Cancelled(outcome) => {
                    in_doubt = None;
                    match self.answer_to_cancellation(draft, &this, outcome).await? {
                        ControlFlow::Break(answer) => return Ok(answer),
                        ControlFlow::Continue(retry) => Some(retry),
                    }
                }
                TransactionOutcome::NotNow => None,
                TransactionOutcome::Unknown(error) => {
                    in_doubt = Some(error);
                    None
                }
            };
            if in_doubt.is_some() || learnt.is_some_and(|retry| retry != Retry::default()) {
                backoff.renew();
            }
            if begun.elapsed() >= ACCEPT_LAST_TRY || !backoff.wait().await {
                return in_doubt.map_or(Ok(AcceptOutcome::Refused(Refusal::Busy)), Err);
            }
            if let Some(retry) = learnt {
                this = match self.next_attempt(draft, month, &mut head, &this, retry).await? {
                    ControlFlow::Continue(next) => next,
                    ControlFlow::Break(answer) => return Ok(answer),
                };
            }
        }
    }

    /// Makes one try.
    async fn attempt(
        &self,
        draft: &MessageDraft,
        month: Month,
        this: &TransactionAttempt,
        until: Instant,
    ) -> Result<TransactionOutcome, InternalError> {
        let answer = tokio::time::timeout_at(until, self.transaction(draft, month, this)).await;
        let error = match answer {
            Ok(Ok(())) => return Ok(TransactionOutcome::Accepted),
            Ok(Err(error)) => error,
            Err(late) => return Err(InternalError::because("calling TransactWriteItems", late)),
        };

        if let Some(cancelled) = cancellation(&error, draft.idempotency.is_some())? {
            let hash = draft.idempotency.as_ref().map_or("", |(_, hash)| hash);
            let outcome =
                read_cancelled(cancelled, hash, Seq(this.seq.0 - 1), &draft.conversation_channel);
            return Ok(TransactionOutcome::Cancelled(outcome));
        }

        match error.code() {
            Some(code) if error::is_contention(code) => Ok(TransactionOutcome::NotNow),
            _ if is_unknown(&error) => {
                Ok(TransactionOutcome::Unknown(InternalError::aws("TransactWriteItems", error)))
            }
            _ => Err(InternalError::aws("TransactWriteItems", error)),
        }
    }

    /// Turns a cancellation into the answer, or continues with what to change in the next try.
    async fn answer_to_cancellation(
        &self,
        draft: &MessageDraft,
        this: &TransactionAttempt,
        outcome: CancellationOutcome,
    ) -> Result<ControlFlow<AcceptOutcome, Retry>, InternalError> {
        let answer = match outcome {
            CancellationOutcome::Replay(first) => {
                self.replay(draft.business_id, draft.conversation_id, &first).await?
            }
            CancellationOutcome::KeyReused => AcceptOutcome::Refused(Refusal::IdempotencyKeyReused),
            CancellationOutcome::ConversationNotFound => match self.known_answer(draft).await? {
                Some(answer) => answer,
                None => AcceptOutcome::Refused(Refusal::ConversationNotFound),
            },
            CancellationOutcome::ChannelChanged => AcceptOutcome::ChannelChanged,
            CancellationOutcome::UploadsChanged => AcceptOutcome::UploadsChanged,
            CancellationOutcome::SeqTaken => return self.reread_conversation(draft, this).await,
            CancellationOutcome::Retry(retry) => return Ok(ControlFlow::Continue(retry)),
        };

        Ok(ControlFlow::Break(answer))
    }

    /// Reads the conversation again after `this` try found its `seq` taken, because DynamoDB may
    /// not have evaluated the conversation, nor the key. Continues with the conversation's `seq`.
    async fn reread_conversation(
        &self,
        draft: &MessageDraft,
        this: &TransactionAttempt,
    ) -> Result<ControlFlow<AcceptOutcome, Retry>, InternalError> {
        if let Some(answer) = self.known_answer(draft).await? {
            return Ok(ControlFlow::Break(answer));
        }

        let key = key::conversation(draft.business_id, draft.conversation_id);
        let now: Option<CurrentConversation> = self.get(&key).await?;
        match now {
            None => Ok(ControlFlow::Break(AcceptOutcome::Refused(Refusal::ConversationNotFound))),
            Some(now) if now.channel != draft.conversation_channel => {
                Ok(ControlFlow::Break(AcceptOutcome::ChannelChanged))
            }
            Some(now) if now.seq >= this.seq => {
                Ok(ControlFlow::Continue(Retry { seq: Some(now.seq), shard: ShardFault::None }))
            }
            Some(_) => Err(InternalError::new("storing a message under a seq that is taken")),
        }
    }

    /// Returns the answer that is recorded for the draft's idempotency key, if any: a cancellation
    /// may leave the key out, and a known key wins over every refusal.
    async fn known_answer(
        &self,
        draft: &MessageDraft,
    ) -> Result<Option<AcceptOutcome>, InternalError> {
        let Some((key, hash)) = &draft.idempotency else { return Ok(None) };
        let record: Option<Idempotency> = self.get(key).await?;
        let Some(Idempotency { first, .. }) = record else { return Ok(None) };

        if first.request_hash != *hash {
            return Ok(Some(AcceptOutcome::Refused(Refusal::IdempotencyKeyReused)));
        }
        self.replay(draft.business_id, draft.conversation_id, &first).await.map(Some)
    }

    /// Prepares the next try from what `this` one has shown; breaks if the month is spent.
    async fn next_attempt(
        &self,
        draft: &MessageDraft,
        month: Month,
        head: &mut QuotaHead,
        this: &TransactionAttempt,
        retry: Retry,
    ) -> Result<ControlFlow<AcceptOutcome, TransactionAttempt>, InternalError> {
        let last = retry.seq.unwrap_or(Seq(this.seq.0 - 1));
        let shard = match retry.shard {
            ShardFault::None => another_shard(head, this.shard),
            ShardFault::NotOpen => {
                *head = self.open_month(draft.business_id, month).await?;
                any_shard(head)
            }
            ShardFault::Full => match self.shard_with_room(draft, month, head).await? {
                ControlFlow::Continue(shard) => shard,
                ControlFlow::Break(answer) => return Ok(ControlFlow::Break(answer)),
            },
        };

        Ok(ControlFlow::Continue(TransactionAttempt::new(draft, last, shard)))
    }

    /// Returns the message that was accepted under an idempotency key before.
    ///
    /// # Errors
    /// If DynamoDB does not answer, or the message is not where its record says.
    pub async fn replay(
        &self,
        business_id: BusinessId,
        conversation_id: ConversationId,
        first: &RecordedAnswer,
    ) -> Result<AcceptOutcome, InternalError> {
        let message: Option<Message> =
            self.get(&key::message(business_id, conversation_id, first.seq)).await?;
        let message = message.filter(|message| message.id == first.message_id);
        message
            .map(AcceptOutcome::Replayed)
            .ok_or_else(|| InternalError::new("reading the message of an idempotency record"))
    }

    /// Finds a shard with room after one was seen full. Breaks if all are full: shards only fill,
    /// so the month is spent until the plan changes.
    async fn shard_with_room(
        &self,
        draft: &MessageDraft,
        month: Month,
        head: &mut QuotaHead,
    ) -> Result<ControlFlow<AcceptOutcome, u16>, InternalError> {
        loop {
            let shards = self.shards(draft.business_id, month, head.shards).await?;
            let full = FullShards::of(&shards);
            let free = shards.iter().map(|(number, _)| *number);
            if let Some(shard) = any_of(free.filter(|number| !full.contain(*number))) {
                if !head.full_shards.contain_all(full) {
                    self.remember_full(draft.business_id, month, head.version, full).await;
                    head.full_shards = full;
                }
                return Ok(ControlFlow::Continue(shard));
            }
            // The last place may have gone to this very request, sent twice.
            if let Some(answer) = self.known_answer(draft).await? {
                return Ok(ControlFlow::Break(answer));
            }
            let now = self.open_month(draft.business_id, month).await?;
            if now.version == head.version {
                if shards.len() == usize::from(head.shards) {
                    self.remember_full(draft.business_id, month, head.version, full).await;
                }
                return Ok(ControlFlow::Break(spent(
                    Usage::of(&shards.into_iter().map(|(_, shard)| shard).collect::<Vec<_>>()),
                    month,
                )));
            }
            *head = now; // The plan has changed since: look at all of its shards.
        }
    }
}

fn spent(Usage { limit, used }: Usage, month: Month) -> AcceptOutcome {
    AcceptOutcome::Refused(Refusal::QuotaExceeded { limit, used, resets_at: month.resets_at() })
}
