//! Receipts: every function that hears of a message's fate writes it down in this one way.

use crate::aws::Aws;
use crate::broken::Broken;
use crate::clock::Clock;
use crate::queue::ChannelBell;
use crate::settings::SettingError;
use crate::table::{Effect, Table};
use domain::Channel;
use domain::delivery::{Receipt, Reference};

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
        let Reference { business, conversation, message } = *about;
        let (channel, status) = (self.bell.channel(), receipt.reported.status());
        tracing::info!(%business, %conversation, message_id = %message, %channel, ?status, ?effect, "receipt");
        match effect {
            Effect::None | Effect::Moved => {}
            Effect::Due => self.bell.ring(business, conversation).await,
        }
        Ok(())
    }
}
