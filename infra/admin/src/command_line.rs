//! What can be said on the command line, and what it has to look like.

mod dead_letters;

pub(crate) use dead_letters::{DeadLetters, Letters, Meant, Redrive};

use chrono::{DateTime, Utc};
use clap::{Args, Parser, Subcommand};

use domain::delivery::OnUnknownOutcome;
use domain::{AgentId, BusinessId, Channel, ChannelId, ConversationId, Month};

/// The operator's command line of Pingback Messages.
///
/// Works on a stack (--stack) or on what the environment names (TABLE_NAME, CHAT_QUEUE_URL,
/// CHAT_DEAD_LETTER_QUEUE_URL, …), with the credentials of the environment; AWS_ENDPOINT_URL leads
/// to the local system.
#[derive(Debug, Parser)]
#[command(name = "cargo admin", bin_name = "cargo admin")]
#[command(
    after_help = "Exit codes: 0 done; 1 not done, or not all of it, because of the input or AWS; 2 done, and \
                        found what should not be (drift, stuck or failed messages, dead letters); 3 not confirmed, nothing done."
)]
pub(crate) struct CommandLine {
    /// The CloudFormation stack to work on
    #[arg(long, global = true, value_name = "NAME", env = "PINGBACK_STACK")]
    pub(crate) stack: Option<String>,
    /// Print JSON, for scripts
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Do what cannot be undone without asking
    #[arg(long, global = true)]
    pub(crate) yes: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a business that can send: plan, agent, API key, chat channel, conversation
    FirstSteps(NewBusiness),
    /// Make one thing
    #[command(subcommand)]
    Create(Create),
    /// Show or change what a business may send
    #[command(subcommand)]
    Plan(Plan),
    /// Look at a message
    #[command(subcommand)]
    Message(Message),
    /// List what needs somebody
    #[command(subcommand)]
    List(List),
    /// Look at what was given up, have it tried again, or remove it
    #[command(subcommand)]
    DeadLetters(DeadLetters),
    /// Recount messages and hold them against the counters; drift must be 0
    Audit(Audit),
    /// Take a credential away, at once and for good
    #[command(subcommand)]
    Revoke(Revoke),
    /// Switch a business's channel
    #[command(subcommand)]
    Channel(Switch),
}

#[derive(Debug, Subcommand)]
pub(crate) enum Create {
    /// A business with its plan
    Business(NewBusiness),
    /// An agent of a business
    Agent(OfBusiness),
    /// A key to a business's API, which is shown once
    ApiKey(NewApiKey),
    /// A channel of a business
    Channel(NewChannel),
    /// A conversation with a customer
    Conversation(NewConversation),
}

#[derive(Debug, Args)]
pub(crate) struct OfBusiness {
    /// The business
    #[arg(long, value_name = "ID")]
    pub(crate) business: BusinessId,
}

#[derive(Debug, Args)]
pub(crate) struct NewBusiness {
    /// Name of the plan, 1 to 100 characters
    #[arg(long, value_name = "NAME", default_value = "start", value_parser = name)]
    pub(crate) plan: String,
    /// Messages a month, at most a billion
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(..=1_000_000_000))]
    pub(crate) limit: u64,
    /// Shards the month is counted on, 1 to 64: the peak of messages a second, divided by 20
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) shards: u16,
}

#[derive(Debug, Args)]
pub(crate) struct NewApiKey {
    /// The business
    #[arg(long, value_name = "ID")]
    pub(crate) business: BusinessId,
    /// The agent in whose name it sends; it is revoked with them
    #[arg(long, value_name = "ID")]
    pub(crate) agent: Option<AgentId>,
    /// Days it is good for, 1 to 3650; without it, until it is revoked
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=3650))]
    pub(crate) days: Option<u16>,
}

#[derive(Debug, Args)]
pub(crate) struct NewChannel {
    /// The business
    #[arg(long, value_name = "ID")]
    pub(crate) business: BusinessId,
    /// chat, whatsapp or email
    #[arg(long, value_name = "CHANNEL", value_parser = channel)]
    pub(crate) channel: Channel,
    /// WhatsApp: Meta's id of the business's number
    #[arg(long, value_name = "ID", value_parser = name)]
    pub(crate) phone_number_id: Option<String>,
    /// WhatsApp: the secret with the access token, by its ARN or its name, which begins with
    /// pingback/whatsapp/
    #[arg(long, value_name = "NAME", value_parser = secret)]
    pub(crate) secret: Option<String>,
    /// WhatsApp: an approved template with one parameter, which takes an agent's text when the
    /// customer's window is closed
    #[arg(long, value_name = "NAME", value_parser = name, requires = "template_language")]
    pub(crate) template: Option<String>,
    /// WhatsApp: the template's language, such as en_US
    #[arg(long, value_name = "CODE", value_parser = name, requires = "template")]
    pub(crate) template_language: Option<String>,
    /// E-mail: a verified identity, with or without a display name
    #[arg(long, value_name = "ADDRESS", value_parser = name)]
    pub(crate) from: Option<String>,
    /// E-mail: the configuration set whose events become receipts
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(crate) configuration_set: Option<String>,
    /// When nobody knows whether a message arrived: resend (it may come twice) or hold (it may
    /// never come)
    #[arg(long, value_name = "WHAT", default_value = "resend", value_parser = doubt)]
    pub(crate) in_doubt: OnUnknownOutcome,
}

#[derive(Debug, Args)]
pub(crate) struct NewConversation {
    /// The business
    #[arg(long, value_name = "ID")]
    pub(crate) business: BusinessId,
    /// Which of its channels
    #[arg(long, value_name = "ID")]
    pub(crate) channel: ChannelId,
    /// The customer's phone number, address or visitor id, 1 to 320 characters
    #[arg(long, value_name = "WHOM", value_parser = recipient)]
    pub(crate) recipient: String,
    /// E-mail: the subject of the thread, 1 to 100 characters
    #[arg(long, value_name = "TEXT", value_parser = name)]
    pub(crate) subject: Option<String>,
    /// WhatsApp: when the customer wrote last, as 2026-11-25T09:00:00Z; until they write, only
    /// templates can be sent
    #[arg(long, value_name = "TIME")]
    pub(crate) wrote_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Plan {
    /// The plan, and what is used of the running month
    Show(OfBusiness),
    /// Another limit, effective at once; every counter of the month in one transaction
    Change(ChangePlan),
}

#[derive(Debug, Args)]
pub(crate) struct ChangePlan {
    /// The business
    #[arg(long, value_name = "ID")]
    pub(crate) business: BusinessId,
    /// Name of the plan; without it, what it was
    #[arg(long, value_name = "NAME", value_parser = name)]
    pub(crate) plan: Option<String>,
    /// Messages a month, at most a billion
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(..=1_000_000_000))]
    pub(crate) limit: u64,
    /// Shards, 1 to 64; without it, as many as it was
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) shards: Option<u16>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Message {
    /// Its life: when it was accepted, every attempt, every receipt
    Show(ShowMessage),
}

#[derive(Debug, Args)]
pub(crate) struct ShowMessage {
    /// The business
    #[arg(long, value_name = "ID")]
    pub(crate) business: BusinessId,
    /// The API's URL or path of the message, or the ids of its conversation and of itself
    #[arg(value_name = "CONVERSATION MESSAGE", num_args = 1..=2, required = true)]
    pub(crate) place: Vec<String>,
    /// Show what it says and to whom as well
    #[arg(long)]
    pub(crate) show_content: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum List {
    /// Conversations that have been due for longer than they should
    Stuck(Stuck),
    /// Messages of which nobody knows whether they arrived
    InDoubt(OfMessages),
    /// Messages that will not be delivered; reads the whole table, or one conversation
    Failed(OfMessages),
}

#[derive(Debug, Args)]
pub(crate) struct Stuck {
    /// Of this business; without it, of all
    #[arg(long, value_name = "ID")]
    pub(crate) business: Option<BusinessId>,
    /// DueConversation for longer than so many minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 10, value_parser = clap::value_parser!(u32).range(..=525_600))]
    pub(crate) minutes: u32,
}

#[derive(Debug, Args)]
pub(crate) struct OfMessages {
    /// Of this business; without it, of all
    #[arg(long, value_name = "ID")]
    pub(crate) business: Option<BusinessId>,
    /// Of this conversation of the business
    #[arg(long, value_name = "ID", requires = "business")]
    pub(crate) conversation: Option<ConversationId>,
}

#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// Of this business; without it, of all. Either way the whole table is read
    #[arg(long, value_name = "ID")]
    pub(crate) business: Option<BusinessId>,
    /// Of this month, such as 2026-11; without it, of all
    #[arg(long, value_name = "YYYY-MM", value_parser = month)]
    pub(crate) month: Option<Month>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Revoke {
    /// An API key, by the id that `create api-key` shows: what is stored of it
    ApiKey(RevokeApiKey),
    /// An agent, whatever tokens they hold, with every API key in their name
    Agent(RevokeAgent),
}

#[derive(Debug, Args)]
pub(crate) struct RevokeApiKey {
    /// The business
    #[arg(long, value_name = "ID")]
    pub(crate) business: BusinessId,
    /// The key's id, 64 hexadecimal digits; `-` reads the key itself from standard input
    #[arg(value_name = "KEY", value_parser = key_id)]
    pub(crate) key: String,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeAgent {
    /// The business
    #[arg(long, value_name = "ID")]
    pub(crate) business: BusinessId,
    /// The agent
    #[arg(value_name = "ID")]
    pub(crate) agent: AgentId,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Switch {
    /// Send nothing for a while; messages are accepted and wait
    Pause(Pause),
    /// End a pause; what waits goes out within five minutes
    Resume(OneChannel),
    /// Accept no more messages for it; those accepted before are still sent
    Deactivate(OneChannel),
    /// Accept messages again
    Activate(OneChannel),
}

#[derive(Debug, Args)]
pub(crate) struct OneChannel {
    /// The business
    #[arg(long, value_name = "ID")]
    pub(crate) business: BusinessId,
    /// The channel
    #[arg(value_name = "ID")]
    pub(crate) channel: ChannelId,
}

#[derive(Debug, Args)]
pub(crate) struct Pause {
    #[command(flatten)]
    pub(crate) of: OneChannel,
    /// For so many minutes, 1 to 1440: after a day, messages are given up
    #[arg(long, value_name = "MINUTES", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=1440))]
    pub(crate) minutes: u32,
}

fn channel(text: &str) -> Result<Channel, String> {
    Channel::from_wire(text)
        .ok_or_else(|| "chat, whatsapp and email are the channels there are".to_owned())
}

fn doubt(text: &str) -> Result<OnUnknownOutcome, String> {
    match text {
        "resend" => Ok(OnUnknownOutcome::Resend),
        "hold" => Ok(OnUnknownOutcome::Hold),
        _ => Err("resend and hold are what can be done".to_owned()),
    }
}

fn month(text: &str) -> Result<Month, String> {
    Month::try_from(text.to_owned()).map_err(|_| "a month looks like 2026-11".to_owned())
}

fn name(text: &str) -> Result<String, String> {
    within(text, 100)
}

/// As much as
/// [GetSecretValue](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html)
/// takes.
fn secret(text: &str) -> Result<String, String> {
    within(text, 2048)
}

fn recipient(text: &str) -> Result<String, String> {
    within(text, 320)
}

fn within(text: &str, most: usize) -> Result<String, String> {
    let (text, length) = (text.trim(), text.trim().chars().count());
    if (1..=most).contains(&length) {
        Ok(text.to_owned())
    } else {
        Err(format!("1 to {most} characters, not {length}"))
    }
}

fn key_id(text: &str) -> Result<String, String> {
    let is_id = text.len() == 64
        && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if is_id || text == "-" {
        Ok(text.to_owned())
    } else {
        Err("64 hexadecimal digits in small letters, or `-`; a key itself does not belong on a command line".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_makes_sense() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn bad_input_names_field_and_limit() {
        let said = |words: &[&str]| {
            let line = ["cargo admin"].iter().chain(words);
            CommandLine::try_parse_from(line).expect_err("it is refused").to_string()
        };
        let shards = said(&["create", "business", "--shards", "65"]);
        assert!(shards.contains("--shards") && shards.contains("1..=64"), "{shards}");
        let plan = said(&["create", "business", "--plan", &"x".repeat(101)]);
        assert!(plan.contains("--plan") && plan.contains("1 to 100 characters, not 101"), "{plan}");
        let month = said(&["audit", "--month", "11/2026"]);
        assert!(month.contains("--month") && month.contains("looks like 2026-11"), "{month}");
    }
}
