//! Adverse conditions: queues, providers, clocks and neighbours at their worst. Every test ends in
//! the oracle.
//!
//! `LONG=1 cargo test --test adverse` is the long run.

mod answers;
mod clocks;
mod endpoints;
mod flood;
mod leases;
mod months;
mod neighbours;
mod poison;
mod providers;
mod queues;
mod shards;
mod talk;

use std::process::ExitCode;

use tests::suite::{Suite, setting};

/// One conversation takes all that comes on these; on WhatsApp it has its pace.
const UNPACED: [&str; 2] = ["chat", "email"];

/// How many callers there are at once.
const CALLERS: usize = 64;

/// Whether `LONG` asks for the long run.
fn is_long() -> bool {
    setting("LONG", 0) != 0
}

/// One number for the short run, another for the long one.
fn either<T>(short: T, long: T) -> T {
    if is_long() { long } else { short }
}

fn main() -> ExitCode {
    let suite = Suite::new("adverse");
    let suites = [
        queues::tests,
        providers::tests,
        answers::tests,
        poison::tests,
        leases::tests,
        clocks::tests,
    ];
    let more = [months::tests, shards::tests, neighbours::tests, flood::tests, endpoints::tests];
    let suites = suites.into_iter().chain(more);
    suites.fold(suite, |suite, add| add(suite)).run()
}
