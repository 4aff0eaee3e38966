//! Customers on WhatsApp: the conversations that they have, by the names that Meta has for them;
//! and that they wrote, which lets the business write to them for another while.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};

use super::record::Conversation;
use super::{Table, WriteOutcome, key, millis, read_all, retry_on_conflict, text, update};
use crate::error::InternalError;
use domain::channel::MESSAGING_WINDOW;
use domain::channel::whatsapp::CustomerId;
use domain::{BusinessId, Channel, ConversationId};

/// How a customer finds a conversation: an item that is nothing but its key.
#[derive(serde::Deserialize)]
struct Link {
    sk: String,
}

/// The conversations of a customer who wrote.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CustomerConversations {
    /// Those that the customer is in on WhatsApp.
    pub open: Vec<(BusinessId, ConversationId)>,
    /// To how many of them the message was news.
    pub opened: usize,
}

impl Table {
    /// Opens the messaging window of every conversation that the customer has with the number
    /// `phone_number_id`, as of their message of `at`; returns the conversations. A window only
    /// ever closes later: messages are reported late, twice and in any order. A conversation that
    /// is found by one of the names is found by all of them from now on.
    ///
    /// # Errors
    /// If DynamoDB does not answer; the caller has to report the message again.
    pub async fn customer_wrote(
        &self,
        phone_number_id: &str,
        names: &[CustomerId],
        at: DateTime<Utc>,
    ) -> Result<CustomerConversations, InternalError> {
        let mut conversations = CustomerConversations::default();
        for ((business_id, conversation_id), known) in
            self.conversations_by(phone_number_id, names).await?
        {
            let conversation = key::conversation(business_id, conversation_id);
            let outcome = self.open_window(&conversation, at).await?;
            let is_on_whatsapp = match &outcome {
                WriteOutcome::Missing => continue,
                // One that was erased has no customer.
                WriteOutcome::Refused(now) if now.recipient.is_empty() => continue,
                WriteOutcome::Refused(now) => now.channel.supported() == Ok(Channel::Whatsapp),
                WriteOutcome::Done(_) => true,
            };
            conversations.opened += usize::from(outcome.is_done());
            if is_on_whatsapp {
                conversations.open.push((business_id, conversation_id));
            }

            for name in names.iter().filter(|name| !known.contains(&name.lookup_key())) {
                self.link_customer(phone_number_id, name, business_id, conversation_id).await?;
            }
        }

        Ok(conversations)
    }

    /// Follows a customer who has new names instead of old ones since `at`: their conversations are
    /// found by the new names, and messages go there. Returns how many conversations there are.
    /// Repeating it changes nothing.
    ///
    /// # Errors
    /// If DynamoDB does not answer; the caller has to report the change again.
    pub async fn customer_changed(
        &self,
        phone_number_id: &str,
        old: &[CustomerId],
        new: &[CustomerId],
        at: DateTime<Utc>,
    ) -> Result<usize, InternalError> {
        let kept: BTreeSet<String> = new.iter().map(CustomerId::lookup_key).collect();
        let mut moved = 0;

        for ((business_id, conversation_id), known) in
            self.conversations_by(phone_number_id, old).await?
        {
            let found = self.conversation(business_id, conversation_id).await?;
            // One that was erased has no customer.
            let found = found.filter(|conversation| !conversation.recipient.is_empty());
            let Some(conversation) = found else { continue };
            // Another person may have got the number since. Meta's times are whole seconds.
            if conversation.created_at >= at + TimeDelta::seconds(1) {
                continue;
            }

            // The old links go last, so that a change that is cut short is found again.
            for name in new {
                self.link_customer(phone_number_id, name, business_id, conversation_id).await?;
            }
            let recipient = CustomerId::parse(&conversation.recipient);
            if let Some(replaced) = recipient
                .filter(|recipient| known.contains(&recipient.lookup_key()))
                .and_then(|recipient| recipient.replaced_by(new).cloned())
            {
                self.set_recipient(business_id, conversation_id, &replaced).await?;
            }
            for old in known.difference(&kept) {
                self.unlink_customer(phone_number_id, old, business_id, conversation_id).await?;
            }
            moved += 1;
        }

        Ok(moved)
    }

    /// Lets a customer find a conversation by this name, too.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn link_customer(
        &self,
        phone_number_id: &str,
        name: &CustomerId,
        business_id: BusinessId,
        conversation_id: ConversationId,
    ) -> Result<(), InternalError> {
        let link =
            key::whatsapp_customer(phone_number_id, name.as_str(), business_id, conversation_id);
        // An update of an item that is not there makes it.
        let linked = retry_on_conflict(|| self.change(&link).send()).await;
        linked.map(drop).map_err(|error| InternalError::aws("UpdateItem", error))
    }

    async fn unlink_customer(
        &self,
        phone_number_id: &str,
        lookup_key: &str,
        business_id: BusinessId,
        conversation_id: ConversationId,
    ) -> Result<(), InternalError> {
        let link =
            key::whatsapp_customer(phone_number_id, lookup_key, business_id, conversation_id);
        let delete =
            self.client.delete_item().table_name(&self.name).set_key(Some(link.attributes()));
        delete.send().await.map(drop).map_err(|error| InternalError::aws("DeleteItem", error))
    }

    /// Returns the conversations that are found by one of the names, each with the lookup keys that
    /// it is found by.
    async fn conversations_by(
        &self,
        phone_number_id: &str,
        names: &[CustomerId],
    ) -> Result<BTreeMap<(BusinessId, ConversationId), BTreeSet<String>>, InternalError> {
        let keys: BTreeSet<String> = names.iter().map(CustomerId::lookup_key).collect();
        let mut found: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();

        for lookup_key in keys {
            let partition = key::whatsapp_customer_partition(phone_number_id, &lookup_key);
            let call = self
                .query()
                .key_condition_expression("pk = :customer")
                .expression_attribute_values(":customer", text(partition));
            for Link { sk } in read_all(call).await? {
                let conversation = key::parse_conversation_partition(&sk).ok_or_else(|| {
                    InternalError::new("reading whose a customer's conversation is")
                })?;
                found.entry(conversation).or_default().insert(lookup_key.clone());
            }
        }

        Ok(found)
    }

    /// Refused if the window is open for longer, or the conversation has moved to another channel
    /// or was erased.
    async fn open_window(
        &self,
        conversation: &key::Key,
        at: DateTime<Utc>,
    ) -> Result<WriteOutcome<Conversation>, InternalError> {
        let call = self
            .change(conversation)
            .update_expression("SET window_expires_at = :until")
            .condition_expression(
                "channel = :whatsapp AND attribute_not_exists(erased_at) \
                 AND (attribute_not_exists(window_expires_at) OR window_expires_at < :until)",
            )
            .expression_attribute_values(":whatsapp", text(Channel::Whatsapp))
            .expression_attribute_values(":until", millis(at + MESSAGING_WINDOW));
        update(call).await
    }

    async fn set_recipient(
        &self,
        business_id: BusinessId,
        conversation_id: ConversationId,
        recipient: &CustomerId,
    ) -> Result<(), InternalError> {
        let call = self
            .change(&key::conversation(business_id, conversation_id))
            .update_expression("SET recipient = :recipient")
            .condition_expression("channel = :whatsapp AND attribute_not_exists(erased_at)")
            .expression_attribute_values(":whatsapp", text(Channel::Whatsapp))
            .expression_attribute_values(":recipient", text(recipient.as_str()));

        // Refused, it has moved to another channel, is erased or is gone, and there is nothing to
        // change.
        update::<Conversation>(call).await.map(drop)
    }
}
