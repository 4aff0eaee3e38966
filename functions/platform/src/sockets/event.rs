//! The events that the widget gets, and how they fit into one message of the WebSocket.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::table::record::{CustomerMessage, Message};
use domain::delivery::Status;
use domain::message::MessageView;
use domain::widget::{MAX_MESSAGE_CHARACTERS, MessageRefusal, WidgetRefusal};
use domain::{ConversationId, MessageId};

/// The most bytes that API Gateway takes in one message; it cuts it into frames of 32 KB
/// ([quotas](https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html)).
pub const MAX_EVENT_BYTES: usize = 128 * 1024;

/// An event for the widget.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event<'a> {
    /// The token is valid, and this is its conversation.
    Hello {
        /// The conversation.
        conversation_id: ConversationId,
    },
    /// An agent wrote. A widget ignores an id that it has shown before.
    NewMessage(PlacedMessage<'a>),
    /// Several messages of a page, in its order.
    NewMessages {
        /// Those that fit, each as of a [`Event::NewMessage`].
        messages: Vec<PlacedMessage<'a>>,
    },
    /// An agent wrote a message that does not fit: the widget fetches it by its id.
    LargeMessage {
        /// The message's place in the conversation.
        seq: u64,
        /// The message's id.
        id: MessageId,
        /// As of a [`Event::NewMessage`].
        #[serde(skip_serializing_if = "Option::is_none")]
        status: Option<Status>,
    },
    /// More was missed than a page: what was sent up to `after` comes when it is asked for, and the
    /// messages that follow begin after it.
    Page {
        /// The message before the page.
        after: u64,
    },
    /// The page that was asked for was sent on this connection: every message between the two.
    History {
        /// The message after the page.
        before: u64,
        /// The message before the page; 0 if there is none.
        after: u64,
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
    /// The visitor wrote, in this tab or another one.
    CustomerMessage {
        /// The message's number among the visitor's own.
        number: u64,
        /// The name that this widget gave it; only in the answer to the one that wrote it.
        #[serde(skip_serializing_if = "Option::is_none")]
        client_id: Option<&'a str>,
        /// The message, as the public API shows it.
        message: MessageView<'a>,
    },
    /// The answer to a question for the visitor's own messages.
    CustomerMessages {
        /// Those that fit, oldest first.
        messages: Vec<NumberedMessage<'a>>,
        /// All that were asked for and have a number above this one are there.
        after: u64,
    },
    /// A message of the visitor's was not stored.
    #[serde(rename = "error")]
    MessageRefused {
        /// The reason, for programs.
        code: &'static str,
        /// The reason, for people.
        detail: &'a str,
        /// The name that the widget gave the message.
        client_id: &'a str,
        /// The member that is at fault.
        #[serde(skip_serializing_if = "Option::is_none")]
        field: Option<&'static str>,
        /// The limit that was passed.
        #[serde(skip_serializing_if = "Option::is_none")]
        limit: Option<u64>,
        /// In how many seconds the widget may send it again.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
    },
    /// The answer to a ping.
    Pong,
    /// The action was not understood or is not allowed.
    Error {
        /// The reason, for programs.
        code: &'static str,
        /// The reason, for people.
        detail: &'a str,
        /// In how many seconds the widget may come back.
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
    },
}

/// An agent's message at its place in the conversation.
#[derive(Serialize)]
pub struct PlacedMessage<'a> {
    /// The message's place in the conversation.
    pub seq: u64,
    /// How far its receipts have brought it: `delivered` or `read`; `None` before the first. A
    /// widget has nothing to report that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// The message, as the public API shows it.
    pub message: MessageView<'a>,
}

/// One of several messages of the visitor's.
#[derive(Serialize)]
pub struct NumberedMessage<'a> {
    /// Its number among the visitor's own.
    pub number: u64,
    /// The message, as the public API shows it.
    pub message: MessageView<'a>,
}

/// An event as it is sent: JSON, of at most [`MAX_EVENT_BYTES`] bytes.
#[derive(Clone, PartialEq, Eq)]
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

    /// Serializes the reason why a widget is refused.
    #[must_use]
    pub fn refusal(refusal: WidgetRefusal, now: DateTime<Utc>) -> Payload {
        Payload::of(&Event::Error {
            code: refusal.code(),
            detail: &refusal.to_string(),
            retry_after: refusal.retry_after(now),
        })
    }

    /// Serializes a message that the visitor wrote; `client_id` is the name that the widget which
    /// is told gave it.
    ///
    /// It fits: what a visitor writes is short.
    #[must_use]
    pub fn customer_message(
        message: &CustomerMessage,
        conversation_id: ConversationId,
        client_id: Option<&str>,
    ) -> Payload {
        let number = message.number.0;
        let view = shortened(message, conversation_id);
        Payload::of(&Event::CustomerMessage { number, client_id, message: view })
    }

    /// Serializes as many of the visitor's messages, the newest of which is first, as fit into one
    /// event. `after` is what was asked for, and `has_more` says that there is more behind them.
    #[must_use]
    pub fn customer_messages(
        newest_first: &[CustomerMessage],
        conversation_id: ConversationId,
        after: u64,
        has_more: bool,
    ) -> Payload {
        let frame = Payload::of(&Event::CustomerMessages { messages: vec![], after: u64::MAX });
        let mut bytes = frame.0.len();
        let mut messages = Vec::new();
        let mut fitting = 0;
        for message in newest_first {
            let number = message.number.0;
            let view = NumberedMessage { number, message: shortened(message, conversation_id) };
            bytes += serde_json::to_vec(&view).expect("views are plain data").len() + 1;
            if bytes > MAX_EVENT_BYTES {
                break;
            }
            fitting += 1;
            // One that was erased shows nothing, nor does a file that came by WhatsApp.
            if !message.content.is_empty() {
                messages.push(view);
            }
        }

        let after = match newest_first[..fitting].last() {
            Some(oldest) if has_more || fitting < newest_first.len() => oldest.number.0 - 1,
            _ => after,
        };
        messages.reverse();
        Payload::of(&Event::CustomerMessages { messages, after })
    }

    /// Serializes the reason why a visitor's message is refused.
    #[must_use]
    pub fn message_refusal(
        refusal: MessageRefusal,
        client_id: &str,
        now: DateTime<Utc>,
    ) -> Payload {
        Payload::of(&Event::MessageRefused {
            code: refusal.code(),
            detail: &refusal.to_string(),
            client_id,
            field: refusal.field(),
            limit: refusal.limit(),
            retry_after: refusal.retry_after(now),
        })
    }

    /// Serializes a message, with links to its files at `origin`: whole if it fits, else by its id.
    ///
    /// A chat's text nearly always fits: 20,000 characters are 120,000 bytes if each has to be
    /// escaped. A message that does not fit was written while the conversation was on another
    /// channel, or has ten attachments with long names under a long host name.
    #[must_use]
    pub fn message(message: &Message, conversation_id: ConversationId, origin: &str) -> Payload {
        let placed = PlacedMessage::new(message, conversation_id, origin);
        let (seq, status) = (placed.seq, placed.status);
        let whole = Payload::of(&Event::NewMessage(placed));
        if whole.0.len() <= MAX_EVENT_BYTES {
            whole
        } else {
            Payload::of(&Event::LargeMessage { seq, id: message.id, status })
        }
    }

    /// Serializes the messages of a page in their order, as many in an event as fit, because each
    /// event is a call to API Gateway. A message that has an event for itself stands there as of
    /// [`Payload::message`].
    #[must_use]
    pub fn page<'a>(
        messages: impl Iterator<Item = &'a Message>,
        conversation_id: ConversationId,
        origin: &str,
    ) -> Vec<Payload> {
        let frame = Payload::of(&Event::NewMessages { messages: Vec::new() }).0.len();
        let mut events: Vec<Vec<&Message>> = Vec::new();
        let mut bytes = 0;
        for message in messages {
            let placed = PlacedMessage::new(message, conversation_id, origin);
            let length = serde_json::to_vec(&placed).expect("views are plain data").len() + 1;
            bytes += length;
            match events.last_mut() {
                Some(event) if bytes <= MAX_EVENT_BYTES => event.push(message),
                Some(_) | None => {
                    bytes = frame + length;
                    events.push(vec![message]);
                }
            }
        }

        let payload_of = |event: Vec<&Message>| match event[..] {
            [alone] => Payload::message(alone, conversation_id, origin),
            _ => {
                let placed =
                    event.into_iter().map(|one| PlacedMessage::new(one, conversation_id, origin));
                Payload::of(&Event::NewMessages { messages: placed.collect() })
            }
        };
        events.into_iter().map(payload_of).collect()
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<'a> PlacedMessage<'a> {
    fn new(
        message: &'a Message,
        conversation_id: ConversationId,
        origin: &'a str,
    ) -> PlacedMessage<'a> {
        let status = Some(message.status)
            .filter(|status| matches!(status, Status::Delivered | Status::Read));
        let view = message.view(conversation_id, origin);
        PlacedMessage { seq: message.seq.0, status, message: view }
    }
}

/// A visitor's message as widgets get it. One that is longer than a visitor may write came on
/// another channel, before the conversation was moved here, and is cut.
fn shortened(message: &CustomerMessage, conversation_id: ConversationId) -> MessageView<'_> {
    let view = message.view(conversation_id);
    let end = view.content.char_indices().nth(MAX_MESSAGE_CHARACTERS);
    let content = end.map_or(view.content, |(end, _)| &view.content[..end]);
    MessageView { content, ..view }
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
    fn a_page_comes_in_as_few_events_as_hold_it_and_in_its_order() {
        const HALF: usize = MAX_EVENT_BYTES / 2;
        const THIRD: usize = MAX_EVENT_BYTES / 3;

        let events_of = |lengths: &[usize]| -> Vec<(Value, Vec<u64>)> {
            let page: Vec<Message> = (1..)
                .zip(lengths)
                .map(|(seq, length)| Message { seq: Seq(seq), ..message("x".repeat(*length)) })
                .collect();
            let origin = "https://api.example.com";
            let payloads = Payload::page(page.iter(), ConversationId(Uuid::from_u128(2)), origin);
            payloads
                .iter()
                .map(|payload| {
                    assert!(payload.0.len() <= MAX_EVENT_BYTES);
                    let event: Value = serde_json::from_slice(&payload.0).expect("JSON");
                    let several = event["messages"].as_array();
                    let places = several.map_or(std::slice::from_ref(&event), Vec::as_slice).iter();
                    let places = places.map(|one| one["seq"].as_u64().expect("a place")).collect();
                    (event["type"].clone(), places)
                })
                .collect()
        };

        assert_eq!(events_of(&[]), []);
        assert_eq!(events_of(&[2]), [(json!("new_message"), vec![1])]);
        assert_eq!(events_of(&[2; 50]), [(json!("new_messages"), (1..=50).collect())]);
        assert_eq!(
            events_of(&[2, MAX_EVENT_BYTES, 2, 2]),
            [
                (json!("new_message"), vec![1]),
                (json!("large_message"), vec![2]),
                (json!("new_messages"), vec![3, 4]),
            ]
        );
        assert_eq!(
            events_of(&[THIRD - 400, THIRD - 400, THIRD - 400, HALF, HALF]),
            [
                (json!("new_messages"), vec![1, 2, 3]),
                (json!("new_message"), vec![4]),
                (json!("new_message"), vec![5]),
            ]
        );
    }

    #[test]
    fn what_fills_an_event_to_its_last_byte_is_in_it_and_one_byte_more_is_in_the_next() {
        let (conversation_id, origin) = (ConversationId(Uuid::from_u128(2)), "https://a.example");
        let sizes = |length: usize| -> Vec<usize> {
            let page = [message("x".into()), message("x".repeat(length))];
            let payloads = Payload::page(page.iter(), conversation_id, origin);
            payloads.iter().map(|payload| payload.0.len()).collect()
        };
        let with_two_bytes = sizes(2)[0];
        // The comma behind the last message is counted, and not there.
        let filling = MAX_EVENT_BYTES - 1 - (with_two_bytes - 2);
        assert_eq!(sizes(filling), [MAX_EVENT_BYTES - 1]);
        assert_eq!(sizes(filling + 1).len(), 2);
    }

    fn written_by_the_visitor(number: u64, content: &str) -> CustomerMessage {
        let created_at = "2026-03-01T09:05:00Z".parse().expect("a time");
        let number = domain::CustomerNumber(number);
        CustomerMessage {
            id: MessageId::of_customer(created_at, number, 7),
            number,
            content: content.into(),
            media: None,
            created_at,
            expires_at: None,
        }
    }

    #[test]
    fn a_page_of_the_visitors_messages_fits_into_one_event_and_says_how_far_it_goes() {
        let conversation_id = ConversationId(Uuid::from_u128(2));
        let page = |messages: &[CustomerMessage], has_more| {
            let payload = Payload::customer_messages(messages, conversation_id, 3, has_more);
            assert!(payload.0.len() <= MAX_EVENT_BYTES);
            let event: Value = serde_json::from_slice(&payload.0).expect("JSON");
            let numbers = event["messages"].as_array().expect("a list").iter();
            let numbers: Vec<u64> = numbers.filter_map(|one| one["number"].as_u64()).collect();
            (numbers, event["after"].as_u64().expect("a number"))
        };

        let short: Vec<_> = (4..=9).rev().map(|n| written_by_the_visitor(n, "Hi")).collect();
        assert_eq!(page(&short, false), (vec![4, 5, 6, 7, 8, 9], 3));
        assert_eq!(page(&short[..2], true), (vec![8, 9], 7));
        assert_eq!(page(&[], false), (vec![], 3));

        for character in ["\"", "\u{1F600}", "\u{1}"] {
            let longest = character.repeat(9 * MAX_MESSAGE_CHARACTERS);
            let long: Vec<_> =
                (4..=20).rev().map(|n| written_by_the_visitor(n, &longest)).collect();
            let (numbers, after) = page(&long, false);
            assert!(!numbers.is_empty() && after == numbers[0] - 1, "{character:?}: {after}");
        }

        let erased = [written_by_the_visitor(5, ""), written_by_the_visitor(4, "Hi")];
        assert_eq!(page(&erased, false), (vec![4], 3));
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
        assert_eq!(written(Event::Page { after: 7 }), json!({"type": "page", "after": 7}));
        let history = written(Event::History { before: 8, after: 3 });
        assert_eq!(history, json!({"type": "history", "before": 8, "after": 3}));
        assert_eq!(written(Event::Pong), json!({"type": "pong"}));
        let error = Event::Error { code: "unauthorized", detail: "why", retry_after: None };

        assert_eq!(
            written(error),
            json!({"type": "error", "code": "unauthorized", "detail": "why"})
        );

        let own = written_by_the_visitor(7, "Hi");
        let event = Payload::customer_message(&own, conversation_id, Some("c-1"));
        let event: Value = serde_json::from_slice(&event.0).expect("JSON");
        let told = (&event["type"], &event["number"], &event["client_id"]);
        assert_eq!(told, (&json!("customer_message"), &json!(7), &json!("c-1")));
        assert_eq!(event["message"]["sender_type"], json!("customer"));

        let refused = MessageRefusal::TooLong(9_000);
        let event = Payload::message_refusal(refused, "c-1", DateTime::UNIX_EPOCH);
        let event: Value = serde_json::from_slice(&event.0).expect("JSON");
        assert_eq!(
            event,
            json!({"type": "error", "code": "content_too_long", "detail": refused.to_string(),
                "client_id": "c-1", "field": "content", "limit": MAX_MESSAGE_CHARACTERS})
        );

        let (_, event) = event_of("Hi".into());
        assert_eq!((&event["seq"], &event["message"]["content"]), (&json!(7), &json!("Hi")));
        assert_eq!(event["message"]["sender_type"], json!(SenderType::Agent));

        assert_eq!(message("Hi".into()).seq, Seq(7));
    }
}
