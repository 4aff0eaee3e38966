//! The messages that visitors write: each is stored once for its `client_id`, answered, and shown
//! to the conversation's other tabs, as far as they can be reached. A tab that missed one asks.

use futures_util::future::join_all;
use tracing::Level;

use crate::ChatSocket;
use domain::CustomerNumber;
use domain::timeline::Order;
use domain::widget::{CUSTOMER_MESSAGES_PAGE, MESSAGES_PER_MINUTE, MessageRefusal, VisitorMessage};
use platform::error::InternalError;
use platform::sockets::Payload;
use platform::table::record::CustomerMessage;
use platform::table::{Connection, CustomerDraft, CustomerMessageOutcome};
use platform::telemetry::metrics::MetricRecord;

impl ChatSocket {
    /// Stores a message that a visitor wrote.
    pub(crate) async fn take_message(
        &self,
        connection: &Connection,
        client_id: String,
        content: String,
    ) -> Result<(), InternalError> {
        let name = client_id.clone();
        let stored = match VisitorMessage::parse(client_id, content) {
            Ok(message) => self.store_message(connection, message).await?,
            Err(refusal) => Err(refusal),
        };

        let Connection { connection_id, conversation_id, .. } = connection;
        match stored {
            Ok((message, is_new)) => {
                // Its repeats are bounded as everything is that changes nothing.
                if !is_new && !self.count_idle_frame(connection).await? {
                    return Ok(());
                }
                let answer = Payload::customer_message(&message, *conversation_id, Some(&name));
                self.widgets.post(connection_id, &answer).await;
                if is_new {
                    self.show_other_tabs(connection, &message).await;
                }
            }
            Err(refusal) => {
                if self.count_idle_frame(connection).await? {
                    let answer = Payload::message_refusal(refusal, &name, self.clock.now());
                    self.widgets.post(connection_id, &answer).await;
                }
            }
        }
        Ok(())
    }

    /// Sends a widget the newest of the visitor's own messages in a range of numbers, as many as
    /// fit into one event.
    pub(crate) async fn show_customer_messages(
        &self,
        connection: &Connection,
        after: u64,
        before: Option<u64>,
    ) -> Result<(), InternalError> {
        if !self.count_idle_frame(connection).await? {
            return Ok(());
        }

        let Connection { connection_id, business_id, conversation_id, .. } = connection;
        let up_to = before.map_or(u64::MAX, |before| before.saturating_sub(1));
        let numbers = (CustomerNumber(after), CustomerNumber(up_to));
        let limit = i32::try_from(CUSTOMER_MESSAGES_PAGE).expect("a page is short");
        let (messages, has_more) = self
            .table
            .customer_messages(*business_id, *conversation_id, numbers, Order::NewestFirst, limit)
            .await?;

        let page = Payload::customer_messages(&messages, *conversation_id, after, has_more);
        self.widgets.post(connection_id, &page).await;
        Ok(())
    }

    /// Stores a message; returns it, and whether it is new.
    async fn store_message(
        &self,
        connection: &Connection,
        message: VisitorMessage,
    ) -> Result<Result<(CustomerMessage, bool), MessageRefusal>, InternalError> {
        let Connection { business_id, conversation_id, .. } = *connection;
        let now = self.clock.now();
        let draft = CustomerDraft {
            business_id,
            conversation_id,
            name: message.client_id.into(),
            content: message.content.as_str().into(),
            media: None,
            per_minute: Some(MESSAGES_PER_MINUTE),
            keep_until: self.retention.keep_until(now),
            now,
        };

        let outcome = match self.table.store_customer_message(&draft).await {
            Err(error) if error.is_contention() => return Ok(Err(MessageRefusal::Busy)),
            outcome => outcome?,
        };
        Ok(match outcome {
            CustomerMessageOutcome::Stored(message) => {
                MetricRecord::new(Level::INFO, "a visitor wrote")
                    .with("business", business_id)
                    .with("conversation", conversation_id)
                    .with("message_id", message.id)
                    .write();
                Ok((message, true))
            }
            CustomerMessageOutcome::Replayed(message) => Ok((message, false)),
            CustomerMessageOutcome::NameReused => Err(MessageRefusal::ClientIdReused),
            CustomerMessageOutcome::TooMany(at) => Err(MessageRefusal::TooMany(at)),
            CustomerMessageOutcome::NoConversation => Err(MessageRefusal::NoConversation),
        })
    }

    /// Shows a message to the conversation's other tabs. One that does not get it finds out by its
    /// number, at the latest when it connects again.
    async fn show_other_tabs(&self, writer: &Connection, message: &CustomerMessage) {
        let Connection { business_id, conversation_id, .. } = *writer;
        let tabs = match self.table.connections(business_id, conversation_id).await {
            Ok(tabs) => tabs,
            Err(error) => {
                let error = error.chain();
                tracing::warn!(error, "other tabs not listed; they get the message later");
                return;
            }
        };

        let payload = Payload::customer_message(message, conversation_id, None);
        let others = tabs.iter().filter(|tab| tab.connection_id != writer.connection_id);
        let posts = others.map(async |tab| {
            if self.tokens.last(tab).await.unwrap_or(false) {
                self.widgets.post(&tab.connection_id, &payload).await;
            }
        });
        join_all(posts).await;
    }
}
