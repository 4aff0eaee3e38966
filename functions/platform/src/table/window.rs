//! A customer's own message on WhatsApp: it lets the business write to them for another while.
//! Its text is not stored here: customers' messages belong to the rest of PingBack.

use chrono::{DateTime, Utc};

use super::record::Conversation;
use super::{Table, key, millis, read_all, text, update};
use crate::error::InternalError;
use domain::Channel;
use domain::channel::MESSAGING_WINDOW;

impl Table {
    /// Opens the messaging window of every conversation that the customer `wa_id` has with the
    /// number `phone_number_id`, as of their message of `at`; returns how many of them it is news
    /// to. A window only ever closes later: messages are reported late, twice and in any order.
    ///
    /// # Errors
    /// If DynamoDB does not answer; the caller has to report the message again.
    pub async fn customer_wrote(
        &self,
        phone_number_id: &str,
        wa_id: &str,
        at: DateTime<Utc>,
    ) -> Result<usize, InternalError> {
        #[derive(serde::Deserialize)]
        struct Row {
            sk: String,
        }

        let partition = key::whatsapp_customer_partition(phone_number_id, wa_id);
        let call = self
            .query()
            .key_condition_expression("pk = :customer")
            .expression_attribute_values(":customer", text(partition));

        let mut opened = 0;
        for Row { sk } in read_all(call).await? {
            let (business_id, conversation_id) = key::parse_conversation_partition(&sk)
                .ok_or_else(|| InternalError::new("reading whose a customer's conversation is"))?;
            let conversation = key::conversation(business_id, conversation_id);
            opened += usize::from(self.open_window(&conversation, at).await?);
        }

        Ok(opened)
    }

    async fn open_window(
        &self,
        conversation: &key::Key,
        at: DateTime<Utc>,
    ) -> Result<bool, InternalError> {
        let call = self
            .change(conversation)
            .update_expression("SET window_expires_at = :until")
            .condition_expression(
                "channel = :whatsapp AND (attribute_not_exists(window_expires_at) OR window_expires_at < :until)",
            )
            .expression_attribute_values(":whatsapp", text(Channel::Whatsapp))
            .expression_attribute_values(":until", millis(at + MESSAGING_WINDOW));
        // Refused: it is open for longer, has moved to another channel, or is gone.
        Ok(update::<Conversation>(call).await?.is_done())
    }
}
