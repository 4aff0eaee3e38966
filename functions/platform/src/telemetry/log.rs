//! The log: one JSON object a line on stdout, which is where Lambda takes them from.

use std::fmt;

use chrono::SecondsFormat;
use serde_json::{Map, Value, json};
use tracing::{Event, Level, Subscriber};
use tracing_serde::fields::AsMap;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::invocation;
use crate::{clock, settings};

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
    let filter =
        QUIET.iter().fold(filter.unwrap_or_else(|| EnvFilter::new("info")), |filter, quiet| {
            filter.add_directive(quiet.parse().expect("a directive"))
        });
    let started = tracing_subscriber::fmt().event_format(Lines).with_env_filter(filter).try_init();
    drop(started); // A second start, as tests do, changes nothing.
}

/// A line of the log: its own members, when and where it was written, and what is known of the
/// invocation.
pub(super) fn line(level: Level, location: &str, mut members: Map<String, Value>) -> Value {
    let time = clock::of_the_log().to_rfc3339_opts(SecondsFormat::Millis, true);
    members.insert("timestamp".to_owned(), json!(time));
    members.insert("level".to_owned(), json!(level.as_str()));
    members.insert("location".to_owned(), json!(location));
    invocation::tell(&mut members);
    Value::Object(members)
}

/// Writes each event as one of our lines.
struct Lines;

impl<S: Subscriber + for<'a> LookupSpan<'a>, N: for<'a> FormatFields<'a> + 'static>
    FormatEvent<S, N> for Lines
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let location = format!(
            "{}:{}",
            metadata.file().unwrap_or(metadata.target()),
            metadata.line().unwrap_or_default()
        );
        let members = match serde_json::to_value(event.field_map()) {
            Ok(Value::Object(members)) => members,
            _ => Map::new(),
        };
        writeln!(writer, "{}", line(*metadata.level(), &location, members))
    }
}
