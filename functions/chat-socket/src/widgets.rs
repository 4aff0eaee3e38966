//! The open widgets, the events that they are sent, and the lines about those that are refused.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tracing::Level;

use domain::ConversationId;
use domain::widget::WidgetRefusal;
use platform::cache::TtlCache;
use platform::credential::visitor::Visitor;
use platform::sockets::{Event, Payload, PostOutcome, Sockets};
use platform::telemetry::metrics::MetricRecord;

/// How often the refusals of one conversation with one code are logged by a process: a flood would
/// otherwise fill the log.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// How many refusals are known to have been logged; a full cache forgets all.
const MAX_LOGGED: usize = 10_000;

/// How long a process remembers that it has ended a connection. API Gateway takes a moment to close
/// it, and what the widget has sent by then still comes. A frame that comes later than that finds a
/// connection that was not closed, and closes it once more.
const ENDED_TTL: Duration = Duration::from_secs(60);

/// How many connections are known to have been ended; a full cache forgets all.
const MAX_ENDED: usize = 10_000;

/// The open widgets.
#[derive(Debug, Clone)]
pub(crate) struct Widgets {
    sockets: Sockets,
    ended: TtlCache<String, ()>,
    logged: TtlCache<(Option<ConversationId>, &'static str), ()>,
}

impl Widgets {
    pub(crate) fn new(sockets: Sockets) -> Widgets {
        Widgets {
            sockets,
            ended: TtlCache::new(ENDED_TTL, MAX_ENDED),
            logged: TtlCache::new(LOG_INTERVAL, MAX_LOGGED),
        }
    }

    /// Sends a widget an event. A widget that does not get it reconnects and says hello again.
    pub(crate) async fn send_event(&self, connection_id: &str, event: &Event<'_>) -> bool {
        self.post(connection_id, &Payload::of(event)).await
    }

    /// Sends a widget an event that is serialized already; false if it did not get it.
    pub(crate) async fn post(&self, connection_id: &str, payload: &Payload) -> bool {
        match self.sockets.post(connection_id, payload).await {
            PostOutcome::Accepted => true,
            PostOutcome::Gone => false,
            PostOutcome::Failed(failure) => {
                tracing::warn!(?failure, "event not sent; its widget asks again");
                false
            }
        }
    }

    /// Tells a widget why it is refused, and closes its connection if that ends it. The visitor is
    /// `None` if the connection is not known.
    pub(crate) async fn refuse(
        &self,
        connection_id: &str,
        visitor: Option<Visitor>,
        refusal: WidgetRefusal,
        now: DateTime<Utc>,
    ) {
        self.log_refusal(visitor, refusal);
        self.post(connection_id, &Payload::refusal(refusal, now)).await;
        if refusal.ends_connection() {
            self.ended.insert(connection_id.to_owned(), ());
            self.close(connection_id).await;
        }
    }

    /// True if a refusal has just ended a connection: its frames have no answer and cost no call.
    pub(crate) fn is_ended(&self, connection_id: &str) -> bool {
        self.ended.get(connection_id).is_some()
    }

    /// Writes a line about a refusal, for operators, unless there was one lately.
    pub(crate) fn log_refusal(&self, visitor: Option<Visitor>, refusal: WidgetRefusal) {
        let code = refusal.code();
        let key = (visitor.map(|visitor| visitor.conversation_id), code);
        if self.logged.get(&key).is_some() {
            return;
        }
        self.logged.insert(key, ());

        MetricRecord::new(Level::INFO, "refused")
            .with("code", code)
            .with("business", visitor.map(|visitor| visitor.business_id))
            .with("conversation", visitor.map(|visitor| visitor.conversation_id))
            .write();
    }

    /// Closes a widget's connection.
    pub(crate) async fn close(&self, connection_id: &str) {
        self.sockets.close(connection_id).await;
    }
}
