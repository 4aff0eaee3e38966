//! Output of results: tables for people, JSON for scripts, and a progress line for long commands.

mod table;

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::Value;

use crate::failure::Failure;
use platform::settings;
use table::{TableText, format_fields, format_table, wrap};

const ERROR_STYLE: Style = AnsiColor::Red.on_default().bold();
const CODE_STYLE: Style = AnsiColor::Cyan.on_default();

/// Result of a command: what it found or did.
#[derive(Debug)]
pub(crate) struct Report {
    json: Value,
    blocks: Vec<Block>,
    exit_status: ExitStatus,
}

/// Exit status of a command that has a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ExitStatus {
    Done = 0,
    Incomplete = 1,
    FoundProblems = 2,
}

#[derive(Debug)]
enum Block {
    Text(String),
    Error(String),
    Code(String),
    Fields(Vec<(String, String)>),
    Table { heading: Vec<&'static str>, rows: Vec<Vec<String>> },
}

impl Report {
    /// Creates a report that prints `json` for `--json`.
    pub(crate) fn new(json: impl Serialize) -> Report {
        let json = serde_json::to_value(json).expect("reports are maps with text keys");
        Report { json, blocks: Vec::new(), exit_status: ExitStatus::Done }
    }

    /// Adds a sentence.
    pub(crate) fn text(mut self, text: impl Into<String>) -> Report {
        self.blocks.push(Block::Text(text.into()));
        self
    }

    /// Adds code to copy.
    pub(crate) fn code(mut self, code: impl Into<String>) -> Report {
        self.blocks.push(Block::Code(code.into()));
        self
    }

    /// Adds a table with a heading, unless it has no rows. A column without values is not shown.
    pub(crate) fn table<const N: usize>(
        mut self,
        heading: [&'static str; N],
        rows: Vec<[String; N]>,
    ) -> Report {
        if !rows.is_empty() {
            let rows = rows.into_iter().map(Vec::from).collect();
            self.blocks.push(Block::Table { heading: heading.to_vec(), rows });
        }
        self
    }

    /// Adds a table of names and values.
    pub(crate) fn fields(mut self, fields: Vec<(&str, String)>) -> Report {
        let fields = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        self.blocks.push(Block::Fields(fields));
        self
    }

    /// Sets exit status 2 if the command found problems; an error before or after outranks that.
    pub(crate) fn found_problems(mut self, found: bool) -> Report {
        if self.exit_status != ExitStatus::Incomplete {
            self.exit_status = if found { ExitStatus::FoundProblems } else { ExitStatus::Done };
        }
        self
    }

    /// Adds the error that ended the command before all of its work was done.
    pub(crate) fn error(mut self, error: impl Into<String>) -> Report {
        self.blocks.push(Block::Error(error.into()));
        self.exit_status = ExitStatus::Incomplete;
        self
    }

    pub(crate) fn exit_code(&self) -> u8 {
        self.exit_status as u8
    }

    /// Prints the report, without colours if the output is not a terminal. Tables fit a terminal's
    /// width unless they are asked for in full.
    pub(crate) fn print(&self, json: bool, wide: bool) {
        if json {
            anstream::println!("{:#}", self.json);
            return;
        }

        let width = if wide { None } else { terminal_width() };
        let mut has_short_ids = false;
        for block in &self.blocks {
            match block {
                Block::Text(text) => {
                    anstream::println!("{}", wrap(text, width.unwrap_or(usize::MAX)).join("\n"));
                }
                Block::Error(error) => {
                    anstream::println!("{ERROR_STYLE}error:{ERROR_STYLE:#} {error}");
                }
                Block::Code(code) => anstream::println!("{CODE_STYLE}{code}{CODE_STYLE:#}"),
                Block::Fields(fields) => anstream::println!("{}", format_fields(fields, width)),
                Block::Table { heading, rows } => {
                    let TableText { text, has_short_ids: shortened } =
                        format_table(heading, rows, width);
                    has_short_ids |= shortened;
                    anstream::println!("{text}");
                }
            }
        }

        if has_short_ids {
            anstream::println!("Ids are shortened to their ends; --wide shows them in full.");
        }
    }
}

/// Returns the columns of the terminal, if the output is one; `COLUMNS` says otherwise.
fn terminal_width() -> Option<usize> {
    let said = settings::optional("COLUMNS").and_then(|columns| columns.parse().ok());
    let terminal = console::Term::stdout();
    said.filter(|columns| *columns > 0).or_else(|| {
        let (_, columns) = terminal.is_term().then(|| terminal.size_checked()).flatten()?;
        Some(usize::from(columns))
    })
}

/// Prints why a command has no report.
pub(crate) fn print_error(failure: &Failure) {
    anstream::eprintln!("{ERROR_STYLE}error:{ERROR_STYLE:#} {failure}");
}

/// Progress of a long command, shown on a terminal.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Creates a progress line; a silent one draws nothing.
    pub(crate) fn new(silent: bool) -> Progress {
        let target =
            if silent { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        Progress::on(target)
    }

    /// Draws on `target`. indicatif shows the message only in the style of a spinner.
    fn on(target: ProgressDrawTarget) -> Progress {
        let style = ProgressStyle::default_spinner();
        Progress(ProgressBar::with_draw_target(None, target).with_style(style))
    }

    /// Counts `count` more of `what` as done.
    pub(crate) fn advance(&self, count: usize, what: &'static str) {
        self.0.inc(count as u64);
        self.0.set_message(format!("{} {what}", self.0.position()));
        self.0.tick();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// Formats a value, or a dash if there is none.
pub(crate) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| value.to_string())
}

/// Formats a reason with the provider's own code, if it gave one.
pub(crate) fn with_provider_code(code: &str, provider_code: Option<&str>) -> String {
    provider_code.map_or_else(|| code.to_owned(), |provider| format!("{code} ({provider})"))
}

/// Formats a time as RFC 3339 in UTC.
pub(crate) fn time(at: chrono::DateTime<chrono::Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

/// Returns the API's word for a value, such as a status or an outcome.
pub(crate) fn wire_name(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(name)) => name,
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use indicatif::TermLike;

    use super::*;

    /// A terminal that records what is written.
    #[derive(Debug, Clone, Default)]
    struct RecordingTerminal(Arc<Mutex<String>>);

    impl TermLike for RecordingTerminal {
        fn width(&self) -> u16 {
            80
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, line: &str) -> io::Result<()> {
            self.write_str(line)
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().expect("one thread").push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn progress_says_how_many_of_what_are_done() {
        let terminal = RecordingTerminal::default();
        let progress = Progress::on(ProgressDrawTarget::term_like(Box::new(terminal.clone())));
        progress.advance(7, "items read");
        progress.advance(35, "items read");
        drop(progress);
        let drawn = terminal.0.lock().expect("one thread").clone();
        assert!(drawn.contains("42 items read"), "{drawn}");
    }

    #[test]
    fn an_error_outranks_problems_that_were_found() {
        let report = || Report::new(serde_json::json!({}));
        assert_eq!(report().exit_code(), 0);
        assert_eq!(report().found_problems(true).exit_code(), 2);
        assert_eq!(report().error("it").found_problems(true).exit_code(), 1);
        assert_eq!(report().error("it").exit_code(), 1);
    }
}
