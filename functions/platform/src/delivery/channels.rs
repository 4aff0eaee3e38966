//! Channel records, kept for half a minute: they change seldom, and every message needs one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::error::InternalError;
use crate::table::Table;
use crate::table::record::ChannelRecord;
use domain::{BusinessId, ChannelId};

/// How long a change of a channel may go unnoticed.
const KEPT: Duration = Duration::from_secs(30);

/// More channels than this are not kept at once.
const MOST: usize = 1_000;

type Kept = HashMap<(BusinessId, ChannelId), (Instant, ChannelRecord)>;

/// Channel records, read through.
#[derive(Debug, Clone, Default)]
pub struct ChannelCache {
    kept: Arc<Mutex<Kept>>,
}

impl ChannelCache {
    /// The channel's record; `None` if there is none, which is not kept.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn get(
        &self,
        table: &Table,
        b: BusinessId,
        id: ChannelId,
    ) -> Result<Option<ChannelRecord>, InternalError> {
        if let Some((since, record)) = self.kept().get(&(b, id))
            && since.elapsed() < KEPT
        {
            return Ok(Some(record.clone()));
        }
        let record = table.channel(b, id).await?;
        if let Some(record) = &record {
            let mut kept = self.kept();
            if kept.len() >= MOST {
                kept.clear();
            }
            kept.insert((b, id), (Instant::now(), record.clone()));
        }
        Ok(record)
    }

    /// Has nothing sent on a channel until then, here from now on and elsewhere once it is read
    /// again.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn pause(
        &self,
        table: &Table,
        b: BusinessId,
        id: ChannelId,
        until: DateTime<Utc>,
    ) -> Result<(), InternalError> {
        if let Some((_, record)) = self.kept().get_mut(&(b, id)) {
            record.paused_until = record.paused_until.max(Some(until));
        }
        table.pause(b, id, until).await
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
