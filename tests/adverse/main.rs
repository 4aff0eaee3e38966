//! Adverse conditions: queues, providers, clocks and neighbours at their worst. Every test ends in
//! the oracle.
//!
//! `LONG=1 cargo test --test adverse` is the long run.

mod answers;
mod clocks;
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

const CHANNELS: [&str; 3] = ["chat", "whatsapp", "email"];

/// One conversation takes all that comes on these; on WhatsApp it has its pace.
const UNPACED: [&str; 2] = ["chat", "email"];

/// Longer than a lease, and longer than a receipt is waited for, in seconds of the system's clock.
const LEASE: i64 = 46;
const DOUBT: i64 = 121;

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
    let suites = suites.into_iter().chain([months::tests, shards::tests, neighbours::tests]);
    suites.fold(suite, |suite, add| add(suite)).run()
}
