//! The commands, their arguments, and how each argument is parsed.

mod channel;
mod create;
mod dead_letters;
mod endpoint;
mod erase;
mod keys;
mod list;
mod parse;

pub(crate) use channel::{ChangeChannel, ChannelArgs, ChannelCommand, NewSettings, PauseChannel};
pub(crate) use create::{
    Business, ChangeBusiness, Create, CreateApiKey, CreateBusiness, CreateChannel,
    CreateConversation,
};
pub(crate) use dead_letters::{DeadLetters, QueueArgs, RedriveArgs, SelectionArgs};
pub(crate) use endpoint::{EndpointArgs, EndpointCommand, EventSelection, Events, RedeliverEvents};
pub(crate) use erase::{Erase, EraseConversation, EraseRecipient, Waiting};
pub(crate) use keys::{Keys, KeysArgs, TokenKind};
pub(crate) use list::{
    ApiKeyListArgs, ChannelListArgs, EndpointListArgs, List, ListFailed, ListStuck, Message,
    MessageListArgs, ShowMessage,
};
pub(crate) use parse::Since;

use clap::{Args, Parser, Subcommand};

use domain::{AgentId, BusinessId, Month};
use parse::{parse_key_id, parse_month, parse_name, parse_requests_per_minute};

/// Heading of the options that every command has.
const GLOBAL_OPTIONS: &str = "Global options";

/// The operator's command line of Pingback Messages.
///
/// Works on a stack (--stack) or on the resources that the environment names (TABLE_NAME,
/// CHAT_QUEUE_URL, CHAT_DEAD_LETTER_QUEUE_URL, …), with the credentials of the environment;
/// AWS_ENDPOINT_URL leads to the local system.
#[derive(Debug, Parser)]
#[command(name = "cargo admin", bin_name = "cargo admin", version)]
#[command(
    after_help = "Exit codes: 0 done; 1 not done, or not all of it, because of the input or \
                        AWS; 2 done, and found something wrong (drift, messages that are stuck, failed \
                        or in doubt, paused channels, dead letters, a smoke test that stopped); 3 \
                        not confirmed, nothing done."
)]
pub(crate) struct CommandLine {
    /// The CloudFormation stack to work on
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        env = "PINGBACK_STACK",
        help_heading = GLOBAL_OPTIONS
    )]
    pub(crate) stack: Option<String>,
    /// Print JSON, for scripts
    #[arg(long, global = true, help_heading = GLOBAL_OPTIONS)]
    pub(crate) json: bool,
    /// Print every id and time in full, however wide the terminal is
    #[arg(long, global = true, help_heading = GLOBAL_OPTIONS)]
    pub(crate) wide: bool,
    /// Do not ask before changes that cannot be undone
    #[arg(long, global = true, help_heading = GLOBAL_OPTIONS)]
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
    /// Show a business, or give it another name
    #[command(subcommand)]
    Business(Business),
    /// Show or change what a business may send
    #[command(subcommand)]
    Plan(Plan),
    /// Send one message through the whole system, and wait until it is delivered
    ///
    /// The command plays the agent and a visitor in the chat, in a business of its own, so that no
    /// customer's month counts the message. It says which stage failed, and why.
    Smoke(SmokeArgs),
    /// Show on one screen what waits, is paused or was given up, by channel
    Status,
    /// Show a message
    #[command(subcommand)]
    Message(Message),
    /// List what needs attention, and what there is
    #[command(subcommand)]
    List(List),
    /// Inspect dead letters, try them again, or remove them
    #[command(subcommand)]
    DeadLetters(DeadLetters),
    /// Recount messages and compare them with the counters; drift must be 0
    ///
    /// Of a month whose messages may be gone by the stack's `MessageRetentionDays`, only messages
    /// that were not counted are drift. After that parameter was raised or set to 0, months whose
    /// messages went by the shorter time show too few of them.
    Audit(AuditArgs),
    /// Erase what identifies a customer, for good; what is counted stays
    #[command(subcommand)]
    Erase(Erase),
    /// Revoke a credential, at once and for good
    #[command(subcommand)]
    Revoke(Revoke),
    /// Show, change, pause, resume, deactivate or activate a business's channel
    #[command(subcommand)]
    Channel(ChannelCommand),
    /// Show, enable or disable an endpoint that a business has its events sent to
    #[command(subcommand)]
    Endpoint(EndpointCommand),
    /// Send events to an endpoint again
    #[command(subcommand)]
    Events(Events),
    /// Change the keys that sign tokens, while tokens of both are good
    #[command(subcommand)]
    Keys(Keys),
    /// Print what completes commands in a shell; `source <(cargo admin completions bash)`
    Completions(CompletionsArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BusinessArgs {
    /// The business
    #[arg(long = "business", value_name = "ID")]
    pub(crate) business_id: BusinessId,
}

#[derive(Debug, Args)]
pub(crate) struct SmokeArgs {
    /// Seconds to wait for all of it, 1 to 600; the sweeper repairs a lost doorbell in 60
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 90,
        value_parser = clap::value_parser!(u16).range(1..=600)
    )]
    pub(crate) timeout: u16,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
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
    /// Requests a minute that each credential may make to each operation, in each process of a
    /// function; without it, the number stays
    #[arg(long, value_name = "N", value_parser = parse_requests_per_minute())]
    pub(crate) requests_per_minute: Option<u32>,
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
    #[arg(value_name = "API_KEY_ID", value_parser = parse_key_id)]
    pub(crate) api_key_id: String,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeAgent {
    /// The business
    #[arg(long = "business", value_name = "ID")]
    pub(crate) business_id: BusinessId,
    /// The agent
    #[arg(value_name = "AGENT_ID")]
    pub(crate) agent_id: AgentId,
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
