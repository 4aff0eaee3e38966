//! Receipts: every function that hears of a message's fate writes it down in this one way.

use crate::aws::Aws;
use crate::broken::Broken;
use crate::clock::Clock;
use crate::queue::ChannelBell;
use crate::settings::SettingError;
use crate::table::{Effect, Table};
use crate::telemetry::metrics::Line;
use domain::Channel;
use domain::delivery::{Reason, Receipt, Reference, Reported};
use tracing::Level;

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

    /// Writes one receipt down, and rings if its conversation was waiting for it. One that is late, comes again or is
    /// about nothing of ours does nothing.
    ///
    /// # Errors
    /// If DynamoDB does not answer. Whoever brought the receipt has to bring it again.
    pub async fn take(&self, about: &Reference, receipt: &Receipt) -> Result<(), Broken> {
        let effect = self.table.receipt(about, receipt, self.clock.now()).await?;
        line(self.bell.channel(), about, receipt, effect).write();
        match effect {
            Effect::None | Effect::Moved(_) => {}
            Effect::Due(_) => self.bell.ring(about.business, about.conversation).await,
        }
        Ok(())
    }
}

/// What operators are told: of a message that the provider took and could not deliver, what a worker tells of one that it
/// would not take; else `receipt`.
fn line(channel: Channel, about: &Reference, receipt: &Receipt, effect: Effect) -> Line {
    let line = match (&receipt.reported, effect) {
        (Reported::Failed(Reason { code, detail, provider_code }), Effect::Moved(_) | Effect::Due(_)) => {
            let line = Line::new(Level::WARN, "failed").by("Channel", channel).with("reason", code);
            line.count("Failed").with("detail", detail).with("provider_code", provider_code)
        }
        (reported, _) => {
            let line = Line::new(Level::INFO, "receipt").by("Channel", channel).with("status", reported.status());
            line.count("Receipts")
        }
    };
    let (effect, attempts) = match effect {
        Effect::None => ("none", None),
        Effect::Moved(attempts) => ("moved", Some(attempts)),
        Effect::Due(attempts) => ("due", Some(attempts)),
    };
    let Reference { business, conversation, message } = about;
    line.with("business", business)
        .with("conversation", conversation)
        .with("message_id", message)
        .with("seq", message.seq())
        .with("attempts", attempts)
        .with("effect", effect)
}
