//! Working on a conversation: the writes of the delivery protocol that claim it, move it on and let
//! it go, each with the condition it relies on. Those to its messages are in `attempt.rs`.
//!
//! The SDK makes a call again when its answer is lost, and finds its own write in the way. Each
//! write therefore recognises what only it can have written, and takes it for made.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::record::{ChannelRecord, Conversation};
use super::{Table, WriteOutcome, key, millis, number, text, update, value};
use crate::error::InternalError;
use domain::delivery::{ClaimOutcome, Lease, claim};
use domain::{BusinessId, ChannelId, ConversationId, Seq};

/// A conversation that this worker holds.
#[derive(Debug, Clone)]
pub struct HeldConversation {
    /// Whose.
    pub business: BusinessId,
    /// Which.
    pub id: ConversationId,
    /// As it was when it was claimed, but for `settled_seq`, `thread` and `paced`, which go along.
    pub conversation: Conversation,
    /// The right to it.
    pub lease: Lease,
    owner: String,
}

impl HeldConversation {
    /// Whether the conversation as it is `now` is still held under this very claim.
    fn is_still(&self, now: &Conversation) -> bool {
        now.fence == self.lease.fence && now.lease_owner.as_ref() == Some(&self.owner)
    }

    /// Whether it is nobody's although nobody has claimed it since.
    fn was_let_go(&self, now: &Conversation) -> bool {
        now.fence == self.lease.fence && now.lease_owner.is_none()
    }
}

/// What came of letting go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseOutcome {
    /// Nobody holds the conversation, and nothing is left of it in the outbox.
    Done,
    /// A new message came; it is still ours.
    NewMessage,
    /// It has been somebody else's for a while.
    LeaseLost,
}

impl Table {
    /// Asks for a conversation for `length`. The condition says what [`domain::delivery::claim`]
    /// says.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn claim(
        &self,
        business: BusinessId,
        id: ConversationId,
        now: DateTime<Utc>,
        length: TimeDelta,
    ) -> Result<Result<HeldConversation, ClaimOutcome>, InternalError> {
        let owner = Uuid::from_u128(rand::random()).simple().to_string();
        let call = self
            .change(&key::conversation(business, id))
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
            .return_values(aws_sdk_dynamodb::types::ReturnValue::AllNew);
        match update::<Conversation>(call).await? {
            WriteOutcome::Done(Some(conversation)) => {
                let lease = Lease { fence: conversation.fence, until: now + length };
                Ok(Ok(HeldConversation { business, id, conversation, lease, owner }))
            }
            WriteOutcome::Done(None) => {
                Err(InternalError::new("claiming a conversation that came back empty"))
            }
            WriteOutcome::Refused(Some(Some(ours)))
                if ours.lease_owner.as_ref() == Some(&owner) =>
            {
                let lease = Lease { fence: ours.fence, until: now + length };
                Ok(Ok(HeldConversation { business, id, conversation: ours, lease, owner }))
            }
            WriteOutcome::Refused(Some(Some(was))) => match claim(&was.state(), now, length) {
                ClaimOutcome::Granted(_) => Err(InternalError::new(
                    "claiming what the table refuses and the rule would grant",
                )),
                refused => Ok(Err(refused)),
            },
            WriteOutcome::Refused(_) => Ok(Err(ClaimOutcome::Settled)),
        }
    }

    /// The conversation's channel.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn channel(
        &self,
        business: BusinessId,
        id: ChannelId,
    ) -> Result<Option<ChannelRecord>, InternalError> {
        self.get(&key::channel(business, id)).await
    }

    /// Has nothing sent on a channel until then; who says a later time is heard.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn pause(
        &self,
        business: BusinessId,
        id: ChannelId,
        until: DateTime<Utc>,
    ) -> Result<(), InternalError> {
        let call = self
            .change(&key::channel(business, id))
            .update_expression("SET paused_until = :until")
            .condition_expression(
                "attribute_exists(pk) AND (attribute_not_exists(paused_until) OR paused_until < :until)",
            )
            .expression_attribute_values(":until", millis(until));
        update::<ChannelRecord>(call).await.map(drop)
    }

    /// Moves the conversation past message `seq`, and writes down its thread as it has become and
    /// how much of its pace it has used; false if the lease was lost.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn advance(
        &self,
        held: &mut HeldConversation,
        seq: Seq,
    ) -> Result<bool, InternalError> {
        let Conversation { thread, rate_limit_state: paced, .. } = &held.conversation;
        let mut set = String::from("SET settled_seq = :seq");
        let mut call = self
            .held(held, "settled_seq = :before")
            .expression_attribute_values(":seq", number(seq))
            .expression_attribute_values(":before", number(seq.0 - 1));
        if !thread.is_empty() {
            set += ", thread = :thread";
            call = call.expression_attribute_values(":thread", value(thread));
        }
        if let Some(paced) = paced {
            set += ", paced = :paced";
            call = call.expression_attribute_values(":paced", value(paced));
        }
        let done = match update::<Conversation>(call.update_expression(set)).await? {
            WriteOutcome::Done(_) => true,
            WriteOutcome::Refused(now) => {
                now.flatten().is_some_and(|now| held.is_still(&now) && now.settled_seq == seq)
            }
        };
        if done {
            held.conversation.settled_seq = seq;
        }
        Ok(done)
    }

    /// Lets go of a conversation that has nothing left to send.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn release(&self, held: &HeldConversation) -> Result<ReleaseOutcome, InternalError> {
        let call = self
            .held(held, "settled_seq = seq")
            .update_expression("REMOVE lease_owner, lease_until, not_before, outbox_bucket, due");
        Ok(match update::<Conversation>(call).await? {
            WriteOutcome::Done(_) => ReleaseOutcome::Done,
            WriteOutcome::Refused(Some(Some(now))) if held.is_still(&now) => {
                ReleaseOutcome::NewMessage
            }
            WriteOutcome::Refused(Some(Some(now))) if held.was_let_go(&now) => ReleaseOutcome::Done,
            WriteOutcome::Refused(_) => ReleaseOutcome::LeaseLost,
        })
    }

    /// Lets go of a conversation until `at`: nobody may send before. How much of its pace it has
    /// used is written down.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn postpone(
        &self,
        held: &HeldConversation,
        at: DateTime<Utc>,
    ) -> Result<(), InternalError> {
        let mut set = String::from("SET due = :at, not_before = :at");
        let mut call =
            self.held(held, "attribute_exists(pk)").expression_attribute_values(":at", millis(at));
        if let Some(paced) = &held.conversation.rate_limit_state {
            set += ", paced = :paced";
            call = call.expression_attribute_values(":paced", value(paced));
        }
        let call = call.update_expression(set + " REMOVE lease_owner, lease_until");
        // Refused: the lease was over, and whoever has it now decides.
        update::<Conversation>(call).await.map(drop)
    }

    /// Lets go of a conversation whose customer is away, and looks again at `at` or when a doorbell
    /// rings. False if they came back in the moment between: their return makes the conversation
    /// due ([`Table::make_due`]).
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn park(
        &self,
        held: &mut HeldConversation,
        at: DateTime<Utc>,
    ) -> Result<bool, InternalError> {
        let before = held.conversation.due.unwrap_or_default();
        let call = self
            .held(held, "due = :before")
            .update_expression("SET due = :at REMOVE lease_owner, lease_until, not_before")
            .expression_attribute_values(":at", millis(at))
            .expression_attribute_values(":before", millis(before));
        match update::<Conversation>(call).await? {
            WriteOutcome::Refused(Some(Some(now))) if held.is_still(&now) => {
                held.conversation.due = now.due;
                Ok(false)
            }
            WriteOutcome::Done(_) | WriteOutcome::Refused(_) => Ok(true),
        }
    }

    /// A change of a held conversation, on the condition that it still is, and `also`.
    fn held(
        &self,
        held: &HeldConversation,
        also: &str,
    ) -> aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder {
        self.change(&key::conversation(held.business, held.id))
            .condition_expression(format!("lease_owner = :me AND fence = :fence AND {also}"))
            .expression_attribute_values(":me", text(&held.owner))
            .expression_attribute_values(":fence", number(held.lease.fence))
    }

    pub(super) fn change(
        &self,
        key: &key::Key,
    ) -> aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder {
        self.client.update_item().table_name(&self.name).set_key(Some(key.attributes()))
    }
}
