//! Channel records, kept for half a minute: they change seldom, and every message needs one.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::cache::TtlCache;
use crate::error::InternalError;
use crate::table::Table;
use crate::table::record::ChannelRecord;
use domain::{BusinessId, ChannelId};

/// How long a change of a channel may go unnoticed.
pub const CHANNEL_TTL: Duration = Duration::from_secs(30);

/// How many channels are kept at once.
const MAX_CHANNELS: usize = 1_000;

/// Channel records, read through.
#[derive(Debug, Clone)]
pub struct ChannelCache {
    records: TtlCache<(BusinessId, ChannelId), ChannelRecord>,
}

impl Default for ChannelCache {
    fn default() -> ChannelCache {
        ChannelCache { records: TtlCache::new(CHANNEL_TTL, MAX_CHANNELS) }
    }
}

impl ChannelCache {
    /// Returns the channel's record. `None` means that there is none, which is not kept.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn get(
        &self,
        table: &Table,
        business_id: BusinessId,
        id: ChannelId,
    ) -> Result<Option<ChannelRecord>, InternalError> {
        let key = (business_id, id);
        if let Some(record) = self.records.get(&key) {
            return Ok(Some(record));
        }

        let record = table.channel(business_id, id).await?;
        if let Some(record) = &record {
            self.records.insert(key, record.clone());
        }
        Ok(record)
    }

    /// Pauses the channel until `until`: in this process at once, elsewhere when the record is read
    /// again.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn pause(
        &self,
        table: &Table,
        business_id: BusinessId,
        id: ChannelId,
        until: DateTime<Utc>,
    ) -> Result<(), InternalError> {
        self.records.update(&(business_id, id), |record| {
            record.paused_until = record.paused_until.max(Some(until));
        });
        table.deliveries().pause(business_id, id, until).await
    }
}
