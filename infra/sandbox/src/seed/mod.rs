//! What is in the system before anybody uses it: businesses with their keys, channels and
//! conversations. It uses the calls that operators use, and nothing that exists is ever changed.

mod business_seed;
mod examples;
mod keys;

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use domain::{BusinessId, Channel, ConversationId};
use platform::error::InternalError;
use platform::table::Table;
use platform::table::provision::NewConversation as NewRecord;
use platform::table::record::Template;

pub(crate) use business_seed::PHONE_NUMBER_ID;
pub use business_seed::{PerChannel, Plot};
pub use keys::{Keys, WHATSAPP_SECRET};

use crate::{Clock, Journal, Pairs, Visitor};

/// A business to make.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NewBusiness {
    /// Messages it may send in a month.
    pub limit: u64,
    /// Counters that the limit is spread over, 1 to 64.
    pub shards: u16,
    /// What its WhatsApp channel sends when a customer's messaging window is closed.
    pub whatsapp_template: Option<Template>,
}

impl Default for NewBusiness {
    fn default() -> Self {
        Self { limit: 1000, shards: 1, whatsapp_template: None }
    }
}

/// A business that was made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Business {
    /// Its id.
    pub business_id: Uuid,
    /// A key to its API, of no agent.
    pub api_key: String,
    /// One conversation on each channel.
    pub conversations: PerChannel,
}

/// A conversation to make.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewConversation {
    /// A business that was made here.
    pub business_id: Uuid,
    /// Where the customer writes.
    pub channel: Channel,
    /// Until when WhatsApp lets the business write freely; without it, for as long as anybody will
    /// play with this.
    #[serde(default)]
    pub window_expires_at: Option<DateTime<Utc>>,
}

/// A conversation that was made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Conversation {
    /// Whose.
    pub business_id: Uuid,
    /// Its id.
    pub conversation_id: Uuid,
    /// Where the customer writes.
    pub channel: Channel,
    /// The customer's phone number, address or visitor id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub customer: String,
    /// The chat visitor's JWT, good for an hour; absent on the other channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visitor_token: Option<String>,
}

/// Why nothing was made.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// It makes no sense.
    #[error("{0}")]
    Refused(String),
    /// The table did not take it.
    #[error(transparent)]
    Table(#[from] InternalError),
    /// The directory did not take it.
    #[error(transparent)]
    Directory(#[from] std::io::Error),
}

/// Makes businesses and conversations, and remembers those it made.
#[derive(Debug)]
pub struct Seeder {
    table: Table,
    clock: Arc<Clock>,
    pairs: Arc<Pairs>,
    keys: Keys,
    plots: Journal<Plot>,
    conversations: Journal<Conversation>,
}

impl Seeder {
    /// With a directory, what was made before is known.
    ///
    /// # Errors
    /// A file of the directory cannot be read or written.
    pub fn new(
        table: Table,
        clock: Arc<Clock>,
        pairs: Arc<Pairs>,
        keys: Keys,
        directory: Option<&Path>,
    ) -> std::io::Result<Self> {
        let plots = Journal::in_directory(directory, "businesses.jsonl")?;
        let conversations = Journal::in_directory(directory, "conversations.jsonl")?;
        Ok(Self { table, clock, pairs, keys, plots, conversations })
    }

    /// Makes what is missing of the demo: its business and agent, and the other business.
    ///
    /// # Errors
    /// The table did not take it.
    pub async fn demo(&self) -> Result<(), SeedError> {
        let Some((business, other)) = self.keys.demo() else { return Ok(()) };
        tokio::try_join!(self.provision(business), self.provision(other)).map(drop)
    }

    /// Makes what is missing of the business that the events in `functions/*/events` speak of.
    ///
    /// # Errors
    /// The table did not take it.
    pub async fn examples(&self) -> Result<(), SeedError> {
        let plot = examples::business();
        self.provision(&plot).await?;
        if self.plots.entries().iter().all(|known| known.business_id != plot.business_id) {
            self.plots.append(plot).await?;
        }
        Ok(())
    }

    /// Makes a business with a conversation on each channel.
    ///
    /// # Errors
    /// It makes no sense, or the table did not take it.
    pub async fn business(&self, new: &NewBusiness) -> Result<Business, SeedError> {
        if !(1..=64).contains(&new.shards) {
            return Err(SeedError::Refused(format!(
                "`shards` {} is not between 1 and 64",
                new.shards
            )));
        }
        let whatsapp_template = new.whatsapp_template.clone();
        let plot = Plot { whatsapp_template, ..Plot::new(new.limit, new.shards) };
        self.provision(&plot).await?;
        self.plots.append(plot.clone()).await?;
        Ok(Business {
            business_id: plot.business_id,
            api_key: plot.api_key,
            conversations: plot.conversations,
        })
    }

    /// Makes one more conversation of a business that was made here.
    ///
    /// # Errors
    /// There is no such business, or the table did not take it.
    pub async fn conversation(&self, new: &NewConversation) -> Result<Conversation, SeedError> {
        let plots = self.plots.entries();
        let mut known =
            self.keys.demo().into_iter().flat_map(|(demo, other)| [demo, other]).chain(&plots);
        let plot = known.find(|plot| plot.business_id == new.business_id);
        let plot = plot.ok_or_else(|| {
            SeedError::Refused(format!("`business_id` {} was not made here", new.business_id))
        })?;
        let (business, conversation) =
            (BusinessId(plot.business_id), ConversationId(Uuid::new_v4()));
        let mut record = plot.conversation(new.channel, conversation);
        record.window_expires_at = new.window_expires_at.or(record.window_expires_at);
        let customer = record.recipient.clone();
        self.begin(business, conversation, record).await?;

        let token = || self.keys.visitor_token(business.0, conversation.0, self.clock.now());
        let made = Conversation {
            business_id: business.0,
            conversation_id: conversation.0,
            channel: new.channel,
            customer,
            visitor_token: (new.channel == Channel::Chat).then(token),
        };
        self.conversations.append(made.clone()).await?;
        Ok(made)
    }

    /// Everybody who chats.
    pub fn visitors(&self) -> Vec<Visitor> {
        let plots = self.plots.entries();
        let known =
            self.keys.demo().into_iter().flat_map(|(demo, other)| [demo, other]).chain(&plots);
        let first = known.map(|plot| Visitor {
            business_id: plot.business_id,
            conversation_id: plot.conversations.chat,
        });
        let made =
            self.conversations.entries().into_iter().filter(|made| made.channel == Channel::Chat);
        let more = made.map(|made| Visitor {
            business_id: made.business_id,
            conversation_id: made.conversation_id,
        });
        first.chain(more).collect()
    }

    async fn provision(&self, plot: &Plot) -> Result<(), SeedError> {
        let business = BusinessId(plot.business_id);
        let api_key = plot.parsed_api_key()?;
        let people = async {
            let plan = self.table.create_business(business, "sandbox", plot.limit, plot.shards);
            let key = self.table.create_api_key(&api_key, None, None);
            let agent = async {
                match plot.agent_id {
                    Some(agent) => {
                        self.table.create_agent(business, domain::AgentId(agent)).await.map(drop)
                    }
                    None => Ok(()),
                }
            };
            tokio::try_join!(plan, key, agent).map(drop).map_err(SeedError::from)
        };
        let channels = futures_util::future::try_join_all(Channel::ALL.map(|channel| async move {
            let (id, record) = plot.channel(channel);
            self.table.put_channel(business, id, &record).await?;
            let conversation = ConversationId(plot.conversations.of(channel));
            self.begin(business, conversation, plot.conversation(channel, conversation)).await
        }));
        tokio::try_join!(people, channels).map(drop)
    }

    /// Makes a conversation, and has WhatsApp know what it says of its customer's window.
    async fn begin(
        &self,
        business: BusinessId,
        id: ConversationId,
        new: NewRecord,
    ) -> Result<(), SeedError> {
        if let Some(until) = new.window_expires_at {
            self.pairs.opened(PHONE_NUMBER_ID, &new.recipient, until).await?;
        }
        Ok(self.table.create_conversation(business, id, new, self.clock.now()).await.map(drop)?)
    }
}
