//! A suite: one command that runs its tests as `cargo test` does and closes with a table of what
//! was counted.

use std::process::ExitCode;
use std::sync::{Mutex, PoisonError, RwLock};
use std::time::Instant;

use anstyle::{AnsiColor, Style};
use libtest_mimic::{Arguments, Trial};

use crate::Tally;

const DIM: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default().bold();
const BAD: Style = AnsiColor::Red.on_default().bold();

/// Lines for the end, above the closing table.
static REMARKS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// How many seconds each test took.
static TIMES: Mutex<Vec<(String, f64)>> = Mutex::new(Vec::new());

/// How many of the slowest tests a suite names at its end.
const SLOWEST: usize = 5;

/// Held by every test while it runs, and by one that measures for itself alone.
static MACHINE: RwLock<()> = RwLock::new(());

/// Tests that belong together.
#[derive(Default)]
pub struct Suite {
    name: &'static str,
    trials: Vec<Trial>,
}

/// Keeps a line, or several, for the end of the run: what a test measured, a table of its own.
pub fn remark(text: impl Into<String>) {
    REMARKS.lock().unwrap_or_else(PoisonError::into_inner).push(text.into());
}

/// Returns the smallest of sorted values that so many percent of them do not exceed; `None` if there
/// are none.
#[must_use]
pub fn percentile<T: Copy>(sorted: &[T], percent: usize) -> Option<T> {
    let place = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(place).copied()
}

/// The number in an environment variable, for tests that have a short and a long form.
///
/// # Panics
/// If the variable is there and no number.
#[must_use]
pub fn setting(name: &str, short: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => {
            text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}: a number was expected"))
        }
        Err(_) => short,
    }
}

impl Suite {
    /// An empty suite.
    #[must_use]
    pub fn new(name: &'static str) -> Suite {
        Suite { name, trials: Vec::new() }
    }

    /// Adds a test; it runs on a runtime of its own, as `#[tokio::test(flavor = "multi_thread")]`
    /// would have it.
    #[must_use]
    pub fn test<F: Future>(
        self,
        name: impl Into<String>,
        run: impl FnOnce() -> F + Send + 'static,
    ) -> Suite {
        self.trial(name, move |name| {
            let _beside_others = MACHINE.read().unwrap_or_else(PoisonError::into_inner);
            on_a_runtime(name, run())
        })
    }

    /// Adds a test that measures: while it runs, no other does.
    #[must_use]
    pub fn test_alone<F: Future>(
        self,
        name: impl Into<String>,
        run: impl FnOnce() -> F + Send + 'static,
    ) -> Suite {
        self.trial(name, move |name| {
            let _alone = MACHINE.write().unwrap_or_else(PoisonError::into_inner);
            on_a_runtime(name, run())
        })
    }

    fn trial(
        mut self,
        name: impl Into<String>,
        run: impl FnOnce(&str) -> Result<(), libtest_mimic::Failed> + Send + 'static,
    ) -> Suite {
        let name = name.into();
        let own_name = name.clone();
        self.trials.push(Trial::test(name, move || run(&own_name)));
        self
    }

    /// Runs what the command line asks for, and prints the table.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let mut arguments = Arguments::from_args();
        // As libtest reads it, by which the other suites run.
        let threads = setting("RUST_TEST_THREADS", 0);
        if arguments.test_threads.is_none() && threads > 0 {
            arguments.test_threads = usize::try_from(threads).ok();
        }

        let begun = Instant::now();
        let conclusion = libtest_mimic::run(&arguments, self.trials);

        if !arguments.list {
            for remark in REMARKS.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
                anstream::println!("{remark}");
            }
            anstream::println!(
                "{}",
                table(self.name, conclusion.num_passed, begun, Tally::of_all())
            );
        }

        conclusion.exit_code()
    }
}

fn on_a_runtime(name: &str, run: impl Future) -> Result<(), libtest_mimic::Failed> {
    let begun = Instant::now();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(run);

    let took = (name.to_owned(), begun.elapsed().as_secs_f64());
    TIMES.lock().unwrap_or_else(PoisonError::into_inner).push(took);
    Ok(())
}

/// Returns a line for each of the slowest tests.
fn slowest() -> String {
    let mut times = TIMES.lock().unwrap_or_else(PoisonError::into_inner).clone();
    times.sort_by(|(_, one), (_, other)| other.total_cmp(one));
    let line =
        |(name, seconds): &(String, f64)| format!("  {DIM}{seconds:>6.1} s  {name}{DIM:#}\n");
    times.iter().take(SLOWEST).map(line).collect()
}

fn table(name: &str, passed: u64, begun: Instant, tally: Tally) -> String {
    let mut text =
        format!("\n  {name}: {passed} tests in {:.0} s\n\n", begun.elapsed().as_secs_f64());
    for (row, count) in tally.rows() {
        text += &format!("  {DIM}{row:<16}{DIM:#}{count:>8}\n");
    }
    for (guarantee, count) in tally.broken_guarantees() {
        let style = if count == 0 { GOOD } else { BAD };
        text += &format!("  {DIM}{guarantee:<16}{DIM:#}{style}{count:>8}{style:#}\n");
    }
    text + "\n  slowest\n" + &slowest()
}
