//! The common part of all three providers: the messages they accepted, and the fault in force.

use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::accepted::{CustomerMessage, Header, ReceivedParts};
use crate::clock::Clock;
use crate::fault::Faults;
use crate::journal::Journal;
use crate::parts::join_parts;

/// A message in the journal.
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Entry {
    #[serde(flatten)]
    accepted: CustomerMessage,
    /// The message's place in its conversation, on a channel that tells the customer (chat).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seq: Option<u64>,
    /// The provider's own record, which its receipts are made of.
    #[serde(default, skip_serializing_if = "Value::is_null", rename = "taken")]
    record: Value,
}

/// A message as a call submits it to a provider.
#[derive(Debug, Clone, Default)]
pub(super) struct Submission {
    pub(super) message_id: Option<Uuid>,
    pub(super) conversation_id: Option<Uuid>,
    pub(super) to: String,
    pub(super) content: String,
    pub(super) attachments: Vec<Value>,
    pub(super) subject: Option<String>,
    pub(super) headers: Vec<Header>,
    pub(super) template: Option<Value>,
    pub(super) part: Option<ReceivedParts>,
    pub(super) seq: Option<u64>,
    pub(super) record: Value,
}

/// A channel's provider.
#[derive(Debug)]
pub(crate) struct Channel {
    /// The fault in force.
    pub(crate) faults: Faults,
    journal: Journal<Entry>,
    clock: Arc<Clock>,
}

impl Channel {
    /// Opens a provider that keeps what it accepts in `{name}.jsonl` of the directory, or in memory
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

    /// Accepts a message. When this returns it is on disk.
    ///
    /// # Errors
    /// It could not be written: then the provider must not say that it accepted it.
    pub(super) async fn accept(&self, message: Submission) -> io::Result<()> {
        let at = self.clock.now();
        let accepted = CustomerMessage {
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

        self.journal.append(Entry { accepted, seq: message.seq, record: message.record }).await
    }

    /// Returns everything it accepted, oldest first; what came in parts, as one.
    pub(crate) fn accepted(&self) -> Vec<CustomerMessage> {
        join_parts(self.journal.entries().into_iter().map(|entry| entry.accepted))
    }

    /// Returns the provider's records of everything it accepted, oldest first.
    pub(super) fn records<T: DeserializeOwned>(&self) -> impl Iterator<Item = T> {
        let records = self.journal.entries().into_iter().map(|entry| entry.record);
        records.filter_map(|record| serde_json::from_value(record).ok())
    }

    /// Returns the messages that one conversation's customer has, with their place in it.
    pub(super) fn seen_by(&self, conversation_id: Uuid) -> Vec<(Uuid, u64)> {
        let of_it = |entry: &Entry| entry.accepted.conversation_id == Some(conversation_id);
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
        let message = Uuid::new_v4();
        let conversation = Uuid::new_v4();
        let delivered = Submission {
            message_id: Some(message),
            conversation_id: Some(conversation),
            to: "visitor".into(),
            content: "Hi".into(),
            seq: Some(1),
            ..Submission::default()
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
