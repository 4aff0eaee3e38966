//! The demo business's endpoint, which the sandbox plays, and the events that it got.

use std::collections::BTreeSet;

use serde_json::Value;
use uuid::Uuid;

use super::api::Api;
use super::step::{DemoError, text};
use crate::forward::{Endpoint, Endpoints};
use crate::ready::Ready;

/// The endpoint, and its name in the sandbox.
pub(super) struct Receiver {
    name: String,
    endpoint: Endpoint,
}

/// An event of a message, as the endpoint got it.
pub(super) struct ReceivedEvent {
    kind: String,
    /// When it came.
    pub(super) at: Value,
    /// Whether the endpoint's secret signed it.
    pub(super) is_verified: bool,
}

impl ReceivedEvent {
    /// Returns the status that the message got: `sent` of `message.sent`.
    pub(super) fn status(&self) -> &str {
        self.kind.strip_prefix("message.").unwrap_or(&self.kind)
    }
}

impl Receiver {
    /// Makes an endpoint of the demo business at the sandbox's receiver of the business's name.
    pub(super) async fn register(ready: &Ready, business_id: Uuid) -> Result<Self, DemoError> {
        let name = business_id.to_string();
        let endpoints = Endpoints::of_demo(ready).map_err(DemoError)?;
        let url = format!("{}/receivers/{name}", ready.sandbox);
        let made = endpoints.make(&url, "cargo local demo").await;
        let endpoint =
            made.map_err(|error| DemoError(format!("no endpoint was made: {error}.")))?;
        Ok(Self { name, endpoint })
    }

    /// Returns the events of a message, in the order in which they came. One that came again is
    /// left out.
    pub(super) async fn events(
        &self,
        api: &Api,
        message_id: &str,
    ) -> Result<Vec<ReceivedEvent>, DemoError> {
        let got = api.get_from_sandbox(&format!("/sandbox/receivers/{}", self.name)).await?;
        let mut known = BTreeSet::new();
        let mut events = Vec::new();
        for request in got.as_array().into_iter().flatten() {
            let body = text(&request["body"]);
            let event: Value = serde_json::from_str(body).unwrap_or_default();
            let is_new = known.insert(text(&event["id"]).to_owned());
            if !is_new || event["data"]["message"]["id"] != message_id {
                continue;
            }

            let header = |name: &str| request["headers"][name].as_str();
            events.push(ReceivedEvent {
                kind: text(&event["type"]).to_owned(),
                at: request["at"].clone(),
                is_verified: self.endpoint.has_signed(header, body),
            });
        }

        Ok(events)
    }
}
