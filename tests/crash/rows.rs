//! The outcomes of the cases, a row for each point and fault.

use std::collections::BTreeMap;

use crate::case::Case;
use tests::Tally;
use tests::suite::remark;

/// The outcome of one case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// The answer that the caller saw: a status, or the answer to the event source.
    pub(crate) saw: String,
    /// The mechanism that repaired it.
    pub(crate) repaired: String,
    /// Copies beyond the first that customers got.
    pub(crate) twice: u32,
    /// The calls that the function made, by name.
    pub(crate) calls: Vec<&'static str>,
}

#[derive(Default)]
struct Cell {
    runs: u32,
    saw: BTreeMap<String, u32>,
    repaired: BTreeMap<String, u32>,
    twice: u32,
}

/// The rows of one function's work.
pub(crate) struct Rows {
    title: String,
    rows: Vec<((&'static str, &'static str), Cell)>,
}

impl Rows {
    pub(crate) fn new(title: impl Into<String>) -> Rows {
        Rows { title: title.into(), rows: Vec::new() }
    }

    pub(crate) fn add(&mut self, case: &Case, outcome: &Outcome) {
        Tally::count_misfortune();
        if std::env::var_os("CASE").is_some() {
            remark(format!("  {case}\n  {:?}\n  {outcome:?}", case.choices()));
        }

        let key = (case.point.name, case.fault.name());
        if self.rows.last().is_none_or(|(last, _)| *last != key) {
            self.rows.push((key, Cell::default()));
        }

        let Some((_, cell)) = self.rows.last_mut() else { return };
        cell.runs += 1;
        *cell.saw.entry(outcome.saw.clone()).or_default() += 1;
        *cell.repaired.entry(outcome.repaired.clone()).or_default() += 1;
        cell.twice += outcome.twice;
    }

    /// Keeps the table for the end of the run.
    pub(crate) fn print(self) {
        let runs: u32 = self.rows.iter().map(|(_, cell)| cell.runs).sum();
        let mut text = format!("\n  {}: {runs} runs\n\n", self.title);
        text += &format!(
            "  {:<16} {:<12} {:<34} {:<52} twice\n",
            "point", "fault", "the caller saw", "made good by"
        );

        for ((point, fault), cell) in &self.rows {
            let saw = words(&cell.saw);
            let repaired = words(&cell.repaired);
            text +=
                &format!("  {point:<16} {fault:<12} {saw:<34} {repaired:<52} {:>5}\n", cell.twice);
        }

        remark(text.trim_end());
    }
}

fn words(counts: &BTreeMap<String, u32>) -> String {
    let words: Vec<String> = counts.iter().map(|(word, count)| format!("{word} {count}")).collect();
    words.join(", ")
}
