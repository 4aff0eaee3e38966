//! The functions' logs: JSON lines are shown as a person reads them, or kept for a test.

use std::fmt;
use std::fs::File;
use std::future::Future;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use anstyle::{AnsiColor, Style};
use chrono::{SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{ChildStderr, ChildStdout};
use uuid::Uuid;

use super::invocation::FunctionError;
use crate::traffic::HttpRequest;

/// The destination of functions' logs. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Logs(Destination);

#[derive(Debug, Clone, Default)]
enum Destination {
    #[default]
    Nowhere,
    Terminal(Terminal),
    Memory(Arc<Mutex<Vec<LogLine>>>),
}

/// Logs on a terminal.
#[derive(Debug, Clone, Default)]
struct Terminal {
    /// Whether only warnings and errors are shown.
    is_quiet: bool,
    /// A file that gets every line as JSON.
    file: Option<Arc<Mutex<File>>>,
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
    /// Writes logs to standard error, in colour if that is a terminal, and with ids that are cut.
    /// A quiet one shows warnings and errors alone. The file gets every line as JSON.
    pub fn terminal(is_quiet: bool, file: Option<File>) -> Self {
        let file = file.map(|file| Arc::new(Mutex::new(file)));
        Self(Destination::Terminal(Terminal { is_quiet, file }))
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
            Destination::Nowhere | Destination::Terminal(_) => Vec::new(),
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

    /// Logs that a function's role does not allow what the function asked AWS for.
    pub(crate) fn access_denied(&self, function: &str, message: &str) {
        let line = json!({ "level": "ERROR", "message": message, "error_type": "AccessDenied" });
        self.write(function, &line.to_string());
    }

    fn write(&self, function: &str, text: &str) {
        match &self.0 {
            Destination::Nowhere => {}
            Destination::Terminal(terminal) => terminal.write(function, text),
            Destination::Memory(lines) => lines
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(LogLine { function: function.to_owned(), text: text.to_owned() }),
        }
    }

    /// Logs a request to the HTTP API. Tests read what functions wrote, and nothing else.
    pub(crate) fn note_request(&self, request: &HttpRequest) {
        if let Destination::Terminal(terminal) = &self.0 {
            terminal.write_request(request);
        }
    }
}

impl Terminal {
    fn write(&self, function: &str, text: &str) {
        let event = serde_json::from_str::<Map<String, Value>>(text);
        match &event {
            Ok(_) => self.keep(text),
            Err(_) => {
                let timestamp = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
                let line = json!({ "timestamp": timestamp, "level": "INFO",
                    "service": function, "message": text });
                self.keep(&line.to_string());
            }
        }

        let level = event.as_ref().ok().and_then(|event| event.get("level")?.as_str());
        let is_loud = matches!(level, Some("ERROR" | "WARN"));
        if !is_record(text) && (is_loud || !self.is_quiet) {
            show(&render(function, text));
        }
    }

    fn write_request(&self, request: &HttpRequest) {
        let HttpRequest { at, method, path, status, ms, .. } = request;
        let timestamp = at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let line = json!({ "timestamp": timestamp, "level": "INFO", "message": "request",
            "method": method, "path": path, "status": status, "ms": ms });
        self.keep(&line.to_string());

        if !self.is_quiet {
            show(&render_request(request));
        }
    }

    /// Writes a line to the file. A disk that is full must not end the system.
    fn keep(&self, line: &str) {
        if let Some(file) = &self.file {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = writeln!(file, "{line}");
        }
    }
}

/// Shows a line with the time. A terminal that is gone must not end the system.
fn show(line: &str) {
    let time = paint(&Utc::now().format("%H:%M:%S").to_string(), Style::new().dimmed());
    let _ = writeln!(anstream::stderr(), "{time}  {}", with_short_ids(line));
}

/// Formats a request: `api               POST /api/v1/conversations/…/messages  201  31 ms`.
fn render_request(request: &HttpRequest) -> String {
    let HttpRequest { method, path, status, ms, .. } = request;
    let name = paint(&format!("{:NAME_WIDTH$}", "api"), Style::new().bold());
    let style = match status {
        500.. => AnsiColor::Red.on_default().bold(),
        400.. => AnsiColor::Yellow.on_default(),
        _ => AnsiColor::Green.on_default(),
    };
    format!("{name}  {method} {path}  {}  {ms} ms", paint(&status.to_string(), style))
}

/// Cuts each id: `3cddba3a-e67e-49a2-bb42-373a66612335` to `3cddba3a…2335`.
fn with_short_ids(text: &str) -> String {
    const LENGTH: usize = 36;
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let word = rest.get(..LENGTH).filter(|_| first.is_ascii_hexdigit());
        let length = match word.filter(|word| Uuid::try_parse(word).is_ok()) {
            Some(id) => {
                shown.extend([&id[..8], "…", &id[LENGTH - 4..]]);
                LENGTH
            }
            None => {
                shown.push(first);
                first.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    shown
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
    fn a_request_is_one_line_and_ids_are_cut() {
        let id = "3cddba3a-e67e-49a2-bb42-373a66612335";
        let request = HttpRequest {
            number: 1,
            at: Utc::now(),
            method: "POST".into(),
            path: format!("/api/v1/conversations/{id}/messages"),
            status: 201,
            ms: 31,
        };
        let line = anstream::adapter::strip_str(&render_request(&request)).to_string();
        assert_eq!(
            with_short_ids(&line),
            "api               POST /api/v1/conversations/3cddba3a…2335/messages  201  31 ms"
        );
        assert_eq!(with_short_ids("no ïd 3cddba3a-e67e"), "no ïd 3cddba3a-e67e");
    }

    #[test]
    fn a_file_gets_every_line_as_json_with_whole_ids() {
        let path = std::env::temp_dir().join(format!("log-{}", Uuid::new_v4()));
        let file = File::options().create(true).append(true).open(&path).unwrap();
        let logs = Logs::terminal(true, Some(file));
        let id = "3cddba3a-e67e-49a2-bb42-373a66612335";
        logs.write("send-message", &json!({ "level": "INFO", "message": id }).to_string());
        logs.write("send-message", id);

        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        assert!(lines.map(|line| line["message"].clone()).eq([json!(id), json!(id)]));
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
