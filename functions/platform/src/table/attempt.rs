//! The worker's writes to a message: they announce an attempt and store its outcome, each with the
//! condition it relies on.
//!
//! The lease and its fence live on the conversation. The fence is copied to each message that is
//! handed over, so a worker whose lease is over cannot touch what its successor has taken up. The
//! history is written whole, together with the attempt's other changes, so a repeated write adds no
//! second entry.
//!
//! When an answer is lost, the SDK repeats the call and finds its own write in the way. Each write
//! therefore recognises what only it can have written, and reports success.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use chrono::{DateTime, Utc};

use super::exceptions::index_exception;
use super::record::Message;
use super::{Deliveries, HeldConversation, WriteOutcome, key, number, update, value};
use crate::error::InternalError;
use domain::delivery::{AttemptOutcome, Part, Reason, Settlement, Status};

/// How often receipts may change a message's parts before noting one gives up.
const MAX_PART_CONFLICTS: u8 = 8;

/// The outcome of putting a message back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequeueOutcome {
    /// The message waits.
    Done,
    /// The message has changed: a receipt was faster and has settled it.
    Changed,
    /// Another worker has taken it up.
    LeaseLost,
}

impl Deliveries<'_> {
    /// Announces that `message` is about to be handed to the provider, so that the next worker
    /// knows that it may have been. Returns the message as it is now, or `None` if it has changed.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn mark_attempt(
        self,
        held: &HeldConversation,
        message: &Message,
        now: DateTime<Utc>,
    ) -> Result<Option<Message>, InternalError> {
        let announced = Message {
            status: Status::Sending,
            attempts: message.attempts + 1,
            // `sending` already: a worker died over it, and the outcome of that attempt is unknown.
            unknown_outcomes: message.unknown_outcomes
                + u32::from(message.status == Status::Sending),
            attempted_at: Some(now),
            fence: Some(held.lease.fence),
            history: if message.status == Status::Sending {
                message.attempts_so_far()
            } else {
                message.history.clone()
            },
            ..message.clone()
        };

        let call = self.table
            .change(&key::message(held.business_id, held.conversation_id, message.seq))
            .update_expression(
                "SET #status = :sending, attempts = :attempts, doubts = :doubts, attempted_at = :now, fence = :fence, \
                 history = :history REMOVE exception_list, exception_at",
            )
            .condition_expression(
                "#status = :was AND attempts = :before AND (attribute_not_exists(fence) OR fence <= :fence)",
            )
            .expression_attribute_names("#status", "status")
            .expression_attribute_values(":sending", value(&announced.status))
            .expression_attribute_values(":was", value(&message.status))
            .expression_attribute_values(":before", number(message.attempts))
            .expression_attribute_values(":attempts", number(announced.attempts))
            .expression_attribute_values(":doubts", number(announced.unknown_outcomes))
            .expression_attribute_values(":history", value(&announced.history))
            .expression_attribute_values(":now", value(&now))
            .expression_attribute_values(":fence", number(held.lease.fence))
            .return_values(ReturnValue::AllNew);

        Ok(match update::<Message>(call).await? {
            WriteOutcome::Done(message) => message,
            WriteOutcome::Refused(now) if now == announced => Some(now),
            WriteOutcome::Refused(_) | WriteOutcome::Missing => None,
        })
    }

    /// Notes that the provider took `part` of `message`, and requeues the message for the rest, in
    /// one write: the next worker to take it up, this one included, begins behind the part. Returns
    /// the message as it is now, or `None` if this worker has lost it. The condition is that of
    /// [`domain::delivery::transitions::MessageState::noted`].
    ///
    /// # Errors
    /// If DynamoDB does not answer, or the parts kept changing.
    pub async fn note_part(
        self,
        held: &HeldConversation,
        message: &Message,
        part: Part,
    ) -> Result<Option<Message>, InternalError> {
        let mut seen = message.clone();
        // Receipts of the parts before come in between, at most a few for each.
        for _ in 0..MAX_PART_CONFLICTS {
            // Without a change, a receipt was faster.
            let parts = seen.parts.with(part, Status::Sent).unwrap_or_else(|| seen.parts.clone());
            let as_seen =
                if seen.parts.is_empty() { "attribute_not_exists(parts)" } else { "parts = :seen" };
            let mut call = self
                .table
                .change(&key::message(held.business_id, held.conversation_id, message.seq))
                .update_expression(
                    "SET parts = :parts, #status = :queued, attempts = :left REMOVE #error",
                )
                .condition_expression(format!(
                    "#status = :sending AND attempts = :attempts AND fence = :fence AND {as_seen}"
                ))
                .expression_attribute_names("#status", "status")
                .expression_attribute_names("#error", "error")
                .expression_attribute_values(":parts", value(&parts))
                .expression_attribute_values(":queued", value(&Status::Queued))
                .expression_attribute_values(":left", number(message.attempts - 1))
                .expression_attribute_values(":sending", value(&Status::Sending))
                .expression_attribute_values(":attempts", number(message.attempts))
                .expression_attribute_values(":fence", number(held.lease.fence))
                .return_values(ReturnValue::AllNew);
            if !seen.parts.is_empty() {
                call = call.expression_attribute_values(":seen", value(&seen.parts));
            }

            let now = match update::<Message>(call).await? {
                WriteOutcome::Done(now) => return Ok(now),
                WriteOutcome::Refused(now) if now.fence == Some(held.lease.fence) => now,
                WriteOutcome::Refused(_) | WriteOutcome::Missing => return Ok(None),
            };
            if (now.status, now.attempts) == (Status::Sending, message.attempts) {
                seen = now; // A receipt came between.
            } else if (now.status, now.attempts) == (Status::Queued, message.attempts - 1) {
                return Ok(Some(now)); // Its own write, the answer to which was lost.
            } else {
                return Ok(None);
            }
        }

        Err(InternalError::new("noting a part of a message whose parts kept changing"))
    }

    /// Stores how a message ended. A receipt that was faster stays: the status never goes back.
    /// False if a receipt has settled the message otherwise.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn settle(
        self,
        held: &HeldConversation,
        message: &Message,
        settlement: &Settlement,
        now: DateTime<Utc>,
    ) -> Result<bool, InternalError> {
        let (status, set) = match settlement {
            Settlement::Sent { .. } => (Status::Sent, "sent_at = :now, provider_id = :detail"),
            Settlement::Failed(_) | Settlement::GivenUp(_) => {
                (Status::Failed, "failed_at = :now, #error = :detail")
            }
        };

        let (detail, history) = match settlement {
            Settlement::Sent { provider_id } => {
                (value(provider_id), message.history_with(AttemptOutcome::Sent, None))
            }
            Settlement::Failed(reason) => {
                (value(reason), message.history_with(AttemptOutcome::Refused, Some(reason)))
            }
            // No attempt ended just now; one may have been left by a worker that died.
            Settlement::GivenUp(reason) => (value(reason), message.attempts_so_far()),
        };

        let expires_at = message.expiry_if_settled(now);
        let expire = if expires_at.is_some() { ", expires_at = :expires_at" } else { "" };
        let remove = match status {
            Status::Sent => " REMOVE #error, exception_list, exception_at",
            _ => "",
        };
        let call =
            self.table.change(&key::message(held.business_id, held.conversation_id, message.seq));
        let (call, index) = index_exception(call, held.address_of(message.seq), status, now);
        let mut call = call
            .update_expression(format!(
                "SET #status = :status, fence = :fence, history = :history, \
                 {set}{expire}{index}{remove}"
            ))
            .condition_expression(
                "#status IN (:queued, :sending, :in_doubt) AND (attribute_not_exists(fence) OR fence <= :fence)",
            )
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#error", "error")
            .expression_attribute_values(":status", value(&status))
            .expression_attribute_values(":detail", detail.clone())
            .expression_attribute_values(":history", value(&history))
            .expression_attribute_values(":queued", value(&Status::Queued))
            .expression_attribute_values(":sending", value(&Status::Sending))
            .expression_attribute_values(":in_doubt", value(&Status::InDoubt))
            .expression_attribute_values(":fence", number(held.lease.fence))
            .expression_attribute_values(":now", value(&now));
        if let Some(at) = expires_at {
            call = call.expression_attribute_values(":expires_at", number(at));
        }

        let was = match update::<Message>(call).await? {
            WriteOutcome::Done(_) => return Ok(true),
            WriteOutcome::Refused(was) => Some(was).filter(|was| was.status.is_settled()),
            WriteOutcome::Missing => None,
        };

        match (was, settlement) {
            (Some(_), Settlement::Sent { .. }) => {
                self.note_sent(held, message, detail, now).await.map(|()| true)
            }
            // With our time and our reason: our own write, the answer to which was lost.
            (Some(was), Settlement::Failed(reason) | Settlement::GivenUp(reason)) => {
                Ok(was.failed_at == Some(now) && was.error.as_ref() == Some(reason))
            }
            (None, _) => {
                Err(InternalError::new("settling a message that another worker has taken up"))
            }
        }
    }

    /// Adds what a receipt that came before the provider's answer could not know. Refused: another
    /// worker has taken the message up, and its own answer stays.
    async fn note_sent(
        &self,
        held: &HeldConversation,
        message: &Message,
        provider_id: AttributeValue,
        now: DateTime<Utc>,
    ) -> Result<(), InternalError> {
        let call = self
            .table
            .change(&key::message(held.business_id, held.conversation_id, message.seq))
            .update_expression(
                "SET sent_at = if_not_exists(sent_at, :now), provider_id = :id, history = :history",
            )
            .condition_expression(
                "attribute_exists(pk) AND (attribute_not_exists(fence) OR fence <= :fence)",
            )
            .expression_attribute_values(":fence", number(held.lease.fence))
            .expression_attribute_values(
                ":history",
                value(&message.history_with(AttemptOutcome::Sent, None)),
            )
            .expression_attribute_values(":now", value(&now))
            .expression_attribute_values(":id", provider_id);

        update::<Message>(call).await.map(drop)
    }

    /// Requeues a message: it waits for another attempt, or for a receipt.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn requeue(
        self,
        held: &HeldConversation,
        message: &Message,
        status: Status,
        reason: Option<&Reason>,
        counted: bool,
        now: DateTime<Utc>,
    ) -> Result<RequeueOutcome, InternalError> {
        let unknown_outcomes = message.unknown_outcomes + u32::from(status == Status::InDoubt);
        let attempts = message.attempts - u32::from(!counted);
        let outcome = if status == Status::InDoubt {
            AttemptOutcome::InDoubt
        } else {
            AttemptOutcome::Postponed
        };

        let history =
            if counted { message.history_with(outcome, reason) } else { message.history.clone() };
        let call =
            self.table.change(&key::message(held.business_id, held.conversation_id, message.seq));
        let (call, index) = index_exception(call, held.address_of(message.seq), status, now);
        let call = call
            .update_expression(format!(
                "SET #status = :status, doubts = :doubts, attempts = :attempts, #error = :reason, \
                 fence = :fence, history = :history{index}"
            ))
            .condition_expression("#status = :sending AND attempts = :before AND fence <= :fence")
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#error", "error")
            .expression_attribute_values(":before", number(message.attempts))
            .expression_attribute_values(":status", value(&status))
            .expression_attribute_values(":doubts", number(unknown_outcomes))
            .expression_attribute_values(":attempts", number(attempts))
            .expression_attribute_values(":history", value(&history))
            .expression_attribute_values(":reason", value(&reason))
            .expression_attribute_values(":sending", value(&Status::Sending))
            .expression_attribute_values(":fence", number(held.lease.fence));

        Ok(match update::<Message>(call).await? {
            WriteOutcome::Done(_) => RequeueOutcome::Done,
            WriteOutcome::Refused(now) if now.fence > Some(held.lease.fence) => {
                RequeueOutcome::LeaseLost
            }
            // Its own write, the answer to which was lost: no other worker has this fence, and
            // receipts leave neither `queued` nor `in_doubt`.
            WriteOutcome::Refused(now)
                if now.fence == Some(held.lease.fence)
                    && (now.status, now.attempts) == (status, attempts) =>
            {
                RequeueOutcome::Done
            }
            WriteOutcome::Refused(_) | WriteOutcome::Missing => RequeueOutcome::Changed,
        })
    }
}
