//! A customer's own message on WhatsApp: it lets the business write to them for another while.
//! Nothing of it is stored here; what customers write is the rest of the platform's.

use chrono::{DateTime, Utc};

use super::record::Conversation;
use super::{Table, WriteOutcome, key, millis, text, update};
use crate::error::InternalError;
use domain::Channel;
use domain::channel::MESSAGING_WINDOW;

impl Table {
    /// Opens the messaging window of every conversation that the customer `wa_id` has with the
    /// number `phone_number_id`, as of their message of `at`; returns how many of them it is news
    /// to. A window only ever closes later: messages are reported late, twice and in any order.
    ///
    /// # Errors
    /// If DynamoDB does not answer. Whoever brought the message has to bring it again.
    pub async fn customer_wrote(
        &self,
        phone_number_id: &str,
        wa_id: &str,
        at: DateTime<Utc>,
    ) -> Result<usize, InternalError> {
        let query = self.client.query().table_name(&self.name).consistent_read(true);
        let query = query.key_condition_expression("pk = :customer");
        let pk = text(key::whatsapp_customer_partition(phone_number_id, wa_id));
        let mut pages = query.expression_attribute_values(":customer", pk).into_paginator().send();
        let mut opened = 0;
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| InternalError::aws("Query", error))?;
            for item in page.items.unwrap_or_default() {
                let found = item.get(key::SK).and_then(|sk| sk.as_s().ok());
                let found = found.and_then(|sk| key::parse_conversation_partition(sk));
                let (business, id) = found.ok_or_else(|| {
                    InternalError::new("reading whose a customer's conversation is")
                })?;
                opened +=
                    usize::from(self.open_window(&key::conversation(business, id), at).await?);
            }
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
        Ok(matches!(update::<Conversation>(call).await?, WriteOutcome::Done(_)))
    }
}
