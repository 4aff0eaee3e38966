//! Where the command line works: a stack whose resources CloudFormation names, or what the
//! environment names.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use crate::{Failure, cloudformation};
use domain::{BusinessId, Channel, ConversationId};
use platform::aws::Aws;
use platform::clock::Clock;
use platform::queue::{DeadLetters, Doorbells};
use platform::settings::{self, SettingError};
use platform::table::Table;
use platform::table::record::{Conversation, Plan};

/// A system to work on.
pub(crate) struct Place {
    pub(crate) table: Table,
    aws: Aws,
    clock: Clock,
    names: Names,
}

/// How its parts are found.
enum Names {
    /// Physical ids by logical ids, and the outputs.
    Stack { resources: BTreeMap<String, String>, outputs: BTreeMap<String, String> },
    /// Variables, as the functions have them.
    Environment,
}

impl Place {
    /// Finds the stack of that name, or what the environment names.
    pub(crate) async fn find(stack: Option<&str>) -> Result<Place, Failure> {
        let aws = Aws::from_env().map_err(advice)?;
        let clock = Clock::from_env().map_err(advice)?;
        let names = match stack {
            Some(stack) => Names::Stack {
                resources: cloudformation::resources(&aws, stack).await?,
                outputs: cloudformation::outputs(&aws, stack).await?,
            },
            None => Names::Environment,
        };
        let name = match &names {
            Names::Stack { resources, .. } => part(resources, "Table")?,
            Names::Environment => settings::optional("TABLE_NAME").ok_or_else(|| {
                Failure::new("where? Name the stack with --stack or PINGBACK_STACK, or its table in TABLE_NAME")
            })?,
        };
        Ok(Place { table: Table::named(&aws, name), aws, clock, names })
    }

    /// The time. Operators' commands read it once.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// The plan of a business. Whatever is done or found for a business goes through here first:
    /// one that does not exist has nothing, and "nothing" must not read like "all is well".
    pub(crate) async fn plan_of(&self, business: BusinessId) -> Result<Plan, Failure> {
        let plan = self.table.plan(business).await?;
        plan.ok_or_else(|| {
            Failure::new("--business: there is no such business; `create business` makes one")
        })
    }

    /// A conversation of a business.
    pub(crate) async fn conversation_of(
        &self,
        b: BusinessId,
        id: ConversationId,
    ) -> Result<Conversation, Failure> {
        self.plan_of(b).await?;
        let conversation = self.table.conversation(b, id).await?;
        conversation.ok_or_else(|| Failure::new("the business has no such conversation"))
    }

    /// The base URL of the API, if it is known.
    pub(crate) fn api(&self) -> Option<String> {
        match &self.names {
            Names::Stack { outputs, .. } => outputs.get("ApiUrl").cloned(),
            Names::Environment => settings::optional("PINGBACK_API_URL"),
        }
    }

    /// The doorbells of all channels.
    pub(crate) fn doorbells(&self) -> Result<Doorbells, Failure> {
        match &self.names {
            Names::Environment => Doorbells::from_env(&self.aws).map_err(advice),
            Names::Stack { resources, .. } => {
                let [chat, whatsapp, email] =
                    ["ChatQueue", "WhatsappQueue", "EmailQueue"].map(|id| part(resources, id));
                Ok(Doorbells::new(&self.aws, [chat?, whatsapp?, email?]))
            }
        }
    }

    /// A channel's dead-letter queue.
    pub(crate) fn dead_letters(&self, channel: Channel) -> Result<DeadLetters, Failure> {
        let url = match &self.names {
            Names::Environment => settings::required(&format!(
                "{}_DEAD_LETTER_QUEUE_URL",
                channel.name().to_uppercase()
            ))
            .map_err(advice)?,
            Names::Stack { resources, .. } => part(
                resources,
                match channel {
                    Channel::Chat => "ChatDeadLetters",
                    Channel::Whatsapp => "WhatsappDeadLetters",
                    Channel::Email => "EmailDeadLetters",
                },
            )?,
        };
        Ok(DeadLetters::new(&self.aws, url))
    }
}

fn part(resources: &BTreeMap<String, String>, id: &str) -> Result<String, Failure> {
    resources
        .get(id)
        .cloned()
        .ok_or_else(|| Failure::new(format!("the stack has no {id}: is it one of this template?")))
}

/// What is missing, and where operators get it from.
fn advice(error: SettingError) -> Failure {
    let missing = match &error {
        SettingError::Missing(name) => name.as_str(),
        SettingError::Malformed { .. } => return Failure::new(error.to_string()),
    };
    Failure::new(match missing {
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => {
            format!(
                "{missing} is not set: eval \"$(aws configure export-credentials --format env)\""
            )
        }
        "AWS_REGION" => {
            "AWS_REGION is not set: export AWS_REGION=\"$(aws configure get region)\"".to_owned()
        }
        name => {
            format!("{name} is not set: name the stack with --stack, which knows it, or set it")
        }
    })
}
