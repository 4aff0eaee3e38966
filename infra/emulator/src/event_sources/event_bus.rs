//! EventBridge's default bus: takes events and invokes the functions whose rules they match.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::asynchronous;
use crate::account::{ACCOUNT_ID, REGION};
use crate::lambda::{InvokeError, Lambda};
use crate::template::{Function, Reference};

/// An event, without what EventBridge adds.
#[derive(Debug, Clone)]
pub struct Event {
    /// The service that sends it: `aws.ses`.
    pub source: &'static str,
    /// The kind of event: `Email Delivered`.
    pub detail_type: &'static str,
    /// The time of the event.
    pub time: DateTime<Utc>,
    /// ARNs of the resources that it concerns.
    pub resources: Vec<String>,
    /// The event's own data.
    pub detail: Value,
}

impl Event {
    /// Returns the event as functions get it.
    /// <https://docs.aws.amazon.com/eventbridge/latest/ref/overiew-event-structure.html>
    fn payload(&self) -> Bytes {
        let event = json!({
            "version": "0",
            "id": Uuid::new_v4(),
            "detail-type": self.detail_type,
            "source": self.source,
            "account": ACCOUNT_ID,
            "time": self.time.to_rfc3339_opts(SecondsFormat::Secs, true),
            "region": REGION,
            "resources": self.resources,
            "detail": self.detail,
        });
        Bytes::from(event.to_string())
    }
}

/// Invokes every function with a rule that matches the event, waits until all have processed it or
/// none of Lambda's tries is left, and returns how many functions there are. `value` says what the
/// rules' references stand for.
pub(crate) async fn publish(
    event: &Event,
    functions: &[Function],
    lambda: &Lambda,
    value: impl Fn(&Reference) -> Option<String>,
) -> Result<usize, InvokeError> {
    let wants = |function: &&Function| {
        function.rules.iter().any(|rule| {
            rule.matches(event.source, event.detail_type)
                && rule.matches_detail(&event.detail, &value)
        })
    };
    let payload = event.payload();
    let taken = functions
        .iter()
        .filter(wants)
        .map(|function| asynchronous::invoke(function, &payload, Duration::ZERO, lambda));
    let taken = futures_util::future::try_join_all(taken).await?;

    Ok(taken.len())
}
