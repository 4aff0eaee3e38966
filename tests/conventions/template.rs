//! The template: each function has its folder, each channel its worker, queue and dead-letter
//! queue.

use std::collections::{BTreeMap, BTreeSet};

use yaml_serde::{Mapping, Value};

use crate::contract::Document;
use crate::{Violations, function_folders, pascal_case, read};
use domain::channel::Channel;

/// `template.yaml`, as far as the conventions look into it.
pub(crate) struct Template {
    document: Value,
}

/// One `AWS::Serverless::Function`.
pub(crate) struct Function<'a> {
    /// Its name in the template.
    pub(crate) id: &'a str,
    /// Its folder below `functions/`.
    pub(crate) folder: &'a str,
    pub(crate) properties: &'a Value,
    metadata: &'a Value,
    default_timeout: u64,
}

impl Template {
    pub(crate) fn read() -> Template {
        Template {
            document: yaml_serde::from_str(&read("template.yaml")).expect("template.yaml is YAML"),
        }
    }

    /// The queues in which messages wait for a person: those that no function is invoked by.
    pub(crate) fn dead_letter_queues(&self) -> Vec<(&str, &Value)> {
        let functions = self.functions();
        let is_polled = |id: &str| {
            let sources = functions.iter().flat_map(Function::events);
            sources
                .filter(|(kind, _)| *kind == "SQS")
                .any(|(_, source)| reference(&source["Queue"]) == Some(id))
        };
        let queues = self.all("AWS::SQS::Queue").into_iter();
        queues.filter(|(id, _)| !is_polled(id)).collect()
    }

    pub(crate) fn functions(&self) -> Vec<Function<'_>> {
        let default_timeout = self.document["Globals"]["Function"]["Timeout"].as_u64().unwrap_or(3);
        entries(&self.document["Resources"])
            .filter(|(_, resource)| resource["Type"] == "AWS::Serverless::Function")
            .map(|(id, resource)| {
                let properties = &resource["Properties"];
                let code = properties["CodeUri"].as_str().unwrap_or_default();
                let folder = code.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
                Function {
                    id,
                    folder,
                    properties,
                    metadata: &resource["Metadata"],
                    default_timeout,
                }
            })
            .collect()
    }

    /// The environment variables that all functions have, and those of each.
    pub(crate) fn environments(&self) -> Vec<&Value> {
        let shared = &self.document["Globals"]["Function"]["Environment"]["Variables"];
        let own = self
            .functions()
            .into_iter()
            .map(|function| &function.properties["Environment"]["Variables"]);
        std::iter::once(shared).chain(own).collect()
    }

    /// A section, such as `Parameters`.
    pub(crate) fn section(&self, name: &str) -> &Value {
        &self.document[name]
    }

    /// The resources of one type: names and properties.
    pub(crate) fn all(&self, kind: &str) -> Vec<(&str, &Value)> {
        let resources =
            entries(&self.document["Resources"]).filter(|(_, resource)| resource["Type"] == kind);
        resources.map(|(id, resource)| (id, &resource["Properties"])).collect()
    }

    /// Returns whether CloudFormation makes one resource after another one: it depends on it, in so
    /// many words or by a reference, or on one that does.
    fn is_made_after(&self, later: &str, earlier: &str) -> bool {
        let resources = &self.document["Resources"];
        let mut seen = BTreeSet::new();
        let mut next = vec![later.to_owned()];

        while let Some(id) = next.pop() {
            let resource = &resources[id.as_str()];
            let mut found = list(&resource["DependsOn"]);
            names_in(&resource["Properties"], &mut found);
            for name in found.into_iter().filter(|name| !resources[name.as_str()].is_null()) {
                if name == earlier {
                    return true;
                }
                if seen.insert(name.clone()) {
                    next.push(name);
                }
            }
        }

        false
    }

    /// A resource's properties; null if there is no such resource of the type.
    pub(crate) fn properties(&self, id: &str, kind: &str) -> &Value {
        let resource = &self.document["Resources"][id];
        if resource["Type"] == kind { &resource["Properties"] } else { &Value::Null }
    }
}

impl Function<'_> {
    /// Its event sources: type and properties.
    pub(crate) fn events(&self) -> Vec<(&str, &Value)> {
        let events = entries(&self.properties["Events"]);
        events
            .map(|(_, event)| (event["Type"].as_str().unwrap_or_default(), &event["Properties"]))
            .collect()
    }

    /// Its time-out, in seconds.
    pub(crate) fn timeout(&self) -> u64 {
        self.properties["Timeout"].as_u64().unwrap_or(self.default_timeout)
    }
}

#[test]
fn functions_have_their_folder_and_folders_their_function() {
    let template = Template::read();
    let functions = template.functions();
    let mut violations = Violations::default();

    for Function { id, folder, properties, metadata, .. } in &functions {
        violations.unless(properties["CodeUri"] == format!("functions/{folder}"), || {
            format!("template.yaml, {id}: CodeUri must be functions/<folder>")
        });
        violations.unless(*id == pascal_case(folder), || {
            format!(
                "template.yaml calls functions/{folder} `{id}`: call it `{}`",
                pascal_case(folder)
            )
        });
        violations.unless(metadata["BuildProperties"]["Binary"] == **folder, || {
            format!("template.yaml, {id}: build the binary `{folder}` (Metadata, BuildProperties, Binary)")
        });
        violations.unless(function_folders().iter().any(|there| there == folder), || {
            format!("template.yaml names {id}, but there is no functions/{folder}: write it or take it out")
        });
    }

    for folder in function_folders() {
        violations.unless(functions.iter().any(|function| function.folder == folder), || {
            format!(
                "functions/{folder} is not deployed: declare `{}` in template.yaml",
                pascal_case(&folder)
            )
        });
    }

    violations.report();
}

#[test]
fn every_channel_has_its_worker_and_queues() {
    let template = Template::read();
    let functions: BTreeMap<&str, Function<'_>> =
        template.functions().into_iter().map(|function| (function.folder, function)).collect();
    let mut violations = Violations::default();

    for channel in Channel::ALL {
        let folder = format!("deliver-{channel}");
        let Some(worker) = functions.get(folder.as_str()) else {
            violations
                .add(format!("no function delivers {channel}: write functions/{folder} and declare it in template.yaml"));
            continue;
        };
        let sources: Vec<_> =
            worker.events().into_iter().filter(|(kind, _)| *kind == "SQS").collect();
        let [(_, source)] = sources.as_slice() else {
            violations.add(format!(
                "template.yaml, {}: give it one SQS event, its channel's queue",
                worker.id
            ));
            continue;
        };
        let queue = reference(&source["Queue"]).unwrap_or_default();
        check_source(&template, worker, source, queue, &mut violations);
        for ringer in ["send-message", "sweep-outbox"] {
            let variable = format!("{}_QUEUE_URL", channel.name().to_uppercase());
            let given = functions
                .get(ringer)
                .map(|f| &f.properties["Environment"]["Variables"][variable.as_str()]);
            violations.unless(given.and_then(reference) == Some(queue), || {
                format!("template.yaml: {ringer} cannot ring for {channel}; set its {variable} to !Ref {queue}")
            });
        }
    }

    for folder in function_folders() {
        let channel = folder.strip_prefix("deliver-");
        // Events go to their callers by no channel.
        let known =
            |name| name == "webhook" || Channel::ALL.iter().any(|channel| channel.name() == name);
        violations.unless(channel.is_none_or(known), || {
            format!("functions/{folder} delivers to no channel: add the channel to domain::channel::Channel")
        });
    }

    violations.report();
}

#[test]
fn apis_have_their_limits_and_their_logs() {
    let template = Template::read();
    let http = template.all("AWS::Serverless::HttpApi").into_iter();
    let mut violations = Violations::default();

    for (id, api) in http.chain(template.all("AWS::ApiGatewayV2::Stage")) {
        for limit in ["ThrottlingRateLimit", "ThrottlingBurstLimit"] {
            violations.unless(reference(&api["DefaultRouteSettings"][limit]).is_some(), || {
                format!(
                    "template.yaml, {id}: without a {limit} of its own it takes the whole account's"
                )
            });
        }
        let format = api["AccessLogSettings"]["Format"].as_str().unwrap_or_default();
        violations.unless(format.contains("$context.routeKey"), || {
            format!(
                "template.yaml, {id}: give it AccessLogSettings, with the route in their Format"
            )
        });
        for secret in ["path", "identity"].map(|name| format!("$context.{name}")) {
            violations.unless(!format.contains(&secret), || {
                format!("template.yaml, {id}: {secret} may not be logged: paths lead to files, addresses to people")
            });
        }
    }

    let table = template.properties("Table", "AWS::DynamoDB::Table");
    violations.unless(
        reference(&table["DeletionProtectionEnabled"]) == Some("DeletionProtection"),
        || {
            "template.yaml, Table: set DeletionProtectionEnabled: !Ref DeletionProtection"
                .to_owned()
        },
    );

    violations.report();
}

/// A route that is reached without a business's credential has a throttle of its own.
#[test]
fn public_routes_have_throttles_of_their_own() {
    let document = Document::read();
    let public = document.operations().filter(|(_, _, operation)| !operation["security"].is_null());
    let public: BTreeSet<String> =
        public.map(|(method, path, _)| format!("{} {path}", method.to_uppercase())).collect();

    let template = Template::read();
    let settings = &template.properties("Api", "AWS::Serverless::HttpApi")["RouteSettings"];
    let names = settings.as_mapping().into_iter().flatten().filter_map(|(name, _)| name.as_str());
    let throttled: BTreeSet<String> = names.map(str::to_owned).collect();
    assert_eq!(
        throttled, public,
        "template.yaml, Api: RouteSettings, by openapi.yaml's `security`"
    );
}

#[test]
fn asynchronous_events_have_their_retries_and_their_dead_letter_queue() {
    let template = Template::read();
    let queues = template.all("AWS::SQS::QueuePolicy");
    let lets_in = |policy: &Value, rule: &str| {
        let source =
            &policy["PolicyDocument"]["Statement"][0]["Condition"]["ArnEquals"]["aws:SourceArn"];
        reference(source) == Some(rule)
    };
    let mut violations = Violations::default();

    for function in template.functions() {
        let id = function.id;
        let config = &function.properties["EventInvokeConfig"];
        for (kind, _) in function.events() {
            let comes_again = kind == "Schedule";
            violations.unless(
                !(comes_again || kind == "EventBridgeRule") || config["MaximumRetryAttempts"].is_number(),
                || format!("template.yaml, {id}: say how often a failed event is tried again, EventInvokeConfig"),
            );
            let kept = reference(&config["DestinationConfig"]["OnFailure"]["Destination"]);
            violations.unless(kind != "EventBridgeRule" || kept.is_some(), || {
                format!("template.yaml, {id}: an event comes once; keep those that fail, DestinationConfig, OnFailure")
            });
        }
        for (name, _) in entries(&function.properties["Events"])
            .filter(|(_, event)| event["Type"] == "EventBridgeRule")
        {
            let rule = format!("{id}{name}");
            violations.unless(queues.iter().any(|(_, policy)| lets_in(policy, &rule)), || {
                format!(
                    "template.yaml: no QueuePolicy lets the rule {rule}, as SAM calls it, keep what it cannot hand over"
                )
            });
        }
    }

    violations.report();
}

/// API Gateway refuses changes of one API at once
/// ([hashicorp/terraform-provider-aws#18018](https://github.com/hashicorp/terraform-provider-aws/issues/18018));
/// CloudFormation makes at once what does not depend on each other.
#[test]
fn the_parts_of_the_websocket_api_are_made_one_after_the_other() {
    let template = Template::read();
    let parts = ["Integration", "Route", "Stage"]
        .map(|kind| template.all(&format!("AWS::ApiGatewayV2::{kind}")));
    let parts: Vec<&str> = parts.into_iter().flatten().map(|(id, _)| id).collect();
    let mut violations = Violations::default();

    for (index, one) in parts.iter().enumerate() {
        for other in &parts[index + 1..] {
            let ordered = template.is_made_after(one, other) || template.is_made_after(other, one);
            violations.unless(ordered, || {
                format!("template.yaml: {one} and {other} are made at once, say DependsOn")
            });
        }
    }

    for (stage, _) in template.all("AWS::ApiGatewayV2::Stage") {
        for other in parts.iter().filter(|part| **part != stage) {
            violations.unless(template.is_made_after(stage, other), || {
                format!("template.yaml: {stage} deploys whatever changes after it, have it come after {other}")
            });
        }
    }

    violations.report();
}

/// What stays when the stack is deleted is what an update may not replace, and the other way round.
#[test]
fn the_stack_policy_keeps_what_cannot_be_made_again() {
    let policy: serde_json::Value =
        serde_json::from_str(&read("infra/stack-policy.json")).expect("the stack policy is JSON");
    let template = Template::read();
    let kept = entries(&template.document["Resources"]).filter(|(_, resource)| {
        let kind = resource["Type"].as_str().unwrap_or_default();
        resource["UpdateReplacePolicy"] == "Retain"
            && !kind.starts_with("AWS::ApiGateway")
            && !kind.starts_with("AWS::IAM")
    });
    let mut violations = Violations::default();
    let denied = |id: &str, update: &str| {
        let names = |value: &serde_json::Value, name: &str| match value {
            serde_json::Value::Array(items) => items.iter().any(|item| item == name),
            value => value == name,
        };
        policy["Statement"].as_array().into_iter().flatten().any(|statement| {
            statement["Effect"] == "Deny"
                && names(&statement["Resource"], &format!("LogicalResourceId/{id}"))
                && (names(&statement["Action"], update) || names(&statement["Action"], "Update:*"))
        })
    };

    let mut ids = Vec::new();
    for (id, resource) in kept {
        for update in ["Update:Replace", "Update:Delete"] {
            violations.unless(denied(id, update), || {
                format!("infra/stack-policy.json: deny {update} of {id}")
            });
        }
        // A change of what generates it makes a new key.
        let is_secret = resource["Type"] == "AWS::SecretsManager::Secret";
        violations.unless(!is_secret || denied(id, "Update:Modify"), || {
            format!("infra/stack-policy.json: deny Update:* of {id}")
        });
        ids.push(format!("LogicalResourceId/{id}"));
    }

    for statement in policy["Statement"].as_array().into_iter().flatten() {
        let resources = statement["Resource"].as_array().into_iter().flatten();
        for resource in resources.filter_map(serde_json::Value::as_str) {
            violations.unless(ids.iter().any(|id| id == resource), || {
                format!("infra/stack-policy.json keeps {resource}, which goes with the stack")
            });
        }
    }

    violations.report();
}

/// Checks that a queue has all it needs so that no doorbell is lost. Its times are bounds.
fn check_source(
    template: &Template,
    worker: &Function<'_>,
    source: &Value,
    queue: &str,
    violations: &mut Violations,
) {
    let properties = template.properties(queue, "AWS::SQS::Queue");
    if properties.is_null() {
        violations.add(format!(
            "template.yaml, {}: its event's Queue must be !GetAtt <a queue>.Arn",
            worker.id
        ));
        return;
    }

    let reports = source["FunctionResponseTypes"]
        .as_sequence()
        .is_some_and(|types| types.contains(&"ReportBatchItemFailures".into()));
    violations.unless(reports, || {
        format!(
            "template.yaml, {}: set FunctionResponseTypes, or one bad record fails its whole batch",
            worker.id
        )
    });
    violations.unless(reference(&source["ScalingConfig"]["MaximumConcurrency"]).is_some(), || {
        format!(
            "template.yaml, {}: one channel may not take all functions, set its MaximumConcurrency",
            worker.id
        )
    });

    let dead_letters =
        reference(&properties["RedrivePolicy"]["deadLetterTargetArn"]).unwrap_or_default();
    let dead_letters = template.properties(dead_letters, "AWS::SQS::Queue");
    violations.unless(!dead_letters.is_null() && properties["RedrivePolicy"]["maxReceiveCount"].is_number(), || {
        format!("template.yaml, {queue}: give it a RedrivePolicy to a dead-letter queue, with a maxReceiveCount")
    });
}

/// The resource behind `!Ref X` or `!GetAtt X.Attribute`.
pub(crate) fn reference(value: &Value) -> Option<&str> {
    let Value::Tagged(tagged) = value else { return None };
    let known = tagged.tag == "Ref" || tagged.tag == "GetAtt";
    let name = tagged.value.as_str().filter(|_| known)?;
    name.split('.').next()
}

/// Collects the names that `!Ref`, `!GetAtt` and `!Sub` in a value refer to.
fn names_in(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Tagged(sub) if sub.tag == "Sub" => {
            let text = words(&sub.value);
            let names = text.split("${").skip(1).filter_map(|rest| rest.split(['.', '}']).next());
            found.extend(names.map(str::to_owned));
        }
        Value::Tagged(tagged) => {
            found.extend(reference(value).map(str::to_owned));
            names_in(&tagged.value, found);
        }
        Value::Sequence(items) => items.iter().for_each(|item| names_in(item, found)),
        Value::Mapping(mapping) => mapping.values().for_each(|member| names_in(member, found)),
        _ => {}
    }
}

/// The entries of a mapping with text keys; none if it is not a mapping.
pub(crate) fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    let mapping = value.as_mapping().into_iter().flat_map(Mapping::iter);
    mapping.filter_map(|(key, value)| Some((key.as_str()?, value)))
}

/// A scalar as text.
pub(crate) fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Tagged(tagged) => format!("{} {}", tagged.tag, words(&tagged.value)),
        other => yaml_serde::to_string(other).unwrap_or_default().trim().to_owned(),
    }
}

/// One text or several, as texts.
pub(crate) fn list(value: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::Tagged(sub) if sub.tag == "Sub" => words(&sub.value),
        value => words(value),
    };
    match value {
        Value::Null => Vec::new(),
        Value::Sequence(items) => items.iter().map(text).collect(),
        // The one or the other; what is a parameter's is the operator's to say.
        Value::Tagged(choice) if choice.tag == "If" => {
            let branches = choice.value.as_sequence().into_iter().flatten().skip(1);
            branches.filter(|branch| branch.is_sequence()).flat_map(list).collect()
        }
        value => vec![text(value)],
    }
}
