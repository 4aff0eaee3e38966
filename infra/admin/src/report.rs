//! How results look: tables for people, JSON for scripts, progress for the patient.

use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
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
    ending: Ending,
}

/// How a command ended that has something to tell, and its exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Done = 0,
    Broken = 1,
    Alarming = 2,
}

#[derive(Debug)]
enum Block {
    Line(String),
    Bad(String),
    Code(String),
    Table(Vec<&'static str>, Vec<Vec<String>>),
}

impl Report {
    /// A report whose `--json` is this.
    pub(crate) fn of(json: impl Serialize) -> Report {
        let json = serde_json::to_value(json).expect("reports are maps with text keys");
        Report { json, blocks: Vec::new(), ending: Ending::Done }
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
    pub(crate) fn table<const N: usize>(
        mut self,
        heading: [&'static str; N],
        rows: Vec<[String; N]>,
    ) -> Report {
        if !rows.is_empty() {
            self.blocks
                .push(Block::Table(heading.to_vec(), rows.into_iter().map(Vec::from).collect()));
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
        if self.ending != Ending::Broken {
            self.ending = if alarming { Ending::Alarming } else { Ending::Done };
        }
        self
    }

    /// What ended the command before it was done with everything.
    pub(crate) fn broken(mut self, why: impl Into<String>) -> Report {
        self.blocks.push(Block::Bad(why.into()));
        self.ending = Ending::Broken;
        self
    }

    pub(crate) fn exit_code(&self) -> u8 {
        self.ending as u8
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
                Block::Bad(line) => anstream::println!("{BAD}error:{BAD:#} {line}"),
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
        let target =
            if silent { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        Progress::on(target)
    }

    /// Of no style but a spinner's, indicatif draws the message.
    fn on(target: ProgressDrawTarget) -> Progress {
        Progress(
            ProgressBar::with_draw_target(None, target)
                .with_style(ProgressStyle::default_spinner()),
        )
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

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use indicatif::TermLike;

    use super::*;

    /// A terminal that keeps what is written.
    #[derive(Debug, Clone, Default)]
    struct Kept(Arc<Mutex<String>>);

    impl TermLike for Kept {
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
        let terminal = Kept::default();
        let progress = Progress::on(ProgressDrawTarget::term_like(Box::new(terminal.clone())));
        progress.more(7, "items read");
        progress.more(35, "items read");
        drop(progress);
        let drawn = terminal.0.lock().expect("one thread").clone();
        assert!(drawn.contains("42 items read"), "{drawn}");
    }

    #[test]
    fn what_broke_weighs_more_than_what_was_found() {
        let report = || Report::of(serde_json::json!({}));
        assert_eq!([report().exit_code(), report().alarming(true).exit_code()], [0, 2]);
        assert_eq!(
            [report().broken("it").alarming(true).exit_code(), report().broken("it").exit_code()],
            [1, 1]
        );
    }
}
