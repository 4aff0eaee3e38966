//! Lines of the log that CloudWatch counts: one JSON object on stdout is log line and metric at once, in the
//! [embedded metric format](https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).
//!
//! One line for each thing that happens, not one of sums for each invocation. It is the line that the log has anyway, so
//! it costs nothing more; it has the ids of what it is about, which a sum has not; and a function that is killed takes
//! no count along. `LOG_LEVEL` does not silence it: a metric that depends on how much is logged is none.
//!
//! Each combination of dimensions is a metric of its own, with its own price: dimensions are words of which there are a
//! few dozen. Ids are plain members, for whoever searches the log.
//!
//! Not `metrics_cloudwatch_embedded`: it keeps the counters of a whole process and writes them together, under one set
//! of members. A worker is at ten conversations at once, and each line here is about one of them.

use crate::clock;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::io::{self, Write};
use tracing::Level;

/// Where CloudWatch puts every metric of this system.
pub const NAMESPACE: &str = "Pingback/Messages";

/// A line in the making. Dimensions and metrics are written `LikeThis`, all other members `like_this`, so that none
/// takes another's place.
#[derive(Debug, Clone)]
#[must_use = "it is written by `write`"]
pub struct Line {
    level: Level,
    message: &'static str,
    dimensions: Vec<&'static str>,
    metrics: Vec<Value>,
    members: Map<String, Value>,
}

impl Line {
    /// A line that says `message`.
    pub fn new(level: Level, message: &'static str) -> Line {
        Line { level, message, dimensions: Vec::new(), metrics: Vec::new(), members: Map::new() }
    }

    /// Counts by `name` as well, whose value is a word: with dimensions A and then B, every metric is there once by A and
    /// once by A and B.
    pub fn by(mut self, name: &'static str, word: impl Serialize) -> Line {
        self.dimensions.push(name);
        self.with(name, word)
    }

    /// Counts one of `metric`.
    pub fn count(self, metric: &'static str) -> Line {
        self.count_many(metric, 1)
    }

    /// Counts so many of `metric`.
    pub fn count_many(self, metric: &'static str, many: usize) -> Line {
        self.metric(metric, "Count", many)
    }

    /// Measures how long `metric` took.
    pub fn seconds(self, metric: &'static str, took: TimeDelta) -> Line {
        let milliseconds = u32::try_from(took.num_milliseconds().max(0)).unwrap_or(u32::MAX); // 49 days
        self.metric(metric, "Seconds", f64::from(milliseconds) / 1000.0)
    }

    /// Says something else; `null` is left out.
    pub fn with(mut self, name: &str, value: impl Serialize) -> Line {
        match serde_json::to_value(value).expect("ids, words and numbers always serialize") {
            Value::Null => {}
            value => drop(self.members.insert(name.to_owned(), value)),
        }
        self
    }

    /// Writes the line. One that cannot be written is lost, like every other line then.
    pub fn write(self) {
        let line = self.at(clock::of_the_log()).to_string();
        let _ = writeln!(io::stdout().lock(), "{line}");
    }

    fn metric(mut self, name: &'static str, unit: &str, value: impl Serialize) -> Line {
        self.metrics.push(json!({"Name": name, "Unit": unit}));
        self.with(name, value)
    }

    fn at(self, time: DateTime<Utc>) -> Value {
        let Line { level, message, dimensions, metrics, members } = self;
        // By all of them, by all but the last, …; with no dimension at all there is one empty set.
        let sets: Vec<_> = (dimensions.len().min(1)..=dimensions.len()).map(|count| &dimensions[..count]).collect();
        let metrics = json!({"Namespace": NAMESPACE, "Dimensions": sets, "Metrics": metrics});
        let mut line = json!({
            "_aws": {"Timestamp": time.timestamp_millis(), "CloudWatchMetrics": [metrics]},
            "timestamp": time.to_rfc3339_opts(SecondsFormat::Millis, true),
            "level": level.as_str(),
            "message": message,
        });
        line.as_object_mut().expect("an object").extend(members);
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given_up() -> Line {
        Line::new(Level::WARN, "given up")
            .by("Channel", "email")
            .by("Reason", "expired")
            .count("GivenUp")
            .with("message_id", "0198f3c2-7a10-7000-8001-9d4c5b6a7f80")
            .with("attempts", 7)
            .with("provider_code", None::<String>)
    }

    fn swept() -> Line {
        let age = TimeDelta::milliseconds(61_500);
        Line::new(Level::INFO, "swept").by("Channel", "chat").count_many("Due", 12).seconds("OldestDueSeconds", age)
    }

    /// What the specification says a document MUST have and must not.
    fn conforms(line: &Value) {
        let list = |value: &Value| value.as_array().expect("an array").clone();
        let text = |value: &Value| value.as_str().expect("a string").to_owned();
        let aws = line["_aws"].as_object().expect("the metadata object");
        assert_eq!(Vec::from_iter(aws.keys()), ["CloudWatchMetrics", "Timestamp"]);
        assert!(aws["Timestamp"].is_u64(), "milliseconds since 1970");
        for directive in list(&aws["CloudWatchMetrics"]) {
            assert!((1..=255).contains(&text(&directive["Namespace"]).len()));
            let sets = list(&directive["Dimensions"]);
            assert!(!sets.is_empty());
            for dimension in sets.iter().flat_map(list) {
                let value = text(&line[text(&dimension)]);
                assert!((1..=1024).contains(&value.len()) && value.is_ascii(), "{dimension} is {value:?}");
            }
            assert!(sets.iter().all(|set| list(set).len() <= 30));
            let metrics = list(&directive["Metrics"]);
            assert!((1..=100).contains(&metrics.len()));
            for metric in metrics {
                assert!(line[text(&metric["Name"])].is_number(), "{metric} has a number on the root");
                assert!(["Count", "Seconds"].contains(&text(&metric["Unit"]).as_str()));
            }
        }
    }

    #[test]
    fn every_line_is_an_embedded_metric() {
        let bare = Line::new(Level::INFO, "nothing but counted").count("Things");
        for line in [given_up(), swept(), bare] {
            let line = line.at(DateTime::UNIX_EPOCH).to_string();
            assert!(!line.contains('\n'));
            conforms(&serde_json::from_str(&line).expect("one JSON object"));
        }
    }

    #[test]
    fn a_line_is_what_the_log_says_and_what_is_counted() {
        let time = DateTime::from_timestamp_millis(1_772_355_900_123).expect("a time");
        let directive = json!({
            "Namespace": "Pingback/Messages",
            "Dimensions": [["Channel"], ["Channel", "Reason"]],
            "Metrics": [{"Name": "GivenUp", "Unit": "Count"}],
        });
        let expected = json!({
            "_aws": {"Timestamp": 1_772_355_900_123_u64, "CloudWatchMetrics": [directive]},
            "timestamp": "2026-03-01T09:05:00.123Z", "level": "WARN", "message": "given up",
            "Channel": "email", "Reason": "expired", "GivenUp": 1,
            "message_id": "0198f3c2-7a10-7000-8001-9d4c5b6a7f80", "attempts": 7,
        });
        assert_eq!(given_up().at(time), expected);
    }

    #[test]
    fn times_are_seconds_and_never_negative() {
        let took = |took| Line::new(Level::INFO, "").seconds("Took", took).at(DateTime::UNIX_EPOCH)["Took"].clone();
        assert_eq!(took(TimeDelta::milliseconds(1_234)), 1.234);
        assert_eq!(took(TimeDelta::seconds(-5)), 0.0);
        assert_eq!(took(TimeDelta::MAX), f64::from(u32::MAX) / 1000.0);
    }
}
