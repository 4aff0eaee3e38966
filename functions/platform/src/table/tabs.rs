//! The connected tabs of a conversation, and how many of their frames change nothing: one item, so
//! that their numbers are exact whatever happens at once. Each write of the tabs names the version
//! that it has read; frames are added up.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{
    Backoff, CONTENTION_BUDGET, Connection, MAX_CONNECTION_AGE, Table, WriteOutcome, expiry, key,
    millis, number, update, value,
};
use crate::error::InternalError;
use domain::widget::{
    BarOutcome, IDLE_FRAMES_PER_MINUTE, MinuteCount, Tabs, TabsAdmission, WidgetRefusal,
};
use domain::{BusinessId, ConversationId};

/// The outcome of admitting a connection to its conversation's tabs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TabAdmission {
    /// It is one of them.
    Admitted {
        /// The connection whose place it has taken.
        displaced: Option<String>,
    },
    /// The conversation has opened too many, or is barred.
    Refused(WidgetRefusal),
}

/// The outcome of counting a frame that changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdleFrameOutcome {
    /// It is one of those that the conversation may send.
    Counted,
    /// It is one too many.
    TooMany,
}

/// The item.
#[derive(Debug, Default, Deserialize)]
struct TabsRecord {
    tabs: Tabs,
    version: u64,
    /// The frames of the running minute that changed nothing.
    #[serde(default)]
    idle: Option<MinuteCount>,
}

impl Table {
    /// Stores a connection that opens, and admits it to its conversation's tabs. One that is
    /// refused costs a read. While so many open at once that this one never gets its turn, it is
    /// one too many.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn open_tab(
        &self,
        new: &Connection,
        now: DateTime<Utc>,
    ) -> Result<TabAdmission, InternalError> {
        let key = key::tabs(new.business_id, new.conversation_id);
        let mut known: TabsRecord = self.get(&key).await?.unwrap_or_default();
        let admit =
            |known: &TabsRecord| known.tabs.admit(&new.connection_id, MAX_CONNECTION_AGE, now);

        let mut admission = match admit(&known) {
            Ok(admission) => admission,
            Err(refusal) => return Ok(TabAdmission::Refused(refusal)),
        };
        // A newer tab that takes this one's place removes what is stored here.
        self.connect(new).await?;

        let mut backoff = Backoff::new(CONTENTION_BUDGET);
        let refusal = loop {
            let TabsAdmission { tabs, displaced } = admission;
            known = match self.write_tabs(&key, &known, &tabs, now).await? {
                WriteOutcome::Done(_) => return Ok(TabAdmission::Admitted { displaced }),
                // Its own write, the answer to which was lost.
                WriteOutcome::Refused(now) if now.tabs.contains(&new.connection_id) => {
                    return Ok(TabAdmission::Admitted { displaced });
                }
                WriteOutcome::Refused(now) => now,
                WriteOutcome::Missing => TabsRecord::default(),
            };

            if !backoff.wait().await {
                break WidgetRefusal::TooManyConnections(now + TimeDelta::seconds(1));
            }
            admission = match admit(&known) {
                Ok(admission) => admission,
                Err(refusal) => break refusal,
            };
        };

        self.forget_connection(&new.connection_id, new.business_id, new.conversation_id).await?;
        Ok(TabAdmission::Refused(refusal))
    }

    /// Bars a conversation, so that it opens no connection for a while; returns the connections
    /// that were open, which the caller ends. Of two frames that bar at once, one gets them.
    ///
    /// # Errors
    /// If DynamoDB does not answer, or the tabs keep changing.
    pub async fn bar_conversation(
        &self,
        business_id: BusinessId,
        conversation_id: ConversationId,
        now: DateTime<Utc>,
    ) -> Result<Vec<String>, InternalError> {
        let key = key::tabs(business_id, conversation_id);
        let mut known: TabsRecord = self.get(&key).await?.unwrap_or_default();

        let mut backoff = Backoff::new(CONTENTION_BUDGET);
        loop {
            let (tabs, ended) = match known.tabs.bar(now) {
                BarOutcome::Barred { tabs, ended } => (tabs, ended),
                BarOutcome::AlreadyBarred => return Ok(Vec::new()),
            };
            known = match self.write_tabs(&key, &known, &tabs, now).await? {
                WriteOutcome::Done(_) => return Ok(ended),
                WriteOutcome::Refused(now) => now,
                WriteOutcome::Missing => TabsRecord::default(),
            };
            if !backoff.wait().await {
                return Err(InternalError::new("barring a conversation whose tabs kept changing"));
            }
        }
    }

    /// Counts a frame that changes nothing, exactly, however many come at once.
    ///
    /// # Errors
    /// If DynamoDB does not answer, or the minute's beginning keeps changing.
    pub async fn count_idle_frame(
        &self,
        business_id: BusinessId,
        conversation_id: ConversationId,
        now: DateTime<Utc>,
    ) -> Result<IdleFrameOutcome, InternalError> {
        let key = key::tabs(business_id, conversation_id);
        let mut backoff = Backoff::new(CONTENTION_BUDGET);
        loop {
            let call = self
                .change(&key)
                .update_expression("SET #idle.#uses = #idle.#uses + :one")
                .condition_expression("#idle.#since > :minute_ago AND #idle.#uses < :limit")
                .expression_attribute_names("#idle", "idle")
                .expression_attribute_names("#since", "since")
                .expression_attribute_names("#uses", "uses")
                .expression_attribute_values(":one", number(1))
                .expression_attribute_values(":minute_ago", millis(now - MinuteCount::LENGTH))
                .expression_attribute_values(":limit", number(IDLE_FRAMES_PER_MINUTE));
            let known = match update::<TabsRecord>(call).await? {
                WriteOutcome::Refused(known) => known.idle,
                // No tab is open any more: the frame is of one that was.
                WriteOutcome::Done(_) | WriteOutcome::Missing => {
                    return Ok(IdleFrameOutcome::Counted);
                }
            };

            let Ok(first) = MinuteCount::spend(known, IDLE_FRAMES_PER_MINUTE, now) else {
                return Ok(IdleFrameOutcome::TooMany);
            };
            if self.begin_idle_minute(&key, known, first).await? {
                return Ok(IdleFrameOutcome::Counted);
            }
            if !backoff.wait().await {
                return Err(InternalError::new("counting a frame of a minute that kept changing"));
            }
        }
    }

    /// Begins another minute of frames that change nothing; false if another frame was faster.
    async fn begin_idle_minute(
        &self,
        key: &key::Key,
        known: Option<MinuteCount>,
        first: MinuteCount,
    ) -> Result<bool, InternalError> {
        let call = self
            .change(key)
            .update_expression("SET #idle = :first")
            .expression_attribute_names("#idle", "idle")
            .expression_attribute_values(":first", value(&first));
        let call = match known {
            None => {
                call.condition_expression("attribute_exists(pk) AND attribute_not_exists(#idle)")
            }
            Some(known) => call
                .condition_expression("#idle = :known")
                .expression_attribute_values(":known", value(&known)),
        };
        Ok(update::<IgnoredAny>(call).await?.is_done())
    }

    /// Writes the tabs, unless they have changed since they were read.
    async fn write_tabs(
        &self,
        key: &key::Key,
        known: &TabsRecord,
        tabs: &Tabs,
        now: DateTime<Utc>,
    ) -> Result<WriteOutcome<TabsRecord>, InternalError> {
        let call = self
            .change(key)
            .update_expression("SET tabs = :tabs, version = :next, expires_at = :expires_at")
            .condition_expression("attribute_not_exists(version) OR version = :known")
            .expression_attribute_values(":tabs", value(tabs))
            .expression_attribute_values(":next", number(known.version + 1))
            .expression_attribute_values(":known", number(known.version))
            .expression_attribute_values(":expires_at", number(expiry(now, MAX_CONNECTION_AGE)));
        update(call).await
    }

    /// Frees a connection's place among the tabs of its conversation, if it has one.
    pub(super) async fn leave_tabs(
        &self,
        connection_id: &str,
        business_id: BusinessId,
        conversation_id: ConversationId,
    ) -> Result<(), InternalError> {
        let call = self
            .change(&key::tabs(business_id, conversation_id))
            .update_expression("REMOVE tabs.#open.#gone ADD version :one")
            .condition_expression("attribute_exists(tabs.#open.#gone)")
            .expression_attribute_names("#open", "open")
            .expression_attribute_names("#gone", connection_id)
            .expression_attribute_values(":one", number(1));
        update::<IgnoredAny>(call).await.map(drop)
    }
}
