//! The functions' logs: JSON lines are shown as a person reads them, or kept for a test.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use anstyle::{AnsiColor, Style};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{ChildStderr, ChildStdout};

use super::invocation::FunctionError;

/// The destination of functions' logs. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Logs(Destination);

#[derive(Debug, Clone, Default)]
enum Destination {
    #[default]
    Nowhere,
    Terminal,
    Memory(Arc<Mutex<Vec<LogLine>>>),
}

/// A line that a function wrote.
#[derive(Debug, Clone, PartialEq)]
pub struct LogLine {
    /// The function's folder, `send-message`.
    pub function: String,
    /// The line as it was written.
    pub text: String,
}

impl LogLine {
    /// Returns whether it is a record of metrics, which repeats other lines.
    pub fn is_record(&self) -> bool {
        is_record(&self.text)
    }
}

impl fmt::Display for LogLine {
    /// Formats it for people, with colours.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&render(&self.function, &self.text))
    }
}

/// Width of functions' names, so that their lines are aligned.
const NAME_WIDTH: usize = 16;
/// Members that have a place of their own in the line, or are of no use on a terminal.
const PLACED: &[&str] = &[
    "timestamp",
    "level",
    "location",
    "message",
    "target",
    "fields",
    "span",
    "spans",
    "threadId",
    "service",
    "cold_start",
    "function_name",
    "function_memory_size",
    "function_arn",
    "function_request_id",
    "xray_trace_id",
    "correlation_id",
];

impl Logs {
    /// Writes logs to standard error, in colour if that is a terminal.
    pub fn terminal() -> Self {
        Self(Destination::Terminal)
    }

    /// Keeps logs for [`Logs::lines`].
    pub fn captured() -> Self {
        Self(Destination::Memory(Arc::default()))
    }

    /// Drops logs.
    pub fn discarded() -> Self {
        Self(Destination::Nowhere)
    }

    /// Returns the captured lines in order of arrival.
    pub fn lines(&self) -> Vec<LogLine> {
        match &self.0 {
            Destination::Memory(lines) => {
                lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
            }
            Destination::Nowhere | Destination::Terminal => Vec::new(),
        }
    }

    /// Reads both streams of a worker to their ends; then returns its exit message.
    pub(super) fn follow(
        &self,
        function: &str,
        stdout: Option<ChildStdout>,
        stderr: Option<ChildStderr>,
    ) -> impl Future<Output = String> + use<> {
        let out = tokio::spawn(read(self.clone(), function.to_owned(), stdout));
        let err = tokio::spawn(read(self.clone(), function.to_owned(), stderr));
        async move {
            let _ = out.await;
            err.await.unwrap_or_default()
        }
    }

    /// Logs that a function crashed or was killed, which it cannot log itself.
    pub(super) fn platform_error(&self, function: &str, error: &FunctionError) {
        let line = json!({ "level": "ERROR", "message": error.error_message, "error_type": error.error_type });
        self.write(function, &line.to_string());
    }

    fn write(&self, function: &str, text: &str) {
        match &self.0 {
            Destination::Nowhere => {}
            Destination::Terminal if is_record(text) => {}
            Destination::Terminal => anstream::eprintln!("{}", render(function, text)),
            Destination::Memory(lines) => lines
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(LogLine { function: function.to_owned(), text: text.to_owned() }),
        }
    }
}

/// The last line of a process, and the message of its panic.
#[derive(Debug, Default)]
struct ExitMessage {
    last: String,
    panic: Option<String>,
}

impl ExitMessage {
    fn add_line(&mut self, line: String) {
        // Rust writes "thread 'main' panicked at file:line:" and puts the message on the line
        // below.
        if self.panic.is_none()
            && self.last.starts_with("thread '")
            && self.last.contains(" panicked at ")
        {
            self.panic = Some(line.clone());
        }
        self.last = line;
    }

    fn into_text(self) -> String {
        self.panic.unwrap_or(self.last)
    }
}

/// Reads a stream to its end, and returns its exit message.
async fn read(logs: Logs, function: String, stream: Option<impl AsyncRead + Unpin>) -> String {
    let mut message = ExitMessage::default();
    let Some(stream) = stream else { return String::new() };
    let mut lines = BufReader::new(stream).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        let line = String::from_utf8_lossy(&line).into_owned();
        logs.write(&function, &line);
        message.add_line(line);
    }
    message.into_text()
}

/// Returns whether a line is a record of metrics
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>):
/// it repeats other lines.
fn is_record(text: &str) -> bool {
    serde_json::from_str::<Value>(text).is_ok_and(|line| line.get("_aws").is_some())
}

/// Formats a line: `send-message      INFO  accepted  seq=3`.
fn render(function: &str, text: &str) -> String {
    let name = paint(&format!("{function:NAME_WIDTH$}"), name_style(function));
    let Ok(Value::Object(event)) = serde_json::from_str::<Value>(text) else {
        return format!("{name}  {text}");
    };
    // tracing's JSON puts an event's fields either into `fields` or beside the level.
    let nested = event.get("fields").and_then(Value::as_object).cloned().unwrap_or_default();
    let span = event.get("span").and_then(Value::as_object).cloned().unwrap_or_default();
    let level = event.get("level").and_then(Value::as_str).unwrap_or("INFO").to_owned();
    let message =
        nested.get("message").or_else(|| event.get("message")).map(plain).unwrap_or_default();
    let fields: String = [&event, &nested, &span].into_iter().flat_map(named).collect();
    format!("{name}  {}  {message}{fields}", paint(&format!("{level:5}"), level_style(&level)))
}

fn named(fields: &Map<String, Value>) -> impl Iterator<Item = String> {
    let shown =
        fields.iter().filter(|(name, _)| !PLACED.contains(&name.as_str()) && *name != "name");
    shown.map(|(name, value)| {
        format!("  {}{}", paint(&format!("{name}="), Style::new().dimmed()), plain(value))
    })
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn paint(text: &str, style: Style) -> String {
    format!("{style}{text}{style:#}")
}

/// Returns a function's colour, the same in every run.
fn name_style(function: &str) -> Style {
    const COLOURS: [AnsiColor; 6] = [
        AnsiColor::Cyan,
        AnsiColor::Green,
        AnsiColor::Magenta,
        AnsiColor::Blue,
        AnsiColor::BrightCyan,
        AnsiColor::BrightMagenta,
    ];
    let hash = function
        .bytes()
        .fold(0_usize, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    COLOURS[hash % COLOURS.len()].on_default()
}

fn level_style(level: &str) -> Style {
    match level {
        "ERROR" => AnsiColor::Red.on_default().bold(),
        "WARN" => AnsiColor::Yellow.on_default(),
        "INFO" => Style::new().bold(),
        _ => Style::new().dimmed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        anstream::adapter::strip_str(&render("send-message", text)).to_string()
    }

    #[test]
    fn events_are_shown_as_sentences() {
        let flat = r#"{"timestamp":"2026-03-01T09:05:00Z","level":"INFO","message":"accepted","seq":3,"target":"x"}"#;
        assert_eq!(shown(flat), "send-message      INFO   accepted  seq=3");
        let nested = r#"{"level":"WARN","fields":{"message":"busy","attempt":2},"target":"x","span":{"name":"send","request_id":"r"}}"#;
        assert_eq!(shown(nested), "send-message      WARN   busy  attempt=2  request_id=r");
    }

    #[test]
    fn what_is_the_same_in_every_line_is_not_shown_and_neither_are_sums() {
        let line = r#"{"level":"INFO","message":"sent","channel":"chat","service":"s","cold_start":true,"location":"a.rs:1"}"#;
        assert_eq!(shown(line), "send-message      INFO   sent  channel=chat");
        assert!(
            is_record(r#"{"_aws":{"Timestamp":0},"Sent":1}"#)
                && !is_record(line)
                && !is_record("{")
        );
    }

    #[test]
    fn what_is_no_event_passes_as_it_is() {
        assert_eq!(shown("thread 'main' panicked"), "send-message      thread 'main' panicked");
        assert_eq!(shown("42"), "send-message      42");
    }

    #[test]
    fn a_panic_is_the_last_word() {
        let last = |lines: &[&str]| {
            let mut message = ExitMessage::default();
            lines.iter().for_each(|line| message.add_line((*line).to_owned()));
            message.into_text()
        };

        let panic = [
            "one",
            "thread 'main' (7) panicked at src/x.rs:1:2:",
            "missing header",
            "note: run with RUST_BACKTRACE=1",
        ];

        assert_eq!(last(&panic), "missing header");
        assert_eq!(last(&["one", "two"]), "two");

        assert_eq!(last(&[]), "");
    }
}
