//! When the alarms ring, each with its reason, as a table.

use std::collections::BTreeSet;

use yaml_serde::Value;

use crate::Violations;
use crate::template::{Template, words};

const ALARM: &str = "AWS::CloudWatch::Alarm";

/// Which alarms · statistic · comparison · threshold · seconds that it looks back on · why.
type Alarm =
    (fn(&str, &Value) -> bool, &'static str, &'static str, (u64, u64), (u64, u64), &'static str);

const AT_LEAST: &str = "GreaterThanOrEqualToThreshold";
const BELOW: &str = "LessThanThreshold";

#[rustfmt::skip] // A table.
const ALARMS: &[Alarm] = &[
    (|_, alarm| alarm["MetricName"] == "GivenUp", "Sum", AT_LEAST, (1, 1), (60, 300), "each one is a message that no customer gets"),
    (|_, alarm| alarm["MetricName"] == "InDoubt", "Sum", AT_LEAST, (5, 20), (600, 1_800), "a lost answer or two is the network; these are many, and more than once"),
    (|_, alarm| alarm["MetricName"] == "ChannelPaused", "Sum", AT_LEAST, (1, 1), (960, 1_800), "a business sends nothing until a person acts; it lasts from one try to the next"),
    (|_, alarm| alarm["MetricName"] == "OldestDueSeconds", "Maximum", AT_LEAST, (300, 900), (180, 600), "the one that waits longest; an average hides it"),
    (|_, alarm| alarm["MetricName"] == "DeliverySeconds", "p99", AT_LEAST, (30, 120), (900, 1_800), "the slowest in a hundred; an average hides them"),
    (|_, alarm| alarm["MetricName"] == "ApproximateNumberOfMessagesVisible", "Maximum", AT_LEAST, (1, 1), (60, 300), "each one waits for a person, also if it came a moment ago"),
    (|_, alarm| alarm["MetricName"] == "Refused", "Sum", AT_LEAST, (1, 1), (60, 300), "each one is a fault of ours"),
    (|_, alarm| alarm["MetricName"] == "5xx", "Sum", AT_LEAST, (3, 20), (60, 300), "a 503 now and then is contention"),
    (|_, alarm| alarm["MetricName"] == "Invocations", "Sum", BELOW, (1, 1), (300, 900), "a sweep is missing for so long; a late one is none"),
    (|id, _| id == "RequestsAreThrottled", "Sum", AT_LEAST, (1, 1), (60, 300), "each one is a caller who is turned away"),
    (|id, _| id == "WorkersAreThrottled", "Sum", AT_LEAST, (5, 50), (60, 300), "SQS and Lambda try again by themselves, a few times"),
    (|id, _| ["RequestsCrash", "WorkersCrash"].contains(&id), "Sum", AT_LEAST, (2, 5), (60, 300), "one may be a machine; several are our fault"),
    (|id, _| id == "TableIsThrottled", "Sum", AT_LEAST, (5, 50), (60, 300), "a table that grows refuses a few"),
    (|id, _| id == "ChatSocketFails", "Sum", AT_LEAST, (3, 20), (60, 300), "widgets connect again by themselves, a few times"),
];

#[test]
fn alarms_ring_when_they_should() {
    let template = Template::read();
    let mut violations = Violations::default();

    for (id, alarm) in template.all(ALARM) {
        let rows: Vec<_> = ALARMS.iter().filter(|row| (row.0)(id, alarm)).collect();
        let [(_, statistic, comparison, threshold, seconds, why)] = rows.as_slice() else {
            violations.add(format!(
                "template.yaml, {id}: say in one row of ALARMS when it rings, and why then"
            ));
            continue;
        };
        let mut check = |name: &str, holds: bool, wanted: &str| {
            violations.unless(holds, || {
                format!("template.yaml, {id}: its {name} must be {wanted}: {why}")
            });
        };

        let number = |name: &str| alarm[name].as_u64().unwrap_or_default();
        let within = |value: u64, (least, most): (u64, u64)| (least..=most).contains(&value);
        let bounds = |(least, most): (u64, u64)| format!("{least} to {most}");
        let own = ["Statistic", "ExtendedStatistic"].map(|name| words(&alarm[name]));
        let summed: Vec<&Value> = alarm["Metrics"]
            .as_sequence()
            .into_iter()
            .flatten()
            .filter(|metric| metric["Expression"].is_null())
            .collect();
        let stats = summed.iter().map(|metric| words(&metric["MetricStat"]["Stat"]));
        let periods: BTreeSet<u64> = match summed.as_slice() {
            [] => [number("Period")].into(),
            several => several
                .iter()
                .map(|metric| metric["MetricStat"]["Period"].as_u64().unwrap_or_default())
                .collect(),
        };
        let stats: BTreeSet<String> = if summed.is_empty() { own.into() } else { stats.collect() };
        let stats: Vec<&str> =
            stats.iter().map(String::as_str).filter(|stat| *stat != "null").collect();
        let evaluations = number("EvaluationPeriods");
        let datapoints = alarm["DatapointsToAlarm"].as_u64().unwrap_or(evaluations);
        let longest = periods.last().copied().unwrap_or_default();

        check("statistic", stats == [*statistic], statistic);
        check("ComparisonOperator", alarm["ComparisonOperator"] == *comparison, comparison);
        check("Threshold", within(number("Threshold"), *threshold), &bounds(*threshold));
        check("one Period", periods.len() == 1, "the same for all that it adds up");
        check(
            "Period × EvaluationPeriods",
            within(longest * evaluations, *seconds),
            &bounds(*seconds),
        );
        check(
            "DatapointsToAlarm",
            (1..=evaluations).contains(&datapoints),
            "1 to EvaluationPeriods",
        );
        for metric in alarm["Metrics"].as_sequence().into_iter().flatten() {
            let sum = metric["Expression"] == "SUM(METRICS())" && metric["ReturnData"].is_null();
            let part = metric["Expression"].is_null() && metric["ReturnData"] == false;
            check("Metrics", sum || part, "parts with ReturnData: false, and SUM(METRICS())");
        }
    }

    violations.report();
}
