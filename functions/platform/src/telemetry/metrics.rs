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

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::panic::Location;
use std::sync::LazyLock;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};
use tracing::Level;

use super::{invocation, log};
use crate::settings;

/// The namespace of all metrics, from `METRICS_NAMESPACE`; each stack has its own.
static NAMESPACE: LazyLock<String> = LazyLock::new(|| {
    settings::optional("METRICS_NAMESPACE").unwrap_or_else(|| "Pingback".to_owned())
});

/// Every metric with its dimension. Alarms and the dashboard use these.
pub const METRICS: [(&str, &str); 14] = [
    ("Accepted", "Channel"),
    ("Sent", "Channel"),
    ("DeliverySeconds", "Channel"),
    ("PutBack", "Channel"),
    ("InDoubt", "Channel"),
    ("Failed", "Channel"),
    ("GivenUp", "Channel"),
    ("ChannelPaused", "Channel"),
    ("Receipts", "Channel"),
    ("Refused", "Code"),
    ("WakeupFailed", "Channel"),
    ("Due", "Channel"),
    ("Wakeups", "Channel"),
    ("OldestDueSeconds", "Channel"),
];

/// The most values of one metric in a record
/// ([specification](https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html#CloudWatch_Embedded_Metric_Format_Specification_structure)).
const MAX_VALUES: usize = 100;

/// A line that counts, until [`MetricRecord::write`] writes it. Dimensions and metrics are named
/// `LikeThis`, members of a line `like_this`.
#[derive(Debug, Clone)]
#[must_use = "it is written by `write`"]
pub struct MetricRecord {
    level: Level,
    location: &'static Location<'static>,
    dimension: Dimension,
    metrics: Vec<(&'static str, Measure)>,
    members: Map<String, Value>,
}

/// A metric's dimension, name and value, if it has one.
type Dimension = Option<(&'static str, String)>;

/// The amount that one line adds to a metric.
#[derive(Debug, Clone, Copy)]
enum Measure {
    Count(u64),
    Seconds(f64),
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
        let _ = writeln!(io::stdout().lock(), "{line}");
        let by = dimension.as_ref().map(|(name, _)| *name).unwrap_or_default();
        let unknown = metrics.iter().find(|(metric, _)| !METRICS.contains(&(*metric, by)));
        debug_assert!(
            unknown.is_none(),
            "{unknown:?} by {by:?} is none of METRICS, so no alarm can watch it"
        );

        invocation::count(|counted| {
            metrics
                .into_iter()
                .for_each(|(metric, measure)| counted.add(dimension.clone(), metric, measure));
        });
    }
}

/// An invocation's counts, by dimension and metric.
#[derive(Debug, Default)]
pub(super) struct Counted(BTreeMap<Dimension, BTreeMap<&'static str, Total>>);

#[derive(Debug)]
enum Total {
    Count(u64),
    Seconds(Vec<f64>),
}

impl Counted {
    fn add(&mut self, dimension: Dimension, metric: &'static str, measure: Measure) {
        let totals = self.0.entry(dimension).or_default();
        match measure {
            Measure::Count(many) => match totals.entry(metric).or_insert(Total::Count(0)) {
                Total::Count(total) => *total += many,
                Total::Seconds(_) => unreachable!("a metric is either counted or measured"),
            },
            Measure::Seconds(seconds) => {
                match totals.entry(metric).or_insert(Total::Seconds(Vec::new())) {
                    // A hundred values of an invocation tell the distribution as well as all of
                    // them.
                    Total::Seconds(all) if all.len() < MAX_VALUES => all.push(seconds),
                    Total::Seconds(_) => {}
                    Total::Count(_) => unreachable!("a metric is either counted or measured"),
                }
            }
        }
    }

    /// Returns one record for each value of a dimension, with the invocation's members.
    pub(super) fn records(
        self,
        members: &Map<String, Value>,
        time: DateTime<Utc>,
    ) -> impl Iterator<Item = Value> {
        self.0.into_iter().map(move |(dimension, totals)| {
            let mut record = members.clone();
            let set: Vec<_> = dimension.iter().map(|(name, _)| *name).collect();
            record.extend(dimension.map(|(name, word)| (name.to_owned(), json!(word))));
            let mut metrics = Vec::new();
            for (name, total) in totals {
                let (unit, value) = match total {
                    Total::Count(count) => ("Count", json!(count)),
                    Total::Seconds(all) => ("Seconds", json!(all)),
                };
                metrics.push(json!({"Name": name, "Unit": unit}));
                record.insert(name.to_owned(), value);
            }
            let metrics = json!({"Namespace": *NAMESPACE, "Dimensions": [set], "Metrics": metrics});
            let aws = json!({"Timestamp": time.timestamp_millis(), "CloudWatchMetrics": [metrics]});
            record.insert("_aws".to_owned(), aws);
            Value::Object(record)
        })
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

    /// Asserts what the specification requires and forbids in a document.
    fn conforms(record: &Value) {
        let list = |value: &Value| value.as_array().expect("an array").clone();
        let text = |value: &Value| value.as_str().expect("a string").to_owned();
        let aws = record["_aws"].as_object().expect("the metadata object");

        assert_eq!(Vec::from_iter(aws.keys()), ["CloudWatchMetrics", "Timestamp"]);
        assert!(aws["Timestamp"].is_u64(), "milliseconds since 1970");
        for directive in list(&aws["CloudWatchMetrics"]) {
            assert!((1..=255).contains(&text(&directive["Namespace"]).len()));
            let sets = list(&directive["Dimensions"]);
            assert!(!sets.is_empty());
            for dimension in sets.iter().flat_map(list) {
                let value = text(&record[text(&dimension)]);
                assert!(
                    (1..=1024).contains(&value.len()) && value.is_ascii(),
                    "{dimension} is {value:?}"
                );
            }
            assert!(sets.iter().all(|set| list(set).len() <= 30));
            let metrics = list(&directive["Metrics"]);
            assert!((1..=100).contains(&metrics.len()));
            for metric in metrics {
                let value = &record[text(&metric["Name"])];
                let numbers = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
                assert!(
                    (1..=100).contains(&numbers.len()) && numbers.iter().all(Value::is_number),
                    "{metric}"
                );
                assert!(["Count", "Seconds"].contains(&text(&metric["Unit"]).as_str()));
            }
        }
    }

    fn channel(name: &str) -> Dimension {
        Some(("Channel", name.to_owned()))
    }

    #[test]
    fn an_invocation_is_one_record_for_each_channel_it_counted_on() {
        let mut counted = Counted::default();
        for seconds in 0..120 {
            counted.add(channel("email"), "Sent", Measure::Count(1));
            counted.add(channel("email"), "DeliverySeconds", Measure::Seconds(f64::from(seconds)));
        }

        counted.add(channel("chat"), "Due", Measure::Count(12));
        counted.add(None, "Things", Measure::Count(1));
        let members = Map::from_iter([("function_request_id".to_owned(), json!("an id"))]);
        let time = DateTime::from_timestamp_millis(1_772_355_900_123).expect("a time");
        let records: Vec<_> = counted.records(&members, time).collect();
        records.iter().for_each(conforms);
        let [bare, chat, email] = &records[..] else { panic!("three: {records:?}") };

        assert_eq!(
            (&bare["Things"], &bare["_aws"]["CloudWatchMetrics"][0]["Dimensions"]),
            (&json!(1), &json!([[]]))
        );

        assert_eq!(
            (&email["Sent"], email["DeliverySeconds"].as_array().map(Vec::len)),
            (&json!(120), Some(100))
        );

        let directive = json!({
            "Namespace": "Pingback", "Dimensions": [["Channel"]], "Metrics": [{"Name": "Due", "Unit": "Count"}],
        });
        let expected = json!({
            "_aws": {"Timestamp": 1_772_355_900_123_u64, "CloudWatchMetrics": [directive]},
            "function_request_id": "an id", "Channel": "chat", "Due": 12,
        });

        assert_eq!(chat, &expected);
    }

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
