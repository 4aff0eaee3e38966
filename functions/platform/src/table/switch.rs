//! The operator's switches: a channel on and off, the end of its pause, and its settings.

use serde::de::IgnoredAny;

use super::record::{ChannelRecord, ChannelSettings};
use super::{OperatorTable, WriteOutcome, key, update, value};
use crate::error::InternalError;
use domain::channel::email::NamedAddress;
use domain::delivery::OnUnknownOutcome;
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

    /// Changes a channel's settings, unless they are no longer those of `before`, and its rule for
    /// unknown outcomes, if one is given; pause and switch stay as they are. Workers see it within
    /// half a minute. False if the settings have changed, or there is no such channel.
    ///
    /// # Errors
    /// If a mailbox's sender is no address, or DynamoDB does not answer.
    pub async fn change_settings(
        self,
        business_id: BusinessId,
        channel_id: ChannelId,
        before: &ChannelSettings,
        after: &ChannelSettings,
        in_doubt: Option<OnUnknownOutcome>,
    ) -> Result<bool, InternalError> {
        if let ChannelSettings::Email { from, .. } = after
            && NamedAddress::parse(from).is_none()
        {
            return Err(InternalError::new("changing a sender to one that is no mail address"));
        }

        let call = self
            .table
            .change(&key::channel(business_id, channel_id))
            .condition_expression("#settings = :before")
            .expression_attribute_names("#settings", "settings")
            .expression_attribute_values(":before", value(before))
            .expression_attribute_values(":after", value(after));
        let call = match in_doubt {
            None => call.update_expression("SET #settings = :after"),
            Some(rule) => call
                .update_expression("SET #settings = :after, in_doubt = :in_doubt")
                .expression_attribute_values(":in_doubt", value(&rule)),
        };

        Ok(match update::<ChannelRecord>(call).await? {
            WriteOutcome::Done(_) => true,
            // Its own write, the answer to which was lost, or nothing to change.
            WriteOutcome::Refused(now) => {
                now.settings == *after && in_doubt.is_none_or(|rule| now.in_doubt == rule)
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
