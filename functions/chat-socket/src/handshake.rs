//! The handshake: which connections are opened, and which end because no hello follows.
//!
//! Browsers let a page set no header of a WebSocket's handshake but `Sec-WebSocket-Protocol`, and a
//! query string ends in other systems' logs. So the token is the name of a second subprotocol; the
//! first one is ours, and API Gateway [passes back][subprotocol] which one was chosen.
//!
//! The cost of a refused handshake is bounded: one without a valid token is refused by its
//! signature alone, one too many after one read, and by a process that has just refused its
//! conversation without any.
//!
//! [subprotocol]: https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-connect-route-subprotocol.html

use std::time::Duration;

use aws_lambda_events::event::apigw::ApiGatewayProxyResponse;
use aws_lambda_events::event::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use aws_lambda_events::http::{HeaderMap, HeaderValue};
use chrono::{DateTime, Utc};
use futures_util::future::join_all;

use crate::tokens::{TokenOutcome, VisitorTokens};
use crate::widgets::Widgets;
use domain::ConversationId;
use domain::widget::WidgetRefusal;
use platform::cache::TtlCache;
use platform::clock::Clock;
use platform::credential::visitor::Visitor;
use platform::error::InternalError;
use platform::queue::{HelloTimer, HelloTimers};
use platform::table::{Connection, TabAdmission, Table};

/// The header by which a client names the subprotocols that it speaks, and the server the chosen
/// one ([RFC 6455 §11.3.4](https://www.rfc-editor.org/rfc/rfc6455#section-11.3.4)).
const SUBPROTOCOL_HEADER: &str = "Sec-WebSocket-Protocol";

/// Our subprotocol.
const SUBPROTOCOL: &str = "pingback-chat";

/// Precedes the token in the name of the second subprotocol. A JWT has no character that such a
/// name may not have.
const TOKEN_PREFIX: &str = "token.";

/// How long a process remembers that it has refused a conversation: the longest such a refusal
/// lasts.
const REFUSAL_TTL: Duration = Duration::from_secs(60);

/// How many refused conversations are remembered; a full cache forgets all.
const MAX_REFUSALS: usize = 10_000;

/// The conversations that open no connection for a while, as far as this process knows.
#[derive(Debug, Clone)]
pub(crate) struct RefusedConversations(TtlCache<ConversationId, WidgetRefusal>);

impl Default for RefusedConversations {
    fn default() -> RefusedConversations {
        RefusedConversations(TtlCache::new(REFUSAL_TTL, MAX_REFUSALS))
    }
}

impl RefusedConversations {
    pub(crate) fn insert(&self, conversation_id: ConversationId, refusal: WidgetRefusal) {
        self.0.insert(conversation_id, refusal);
    }

    /// Returns the refusal that lasts.
    fn get(&self, conversation_id: ConversationId, now: DateTime<Utc>) -> Option<WidgetRefusal> {
        let refusal = self.0.get(&conversation_id)?;
        refusal.ends_at().is_some_and(|until| now < until).then_some(refusal)
    }
}

/// The beginning of connections.
#[derive(Debug)]
pub(crate) struct Handshakes {
    pub(crate) table: Table,
    pub(crate) clock: Clock,
    pub(crate) tokens: VisitorTokens,
    pub(crate) widgets: Widgets,
    pub(crate) hello_timers: HelloTimers,
    pub(crate) refused: RefusedConversations,
}

impl Handshakes {
    /// Opens a connection for a visitor's token. A newer tab takes the place of the oldest one if
    /// there are too many.
    pub(crate) async fn open(
        &self,
        connection_id: &str,
        headers: &HeaderMap,
    ) -> Result<ApiGatewayProxyResponse, InternalError> {
        let Some(token) = token_of(headers) else {
            return Ok(self.refused(None, WidgetRefusal::Unauthorized));
        };
        let token = match self.tokens.verify(token).await? {
            TokenOutcome::Valid(token) => token,
            TokenOutcome::Refused(refusal) => return Ok(self.refused(None, refusal)),
        };

        let now = self.clock.now();
        let visitor = token.visitor;
        if let Some(refusal) = self.refused.get(visitor.conversation_id, now) {
            return Ok(self.refused(Some(visitor), refusal));
        }

        let connection = Connection::new(connection_id, token, now);
        let displaced = match self.table.open_tab(&connection, now).await {
            Ok(TabAdmission::Admitted { displaced }) => displaced,
            Ok(TabAdmission::Refused(refusal)) => {
                self.refused.insert(visitor.conversation_id, refusal);
                return Ok(self.refused(Some(visitor), refusal));
            }
            Err(error) => {
                self.remove_unopened(&connection).await;
                return Err(error);
            }
        };

        // The connection is one of the tabs. What fails from here on must not refuse it, or dead
        // connections would take the places of living ones.
        if let Some(displaced) = displaced {
            self.end_displaced(&displaced, &connection).await;
        }
        let timer = self.hello_timers.start(connection.business_id, connection_id).await;
        if let Err(error) = timer {
            let error = error.chain();
            tracing::error!(error, "hello's timer not started; a silent connection stays");
        }

        let mut response = answer(200);
        response.headers.insert(SUBPROTOCOL_HEADER, HeaderValue::from_static(SUBPROTOCOL));
        Ok(response)
    }

    /// Returns the answer to a handshake that is refused, and writes a line about it. The visitor
    /// is `None` without a valid token.
    fn refused(&self, visitor: Option<Visitor>, refusal: WidgetRefusal) -> ApiGatewayProxyResponse {
        self.widgets.log_refusal(visitor, refusal);
        refused(refusal)
    }

    /// Ends the connection whose place a new one of the same conversation has taken.
    async fn end_displaced(&self, displaced: &str, new: &Connection) {
        let forgotten =
            self.table.forget_connection(displaced, new.business_id, new.conversation_id).await;
        if let Err(error) = forgotten {
            let error = error.chain();
            tracing::warn!(error, "displaced tab not removed; the next message removes it");
        }
        let refusal = WidgetRefusal::TooManyTabs;
        self.widgets.refuse(displaced, Some(new.visitor()), refusal, self.clock.now()).await;
    }

    /// Removes a connection that failed while it was being opened: it may be one of the tabs.
    async fn remove_unopened(&self, connection: &Connection) {
        if let Err(error) = self.table.disconnect(connection).await {
            let error = error.chain();
            tracing::warn!(error, "unopened tab not removed; it has a place for two hours");
        }
    }

    /// Ends those connections that have said no hello since their timers were started. Returns the
    /// timers that SQS has to bring again; none of them holds the others up.
    pub(crate) async fn end_all_silent(&self, timers: SqsEvent) -> SqsBatchResponse {
        let failed = join_all(timers.records.into_iter().map(async |record| {
            let error = self.end_silent(record.body.as_deref()).await.err()?.chain();
            let id = record.message_id.unwrap_or_default();
            tracing::error!(record = id, error, "hello's timer not handled; it comes again");
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            Some(failure)
        }));

        let mut response = SqsBatchResponse::default();
        response.batch_item_failures = failed.await.into_iter().flatten().collect();
        response
    }

    /// Ends a timer's connection if it has said no hello.
    async fn end_silent(&self, timer: Option<&str>) -> Result<(), InternalError> {
        let timer = HelloTimer::parse(timer.unwrap_or_default())?;
        let connection = self.table.connection(&timer.connection_id).await?;
        let silent = connection.filter(|connection| connection.replay.is_none());
        if let Some(silent) = silent {
            let visitor = Some(silent.visitor());
            let refusal = WidgetRefusal::HelloTimeout;
            let now = self.clock.now();
            self.widgets.refuse(&silent.connection_id, visitor, refusal, now).await;
        }
        Ok(())
    }
}

/// Returns the token among the subprotocols of a handshake, if ours is there as well.
fn token_of(headers: &HeaderMap) -> Option<&str> {
    let values = headers.get_all(SUBPROTOCOL_HEADER).iter();
    let values = values.filter_map(|value| value.to_str().ok());
    let names: Vec<&str> = values.flat_map(|value| value.split(',').map(str::trim)).collect();

    let token = names.iter().find_map(|name| name.strip_prefix(TOKEN_PREFIX));
    token.filter(|_| names.contains(&SUBPROTOCOL))
}

/// Returns an answer without content.
pub(crate) fn answer(status: i64) -> ApiGatewayProxyResponse {
    let mut response = ApiGatewayProxyResponse::default();
    response.status_code = status;
    response
}

/// Returns the answer to a handshake that is refused. Browsers show a page no more of it than that.
fn refused(refusal: WidgetRefusal) -> ApiGatewayProxyResponse {
    answer(match refusal {
        WidgetRefusal::TooManyConnections(_) | WidgetRefusal::Barred(_) => 429,
        WidgetRefusal::Unauthorized
        | WidgetRefusal::TokenExpired
        | WidgetRefusal::HelloTimeout
        | WidgetRefusal::HelloFirst
        | WidgetRefusal::OtherConversation
        | WidgetRefusal::TooManyTabs
        | WidgetRefusal::UnknownConnection
        | WidgetRefusal::TooManyReplays(_)
        | WidgetRefusal::TooManyFrames(_) => 401,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(values: &[&'static str]) -> Option<String> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(SUBPROTOCOL_HEADER, HeaderValue::from_static(value));
        }
        token_of(&headers).map(ToOwned::to_owned)
    }

    #[test]
    fn a_token_stands_beside_our_subprotocol() {
        assert_eq!(token(&["pingback-chat, token.a.b.c"]).as_deref(), Some("a.b.c"));
        assert_eq!(token(&["token.a.b.c,pingback-chat"]).as_deref(), Some("a.b.c"));
        assert_eq!(token(&["pingback-chat", "token.a.b.c"]).as_deref(), Some("a.b.c"));
        for none in [&[][..], &["pingback-chat"], &["token.a.b.c"], &["chat, token.a.b.c"], &[""]] {
            assert_eq!(token(none), None, "{none:?}");
        }
    }
}
