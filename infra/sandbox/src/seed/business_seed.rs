//! The seed of a business: every id and key of it, chosen before it is made, so that making it
//! twice makes it once.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::error::SeedError;
use crate::whatsapp::PHONE_NUMBER_ID;
use domain::delivery::OnUnknownOutcome;
use domain::{BusinessId, Channel, ChannelId, ConversationId};
use platform::credential::ApiKey;
use platform::table::provision::NewConversation;
use platform::table::record::{ChannelRecord, ChannelSettings, Template};

/// End of the sandbox customers' messaging window: it is open wherever the clock is moved to.
const WINDOW_EXPIRES_AT: i64 = 4_102_444_800; // 2100-01-01
/// Name of the secret with the access token that the sandbox's WhatsApp knows.
pub(crate) const WHATSAPP_SECRET: &str = "pingback/whatsapp/sandbox";
/// The configuration set that SES reports under: the template's, deployed as a stack.
pub(crate) const CONFIGURATION_SET: &str = "pingback-EmailReceipts";

/// An id for each channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
pub struct PerChannel {
    /// Live chat.
    pub chat: Uuid,
    /// WhatsApp.
    pub whatsapp: Uuid,
    /// E-mail.
    pub email: Uuid,
}

impl PerChannel {
    fn random() -> Self {
        Self { chat: Uuid::new_v4(), whatsapp: Uuid::new_v4(), email: Uuid::new_v4() }
    }

    /// Returns the id for a channel.
    pub fn of(&self, channel: Channel) -> Uuid {
        match channel {
            Channel::Chat => self.chat,
            Channel::Whatsapp => self.whatsapp,
            Channel::Email => self.email,
        }
    }
}

/// The ids, keys and settings of a business.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub struct BusinessSeed {
    /// Its id.
    pub business_id: Uuid,
    /// An agent of the business, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<Uuid>,
    /// Its API key, of no agent.
    pub api_key: String,
    /// Messages a month.
    pub limit: u64,
    /// Counters that the limit is spread over.
    pub shards: u16,
    /// Requests a minute of each of its credentials, if its plan says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<u32>,
    /// Its channels.
    pub channels: PerChannel,
    /// A conversation on each.
    pub conversations: PerChannel,
    /// The template that its WhatsApp channel sends when a customer's messaging window is closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whatsapp_template: Option<Template>,
}

impl BusinessSeed {
    /// Chooses ids and keys for a business without agents.
    pub fn new(limit: u64, shards: u16) -> Self {
        let business_id = Uuid::new_v4();
        Self {
            business_id,
            agent_id: None,
            api_key: ApiKey::generate(BusinessId(business_id)).reveal(),
            limit,
            shards,
            requests_per_minute: None,
            channels: PerChannel::random(),
            conversations: PerChannel::random(),
            whatsapp_template: None,
        }
    }

    pub(super) fn parsed_api_key(&self) -> Result<ApiKey, SeedError> {
        let unreadable = || {
            SeedError::Refused(format!(
                "the API key of business {} cannot be read",
                self.business_id
            ))
        };
        ApiKey::parse(&self.api_key).ok_or_else(unreadable)
    }

    pub(super) fn channel_record(&self, channel: Channel) -> (ChannelId, ChannelRecord) {
        let settings = match channel {
            Channel::Chat => ChannelSettings::Chat {},
            Channel::Whatsapp => {
                let template = self.whatsapp_template.clone();
                let phone_number_id = PHONE_NUMBER_ID.into();
                let secret = WHATSAPP_SECRET.into();
                ChannelSettings::Whatsapp { phone_number_id, secret, template }
            }
            Channel::Email => ChannelSettings::Email {
                from: "Sandbox Shop <support@shop.example.com>".into(),
                configuration_set: Some(CONFIGURATION_SET.into()),
            },
        };

        let record = ChannelRecord {
            is_active: true,
            in_doubt: OnUnknownOutcome::default(),
            paused_until: None,
            settings,
        };

        (ChannelId(self.channels.of(channel)), record)
    }

    pub(super) fn conversation_record(
        &self,
        channel: Channel,
        id: ConversationId,
    ) -> NewConversation {
        // Every conversation has a customer of its own: providers limit what one person gets.
        let number = id.0.as_u128() % 10_000_000;

        NewConversation {
            channel: channel.into(),
            channel_id: ChannelId(self.channels.of(channel)),
            recipient: match channel {
                Channel::Chat => format!("visitor-{number:07}").into(),
                Channel::Whatsapp => format!("+1555{number:07}").into(),
                Channel::Email => format!("customer-{number:07}@example.com").into(),
            },
            subject: (channel == Channel::Email).then(|| "Where is my parcel?".into()),
            begun_by: (channel == Channel::Email)
                .then(|| format!("<{}@mail.example.com>", id.0.simple()).into()),
            window_expires_at: match channel {
                Channel::Whatsapp => DateTime::<Utc>::from_timestamp(WINDOW_EXPIRES_AT, 0),
                Channel::Chat | Channel::Email => None,
            },
        }
    }
}
