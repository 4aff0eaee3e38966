//! One channel's provider, as far as all three are alike: what it accepted, and how it fails.

use std::io;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::clock::Clock;
use super::fault::Faults;
use super::journal::Journal;
use super::parts::{Got, together};

/// One message as its customer has it, the way `GET /sandbox/{channel}/messages` answers it.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct Accepted {
    /// Ours; null if the call carried no reference to one of our messages.
    pub message_id: Option<Uuid>,
    /// Ours; null as above.
    pub conversation_id: Option<Uuid>,
    /// Phone number, mail address, or `visitor` for the chat widget.
    pub to: String,
    /// The text.
    pub content: String,
    /// What came with it, as the channel words it.
    pub attachments: Vec<Value>,
    /// Of a mail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Of a mail, as its reader's program gets them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<Header>,
    /// Of WhatsApp, if it went as a template: its name and language, and what the customer reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<Value>,
    /// Of a message that its provider takes in parts, which of them have come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Got>,
    /// When the provider took it, by the moved clock.
    pub at: DateTime<Utc>,
}

/// One header of a mail.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct Header {
    /// Its name, as it was written.
    pub name: String,
    /// Its value, on one line.
    pub value: String,
}

/// What the journal keeps of a message.
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Entry {
    #[serde(flatten)]
    accepted: Accepted,
    /// The message's place in its conversation, where the channel tells the customer (chat).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    /// What the provider's receipts need to know of it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    taken: Value,
}

/// A message that a provider is about to accept.
#[derive(Debug, Clone, Default)]
pub(super) struct Delivered {
    pub(super) message_id: Option<Uuid>,
    pub(super) conversation_id: Option<Uuid>,
    pub(super) to: String,
    pub(super) content: String,
    pub(super) attachments: Vec<Value>,
    pub(super) subject: Option<String>,
    pub(super) headers: Vec<Header>,
    pub(super) template: Option<Value>,
    pub(super) part: Option<Got>,
    pub(super) seq: Option<u64>,
    pub(super) taken: Value,
}

/// A channel's provider.
#[derive(Debug)]
pub struct Channel {
    /// How it fails on demand.
    pub faults: Faults,
    journal: Journal<Entry>,
    clock: Arc<Clock>,
}

impl Channel {
    /// A provider that remembers what it accepted in `{name}.jsonl` of the directory, or in memory
    /// without one.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub(super) fn open(
        name: &str,
        directory: Option<&Path>,
        clock: Arc<Clock>,
    ) -> io::Result<Self> {
        let journal = Journal::in_directory(directory, &format!("{name}.jsonl"))?;
        Ok(Self { faults: Faults::default(), journal, clock })
    }

    /// Takes a message. When this returns it is on disk.
    ///
    /// # Errors
    /// The disk did not take it: then nobody may be told that it was accepted.
    pub(super) async fn accept(&self, message: Delivered) -> io::Result<()> {
        let at = self.clock.now();
        let accepted = Accepted {
            message_id: message.message_id,
            conversation_id: message.conversation_id,
            to: message.to,
            content: message.content,
            attachments: message.attachments,
            subject: message.subject,
            headers: message.headers,
            template: message.template,
            parts: message.part,
            at,
        };
        self.journal.append(Entry { accepted, seq: message.seq, taken: message.taken }).await
    }

    /// Everything it accepted, oldest first; what came in parts, as one.
    pub fn accepted(&self) -> Vec<Accepted> {
        together(self.journal.entries().into_iter().map(|entry| entry.accepted))
    }

    /// What its receipts need to know of everything it accepted, oldest first.
    pub(super) fn taken<T: DeserializeOwned>(&self) -> impl Iterator<Item = T> {
        let taken = self.journal.entries().into_iter().map(|entry| entry.taken);
        taken.filter_map(|taken| serde_json::from_value(taken).ok())
    }

    /// The messages that one conversation's customer has, with their place in it.
    pub(super) fn seen_by(&self, conversation: Uuid) -> Vec<(Uuid, u64)> {
        let of_it = |entry: &Entry| entry.accepted.conversation_id == Some(conversation);
        let entries = self.journal.entries().into_iter().filter(of_it);
        entries
            .filter_map(|entry| Some((entry.accepted.message_id?, entry.seq.unwrap_or(0))))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_message_is_answered_in_the_documented_shape_and_nothing_more() {
        let clock = Arc::new(Clock::default());
        clock.move_to("2031-03-01T09:05:00Z".parse().unwrap());
        let channel = Channel::open("chat", None, clock).unwrap();
        let (message, conversation) = (Uuid::new_v4(), Uuid::new_v4());
        let delivered = Delivered {
            message_id: Some(message),
            conversation_id: Some(conversation),
            to: "visitor".into(),
            content: "Hi".into(),
            seq: Some(1),
            ..Delivered::default()
        };
        channel.accept(delivered).await.unwrap();
        let answer = serde_json::to_value(channel.accepted()).unwrap();
        let at = answer[0]["at"].as_str().unwrap();
        assert!(at.starts_with("2031-03-01T09:0") && at.ends_with('Z'), "{at}");
        assert_eq!(
            answer,
            serde_json::json!([{ "message_id": message, "conversation_id": conversation, "to": "visitor",
                "content": "Hi", "attachments": [], "at": at }])
        );
        assert_eq!(channel.seen_by(conversation), [(message, 1)]);
    }
}
