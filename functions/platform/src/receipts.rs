//! Receipts: every function that hears of a message's fate writes it down in this one way.

use tracing::Level;

use crate::aws::Aws;
use crate::broken::Broken;
use crate::clock::Clock;
use crate::queue::ChannelBell;
use crate::settings::SettingError;
use crate::table::{Effect, Table, Taken};
use crate::telemetry::metrics::Line;
use domain::Channel;
use domain::delivery::{Reason, Receipt, Reference, Reported};

/// Writes receipts of one channel down.
#[derive(Debug, Clone)]
pub struct Receipts {
    table: Table,
    clock: Clock,
    bell: ChannelBell,
}

impl Receipts {
    /// Reads `TABLE_NAME`, `CLOCK_OFFSET_MS`, the channel's queue URL and what AWS clients need.
    ///
    /// # Errors
    /// The variable that is missing or malformed.
    pub fn from_env(aws: &Aws, channel: Channel) -> Result<Receipts, SettingError> {
        let bell = ChannelBell::from_env(aws, channel)?;
        Ok(Receipts { table: Table::from_env(aws)?, clock: Clock::from_env()?, bell })
    }

    /// Writes one receipt down, and rings if its conversation was waiting for it. One that is late,
    /// comes again or is about nothing of ours does nothing.
    ///
    /// # Errors
    /// If DynamoDB does not answer. Whoever brought the receipt has to bring it again.
    pub async fn take(&self, about: &Reference, receipt: &Receipt) -> Result<(), Broken> {
        let taken = self.table.receipt(about, receipt, self.clock.now()).await?;
        line(self.bell.channel(), about, receipt, &taken).write();
        match taken.effect {
            Effect::None | Effect::Moved => {}
            Effect::Due => self.bell.ring(about.business, about.conversation).await,
        }
        Ok(())
    }
}

/// What operators are told: of a message that the provider took and could not deliver, what a
/// worker tells of one that it would not take; else `receipt`. It belongs to the call that made the
/// message; who brought the receipt is found by `function_request_id`.
fn line(channel: Channel, about: &Reference, receipt: &Receipt, taken: &Taken) -> Line {
    let Taken { message: known, effect } = taken;
    let line = match (&receipt.reported, effect) {
        (Reported::Failed(Reason { code, detail, provider_code }), Effect::Moved | Effect::Due) => {
            let line = Line::new(Level::WARN, "failed").by("Channel", channel).with("reason", code);
            line.count("Failed").with("detail", detail).with("provider_code", provider_code)
        }
        (reported, _) => {
            let line = Line::new(Level::INFO, "receipt")
                .by("Channel", channel)
                .with("status", reported.status());
            line.count("Receipts")
        }
    };
    let effect = match effect {
        Effect::None => "none",
        Effect::Moved => "moved",
        Effect::Due => "due",
    };
    let Reference { business, conversation, message } = about;
    line.with("business", business)
        .with("conversation", conversation)
        .with("message_id", message)
        .with("seq", message.seq())
        .with("attempts", known.as_ref().map(|known| known.attempts))
        .with("correlation_id", known.as_ref().and_then(|known| known.correlation_id.as_ref()))
        .with("effect", effect)
}
