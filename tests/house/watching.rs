//! What operators have: alarms, the dashboard, logs and outputs, against what there is to watch.

use crate::template::{Template, reference};
use crate::{Violations, files, read, root};
use domain::channel::Channel;
use platform::telemetry::metrics::NAMESPACE;
use serde_json::Value as Json;
use serde_yaml_ng::Value;
use std::collections::BTreeSet;

/// What somebody wants to be woken for, whichever channel it is on.
const ALARMING: [&str; 4] = ["GivenUp", "InDoubt", "ChannelPaused", "OldestDueSeconds"];

/// What somebody who looks at the dashboard wants to see of each channel.
const SHOWN: [&str; 13] = [
    "Accepted",
    "Sent",
    "DeliverySeconds",
    "PutBack",
    "InDoubt",
    "Failed",
    "GivenUp",
    "ChannelPaused",
    "Receipts",
    "OldestDueSeconds",
    "Due",
    "Rung",
    "BellNotRung",
];

#[test]
fn alarms_watch_what_is_counted_and_ring() {
    let template = Template::read();
    let code = code();
    let mut violations = Violations::default();
    for (id, alarm) in template.all("AWS::CloudWatch::Alarm") {
        let metric = alarm["MetricName"].as_str().unwrap_or_default();
        let ours = alarm["Namespace"] == NAMESPACE;
        violations.unless(!ours || code.contains(&format!("\"{metric}\"")), || {
            format!("template.yaml, {id}: no function counts `{metric}` in {NAMESPACE}, so it can never ring")
        });
        // An alarm on too little of something rings where nothing is written; on too much, nothing is nothing.
        let missing = match alarm["ComparisonOperator"].as_str() {
            Some("LessThanThreshold") => "breaching",
            _ => "notBreaching",
        };
        violations.unless(alarm["TreatMissingData"] == missing, || {
            format!("template.yaml, {id}: nothing is written where nothing happens; set TreatMissingData: {missing}")
        });
        violations.unless(reference(&alarm["AlarmActions"][0]) == Some("Alarms"), || {
            format!("template.yaml, {id}: nobody hears it; set AlarmActions: [!Ref Alarms]")
        });
        violations.unless(alarm["AlarmDescription"].is_string(), || {
            format!("template.yaml, {id}: say in its AlarmDescription what is the matter when it rings")
        });
    }
    violations.report();
}

#[test]
fn every_channel_function_api_and_dead_letter_queue_has_its_alarms() {
    let template = Template::read();
    let alarms: Vec<_> = template.all("AWS::CloudWatch::Alarm").map(|(_, alarm)| alarm).collect();
    let watched = |metric: &str, whose: &dyn Fn(&Value) -> bool| {
        let of = |alarm: &&&Value| alarm["MetricName"] == metric;
        alarms.iter().filter(of).any(|alarm| whose(&alarm["Dimensions"][0]["Value"]))
    };
    let of = |id: &str, metric: &str| watched(metric, &|value| reference(value) == Some(id));
    let mut violations = Violations::default();
    for (channel, metric) in Channel::ALL.into_iter().flat_map(|c| ALARMING.map(|metric| (c, metric))) {
        violations.unless(watched(metric, &|value| value == channel.name()), || {
            format!("template.yaml: give {channel} an alarm on {metric}, like the other channels'")
        });
    }
    for function in template.functions() {
        let id = function.id;
        violations.unless(of(id, "Errors"), || format!("template.yaml: give {id} an alarm on Errors: `{id}Fails`"));
    }
    for (id, _) in template.all("AWS::SQS::Queue").filter(|(id, _)| id.ends_with("DeadLetters")) {
        violations.unless(of(id, "ApproximateNumberOfMessagesVisible"), || {
            format!("template.yaml: nobody would look into {id}; give it an alarm, `{id}Arrived`")
        });
    }
    for (api, metric) in [("Api", "5xx"), ("ChatApi", "IntegrationError")] {
        violations.unless(of(api, metric), || format!("template.yaml: give {api} an alarm on {metric}"));
    }
    violations.unless(alarms.iter().any(|alarm| alarm["MetricName"] == "Throttles"), || {
        "template.yaml: nobody would learn that Lambda turns invocations away; set an alarm on Throttles".to_owned()
    });
    violations.report();
}

#[test]
fn operators_are_told_what_each_alarm_means() {
    let page = "infra/OPERATIONS.md";
    if !root().join(page).exists() {
        return;
    }
    let (template, text) = (Template::read(), read(page));
    let mut violations = Violations::default();
    for (id, _) in template.all("AWS::CloudWatch::Alarm") {
        violations.unless(text.contains(&format!("`{id}`")), || {
            format!("{page} says nothing of `{id}`: what does it mean, and what is to be done?")
        });
    }
    violations.report();
}

#[test]
fn the_dashboard_shows_what_is_counted_on_every_channel_and_names_only_what_there_is() {
    let template = Template::read();
    let code = code();
    let dashboard: Json = serde_json::from_str(&read("infra/dashboard.json")).expect("infra/dashboard.json is JSON");
    let mut violations = Violations::default();
    let mut shown = BTreeSet::new();
    let widgets = dashboard["widgets"].as_array().expect("widgets");
    for metric in widgets.iter().filter_map(|widget| widget["properties"]["metrics"].as_array()).flatten() {
        let [namespace, name, dimension, value, ..] = metric.as_array().map_or(&[][..], Vec::as_slice) else {
            continue;
        };
        if namespace == NAMESPACE {
            let name = name.as_str().unwrap_or_default();
            violations.unless(code.contains(&format!("\"{name}\"")), || {
                format!("infra/dashboard.json shows {name}, which no function counts")
            });
            violations.unless(dimension == "Channel", || {
                format!("infra/dashboard.json: {name} is counted by Channel, not by {dimension}")
            });
            shown.insert((name, value.as_str().unwrap_or_default()));
        }
    }
    for (channel, metric) in Channel::ALL.into_iter().flat_map(|c| SHOWN.map(|metric| (c, metric))) {
        violations.unless(shown.contains(&(metric, channel.name())), || {
            format!("infra/dashboard.json: show {metric} of {channel}, like the other channels'")
        });
    }
    let named = named(&dashboard);
    for id in named.iter().filter(|id| !id.starts_with("AWS::")) {
        violations.unless(template.has(id), || format!("infra/dashboard.json names {id}, template.yaml does not"));
    }
    let queues = template.all("AWS::SQS::Queue").map(|(id, _)| id);
    for id in template.functions().iter().map(|function| function.id).chain(queues).chain(["Api", "ChatApi", "Table"]) {
        violations.unless(named.contains(id), || format!("infra/dashboard.json: show how {id} is"));
    }
    violations.report();
}

#[test]
fn every_function_logs_into_its_own_group_for_a_limited_time() {
    let template = Template::read();
    let mut violations = Violations::default();
    for function in template.functions() {
        let (id, log) = (function.id, format!("{}Log", function.id));
        let name = template.properties(&log, "AWS::Logs::LogGroup")["LogGroupName"].clone();
        let wanted = format!("/aws/lambda/${{AWS::StackName}}/{}", function.folder);
        violations.unless(matches!(&name, Value::Tagged(sub) if sub.tag == "Sub" && sub.value == wanted), || {
            format!("template.yaml: declare the log group {log}, with LogGroupName: !Sub {wanted}")
        });
        violations.unless(reference(&function.properties["LoggingConfig"]["LogGroup"]) == Some(&log), || {
            format!("template.yaml, {id}: say where it logs, LoggingConfig: {{ LogGroup: !Ref {log} }}")
        });
    }
    for (id, group) in template.all("AWS::Logs::LogGroup") {
        violations.unless(reference(&group["RetentionInDays"]) == Some("LogRetentionDays"), || {
            format!("template.yaml, {id}: it would be kept for ever; set RetentionInDays: !Ref LogRetentionDays")
        });
    }
    violations.report();
}

#[test]
fn parameters_explain_themselves_and_queues_can_be_found() {
    let template = Template::read();
    let mut violations = Violations::default();
    for (name, parameter) in template.section("Parameters") {
        for key in ["Description", "Default"] {
            violations.unless(!parameter[key].is_null(), || format!("template.yaml, {name}: give it a {key}"));
        }
        let bounded = match parameter["Type"].as_str() {
            _ if parameter["AllowedValues"].is_sequence() => true,
            Some("Number") => parameter["MinValue"].is_number() && parameter["MaxValue"].is_number(),
            _ => parameter["AllowedPattern"].is_string() && parameter["ConstraintDescription"].is_string(),
        };
        violations.unless(bounded, || {
            format!("template.yaml, {name}: say what is allowed (AllowedValues; MinValue and MaxValue; or AllowedPattern with ConstraintDescription)")
        });
    }
    let outputs: BTreeSet<_> =
        template.section("Outputs").filter_map(|(_, output)| reference(&output["Value"])).collect();
    for (id, _) in template.all("AWS::SQS::Queue") {
        violations.unless(outputs.contains(id), || format!("template.yaml: make {id}'s URL an output, `{id}Url`"));
    }
    violations.report();
}

/// Every line of the functions' code.
fn code() -> String {
    let rust = files("functions").into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    rust.map(read).collect()
}

/// What `Ref` and `Fn::GetAtt` name, anywhere in a document.
fn named(document: &Json) -> BTreeSet<String> {
    match document {
        Json::Array(items) => items.iter().flat_map(named).collect(),
        Json::Object(members) => {
            let here = members.get("Ref").or_else(|| members.get("Fn::GetAtt")?.get(0)).and_then(Json::as_str);
            here.map(str::to_owned).into_iter().chain(members.values().flat_map(named)).collect()
        }
        _ => BTreeSet::new(),
    }
}
