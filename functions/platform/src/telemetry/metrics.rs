//! Lines of the log that CloudWatch counts. An event is one line, with the ids of what it is about;
//! its counts are summed up, and written once at the end of the invocation, as a record in the
//! [embedded metric
//! format](https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).
//! A record has one value of each dimension, so a sweep over three channels has three.
//!
//! `LOG_LEVEL` silences neither, because metrics must not depend on how much is logged. A function
//! that is killed loses the counts of that invocation; its lines are there.
//!
//! Each value of a dimension is a metric of its own, with its own price: dimensions are words of
//! which there are a few. Ids and reasons are members of the line, where a search of the log finds
//! them.
//!
//! Not `metrics_cloudwatch_embedded`: it counts under one set of dimensions for each function, set
//! at its start.

use std::io::{self, Write};
use std::panic::Location;

use chrono::TimeDelta;
use serde::Serialize;
use serde_json::{Map, Value, json};
use tracing::Level;

use super::counts::{Dimension, Measure};
use super::{invocation, log};

/// Every metric with its dimension. Alarms and the dashboard use these.
pub const METRICS: [(&str, &str); 17] = [
    ("Accepted", "Channel"),
    ("Sent", "Channel"),
    ("DeliverySeconds", "Channel"),
    ("PutBack", "Channel"),
    ("InDoubt", "Channel"),
    ("Failed", "Channel"),
    ("GivenUp", "Channel"),
    ("ChannelPaused", "Channel"),
    ("Receipts", "Channel"),
    ("Unreadable", "Channel"),
    ("UnprovenReceipts", "Channel"),
    ("Refused", "Code"),
    ("WakeupFailed", "Channel"),
    ("Due", "Channel"),
    ("Wakeups", "Channel"),
    ("OldestDueSeconds", "Channel"),
    ("EventDeliveries", "Outcome"),
];

/// A line that counts, until [`MetricRecord::write`] writes it. Dimensions and metrics are named
/// `LikeThis`, members of a line `like_this`.
#[derive(Clone)]
#[must_use = "it is written by `write`"]
pub struct MetricRecord {
    level: Level,
    location: &'static Location<'static>,
    dimension: Dimension,
    metrics: Vec<(&'static str, Measure)>,
    members: Map<String, Value>,
}

impl MetricRecord {
    /// Makes a line with this message.
    #[track_caller]
    pub fn new(level: Level, message: &'static str) -> MetricRecord {
        let members = Map::from_iter([("message".to_owned(), json!(message))]);
        MetricRecord {
            level,
            location: Location::caller(),
            dimension: None,
            metrics: Vec::new(),
            members,
        }
    }

    /// Sets the dimension; a line has at most one.
    pub fn by(mut self, name: &'static str, word: impl Serialize) -> MetricRecord {
        let word = text(serde_json::to_value(word).expect("a word"));
        self = self.with(&snake_case(name), &word);
        self.dimension = Some((name, word));
        self
    }

    /// Counts one of `metric`.
    pub fn count(mut self, metric: &'static str) -> MetricRecord {
        self.metrics.push((metric, Measure::Count(1)));
        self
    }

    /// Counts `many` of `metric`, and adds the number to the line.
    pub fn count_many(mut self, metric: &'static str, many: usize) -> MetricRecord {
        self.metrics.push((metric, Measure::Count(many as u64)));
        self.with(&snake_case(metric), many)
    }

    /// Measures `metric` in seconds, and adds them to the line.
    pub fn seconds(mut self, metric: &'static str, took: TimeDelta) -> MetricRecord {
        // The largest value is 49 days.
        let milliseconds = u32::try_from(took.num_milliseconds().max(0)).unwrap_or(u32::MAX);
        let seconds = f64::from(milliseconds) / 1000.0;
        self.metrics.push((metric, Measure::Seconds(seconds)));
        self.with(&snake_case(metric), seconds)
    }

    /// Adds a member to the line; `null` is left out.
    pub fn with(mut self, name: &str, value: impl Serialize) -> MetricRecord {
        match serde_json::to_value(value).expect("ids, words and numbers always serialize") {
            Value::Null => {}
            value => drop(self.members.insert(name.to_owned(), value)),
        }
        self
    }

    /// Writes the line, and counts. A line that cannot be written is lost, as every other line is
    /// then.
    pub fn write(self) {
        let MetricRecord { level, location, dimension, metrics, members } = self;
        let line = log::line(level, &format!("{}:{}", location.file(), location.line()), members);
        let _ = io::stdout().lock().write_all(line.as_bytes());
        let by = dimension.as_ref().map(|(name, _)| *name).unwrap_or_default();
        let unknown = metrics.iter().find(|(metric, _)| !METRICS.contains(&(*metric, by)));
        debug_assert!(
            unknown.is_none(),
            "{unknown:?} by {by:?} is none of METRICS, so no alarm can watch it"
        );

        invocation::count(|counts| {
            for (metric, measure) in metrics {
                counts.add(dimension.clone(), metric, measure);
            }
        });
    }
}

/// Returns a word without quotes.
fn text(word: Value) -> String {
    match word {
        Value::String(word) => word,
        other => other.to_string(),
    }
}

/// Turns a metric's name into a member's: `OldestDueSeconds` into `oldest_due_seconds`.
fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_it_is_about_and_what_it_measured() {
        let line = MetricRecord::new(Level::WARN, "given up")
            .by("Channel", "email")
            .count("GivenUp")
            .with("provider_code", None::<String>)
            .seconds("OldestDueSeconds", TimeDelta::milliseconds(1_234));

        let members =
            json!({"message": "given up", "channel": "email", "oldest_due_seconds": 1.234});
        assert_eq!(Value::Object(line.members), members);
        assert!(line.location.file().ends_with("metrics.rs"));
        let took =
            |took| MetricRecord::new(Level::INFO, "").seconds("Took", took).members["took"].clone();

        assert_eq!(
            (took(TimeDelta::seconds(-5)), took(TimeDelta::MAX)),
            (json!(0.0), json!(f64::from(u32::MAX) / 1000.0))
        );
    }
}
