//! The console blocks of the root README: runs each command and compares its output with the block.
//!
//! Ids, times, ports and durations differ from run to run ([`general`] lists them); every other
//! word must be the README's. A line `…` in a block stands for any number of lines.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use chrono::{DateTime, NaiveDate};
use uuid::Uuid;

use tests::{functions_under_test, send_signal};

/// How long a message may take to reach the customer, and the system to start.
const PATIENCE: Duration = Duration::from_secs(20);

/// Begins the banner's line that a reader pastes into a second terminal.
const EXPORT: &str = "export API=";

/// The last line of the banner begins so.
const LAST_LINE: &str = "  Ctrl-C";

/// A command of the README, and the lines that follow it there.
struct Step {
    command: String,
    output: Vec<String>,
}

/// `cargo local`, as a reader has it running in the first terminal.
struct Running {
    process: Child,
    banner: Vec<String>,
}

#[test]
fn every_console_block_is_what_happens() {
    let readme = std::fs::read_to_string(root().join("README.md")).expect("a README");
    let steps = steps(&readme);
    assert!(steps.iter().any(|step| step.command == "cargo local"), "the README starts nothing");
    let curl = has_curl();

    let mut running = None;
    for step in steps {
        match step.command.as_str() {
            "cargo local demo" => {
                let demo = local().arg("demo").output().expect("it is built");
                assert!(demo.status.success(), "{}", String::from_utf8_lossy(&demo.stderr));
                compare(&step, &lines(&demo)).unwrap_or_else(|fault| panic!("{fault}"));
            }
            "cargo local" => {
                let started = Running::start();
                compare(&step, &started.banner).unwrap_or_else(|fault| panic!("{fault}"));
                running = Some(started);
            }
            _ if curl => {
                let running = running.as_ref().expect("`cargo local` stands before its calls");
                running.until_it_answers(&step);
            }
            skipped => eprintln!("not run, since there is no curl: {skipped}"),
        }
    }
}

/// The commands of all console blocks, in order.
fn steps(readme: &str) -> Vec<Step> {
    let blocks = readme.split("```console\n").skip(1);
    let mut steps: Vec<Step> = Vec::new();
    for block in blocks.map(|rest| rest.split("```").next().unwrap_or_default()) {
        for line in block.lines() {
            match (line.strip_prefix("$ "), steps.last_mut()) {
                (Some(command), _) => {
                    steps.push(Step { command: command.to_owned(), output: Vec::new() });
                }
                (None, Some(step)) if step.command.ends_with('\\') => {
                    step.command += &format!("\n{line}");
                }
                (None, Some(step)) => step.output.push(line.to_owned()),
                (None, None) => panic!("a console block begins with a command, not with {line:?}"),
            }
        }
    }
    steps
}

/// Compares what happened with the README; the error shows both.
fn compare(step: &Step, happened: &[String]) -> Result<(), String> {
    let expected: Vec<String> = step.output.iter().map(|line| general(line)).collect();
    let happened: Vec<String> = happened.iter().map(|line| general(line)).collect();
    if matches(trimmed(&expected), trimmed(&happened)) {
        return Ok(());
    }
    Err(format!(
        "README.md does not show what happens; correct the block.\n\n$ {}\n\nREADME.md:\n{}\n\nwhat happens:\n{}\n",
        step.command,
        expected.join("\n"),
        happened.join("\n")
    ))
}

/// True if the lines are the same; `…` stands for any number of lines.
fn matches(expected: &[String], happened: &[String]) -> bool {
    match expected.split_first() {
        None => happened.is_empty(),
        Some((line, rest)) if line == "…" => {
            (0..=happened.len()).any(|skipped| matches(rest, &happened[skipped..]))
        }
        Some((line, rest)) => happened.first() == Some(line) && matches(rest, &happened[1..]),
    }
}

/// Without the blank lines at both ends.
fn trimmed(lines: &[String]) -> &[String] {
    let first = lines.iter().position(|line| !line.is_empty()).unwrap_or(lines.len());
    let last = lines.iter().rposition(|line| !line.is_empty()).map_or(first, |index| index + 1);
    &lines[first..last]
}

/// A line with every word that differs from run to run replaced.
fn general(line: &str) -> String {
    let mut general = String::new();
    let mut rest = line.trim_end();
    while !rest.is_empty() {
        let end = rest.find(|c: char| !is_of_a_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        general += general_word(word, after);
        let next = after.find(is_of_a_word).unwrap_or(after.len());
        general += &after[..next];
        rest = &after[next..];
    }
    general
}

fn is_of_a_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.:".contains(c)
}

/// Ids, times, months, local addresses, credentials and durations; every other word as it is.
fn general_word<'a>(word: &'a str, after: &str) -> &'a str {
    let is_duration = after.starts_with(" ms") || after.starts_with(" s");
    if Uuid::parse_str(word).is_ok() {
        "<id>"
    } else if DateTime::parse_from_rfc3339(word).is_ok() {
        "<time>"
    } else if NaiveDate::parse_from_str(&format!("{word}-01"), "%Y-%m-%d").is_ok() {
        "<month>"
    } else if word.starts_with("127.0.0.1:") {
        "<address>"
    } else if word.starts_with("pbk_") || word.starts_with("eyJ") {
        "<credential>"
    } else if is_duration && word.parse::<f64>().is_ok() {
        "<duration>"
    } else {
        word
    }
}

impl Running {
    /// Starts it on free ports and reads its banner.
    fn start() -> Running {
        let mut command = local();
        command.args(["--port", "0"]).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().expect("it is built");
        let mut banner = Vec::new();
        let output = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut output = output.lines().map_while(Result::ok);
        for line in output.by_ref() {
            banner.push(line);
            if banner.last().is_some_and(|line| line.starts_with(LAST_LINE)) {
                break;
            }
        }
        std::thread::spawn(move || output.for_each(drop)); // until it ends
        let running = Running { process, banner };
        assert!(!running.export().is_empty(), "no line {EXPORT}… in {:#?}", running.banner);
        running
    }

    /// The line that a reader pastes.
    fn export(&self) -> &str {
        let mut lines = self.banner.iter().map(|line| line.trim());
        lines.find(|line| line.starts_with(EXPORT)).unwrap_or_default()
    }

    /// The address that the banner has behind a label.
    fn address(&self, label: &str) -> &str {
        let line = self.banner.iter().find_map(|line| line.trim().strip_prefix(label));
        let word = line.and_then(|line| line.split_whitespace().next()).unwrap_or_default();
        word.split("//").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default()
    }

    /// Runs a command in a shell, with the addresses of this run.
    fn shell(&self, command: &str) -> Vec<String> {
        let command = command
            .replace("127.0.0.1:3000", self.address("API"))
            .replace("127.0.0.1:3002", self.address("Sandbox"));
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("{}\n{command}", self.export()));
        shell.current_dir(root()).env("no_proxy", "*").stdin(Stdio::null());
        lines(&shell.output().expect("a shell"))
    }

    /// Runs a call of the README. One that only reads is repeated until it answers what the README
    /// shows: a reader types more slowly than a message travels.
    fn until_it_answers(&self, step: &Step) {
        let begun = Instant::now();
        let only_reads = !step.command.contains(" -d ");
        loop {
            match compare(step, &self.shell(&step.command)) {
                Ok(()) => return,
                Err(_) if only_reads && begun.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_millis(50));
                }
                Err(fault) => panic!("{fault}"),
            }
        }
    }
}

impl Drop for Running {
    /// Stops it as Ctrl-C does.
    fn drop(&mut self) {
        send_signal(self.process.id(), "TERM");
        let _ = self.process.wait();
    }
}

/// The program behind `cargo local`, which cargo builds for the tests anyway.
fn local() -> Command {
    let mut command = Command::new(functions_under_test());
    command.current_dir(root()).stdin(Stdio::null());
    command
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package is a folder of the root")
}

fn lines(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(str::to_owned).collect()
}

/// True if there is a curl; in CI it may not be missing.
fn has_curl() -> bool {
    let found =
        Command::new("curl").arg("--version").output().is_ok_and(|run| run.status.success());
    let is_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(found || !is_ci, "the README's calls need curl, which is not on the PATH");
    found
}

#[test]
fn another_word_is_a_difference() {
    let step = |output: &[&str]| Step {
        command: String::new(),
        output: output.iter().map(|line| (*line).to_owned()).collect(),
    };
    let happened = ["up in 12 ms", "a", "b", "201 3cddba3a-e67e-49a2-bb42-373a66612335"];
    let happened = happened.map(str::to_owned);
    let shown = ["up in 183 ms", "…", "201 01a2237e-bd2d-7000-8000-05f7dc49e83b"];
    assert!(compare(&step(&shown), &happened).is_ok());
    assert!(compare(&step(&["up in 183 ms", "…", "201"]), &happened).is_err());
    assert!(compare(&step(&["started in 183 ms", "…"]), &happened).is_err());
    assert!(compare(&step(&shown[..2]), &happened[..1]).is_ok());
    assert!(compare(&step(&shown[..1]), &happened).is_err());
}
