//! The log: one JSON object a line on stdout, which is where Lambda takes them from.

use crate::settings;
use tracing_subscriber::EnvFilter;

/// What these log below `info` are whole requests and events, with everything in them.
const QUIET: [&str; 7] = [
    "aws_smithy_runtime=info",
    "aws_smithy_http_client=info",
    "aws_sigv4=info",
    "hyper=info",
    "hyper_util=info",
    "lambda_http=info",
    "lambda_runtime=info",
];

/// Starts logging, at `LOG_LEVEL` (a [filter](EnvFilter), `info` if it is left out or wrong).
pub fn init() {
    let filter = settings::optional("LOG_LEVEL").and_then(|level| EnvFilter::try_new(level).ok());
    let filter = QUIET.iter().fold(filter.unwrap_or_else(|| EnvFilter::new("info")), |filter, quiet| {
        filter.add_directive(quiet.parse().expect("a directive"))
    });
    let started = tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_env_filter(filter)
        .try_init();
    drop(started); // A second start, as tests do, changes nothing.
}
