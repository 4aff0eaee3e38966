//! The open widgets, and the events that they are sent.

use platform::sockets::{Event, Payload, PostOutcome, Sockets};

/// The open widgets.
#[derive(Debug)]
pub(crate) struct Widgets(Sockets);

impl Widgets {
    pub(crate) fn new(sockets: Sockets) -> Widgets {
        Widgets(sockets)
    }

    /// Sends a widget an event. A widget that does not get it reconnects and says hello again.
    pub(crate) async fn send_event(&self, connection_id: &str, event: &Event<'_>) -> bool {
        self.post(connection_id, &Payload::of(event)).await
    }

    /// Sends a widget an event that is serialized already; false if it did not get it.
    pub(crate) async fn post(&self, connection_id: &str, payload: &Payload) -> bool {
        match self.0.post(connection_id, payload).await {
            PostOutcome::Accepted => true,
            PostOutcome::Gone => false,
            PostOutcome::Failed(failure) => {
                tracing::warn!(?failure, "event not sent; its widget asks again");
                false
            }
        }
    }

    /// Closes a widget's connection.
    pub(crate) async fn close(&self, connection_id: &str) {
        self.0.close(connection_id).await;
    }
}
