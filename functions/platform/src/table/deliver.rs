//! Working on a conversation: the writes of the delivery protocol, each with the condition it relies on.
//!
//! The lease and its fence live on the conversation; the fence is copied to each message that is handed over, so a
//! worker whose lease is over cannot touch what its successor has taken up.
//!
//! The SDK makes a call again when its answer is lost, and finds its own write in the way. Each write therefore
//! recognises what only it can have written, and takes it for made.

use super::record::{ChannelRecord, Conversation, Message};
use super::{Table, Written, key, millis, number, text, update, value};
use crate::broken::Broken;
use chrono::{DateTime, TimeDelta, Utc};
use domain::delivery::{Claim, Lease, Reason, Settlement, Status, claim};
use domain::{BusinessId, ChannelId, ConversationId, Seq};
use uuid::Uuid;

/// A conversation that this worker holds.
#[derive(Debug, Clone)]
pub struct Held {
    /// Whose.
    pub business: BusinessId,
    /// Which.
    pub id: ConversationId,
    /// As it was when it was claimed, but for `settled_seq`, which goes along.
    pub conversation: Conversation,
    /// The right to it.
    pub lease: Lease,
    owner: String,
}

impl Held {
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
pub enum Release {
    /// Nobody holds the conversation, and nothing is left of it in the outbox.
    Done,
    /// A new message came; it is still ours.
    NewMessage,
    /// It has been somebody else's for a while.
    LeaseLost,
}

impl Table {
    /// Asks for a conversation for `length`. The condition says what [`domain::delivery::claim`] says.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn claim(
        &self,
        business: BusinessId,
        id: ConversationId,
        now: DateTime<Utc>,
        length: TimeDelta,
    ) -> Result<Result<Held, Claim>, Broken> {
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
            Written::Done(Some(conversation)) => {
                let lease = Lease { fence: conversation.fence, until: now + length };
                Ok(Ok(Held { business, id, conversation, lease, owner }))
            }
            Written::Done(None) => Err(Broken::new("claiming a conversation that came back empty")),
            Written::Refused(Some(Some(ours))) if ours.lease_owner.as_ref() == Some(&owner) => {
                let lease = Lease { fence: ours.fence, until: now + length };
                Ok(Ok(Held { business, id, conversation: ours, lease, owner }))
            }
            Written::Refused(Some(Some(was))) => match claim(&was.turn(), now, length) {
                Claim::Granted(_) => Err(Broken::new("claiming what the table refuses and the rule would grant")),
                refused => Ok(Err(refused)),
            },
            Written::Refused(_) => Ok(Err(Claim::Settled)),
        }
    }

    /// The conversation's channel.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn channel(&self, business: BusinessId, id: ChannelId) -> Result<Option<ChannelRecord>, Broken> {
        self.get(&key::channel(business, id)).await
    }

    /// Announces that `message` is about to be handed to the provider, so that whoever finds it later knows that it
    /// may have been. Returns the message as it is now, or `None` if it is not what it was any more.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn mark_attempt(
        &self,
        held: &Held,
        message: &Message,
        now: DateTime<Utc>,
    ) -> Result<Option<Message>, Broken> {
        let announced = Message {
            status: Status::Sending,
            attempts: message.attempts + 1,
            // Found as `sending`: a worker died over it, which is one more time that nobody knows.
            doubts: message.doubts + u32::from(message.status == Status::Sending),
            attempted_at: Some(now),
            fence: Some(held.lease.fence),
            ..message.clone()
        };
        let call = self
            .change(&key::message(held.business, held.id, message.seq))
            .update_expression(
                "SET #status = :sending, attempts = :attempts, doubts = :doubts, attempted_at = :now, fence = :fence",
            )
            .condition_expression(
                "#status = :was AND attempts = :before AND (attribute_not_exists(fence) OR fence <= :fence)",
            )
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":sending", value(&announced.status))
            .expression_attribute_values(":was", value(&message.status))
            .expression_attribute_values(":before", number(message.attempts))
            .expression_attribute_values(":attempts", number(announced.attempts))
            .expression_attribute_values(":doubts", number(announced.doubts))
            .expression_attribute_values(":now", value(&now))
            .expression_attribute_values(":fence", number(held.lease.fence))
            .return_values(aws_sdk_dynamodb::types::ReturnValue::AllNew);
        Ok(match update::<Message>(call).await? {
            Written::Done(message) => message,
            Written::Refused(Some(Some(was))) if was == announced => Some(was),
            Written::Refused(_) => None,
        })
    }

    /// Writes down what became of a message. A receipt that was faster stays: the status never goes back.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn settle(
        &self,
        held: &Held,
        seq: Seq,
        settlement: &Settlement,
        now: DateTime<Utc>,
    ) -> Result<(), Broken> {
        let (status, set) = match settlement {
            Settlement::Sent { .. } => (Status::Sent, "sent_at = :now, provider_id = :detail"),
            Settlement::Failed(_) | Settlement::GivenUp(_) => (Status::Failed, "failed_at = :now, #error = :detail"),
        };
        let detail = match settlement {
            Settlement::Sent { provider_id } => value(provider_id),
            Settlement::Failed(reason) | Settlement::GivenUp(reason) => value(reason),
        };
        let remove = if status == Status::Sent { "REMOVE #error" } else { "" };
        let call = self
            .change(&key::message(held.business, held.id, seq))
            .update_expression(format!("SET #status = :status, fence = :fence, {set} {remove}"))
            .condition_expression(
                "#status IN (:queued, :sending, :in_doubt) AND (attribute_not_exists(fence) OR fence <= :fence)",
            )
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#error", "error")
            .expression_attribute_values(":status", value(&status))
            .expression_attribute_values(":detail", detail.clone())
            .expression_attribute_values(":queued", value(&Status::Queued))
            .expression_attribute_values(":sending", value(&Status::Sending))
            .expression_attribute_values(":in_doubt", value(&Status::InDoubt))
            .expression_attribute_values(":fence", number(held.lease.fence))
            .expression_attribute_values(":now", value(&now));
        let was = match update::<Message>(call).await? {
            Written::Done(_) => return Ok(()),
            Written::Refused(was) => was.flatten(),
        };
        match (was, settlement) {
            (Some(was), Settlement::Sent { .. }) if was.status.is_settled() => {
                self.note_sent(held, seq, detail, now).await
            }
            (Some(was), Settlement::Failed(_) | Settlement::GivenUp(_)) if was.status.is_settled() => Ok(()),
            _ => Err(Broken::new("settling a message that another worker has taken up")),
        }
    }

    /// A receipt came before the provider's answer was written down; only what it could not know is added. Refused: it
    /// was no receipt but a successor, whose own answer stays.
    async fn note_sent(
        &self,
        held: &Held,
        seq: Seq,
        provider_id: aws_sdk_dynamodb::types::AttributeValue,
        now: DateTime<Utc>,
    ) -> Result<(), Broken> {
        let call = self
            .change(&key::message(held.business, held.id, seq))
            .update_expression("SET sent_at = if_not_exists(sent_at, :now), provider_id = :id")
            .condition_expression("attribute_exists(pk) AND (attribute_not_exists(fence) OR fence <= :fence)")
            .expression_attribute_values(":fence", number(held.lease.fence))
            .expression_attribute_values(":now", value(&now))
            .expression_attribute_values(":id", provider_id);
        update::<Message>(call).await.map(drop)
    }

    /// Puts a message back: it waits for another attempt, or for a receipt.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn put_back(
        &self,
        held: &Held,
        message: &Message,
        status: Status,
        reason: Option<&Reason>,
        counted: bool,
    ) -> Result<(), Broken> {
        let doubts = message.doubts + u32::from(status == Status::InDoubt);
        let call = self
            .change(&key::message(held.business, held.id, message.seq))
            .update_expression(
                "SET #status = :status, doubts = :doubts, attempts = :attempts, #error = :reason, fence = :fence",
            )
            .condition_expression("#status = :sending AND fence <= :fence")
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#error", "error")
            .expression_attribute_values(":status", value(&status))
            .expression_attribute_values(":doubts", number(doubts))
            .expression_attribute_values(":attempts", number(message.attempts - u32::from(!counted)))
            .expression_attribute_values(":reason", value(&reason))
            .expression_attribute_values(":sending", value(&Status::Sending))
            .expression_attribute_values(":fence", number(held.lease.fence));
        // Refused: a receipt or a successor was faster, and knows better.
        update::<Message>(call).await.map(drop)
    }

    /// Moves the conversation past message `seq`; false if the lease was lost.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn advance(&self, held: &mut Held, seq: Seq) -> Result<bool, Broken> {
        let call = self
            .held(held, "settled_seq = :before")
            .update_expression("SET settled_seq = :seq")
            .expression_attribute_values(":seq", number(seq))
            .expression_attribute_values(":before", number(seq.0 - 1));
        let done = match update::<Conversation>(call).await? {
            Written::Done(_) => true,
            Written::Refused(now) => now.flatten().is_some_and(|now| held.is_still(&now) && now.settled_seq == seq),
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
    pub async fn release(&self, held: &Held) -> Result<Release, Broken> {
        let call = self
            .held(held, "settled_seq = seq")
            .update_expression("REMOVE lease_owner, lease_until, not_before, outbox_bucket, due");
        Ok(match update::<Conversation>(call).await? {
            Written::Done(_) => Release::Done,
            Written::Refused(Some(Some(now))) if held.is_still(&now) => Release::NewMessage,
            Written::Refused(Some(Some(now))) if held.was_let_go(&now) => Release::Done,
            Written::Refused(_) => Release::LeaseLost,
        })
    }

    /// Lets go of a conversation until `at`: nobody may send before.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn postpone(&self, held: &Held, at: DateTime<Utc>) -> Result<(), Broken> {
        let call = self
            .held(held, "attribute_exists(pk)")
            .update_expression("SET due = :at, not_before = :at REMOVE lease_owner, lease_until")
            .expression_attribute_values(":at", millis(at));
        // Refused: the lease was over, and whoever has it now decides.
        update::<Conversation>(call).await.map(drop)
    }

    /// Lets go of a conversation whose customer is away, and looks again at `at` or when a bell rings. False if they
    /// came back in the moment between: their return makes the conversation due ([`Table::make_due`]).
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn leave(&self, held: &mut Held, at: DateTime<Utc>) -> Result<bool, Broken> {
        let before = held.conversation.due.unwrap_or_default();
        let call = self
            .held(held, "due = :before")
            .update_expression("SET due = :at REMOVE lease_owner, lease_until, not_before")
            .expression_attribute_values(":at", millis(at))
            .expression_attribute_values(":before", millis(before));
        match update::<Conversation>(call).await? {
            Written::Refused(Some(Some(now))) if held.is_still(&now) => {
                held.conversation.due = now.due;
                Ok(false)
            }
            Written::Done(_) | Written::Refused(_) => Ok(true),
        }
    }

    /// A change of a held conversation, on the condition that it still is, and `also`.
    fn held(
        &self,
        held: &Held,
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
