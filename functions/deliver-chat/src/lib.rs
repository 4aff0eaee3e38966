//! Delivers to the live chat widget: one event to every tab that shows the conversation. Without an
//! open tab the message waits; the customer's return rings the doorbell.

use futures_util::future::join_all;

use domain::Channel;
use domain::delivery::{Accepted, Failure, Reason, SendOutcome};
use platform::aws::Aws;
use platform::delivery::{OutboundMessage, Provider};
use platform::error::InternalError;
use platform::runtime::Error;
use platform::sockets::{Payload, PostOutcome, Sockets};
use platform::table::{Connection, Table};

/// The customer's open tabs.
#[derive(Debug)]
pub struct Widgets {
    table: Table,
    sockets: Sockets,
}

impl Provider for Widgets {
    const CHANNEL: Channel = Channel::Chat;

    /// Reads `TABLE_NAME`, `CHAT_ENDPOINT` and what AWS clients need.
    fn from_env(aws: &Aws) -> Result<Widgets, Error> {
        Ok(Widgets { table: Table::from_env(aws)?, sockets: Sockets::from_env(aws)? })
    }

    /// Sends to every tab at once. The message is sent if one of them took it; closed tabs are
    /// removed from the list.
    async fn send(&self, outbound: OutboundMessage<'_>) -> SendOutcome {
        let OutboundMessage { business_id, conversation_id, message, .. } = outbound;
        let connections = self.table.connections(business_id, conversation_id).await;
        let connections = connections.map_err(|error| table_failed(&error))?;
        let payload = Payload::message(message, conversation_id);
        let tabs = connections
            .iter()
            .map(async |tab| (tab, self.sockets.post(&tab.connection_id, &payload).await));

        let mut accepted = false;
        let mut failure = Failure::Away;
        for (tab, posted) in join_all(tabs).await {
            match (posted, &failure) {
                (PostOutcome::Accepted, _) => accepted = true,
                (PostOutcome::Gone, _) => self.remove_tab(tab).await,
                // A tab that may have the message outweighs one that has not.
                (PostOutcome::Failed(_), Failure::Unknown(_)) => {}
                (PostOutcome::Failed(new), _) => failure = new,
            }
        }

        if accepted { Ok(Accepted { provider_id: None }) } else { Err(failure) }
    }
}

impl Widgets {
    async fn remove_tab(&self, tab: &Connection) {
        if let Err(error) = self.table.disconnect(tab).await {
            let error = error.chain();
            tracing::warn!(error, "closed tab not removed; the next message tries again");
        }
    }
}

fn table_failed(error: &InternalError) -> Failure {
    tracing::error!(error = error.chain(), "open tabs not listed; the message is tried again");
    Failure::Transient {
        reason: Reason::new("gateway_error", "the open tabs could not be listed"),
        retry_after: None,
    }
}
