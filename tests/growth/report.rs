//! The table and the picture of tests/RESULTS.md.

use std::fmt::Write as _;

use crate::{Cost, Point};
use tests::chart::{Axis, Chart, Panel, written};
use tests::contract::root;

/// A name, and the part of a cost.
type Curve = (&'static str, fn(&Cost) -> f64);

/// The curves, and the columns of the table.
const CURVES: [Curve; 5] = [
    ("calls of sender or sweeper", |cost| cost.calls),
    ("calls of the worker", |cost| cost.worker_calls),
    ("read units", |cost| cost.read_units),
    ("items read", |cost| cost.items),
    ("write units", |cost| cost.write_units),
];

/// The costs at each size while one thing grows.
pub(crate) struct Growth {
    /// The measured thing: a message or a sweep.
    of: &'static str,
    /// The thing that grows.
    label: &'static str,
    points: Vec<Point>,
}

impl Growth {
    pub(crate) fn of_a_message(label: &'static str, points: Vec<Point>) -> Growth {
        Growth { of: "a message", label, points }
    }

    pub(crate) fn of_a_sweep(label: &'static str, points: Vec<Point>) -> Growth {
        Growth { of: "a sweep", label, points }
    }

    fn panel(&self) -> Panel {
        let curve = |of: fn(&Cost) -> f64| {
            self.points.iter().map(|point| (point.size as f64, of(&point.cost))).collect()
        };
        let points: Vec<Vec<(f64, f64)>> = CURVES.iter().map(|(_, of)| curve(*of)).collect();
        let most = points.iter().flatten().map(|(_, value)| *value).fold(1.0, f64::max);
        // A sweep's costs are too far apart for one scale; what it has none of is not drawn there.
        let (y, points) = match most > 100.0 {
            false => (Axis::linear("", most), points),
            true => (
                Axis::logarithmic("", &[10.0, 100.0, 1_000.0, 10_000.0, 100_000.0]),
                positive(points),
            ),
        };
        let ticks: Vec<f64> = self.points.iter().map(|point| point.size as f64).collect();
        Panel {
            title: format!("{}: calls, units, items", self.of),
            x: Axis::logarithmic(self.label, &ticks),
            y,
            points,
        }
    }
}

/// Leaves out what has no logarithm.
fn positive(curves: Vec<Vec<(f64, f64)>>) -> Vec<Vec<(f64, f64)>> {
    let of_one = |curve: Vec<(f64, f64)>| curve.into_iter().filter(|(_, y)| *y > 0.0).collect();
    curves.into_iter().map(of_one).collect()
}

/// Returns rows of Markdown; sizes in a row that cost the same have one.
pub(crate) fn table(growths: &[Growth]) -> String {
    let mut text = "| cost of | what grows | size |".to_owned();
    for (name, _) in CURVES {
        let _ = write!(text, " {name} |");
    }
    text += "\n|---|---|---|---|---|---|---|---|\n";

    for growth in growths {
        let costs = |point: &Point| CURVES.map(|(_, of)| written(of(&point.cost))).join(" | ");
        for same in growth.points.chunk_by(|one, next| costs(one) == costs(next)) {
            let first = written(same[0].size as f64);
            let last = written(same[same.len() - 1].size as f64);
            let size = if same.len() == 1 { first } else { format!("{first} to {last}") };
            let Growth { of, label, .. } = growth;
            let _ = writeln!(text, "| {of} | {label} | {size} | {} |", costs(&same[0]));
        }
    }
    text
}

/// Draws a panel for each, into the file that `GROWTH_PICTURE` names.
pub(crate) fn draw(growths: &[Growth]) {
    let Some(file) = std::env::var_os("GROWTH_PICTURE").filter(|name| !name.is_empty()) else {
        return;
    };

    let chart = Chart {
        title: "What a message and a sweep cost as everything grows".to_owned(),
        curves: CURVES.map(|(name, _)| name.to_owned()).to_vec(),
        panels: growths.iter().map(Growth::panel).collect(),
    };
    let file = root().join(file);
    let written = std::fs::write(&file, chart.svg());
    written.unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}
