//! The counts of an invocation, and the records that CloudWatch reads them from, in the [embedded
//! metric
//! format](https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).

use std::collections::BTreeMap;
use std::sync::LazyLock;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};

use crate::settings;

/// The namespace of all metrics, from `METRICS_NAMESPACE`; each stack has its own.
static NAMESPACE: LazyLock<String> = LazyLock::new(|| {
    settings::optional("METRICS_NAMESPACE").unwrap_or_else(|| "Pingback".to_owned())
});

/// The most values of one metric in a record
/// ([specification](https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html#CloudWatch_Embedded_Metric_Format_Specification_structure)).
const MAX_VALUES: usize = 100;

/// A metric's dimension, name and value, if it has one.
pub(super) type Dimension = Option<(&'static str, String)>;

/// The amount that one line adds to a metric.
#[derive(Debug, Clone, Copy)]
pub(super) enum Measure {
    Count(u64),
    Seconds(f64),
}

/// An invocation's counts, by dimension and metric.
#[derive(Debug, Default)]
pub(super) struct Counts(BTreeMap<Dimension, BTreeMap<&'static str, Total>>);

#[derive(Debug)]
enum Total {
    Count(u64),
    Seconds(Vec<f64>),
}

impl Counts {
    pub(super) fn add(&mut self, dimension: Dimension, metric: &'static str, measure: Measure) {
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

    /// Returns the members of one record for each value of a dimension.
    pub(super) fn records(self, time: DateTime<Utc>) -> impl Iterator<Item = Map<String, Value>> {
        self.0.into_iter().map(move |(dimension, totals)| {
            let mut record = Map::new();
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
            record
        })
    }
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
        let mut counted = Counts::default();
        for seconds in 0..120 {
            counted.add(channel("email"), "Sent", Measure::Count(1));
            counted.add(channel("email"), "DeliverySeconds", Measure::Seconds(f64::from(seconds)));
        }

        counted.add(channel("chat"), "Due", Measure::Count(12));
        counted.add(None, "Things", Measure::Count(1));
        let time = DateTime::from_timestamp_millis(1_772_355_900_123).expect("a time");
        let records: Vec<_> = counted.records(time).map(Value::Object).collect();
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
            "Channel": "chat", "Due": 12,
        });

        assert_eq!(chat, &expected);
    }
}
