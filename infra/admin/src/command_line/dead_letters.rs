//! Arguments of `dead-letters`: which letters a command reads, and what it does with them.

use clap::{Args, Subcommand};

use super::parse::parse_channel;
use domain::{Channel, ConversationId};

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetters {
    /// Show the letters by conversation and in the order of its messages; leaves all of them in
    /// place
    Inspect(QueueArgs),
    /// Try the letters again, in the order of each conversation
    ///
    /// Doorbells that no worker could answer are rung again, one for each conversation. A message
    /// that was given up is `failed`, and its conversation has gone on: put back into its place, it
    /// would arrive after what was written later, and its business has been told that it failed.
    /// With --resend it is therefore accepted anew, as the conversation's next message: with an id
    /// of its own, counted in the running month, and in the order in which they were written where
    /// there are several. Doing that twice makes no second message for a day. Without --resend,
    /// copies of messages stay in the queue.
    Redrive(RedriveArgs),
    /// Remove letters whose case is closed, for good: that ends the alarm
    ///
    /// No message changes by that. One that was given up stays `failed`, and the API tells why;
    /// only its copy is gone, and with it `redrive --resend`. Conversations whose doorbells are
    /// removed are still rung for by the sweeper, each minute.
    Discard(SelectionArgs),
}

#[derive(Debug, Args)]
pub(crate) struct QueueArgs {
    /// chat, whatsapp or email; without it, all of them
    #[arg(long, value_name = "CHANNEL", value_parser = parse_channel)]
    channel: Option<Channel>,
    /// Read at most so many letters of a channel, up to 100000: SQS has not many more in flight at
    /// once
    #[arg(
        long = "most",
        value_name = "N",
        default_value = "10000",
        value_parser = parse_letter_count
    )]
    pub(crate) max_letters: usize,
}

impl QueueArgs {
    /// Returns the channels whose queues the command reads.
    pub(crate) fn channels(&self) -> impl Iterator<Item = Channel> {
        let only = self.channel;
        Channel::ALL.into_iter().filter(move |channel| only.is_none_or(|only| only == *channel))
    }
}

#[derive(Debug, Args)]
pub(crate) struct RedriveArgs {
    #[command(flatten)]
    pub(crate) selection: SelectionArgs,
    /// Accept messages that were given up anew, as the last of their conversations
    #[arg(long)]
    pub(crate) resend: bool,
}

/// Selection of the letters that a command changes.
#[derive(Debug, Args)]
pub(crate) struct SelectionArgs {
    #[command(flatten)]
    pub(crate) queues: QueueArgs,
    /// Only letters of this conversation
    #[arg(long = "conversation", value_name = "ID")]
    pub(crate) conversation_id: Option<ConversationId>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Parses a number of letters. SQS allows 120,000 messages [in
/// flight](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html).
fn parse_letter_count(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=100_000).contains(count));
    count.ok_or_else(|| "1 to 100000 letters".to_owned())
}
