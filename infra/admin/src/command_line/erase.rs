//! Arguments of `erase`.

use clap::{Args, Subcommand};

use domain::{BusinessId, ConversationId};

#[derive(Debug, Subcommand)]
pub(crate) enum Erase {
    /// Erase one conversation: its texts, its files and its customer's address
    ///
    /// Each message stays with its id, its status and its times, because it is counted. A
    /// conversation with messages that are not settled yet is left as it is; erase it again once
    /// they are. A chat message waits for as long as its customer is away: `--withdraw-waiting`
    /// ends it.
    Conversation(EraseConversation),
    /// Erase every conversation of one customer of a business, by address or number
    ///
    /// As `erase conversation`, for each; erasures that were cut short earlier are ended as well. A
    /// conversation on WhatsApp is found by each of the customer's numbers and user ids.
    Recipient(EraseRecipient),
}

#[derive(Debug, Args)]
pub(crate) struct EraseConversation {
    /// The business
    #[arg(long = "business", value_name = "ID")]
    pub(crate) business_id: BusinessId,
    /// The conversation
    #[arg(value_name = "CONVERSATION_ID")]
    pub(crate) conversation_id: ConversationId,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

/// The choice between delivering messages that wait and ending them.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Waiting {
    /// First end messages that wait for a customer who is away as `failed`, with `customer_erased`;
    /// what a provider may have is left
    #[arg(long = "withdraw-waiting")]
    pub(crate) withdraw: bool,
}

#[derive(Debug, Args)]
pub(crate) struct EraseRecipient {
    /// The business
    #[arg(long = "business", value_name = "ID")]
    pub(crate) business_id: BusinessId,
    /// The customer's e-mail address, phone number or WhatsApp user id; `-` reads it from standard
    /// input, so that no shell remembers it
    #[arg(value_name = "RECIPIENT")]
    pub(crate) recipient: String,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}
