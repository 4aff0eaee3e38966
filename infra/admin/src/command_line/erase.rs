//! Arguments of `erase`.

use clap::{Args, Subcommand};

use domain::{BusinessId, ConversationId};

#[derive(Debug, Subcommand)]
pub(crate) enum Erase {
    /// Erase one conversation: its texts, its files and its customer's address
    ///
    /// Each message stays with its id, its status and its times, because it is counted. A
    /// conversation with messages that are not settled yet is left as it is; erase it again once
    /// they are. A chat message waits for as long as its customer is away.
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
}
