//! How results look: tables for people, JSON for scripts, progress for the patient.

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget};
use serde::Serialize;
use serde_json::Value;

/// What went wrong.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What can be copied.
const CODE: Style = AnsiColor::Cyan.on_default();

/// What a command found or did.
#[derive(Debug)]
pub(crate) struct Report {
    json: Value,
    blocks: Vec<Block>,
    alarming: bool,
}

#[derive(Debug)]
enum Block {
    Line(String),
    Code(String),
    Table(Vec<&'static str>, Vec<Vec<String>>),
}

impl Report {
    /// A report whose `--json` is this.
    pub(crate) fn of(json: impl Serialize) -> Report {
        let json = serde_json::to_value(json).expect("reports are maps with text keys");
        Report { json, blocks: Vec::new(), alarming: false }
    }

    /// A sentence.
    pub(crate) fn line(mut self, line: impl Into<String>) -> Report {
        self.blocks.push(Block::Line(line.into()));
        self
    }

    /// Something to be copied.
    pub(crate) fn code(mut self, code: impl Into<String>) -> Report {
        self.blocks.push(Block::Code(code.into()));
        self
    }

    /// A table with a heading; nothing if it has no rows.
    pub(crate) fn table<const N: usize>(mut self, heading: [&'static str; N], rows: Vec<[String; N]>) -> Report {
        if !rows.is_empty() {
            self.blocks.push(Block::Table(heading.to_vec(), rows.into_iter().map(Vec::from).collect()));
        }
        self
    }

    /// A table of names and values.
    pub(crate) fn fields(mut self, fields: Vec<(&str, String)>) -> Report {
        let rows = fields.into_iter().map(|(name, value)| vec![name.to_owned(), value]).collect();
        self.blocks.push(Block::Table(Vec::new(), rows));
        self
    }

    /// Whether what was found should not be.
    pub(crate) fn alarming(mut self, alarming: bool) -> Report {
        self.alarming = alarming;
        self
    }

    pub(crate) fn is_alarming(&self) -> bool {
        self.alarming
    }

    /// Prints it, without colours where nobody sees them.
    pub(crate) fn print(&self, json: bool) {
        if json {
            anstream::println!("{:#}", self.json);
            return;
        }
        for block in &self.blocks {
            match block {
                Block::Line(line) => anstream::println!("{line}"),
                Block::Code(code) => anstream::println!("{CODE}{code}{CODE:#}"),
                Block::Table(heading, rows) => anstream::println!("{}", table(heading, rows)),
            }
        }
    }
}

fn table(heading: &[&'static str], rows: &[Vec<String>]) -> String {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING);
    if !heading.is_empty() {
        table.set_header(heading);
    }
    table.add_rows(rows);
    table.trim_fmt()
}

/// Tells, on a terminal, how far long work has come.
pub(crate) struct Progress(ProgressBar);

impl Progress {
    /// Silent for scripts, and where nobody looks.
    pub(crate) fn new(silent: bool) -> Progress {
        let target = if silent { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        Progress(ProgressBar::with_draw_target(None, target))
    }

    /// So many more of `what` are done.
    pub(crate) fn more(&self, count: usize, what: &'static str) {
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

/// A value, or a dash.
pub(crate) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| value.to_string())
}

/// A time as people and scripts read it.
pub(crate) fn time(at: chrono::DateTime<chrono::Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}

/// A word as the API has it: a status, an ending.
pub(crate) fn word(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}
