//! The chat widget's WebSocket: a token opens a connection, `hello` brings the newest page of what
//! was missed, `ack` and `read` are the customer's receipts, `resume` asks for what may have been
//! missed since, `history` for the page before, and `message` is what the customer writes.
//!
//! ```text
//! widget → Sec-WebSocket-Protocol: pingback-chat, token.…
//!        ← Sec-WebSocket-Protocol: pingback-chat
//! widget → {"action":"hello","after":0}
//!        ← {"type":"hello","conversation_id":"…"}
//!        ← {"type":"new_messages","messages":[{"seq":1,"status":"read","message":{…}},…]}
//!        ← {"type":"large_message","seq":3,"id":"…"}
//!        ← {"type":"caught_up","seq":3}
//!        ← {"type":"new_message","seq":4,"message":{…}}
//! widget → {"action":"ack","id":"…"}  {"action":"read","id":"…"}
//! widget → {"action":"resume","after":4}
//!        ← {"type":"caught_up","seq":4}
//! widget → {"action":"history","before":1}
//!        ← {"type":"history","before":1,"after":0}
//! widget → {"action":"message","client_id":"…","content":"…"}
//!        ← {"type":"customer_message","number":1,"client_id":"…","message":{…}}
//! widget → {"action":"customer_messages","after":0}
//!        ← {"type":"customer_messages","messages":[…],"after":0}
//! widget → {"action":"ping"}
//!        ← {"type":"pong"}
//! ```
//!
//! Events that a worker sends may overtake those of a replay: a client orders messages by `seq`,
//! and learns from `caught_up` which of them never come. `widget/src` is such a client; it is
//! in this folder because it changes with the protocol.
//!
//! Each visitor has limits ([`domain::widget`]): `handshake.rs` admits connections and ends those
//! that say no hello, `idle_frames.rs` knows the frames that change nothing. A connection that
//! reaches a limit bars its conversation.

pub mod action;
mod handshake;
mod idle_frames;
mod messages;
mod replay;
mod tokens;
mod widgets;

use std::fmt;
use std::time::Duration;

use aws_lambda_events::event::apigw::{ApiGatewayProxyResponse, ApiGatewayWebsocketProxyRequest};
use aws_lambda_events::event::sqs::{SqsBatchResponse, SqsEvent};
use futures_util::future::{join, join_all};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use action::WidgetAction;
use domain::delivery::{MessageReference, Part, Receipt, ReportedStatus};
use domain::widget::{BAR, ReplayDecision, ReplayState, WidgetRefusal};
use domain::{Channel, MessageId, Seq};
use handshake::{Handshakes, RefusedConversations};
use idle_frames::IdleFrames;
use platform::aws::Aws;
use platform::clock::Clock;
use platform::error::InternalError;
use platform::origin::api_url_from_env;
use platform::queue::{ChannelDoorbell, HelloTimers};
use platform::receipts::Receipts;
use platform::runtime::{Error, EventFunction};
use platform::secrets::{Secrets, TokenKeys};
use platform::settings;
use platform::sockets::{Event, Sockets};
use platform::table::{
    Connection, IdleFrameOutcome, MessageRetention, ReceiptEffect, ReplayWriteOutcome, Table,
};
pub use replay::PAGE_SIZE;
use replay::{Replay, ReplayOutcome};
use tokens::{TokenOutcome, VisitorTokens};
use widgets::Widgets;

/// How often a replay is decided about again because another frame of the connection was faster.
const MAX_DECISIONS: usize = 8;

/// The function.
#[derive(Debug)]
pub struct ChatSocket {
    table: Table,
    clock: Clock,
    tokens: VisitorTokens,
    widgets: Widgets,
    handshakes: Handshakes,
    receipts: Receipts,
    doorbell: ChannelDoorbell,
    idle_frames: IdleFrames,
    refused: RefusedConversations,
    retention: MessageRetention,
    /// The address for links to files.
    api_url: String,
}

/// An event of one of the function's two sources.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum SocketEvent {
    /// The queue: connections whose hello should have come by now.
    Timers(SqsEvent),
    /// API Gateway.
    Socket(Box<ApiGatewayWebsocketProxyRequest>),
}

impl fmt::Debug for SocketEvent {
    /// The source, without what came.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SocketEvent::Timers(_) => f.write_str("Timers"),
            SocketEvent::Socket(_) => f.write_str("Socket"),
        }
    }
}

/// The answer to an event of one of the two sources.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum SocketAnswer {
    /// To the queue: the timers that it has to bring again.
    Timers(SqsBatchResponse),
    /// To API Gateway.
    Socket(Box<ApiGatewayProxyResponse>),
}

impl EventFunction for ChatSocket {
    type Event = SocketEvent;
    type Answer = SocketAnswer;

    /// The longest time of one last call, and of our own answer if it fails: nothing is begun with
    /// less time left.
    const RESERVE: Duration = Duration::from_millis(6_500);

    /// Reads `TABLE_NAME`, `CHAT_QUEUE_URL`, `HELLO_QUEUE_URL`, `CHAT_ENDPOINT`,
    /// `VISITOR_KEYS_SECRET`, `API_URL`, `MESSAGE_RETENTION_DAYS` and what AWS clients need.
    fn from_env() -> Result<ChatSocket, Error> {
        let aws = Aws::from_env()?;
        let table = Table::from_env(&aws)?;
        let clock = Clock::from_env()?;
        let keys = TokenKeys::new(Secrets::new(&aws), settings::required("VISITOR_KEYS_SECRET")?);
        let tokens = VisitorTokens { keys, clock };
        let widgets = Widgets::new(Sockets::from_env(&aws)?);
        let refused = RefusedConversations::default();

        Ok(ChatSocket {
            handshakes: Handshakes {
                table: table.clone(),
                clock,
                tokens: tokens.clone(),
                widgets: widgets.clone(),
                hello_timers: HelloTimers::from_env(&aws)?,
                refused: refused.clone(),
            },
            table,
            clock,
            tokens,
            widgets,
            receipts: Receipts::from_env(&aws, Channel::Chat)?,
            doorbell: ChannelDoorbell::from_env(&aws, Channel::Chat)?,
            idle_frames: IdleFrames::default(),
            refused,
            retention: MessageRetention::from_env()?,
            api_url: api_url_from_env()?,
        })
    }

    /// Handles one event of the socket. The widget is answered by an event of its own, because API
    /// Gateway passes only the answer to a handshake on; a failure it reports to the widget as its
    /// own error.
    async fn handle(
        &self,
        event: SocketEvent,
        until: Instant,
    ) -> Result<SocketAnswer, InternalError> {
        let event = match event {
            SocketEvent::Socket(event) => event,
            SocketEvent::Timers(timers) => {
                return Ok(SocketAnswer::Timers(self.handshakes.end_all_silent(timers).await));
            }
        };

        let context = event.request_context;
        let connection_id = context.connection_id.as_deref().unwrap_or_default();
        let text = event.body.as_deref().unwrap_or_default();

        let mut answer = handshake::answer(200);
        match context.route_key.as_deref() {
            Some("$connect") => {
                answer = self.handshakes.open(connection_id, &event.headers).await?;
            }
            Some("$disconnect") => self.disconnect(connection_id).await?,
            _ => self.handle_frame(connection_id, text, until).await?,
        }
        Ok(SocketAnswer::Socket(Box::new(answer)))
    }
}

impl ChatSocket {
    async fn disconnect(&self, connection_id: &str) -> Result<(), InternalError> {
        match self.table.connection(connection_id).await? {
            Some(connection) => self.table.disconnect(&connection).await,
            None => Ok(()), // It was refused, or a newer tab has taken its place.
        }
    }

    async fn handle_frame(
        &self,
        connection_id: &str,
        text: &str,
        until: Instant,
    ) -> Result<(), InternalError> {
        if self.widgets.is_ended(connection_id) {
            return Ok(());
        }
        let Some(connection) = self.table.connection(connection_id).await? else {
            let refusal = WidgetRefusal::UnknownConnection;
            self.widgets.refuse(connection_id, None, refusal, self.clock.now()).await;
            return Ok(());
        };
        if !self.tokens.last(&connection).await? {
            self.refuse(&connection, WidgetRefusal::TokenExpired).await;
            return Ok(());
        }

        match action::parse(text) {
            Ok(WidgetAction::Hello { token, after }) => {
                self.hello(connection, token.as_deref(), Seq(after), until).await
            }
            Ok(_) if connection.replay.is_none() => {
                self.refuse_frame(&connection, WidgetRefusal::HelloFirst).await
            }
            Ok(WidgetAction::Ack { id }) => {
                self.receipt(&connection, id, ReportedStatus::Delivered).await
            }
            Ok(WidgetAction::Read { id }) => {
                self.receipt(&connection, id, ReportedStatus::Read).await
            }
            Ok(WidgetAction::Resume { after }) => self.resume(connection, Seq(after), until).await,
            Ok(WidgetAction::History { before }) => {
                self.history(connection, Seq(before), until).await
            }
            Ok(WidgetAction::Message { client_id, content }) => {
                self.take_message(&connection, client_id, content).await
            }
            Ok(WidgetAction::CustomerMessages { after, before }) => {
                self.show_customer_messages(&connection, after, before).await
            }
            Ok(WidgetAction::Ping {}) => {
                if self.count_idle_frame(&connection).await? {
                    self.widgets.send_event(connection_id, &Event::Pong).await;
                }
                Ok(())
            }
            Err(_) => {
                let detail = "hello, ack, read, resume, history, message, customer_messages or ping \
                              was expected, with its own members";
                let event = Event::Error { code: "not_understood", detail, retry_after: None };
                if self.count_idle_frame(&connection).await? {
                    self.widgets.send_event(connection_id, &event).await;
                }
                Ok(())
            }
        }
    }

    async fn hello(
        &self,
        connection: Connection,
        token: Option<&str>,
        after: Seq,
        until: Instant,
    ) -> Result<(), InternalError> {
        if let Some(token) = token {
            match self.tokens.verify(token).await? {
                TokenOutcome::Refused(refusal) => {
                    self.refuse(&connection, refusal).await;
                    return Ok(());
                }
                TokenOutcome::Valid(token) if token.visitor != connection.visitor() => {
                    let refusal = WidgetRefusal::OtherConversation;
                    return self.refuse_frame(&connection, refusal).await;
                }
                TokenOutcome::Valid(token) if token.ends_at > connection.ends_at => {
                    self.table.renew_token(&connection, &token).await?;
                }
                TokenOutcome::Valid(_) => {}
            }
        }

        let Some((connection, state)) = self.begin_replay(connection).await? else {
            return Ok(());
        };
        let Connection { connection_id, business_id, conversation_id, .. } = &connection;
        let event = Event::Hello { conversation_id: *conversation_id };
        self.widgets.send_event(connection_id, &event).await;

        // Most of what was missed goes out before the widget is listed, so that hardly any worker
        // gets in between.
        let replay = self.replay_of(&connection, &state, until);
        let Some(replayed) = replay.run(after).await? else {
            return Ok(());
        };

        self.table.list_connection(&connection).await?;
        let now = self.clock.now();
        if let Some(rest) = replay.next_page(replayed.last).await? {
            let caught_up = ReplayOutcome { first: replayed.first, ..rest };
            let stored = self.catch_up(&connection, state, caught_up).await?;
            // Another hello has brought a newer token meanwhile.
            if let Some(stored) = stored.filter(|stored| stored.ends_at > connection.ends_at) {
                self.table.list_connection(&stored).await?;
            }
        }

        if self.table.make_due(*business_id, *conversation_id, now).await? {
            self.doorbell.ring(*business_id, *conversation_id).await;
        }
        Ok(())
    }

    async fn resume(
        &self,
        connection: Connection,
        after: Seq,
        until: Instant,
    ) -> Result<(), InternalError> {
        if let Some(caught_up) = self.nothing_missed(&connection, after, until).await? {
            if self.count_idle_frame(&connection).await? {
                self.send_caught_up(&connection, &caught_up).await;
            }
            return Ok(());
        }

        let Some((connection, state)) = self.begin_replay(connection).await? else {
            return Ok(());
        };
        if let Some(caught_up) = self.replay_of(&connection, &state, until).run(after).await? {
            self.catch_up(&connection, state, caught_up).await?;
        }
        Ok(())
    }

    /// Sends the page of messages before `before`.
    async fn history(
        &self,
        connection: Connection,
        before: Seq,
        until: Instant,
    ) -> Result<(), InternalError> {
        let last = Seq(before.0.saturating_sub(1));
        let sent_after = connection.replay.and_then(|state| state.sent_after(last));
        let nothing = if last == Seq(0) { Some(last) } else { sent_after };
        if let Some(after) = nothing {
            if self.count_idle_frame(&connection).await? {
                self.send_history(&connection, after, before).await;
            }
            return Ok(());
        }

        let Some((connection, state)) = self.begin_replay(connection).await? else {
            return Ok(());
        };
        let replay = self.replay_of(&connection, &state, until);
        if let Some((after, before)) = replay.history(before).await? {
            let last = Seq(before.0.saturating_sub(1));
            self.table.write_replay(&connection, &state.finish(after, last)).await?;
            self.send_history(&connection, after, before).await;
        }
        Ok(())
    }

    async fn send_history(&self, connection: &Connection, after: Seq, before: Seq) {
        let event = Event::History { before: before.0, after: after.0 };
        self.widgets.send_event(&connection.connection_id, &event).await;
    }

    /// Returns how far a widget is that has missed nothing after `after`, so that there is nothing
    /// to write down. `None` if it has, or if a replay is running.
    async fn nothing_missed(
        &self,
        connection: &Connection,
        after: Seq,
        until: Instant,
    ) -> Result<Option<ReplayOutcome>, InternalError> {
        match &connection.replay {
            Some(state) if !state.is_running(self.clock.now()) => {
                self.replay_of(connection, state, until).without_messages(after).await
            }
            Some(_) | None => Ok(None),
        }
    }

    /// Writes down that a replay begins; `None` if there is none, which the widget is told.
    async fn begin_replay(
        &self,
        mut connection: Connection,
    ) -> Result<Option<(Connection, ReplayState)>, InternalError> {
        for _ in 0..MAX_DECISIONS {
            let id = rand::random();
            let state = match ReplayState::begin(connection.replay, id, self.clock.now()) {
                ReplayDecision::Run(state) => state,
                ReplayDecision::Running => {
                    self.count_idle_frame(&connection).await?;
                    return Ok(None);
                }
                ReplayDecision::Refused(refusal) => {
                    self.bar(&connection, refusal).await;
                    return Ok(None);
                }
            };

            match self.table.write_replay(&connection, &state).await? {
                ReplayWriteOutcome::Written(begun) => return Ok(Some((begun, state))),
                ReplayWriteOutcome::Changed(replay) => connection.replay = replay,
                ReplayWriteOutcome::Closed => return Ok(None),
            }
        }
        Err(InternalError::new("beginning a replay on a connection that kept changing"))
    }

    fn replay_of<'a>(
        &'a self,
        connection: &'a Connection,
        state: &'a ReplayState,
        until: Instant,
    ) -> Replay<'a> {
        let ChatSocket { table, widgets, clock, api_url, .. } = self;
        Replay { table, widgets, connection, state, clock, api_url, until }
    }

    /// Writes down what was replayed, and then tells the widget, which may ask again from then on.
    /// Returns the connection as it is now; `None` if it was closed, or a later replay has begun.
    async fn catch_up(
        &self,
        connection: &Connection,
        state: ReplayState,
        caught_up: ReplayOutcome,
    ) -> Result<Option<Connection>, InternalError> {
        let finished = state.finish(caught_up.first, caught_up.last);
        let stored = match self.table.write_replay(connection, &finished).await? {
            ReplayWriteOutcome::Written(stored) => Some(stored),
            ReplayWriteOutcome::Changed(_) | ReplayWriteOutcome::Closed => None,
        };

        self.send_caught_up(connection, &caught_up).await;
        Ok(stored)
    }

    async fn send_caught_up(&self, connection: &Connection, caught_up: &ReplayOutcome) {
        let ReplayOutcome { last, pending, .. } = caught_up;
        let event = Event::CaughtUp { seq: last.0, pending: pending.map(|seq| seq.0) };
        self.widgets.send_event(&connection.connection_id, &event).await;
    }

    async fn receipt(
        &self,
        connection: &Connection,
        message_id: MessageId,
        reported: ReportedStatus,
    ) -> Result<(), InternalError> {
        let about = MessageReference {
            business_id: connection.business_id,
            conversation_id: connection.conversation_id,
            message_id,
        };
        let receipt =
            Receipt { reported, part: Part::WHOLE, at: self.clock.now(), provider_id: None };

        let applied = self.receipts.apply(&about, &receipt).await?;
        let Connection { connection_id, conversation_id, .. } = connection;
        let status = receipt.reported.status();
        // Each tab reports what it shows, and another one may have been faster.
        let is_first = self.idle_frames.is_first_receipt(connection_id, message_id, status);
        let is_counted = match applied.effect {
            ReceiptEffect::Moved | ReceiptEffect::Due => false,
            ReceiptEffect::None if is_first && applied.message.is_some() => {
                self.idle_frames.is_counted_late_receipt(*conversation_id)
            }
            ReceiptEffect::None => true,
        };
        if is_counted {
            self.count_idle_frame(connection).await?;
        }
        Ok(())
    }

    /// Counts a frame that changes nothing. False if it was one too many, and the connection ends.
    async fn count_idle_frame(&self, connection: &Connection) -> Result<bool, InternalError> {
        let Connection { business_id, conversation_id, .. } = connection;
        let now = self.clock.now();
        if self.idle_frames.pass_uncounted(*conversation_id, now) {
            return Ok(true);
        }
        Ok(match self.table.count_idle_frame(*business_id, *conversation_id, now).await? {
            IdleFrameOutcome::Counted => true,
            IdleFrameOutcome::TooMany => {
                self.bar(connection, WidgetRefusal::TooManyFrames(now + BAR)).await;
                false
            }
        })
    }

    /// Refuses a frame, and counts it as one that changes nothing.
    async fn refuse_frame(
        &self,
        connection: &Connection,
        refusal: WidgetRefusal,
    ) -> Result<(), InternalError> {
        if self.count_idle_frame(connection).await? {
            self.refuse(connection, refusal).await;
        }
        Ok(())
    }

    /// Ends a connection that has reached a limit, and all others of its conversation, which opens
    /// none for a while. Their records go with the ends that API Gateway reports.
    async fn bar(&self, connection: &Connection, refusal: WidgetRefusal) {
        let Connection { connection_id, business_id, conversation_id, .. } = connection;
        let now = self.clock.now();
        let barred = WidgetRefusal::Barred(now + BAR);
        self.refused.insert(*conversation_id, barred);

        let ended = self.table.bar_conversation(*business_id, *conversation_id, now).await;
        let ended = ended.unwrap_or_else(|error| {
            let error = error.chain();
            tracing::error!(error, "conversation not barred; this connection alone is ended");
            Vec::new()
        });

        let visitor = Some(connection.visitor());
        let others = ended.iter().filter(|other| *other != connection_id);
        let others = others.map(|other| self.widgets.refuse(other, visitor, barred, now));
        join(self.refuse(connection, refusal), join_all(others)).await;
    }

    async fn refuse(&self, connection: &Connection, refusal: WidgetRefusal) {
        let Connection { connection_id, .. } = connection;
        let visitor = Some(connection.visitor());
        self.widgets.refuse(connection_id, visitor, refusal, self.clock.now()).await;
    }
}
