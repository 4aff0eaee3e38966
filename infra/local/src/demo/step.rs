//! The common part of the demo's steps: their error, their time limit, and reading values.

use std::time::{Duration, Instant};

use serde_json::Value;

/// Longest wait for anything, before the demo gives up.
pub(super) const TIME_LIMIT: Duration = Duration::from_secs(10);

/// A sentence about the step that failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct DemoError(pub(super) String);

/// Returns a JSON value's text.
pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

/// Returns the milliseconds since then.
pub(super) fn milliseconds(since: Instant) -> u128 {
    since.elapsed().as_millis()
}

/// Waits for a future within the time limit.
pub(super) async fn within<T>(
    future: impl Future<Output = T>,
    or_else: &str,
) -> Result<T, DemoError> {
    let late = |_| DemoError(format!("{or_else} within {} s.", TIME_LIMIT.as_secs()));
    tokio::time::timeout(TIME_LIMIT, future).await.map_err(late)
}
