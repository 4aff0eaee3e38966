//! EventBridge's default bus: takes events and invokes the functions whose rules they match.

use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::account::{ACCOUNT_ID, REGION};
use crate::lambda::{InvokeError, Lambda};
use crate::template::Function;

/// Waits before Lambda invokes a function again that failed on an event. On AWS they are one and
/// two minutes:
/// <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html>.
const RETRIES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(2)];

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
/// none of Lambda's tries is left, and returns how many functions there are.
pub(crate) async fn publish(
    event: &Event,
    functions: &[Function],
    lambda: &Lambda,
) -> Result<usize, InvokeError> {
    let wants = |function: &&Function| {
        function.rules.iter().any(|rule| rule.matches(event.source, event.detail_type))
    };
    let payload = event.payload();
    let taken = functions
        .iter()
        .filter(wants)
        .map(|function| deliver(&function.logical_id, &payload, lambda));
    let taken = futures_util::future::try_join_all(taken).await?;

    Ok(taken.len())
}

async fn deliver(function: &str, payload: &Bytes, lambda: &Lambda) -> Result<(), InvokeError> {
    for wait in RETRIES {
        match lambda.invoke(function, payload.clone()).await {
            Err(InvokeError::Function(_)) => tokio::time::sleep(wait).await,
            answer => return answer.map(drop),
        }
    }
    lambda.invoke(function, payload.clone()).await.map(drop)
}
