//! The chat widget's WebSocket: `hello` opens a conversation and brings what was missed, `ack` and
//! `read` are the customer's receipts, `resume` asks for what may have been missed since.
//!
//! ```text
//! widget → {"action":"hello","token":"…","after":0}      ← {"type":"hello","conversation_id":"…"}
//!                                                         ← {"type":"new_message","seq":1,"message":{…}}
//!                                                         ← {"type":"large_message","seq":2,"id":"…"}
//!                                                         ← {"type":"caught_up","seq":2}
//! widget → {"action":"ack","id":"…"}  {"action":"read","id":"…"}
//! widget → {"action":"resume","after":2}                  ← {"type":"caught_up","seq":2}
//! widget → {"action":"ping"}                              ← {"type":"pong"}
//! ```
//!
//! Events that a worker sends may overtake those of a replay: a client orders messages by `seq`,
//! and learns from `caught_up` which of them never come. `widget/widget.js` is such a client; it is
//! in this folder because it changes with the protocol.

mod replay;
mod widgets;

use std::time::Duration;

use aws_lambda_events::event::apigw::{ApiGatewayProxyResponse, ApiGatewayWebsocketProxyRequest};
use serde::Deserialize;
use tokio::time::Instant;

use domain::delivery::{MessageReference, Part, Receipt, ReportedStatus};
use domain::{Channel, MessageId, Seq};
use platform::api;
use platform::aws::Aws;
use platform::clock::Clock;
use platform::credential::visitor::{TokenError, Visitor};
use platform::error::InternalError;
use platform::origin::api_url_from_env;
use platform::queue::ChannelDoorbell;
use platform::receipts::Receipts;
use platform::runtime::{Error, EventFunction};
use platform::secrets::{Secrets, TokenKeys};
use platform::settings;
use platform::sockets::{Event, Sockets};
use platform::table::{Connection, Table};
use replay::{Replay, ReplayOutcome};
use widgets::Widgets;

/// The function.
#[derive(Debug)]
pub struct ChatSocket {
    table: Table,
    clock: Clock,
    keys: TokenKeys,
    widgets: Widgets,
    receipts: Receipts,
    doorbell: ChannelDoorbell,
    /// The address for links to files.
    api_url: String,
}

/// An action of a widget.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
enum WidgetAction {
    /// Opens a conversation, and asks for the messages after a `seq`.
    Hello {
        token: String,
        #[serde(default)]
        after: u64,
    },
    /// Reports a message as delivered.
    Ack { id: MessageId },
    /// Reports a message as read.
    Read { id: MessageId },
    /// Asks for what may have been missed after a `seq`.
    Resume { after: u64 },
    /// Asks for a pong. (Braces, because serde lets everything into a variant without fields.)
    Ping {},
}

impl EventFunction for ChatSocket {
    type Event = ApiGatewayWebsocketProxyRequest;
    type Answer = ApiGatewayProxyResponse;

    /// The longest time of one last call, and of our own answer if it fails: nothing is begun with
    /// less time left.
    const RESERVE: Duration = Duration::from_millis(6_500);

    /// Reads `TABLE_NAME`, `CHAT_QUEUE_URL`, `CHAT_ENDPOINT`, `VISITOR_KEYS_SECRET`, `API_URL` and
    /// what AWS clients need.
    fn from_env() -> Result<ChatSocket, Error> {
        let aws = Aws::from_env()?;
        Ok(ChatSocket {
            table: Table::from_env(&aws)?,
            clock: Clock::from_env()?,
            keys: TokenKeys::new(Secrets::new(&aws), settings::required("VISITOR_KEYS_SECRET")?),
            widgets: Widgets::new(Sockets::from_env(&aws)?),
            receipts: Receipts::from_env(&aws, Channel::Chat)?,
            doorbell: ChannelDoorbell::from_env(&aws, Channel::Chat)?,
            api_url: api_url_from_env()?,
        })
    }

    /// Handles one event of the socket. The widget is answered by an event of its own, because API
    /// Gateway does not pass this answer on; a failure it reports to the widget as its own error.
    async fn handle(
        &self,
        event: ApiGatewayWebsocketProxyRequest,
        until: Instant,
    ) -> Result<ApiGatewayProxyResponse, InternalError> {
        let context = event.request_context;
        let connection_id = context.connection_id.as_deref().unwrap_or_default();
        let text = event.body.as_deref().unwrap_or_default();

        match context.route_key.as_deref() {
            Some("$connect") => {}
            Some("$disconnect") => self.disconnect(connection_id).await?,
            _ => self.handle_action(connection_id, text, until).await?,
        }

        let mut response = ApiGatewayProxyResponse::default();
        response.status_code = 200;
        Ok(response)
    }
}

impl ChatSocket {
    async fn disconnect(&self, connection_id: &str) -> Result<(), InternalError> {
        match self.table.connection(connection_id).await? {
            Some(connection) => self.table.disconnect(&connection).await,
            None => Ok(()), // The widget never said hello.
        }
    }

    async fn handle_action(
        &self,
        connection_id: &str,
        text: &str,
        until: Instant,
    ) -> Result<(), InternalError> {
        match parse_action(text) {
            Ok(WidgetAction::Hello { token, after }) => {
                self.hello(connection_id, &token, Seq(after), until).await
            }
            Ok(WidgetAction::Ack { id }) => {
                self.receipt(connection_id, id, ReportedStatus::Delivered).await
            }
            Ok(WidgetAction::Read { id }) => {
                self.receipt(connection_id, id, ReportedStatus::Read).await
            }
            Ok(WidgetAction::Resume { after }) => {
                self.resume(connection_id, Seq(after), until).await
            }
            Ok(WidgetAction::Ping {}) => {
                self.widgets.send_event(connection_id, &Event::Pong).await;
                Ok(())
            }
            Err(error) => {
                let detail = format!("hello, ack, read, resume or ping was expected: {error}");
                let event = Event::Error { code: "not_understood", detail: &detail };
                self.widgets.send_event(connection_id, &event).await;
                Ok(())
            }
        }
    }

    async fn hello(
        &self,
        connection_id: &str,
        token: &str,
        after: Seq,
        until: Instant,
    ) -> Result<(), InternalError> {
        let now = self.clock.now();
        let key = self.keys.signing_key_for(token).await?;
        let verified = key.map_or(Err(TokenError::Invalid), |key| key.verify_visitor(token, now));
        let visitor = match verified {
            Ok(visitor) => visitor,
            Err(error) => {
                self.reject(connection_id, error).await;
                return Ok(());
            }
        };

        // The connection's owner is stored first, because the receipts of the replay must count.
        let Visitor { business_id, conversation_id } = visitor;
        let connected =
            self.table.connect(connection_id, business_id, conversation_id, now).await?;
        self.widgets.send_event(connection_id, &Event::Hello { conversation_id }).await;

        // Most of what was missed goes out before the widget is listed, so that hardly any worker
        // gets in between.
        let Some(replayed) = self.replay(connection_id, visitor, after, until).await? else {
            return Ok(());
        };

        self.table.list_connection(&connected).await?;
        self.catch_up(connection_id, visitor, replayed.last, until).await?;

        if self.table.make_due(business_id, conversation_id, now).await? {
            self.doorbell.ring(business_id, conversation_id).await;
        }

        Ok(())
    }

    async fn resume(
        &self,
        connection_id: &str,
        after: Seq,
        until: Instant,
    ) -> Result<(), InternalError> {
        let Some(owner) = self.owner(connection_id).await? else { return Ok(()) };
        let visitor =
            Visitor { business_id: owner.business_id, conversation_id: owner.conversation_id };
        self.catch_up(connection_id, visitor, after, until).await
    }

    async fn replay(
        &self,
        connection_id: &str,
        visitor: Visitor,
        after: Seq,
        until: Instant,
    ) -> Result<Option<ReplayOutcome>, InternalError> {
        let ChatSocket { table, widgets, clock, api_url, .. } = self;
        Replay { table, widgets, visitor, clock, api_url, until }.run(connection_id, after).await
    }

    async fn catch_up(
        &self,
        connection_id: &str,
        visitor: Visitor,
        after: Seq,
        until: Instant,
    ) -> Result<(), InternalError> {
        let replayed = self.replay(connection_id, visitor, after, until).await?;
        if let Some(ReplayOutcome { last, pending }) = replayed {
            let event = Event::CaughtUp { seq: last.0, pending: pending.map(|seq| seq.0) };
            self.widgets.send_event(connection_id, &event).await;
        }
        Ok(())
    }

    /// Sends the reason and closes the connection, over which nothing could be answered.
    async fn reject(&self, connection_id: &str, error: TokenError) {
        let (code, detail) = match error {
            TokenError::Expired => {
                ("token_expired", "the visitor token is over; come back with a new one")
            }
            TokenError::Invalid => ("unauthorized", "a valid visitor token is required"),
        };
        self.widgets.send_event(connection_id, &Event::Error { code, detail }).await;
        self.widgets.close(connection_id).await;
    }

    /// Returns the connection's record. A widget that never said hello gets an error event instead.
    async fn owner(&self, connection_id: &str) -> Result<Option<Connection>, InternalError> {
        let owner = self.table.connection(connection_id).await?;
        if owner.is_none() {
            let event = Event::Error { code: "hello_first", detail: "say hello first" };
            self.widgets.send_event(connection_id, &event).await;
        }
        Ok(owner)
    }

    async fn receipt(
        &self,
        connection_id: &str,
        message_id: MessageId,
        reported: ReportedStatus,
    ) -> Result<(), InternalError> {
        let Some(owner) = self.owner(connection_id).await? else { return Ok(()) };
        let about = MessageReference {
            business_id: owner.business_id,
            conversation_id: owner.conversation_id,
            message_id,
        };
        let receipt =
            Receipt { reported, part: Part::WHOLE, at: self.clock.now(), provider_id: None };
        self.receipts.apply(&about, &receipt).await
    }
}

/// Reads a frame of a widget; it may begin with a byte order mark, as any JSON may.
fn parse_action(text: &str) -> serde_json::Result<WidgetAction> {
    serde_json::from_slice(api::without_bom(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widgets_are_understood_strictly() {
        let said = |text| parse_action(text).ok();
        assert_eq!(said(r#"{"action":"ping"}"#), Some(WidgetAction::Ping {}));
        assert_eq!(said("\u{feff}{\"action\":\"ping\"}"), Some(WidgetAction::Ping {}));
        assert_eq!(said(r#"{"action":"ping","at":1}"#), None);
        let hello = WidgetAction::Hello { token: "t".into(), after: 0 };
        assert_eq!(said(r#"{"action":"hello","token":"t"}"#), Some(hello));
        assert_eq!(said(r#"{"action":"hello","token":"t","afer":3}"#), None);
        assert_eq!(
            said(r#"{"action":"resume","after":3}"#),
            Some(WidgetAction::Resume { after: 3 })
        );
        assert_eq!(said(r#"{"action":"resume"}"#), None);
        assert_eq!(said(r#"{"action":"ack","id":"x"}"#), None);
    }
}
