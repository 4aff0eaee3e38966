//! What operators switch: a channel on and off, and that it waits no longer.

use serde::de::IgnoredAny;

use super::{Table, WriteOutcome, key, update};
use crate::error::InternalError;
use domain::{BusinessId, ChannelId};

impl Table {
    /// Says whether messages are accepted on a channel; functions see it within half a minute. What
    /// was accepted before goes out in any case: [`Table::pause`] is what keeps it. False if there
    /// is no such channel.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn set_channel_active(
        &self,
        b: BusinessId,
        channel: ChannelId,
        is_active: bool,
    ) -> Result<bool, InternalError> {
        self.set_active(&key::channel(b, channel), is_active).await
    }

    /// Ends a channel's pause before its time; workers see it within half a minute, and
    /// conversations that wait look again within five minutes ([`domain::delivery::Round`]). False
    /// if there is no such channel.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn resume(&self, b: BusinessId, channel: ChannelId) -> Result<bool, InternalError> {
        let call = self
            .change(&key::channel(b, channel))
            .update_expression("REMOVE paused_until")
            .condition_expression("attribute_exists(pk)");
        Ok(matches!(update::<IgnoredAny>(call).await?, WriteOutcome::Done(_)))
    }
}
