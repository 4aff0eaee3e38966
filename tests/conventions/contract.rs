//! The OpenAPI document against the code: the same problems and channels. Its routes are
//! [`crate::http_api`]'s.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use yaml_serde::Value;

use crate::template::entries;
use crate::{Violations, read};
use domain::channel::Channel;
use domain::delivery::{
    AttemptOutcome, FIRST_ATTEMPTS_KEPT, LAST_ATTEMPTS_KEPT, MAX_CODE_BYTES, MAX_DETAIL_BYTES,
    MAX_PROVIDER_CODE_BYTES, Status,
};
use domain::problem::Code;

const METHODS: [&str; 6] = ["get", "head", "post", "put", "patch", "delete"];

#[test]
fn problems_are_those_of_the_code() {
    let document = Document::read();
    let mut violations = Violations::default();
    let known: BTreeMap<String, Code> =
        Code::ALL.into_iter().map(|code| (name(code), code)).collect();
    let mut documented = BTreeSet::new();

    for (method, path, operation) in document.operations() {
        for (status, response) in entries(&operation["responses"]) {
            let response = document.follow(response);
            for (example, content) in
                entries(&response["content"]["application/problem+json"]["examples"])
            {
                let place =
                    format!("infra/openapi.yaml, {method} {path}, {status}, example `{example}`");
                let Some(code) = known.get(example) else {
                    violations.add(format!(
                        "{place}: the code has no such problem; add it to Code or take it out"
                    ));
                    continue;
                };
                documented.insert(example.to_owned());
                check_example(&place, *code, status, &content["value"], &mut violations);
            }
        }
    }

    for code in known.keys().filter(|code| !documented.contains(*code)) {
        violations.add(format!(
            "no operation of infra/openapi.yaml can answer `{code}`: add an example of that name under its status"
        ));
    }

    let listed = document.list("/components/schemas/Problem/properties/code/enum");
    violations.unless(listed == known.keys().cloned().collect(), || {
        format!(
            "infra/openapi.yaml: the enum of Problem.code must be {:?}",
            known.keys().collect::<Vec<_>>()
        )
    });

    violations.report();
}

/// An example must be what the code would answer, except for the detail.
fn check_example(
    place: &str,
    code: Code,
    under: &str,
    example: &Value,
    violations: &mut Violations,
) {
    let (status, title) = code.status_and_title();
    violations
        .unless(under == status.to_string(), || format!("{place}: it belongs under {status}"));

    let expected = [
        ("type", Value::from(format!("urn:pingback:problem:{}", name(code)))),
        ("title", Value::from(title)),
        ("status", Value::from(status)),
        ("code", Value::from(name(code))),
    ];

    for (member, value) in expected {
        violations.unless(example[member] == value, || {
            format!("{place}: `{member}` must be {value:?}, as domain::problem answers it")
        });
    }
}

#[test]
fn channels_are_those_of_the_code() {
    let listed = Document::read().list("/components/schemas/Channel/enum");
    let known: BTreeSet<String> = Channel::ALL
        .iter()
        .flat_map(|channel| channel.wire_names())
        .map(|name| (*name).to_owned())
        .collect();
    let mut violations = Violations::default();
    violations.unless(listed == known, || {
        format!("infra/openapi.yaml: the enum of Channel must be {known:?}, the wire names of domain::channel")
    });
    violations.report();
}

#[test]
fn a_messages_delivery_is_described_in_the_words_of_the_code() {
    let document = Document::read();
    let mut violations = Violations::default();
    let mut check = |pointer: &str, known: BTreeSet<String>| {
        violations.unless(document.list(pointer) == known, || {
            format!(
                "infra/openapi.yaml: {pointer} must be {known:?}, the words of domain::delivery"
            )
        });
    };

    check("/components/schemas/DeliveryStatus/enum", Status::ALL.into_iter().map(name).collect());
    let outcomes = AttemptOutcome::ALL.into_iter().map(name).collect();
    check("/components/schemas/DeliveryAttempt/properties/outcome/enum", outcomes);

    let most = document.at("/components/schemas/Delivery/properties/history/maxItems");
    violations.unless(*most == FIRST_ATTEMPTS_KEPT + LAST_ATTEMPTS_KEPT, || {
        format!(
            "infra/openapi.yaml: Delivery.history has at most {} items",
            FIRST_ATTEMPTS_KEPT + LAST_ATTEMPTS_KEPT
        )
    });

    for schema in ["DeliveryAttempt", "DeliveryError"] {
        for (member, longest) in [
            ("code", MAX_CODE_BYTES),
            ("detail", MAX_DETAIL_BYTES),
            ("provider_code", MAX_PROVIDER_CODE_BYTES),
        ] {
            let pointer = format!("/components/schemas/{schema}/properties/{member}/maxLength");
            violations.unless(*document.at(&pointer) == longest, || {
                format!(
                    "infra/openapi.yaml: {pointer} must be {longest}, as domain::delivery cuts it"
                )
            });
        }
    }

    violations.report();
}

#[test]
fn every_operation_can_refuse_and_break() {
    let document = Document::read();
    let mut violations = Violations::default();
    for (method, path, operation) in document.operations() {
        // A caller that needs no credential is known by something else, and refused with 403; or
        // whatever they ask for is, and is not there.
        let open = operation["security"].as_sequence().is_some_and(Vec::is_empty);
        let missing = !operation["responses"]["404"].is_null();
        for status in [
            if !open {
                "401"
            } else if missing {
                "404"
            } else {
                "403"
            },
            "500",
            "503",
        ] {
            violations.unless(!operation["responses"][status].is_null(), || {
                format!("infra/openapi.yaml, {method} {path}: every such operation can answer {status}; say so")
            });
        }
    }

    violations.report();
}

/// A word of the code as clients see it.
fn name(word: impl Serialize) -> String {
    let value = serde_json::to_value(word).expect("a word is plain data");
    value.as_str().expect("a word is text").to_owned()
}

/// `infra/openapi.yaml`.
pub(crate) struct Document(Value);

impl Document {
    pub(crate) fn read() -> Document {
        Document(
            yaml_serde::from_str(&read("infra/openapi.yaml")).expect("infra/openapi.yaml is YAML"),
        )
    }

    /// Method, path and description of every operation.
    pub(crate) fn operations(&self) -> impl Iterator<Item = (&str, &str, &Value)> {
        let operations =
            |(path, item)| entries(item).map(move |(method, operation)| (method, path, operation));
        entries(&self.0["paths"])
            .flat_map(operations)
            .filter(|(method, ..)| METHODS.contains(method))
    }

    /// Follows a `$ref`; returns any other value itself.
    fn follow<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value["$ref"].as_str() {
            Some(reference) => self.at(reference.trim_start_matches('#')),
            None => value,
        }
    }

    /// The value at a JSON pointer.
    pub(crate) fn at(&self, pointer: &str) -> &Value {
        pointer.split('/').skip(1).fold(&self.0, |value, step| &value[step])
    }

    fn list(&self, pointer: &str) -> BTreeSet<String> {
        let items = self.at(pointer).as_sequence().into_iter().flatten();
        items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
    }
}
