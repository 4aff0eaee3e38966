//! Delivers to the live chat widget: one event to every tab that shows the conversation. With
//! nobody there the message waits; the customer's return rings.

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

    /// Sends to every tab at once. One that took it is enough; tabs that are gone are taken off the
    /// list.
    async fn send(&self, parcel: OutboundMessage<'_>) -> SendOutcome {
        let connections = self.table.connections(parcel.business, parcel.conversation_id).await;
        let connections = connections.map_err(|broken| table_failed(&broken))?;
        let payload = Payload::message(parcel.message, parcel.conversation_id);
        let tabs = connections
            .iter()
            .map(async |tab| (tab, self.sockets.post(&tab.connection, &payload).await));
        let (mut taken, mut failure) = (false, Failure::Away);
        for (tab, posted) in join_all(tabs).await {
            match (posted, &failure) {
                (PostOutcome::Accepted, _) => taken = true,
                (PostOutcome::Gone, _) => self.take_off(tab).await,
                // A tab that may have it outweighs one that has not.
                (PostOutcome::Failed(_), Failure::Unknown(_)) => {}
                (PostOutcome::Failed(why), _) => failure = why,
            }
        }
        if taken { Ok(Accepted { provider_id: None }) } else { Err(failure) }
    }
}

impl Widgets {
    async fn take_off(&self, tab: &Connection) {
        if let Err(broken) = self.table.disconnect(tab).await {
            tracing::warn!(error = broken.chain(), "a tab that is gone stays on the list");
        }
    }
}

fn table_failed(broken: &InternalError) -> Failure {
    tracing::error!(error = broken.chain(), "the conversation's tabs could not be listed");
    Failure::Transient {
        reason: Reason::new("gateway_error", "the open tabs could not be listed"),
        retry_after: None,
    }
}
