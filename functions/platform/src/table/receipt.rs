//! Receipts: what a provider or a widget reports of a message. A receipt may resolve an unknown
//! outcome.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::exceptions::{MessageAddress, index_exception};
use super::record::{Conversation, Message};
use super::{Backoff, Table, WriteOutcome, key, millis, number, text, update, value};
use crate::error::InternalError;
use domain::delivery::{
    MessageReference, Parts, Reason, Receipt, ReportedStatus, Standing, Status,
};
use domain::{Channel, Seq};

/// How long to wait for the worker that has just put a message in doubt to release its
/// conversation, which is one more write.
const RELEASE_WAIT: Duration = Duration::from_millis(250);

/// The outcome of a receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppliedReceipt {
    /// The message as it was before the receipt; `None` if there is none.
    pub message: Option<Message>,
    /// The receipt's effect.
    pub effect: ReceiptEffect,
}

/// The effect of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReceiptEffect {
    /// Nothing: it was known already, or there is no such message.
    None,
    /// The message moved on.
    Moved,
    /// The message moved on, and its conversation, which waited for that, is due.
    Due,
}

impl Table {
    /// Moves a message of this channel on as the receipt says. If its conversation waited for the
    /// message's outcome, it is due now, and the caller has to ring its doorbell.
    ///
    /// # Errors
    /// If DynamoDB does not answer, or the message kept changing.
    pub async fn apply_receipt(
        &self,
        channel: Channel,
        about: &MessageReference,
        receipt: &Receipt,
        now: DateTime<Utc>,
    ) -> Result<AppliedReceipt, InternalError> {
        for _ in 0..8 {
            let Some(message) =
                self.message(about.business_id, about.conversation_id, about.message_id).await?
            else {
                return Ok(AppliedReceipt { message: None, effect: ReceiptEffect::None });
            };
            let Some(after) = after_receipt(&message, receipt, now) else {
                return Ok(AppliedReceipt { message: Some(message), effect: ReceiptEffect::None });
            };
            let address = MessageAddress {
                business_id: about.business_id,
                channel,
                conversation_id: about.conversation_id,
                seq: message.seq,
            };
            if !self.write_report(address, &message, &after, now).await? {
                continue; // Something else was faster.
            }
            let over = message.status == Status::InDoubt && after.status != Status::InDoubt;
            let due = over && self.make_due_if_waiting(about, message.seq, now).await?;
            let effect = if due { ReceiptEffect::Due } else { ReceiptEffect::Moved };
            return Ok(AppliedReceipt { message: Some(message), effect });
        }

        Err(InternalError::new("writing down a receipt of a message that kept changing"))
    }

    /// Stores the message as `after`; false if it is no longer as it was read. Times that are set
    /// stay.
    async fn write_report(
        &self,
        address: MessageAddress,
        was: &Message,
        after: &Message,
        now: DateTime<Utc>,
    ) -> Result<bool, InternalError> {
        let known = [
            ("sent_at", after.sent_at),
            ("delivered_at", after.delivered_at),
            ("read_at", after.read_at),
        ];
        let times = known.into_iter().chain([("failed_at", after.failed_at)]);
        let mut set = vec!["#status = :status".to_owned()];
        let (about_parts, parts_before) = (after.parts != was.parts, !was.parts.is_empty());
        let parts_as_read = match (about_parts, parts_before) {
            (false, _) => "",
            (true, false) => " AND attribute_not_exists(parts)",
            (true, true) => " AND parts = :parts_before",
        };
        let report_as_read = match was.reported_at {
            None => "attribute_not_exists(reported_at)",
            Some(_) => "reported_at = :reported_before",
        };

        // What a provider reports may name the customer.
        let as_erased_as_read =
            if was.content.is_erased() { "" } else { " AND content <> :erased" };

        let mut call = self
            .change(&key::message(address.business_id, address.conversation_id, was.seq))
            .condition_expression(format!(
                "#status = :was AND {report_as_read}{parts_as_read}{as_erased_as_read}"
            ))
            .expression_attribute_names("#status", "status")
            .expression_attribute_names("#error", "error")
            .expression_attribute_values(":status", value(&after.status))
            .expression_attribute_values(":was", value(&was.status));
        if !was.content.is_erased() {
            call = call.expression_attribute_values(":erased", text(""));
        }

        for (name, time) in times.filter_map(|(name, time)| Some((name, time?))) {
            set.push(format!("{name} = if_not_exists({name}, :{name})"));
            call = call.expression_attribute_values(format!(":{name}"), value(&time));
        }

        if let Some(time) = was.reported_at {
            call = call.expression_attribute_values(":reported_before", value(&time));
        }
        if let Some(time) = after.reported_at.filter(|_| after.reported_at != was.reported_at) {
            set.push("reported_at = :reported_at".to_owned());
            call = call.expression_attribute_values(":reported_at", value(&time));
        }

        if about_parts {
            set.push("parts = :parts".to_owned());
            call = call.expression_attribute_values(":parts", value(&after.parts));
        }

        if about_parts && parts_before {
            call = call.expression_attribute_values(":parts_before", value(&was.parts));
        }
        if let Some(id) = after.provider_id.as_ref().filter(|_| was.provider_id.is_none()) {
            set.push("provider_id = :provider_id".to_owned());
            call = call.expression_attribute_values(":provider_id", value(id));
        }

        if let Some(at) = after.expires_at.filter(|_| was.expires_at.is_none()) {
            set.push("expires_at = :expires_at".to_owned());
            call = call.expression_attribute_values(":expires_at", number(at));
        }

        let mut remove = Vec::new();
        if let Some(reason) = &after.error {
            set.push("#error = :error".to_owned());
            call = call.expression_attribute_values(":error", value(reason));
        } else {
            remove.push("#error");
        }

        let mut index = "";
        if after.status != was.status {
            (call, index) = index_exception(call, Some(address), after.status, now);
            if index.is_empty() {
                remove.extend(["exception_list", "exception_at"]);
            }
        }

        let remove = match remove.join(", ") {
            names if names.is_empty() => names,
            names => format!(" REMOVE {names}"),
        };
        let expression = format!("SET {}{index}{remove}", set.join(", "));
        match update::<Message>(call.update_expression(expression)).await? {
            WriteOutcome::Done(_) => Ok(true),
            // Its own write, the answer to which was lost, or that of the very same receipt.
            WriteOutcome::Refused(now) => Ok(now == *after),
            WriteOutcome::Missing => Ok(false),
        }
    }

    /// Makes the conversation due if it waits for the outcome of message `seq` and for nothing
    /// else. False if not; the condition is that of
    /// [`domain::delivery::ConversationState::unknown_outcome_resolved`].
    async fn make_due_if_waiting(
        &self,
        about: &MessageReference,
        seq: Seq,
        now: DateTime<Utc>,
    ) -> Result<bool, InternalError> {
        let before = seq.0.saturating_sub(1);
        let call = self
            .change(&key::conversation(about.business_id, about.conversation_id))
            .update_expression("SET due = :now REMOVE not_before")
            .condition_expression(
                "settled_seq = :before AND attribute_not_exists(lease_owner) AND attribute_exists(due)",
            )
            .expression_attribute_values(":now", millis(now))
            .expression_attribute_values(":before", number(before));

        let mut backoff = Backoff::new(RELEASE_WAIT);
        loop {
            match update::<Conversation>(call.clone()).await? {
                WriteOutcome::Done(_) => return Ok(true),
                // The worker that put the message in doubt is about to postpone the conversation,
                // behind the messages before this one.
                WriteOutcome::Refused(held)
                    if held.settled_seq.0 <= before
                        && held.lease_owner.is_some()
                        && backoff.wait().await => {}
                WriteOutcome::Refused(_) | WriteOutcome::Missing => return Ok(false),
            }
        }
    }
}

/// The message after a receipt; `None` if the receipt is no news. An erased message takes neither
/// the provider's id nor its sentences.
fn after_receipt(message: &Message, receipt: &Receipt, now: DateTime<Utc>) -> Option<Message> {
    let before = Standing { status: message.status, reported_at: message.reported_at };
    let (standing, parts) = if receipt.part.is_whole() {
        (before.on_receipt(&receipt.reported, receipt.at)?, message.parts.clone())
    } else {
        let (status, parts) = by_part(message, receipt)?;
        (Standing { status, ..before }, parts)
    };

    let at = plausible(message, receipt.at, now);
    let is_erased = message.content.is_erased();
    let reported_id = receipt.provider_id.as_ref();
    let reported_id = reported_id.filter(|_| receipt.part.is_last() && !is_erased);
    let stored = |reason: &Reason| if is_erased { reason.without_detail() } else { reason.clone() };
    let mut after = Message {
        status: standing.status,
        reported_at: standing.reported_at,
        parts,
        provider_id: message.provider_id.as_ref().or(reported_id).cloned(),
        ..message.clone()
    };
    if standing.status.is_settled() && !message.status.is_settled() {
        after.expires_at = message.expiry_if_settled(now);
    }

    let first = |time: &mut Option<DateTime<Utc>>| *time = time.or(Some(at));
    match standing.status {
        Status::Failed => {
            first(&mut after.failed_at);
            match &receipt.reported {
                ReportedStatus::Bounced(reason) => after.error = Some(stored(reason)),
                ReportedStatus::Failed(reason) if message.status != Status::Failed => {
                    after.error = Some(stored(reason));
                }
                _ => {}
            }
            return Some(after);
        }
        // One part more is known to be through; the message is where it was.
        status if status == message.status => return Some(after),
        Status::Queued | Status::Sending | Status::InDoubt => return Some(after),
        Status::Sent => {}
        Status::Delivered => first(&mut after.delivered_at),
        Status::Read => {
            first(&mut after.delivered_at);
            first(&mut after.read_at);
        }
    }

    // What was delivered was sent, and whatever went wrong before is over.
    first(&mut after.sent_at);
    after.error = None;

    Some(after)
}

/// Status and parts after a receipt of one part: the message is as far as all of its parts are. If
/// this was the part in doubt and others are left, the message is queued again to go on with them.
fn by_part(message: &Message, receipt: &Receipt) -> Option<(Status, Parts)> {
    let part = receipt.part;
    // That a message was sent is written down without a note for its last part.
    let known = match message.status {
        Status::Sent => message.parts.all_taken(part.of),
        _ => message.parts.clone(),
    };

    let parts = known.with(part, receipt.reported.status())?;
    let was_in_doubt =
        message.status == Status::InDoubt && message.parts.next(part.of) == Some(part);
    let status = match message.status.on_receipt(parts.message_status()) {
        Some(forward) => forward,
        None if was_in_doubt => Status::Queued,
        None => message.status,
    };

    Some((status, parts))
}

/// Fits a provider's time between ours: its clock is another one, and WhatsApp's tells whole
/// seconds. Nothing happens in the future, nor before the event that precedes it.
fn plausible(message: &Message, at: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    let before =
        [message.attempted_at, message.sent_at, message.delivered_at].into_iter().flatten().max();
    at.min(now).max(before.unwrap_or(message.created_at))
}
