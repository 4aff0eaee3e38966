//! Receipts: every function that hears of a message's fate writes it down in this one way.

use tracing::Level;

use crate::aws::Aws;
use crate::clock::Clock;
use crate::error::InternalError;
use crate::queue::ChannelDoorbell;
use crate::settings::SettingError;
use crate::table::{AppliedReceipt, ReceiptEffect, Table};
use crate::telemetry::metrics::MetricRecord;
use domain::Channel;
use domain::delivery::{MessageReference, Reason, Receipt, ReportedStatus};

/// Writes receipts of one channel down.
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

    /// Writes one receipt down, and rings if its conversation was waiting for it. One that is late,
    /// comes again or is about nothing of ours does nothing.
    ///
    /// # Errors
    /// If DynamoDB does not answer. Whoever brought the receipt has to bring it again.
    pub async fn apply(
        &self,
        about: &MessageReference,
        receipt: &Receipt,
    ) -> Result<(), InternalError> {
        let taken = self.table.apply_receipt(about, receipt, self.clock.now()).await?;
        line(self.doorbell.channel(), about, receipt, &taken).write();
        match taken.effect {
            ReceiptEffect::None | ReceiptEffect::Moved => {}
            ReceiptEffect::Due => {
                self.doorbell.ring(about.business_id, about.conversation_id).await
            }
        }
        Ok(())
    }
}

/// What operators are told: of a message that the provider took and could not deliver, what a
/// worker tells of one that it would not take; else `receipt`. It belongs to the call that made the
/// message; who brought the receipt is found by `function_request_id`.
fn line(
    channel: Channel,
    about: &MessageReference,
    receipt: &Receipt,
    taken: &AppliedReceipt,
) -> MetricRecord {
    let AppliedReceipt { message: known, effect } = taken;
    let line = match (&receipt.reported, effect) {
        (
            ReportedStatus::Failed(Reason { code, detail, provider_code }),
            ReceiptEffect::Moved | ReceiptEffect::Due,
        ) => {
            let line = MetricRecord::new(Level::WARN, "failed")
                .by("Channel", channel)
                .with("reason", code);
            line.count("Failed").with("detail", detail).with("provider_code", provider_code)
        }
        (reported, _) => {
            let line = MetricRecord::new(Level::INFO, "receipt")
                .by("Channel", channel)
                .with("status", reported.status());
            line.count("Receipts")
        }
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
