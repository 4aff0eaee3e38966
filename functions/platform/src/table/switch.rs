//! The operator's switches: a channel on and off, and the end of its pause.

use serde::de::IgnoredAny;

use super::{OperatorTable, key, update};
use crate::error::InternalError;
use domain::{BusinessId, ChannelId};

impl OperatorTable<'_> {
    /// Sets whether messages are accepted on a channel; functions see it within half a minute.
    /// Messages accepted before are sent in any case:
    /// [`Deliveries::pause`](super::Deliveries::pause) holds them back. False if there is no such
    /// channel.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn set_channel_active(
        self,
        business_id: BusinessId,
        channel_id: ChannelId,
        is_active: bool,
    ) -> Result<bool, InternalError> {
        self.set_active(&key::channel(business_id, channel_id), is_active).await
    }

    /// Ends a channel's pause before its time; workers see it within half a minute, and
    /// conversations that wait look again within five minutes ([`domain::delivery::Round`]). False
    /// if there is no such channel.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn resume(
        self,
        business_id: BusinessId,
        channel_id: ChannelId,
    ) -> Result<bool, InternalError> {
        let call = self
            .table
            .change(&key::channel(business_id, channel_id))
            .update_expression("REMOVE paused_until")
            .condition_expression("attribute_exists(pk)");
        Ok(update::<IgnoredAny>(call).await?.is_done())
    }
}
