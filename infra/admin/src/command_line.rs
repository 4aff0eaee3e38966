//! The commands, their arguments, and how each argument is parsed.

mod dead_letters;

pub(crate) use dead_letters::{DeadLetters, QueueArgs, RedriveArgs, SelectionArgs};

use chrono::{DateTime, Utc};
use clap::{Args, Parser, Subcommand};

use domain::delivery::OnUnknownOutcome;
use domain::{AgentId, BusinessId, Channel, ChannelId, ConversationId, Month};

/// The operator's command line of Pingback Messages.
///
/// Works on a stack (--stack) or on the resources that the environment names (TABLE_NAME,
/// CHAT_QUEUE_URL, CHAT_DEAD_LETTER_QUEUE_URL, …), with the credentials of the environment;
/// AWS_ENDPOINT_URL leads to the local system.
#[derive(Debug, Parser)]
#[command(name = "cargo admin", bin_name = "cargo admin", version)]
#[command(
    after_help = "Exit codes: 0 done; 1 not done, or not all of it, because of the input or \
                        AWS; 2 done, and found something wrong (drift, stuck or failed messages, \
                        dead letters); 3 not confirmed, nothing done."
)]
pub(crate) struct CommandLine {
    /// The CloudFormation stack to work on
    #[arg(long, global = true, value_name = "NAME", env = "PINGBACK_STACK")]
    pub(crate) stack: Option<String>,
    /// Print JSON, for scripts
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Do not ask before changes that cannot be undone
    #[arg(long, global = true)]
    pub(crate) yes: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a business that can send: plan, agent, API key, chat channel, conversation
    FirstSteps(CreateBusiness),
    /// Make one business, agent, API key, channel or conversation
    #[command(subcommand)]
    Create(Create),
    /// Show or change what a business may send
    #[command(subcommand)]
    Plan(Plan),
    /// Show a message
    #[command(subcommand)]
    Message(Message),
    /// List conversations and messages that need attention
    #[command(subcommand)]
    List(List),
    /// Inspect dead letters, try them again, or remove them
    #[command(subcommand)]
    DeadLetters(DeadLetters),
    /// Recount messages and compare them with the counters; drift must be 0
    Audit(AuditArgs),
    /// Revoke a credential, at once and for good
    #[command(subcommand)]
    Revoke(Revoke),
    /// Pause, resume, deactivate or activate a business's channel
    #[command(subcommand)]
    Channel(SwitchChannel),
}

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
pub(crate) struct BusinessArgs {
    /// The business
    #[arg(long = "business", value_name = "ID")]
    pub(crate) business_id: BusinessId,
}

#[derive(Debug, Args)]
pub(crate) struct CreateBusiness {
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
    #[arg(long, value_name = "ID", value_parser = parse_name)]
    pub(crate) phone_number_id: Option<String>,
    /// WhatsApp: the secret with the access token, by its ARN or its name, which begins with
    /// pingback/whatsapp/
    #[arg(long, value_name = "NAME", value_parser = parse_secret)]
    pub(crate) secret: Option<String>,
    /// WhatsApp: an approved template with one parameter, which takes an agent's text when the
    /// customer's window is closed
    #[arg(long, value_name = "NAME", value_parser = parse_name, requires = "template_language")]
    pub(crate) template: Option<String>,
    /// WhatsApp: the template's language, such as en_US
    #[arg(long, value_name = "CODE", value_parser = parse_name, requires = "template")]
    pub(crate) template_language: Option<String>,
    /// E-mail: a verified identity, with or without a display name
    #[arg(long, value_name = "ADDRESS", value_parser = parse_name)]
    pub(crate) from: Option<String>,
    /// E-mail: the configuration set whose events become receipts
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
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
    /// The channel of the business
    #[arg(long = "channel", value_name = "ID")]
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
pub(crate) enum Plan {
    /// Show the plan, and what is used of the running month
    Show(BusinessArgs),
    /// Set another limit, effective at once; changes every counter of the month in one transaction
    Change(ChangePlan),
}

#[derive(Debug, Args)]
pub(crate) struct ChangePlan {
    /// The business
    #[arg(long = "business", value_name = "ID")]
    pub(crate) business_id: BusinessId,
    /// Name of the plan; without it, the name stays
    #[arg(long, value_name = "NAME", value_parser = parse_name)]
    pub(crate) plan: Option<String>,
    /// Messages a month, at most a billion
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=1_000_000_000))]
    pub(crate) limit: u64,
    /// Shards, 1 to 64; without it, the number stays
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) shards: Option<u16>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Message {
    /// Show when it was accepted, every attempt and every receipt
    Show(ShowMessage),
}

#[derive(Debug, Args)]
pub(crate) struct ShowMessage {
    /// The business
    #[arg(long = "business", value_name = "ID")]
    pub(crate) business_id: BusinessId,
    /// The API's URL or path of the message, or the ids of its conversation and of itself
    #[arg(value_name = "CONVERSATION MESSAGE", num_args = 1..=2, required = true)]
    pub(crate) address: Vec<String>,
    /// Show its content and recipient as well
    #[arg(long)]
    pub(crate) show_content: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum List {
    /// List conversations that have been due for too long
    Stuck(ListStuck),
    /// List messages in doubt: a call to the provider was made, and its outcome is unknown
    InDoubt(MessageListArgs),
    /// List messages that failed for good; reads the whole table, or one conversation
    Failed(MessageListArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ListStuck {
    /// Only of this business; without it, of all
    #[arg(long = "business", value_name = "ID")]
    pub(crate) business_id: Option<BusinessId>,
    /// Due for longer than so many minutes
    #[arg(
        long,
        value_name = "MINUTES",
        default_value_t = 10,
        value_parser = clap::value_parser!(u32).range(..=525_600)
    )]
    pub(crate) minutes: u32,
}

#[derive(Debug, Args)]
pub(crate) struct MessageListArgs {
    /// Only of this business; without it, of all
    #[arg(long = "business", value_name = "ID")]
    pub(crate) business_id: Option<BusinessId>,
    /// Only of this conversation of the business
    #[arg(long = "conversation", value_name = "ID", requires = "business_id")]
    pub(crate) conversation_id: Option<ConversationId>,
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Only of this business; without it, of all. The command reads the whole table either way
    #[arg(long = "business", value_name = "ID")]
    pub(crate) business_id: Option<BusinessId>,
    /// Only of this month, such as 2026-11; without it, of all
    #[arg(long, value_name = "YYYY-MM", value_parser = parse_month)]
    pub(crate) month: Option<Month>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Revoke {
    /// Revoke an API key, by the id that `create api-key` shows: the key's stored hash
    ApiKey(RevokeApiKey),
    /// Revoke an agent: their tokens, and every API key in their name
    Agent(RevokeAgent),
}

#[derive(Debug, Args)]
pub(crate) struct RevokeApiKey {
    /// The business
    #[arg(long = "business", value_name = "ID")]
    pub(crate) business_id: BusinessId,
    /// The key's id, 64 hexadecimal digits; `-` reads the key itself from standard input
    #[arg(value_name = "KEY", value_parser = parse_key_id)]
    pub(crate) key_id: String,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeAgent {
    /// The business
    #[arg(long = "business", value_name = "ID")]
    pub(crate) business_id: BusinessId,
    /// The agent
    #[arg(value_name = "ID")]
    pub(crate) agent_id: AgentId,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SwitchChannel {
    /// Send nothing for a while; messages are accepted and wait
    Pause(PauseChannel),
    /// End a pause; waiting messages go out within five minutes
    Resume(ChannelArgs),
    /// Accept no more messages for the channel; those accepted before are still sent
    Deactivate(ChannelArgs),
    /// Accept messages again
    Activate(ChannelArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ChannelArgs {
    /// The business
    #[arg(long = "business", value_name = "ID")]
    pub(crate) business_id: BusinessId,
    /// The channel
    #[arg(value_name = "ID")]
    pub(crate) channel_id: ChannelId,
}

#[derive(Debug, Args)]
pub(crate) struct PauseChannel {
    #[command(flatten)]
    pub(crate) channel: ChannelArgs,
    /// For so many minutes, 1 to 1440: after a day, messages are given up
    #[arg(
        long,
        value_name = "MINUTES",
        default_value_t = 60,
        value_parser = clap::value_parser!(u32).range(1..=1440)
    )]
    pub(crate) minutes: u32,
}

fn parse_channel(text: &str) -> Result<Channel, String> {
    Channel::from_wire(text).ok_or_else(|| "chat, whatsapp and email are the channels".to_owned())
}

fn parse_on_unknown_outcome(text: &str) -> Result<OnUnknownOutcome, String> {
    match text {
        "resend" => Ok(OnUnknownOutcome::Resend),
        "hold" => Ok(OnUnknownOutcome::Hold),
        _ => Err("resend or hold".to_owned()),
    }
}

fn parse_month(text: &str) -> Result<Month, String> {
    Month::try_from(text.to_owned()).map_err(|_| "a month looks like 2026-11".to_owned())
}

fn parse_name(text: &str) -> Result<String, String> {
    parse_text(text, 100)
}

/// Parses the name or ARN of a secret, as long as
/// [GetSecretValue](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html)
/// takes it.
fn parse_secret(text: &str) -> Result<String, String> {
    parse_text(text, 2048)
}

/// Parses a subject as long as a header line may be (RFC 5322 §2.1.1).
fn parse_subject(text: &str) -> Result<String, String> {
    parse_text(text, 998)
}

fn parse_recipient(text: &str) -> Result<String, String> {
    parse_text(text, 320)
}

fn parse_text(text: &str, max_characters: usize) -> Result<String, String> {
    let text = text.trim();
    let length = text.chars().count();
    if (1..=max_characters).contains(&length) {
        Ok(text.to_owned())
    } else {
        Err(format!("1 to {max_characters} characters, not {length}"))
    }
}

fn parse_key_id(text: &str) -> Result<String, String> {
    let is_id = text.len() == 64
        && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if is_id || text == "-" {
        Ok(text.to_owned())
    } else {
        Err("64 hexadecimal digits in small letters, or `-`; a key itself does not belong on a \
             command line"
            .to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn bad_input_names_field_and_limit() {
        let error_of = |words: &[&str]| {
            let arguments = ["cargo admin"].iter().chain(words);
            CommandLine::try_parse_from(arguments).expect_err("it is refused").to_string()
        };

        let shards = error_of(&["create", "business", "--shards", "65"]);
        assert!(shards.contains("--shards") && shards.contains("1..=64"), "{shards}");

        let plan = error_of(&["create", "business", "--plan", &"x".repeat(101)]);
        assert!(plan.contains("--plan") && plan.contains("1 to 100 characters, not 101"), "{plan}");

        let month = error_of(&["audit", "--month", "11/2026"]);
        assert!(month.contains("--month") && month.contains("looks like 2026-11"), "{month}");
    }
}
