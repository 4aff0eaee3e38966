//! The worker's writes to a conversation: they claim it and let go of it, each with the condition
//! it relies on. The writes to its messages are in `attempt.rs`.
//!
//! When an answer is lost, the SDK repeats the call and finds its own write in the way. Each write
//! therefore recognises what only it can have written, and reports success.

use std::ops::ControlFlow;

use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::ReturnValue;
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::exceptions::MessageAddress;
use super::record::{ChannelRecord, Conversation};
use super::{Table, WriteOutcome, key, millis, number, text, update, value};
use crate::error::InternalError;
use domain::delivery::{ClaimOutcome, Lease, claim};
use domain::{BusinessId, ChannelId, ConversationId, Seq};

/// The worker's half of the table.
#[derive(Debug, Clone, Copy)]
pub struct Deliveries<'a> {
    pub(super) table: &'a Table,
}

/// A conversation that this worker holds.
#[derive(Debug, Clone)]
pub struct HeldConversation {
    /// The business it belongs to.
    pub business_id: BusinessId,
    /// The conversation's id.
    pub conversation_id: ConversationId,
    /// The conversation as it was claimed; `settled_seq`, `thread` and the rate limit's state
    /// follow the worker's progress, and are stored when it lets go of the conversation.
    pub conversation: Conversation,
    /// The lease, with its fence.
    pub lease: Lease,
    owner: String,
}

/// The condition that the holder of a lease still has it.
const HELD: &str = "lease_owner = :me AND fence = :fence";

impl HeldConversation {
    /// True if the conversation as it is `now` is still held under this claim.
    fn is_still(&self, now: &Conversation) -> bool {
        now.fence == self.lease.fence && now.lease_owner.as_ref() == Some(&self.owner)
    }

    /// Returns the address of one of its messages; `None` on a channel that this service does not
    /// deliver to.
    pub(super) fn address_of(&self, seq: Seq) -> Option<MessageAddress> {
        let HeldConversation { business_id, conversation_id, .. } = *self;
        let channel = self.conversation.channel.supported().ok()?;
        Some(MessageAddress { business_id, channel, conversation_id, seq })
    }

    /// True if this lease was released and no other worker has claimed since.
    fn was_released(&self, now: &Conversation) -> bool {
        now.fence == self.lease.fence && now.lease_owner.is_none()
    }
}

/// The outcome of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseOutcome {
    /// The conversation is free and out of the outbox.
    Done,
    /// A new message came; this worker still holds the conversation.
    NewMessage,
    /// The lease was lost to another worker.
    LeaseLost,
}

impl Deliveries<'_> {
    /// Claims a conversation for `length`, or breaks with the reason why not. The condition is that
    /// of [`domain::delivery::claim`].
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn claim(
        self,
        business_id: BusinessId,
        conversation_id: ConversationId,
        now: DateTime<Utc>,
        length: TimeDelta,
    ) -> Result<ControlFlow<ClaimOutcome, HeldConversation>, InternalError> {
        let owner = Uuid::from_u128(rand::random()).simple().to_string();
        let call = self
            .table
            .change(&key::conversation(business_id, conversation_id))
            .update_expression("SET lease_owner = :me, lease_until = :until, fence = fence + :one")
            .condition_expression(
                "(settled_seq < seq OR attribute_exists(due)) \
                 AND (attribute_not_exists(lease_until) OR lease_until <= :now) \
                 AND (attribute_not_exists(not_before) OR not_before <= :now)",
            )
            .expression_attribute_values(":me", text(&owner))
            .expression_attribute_values(":until", millis(now + length))
            .expression_attribute_values(":now", millis(now))
            .expression_attribute_values(":one", number(1))
            .return_values(ReturnValue::AllNew);

        let conversation = match update::<Conversation>(call).await? {
            WriteOutcome::Done(Some(conversation)) => conversation,
            WriteOutcome::Done(None) => {
                return Err(InternalError::new("claiming a conversation that came back empty"));
            }
            // Its own write, the answer to which was lost.
            WriteOutcome::Refused(now) if now.lease_owner.as_ref() == Some(&owner) => now,
            WriteOutcome::Refused(was) => {
                return match claim(&was.state(), now, length) {
                    ClaimOutcome::Granted(_) => Err(InternalError::new(
                        "claiming what the table refuses and the rule would grant",
                    )),
                    refused => Ok(ControlFlow::Break(refused)),
                };
            }
            WriteOutcome::Missing => return Ok(ControlFlow::Break(ClaimOutcome::Settled)),
        };

        let lease = Lease { fence: conversation.fence, until: now + length };
        Ok(ControlFlow::Continue(HeldConversation {
            business_id,
            conversation_id,
            conversation,
            lease,
            owner,
        }))
    }

    /// Has the lease last until `until`. False if it was lost to another worker.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn renew(
        self,
        held: &HeldConversation,
        until: DateTime<Utc>,
    ) -> Result<bool, InternalError> {
        let call = self
            .held(held)
            .update_expression("SET lease_until = :until")
            .condition_expression(HELD)
            .expression_attribute_values(":until", millis(until));
        Ok(matches!(update::<Conversation>(call).await?, WriteOutcome::Done(_)))
    }

    /// Pauses the channel until `until`; the latest pause wins.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn pause(
        self,
        business_id: BusinessId,
        channel_id: ChannelId,
        until: DateTime<Utc>,
    ) -> Result<(), InternalError> {
        let call = self.table
            .change(&key::channel(business_id, channel_id))
            .update_expression("SET paused_until = :until")
            .condition_expression(
                "attribute_exists(pk) AND (attribute_not_exists(paused_until) OR paused_until < :until)",
            )
            .expression_attribute_values(":until", millis(until));
        update::<ChannelRecord>(call).await.map(drop)
    }

    /// Releases the lease and takes the conversation out of the outbox, if the worker has passed
    /// its last message.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn release(self, held: &HeldConversation) -> Result<ReleaseOutcome, InternalError> {
        let remove = ["not_before", "outbox_bucket", "due"];
        let call = self.let_go(held, &[], &remove, "seq = :settled");
        Ok(match update::<Conversation>(call).await? {
            WriteOutcome::Done(_) => ReleaseOutcome::Done,
            WriteOutcome::Refused(now) if held.is_still(&now) => ReleaseOutcome::NewMessage,
            WriteOutcome::Refused(now) if held.was_released(&now) => ReleaseOutcome::Done,
            WriteOutcome::Refused(_) | WriteOutcome::Missing => ReleaseOutcome::LeaseLost,
        })
    }

    /// Releases the lease and lets no worker send before `at`.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn postpone(
        self,
        held: &HeldConversation,
        at: DateTime<Utc>,
    ) -> Result<(), InternalError> {
        let call = self
            .let_go(held, &["due = :at", "not_before = :at"], &[], "attribute_exists(pk)")
            .expression_attribute_values(":at", millis(at));
        // Refused: the lease was over, and its next holder decides.
        update::<Conversation>(call).await.map(drop)
    }

    /// Releases the conversation of a customer who is away, until `at` or their return. False if
    /// they returned in the moment between, which makes the conversation due ([`Table::make_due`]).
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn park(
        self,
        held: &mut HeldConversation,
        at: DateTime<Utc>,
    ) -> Result<bool, InternalError> {
        let before = held.conversation.due.unwrap_or_default();
        let call = self
            .let_go(held, &["due = :at"], &["not_before"], "due = :before")
            .expression_attribute_values(":at", millis(at))
            .expression_attribute_values(":before", millis(before));

        match update::<Conversation>(call).await? {
            WriteOutcome::Refused(now) if held.is_still(&now) => {
                held.conversation.due = now.due;
                Ok(false)
            }
            WriteOutcome::Done(_) | WriteOutcome::Refused(_) | WriteOutcome::Missing => Ok(true),
        }
    }

    /// Begins the write by which a holder lets go of its conversation, on the condition that it
    /// still holds it, and `also`. It stores what the holder's messages changed: how far it came,
    /// the thread, and the rate limit's state.
    fn let_go(
        &self,
        held: &HeldConversation,
        set: &[&str],
        remove: &[&str],
        also: &str,
    ) -> UpdateItemFluentBuilder {
        let conversation = &held.conversation;
        let mut set = [&["settled_seq = :settled"], set].concat();
        let remove = [&["lease_owner", "lease_until"], remove].concat();

        let mut call = self
            .held(held)
            .condition_expression(format!("{HELD} AND settled_seq <= :settled AND {also}"))
            .expression_attribute_values(":settled", number(conversation.settled_seq));

        if !conversation.thread.is_empty() {
            set.push("thread = :thread");
            call = call.expression_attribute_values(":thread", value(&conversation.thread));
        }
        if let Some(state) = &conversation.rate_limit_state {
            set.push("paced = :paced");
            call = call.expression_attribute_values(":paced", value(state));
        }

        call.update_expression(format!("SET {} REMOVE {}", set.join(", "), remove.join(", ")))
    }

    /// Begins a change of a held conversation, with the values of [`HELD`].
    fn held(&self, held: &HeldConversation) -> UpdateItemFluentBuilder {
        self.table
            .change(&key::conversation(held.business_id, held.conversation_id))
            .expression_attribute_values(":me", text(&held.owner))
            .expression_attribute_values(":fence", number(held.lease.fence))
    }
}
