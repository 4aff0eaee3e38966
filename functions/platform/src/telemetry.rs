//! Logs: one JSON object a line on stdout, which is where Lambda takes them from. No token, text, address or phone
//! number is ever a field of any of them.

use crate::settings;
use tracing_subscriber::EnvFilter;

/// Starts logging, at `LOG_LEVEL` (a [filter](EnvFilter), `info` if it is left out or wrong).
pub fn init() {
    let filter = settings::optional("LOG_LEVEL").and_then(|level| EnvFilter::try_new(level).ok());
    let started = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_env_filter(filter.unwrap_or_else(|| EnvFilter::new("info")))
        .try_init();
    drop(started); // A second start, as tests do, changes nothing.
}
