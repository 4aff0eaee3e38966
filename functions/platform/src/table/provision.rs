//! Making what messages need: businesses, agents, channels, conversations; API keys have a file of
//! their own. In production the rest of PingBack and its operators do; the local system seeds
//! itself with the same calls. Nothing that exists is overwritten.

use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde::de::IgnoredAny;

use super::cancellation::is_refused;
use super::record::{ChannelRecord, ChannelSettings, Conversation, Credential, Plan};
use super::{OperatorTable, item, key, update, value};
use crate::error::InternalError;
use domain::channel::email::NamedAddress;
use domain::delivery::Thread;
use domain::{
    AgentId, BusinessId, Channel, ChannelId, ConversationChannel, ConversationId,
    ConversationStatus, PrivateText, Scopes, Seq,
};

/// The data of a new conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConversation {
    /// The channel.
    pub channel: ConversationChannel,
    /// Which of the business's channels.
    pub channel_id: ChannelId,
    /// The customer's phone number, address or visitor id.
    pub recipient: PrivateText,
    /// E-mail: the subject of the thread.
    pub subject: Option<PrivateText>,
    /// E-mail: the `Message-ID` of the customer's mail that the conversation begins with.
    pub begun_by: Option<PrivateText>,
    /// WhatsApp: until when free-form messages may be sent.
    pub window_expires_at: Option<DateTime<Utc>>,
}

impl OperatorTable<'_> {
    /// Makes a business with its plan; false if it is there already.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn create_business(
        self,
        business_id: BusinessId,
        plan: &str,
        max_messages_per_month: u64,
        shards: u16,
        requests_per_minute: Option<u32>,
    ) -> Result<bool, InternalError> {
        let name = plan.to_owned();
        let plan = Plan { name, max_messages_per_month, shards, requests_per_minute, version: 1 };
        self.create(&key::plan(business_id), &plan).await
    }

    /// Makes an agent; false if they are there already.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn create_agent(
        self,
        business_id: BusinessId,
        agent_id: AgentId,
    ) -> Result<bool, InternalError> {
        let credential = Credential {
            is_active: true,
            agent: None,
            valid_until: None,
            scopes: Scopes::default(),
            name: None,
        };
        self.create(&key::agent(business_id, agent_id), &credential).await
    }

    /// Switches an agent on or off; off counts at once, whatever tokens they hold. False if there
    /// is no such agent.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn set_agent_active(
        self,
        business_id: BusinessId,
        agent_id: AgentId,
        is_active: bool,
    ) -> Result<bool, InternalError> {
        self.set_active(&key::agent(business_id, agent_id), is_active).await
    }

    /// Makes a channel, or replaces it: settings change, and workers see it within half a minute.
    ///
    /// # Errors
    /// If a mailbox's sender is no address, or DynamoDB does not answer.
    pub async fn put_channel(
        self,
        business_id: BusinessId,
        channel_id: ChannelId,
        record: &ChannelRecord,
    ) -> Result<(), InternalError> {
        if let ChannelSettings::Email { from, .. } = &record.settings
            && NamedAddress::parse(from).is_none()
        {
            return Err(InternalError::new("making a channel whose sender is no mail address"));
        }

        let put = self
            .table
            .client
            .put_item()
            .table_name(&self.table.name)
            .set_item(Some(item(&key::channel(business_id, channel_id), record)));
        put.send().await.map(drop).map_err(|error| InternalError::aws("PutItem", error))
    }

    /// Makes a conversation without messages; false if it is there already. On WhatsApp the
    /// customer's messages have to find it as well, by the channel's number at the time; both are
    /// made, or neither.
    ///
    /// # Errors
    /// If the recipient is none of its channel's, or DynamoDB does not answer.
    pub async fn create_conversation(
        self,
        business_id: BusinessId,
        conversation_id: ConversationId,
        new: NewConversation,
        now: DateTime<Utc>,
    ) -> Result<bool, InternalError> {
        if let Ok(channel) = new.channel.supported()
            && let Err(expected) = channel.check_recipient(&new.recipient)
        {
            let doing = format!("making a conversation whose recipient is not {expected}");
            return Err(InternalError::new(doing));
        }

        let conversation = Conversation {
            channel: new.channel,
            channel_id: new.channel_id,
            recipient: new.recipient,
            status: ConversationStatus::Open,
            subject: new.subject,
            thread: new.begun_by.as_deref().map(Thread::begun_by).unwrap_or_default(),
            rate_limit_state: None,
            seq: Seq(0),
            settled_seq: Seq(0),
            created_at: now,
            updated_at: now,
            first_response_at: None,
            window_expires_at: new.window_expires_at,
            fence: 0,
            lease_owner: None,
            lease_until: None,
            not_before: None,
            due: None,
        };

        let key = key::conversation(business_id, conversation_id);
        match self.whatsapp_number(business_id, &conversation).await? {
            Some(number) => {
                let customer = key::whatsapp_customer(
                    &number,
                    &conversation.recipient,
                    business_id,
                    conversation_id,
                );
                self.create_with(&key, &conversation, &customer).await
            }
            None => self.create(&key, &conversation).await,
        }
    }

    /// Meta's id of the number that the conversation's customer writes to, if they write on
    /// WhatsApp.
    async fn whatsapp_number(
        &self,
        business_id: BusinessId,
        conversation: &Conversation,
    ) -> Result<Option<String>, InternalError> {
        if conversation.channel.supported() != Ok(Channel::Whatsapp) {
            return Ok(None);
        }
        let channel = self.table.channel(business_id, conversation.channel_id).await?;
        Ok(channel.and_then(|channel| match channel.settings {
            ChannelSettings::Whatsapp { phone_number_id, .. } => Some(phone_number_id),
            ChannelSettings::Chat {} | ChannelSettings::Email { .. } => None,
        }))
    }

    /// Makes an item that is not there yet, and another one that is nothing but its key.
    async fn create_with(
        &self,
        key: &key::Key,
        record: &impl Serialize,
        other: &key::Key,
    ) -> Result<bool, InternalError> {
        let put = Put::builder().table_name(&self.table.name).set_item(Some(other.attributes()));
        let put = put.build().expect("table and item are set");
        let puts = vec![
            self.table.put_new(item(key, record)),
            TransactWriteItem::builder().put(put).build(),
        ];

        match self.table.transact(puts).await {
            Ok(()) => Ok(true),
            Err(error) if is_refused(&error) => Ok(false),
            Err(error) => Err(InternalError::aws("TransactWriteItems", error)),
        }
    }

    pub(super) async fn create(
        &self,
        key: &key::Key,
        record: &impl Serialize,
    ) -> Result<bool, InternalError> {
        let put = self
            .table
            .client
            .put_item()
            .table_name(&self.table.name)
            .set_item(Some(item(key, record)));
        match put.condition_expression("attribute_not_exists(pk)").send().await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(false),
            Err(error) => Err(InternalError::aws("PutItem", error)),
        }
    }

    pub(super) async fn set_active(
        &self,
        key: &key::Key,
        is_active: bool,
    ) -> Result<bool, InternalError> {
        let call = self
            .table
            .change(key)
            .update_expression("SET is_active = :active")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":active", value(&is_active));
        Ok(update::<IgnoredAny>(call).await?.is_done())
    }
}
