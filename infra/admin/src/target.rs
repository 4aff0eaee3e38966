//! The system that the command line works on: a stack whose resources CloudFormation names, or the
//! resources that the environment names.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use secrecy::ExposeSecret;

use crate::cloudformation;
use crate::command_line::TokenKind;
use crate::failure::Failure;
use crate::pages::read_pages;
use crate::report::Progress;
use domain::{BusinessId, Channel, ConversationId};
use platform::aws::Aws;
use platform::clock::Clock;
use platform::credential::SigningKeys;
use platform::files::Files;
use platform::queue::{DeadLetters, Doorbells, EventBells};
use platform::secrets::Secrets;
use platform::settings::{self, SettingError};
use platform::table::record::{Conversation, Plan};
use platform::table::{FoundChannel, MessageRetention, Table};

/// A system to work on.
pub(crate) struct Target {
    pub(crate) table: Table,
    aws: Aws,
    clock: Clock,
    names: ResourceNames,
}

/// Source of the names of the system's resources.
enum ResourceNames {
    /// A stack: physical ids by logical ids, and its outputs.
    Stack { name: String, resources: BTreeMap<String, String>, outputs: BTreeMap<String, String> },
    /// The variables that the functions read, too.
    Environment,
}

impl Target {
    /// Resolves the stack of that name, or the names in the environment.
    pub(crate) async fn resolve(stack: Option<&str>) -> Result<Target, Failure> {
        let aws = Aws::from_env().map_err(explain_setting)?;
        let clock = Clock::from_env().map_err(explain_setting)?;

        let names = match stack {
            Some(stack) => ResourceNames::Stack {
                name: stack.to_owned(),
                resources: cloudformation::read_resources(&aws, stack).await?,
                outputs: cloudformation::read_outputs(&aws, stack).await?,
            },
            None => ResourceNames::Environment,
        };

        let table_name = match &names {
            ResourceNames::Stack { resources, .. } => physical_id(resources, "Table")?,
            ResourceNames::Environment => settings::optional("TABLE_NAME").ok_or_else(|| {
                Failure::new(
                    "where? Name the stack with --stack or PINGBACK_STACK, or its table in \
                     TABLE_NAME",
                )
            })?,
        };

        Ok(Target { table: Table::named(&aws, table_name), aws, clock, names })
    }

    /// Returns the stack's name, unless the environment names the resources.
    pub(crate) fn stack_name(&self) -> Option<&str> {
        match &self.names {
            ResourceNames::Stack { name, .. } => Some(name),
            ResourceNames::Environment => None,
        }
    }

    /// Returns the time. A command reads it once.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Returns the plan of a business. Every command about a business reads it first: a business
    /// that does not exist has no messages, and that must not read like "all is well".
    pub(crate) async fn plan_of(&self, business_id: BusinessId) -> Result<Plan, Failure> {
        self.table.plan(business_id).await?.ok_or_else(|| {
            Failure::new("--business: there is no such business; `create business` makes one")
        })
    }

    /// Returns the channels of one business or of all, in the order of their ids.
    pub(crate) async fn channels(
        &self,
        business_id: Option<BusinessId>,
        progress: &Progress,
    ) -> Result<Vec<FoundChannel>, Failure> {
        let table = self.table.operator();
        let read = async |at| table.channels(business_id, at).await;
        let mut channels = read_pages(progress, read).await?;
        channels.sort_by_key(|channel| (channel.business_id, channel.channel_id));
        Ok(channels)
    }

    /// Returns a conversation of a business.
    pub(crate) async fn conversation_of(
        &self,
        business_id: BusinessId,
        conversation_id: ConversationId,
    ) -> Result<Conversation, Failure> {
        self.plan_of(business_id).await?;
        self.table
            .conversation(business_id, conversation_id)
            .await?
            .ok_or_else(|| Failure::new("the business has no such conversation"))
    }

    /// Returns the base URL of the API, if it is known.
    pub(crate) fn api_url(&self) -> Option<String> {
        match &self.names {
            ResourceNames::Stack { outputs, .. } => outputs.get("ApiUrl").cloned(),
            ResourceNames::Environment => settings::optional("PINGBACK_API_URL"),
        }
    }

    /// Returns how long the system keeps messages.
    pub(crate) fn message_retention(&self) -> Result<MessageRetention, Failure> {
        match &self.names {
            ResourceNames::Environment => MessageRetention::from_env().map_err(explain_setting),
            ResourceNames::Stack { outputs, .. } => {
                let days = outputs.get("MessageRetentionDays").map_or("0", String::as_str);
                MessageRetention::parse(days).ok_or_else(|| {
                    Failure::new(format!("the stack's MessageRetentionDays is {days}"))
                })
            }
        }
    }

    /// Returns the address of the chat's WebSocket, if it is known.
    pub(crate) fn chat_url(&self) -> Option<String> {
        match &self.names {
            ResourceNames::Stack { outputs, .. } => outputs.get("ChatUrl").cloned(),
            ResourceNames::Environment => settings::optional("PINGBACK_CHAT_URL"),
        }
    }

    /// Returns the keys that sign this kind of token.
    pub(crate) async fn signing_keys(&self, tokens: TokenKind) -> Result<SigningKeys, Failure> {
        let text = Secrets::new(&self.aws).text(&self.secret_id(tokens)?).await?;
        Ok(SigningKeys::parse(tokens.secret(), text.expose_secret())?)
    }

    /// Replaces the keys that sign this kind of token.
    pub(crate) async fn put_signing_keys(
        &self,
        tokens: TokenKind,
        keys: &SigningKeys,
    ) -> Result<(), Failure> {
        let text = serde_json::to_string(keys).expect("keys are texts");
        Secrets::new(&self.aws).put(&self.secret_id(tokens)?, &text.into()).await?;
        Ok(())
    }

    fn secret_id(&self, tokens: TokenKind) -> Result<String, Failure> {
        match &self.names {
            ResourceNames::Stack { resources, .. } => physical_id(resources, tokens.secret()),
            ResourceNames::Environment => {
                settings::required(tokens.variable()).map_err(explain_setting)
            }
        }
    }

    /// Returns the doorbells of all channels.
    pub(crate) fn doorbells(&self) -> Result<Doorbells, Failure> {
        match &self.names {
            ResourceNames::Environment => Doorbells::from_env(&self.aws).map_err(explain_setting),
            ResourceNames::Stack { resources, .. } => {
                let url = |channel| {
                    let logical_id = match channel {
                        Channel::Chat => "ChatQueue",
                        Channel::Whatsapp => "WhatsappQueue",
                        Channel::Email => "EmailQueue",
                    };
                    physical_id(resources, logical_id)
                };
                Doorbells::new(&self.aws, url)
            }
        }
    }

    /// Returns the bells of events.
    pub(crate) fn event_bells(&self) -> Result<EventBells, Failure> {
        match &self.names {
            ResourceNames::Environment => EventBells::from_env(&self.aws).map_err(explain_setting),
            ResourceNames::Stack { resources, .. } => {
                Ok(EventBells::new(&self.aws, physical_id(resources, "WebhookQueue")?))
            }
        }
    }

    /// Returns the bucket of files.
    pub(crate) fn files(&self) -> Result<Files, Failure> {
        match &self.names {
            ResourceNames::Environment => Files::from_env(&self.aws).map_err(explain_setting),
            ResourceNames::Stack { resources, .. } => {
                Ok(Files::named(&self.aws, physical_id(resources, "Files")?))
            }
        }
    }

    /// Returns a channel's dead-letter queue.
    pub(crate) fn dead_letter_queue(&self, channel: Channel) -> Result<DeadLetters, Failure> {
        let url = match &self.names {
            ResourceNames::Environment => {
                let variable = format!("{}_DEAD_LETTER_QUEUE_URL", channel.name().to_uppercase());
                settings::required(&variable).map_err(explain_setting)?
            }
            ResourceNames::Stack { resources, .. } => {
                let logical_id = match channel {
                    Channel::Chat => "ChatDeadLetters",
                    Channel::Whatsapp => "WhatsappDeadLetters",
                    Channel::Email => "EmailDeadLetters",
                };
                physical_id(resources, logical_id)?
            }
        };

        Ok(DeadLetters::new(&self.aws, url))
    }
}

fn physical_id(resources: &BTreeMap<String, String>, logical_id: &str) -> Result<String, Failure> {
    resources.get(logical_id).cloned().ok_or_else(|| {
        Failure::new(format!("the stack has no {logical_id}: is it one of this template?"))
    })
}

/// Explains which setting is missing, and where operators get it from.
fn explain_setting(error: SettingError) -> Failure {
    let missing = match &error {
        SettingError::Missing(name) => name.as_str(),
        SettingError::Malformed { .. } => return Failure::new(error.to_string()),
    };
    let remedy = match missing {
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => {
            "eval \"$(aws configure export-credentials --format env)\""
        }
        "AWS_REGION" => "export AWS_REGION=\"$(aws configure get region)\"",
        _ => "name the stack with --stack, which knows it, or set it",
    };
    Failure::new(format!("{missing} is not set: {remedy}"))
}
