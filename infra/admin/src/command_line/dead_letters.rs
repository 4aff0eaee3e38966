//! What is said of dead letters: which are meant, and what is to be done with them.

use clap::{Args, Subcommand};

use super::channel;
use domain::{Channel, ConversationId};

#[derive(Debug, Subcommand)]
pub(crate) enum DeadLetters {
    /// What is there, by conversation and in the order of its messages; leaves everything where it
    /// is
    Inspect(Letters),
    /// Have it tried again, in the order of each conversation
    ///
    /// Doorbells that no worker could answer are rung again, one for each conversation. A message that
    /// was given up is `failed`, and its conversation has gone on: put back into its place, it
    /// would arrive after what was written later, and its business has been told that it failed.
    /// With --resend it is therefore accepted anew, as the conversation's next message: with an id
    /// of its own, counted in the running month, and in the order in which they were written where
    /// there are several. Doing that twice makes no second message for a day. Without --resend,
    /// copies of messages stay where they are.
    Redrive(Redrive),
    /// Remove what has been dealt with, for good: that ends the alarm
    ///
    /// No message changes by that. One that was given up stays `failed`, and the API tells why;
    /// only its copy is gone, and with it `redrive --resend`. What a doorbell would have rung for, the
    /// sweeper rings for each minute.
    Discard(Meant),
}

#[derive(Debug, Args)]
pub(crate) struct Letters {
    /// chat, whatsapp or email; without it, all of them
    #[arg(long, value_name = "CHANNEL", value_parser = channel)]
    channel: Option<Channel>,
    /// So many letters of a channel, at most 100000: SQS has not many more in hand at once
    #[arg(long, value_name = "N", default_value = "10000", value_parser = letters)]
    pub(crate) most: usize,
}

impl Letters {
    /// The channels that are meant.
    pub(crate) fn channels(&self) -> impl Iterator<Item = Channel> {
        let only = self.channel;
        Channel::ALL.into_iter().filter(move |one| only.is_none_or(|only| only == *one))
    }
}

#[derive(Debug, Args)]
pub(crate) struct Redrive {
    #[command(flatten)]
    pub(crate) which: Meant,
    /// Accept messages that were given up anew, as the last of their conversations
    #[arg(long)]
    pub(crate) resend: bool,
}

/// Letters with which something is done.
#[derive(Debug, Args)]
pub(crate) struct Meant {
    #[command(flatten)]
    pub(crate) of: Letters,
    /// Of this conversation alone
    #[arg(long, value_name = "ID")]
    pub(crate) conversation: Option<ConversationId>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// 120,000 may be [in
/// flight](https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html).
fn letters(text: &str) -> Result<usize, String> {
    let count = text.parse().ok().filter(|count| (1..=100_000).contains(count));
    count.ok_or_else(|| "1 to 100000 letters".to_owned())
}
