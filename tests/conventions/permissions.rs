//! `tests/permissions.yaml`, what AWS checks for each operation, against the operations in the code
//! and the grants in the template.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use yaml_serde::Value;

use crate::template::{Template, reference, words};
use crate::{Violations, files, read};

const TABLE: &str = "tests/permissions.yaml";

/// A row of the table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    /// `dynamodb:TransactWriteItems/Put`.
    operation: String,
    /// IAM actions.
    needs: BTreeSet<String>,
    source: String,
}

impl Row {
    /// The SDK's method for the operation: `transact_write_items`.
    fn method(&self) -> String {
        let operation = self.operation.split_once(':').map_or("", |(_, operation)| operation);
        let name = operation.split('/').next().unwrap_or_default();
        let mut method = String::new();
        for letter in name.chars() {
            if letter.is_ascii_uppercase() && !method.is_empty() {
                method.push('_');
            }
            method.push(letter.to_ascii_lowercase());
        }
        method
    }
}

fn table() -> Vec<Row> {
    yaml_serde::from_str(&read(TABLE)).expect("a list of rows")
}

/// The operations of a service that the functions call, without what they are called with.
pub(crate) fn operations_of(service: &str) -> BTreeSet<String> {
    let rows = table().into_iter().filter_map(|row| {
        let (of, operation) = row.operation.split_once(':')?;
        let name = operation.split('/').next().unwrap_or_default();
        (of == service).then(|| name.to_owned())
    });
    rows.collect()
}

/// The actions that each function may do, by its folder.
fn granted(template: &Template) -> BTreeMap<&str, BTreeSet<&str>> {
    let functions = template.functions().into_iter();
    functions
        .map(|function| (function.folder, actions_of(&function.properties["Policies"])))
        .collect()
}

/// The actions of a function's policies.
fn actions_of(policies: &Value) -> BTreeSet<&str> {
    statements_of(policies)
        .flat_map(|statement| one_or_many(&statement["Action"]))
        .filter_map(Value::as_str)
        .collect()
}

/// The queues that a function may send to.
fn queues_sent_to(policies: &Value) -> BTreeSet<&str> {
    statements_of(policies)
        .filter(|statement| {
            one_or_many(&statement["Action"]).any(|action| action == "sqs:SendMessage")
        })
        .flat_map(|statement| one_or_many(&statement["Resource"]))
        .filter_map(reference)
        .collect()
}

fn statements_of(policies: &Value) -> impl Iterator<Item = &Value> {
    let policies = policies.as_sequence().into_iter().flatten();
    policies.filter_map(|policy| policy["Statement"].as_sequence()).flatten()
}

fn one_or_many(value: &Value) -> impl Iterator<Item = &Value> {
    let many = value.as_sequence();
    many.into_iter().flatten().chain(many.is_none().then_some(value))
}

#[test]
fn every_permission_has_its_source() {
    let mut violations = Violations::default();
    let mut seen = BTreeSet::new();

    for Row { operation, needs, source } in &table() {
        violations.unless(seen.insert(operation.clone()), || {
            format!("{TABLE} has {operation} twice: make it one row")
        });
        violations.unless(source.starts_with("https://"), || {
            format!("{TABLE}, {operation}: name the page that says so")
        });
        violations.unless(!needs.is_empty(), || {
            format!("{TABLE}, {operation}: name the actions that AWS checks")
        });
    }

    violations.report();
}

#[test]
fn every_grant_is_one_that_an_operation_needs() {
    let template = Template::read();
    let rows = table();
    let needed: BTreeSet<&str> =
        rows.iter().flat_map(|row| &row.needs).map(String::as_str).collect();
    let mut violations = Violations::default();

    for (folder, actions) in granted(&template) {
        for action in actions.difference(&needed) {
            violations.add(format!(
                "template.yaml lets {folder} do {action}, which no operation in {TABLE} needs: take it out, or \
                 add the operation with its source"
            ));
        }
    }

    violations.report();
}

/// AWS checks all of an operation's actions on each resource, so a grant with a part of them is of
/// no use.
#[test]
fn every_grant_is_enough_for_an_operation() {
    let template = Template::read();
    let rows = table();
    let mut violations = Violations::default();

    for function in template.functions() {
        for statement in statements_of(&function.properties["Policies"]) {
            let actions: BTreeSet<&str> =
                one_or_many(&statement["Action"]).filter_map(Value::as_str).collect();
            for action in &actions {
                let is_enough = rows.iter().any(|row| {
                    let needs = || row.needs.iter().map(String::as_str);
                    needs().any(|need| need == *action)
                        && needs().all(|need| actions.contains(need))
                });
                violations.unless(is_enough, || {
                    format!(
                        "template.yaml, {}: {action} on {} is of no use without the other actions \
                         of its operation in {TABLE}",
                        function.id,
                        words(&statement["Resource"])
                    )
                });
            }
        }
    }

    violations.report();
}

#[test]
fn every_operation_in_the_code_is_granted() {
    let template = Template::read();
    let granted = granted(&template);
    let anywhere: BTreeSet<&str> = granted.values().flatten().copied().collect();
    let sources: Vec<(String, String)> = files("functions")
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| (path.display().to_string(), read(&path)))
        .collect();
    let mut violations = Violations::default();

    for row in table() {
        let call = format!(".{}()", row.method());
        let callers = sources.iter().filter(|(_, text)| text.contains(&call));
        let folders: BTreeSet<&str> =
            callers.filter_map(|(path, _)| path.split('/').nth(1)).collect();
        violations.unless(!folders.is_empty(), || {
            format!("{TABLE}, {}: no function calls it, take it out", row.operation)
        });

        for folder in folders {
            // What is shared is called for several functions: tests/least-privilege knows which.
            let may = granted.get(folder).unwrap_or(&anywhere);
            for action in row.needs.iter().filter(|action| !may.contains(action.as_str())) {
                violations.add(format!(
                    "functions/{folder} calls {}, for which AWS checks {action} ({}): grant it in template.yaml",
                    row.operation, row.source
                ));
            }
        }
    }

    violations.report();
}

/// Lambda stops a function after about 16 invocations in one chain of requests, unless it is told
/// that the loop is meant: <https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html>.
/// Only a worker's loop may be longer: its doorbells end with its messages.
#[test]
fn functions_that_send_to_their_own_queue_say_so_and_no_others_do() {
    let template = Template::read();
    let mut violations = Violations::default();

    for function in template.functions() {
        let id = function.id;
        let sends = queues_sent_to(&function.properties["Policies"]);
        let events = function.events();
        let sources = events.iter().filter(|(kind, _)| *kind == "SQS");
        let loops = sources.filter_map(|(_, source)| reference(&source["Queue"]));
        let loops: Vec<&str> = loops.filter(|queue| sends.contains(queue)).collect();
        let is_worker = function.folder.starts_with("deliver-");
        let expected = match loops.is_empty() {
            true => None,
            false if is_worker => Some("Allow"),
            false => Some("Terminate"),
        };

        violations.unless(function.properties["RecursiveLoop"].as_str() == expected, || {
            format!(
                "template.yaml, {id}: of its own queues it sends to {loops:?}; set RecursiveLoop to \
                 {expected:?} and say why the loop ends"
            )
        });
    }

    violations.report();
}
