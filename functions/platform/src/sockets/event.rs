//! The events that the widget gets, and how they fit into one message of the WebSocket.

use serde::Serialize;

use crate::table::record::Message;
use domain::message::MessageView;
use domain::{ConversationId, MessageId};

/// The most bytes that API Gateway takes in one message; it cuts it into frames of 32 KB
/// ([quotas](https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html)).
pub const MAX_EVENT_BYTES: usize = 128 * 1024;

/// An event for the widget.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event<'a> {
    /// The token is valid, and this is its conversation.
    Hello {
        /// The conversation.
        conversation_id: ConversationId,
    },
    /// An agent wrote. A widget ignores an id that it has shown before.
    NewMessage {
        /// The message's place in the conversation.
        seq: u64,
        /// The message, as the public API shows it.
        message: MessageView<'a>,
    },
    /// An agent wrote a message that does not fit: the widget fetches it by its id.
    LargeMessage {
        /// The message's place in the conversation.
        seq: u64,
        /// The message's id.
        id: MessageId,
    },
    /// All messages up to `seq` were sent on this connection, or never will be.
    CaughtUp {
        /// The last place that is complete.
        seq: u64,
        /// The next message, if a worker may have been handing it over to other tabs when this
        /// widget was listed: it comes, or the widget gets it by asking again in a moment.
        #[serde(skip_serializing_if = "Option::is_none")]
        pending: Option<u64>,
    },
    /// The answer to a ping.
    Pong,
    /// The action was not understood or is not allowed.
    Error {
        /// The reason, for programs.
        code: &'static str,
        /// The reason, for people.
        detail: &'a str,
    },
}

/// An event as it is sent: JSON, of at most [`MAX_EVENT_BYTES`] bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload(Vec<u8>);

impl Payload {
    /// Serializes any event but a message.
    ///
    /// # Panics
    /// Never: events are plain data.
    #[must_use]
    pub fn of(event: &Event<'_>) -> Payload {
        Payload(serde_json::to_vec(event).expect("events are plain data"))
    }

    /// Serializes a message, with links to its files at `origin`: whole if it fits, else by its id.
    ///
    /// A chat's text nearly always fits: 20,000 characters are 120,000 bytes if each has to be
    /// escaped. A message that does not fit was written while the conversation was on another
    /// channel, or has ten attachments with long names under a long host name.
    #[must_use]
    pub fn message(message: &Message, conversation_id: ConversationId, origin: &str) -> Payload {
        let seq = message.seq.0;
        let message_view = message.view(conversation_id, origin);
        let whole = Payload::of(&Event::NewMessage { seq, message: message_view });
        if whole.0.len() <= MAX_EVENT_BYTES {
            whole
        } else {
            Payload::of(&Event::LargeMessage { seq, id: message.id })
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;
    use domain::channel::Channel;
    use domain::message::SenderType;
    use domain::{Month, Sender, Seq};

    fn message(content: String) -> Message {
        let created_at = "2026-03-01T09:05:00Z".parse().expect("a time");
        let id: MessageId = "01900000-0001-7abc-848d-17ffffffffff".parse().expect("a UUID");
        let plain = json!({"id": id, "seq": 7, "sender": Sender(None), "content": content, "attachments": [],
            "created_at": created_at, "month": Month::of(created_at), "shard": 0, "status": "queued", "attempts": 0});
        serde_json::from_value(plain).expect("a message's record")
    }

    fn event_of(content: String) -> (usize, Value) {
        let payload = Payload::message(
            &message(content),
            ConversationId(Uuid::from_u128(2)),
            "https://api.example.com",
        );
        (payload.0.len(), serde_json::from_slice(&payload.0).expect("JSON"))
    }

    #[test]
    fn what_just_fits_is_sent_whole_and_one_byte_more_is_to_be_fetched() {
        let (empty, _) = event_of(String::new());
        for (character, bytes) in [("x", 1), ("\u{1F600}", 4), ("\u{1}", 6)] {
            let filled =
                |length: usize| character.repeat(length / bytes) + &"x".repeat(length % bytes);
            let (length, event) = event_of(filled(MAX_EVENT_BYTES - empty));
            assert_eq!(
                (length, &event["type"]),
                (MAX_EVENT_BYTES, &json!("new_message")),
                "{character:?}"
            );
            let (length, event) = event_of(filled(MAX_EVENT_BYTES - empty + 1));
            let id = "01900000-0001-7abc-848d-17ffffffffff";
            assert_eq!(
                event,
                json!({"type": "large_message", "seq": 7, "id": id}),
                "{character:?}"
            );
            assert!(length < 200);
        }
    }

    #[test]
    fn the_longest_text_of_a_chat_fits_however_it_is_written() {
        let longest = Channel::Chat.limits().characters;
        for character in ["x", "é", "\"", "\u{1F600}", "\u{1}"] {
            assert_eq!(
                event_of(character.repeat(longest)).1["type"],
                "new_message",
                "{character:?}"
            );
        }
    }

    #[test]
    fn events_are_written_as_the_widget_reads_them() {
        let written =
            |event| serde_json::from_slice::<Value>(&Payload::of(&event).0).expect("JSON");
        let conversation_id = ConversationId(Uuid::from_u128(2));
        let hello =
            json!({"type": "hello", "conversation_id": "00000000-0000-0000-0000-000000000002"});

        assert_eq!(written(Event::Hello { conversation_id }), hello);
        let caught_up = |pending| written(Event::CaughtUp { seq: 3, pending });
        assert_eq!(caught_up(None), json!({"type": "caught_up", "seq": 3}));
        assert_eq!(caught_up(Some(4)), json!({"type": "caught_up", "seq": 3, "pending": 4}));
        assert_eq!(written(Event::Pong), json!({"type": "pong"}));
        let error = Event::Error { code: "unauthorized", detail: "why" };

        assert_eq!(
            written(error),
            json!({"type": "error", "code": "unauthorized", "detail": "why"})
        );

        let (_, event) = event_of("Hi".into());
        assert_eq!((&event["seq"], &event["message"]["content"]), (&json!(7), &json!("Hi")));
        assert_eq!(event["message"]["sender_type"], json!(SenderType::Agent));

        assert_eq!(message("Hi".into()).seq, Seq(7));
    }
}
