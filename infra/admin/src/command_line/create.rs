//! Arguments of `create`, `first-steps` and `business`.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};

use super::BusinessArgs;
use super::parse::{
    parse_channel, parse_configuration_set, parse_language, parse_name, parse_on_unknown_outcome,
    parse_phone_number_id, parse_recipient, parse_requests_per_minute, parse_scope, parse_secret,
    parse_subject, parse_template,
};
use domain::delivery::OnUnknownOutcome;
use domain::{AgentId, BusinessId, Channel, ChannelId, Scope};

#[derive(Debug, Subcommand)]
pub(crate) enum Create {
    /// A business with its plan
    Business(CreateBusiness),
    /// An agent of a business
    Agent(BusinessArgs),
    /// A key to a business's API, which is shown once
    ApiKey(CreateApiKey),
    /// A channel of a business
    Channel(CreateChannel),
    /// A conversation with a customer
    Conversation(CreateConversation),
}

#[derive(Debug, Args)]
pub(crate) struct CreateBusiness {
    /// Name of the business, for lists and reports, 1 to 100 characters
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    pub(crate) name: Option<String>,
    /// Name of the plan, 1 to 100 characters
    #[arg(long, value_name = "NAME", default_value = "start", value_parser = parse_name)]
    pub(crate) plan: String,
    /// Messages a month, at most a billion
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1000,
        value_parser = clap::value_parser!(u64).range(..=1_000_000_000)
    )]
    pub(crate) limit: u64,
    /// Shards the month is counted on, 1 to 64: the peak of messages a second, divided by 20
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=64)
    )]
    pub(crate) shards: u16,
    /// Requests a minute that each credential may make to each operation, in each process of a
    /// function; without it, 600
    #[arg(long, value_name = "N", value_parser = parse_requests_per_minute())]
    pub(crate) requests_per_minute: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct CreateApiKey {
    /// The business
    #[arg(long = "business", value_name = "ID")]
    pub(crate) business_id: BusinessId,
    /// The agent in whose name the key sends; it is revoked with them
    #[arg(long = "agent", value_name = "ID")]
    pub(crate) agent_id: Option<AgentId>,
    /// Days the key is valid, 1 to 3650; without it, until it is revoked
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=3650))]
    pub(crate) days: Option<u16>,
    /// send or read; with it the key may do nothing else, without it both
    #[arg(long, value_name = "SCOPE", value_parser = parse_scope)]
    pub(crate) scope: Option<Scope>,
    /// A name by which people know the key
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CreateChannel {
    /// The business
    #[arg(long = "business", value_name = "ID")]
    pub(crate) business_id: BusinessId,
    /// chat, whatsapp or email
    #[arg(long, value_name = "CHANNEL", value_parser = parse_channel)]
    pub(crate) channel: Channel,
    /// WhatsApp: Meta's id of the business's number
    #[arg(long, value_name = "ID", value_parser = parse_phone_number_id)]
    pub(crate) phone_number_id: Option<String>,
    /// WhatsApp: the secret with the access token, by its ARN or its name, which begins with
    /// <stack>/whatsapp/
    #[arg(long, value_name = "NAME", value_parser = parse_secret)]
    pub(crate) secret: Option<String>,
    /// WhatsApp: an approved template with one parameter, which takes an agent's text when the
    /// customer's window is closed
    #[arg(
        long,
        value_name = "NAME",
        value_parser = parse_template,
        requires = "template_language"
    )]
    pub(crate) template: Option<String>,
    /// WhatsApp: the template's language, such as en_US
    #[arg(long, value_name = "CODE", value_parser = parse_language, requires = "template")]
    pub(crate) template_language: Option<String>,
    /// E-mail: a verified identity, with or without a display name
    #[arg(long, value_name = "ADDRESS", value_parser = parse_name)]
    pub(crate) from: Option<String>,
    /// E-mail: the configuration set whose events become receipts; it has to be the stack's output
    /// `EmailConfigurationSet`
    #[arg(long, value_name = "NAME", value_parser = parse_configuration_set)]
    pub(crate) configuration_set: Option<String>,
    /// If the outcome of a call is unknown: resend (the message may arrive twice) or hold (it may
    /// never arrive)
    #[arg(
        long,
        value_name = "WHAT",
        default_value = "resend",
        value_parser = parse_on_unknown_outcome
    )]
    pub(crate) in_doubt: OnUnknownOutcome,
}

#[derive(Debug, Args)]
pub(crate) struct CreateConversation {
    /// The business
    #[arg(long = "business", value_name = "ID")]
    pub(crate) business_id: BusinessId,
    /// The channel of the business, by its id, which `list channels` shows
    #[arg(long, value_name = "ID")]
    pub(crate) channel_id: ChannelId,
    /// The customer's phone number, address or visitor id, 1 to 320 characters
    #[arg(long, value_name = "WHOM", value_parser = parse_recipient)]
    pub(crate) recipient: String,
    /// E-mail: the subject of the thread, 1 to 998 characters
    #[arg(long, value_name = "TEXT", value_parser = parse_subject)]
    pub(crate) subject: Option<String>,
    /// WhatsApp: when the customer wrote last, as 2026-11-25T09:00:00Z; until they write, only
    /// templates can be sent
    #[arg(long, value_name = "TIME")]
    pub(crate) wrote_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Business {
    /// Show a business's name, plan, use of the month and channels
    Show(BusinessArgs),
    /// Give a business another name
    Change(ChangeBusiness),
}

#[derive(Debug, Args)]
pub(crate) struct ChangeBusiness {
    /// The business
    #[arg(long = "business", value_name = "ID")]
    pub(crate) business_id: BusinessId,
    /// Its name, 1 to 100 characters
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    pub(crate) name: String,
}
