//! When the alarms ring, each with its reason, as a table; and what an operator finds who opens the
//! part of OPERATIONS.md that an alarm names.

use std::collections::{BTreeMap, BTreeSet};

use yaml_serde::Value;

use crate::documents::anchor;
use crate::permissions::operations_of;
use crate::template::{Template, words};
use crate::{Violations, read};

const ALARM: &str = "AWS::CloudWatch::Alarm";

/// Which alarms · statistic · comparison · threshold · seconds that it looks back on · why.
type Alarm =
    (fn(&str, &Value) -> bool, &'static str, &'static str, (f64, f64), (u64, u64), &'static str);

const AT_LEAST: &str = "GreaterThanOrEqualToThreshold";
const BELOW: &str = "LessThanThreshold";

/// How an alarm makes one number of several metrics.
const SUM: &str = "SUM(METRICS())";
/// How one does it of DynamoDB's: alarms on these ignore missing data, whatever they say of it, and
/// would ring for ever
/// ([PutMetricAlarm](https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricAlarm.html)).
const SUM_OF_DYNAMODB: &str = "SUM(FILL(METRICS(), 0))";
/// How one makes a share of the account's quota of a metric.
const PERCENT: &str = "!Sub 100 * claimed / ${LambdaQuota}";

#[rustfmt::skip] // A table.
const ALARMS: &[Alarm] = &[
    (|_, alarm| alarm["MetricName"] == "GivenUp", "Sum", AT_LEAST, (1.0, 1.0), (60, 300), "each one is a message that no customer gets"),
    (|_, alarm| alarm["MetricName"] == "InDoubt", "Sum", AT_LEAST, (5.0, 20.0), (600, 1_800), "a lost answer or two is the network; these are many, and more than once"),
    (|_, alarm| alarm["MetricName"] == "UnprovenReceipts", "Sum", AT_LEAST, (5.0, 20.0), (600, 1_800), "one is a stranger's or comes late; many are ours, and what became of our messages is not seen"),
    (|_, alarm| alarm["MetricName"] == "ChannelPaused", "Sum", AT_LEAST, (1.0, 1.0), (960, 1_800), "a business sends nothing until a person acts; it lasts from one try to the next"),
    (|_, alarm| alarm["MetricName"] == "OldestDueSeconds", "Maximum", AT_LEAST, (300.0, 900.0), (180, 600), "the one that waits longest; an average hides it"),
    (|_, alarm| alarm["MetricName"] == "DeliverySeconds", "p99", AT_LEAST, (30.0, 120.0), (900, 1_800), "the slowest in a hundred; an average hides them"),
    (|_, alarm| alarm["MetricName"] == "ApproximateNumberOfMessagesVisible", "Maximum", AT_LEAST, (1.0, 1.0), (60, 300), "each one waits for a person, also if it came a moment ago"),
    (|_, alarm| alarm["MetricName"] == "EventDeliveries", "Sum", AT_LEAST, (1.0, 1.0), (60, 300), "each one is a caller who is told nothing any more"),
    (|_, alarm| alarm["MetricName"] == "IteratorAge", "Maximum", AT_LEAST, (300_000.0, 3_600_000.0), (180, 600), "the oldest change that is not told yet; far from the day after which it is gone"),
    (|_, alarm| alarm["MetricName"] == "Refused", "Sum", AT_LEAST, (1.0, 1.0), (60, 300), "each one is a fault of ours"),
    (|_, alarm| alarm["MetricName"] == "5xx", "Sum", AT_LEAST, (3.0, 20.0), (60, 300), "a 503 now and then is contention"),
    (|_, alarm| alarm["MetricName"] == "Invocations", "Sum", BELOW, (1.0, 1.0), (300, 900), "a sweep is missing for so long; a late one is none"),
    // https://docs.aws.amazon.com/ses/latest/dg/faqs-enforcement.html
    (|_, alarm| alarm["MetricName"] == "Reputation.BounceRate", "Average", AT_LEAST, (0.02, 0.05), (3_600, 7_200), "SES reviews an account at 5 %, and stops it at 10 %"),
    (|_, alarm| alarm["MetricName"] == "Reputation.ComplaintRate", "Average", AT_LEAST, (0.0005, 0.001), (3_600, 7_200), "SES reviews an account at 0.1 %, and stops it at 0.5 %"),
    (|_, alarm| alarm["MetricName"] == "TooManyRequests", "Sum", AT_LEAST, (5.0, 50.0), (60, 300), "one in a rush is repeated; many are callers who are turned away"),
    (|id, _| id == "ConcurrencyRunsOut", "Maximum", AT_LEAST, (60.0, 90.0), (180, 600), "there is time to act before callers are turned away"),
    (|id, _| id == "WorkersAreTakenForALoop", "Sum", AT_LEAST, (1.0, 1.0), (60, 300), "their loop is allowed: none may be dropped"),
    (|id, _| id == "EventsAreDropped", "Sum", AT_LEAST, (2.0, 5.0), (60, 300), "the next sweep makes up for one; several are a fault"),
    (|id, _| id == "TableFails", "Sum", AT_LEAST, (5.0, 50.0), (120, 600), "a call is repeated; many errors are AWS's fault"),
    (|id, _| id == "RequestsAreThrottled", "Sum", AT_LEAST, (1.0, 1.0), (60, 300), "each one is a caller who is turned away"),
    (|id, _| id == "WorkersAreThrottled", "Sum", AT_LEAST, (5.0, 50.0), (60, 300), "SQS and Lambda try again by themselves, a few times"),
    (|id, _| ["RequestsCrash", "WorkersCrash"].contains(&id), "Sum", AT_LEAST, (2.0, 5.0), (60, 300), "one may be a machine; several are our fault"),
    (|id, _| id == "TableIsThrottled", "Sum", AT_LEAST, (5.0, 50.0), (120, 600), "a table that grows refuses a few"),
    (|id, _| id == "ChatSocketFails", "Sum", AT_LEAST, (3.0, 20.0), (60, 300), "widgets connect again by themselves, a few times"),
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
        let limit = alarm["Threshold"].as_f64().unwrap_or_default();
        let (least, most) = *seconds;
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
        check(
            "Threshold",
            (threshold.0..=threshold.1).contains(&limit),
            &format!("{} to {}", threshold.0, threshold.1),
        );
        check("one Period", periods.len() == 1, "the same for all that it adds up");
        check(
            "Period × EvaluationPeriods",
            (least..=most).contains(&(longest * evaluations)),
            &format!("{least} to {most}"),
        );
        check(
            "DatapointsToAlarm",
            (1..=evaluations).contains(&datapoints),
            "1 to EvaluationPeriods",
        );
        let namespaces = summed
            .iter()
            .map(|metric| &metric["MetricStat"]["Metric"]["Namespace"])
            .chain([&alarm["Namespace"]]);
        let of_dynamodb = namespaces.into_iter().any(|namespace| namespace == "AWS/DynamoDB");
        let sum = if of_dynamodb { SUM_OF_DYNAMODB } else { SUM };
        let parts = format!("parts with ReturnData: false, and {sum}");
        check("Metrics", !of_dynamodb || !summed.is_empty(), &parts);
        for metric in alarm["Metrics"].as_sequence().into_iter().flatten() {
            let expression = words(&metric["Expression"]);
            let is_sum = [sum, PERCENT].contains(&expression.as_str());
            let is_whole = is_sum && metric["ReturnData"].is_null();
            let is_part = metric["Expression"].is_null() && metric["ReturnData"] == false;
            check("Metrics", is_whole || is_part, &parts);
        }
        check(
            "DatapointsToAlarm",
            !of_dynamodb || datapoints < evaluations,
            "fewer than EvaluationPeriods, since a zero stands for data that comes late",
        );
    }

    violations.report();
}

/// The first word of an alarm's description: whether it wakes a person.
const URGENCIES: [&str; 2] = ["Now", "Today"];

/// The part of the page that is about alarms, by the headings' anchors.
fn runbooks(page: &str) -> BTreeMap<String, &str> {
    let alarms = page.split("\n## ").find(|part| part.starts_with("Alarms\n"));
    let parts = alarms.expect("infra/OPERATIONS.md has Alarms").split("\n### ").skip(1);
    parts.map(|part| (anchor(part.lines().next().unwrap_or_default()), part)).collect()
}

/// The lines of the blocks that are pasted into a shell.
fn shell_lines(part: &str) -> Vec<&str> {
    let blocks = part.split("```bash\n").skip(1);
    let blocks = blocks.filter_map(|rest| rest.split_once("\n```"));
    blocks.flat_map(|(block, _)| block.lines()).collect()
}

#[test]
fn each_alarm_says_how_urgent_it_is_and_leads_to_its_runbook() {
    let template = Template::read();
    let page = read("infra/OPERATIONS.md");
    let runbooks = runbooks(&page);
    let mut opened = BTreeSet::new();
    let mut violations = Violations::default();

    for (id, alarm) in template.all(ALARM) {
        let description = words(&alarm["AlarmDescription"]);
        let (urgency, _) = description.split_once(": ").unwrap_or_default();
        violations.unless(URGENCIES.contains(&urgency), || {
            format!(
                "template.yaml, {id}: begin its description with one of {URGENCIES:?} and a colon"
            )
        });
        let row = page.lines().find(|line| {
            line.starts_with("| `")
                && line.split('|').nth(1).is_some_and(|cell| cell.contains(&format!("`{id}`")))
        });
        let said = row.and_then(|row| row.split('|').nth(2)).map(str::trim);
        violations.unless(said == Some(urgency), || {
            format!(
                "infra/OPERATIONS.md: the row of {id} does not say {urgency}, as template.yaml does"
            )
        });

        let target = description.rsplit(' ').next().unwrap_or_default();
        let anchor = target.strip_prefix("infra/OPERATIONS.md#").unwrap_or_default();
        violations.unless(runbooks.contains_key(anchor), || {
            format!(
                "template.yaml, {id}: end its description with infra/OPERATIONS.md# and the anchor of a \
                 heading under Alarms there"
            )
        });
        violations.unless(id.to_lowercase().ends_with(anchor), || {
            format!("template.yaml, {id}: its runbook is of another alarm, {anchor}")
        });
        opened.insert(anchor.to_owned());
    }

    for anchor in runbooks.keys().filter(|anchor| !opened.contains(*anchor)) {
        violations.add(format!("infra/OPERATIONS.md, {anchor}: no alarm leads there"));
    }

    violations.report();
}

#[test]
fn each_runbook_has_numbered_commands_to_paste() {
    let page = read("infra/OPERATIONS.md");
    let mut violations = Violations::default();

    for (anchor, part) in runbooks(&page) {
        let lines = shell_lines(part);
        let steps: Vec<&&str> = lines.iter().filter(|line| line.starts_with('#')).collect();
        let numbered = steps
            .iter()
            .enumerate()
            .all(|(index, step)| step.starts_with(&format!("# {}. ", index + 1)));
        violations.unless(steps.len() >= 2 && numbered, || {
            format!(
                "infra/OPERATIONS.md, {anchor}: number its steps, `# 1. …` and on, two at least"
            )
        });
        let empty = lines.windows(2).any(|pair| pair.iter().all(|line| line.starts_with('#')));
        let ends = lines.last().is_none_or(|line| line.starts_with('#'));
        violations.unless(!empty && !ends, || {
            format!("infra/OPERATIONS.md, {anchor}: each step is a command")
        });
        violations.unless(!lines.iter().any(|line| line.contains('…')), || {
            format!("infra/OPERATIONS.md, {anchor}: its block has to run as it stands")
        });
    }

    violations.report();
}

/// A metric by operation: one that is left out is not watched.
#[test]
fn the_alarm_on_the_tables_errors_adds_up_every_operation() {
    let template = Template::read();
    let metrics =
        template.properties("TableFails", ALARM)["Metrics"].as_sequence().into_iter().flatten();
    let dimensions = metrics.map(|metric| &metric["MetricStat"]["Metric"]["Dimensions"][1]);
    let watched: BTreeSet<String> = dimensions
        .filter(|dimension| dimension["Name"] == "Operation")
        .map(|dimension| words(&dimension["Value"]))
        .collect();
    assert_eq!(
        watched,
        operations_of("dynamodb"),
        "template.yaml, TableFails: it adds up the operations of tests/permissions.yaml"
    );
}
