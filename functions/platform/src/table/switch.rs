//! The operator's switches: a channel on and off, the end of its pause, and its settings.

use serde::de::IgnoredAny;

use super::record::{ChannelRecord, ChannelSettings};
use super::{OperatorTable, WriteOutcome, key, update, value};
use crate::error::InternalError;
use domain::channel::email::NamedAddress;
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

    /// Changes a channel's settings and its rule for unknown outcomes, unless its settings are no
    /// longer those of `before`; pause and switch stay as they are. Workers see it within half a
    /// minute. False if the settings have changed, or there is no such channel.
    ///
    /// # Errors
    /// If a mailbox's sender is no address, or DynamoDB does not answer.
    pub async fn change_settings(
        self,
        business_id: BusinessId,
        channel_id: ChannelId,
        before: &ChannelSettings,
        after: &ChannelRecord,
    ) -> Result<bool, InternalError> {
        if let ChannelSettings::Email { from, .. } = &after.settings
            && NamedAddress::parse(from).is_none()
        {
            return Err(InternalError::new("changing a sender to one that is no mail address"));
        }

        let call = self
            .table
            .change(&key::channel(business_id, channel_id))
            .update_expression("SET #settings = :after, in_doubt = :in_doubt")
            .condition_expression("#settings = :before")
            .expression_attribute_names("#settings", "settings")
            .expression_attribute_values(":before", value(before))
            .expression_attribute_values(":after", value(&after.settings))
            .expression_attribute_values(":in_doubt", value(&after.in_doubt));
        Ok(match update::<ChannelRecord>(call).await? {
            WriteOutcome::Done(_) => true,
            // Its own write, the answer to which was lost, or nothing to change.
            WriteOutcome::Refused(now) => {
                now.settings == after.settings && now.in_doubt == after.in_doubt
            }
            WriteOutcome::Missing => false,
        })
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
