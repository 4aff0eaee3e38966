//! The actions of a widget.

use std::fmt;

use serde::Deserialize;

use domain::MessageId;
use platform::api;

/// An action of a widget.
#[derive(PartialEq, Eq, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum WidgetAction {
    /// Begins, and asks for the messages after a `seq`. A newer token for the same conversation
    /// makes the connection last longer.
    Hello {
        /// The visitor's token, if it did not come with the handshake.
        token: Option<String>,
        /// The last `seq` that the widget has; 0 for none.
        #[serde(default)]
        after: u64,
    },
    /// Reports a message as delivered.
    Ack {
        /// The message.
        id: MessageId,
    },
    /// Reports a message as read.
    Read {
        /// The message.
        id: MessageId,
    },
    /// Asks for what may have been missed after a `seq`.
    Resume {
        /// The last `seq` that the widget has.
        after: u64,
    },
    /// Asks for the page of messages before a `seq`.
    History {
        /// The first `seq` that the widget has.
        before: u64,
    },
    /// Writes a message.
    Message {
        /// The widget's own name for it: the same name makes one message.
        client_id: String,
        /// The text.
        content: String,
    },
    /// Asks for the newest of the visitor's own messages in a range of numbers.
    CustomerMessages {
        /// Only those after this number.
        #[serde(default)]
        after: u64,
        /// Only those before this number, if there is one.
        #[serde(default)]
        before: Option<u64>,
    },
    /// Asks for a pong. (Braces, because serde lets everything into a variant without fields.)
    Ping {},
}

impl fmt::Debug for WidgetAction {
    /// The action without the token and the text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WidgetAction::Hello { after, .. } => write!(f, "Hello(after {after})"),
            WidgetAction::Ack { id } => write!(f, "Ack({id})"),
            WidgetAction::Read { id } => write!(f, "Read({id})"),
            WidgetAction::Resume { after } => write!(f, "Resume(after {after})"),
            WidgetAction::History { before } => write!(f, "History(before {before})"),
            WidgetAction::Message { content, .. } => write!(f, "Message({} bytes)", content.len()),
            WidgetAction::CustomerMessages { after, before } => {
                write!(f, "CustomerMessages(after {after}, before {before:?})")
            }
            WidgetAction::Ping {} => f.write_str("Ping"),
        }
    }
}

/// Reads a frame of a widget; it may begin with a byte order mark, as any JSON may.
///
/// # Errors
/// If it is no JSON, or no action.
pub fn parse(text: &str) -> serde_json::Result<WidgetAction> {
    serde_json::from_slice(api::without_bom(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widgets_are_understood_strictly() {
        let said = |text| parse(text).ok();
        assert_eq!(said(r#"{"action":"ping"}"#), Some(WidgetAction::Ping {}));
        assert_eq!(said("\u{feff}{\"action\":\"ping\"}"), Some(WidgetAction::Ping {}));
        assert_eq!(said(r#"{"action":"ping","at":1}"#), None);
        let hello =
            |token: Option<&str>| WidgetAction::Hello { token: token.map(Into::into), after: 0 };
        assert_eq!(said(r#"{"action":"hello","token":"t"}"#), Some(hello(Some("t"))));
        assert_eq!(said(r#"{"action":"hello"}"#), Some(hello(None)));
        assert_eq!(said(r#"{"action":"hello","token":"t","afer":3}"#), None);
        assert_eq!(
            said(r#"{"action":"resume","after":3}"#),
            Some(WidgetAction::Resume { after: 3 })
        );
        assert_eq!(said(r#"{"action":"resume"}"#), None);
        assert_eq!(
            said(r#"{"action":"history","before":3}"#),
            Some(WidgetAction::History { before: 3 })
        );
        assert_eq!(said(r#"{"action":"history"}"#), None);
        assert_eq!(said(r#"{"action":"ack","id":"x"}"#), None);

        let message = WidgetAction::Message { client_id: "1".into(), content: "Hi".into() };
        assert_eq!(said(r#"{"action":"message","client_id":"1","content":"Hi"}"#), Some(message));
        for malformed in [
            r#"{"action":"message","content":"Hi"}"#,
            r#"{"action":"message","client_id":"1"}"#,
            r#"{"action":"message","client_id":1,"content":"Hi"}"#,
            r#"{"action":"message","client_id":"1","content":"Hi","attachments":[]}"#,
        ] {
            assert_eq!(said(malformed), None, "{malformed}");
        }
        let newest = WidgetAction::CustomerMessages { after: 0, before: None };
        assert_eq!(said(r#"{"action":"customer_messages"}"#), Some(newest));
        let older = WidgetAction::CustomerMessages { after: 3, before: Some(9) };
        assert_eq!(said(r#"{"action":"customer_messages","after":3,"before":9}"#), Some(older));
    }
}
