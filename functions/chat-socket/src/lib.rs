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
//! Events that a worker sends may overtake those of a replay: whoever shows messages orders them by
//! `seq`, and knows by `caught_up` which of them never come. `widget/widget.js` is such a one; it
//! lies here because it changes with the protocol.

mod replay;

use std::time::Duration;

use aws_lambda_events::event::apigw::{ApiGatewayProxyResponse, ApiGatewayWebsocketProxyRequest};
use serde::Deserialize;
use tokio::time::Instant;

use domain::delivery::{MessageReference, Part, Receipt, ReportedStatus};
use domain::{Channel, MessageId, Seq};
use platform::aws::Aws;
use platform::clock::Clock;
use platform::credential::visitor::{TokenError, Visitor};
use platform::error::InternalError;
use platform::queue::ChannelDoorbell;
use platform::receipts::Receipts;
use platform::runtime::{Error, EventFunction};
use platform::secrets::{Secrets, TokenKeys};
use platform::settings;
use platform::sockets::{Event, Payload, PostOutcome, Sockets};
use platform::table::{Connection, Table};
use replay::ReplayOutcome;

/// The function.
#[derive(Debug)]
pub struct ChatSocket {
    table: Table,
    clock: Clock,
    keys: TokenKeys,
    sockets: Sockets,
    receipts: Receipts,
    doorbell: ChannelDoorbell,
}

/// What a widget says.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
enum WidgetAction {
    /// "Show me this conversation, from after this message on."
    Hello {
        token: String,
        #[serde(default)]
        after: u64,
    },
    /// "It is here."
    Ack { id: MessageId },
    /// "It was seen."
    Read { id: MessageId },
    /// "Have I missed anything after this message?"
    Resume { after: u64 },
    /// "Are you there?" (Braces, because serde lets everything into a variant without fields.)
    Ping {},
}

impl EventFunction for ChatSocket {
    type Event = ApiGatewayWebsocketProxyRequest;
    type Answer = ApiGatewayProxyResponse;

    /// One last call may take this long: nothing is begun with less time left.
    const RESERVE: Duration = Duration::from_secs(6);

    /// Reads `TABLE_NAME`, `CHAT_QUEUE_URL`, `CHAT_ENDPOINT`, `VISITOR_KEYS_SECRET` and what AWS
    /// clients need.
    fn from_env() -> Result<ChatSocket, Error> {
        let aws = Aws::from_env()?;
        Ok(ChatSocket {
            table: Table::from_env(&aws)?,
            clock: Clock::from_env()?,
            keys: TokenKeys::new(Secrets::new(&aws), settings::required("VISITOR_KEYS_SECRET")?),
            sockets: Sockets::from_env(&aws)?,
            receipts: Receipts::from_env(&aws, Channel::Chat)?,
            doorbell: ChannelDoorbell::from_env(&aws, Channel::Chat)?,
        })
    }

    /// Answers one event of the socket. The widget hears of it by an event, never by this answer:
    /// API Gateway passes none on. A failure it reports to the widget as its own error.
    async fn handle(
        &self,
        event: ApiGatewayWebsocketProxyRequest,
        until: Instant,
    ) -> Result<ApiGatewayProxyResponse, InternalError> {
        let context = event.request_context;
        let connection = context.connection_id.as_deref().unwrap_or_default();
        let text = event.body.as_deref().unwrap_or_default();

        match context.route_key.as_deref() {
            Some("$connect") => {}
            Some("$disconnect") => self.disconnect(connection).await?,
            _ => self.handle_action(connection, text, until).await?,
        }

        let mut response = ApiGatewayProxyResponse::default();
        response.status_code = 200;
        Ok(response)
    }
}

impl ChatSocket {
    async fn disconnect(&self, connection: &str) -> Result<(), InternalError> {
        match self.table.connected(connection).await? {
            Some(gone) => self.table.disconnect(&gone).await,
            None => Ok(()), // It never said hello.
        }
    }

    async fn handle_action(
        &self,
        connection: &str,
        text: &str,
        until: Instant,
    ) -> Result<(), InternalError> {
        match serde_json::from_str(text) {
            Ok(WidgetAction::Hello { token, after }) => {
                self.hello(connection, &token, Seq(after), until).await
            }
            Ok(WidgetAction::Ack { id }) => {
                self.receipt(connection, id, ReportedStatus::Delivered).await
            }
            Ok(WidgetAction::Read { id }) => {
                self.receipt(connection, id, ReportedStatus::Read).await
            }
            Ok(WidgetAction::Resume { after }) => self.resume(connection, Seq(after), until).await,
            Ok(WidgetAction::Ping {}) => {
                self.send_event(connection, &Event::Pong).await;
                Ok(())
            }
            Err(error) => {
                let detail = format!("hello, ack, read, resume or ping was expected: {error}");
                self.send_event(
                    connection,
                    &Event::Error { code: "not_understood", detail: &detail },
                )
                .await;
                Ok(())
            }
        }
    }

    async fn hello(
        &self,
        connection: &str,
        token: &str,
        after: Seq,
        until: Instant,
    ) -> Result<(), InternalError> {
        let now = self.clock.now();
        let key = self.keys.signing_key_for(token).await?;
        let visitor =
            match key.map_or(Err(TokenError::Invalid), |key| key.verify_visitor(token, now)) {
                Ok(visitor) => visitor,
                Err(unfit) => {
                    self.reject(connection, unfit).await;
                    return Ok(());
                }
            };
        let Visitor { business, conversation } = visitor;
        // Whose it is comes first of all: the receipts of what is replayed must count.
        let connected = self.table.connect(connection, business, conversation, now).await?;
        self.send_event(connection, &Event::Hello { conversation_id: conversation }).await;
        // Most of what was missed goes out before the widget is listed, so that hardly any worker
        // gets in between.
        let Some(replayed) = self.replay(connection, visitor, after, until).await? else {
            return Ok(());
        };
        self.table.list(&connected).await?;
        self.catch_up(connection, visitor, replayed.last, until).await?;
        if self.table.make_due(business, conversation, now).await? {
            self.doorbell.ring(business, conversation).await;
        }
        Ok(())
    }

    async fn resume(
        &self,
        connection: &str,
        after: Seq,
        until: Instant,
    ) -> Result<(), InternalError> {
        match self.owner(connection).await? {
            Some(Connection { business, conversation, .. }) => {
                self.catch_up(connection, Visitor { business, conversation }, after, until).await
            }
            None => Ok(()),
        }
    }

    async fn catch_up(
        &self,
        connection: &str,
        visitor: Visitor,
        after: Seq,
        until: Instant,
    ) -> Result<(), InternalError> {
        if let Some(ReplayOutcome { last, pending }) =
            self.replay(connection, visitor, after, until).await?
        {
            self.send_event(
                connection,
                &Event::CaughtUp { seq: last.0, pending: pending.map(|seq| seq.0) },
            )
            .await;
        }
        Ok(())
    }

    /// Says why, and ends the connection: nothing that comes over it could be answered.
    async fn reject(&self, connection: &str, unfit: TokenError) {
        let (code, detail) = match unfit {
            TokenError::Expired => {
                ("token_expired", "the visitor token is over; come back with a new one")
            }
            TokenError::Invalid => ("unauthorized", "a valid visitor token is required"),
        };
        self.send_event(connection, &Event::Error { code, detail }).await;
        self.sockets.close(connection).await;
    }

    /// Whose a connection is; one that never said hello is told so.
    async fn owner(&self, connection: &str) -> Result<Option<Connection>, InternalError> {
        let owner = self.table.connected(connection).await?;
        if owner.is_none() {
            self.send_event(
                connection,
                &Event::Error { code: "hello_first", detail: "say hello first" },
            )
            .await;
        }
        Ok(owner)
    }

    async fn receipt(
        &self,
        connection: &str,
        message: MessageId,
        reported: ReportedStatus,
    ) -> Result<(), InternalError> {
        let Some(owner) = self.owner(connection).await? else { return Ok(()) };
        let about = MessageReference {
            business_id: owner.business,
            conversation_id: owner.conversation,
            message_id: message,
        };
        let receipt =
            Receipt { reported, part: Part::WHOLE, at: self.clock.now(), provider_id: None };
        self.receipts.apply(&about, &receipt).await
    }

    /// Tells the widget something. One that does not hear it reconnects and says hello again.
    async fn send_event(&self, connection: &str, event: &Event<'_>) -> bool {
        self.post(connection, &Payload::of(event)).await
    }

    async fn post(&self, connection: &str, payload: &Payload) -> bool {
        match self.sockets.post(connection, payload).await {
            PostOutcome::Accepted => true,
            PostOutcome::Gone => false,
            PostOutcome::Failed(failure) => {
                tracing::warn!(?failure, "a widget could not be told something");
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widgets_are_understood_strictly() {
        let said = |text| serde_json::from_str::<WidgetAction>(text).ok();
        assert_eq!(said(r#"{"action":"ping"}"#), Some(WidgetAction::Ping {}));
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
