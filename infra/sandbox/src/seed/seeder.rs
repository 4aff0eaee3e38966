//! Makes businesses and conversations, and records those that it made.

use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::business_seed::{BusinessSeed, PerChannel};
use super::error::SeedError;
use super::examples;
use super::keys::Keys;
use crate::clock::Clock;
use crate::journal::Journal;
use crate::visitor::Visitor;
use crate::whatsapp::{PHONE_NUMBER_ID, Pairs};
use domain::{AgentId, BusinessId, Channel, ConversationId};
use platform::table::provision::NewConversation as ConversationRecord;
use platform::table::record::Template;
use platform::table::{ApiKeyTerms, PlanChange, Table};

/// A business to make.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NewBusiness {
    /// Messages it may send in a month.
    pub(crate) limit: u64,
    /// Counters that the limit is spread over, 1 to 64.
    pub(crate) shards: u16,
    /// Requests a minute of each of its credentials; without it, what a plan has that says nothing.
    pub(crate) requests_per_minute: Option<u32>,
    /// The template that its WhatsApp channel sends when a customer's messaging window is closed.
    pub(crate) whatsapp_template: Option<Template>,
}

impl Default for NewBusiness {
    fn default() -> Self {
        Self { limit: 1000, shards: 1, requests_per_minute: None, whatsapp_template: None }
    }
}

/// A business that was made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Business {
    /// Its id.
    pub(crate) business_id: Uuid,
    /// A key to its API, of no agent.
    pub(crate) api_key: String,
    /// One conversation on each channel.
    pub(crate) conversations: PerChannel,
}

/// A conversation to make.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewConversation {
    /// A business that was made here.
    pub(crate) business_id: Uuid,
    /// The channel that the customer writes on.
    pub(crate) channel: Channel,
    /// Until when WhatsApp lets the business write free-form; without it, until 2100.
    #[serde(default)]
    pub(crate) window_expires_at: Option<DateTime<Utc>>,
    /// The customer's phone number, user id or address; without it, one of their own.
    #[serde(default)]
    pub(crate) customer: Option<String>,
}

/// A conversation that was made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) struct Conversation {
    /// Its business.
    pub(crate) business_id: Uuid,
    /// Its id.
    pub(crate) conversation_id: Uuid,
    /// The channel that the customer writes on.
    pub(crate) channel: Channel,
    /// The customer's phone number, address or visitor id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) customer: String,
    /// The chat visitor's JWT, good for an hour; absent on the other channels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) visitor_token: Option<String>,
}

/// A business with everything that a caller needs to use it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct KnownBusiness {
    /// Its id.
    business_id: Uuid,
    /// Its place here: `demo`, `other` or `made`.
    origin: &'static str,
    /// Its API key, of no agent.
    api_key: String,
    /// A JWT of its agent, if it has one, good from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    /// Its conversations, oldest first.
    conversations: Vec<KnownConversation>,
}

/// A conversation of a business.
#[derive(Debug, Clone, Serialize)]
struct KnownConversation {
    conversation_id: Uuid,
    channel: Channel,
    customer: String,
}

/// Makes businesses and conversations, and records those that it made.
#[derive(Debug)]
pub(crate) struct Seeder {
    table: Table,
    clock: Arc<Clock>,
    pairs: Arc<Pairs>,
    keys: Keys,
    businesses: Journal<BusinessSeed>,
    conversations: Journal<Conversation>,
}

impl Seeder {
    /// Opens the seeder; with a directory, it knows what was made before.
    ///
    /// # Errors
    /// A file of the directory cannot be read or written.
    pub(crate) fn new(
        table: Table,
        clock: Arc<Clock>,
        pairs: Arc<Pairs>,
        keys: Keys,
        directory: Option<&Path>,
    ) -> std::io::Result<Self> {
        let businesses = Journal::in_directory(directory, "businesses.jsonl")?;
        let conversations = Journal::in_directory(directory, "conversations.jsonl")?;
        Ok(Self { table, clock, pairs, keys, businesses, conversations })
    }

    /// Makes what is missing of the demo: its business and agent, and the other business.
    ///
    /// # Errors
    /// The table did not take it.
    pub(crate) async fn make_demo(&self) -> Result<(), SeedError> {
        let Some((business, other)) = self.keys.demo() else { return Ok(()) };
        tokio::try_join!(self.provision(business), self.provision(other)).map(drop)
    }

    /// Makes what is missing of the business that the events in `functions/*/events` refer to.
    ///
    /// # Errors
    /// The table did not take it.
    pub(crate) async fn make_examples(&self) -> Result<(), SeedError> {
        let seed = examples::business();
        self.provision(&seed).await?;
        if self.known_seeds().iter().all(|known| known.business_id != seed.business_id) {
            self.businesses.append(seed).await?;
        }
        Ok(())
    }

    /// Makes a business with a conversation on each channel.
    ///
    /// # Errors
    /// It is refused, or the table did not take it.
    pub(crate) async fn make_business(&self, new: &NewBusiness) -> Result<Business, SeedError> {
        if !(1..=64).contains(&new.shards) {
            return Err(SeedError::Refused(format!(
                "`shards` {} is not between 1 and 64",
                new.shards
            )));
        }

        let whatsapp_template = new.whatsapp_template.clone();
        let requests_per_minute = new.requests_per_minute;
        let seed = BusinessSeed {
            requests_per_minute,
            whatsapp_template,
            ..BusinessSeed::new(new.limit, new.shards)
        };
        self.provision(&seed).await?;
        self.businesses.append(seed.clone()).await?;

        Ok(Business {
            business_id: seed.business_id,
            api_key: seed.api_key,
            conversations: seed.conversations,
        })
    }

    /// Makes one more conversation of a business that was made here.
    ///
    /// # Errors
    /// There is no such business, or the table did not take it.
    pub(crate) async fn make_conversation(
        &self,
        new: &NewConversation,
    ) -> Result<Conversation, SeedError> {
        let seeds = self.known_seeds();
        let seed =
            seeds.iter().find(|seed| seed.business_id == new.business_id).ok_or_else(|| {
                SeedError::Refused(format!("`business_id` {} was not made here", new.business_id))
            })?;

        let business_id = seed.business_id;
        let conversation_id = Uuid::new_v4();
        let mut record = seed.conversation_record(new.channel, ConversationId(conversation_id));
        record.window_expires_at = new.window_expires_at.or(record.window_expires_at);
        if let Some(customer) = &new.customer {
            record.recipient = customer.as_str().into();
        }
        let customer = record.recipient.clone();

        self.create_conversation(BusinessId(business_id), ConversationId(conversation_id), record)
            .await?;

        let token = || self.keys.visitor_token(business_id, conversation_id, self.clock.now());
        let conversation = Conversation {
            business_id,
            conversation_id,
            channel: new.channel,
            customer: customer.into_string(),
            visitor_token: (new.channel == Channel::Chat).then(token),
        };

        self.conversations.append(conversation.clone()).await?;
        Ok(conversation)
    }

    /// Returns the table.
    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    /// Returns the key of a conversation that was made here.
    pub(crate) fn find(&self, conversation_id: Uuid) -> Option<(BusinessId, ConversationId)> {
        let of_seed = |seed: &BusinessSeed| {
            let is_its = Channel::ALL
                .into_iter()
                .any(|channel| seed.conversations.of(channel) == conversation_id);
            is_its.then_some(seed.business_id)
        };
        let made_later = || {
            let all = self.conversations.entries();
            let found = all.iter().find(|made| made.conversation_id == conversation_id)?;
            Some(found.business_id)
        };
        let business_id = self.known_seeds().iter().find_map(of_seed).or_else(made_later)?;
        Some((BusinessId(business_id), ConversationId(conversation_id)))
    }

    /// Returns every business that was made here, with its conversations.
    pub(crate) fn businesses(&self) -> Vec<KnownBusiness> {
        let later = self.conversations.entries();
        let is_demo = self.keys.demo().is_some();
        let seeds = self.known_seeds().into_iter().enumerate();
        let known = seeds.map(|(index, seed)| {
            let first = Channel::ALL.into_iter().map(|channel| {
                let id = seed.conversations.of(channel);
                let record = seed.conversation_record(channel, ConversationId(id));
                let customer = record.recipient.into_string();
                KnownConversation { conversation_id: id, channel, customer }
            });
            let more = later.iter().filter(|made| made.business_id == seed.business_id);
            let more = more.map(|made| KnownConversation {
                conversation_id: made.conversation_id,
                channel: made.channel,
                customer: made.customer.clone(),
            });

            KnownBusiness {
                business_id: seed.business_id,
                origin: match index {
                    0 if is_demo => "demo",
                    1 if is_demo => "other",
                    _ => "made",
                },
                api_key: seed.api_key.clone(),
                token: seed.agent_id.map(|agent_id| {
                    self.keys.agent_token(seed.business_id, agent_id, self.clock.now())
                }),
                conversations: first.chain(more).collect(),
            }
        });
        known.collect()
    }

    /// Changes how many messages a business may send in a month.
    ///
    /// # Errors
    /// There is no such business, or the table did not take it.
    pub(crate) async fn change_limit(
        &self,
        business_id: Uuid,
        limit: u64,
    ) -> Result<(), SeedError> {
        if self.known_seeds().iter().all(|seed| seed.business_id != business_id) {
            let sentence = format!("`business_id` {business_id} was not made here");
            return Err(SeedError::Refused(sentence));
        }
        let change = PlanChange::of_limit(limit);
        let business_id = BusinessId(business_id);
        self.table.operator().change_plan(business_id, change, self.clock.now()).await?;
        Ok(())
    }

    /// Returns the visitors of all chat conversations.
    pub(crate) fn visitors(&self) -> Vec<Visitor> {
        let first_conversations = self.known_seeds().into_iter().map(|seed| Visitor {
            business_id: seed.business_id,
            conversation_id: seed.conversations.chat,
        });

        let more_conversations = self
            .conversations
            .entries()
            .into_iter()
            .filter(|conversation| conversation.channel == Channel::Chat)
            .map(|conversation| Visitor {
                business_id: conversation.business_id,
                conversation_id: conversation.conversation_id,
            });

        first_conversations.chain(more_conversations).collect()
    }

    /// Returns the demo's businesses, and those that were made later.
    fn known_seeds(&self) -> Vec<BusinessSeed> {
        let demo = self.keys.demo().into_iter().flat_map(|(demo, other)| [demo, other]);
        demo.cloned().chain(self.businesses.entries()).collect()
    }

    /// Makes what is missing of a business: plan, key, agent, channels and conversations.
    async fn provision(&self, seed: &BusinessSeed) -> Result<(), SeedError> {
        let business_id = BusinessId(seed.business_id);
        let api_key = seed.parsed_api_key()?;

        let people = async {
            let plan = self.table.operator().create_business(
                business_id,
                "sandbox",
                seed.limit,
                seed.shards,
                seed.requests_per_minute,
            );
            let key = self.table.operator().create_api_key(&api_key, ApiKeyTerms::default());
            let agent = async {
                match seed.agent_id {
                    Some(agent_id) => {
                        let agent_id = AgentId(agent_id);
                        self.table.operator().create_agent(business_id, agent_id).await.map(drop)
                    }
                    None => Ok(()),
                }
            };
            tokio::try_join!(plan, key, agent).map(drop).map_err(SeedError::from)
        };

        let channels = futures_util::future::try_join_all(Channel::ALL.map(|channel| async move {
            let (channel_id, record) = seed.channel_record(channel);
            self.table.operator().put_channel(business_id, channel_id, &record).await?;

            let conversation_id = ConversationId(seed.conversations.of(channel));
            let record = seed.conversation_record(channel, conversation_id);
            self.create_conversation(business_id, conversation_id, record).await
        }));

        tokio::try_join!(people, channels).map(drop)
    }

    /// Makes a conversation, and opens its customer's messaging window at WhatsApp.
    async fn create_conversation(
        &self,
        business_id: BusinessId,
        conversation_id: ConversationId,
        record: ConversationRecord,
    ) -> Result<(), SeedError> {
        if let Some(until) = record.window_expires_at {
            self.pairs.open_window(PHONE_NUMBER_ID, &record.recipient, until).await?;
        }

        let now = self.clock.now();
        self.table
            .operator()
            .create_conversation(business_id, conversation_id, record, now)
            .await?;
        Ok(())
    }
}
