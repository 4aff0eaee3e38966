//! One hot business against the shards of its month, on a DynamoDB that cancels conflicting
//! transactions as Amazon's does and the embedded one does not.
//!
//! Production's own code accepts the messages: [`platform::table::Table::accept`] with its retries,
//! in the SDK's client. Time is tokio's, and stands still while anything is computed, so nothing
//! depends on the machine. The load and the transactions' times are made from a seed; waits between
//! tries and the choice of a shard are production's random numbers, so two runs differ a little.
//!
//! `LONG=1 CONTENTION_PICTURE=tests/contention/contention.svg cargo test --test contention --
//! --nocapture` prints the tables of tests/RESULTS.md and draws the picture. Asserted are an exact
//! count and that shards make room; no time is judged.

mod dynamo;
mod load;
mod report;

use load::{Load, Outcome};
use tests::suite::setting;

/// The shards that are compared.
const SHARDS: [u16; 7] = [1, 2, 4, 8, 16, 32, 64];

/// Messages a second, for each shard.
const RATES: [f64; 8] = [5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 80.0];

/// Those of them that the table has.
const LISTED: [f64; 4] = [20.0, 40.0, 60.0, 80.0];

/// More than one shard takes, to see what is left of it.
const OVERLOAD: [f64; 5] = [100.0, 160.0, 320.0, 640.0, 1_280.0];

/// How long a transaction takes on average, in milliseconds: an assumption of ours, since AWS
/// promises none.
const TRANSACTION_MS: u64 = 10;

/// Times to compare with, of slower transactions.
const SLOWER_MS: [u64; 3] = [10, 20, 40];

/// The shards of that comparison.
const SLOWER_SHARDS: u16 = 4;

/// How many messages a run has at least, and for how long it goes on at least: a caller that
/// cannot get through gives up after a second and a half.
const MESSAGES: f64 = 2_000.0;
const SECONDS: f64 = 3.0;

/// More than any run sends.
const NO_LIMIT: u64 = 1_000_000_000;

/// A load and what became of it.
struct Run {
    load: Load,
    outcome: Outcome,
}

impl Run {
    fn rate_per_shard(&self) -> f64 {
        self.load.rate / f64::from(self.load.shards)
    }
}

fn run(shards: u16, rate_per_shard: f64, transaction_ms: u64) -> Run {
    let rate = f64::from(shards) * rate_per_shard;
    let seconds = f64::max(MESSAGES / rate, SECONDS);
    let load = Load { shards, limit: NO_LIMIT, rate, seconds, transaction_ms, seed: 1 };
    Run { load, outcome: load.run() }
}

#[test]
fn a_hot_business_is_counted_exactly_on_any_number_of_shards() {
    if setting("LONG", 0) == 0 {
        let busy = run(1, 80.0, TRANSACTION_MS).outcome.busy;
        let spread = run(8, 10.0, TRANSACTION_MS).outcome.busy;
        assert!(busy > spread, "eight shards have more room than one: {busy} {spread}");
        return;
    }

    let mut runs = Vec::new();
    for shards in SHARDS {
        runs.push(RATES.map(|rate| run(shards, rate, TRANSACTION_MS)));
    }
    let mut slower = Vec::new();
    for transaction_ms in SLOWER_MS {
        slower.extend([10.0, 20.0, 40.0].map(|rate| run(SLOWER_SHARDS, rate, transaction_ms)));
    }

    let overloaded = OVERLOAD.map(|rate| run(1, rate, TRANSACTION_MS));

    let listed = runs.iter().flatten().filter(|run| LISTED.contains(&run.rate_per_shard()));
    println!("{}", report::table(listed));
    println!("{}\n{}", report::table(&slower), report::table(&overloaded));
    report::draw(&runs);
}

#[test]
fn a_month_that_ends_under_contention_takes_what_fits_and_no_more() {
    for shards in [1, 4] {
        let limit = 300;
        let load = Load {
            shards,
            limit,
            rate: 120.0,
            seconds: 4.0,
            transaction_ms: TRANSACTION_MS,
            seed: 2,
        };
        let outcome = load.run();
        assert_eq!(outcome.accepted_in_all, limit, "{outcome:?}");
        assert!(outcome.spent_in_all > 0, "{outcome:?}");
    }
}
