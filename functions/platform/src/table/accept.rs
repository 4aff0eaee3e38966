//! The second call of accepting a message: one transaction that counts and stores it, or does
//! neither.
//!
//! `used` changes only here, together with the message it counts; that is the whole of why the
//! count is exact.

use std::ops::ControlFlow;
use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure::AllOld;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem, Update};
use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;
use uuid::Uuid;

use super::cancellation::{cancellation, is_unknown};
use super::record::{Idempotency, Message, QuotaHead};
use super::{Backoff, Item, Table, expiry, item, key, millis, number, text, value};
use crate::error::{self, InternalError};
use domain::accept::{
    CancellationOutcome, RecordedAnswer, Retry, ShardFault, read as read_verdict,
};
use domain::delivery::{History, Parts, Status};
use domain::problem::Refusal;
use domain::quota::Usage;
use domain::{
    Attachment, BusinessId, Channel, Content, ConversationChannel, ConversationId, MessageId,
    Month, Sender, Seq,
};

/// An idempotency key is remembered for this long, and a little longer until DynamoDB gets round to
/// deleting it.
const IDEMPOTENCY_TTL: TimeDelta = TimeDelta::hours(24);

/// However much happens to a conversation meanwhile, no try begins after this long …
const LAST_TRY: Duration = Duration::from_secs(4);

/// … and the answer to the last one is waited for this long in all.
const DEADLINE: Duration = Duration::from_secs(8);

/// A message that is ready to be accepted: everything that can be checked beforehand was.
#[derive(Debug, Clone)]
pub struct MessageDraft {
    /// The business that sends.
    pub business_id: BusinessId,
    /// The conversation it is sent into.
    pub conversation_id: ConversationId,
    /// The conversation's channel as it was read; the message is accepted only if it still is.
    pub conversation_channel: ConversationChannel,
    /// The channel that the content was checked for.
    pub channel: Channel,
    /// The agent in whose name it is sent.
    pub sender: Sender,
    /// The text.
    pub content: Content,
    /// Its files.
    pub attachments: Vec<Attachment>,
    /// The idempotency key and the request's hash.
    pub idempotency: Option<(String, String)>,
    /// API Gateway's id of the call.
    pub correlation_id: Option<String>,
    /// The one clock reading: `created_at`, and with it the month.
    pub now: DateTime<Utc>,
}

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
}

/// One try: everything that makes the transaction. A try with an unknown outcome is repeated as it
/// is, under its own token, until DynamoDB reports its outcome.
struct TransactionAttempt {
    token: String,
    shard: u16,
    seq: Seq,
    id: MessageId,
}

impl TransactionAttempt {
    fn new(draft: &MessageDraft, last: Seq, shard: u16) -> TransactionAttempt {
        let seq = last.next();
        let id = MessageId::new(draft.now, seq, rand::random());
        TransactionAttempt {
            token: Uuid::from_u128(rand::random()).simple().to_string(),
            shard,
            seq,
            id,
        }
    }
}

fn any_shard(head: &QuotaHead) -> u16 {
    rand::random_range(0..head.shards)
}

/// Any shard but `this`, if there is another.
fn another_shard(head: &QuotaHead, this: u16) -> u16 {
    if head.shards < 2 { 0 } else { (this + rand::random_range(1..head.shards)) % head.shards }
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
    /// (`None`: not open yet).
    ///
    /// # Errors
    /// If DynamoDB does not report the transaction's outcome, or the table contradicts itself.
    pub async fn accept(
        &self,
        draft: &MessageDraft,
        last: Seq,
        head: Option<QuotaHead>,
    ) -> Result<AcceptOutcome, InternalError> {
        let month = Month::of(draft.now);
        let mut head = match head {
            Some(head) => head,
            None => self.open_month(draft.business_id, month).await?,
        };

        if head.limit == 0 {
            return Ok(spent(Usage { limit: 0, used: 0 }, month));
        }
        let begun = Instant::now();
        let mut backoff = Backoff::new(super::BUDGET);
        let mut this = TransactionAttempt::new(draft, last, any_shard(&head));
        let mut in_doubt = None;

        loop {
            let learnt = match self.attempt(draft, month, &this, begun + DEADLINE).await? {
                TransactionOutcome::Accepted => {
                    return Ok(AcceptOutcome::Accepted(accepted(draft, month, &this)));
                }
                TransactionOutcome::Cancelled(verdict) => {
                    in_doubt = None;
                    match self.answer_to_cancellation(draft, verdict).await? {
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
            if begun.elapsed() >= LAST_TRY || !backoff.wait().await {
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

        if let Some(cancelled) = cancellation(&error)? {
            let hash = draft.idempotency.as_ref().map_or("", |(_, hash)| hash);
            let verdict =
                read_verdict(cancelled, hash, Seq(this.seq.0 - 1), &draft.conversation_channel);
            return Ok(TransactionOutcome::Cancelled(verdict));
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
        verdict: CancellationOutcome,
    ) -> Result<ControlFlow<AcceptOutcome, Retry>, InternalError> {
        let answer = match verdict {
            CancellationOutcome::Replay(first) => {
                self.replay(draft.business_id, draft.conversation_id, &first).await?
            }
            CancellationOutcome::KeyReused => AcceptOutcome::Refused(Refusal::IdempotencyKeyReused),
            CancellationOutcome::ConversationNotFound => {
                AcceptOutcome::Refused(Refusal::ConversationNotFound)
            }
            CancellationOutcome::ChannelChanged => AcceptOutcome::ChannelChanged,
            CancellationOutcome::SeqTaken => {
                return Err(InternalError::new("storing a message under a seq that is taken"));
            }
            CancellationOutcome::Retry(retry) => return Ok(ControlFlow::Continue(retry)),
        };

        Ok(ControlFlow::Break(answer))
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
            let free: Vec<u16> = shards
                .iter()
                .filter(|(_, shard)| shard.has_room())
                .map(|(index, _)| *index)
                .collect();
            if !free.is_empty() {
                return Ok(ControlFlow::Continue(free[rand::random_range(0..free.len())]));
            }
            // The last place may have gone to this very request, sent twice.
            if let Some((key, hash)) = &draft.idempotency
                && let Some(Idempotency { first, .. }) =
                    self.get(&key::idempotency(draft.business_id, key)).await?
            {
                return Ok(ControlFlow::Break(match first.request_hash == *hash {
                    true => self.replay(draft.business_id, draft.conversation_id, &first).await?,
                    false => AcceptOutcome::Refused(Refusal::IdempotencyKeyReused),
                }));
            }
            let now = self.open_month(draft.business_id, month).await?;
            if now.version == head.version {
                return Ok(ControlFlow::Break(spent(
                    Usage::of(&shards.into_iter().map(|(_, shard)| shard).collect::<Vec<_>>()),
                    month,
                )));
            }
            *head = now; // The plan has changed since: look at all of its shards.
        }
    }

    async fn transaction(
        &self,
        draft: &MessageDraft,
        month: Month,
        this: &TransactionAttempt,
    ) -> Result<(), SdkError<TransactWriteItemsError>> {
        let call = self.client.transact_write_items().client_request_token(&this.token);
        // The order of the positions is what `cancellation` reads by.
        let call = call
            .transact_items(self.count_message(draft, month, this))
            .transact_items(self.advance_conversation(draft, this))
            .transact_items(self.put_absent(item(
                &key::message(draft.business_id, draft.conversation_id, this.seq),
                &accepted(draft, month, this),
            )));

        let call = match &draft.idempotency {
            Some((key, hash)) => {
                call.transact_items(self.put_absent(idempotency_item(draft, this, key, hash)))
            }
            None => call,
        };

        // The SDK's own repeats would hide that an earlier one may have taken effect; this loop
        // repeats the same try under the same token, and sees the outcome of each.
        let once = aws_sdk_dynamodb::Config::builder().retry_config(RetryConfig::disabled());

        call.customize().config_override(once).send().await.map(drop)
    }

    /// Position 1: counts the message on its shard.
    fn count_message(
        &self,
        draft: &MessageDraft,
        month: Month,
        this: &TransactionAttempt,
    ) -> TransactWriteItem {
        let update = Update::builder()
            .table_name(&self.name)
            .set_key(Some(key::quota_shard(draft.business_id, month, this.shard).attributes()))
            .update_expression("ADD used :one")
            .condition_expression("used < cap")
            .expression_attribute_values(":one", number(1))
            .return_values_on_condition_check_failure(AllOld);
        TransactWriteItem::builder()
            .update(update.build().expect("table, key and expression are set"))
            .build()
    }

    /// Position 2: moves the conversation on, and promises delivery in the outbox.
    fn advance_conversation(
        &self,
        draft: &MessageDraft,
        this: &TransactionAttempt,
    ) -> TransactWriteItem {
        let bucket = key::outbox_bucket(draft.channel, draft.conversation_id);
        let update = Update::builder()
            .table_name(&self.name)
            .set_key(Some(key::conversation(draft.business_id, draft.conversation_id).attributes()))
            .update_expression(
                "SET seq = :next, updated_at = :now, \
                 first_response_at = if_not_exists(first_response_at, :now), \
                 outbox_bucket = :bucket, due = if_not_exists(due, :due)",
            )
            .condition_expression("seq = :last AND channel = :channel")
            .expression_attribute_values(":next", number(this.seq))
            .expression_attribute_values(":last", number(this.seq.0 - 1))
            .expression_attribute_values(":channel", text(&draft.conversation_channel))
            .expression_attribute_values(":now", value(&draft.now))
            .expression_attribute_values(":bucket", text(bucket))
            .expression_attribute_values(":due", millis(draft.now))
            .return_values_on_condition_check_failure(AllOld);

        TransactWriteItem::builder()
            .update(update.build().expect("table, key and expression are set"))
            .build()
    }

    /// Positions 3 and 4: an item that was not there before.
    fn put_absent(&self, item: Item) -> TransactWriteItem {
        let put = Put::builder()
            .table_name(&self.name)
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(pk)")
            .return_values_on_condition_check_failure(AllOld);
        TransactWriteItem::builder().put(put.build().expect("table and item are set")).build()
    }
}

fn spent(Usage { limit, used }: Usage, month: Month) -> AcceptOutcome {
    AcceptOutcome::Refused(Refusal::QuotaExceeded { limit, used, resets_at: month.resets_at() })
}

fn accepted(draft: &MessageDraft, month: Month, this: &TransactionAttempt) -> Message {
    Message {
        id: this.id,
        seq: this.seq,
        sender: draft.sender,
        content: draft.content.clone(),
        attachments: draft.attachments.clone(),
        created_at: draft.now,
        month,
        shard: this.shard,
        status: Status::Queued,
        attempts: 0,
        unknown_outcomes: 0,
        fence: None,
        attempted_at: None,
        provider_id: None,
        sent_at: None,
        delivered_at: None,
        read_at: None,
        failed_at: None,
        error: None,
        parts: Parts::default(),
        correlation_id: draft.correlation_id.clone(),
        history: History::default(),
    }
}

fn idempotency_item(
    draft: &MessageDraft,
    this: &TransactionAttempt,
    text: &str,
    hash: &str,
) -> Item {
    let first =
        RecordedAnswer { message_id: this.id, seq: this.seq, request_hash: hash.to_owned() };
    let expires_at = expiry(draft.now, IDEMPOTENCY_TTL);
    let record = Idempotency { first, conversation_id: draft.conversation_id, expires_at };
    item(&key::idempotency(draft.business_id, text), &record)
}
