//! The log: one JSON object a line on stdout, where Lambda reads it.

use std::fmt;
use std::panic::PanicHookInfo;

use chrono::SecondsFormat;
use serde_json::{Map, Value, json};
use tracing::{Event, Level, Subscriber};
use tracing_serde::fields::AsMap;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::prelude::*;
use tracing_subscriber::registry::LookupSpan;

use super::invocation;
use super::members::Members;
use crate::{clock, settings};

/// The targets that may be logged below `info`: our own code. The libraries log whole requests and
/// events there, with what customers write and the keys that sign it.
const OWN_TARGETS: [&str; 14] = [
    "attachments",
    "chat_socket",
    "deliver_chat",
    "deliver_email",
    "deliver_webhook",
    "deliver_whatsapp",
    "platform",
    "publish_events",
    "read_messages",
    "receipts_email",
    "receipts_whatsapp",
    "send_message",
    "sweep_outbox",
    "webhook_endpoints",
];

/// The target of the span that Lambda's runtime makes for each invocation. Our lines show no spans:
/// they have the invocation's members.
const RUNTIME_SPAN: &str = "lambda_runtime::layers::trace";

/// Starts logging, at `LOG_LEVEL` ([targets and levels](Targets), `info` if it is left out or
/// wrong). Whatever it says, libraries are not logged below `info`: that is a filter of its own,
/// because of one filter's targets the most specific wins.
pub fn init() {
    let configured = settings::optional("LOG_LEVEL").and_then(|levels| levels.parse().ok());
    let levels = configured
        .unwrap_or_else(|| Targets::new().with_default(Level::INFO))
        .with_target(RUNTIME_SPAN, LevelFilter::OFF);
    // Only where it is needed: while a filter lets anything below `info` pass, each of the hundreds
    // of places where libraries may log asks all filters once.
    let most = levels.iter().map(|(_, level)| level).chain(levels.default_level()).max();
    let cap = (most > Some(LevelFilter::INFO)).then(|| {
        let targets = OWN_TARGETS.map(|target| (target, Level::TRACE));
        Targets::new().with_default(Level::INFO).with_targets(targets)
    });

    let lines = tracing_subscriber::fmt::layer().event_format(Lines);
    let started = tracing_subscriber::registry().with(lines).with(levels).with(cap).try_init();
    drop(started); // A second start, as tests do, changes nothing.
    std::panic::set_hook(Box::new(log_panic));
}

/// Logs where a panic was. Its message stays out of the log: it may hold a customer's text.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let place = panic.location().map(ToString::to_string);
    tracing::error!(place, "panicked");
}

/// Makes a line of the log: its own members, when and where it was written, and the invocation's
/// members.
pub(super) fn line(level: Level, location: &str, mut members: Map<String, Value>) -> String {
    let time = clock::of_the_log().to_rfc3339_opts(SecondsFormat::Millis, true);
    members.insert("timestamp".to_owned(), json!(time));
    members.insert("level".to_owned(), json!(level.as_str()));
    members.insert("location".to_owned(), json!(location));
    invocation::with_members(|shared| Members { own: &members, shared }.to_line())
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
        writer.write_str(&line(*metadata.level(), &location, members))
    }
}
