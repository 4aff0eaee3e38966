//! Arguments of `list` and `message`.

use clap::{Args, Subcommand};

use super::parse::{Since, parse_channel, parse_since};
use domain::{BusinessId, Channel, ConversationId};

#[derive(Debug, Subcommand)]
pub(crate) enum Message {
    /// Show when it was accepted, every attempt and every receipt
    ///
    /// Finds the message by its ids, by the API's path, by a line of the log or a dead letter in
    /// full, or by one name alone: the message's id, the correlation id (the caller's
    /// `apigw-requestid`) or the provider's id. One name alone, and a conversation without its
    /// business, are looked for in the whole table.
    Show(ShowMessage),
}

#[derive(Debug, Args)]
pub(crate) struct ShowMessage {
    /// The business; without it, the whole table is read
    #[arg(long = "business", value_name = "ID")]
    pub(crate) business_id: Option<BusinessId>,
    /// A conversation and its message's id or seq; the API's URL or path of the message; a line of
    /// the log or a dead letter, as JSON; or the id of the message, of its call or of its provider
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
    /// List messages that failed for good
    Failed(ListFailed),
    /// List all businesses, by name; reads the whole table
    Businesses,
    /// List channels; reads the whole table, or one business
    Channels(ChannelListArgs),
    /// List API keys, by their ids; reads the whole table, or one business
    ApiKeys(ApiKeyListArgs),
    /// List channels that are paused now; reads the whole table, or one business
    Paused(ChannelListArgs),
    /// List the endpoints that events are sent to; reads the whole table, or one business
    Endpoints(EndpointListArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ListStuck {
    #[command(flatten)]
    pub(crate) only: ChannelListArgs,
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
pub(crate) struct ChannelListArgs {
    /// Only of this business; without it, of all
    #[arg(long = "business", value_name = "ID")]
    pub(crate) business_id: Option<BusinessId>,
    /// Only chat, whatsapp or email
    #[arg(long, value_name = "CHANNEL", value_parser = parse_channel)]
    pub(crate) channel: Option<Channel>,
}

#[derive(Debug, Args)]
pub(crate) struct ApiKeyListArgs {
    /// Only of this business; without it, of all
    #[arg(long = "business", value_name = "ID")]
    pub(crate) business_id: Option<BusinessId>,
}

#[derive(Debug, Args)]
pub(crate) struct EndpointListArgs {
    /// Only of this business; without it, of all
    #[arg(long = "business", value_name = "ID")]
    pub(crate) business_id: Option<BusinessId>,
    /// Only those that are disabled, or did not take the latest attempt
    #[arg(long)]
    pub(crate) failing: bool,
}

#[derive(Debug, Args)]
pub(crate) struct MessageListArgs {
    #[command(flatten)]
    pub(crate) only: ChannelListArgs,
    /// Only of this conversation of the business
    #[arg(long = "conversation", value_name = "ID", requires = "business_id")]
    pub(crate) conversation_id: Option<ConversationId>,
}

#[derive(Debug, Args)]
pub(crate) struct ListFailed {
    #[command(flatten)]
    pub(crate) messages: MessageListArgs,
    /// Only those that failed since: 30m, 2h or 3d ago, or a time such as 2026-11-25 or
    /// 2026-11-25T09:00:00Z
    #[arg(long, value_name = "WHEN", value_parser = parse_since)]
    pub(crate) since: Option<Since>,
}
