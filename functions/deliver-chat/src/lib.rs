//! Delivers to the live chat widget: one event to every tab that shows the conversation. Without an
//! open tab the message waits; the customer's return rings the doorbell.

use std::time::Duration;

use futures_util::future::join_all;

use domain::Channel;
use domain::delivery::{Accepted, Failure, Reason, SendOutcome};
use domain::widget::WidgetRefusal;
use platform::aws::Aws;
use platform::clock::Clock;
use platform::delivery::{OutboundMessage, Provider};
use platform::error::InternalError;
use platform::origin::api_url_from_env;
use platform::runtime::Error;
use platform::secrets::{Secrets, TokenKeys};
use platform::settings;
use platform::sockets::{POST_TIMEOUT, Payload, PostOutcome, Sockets};
use platform::table::{Connection, Table};

/// The customer's open tabs.
#[derive(Debug)]
pub struct Widgets {
    table: Table,
    sockets: Sockets,
    /// The keys that sign customers' tokens. Their names alone are needed, and Secrets Manager
    /// gives no part of a secret: a key is withdrawn because it has leaked, and connections that
    /// were opened with it would otherwise get what is written for an hour.
    keys: TokenKeys,
    clock: Clock,
    /// The address for links to files.
    api_url: String,
}

impl Provider for Widgets {
    const CHANNEL: Channel = Channel::Chat;

    /// Reads `TABLE_NAME`, `CHAT_ENDPOINT`, `API_URL`, `VISITOR_KEYS_SECRET` and what AWS clients
    /// need.
    fn from_env(aws: &Aws) -> Result<Widgets, Error> {
        Ok(Widgets {
            table: Table::from_env(aws)?,
            sockets: Sockets::from_env(aws)?,
            keys: TokenKeys::new(Secrets::new(aws), settings::required("VISITOR_KEYS_SECRET")?),
            clock: Clock::from_env()?,
            api_url: api_url_from_env()?,
        })
    }

    /// Sends to every tab at once whose token lasts; the others are closed. The message is sent if
    /// one of them took it; closed tabs are removed from the list.
    async fn send(&self, outbound: OutboundMessage<'_>) -> SendOutcome {
        let OutboundMessage { business_id, conversation_id, message, .. } = outbound;
        let connections = self.table.connections(business_id, conversation_id).await;
        let connections = connections.map_err(|error| table_failed(&error))?;
        let payload = Payload::message(message, conversation_id, &self.api_url);
        let tabs = connections.iter().map(async |tab| (tab, self.post(tab, &payload).await));

        let mut accepted = false;
        let mut gone = Vec::new();
        let mut failures = Vec::new();
        for (tab, posted) in join_all(tabs).await {
            match posted {
                PostOutcome::Accepted => accepted = true,
                PostOutcome::Gone => gone.push(tab),
                PostOutcome::Failed(failure) => failures.push(failure),
            }
        }
        join_all(gone.into_iter().map(|tab| self.remove_tab(tab))).await;

        if accepted { Ok(Accepted { provider_id: None }) } else { Err(decisive(failures)) }
    }
}

impl Widgets {
    /// Sends a tab the message, unless its token has ended: then the tab is told so and closed.
    async fn post(&self, tab: &Connection, payload: &Payload) -> PostOutcome {
        match tab.lasts(&self.keys, self.clock.now()).await {
            Ok(true) => self.sockets.post(&tab.connection_id, payload).await,
            Ok(false) => {
                self.end_expired(tab).await;
                PostOutcome::Gone
            }
            Err(error) => {
                tracing::error!(
                    error = error.chain(),
                    "token not checked; the message is tried again"
                );
                PostOutcome::Failed(Failure::Transient {
                    reason: Reason::new("gateway_error", "the tab's token could not be checked"),
                    retry_after: None,
                })
            }
        }
    }

    /// Tells a tab that its token has ended, and closes it, in the time of one post: the answers of
    /// the other tabs wait for it. One that is not closed is refused at its next frame.
    async fn end_expired(&self, tab: &Connection) {
        let payload = Payload::refusal(WidgetRefusal::TokenExpired, self.clock.now());
        let ending = async {
            if self.sockets.post(&tab.connection_id, &payload).await == PostOutcome::Accepted {
                self.sockets.close(&tab.connection_id).await;
            }
        };
        if tokio::time::timeout(POST_TIMEOUT, ending).await.is_err() {
            tracing::warn!("expired tab not closed in time; its next frame is refused");
        }
    }

    async fn remove_tab(&self, tab: &Connection) {
        if let Err(error) = self.table.disconnect(tab).await {
            let error = error.chain();
            tracing::warn!(error, "closed tab not removed; the next message tries again");
        }
    }
}

/// Returns the failure that decides about a message that no tab took, whatever the order of the
/// tabs. Without a failure every tab was gone, and the customer is away.
fn decisive(failures: Vec<Failure>) -> Failure {
    failures
        .into_iter()
        .max_by(|one, other| weight(one).cmp(&weight(other)))
        .unwrap_or(Failure::Away)
}

/// Returns what a failure weighs. A tab that may have the message outweighs one that may take it
/// later, which outweighs one that never will; the longer wait outweighs the shorter. The word is
/// last, so that only equal failures weigh the same.
fn weight(failure: &Failure) -> (u8, Option<Duration>, &str) {
    match failure {
        Failure::Away => (0, None, ""),
        Failure::Permanent(reason) => (1, None, &reason.code),
        Failure::Transient { reason, retry_after } => (2, *retry_after, &reason.code),
        Failure::ChannelDown { reason, wait } => (3, Some(*wait), &reason.code),
        Failure::Unknown(reason) => (4, None, &reason.code),
    }
}

fn table_failed(error: &InternalError) -> Failure {
    tracing::error!(error = error.chain(), "open tabs not listed; the message is tried again");
    Failure::Transient {
        reason: Reason::new("gateway_error", "the open tabs could not be listed"),
        retry_after: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transient(code: &str, seconds: Option<u64>) -> Failure {
        let reason = Reason::new(code, "");
        Failure::Transient { reason, retry_after: seconds.map(Duration::from_secs) }
    }

    #[test]
    fn what_fails_does_not_depend_on_the_order_of_the_tabs() {
        let lightest_first = [
            Failure::Away,
            Failure::Permanent(Reason::new("payload_too_large", "")),
            transient("gateway_error", None),
            transient("rate_limited", None),
            transient("rate_limited", Some(2)),
            transient("gateway_error", Some(7)),
            Failure::ChannelDown {
                reason: Reason::new("not_permitted", ""),
                wait: Duration::from_secs(1),
            },
            Failure::Unknown(Reason::new("no_answer", "")),
        ];

        assert_eq!(decisive(vec![]), Failure::Away);
        for (place, heavier) in lightest_first.iter().enumerate() {
            for lighter in &lightest_first[..=place] {
                let one_way = [lighter.clone(), heavier.clone(), lighter.clone()];
                let other_way = [heavier.clone(), lighter.clone()];
                assert_eq!(decisive(one_way.to_vec()), *heavier);
                assert_eq!(decisive(other_way.to_vec()), *heavier);
            }
        }
    }
}
