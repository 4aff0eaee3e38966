//! Receipts: the one way in which every function that learns of a message's delivery applies it.

use tracing::Level;

use crate::aws::Aws;
use crate::clock::Clock;
use crate::error::InternalError;
use crate::queue::ChannelDoorbell;
use crate::receipt_keys::{ReceiptKeys, Route};
use crate::settings::SettingError;
use crate::table::{AppliedReceipt, ReceiptEffect, Table};
use crate::telemetry::metrics::MetricRecord;
use domain::Channel;
use domain::delivery::{MessageReference, Receipt, ReportedStatus, Status};

/// A receipt as its provider brings it: which message it is about is only claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedReceipt {
    /// Meta's id of the number, or the name of SES's configuration set, that it came by.
    pub sender: String,
    /// The message that it names.
    pub about: MessageReference,
    /// The tag that came with the name; `None` without one.
    pub tag: Option<String>,
    /// The report itself.
    pub receipt: Receipt,
}

/// Applies the receipts of one channel.
#[derive(Debug, Clone)]
pub struct Receipts {
    table: Table,
    clock: Clock,
    doorbell: ChannelDoorbell,
}

impl Receipts {
    /// Reads `TABLE_NAME`, `CLOCK_OFFSET_MS`, the channel's queue URL and what AWS clients need.
    ///
    /// # Errors
    /// The variable that is missing or malformed.
    pub fn from_env(aws: &Aws, channel: Channel) -> Result<Receipts, SettingError> {
        let doorbell = ChannelDoorbell::from_env(aws, channel)?;
        Ok(Receipts { table: Table::from_env(aws)?, clock: Clock::from_env()?, doorbell })
    }

    /// Applies a receipt if it is about a message that was sent by this channel, and the number or
    /// configuration set that the receipt came by. Any other is counted, and changes nothing.
    ///
    /// # Errors
    /// If the keys cannot be read, or DynamoDB does not answer. The caller has to bring the receipt
    /// again.
    pub async fn apply_claimed(
        &self,
        keys: &ReceiptKeys,
        claimed: &ClaimedReceipt,
    ) -> Result<(), InternalError> {
        let ClaimedReceipt { sender, about, tag, receipt } = claimed;
        let channel = self.doorbell.channel();
        let reference = receipt.part.callback_data(about);

        let route = Route { channel, sender };
        let tag = tag.as_deref().unwrap_or_default();
        if keys.has_tagged(route, &reference, tag).await? {
            return self.apply(about, receipt).await.map(drop);
        }

        let MessageReference { business_id, conversation_id, message_id } = about;
        MetricRecord::new(Level::WARN, "receipt of a message that was not sent so; ignored")
            .by("Channel", channel)
            .count("UnprovenReceipts")
            .with("business", business_id)
            .with("conversation", conversation_id)
            .with("message_id", message_id)
            .with("status", receipt.reported.status())
            .write();
        Ok(())
    }

    /// Writes one receipt down, and rings if its conversation was waiting for it. A receipt that is
    /// late, repeated or about no message of ours changes nothing. Returns its effect, and the
    /// message as it was.
    ///
    /// # Errors
    /// If DynamoDB does not answer. The caller has to bring the receipt again.
    pub async fn apply(
        &self,
        about: &MessageReference,
        receipt: &Receipt,
    ) -> Result<AppliedReceipt, InternalError> {
        let channel = self.doorbell.channel();
        let applied = self.table.apply_receipt(channel, about, receipt, self.clock.now()).await?;
        report(channel, about, receipt, &applied).write();

        match applied.effect {
            ReceiptEffect::None | ReceiptEffect::Moved => {}
            ReceiptEffect::Due => {
                self.doorbell.ring(about.business_id, about.conversation_id).await
            }
        }
        Ok(applied)
    }
}

/// Returns the line for operators: `receipt`, or `failed` for a message that the provider took and
/// could not deliver, with the same members as a worker's line on a message that it would not take.
/// The line belongs to the API call that made the message; the call that brought the receipt is
/// found by `function_request_id`.
fn report(
    channel: Channel,
    about: &MessageReference,
    receipt: &Receipt,
    applied: &AppliedReceipt,
) -> MetricRecord {
    let AppliedReceipt { message: known, effect } = applied;
    let had_failed = known.as_ref().is_some_and(|known| known.status == Status::Failed);
    let line = match (&receipt.reported, effect) {
        (
            ReportedStatus::Failed(reason) | ReportedStatus::Bounced(reason),
            ReceiptEffect::Moved | ReceiptEffect::Due,
        ) if !had_failed => MetricRecord::new(Level::WARN, "failed")
            .by("Channel", channel)
            .count("Failed")
            .with("reason", &reason.code)
            .with("detail", &reason.detail)
            .with("provider_code", &reason.provider_code),
        (reported, _) => MetricRecord::new(Level::INFO, "receipt")
            .by("Channel", channel)
            .count("Receipts")
            .with("status", reported.status()),
    };

    let effect = match effect {
        ReceiptEffect::None => "none",
        ReceiptEffect::Moved => "moved",
        ReceiptEffect::Due => "due",
    };

    let MessageReference { business_id, conversation_id, message_id } = about;
    line.with("business", business_id)
        .with("conversation", conversation_id)
        .with("message_id", message_id)
        .with("seq", message_id.seq())
        .with("attempts", known.as_ref().map(|known| known.attempts))
        .with("correlation_id", known.as_ref().and_then(|known| known.correlation_id.as_ref()))
        .with("effect", effect)
}
