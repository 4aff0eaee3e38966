//! The operators' view: each function has its log and is watched, each alarm can ring and is
//! heard, the dashboard shows what there is.

use std::collections::BTreeSet;

use yaml_serde::Value;

use crate::template::{Template, entries, reference, words};
use crate::{Violations, files, function_folders, read};
use domain::channel::Channel;
use platform::telemetry::metrics::METRICS;

/// The metrics that an operator is woken for, on every channel.
const ALARMING: [&str; 4] = ["GivenUp", "InDoubt", "ChannelPaused", "OldestDueSeconds"];

/// Behind these is no account that could be no good: no provider pauses them.
const NEVER_PAUSED: [Channel; 1] = [Channel::Chat];

/// The metrics that the functions count, as `METRICS_NAMESPACE` has it.
const NAMESPACE: &str = "Pingback/${AWS::StackName}";

/// The metrics of AWS that we look at, by the names and dimensions it has on
/// <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html>,
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-available-cloudwatch-metrics.html>,
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/metrics-dimensions.html>,
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-metrics.html>,
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-logging.html> and
/// <https://docs.aws.amazon.com/ses/latest/dg/reputationdashboard-cloudwatch-alarm.html>.
const MEASURED: [(&str, &[&str], &[&str]); 9] = [
    (
        "AWS/Lambda",
        &["FunctionName"],
        &[
            "Invocations",
            "Errors",
            "Throttles",
            "Duration",
            "ConcurrentExecutions",
            "RecursiveInvocationsDropped",
            "AsyncEventsDropped",
            "IteratorAge",
        ],
    ),
    ("AWS/Lambda", &[], &["ClaimedAccountConcurrency", "ConcurrentExecutions"]),
    ("AWS/SES", &[], &["Reputation.BounceRate", "Reputation.ComplaintRate"]),
    ("AWS/DynamoDB", &["TableName", "Operation"], &["SystemErrors", "SuccessfulRequestLatency"]),
    (
        "AWS/SQS",
        &["QueueName"],
        &["ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"],
    ),
    (
        "AWS/DynamoDB",
        &["TableName"],
        &[
            "ConsumedReadCapacityUnits",
            "ConsumedWriteCapacityUnits",
            "ReadThrottleEvents",
            "WriteThrottleEvents",
        ],
    ),
    (
        "AWS/DynamoDB",
        &["TableName", "GlobalSecondaryIndexName"],
        &["ReadThrottleEvents", "WriteThrottleEvents"],
    ),
    ("AWS/ApiGateway", &["ApiId"], &["Count", "4xx", "5xx", "Latency", "IntegrationLatency"]),
    (
        "AWS/ApiGateway",
        &["ApiId", "Stage"],
        &["ConnectCount", "MessageCount", "IntegrationError", "ExecutionError"],
    ),
];

/// One metric that an alarm or the dashboard looks at.
struct Watched {
    namespace: String,
    name: String,
    /// Names and values; a value is a word, or the resource that is referred to.
    dimensions: Vec<(String, String)>,
}

impl Watched {
    /// Returns the metrics of an alarm; several if it adds them up.
    fn by(alarm: &Value) -> Vec<Watched> {
        let several = alarm["Metrics"]
            .as_sequence()
            .into_iter()
            .flatten()
            .map(|metric| &metric["MetricStat"]["Metric"]);
        let several = several.filter(|metric| !metric.is_null());
        let one = Some(alarm).filter(|alarm| !alarm["MetricName"].is_null());
        several.chain(one).map(Watched::read).collect()
    }

    fn read(metric: &Value) -> Watched {
        let written = |value: &Value| match value {
            Value::Tagged(sub) if sub.tag == "Sub" => sub.value.as_str().map(str::to_owned),
            value => value.as_str().map(str::to_owned),
        };
        let text = |value: &Value| {
            reference(value).map(str::to_owned).or_else(|| written(value)).unwrap_or_default()
        };
        let dimensions = metric["Dimensions"].as_sequence().into_iter().flatten();

        Watched {
            namespace: text(&metric["Namespace"]),
            name: text(&metric["MetricName"]),
            dimensions: dimensions.map(|one| (text(&one["Name"]), text(&one["Value"]))).collect(),
        }
    }

    /// A row of a dashboard's `metrics`: namespace, name, pairs of a dimension's name and value,
    /// and how it is drawn.
    fn drawn(row: &serde_json::Value) -> Watched {
        let words = row.as_array().into_iter().flatten().filter_map(serde_json::Value::as_str);
        let mut words = words.map(str::to_owned);
        let namespace = words.next().unwrap_or_default();
        let name = words.next().unwrap_or_default();
        let mut dimensions = Vec::new();

        while let Some(dimension) = words.next() {
            let value = words.next().unwrap_or_default();
            let resource = value
                .strip_prefix("${")
                .and_then(|rest| rest.split(['.', '}']).next())
                .map(str::to_owned);
            dimensions.push((dimension, resource.unwrap_or(value)));
        }

        Watched { namespace, name, dimensions }
    }

    fn is(&self, name: &str, of: &str) -> bool {
        self.name == name && self.dimensions.first().is_some_and(|(_, value)| value == of)
    }

    /// Returns whether it is written: by a function into its log, by a filter of a log, or by AWS,
    /// under these very dimensions.
    fn exists(&self, template: &Template) -> bool {
        let dimensions: Vec<&str> = self.dimensions.iter().map(|(name, _)| name.as_str()).collect();
        let counted = |(name, by): &(&str, &str)| self.name == *name && dimensions == [*by];
        let measured = |(namespace, by, names): &(&str, &[&str], &[&str])| {
            self.namespace == *namespace && dimensions == *by && names.contains(&self.name.as_str())
        };
        let filtered = |filter: &Value| {
            let metric = &filter["MetricTransformations"][0];
            metric["MetricName"] == *self.name
                && words(&metric["MetricNamespace"]) == format!("!Sub {NAMESPACE}")
                && dimensions.is_empty()
        };
        if self.namespace == NAMESPACE {
            let filters = template.all("AWS::Logs::MetricFilter");
            METRICS.iter().any(counted) || filters.into_iter().any(|(_, filter)| filtered(filter))
        } else {
            MEASURED.iter().any(measured)
        }
    }
}

fn alarms(template: &Template) -> Vec<(&str, &Value)> {
    template.all("AWS::CloudWatch::Alarm")
}

fn watched(template: &Template) -> Vec<Watched> {
    alarms(template).into_iter().flat_map(|(_, alarm)| Watched::by(alarm)).collect()
}

#[test]
fn alarms_watch_what_is_counted_or_measured() {
    let template = Template::read();
    let mut violations = Violations::default();
    for (id, alarm) in alarms(&template) {
        let metrics = Watched::by(alarm);
        violations
            .unless(!metrics.is_empty(), || format!("template.yaml, {id}: it watches nothing"));
        for metric in metrics.iter().filter(|metric| !metric.exists(&template)) {
            let name = &metric.name;
            let namespace = &metric.namespace;
            violations.add(format!(
                "template.yaml, {id}: no function counts `{name}` in {namespace}, so it can never ring"
            ));
        }
        // What is missing is the very thing only where something has to happen all the time. A new
        // alarm begins without data: it rings when data end, and not on each new stack, as it
        // would if what is missing were breaching.
        let rings_without_data = alarm["ComparisonOperator"] == "LessThanThreshold";
        let missing = if rings_without_data { "missing" } else { "notBreaching" };
        violations.unless(alarm["TreatMissingData"] == missing, || {
            format!("template.yaml, {id}: nothing is written where nothing happens; set TreatMissingData: {missing}")
        });
        let told = reference(&alarm["InsufficientDataActions"][0]) == Some("Alarms");
        violations.unless(told == rings_without_data, || {
            format!("template.yaml, {id}: InsufficientDataActions are for what has to happen all the time, and needed there")
        });
        violations.unless(reference(&alarm["AlarmActions"][0]) == Some("Alarms"), || {
            format!("template.yaml, {id}: it notifies no topic; set AlarmActions: [!Ref Alarms]")
        });
    }

    violations.report();
}

#[test]
fn every_channel_is_watched() {
    let template = Template::read();
    let watched = watched(&template);
    let mut violations = Violations::default();
    let counted = template.environments()[0]["METRICS_NAMESPACE"].clone();
    violations.unless(matches!(counted, Value::Tagged(sub) if sub.value == NAMESPACE), || {
        format!("template.yaml: all functions count in !Sub {NAMESPACE}, or one stack rings another's alarms")
    });

    for channel in NEVER_PAUSED {
        // Code may ask what a failure is, and tests may make each; nothing else may make this one.
        let pauses = files(&format!("functions/deliver-{channel}")).into_iter().any(|file| {
            let text = read(file);
            let code = text.split("#[cfg(test)]").next().unwrap_or_default();
            code.lines().any(|line| line.contains("ChannelDown") && !line.contains("=>"))
        });
        violations.unless(!pauses, || {
            format!("functions/deliver-{channel} pauses channels now: give {channel} its alarm, and take it out of NEVER_PAUSED")
        });
    }

    for channel in Channel::ALL {
        for metric in ALARMING {
            let there = watched.iter().any(|one| one.is(metric, channel.name()));
            if metric == "ChannelPaused" && NEVER_PAUSED.contains(&channel) {
                violations.unless(!there, || {
                    format!("template.yaml: {channel} is never paused, its alarm cannot ring")
                });
                continue;
            }
            violations.unless(there, || {
                format!(
                    "template.yaml: give {channel} an alarm on {metric}, like the other channels'"
                )
            });
        }
    }

    for (queue, _) in template.dead_letter_queues() {
        violations.unless(watched.iter().any(|one| one.is("ApproximateNumberOfMessagesVisible", queue)), || {
            format!("template.yaml: no alarm watches {queue}; give it an alarm on ApproximateNumberOfMessagesVisible")
        });
    }

    violations.report();
}

#[test]
fn every_function_has_its_log_and_is_watched() {
    let template = Template::read();
    let watched = watched(&template);
    let mut violations = Violations::default();

    // AWS counts these for functions that it invokes by itself, and for workers, which ring their
    // own queues; no line of a log says that they happen.
    for function in template.functions() {
        for (kind, metric) in [
            ("SQS", "RecursiveInvocationsDropped"),
            ("Schedule", "AsyncEventsDropped"),
            ("EventBridgeRule", "AsyncEventsDropped"),
        ] {
            let has = function.events().iter().any(|(event, _)| *event == kind);
            violations
                .unless(!has || watched.iter().any(|one| one.is(metric, function.id)), || {
                    format!("template.yaml: add {}'s {metric} to an alarm", function.id)
                });
        }
    }

    for function in template.functions() {
        let id = function.id;
        let group =
            reference(&function.properties["LoggingConfig"]["LogGroup"]).unwrap_or_default();
        violations.unless(group == format!("{id}Log"), || {
            format!("template.yaml, {id}: give it a log group of its own, LoggingConfig: {{ LogGroup: !Ref {id}Log }}")
        });
        for metric in ["Errors", "Throttles"] {
            violations.unless(watched.iter().any(|one| one.is(metric, id)), || {
                format!("template.yaml: add {id}'s {metric} to one of the alarms that add them up")
            });
        }
    }

    for (id, group) in template.all("AWS::Logs::LogGroup") {
        violations.unless(reference(&group["RetentionInDays"]) == Some("LogRetentionDays"), || {
            format!("template.yaml, {id}: it would be kept for ever, set RetentionInDays: !Ref LogRetentionDays")
        });
    }

    violations.report();
}

#[test]
fn the_log_shows_each_function_in_detail_and_no_library() {
    let log = read("functions/platform/src/telemetry/log.rs");
    let list = log.split("const OWN_TARGETS").nth(1).and_then(|rest| rest.split(';').nth(1));
    let listed: BTreeSet<&str> = list.expect("a list").split('"').skip(1).step_by(2).collect();
    let own = function_folders().into_iter().map(|folder| folder.replace('-', "_"));
    let own: BTreeSet<String> = own.chain(["platform".to_owned()]).collect();
    assert_eq!(
        listed,
        own.iter().map(String::as_str).collect(),
        "functions/platform/src/telemetry/log.rs: OWN_TARGETS are the functions and platform"
    );
}

#[test]
fn the_dashboard_shows_what_there_is() {
    let template = Template::read();
    let mut violations = Violations::default();
    let Value::Tagged(body) =
        &template.properties("Dashboard", "AWS::CloudWatch::Dashboard")["DashboardBody"]
    else {
        panic!("template.yaml, Dashboard: its DashboardBody must be a text with !Sub");
    };

    let text = body.value.as_str().expect("a text");
    let dashboard: serde_json::Value = serde_json::from_str(text).expect("DashboardBody is JSON");
    let widgets = dashboard["widgets"]
        .as_array()
        .expect("widgets")
        .iter()
        .map(|widget| &widget["properties"]);
    let list = |widget: &serde_json::Value, name: &str| {
        widget[name].as_array().cloned().unwrap_or_default()
    };
    let drawn: Vec<Watched> = widgets
        .clone()
        .flat_map(|widget| list(widget, "metrics"))
        .map(|row| Watched::drawn(&row))
        .collect();

    for metric in drawn.iter().filter(|metric| !metric.exists(&template)) {
        violations.add(format!(
            "template.yaml, Dashboard: no function counts `{}` in {}",
            metric.name, metric.namespace
        ));
    }

    for function in template.functions() {
        violations.unless(drawn.iter().any(|metric| metric.is("Duration", function.id)), || {
            format!("template.yaml, Dashboard: show {} with the other functions", function.id)
        });
    }

    for channel in Channel::ALL {
        violations.unless(drawn.iter().any(|metric| metric.is("Sent", channel.name())), || {
            format!("template.yaml, Dashboard: show {channel} with the other channels")
        });
    }

    let shown: Vec<_> = widgets.flat_map(|widget| list(widget, "alarms")).collect();
    for (id, _) in alarms(&template) {
        violations.unless(shown.contains(&serde_json::json!(format!("${{{id}.Arn}}"))), || {
            format!("template.yaml, Dashboard: show the alarm {id} with the others")
        });
    }

    violations.report();
}

#[test]
fn parameters_ask_sensible_questions() {
    let template = Template::read();
    let mut violations = Violations::default();
    for (name, parameter) in entries(template.section("Parameters")) {
        violations.unless(parameter["Description"].is_string() && !parameter["Default"].is_null(), || {
            format!("template.yaml, {name}: give it a Description and a Default, `sam deploy --guided` asks for it")
        });
        let bounds = ["AllowedValues", "AllowedPattern", "MinValue"]
            .iter()
            .any(|bound| !parameter[*bound].is_null());
        violations.unless(bounds || name == "ClockOffsetMs", || {
            format!("template.yaml, {name}: say what may be answered, in AllowedValues, AllowedPattern or MinValue")
        });
    }

    for (name, output) in entries(template.section("Outputs")) {
        violations.unless(output["Description"].is_string(), || {
            format!("template.yaml, output {name}: say in a Description what it is for")
        });
    }

    violations.report();
}

#[test]
fn the_page_of_operations_lists_each_alarm_and_no_other() {
    let template = Template::read();
    let page = read("infra/OPERATIONS.md");
    let section =
        page.split("\n## ").find(|section| section.starts_with("Alarms\n")).unwrap_or_default();
    let first_cells =
        section.lines().filter_map(|line| line.strip_prefix("| `")?.split('|').next());
    let documented: BTreeSet<&str> =
        first_cells.flat_map(|cell| cell.split('`').step_by(2)).collect();
    let alarms: BTreeSet<&str> = alarms(&template).into_iter().map(|(id, _)| id).collect();
    let mut violations = Violations::default();

    for id in alarms.difference(&documented) {
        violations.add(format!(
            "infra/OPERATIONS.md: {id} is in no row of its alarms; say what it means, where to look and what to do"
        ));
    }

    for id in documented.difference(&alarms) {
        violations.add(format!(
            "infra/OPERATIONS.md tells of the alarm {id}, which template.yaml does not have"
        ));
    }

    violations.report();
}
