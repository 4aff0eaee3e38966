//! The table and the picture of tests/RESULTS.md.

use std::fmt::Write as _;

use crate::{RATES, Run, SHARDS};
use tests::chart::{Axis, Chart, Panel, written};
use tests::contract::root;

/// Returns a row for each run, in Markdown.
pub(crate) fn table<'a>(runs: impl IntoIterator<Item = &'a Run>) -> String {
    let mut text =
        "| shards | transaction, ms | offered a second, each shard | offered a second | \
                    accepted a second | busy | tries, mean | tries, p99 | p50, ms | p99, ms | \
                    write units of cancelled tries a message |\n"
            .to_owned();
    text += "|---|---|---|---|---|---|---|---|---|---|---|\n";
    for run in runs {
        let Run { load, outcome } = run;
        let mean = load.transaction_ms;
        let _ = writeln!(
            text,
            "| {} | {}–{} | {} | {} | {} | {:.2} % | {:.2} | {} | {:.0} | {:.0} | {:.1} |",
            load.shards,
            mean / 2,
            mean + mean / 2,
            written(run.rate_per_shard()),
            written(outcome.offered.round()),
            written(outcome.accepted.round()),
            outcome.busy * 100.0,
            outcome.mean_tries,
            outcome.p99_tries,
            outcome.p50,
            outcome.p99,
            outcome.cancelled_units,
        );
    }
    text
}

/// Draws a curve for each number of shards, into the file that `CONTENTION_PICTURE` names.
pub(crate) fn draw(runs: &[[Run; RATES.len()]]) {
    let Some(file) = std::env::var_os("CONTENTION_PICTURE").filter(|name| !name.is_empty()) else {
        return;
    };

    let panel = |title: &str, y: Axis, of: fn(&Run) -> f64| {
        let curve = |runs: &[Run; RATES.len()]| {
            runs.iter().map(|run| (run.outcome.offered, of(run))).collect()
        };
        Panel {
            title: title.to_owned(),
            x: Axis::logarithmic(
                "messages offered a second",
                &[5.0, 20.0, 100.0, 500.0, 2_000.0, 6_000.0],
            ),
            y,
            points: runs.iter().map(curve).collect(),
        }
    };
    let milliseconds = Axis::logarithmic("", &[10.0, 30.0, 100.0, 300.0, 1_000.0, 3_000.0]);
    let chart = Chart {
        title: "One business against the shards of its month".to_owned(),
        curves: SHARDS
            .map(|shards| format!("{shards} shards").replace("1 shards", "1 shard"))
            .to_vec(),
        panels: vec![
            panel("answered 503 busy, %", Axis::linear("", 4.0), |run| run.outcome.busy * 100.0),
            panel("transactions for a message, mean", Axis::linear("", 8.0), |run| {
                run.outcome.mean_tries
            }),
            panel("accepted after, p99, ms", milliseconds, |run| run.outcome.p99),
            panel(
                "write units of cancelled transactions a message",
                Axis::linear("", 40.0),
                |run| run.outcome.cancelled_units,
            ),
        ],
    };

    let file = root().join(file);
    std::fs::write(&file, chart.svg())
        .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}
