//! The contract against the one that was released last: infra/CONTRACT.md says what may change
//! within a version, and everything else is refused here.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::{Violations, read};

/// The contract as it was released last. A release replaces it.
const RELEASED: &str = "infra/released/openapi-v1.yaml";

const TODAY: &str = "infra/openapi.yaml";

/// Changes that only callers notice who ask for them by a parameter which the released contract
/// does not have: the operation's parameter, and how each fault ends that is none for that reason.
/// A release makes them part of what is kept, and empties this.
const ASKED_FOR: &[(&str, &[&str])] = &[(
    "sender_type",
    &[
        "sender_type: its values are others",
        "next: its pattern is another",
        "next: its maxLength is another",
        "previous: its pattern is another",
        "previous: its maxLength is another",
        // The pattern of what callers pass is wider.
        "\"after\": its pattern is another",
        "\"before\": its pattern is another",
    ],
)];

#[test]
fn the_contract_keeps_what_its_version_promised() {
    let mut violations = Violations::default();
    let released = parse(RELEASED);
    let today = parse(TODAY);
    let mut faults = breaking_changes(&released, &today);

    for (parameter, endings) in ASKED_FOR {
        let is_new = !has_parameter(&released, parameter) && has_parameter(&today, parameter);
        violations.unless(is_new, || {
            format!("ASKED_FOR names {parameter}, which is no new parameter of listMessages")
        });
        for ending in *endings {
            let before = faults.len();
            faults.retain(|fault| !fault.ends_with(ending));
            violations.unless(faults.len() < before, || {
                format!("ASKED_FOR: nothing ends with {ending:?} any more; take it out")
            });
        }
    }

    for fault in faults {
        violations.add(format!(
            "{TODAY} breaks callers of the released contract ({RELEASED}): {fault}. See infra/CONTRACT.md"
        ));
    }
    violations.report();
}

fn parse(path: &str) -> Value {
    yaml_serde::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// True if the list of a conversation's messages has this parameter.
fn has_parameter(contract: &Value, name: &str) -> bool {
    let list = &contract["paths"]["/api/v1/conversations/{conversation_id}/messages"]["get"];
    items(&list["parameters"]).any(|parameter| parameter["name"] == name)
}

/// Returns a sentence for each change that a caller of `released` would notice as a fault.
fn breaking_changes(released: &Value, today: &Value) -> Vec<String> {
    let mut comparison = Comparison { released, today, faults: Vec::new() };
    comparison.check_credentials();
    comparison.check_codes();
    for (path, item) in members(&released["paths"]) {
        for (method, operation) in members(item).filter(|(_, it)| it["operationId"].is_string()) {
            let place = format!("{} {path}", method.to_uppercase());
            comparison.check_operation(&place, (item, operation), &today["paths"][path], method);
        }
    }
    comparison.faults
}

/// Who writes what a schema describes, and so which changes the other side notices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writer {
    /// The caller: what was taken is still taken.
    Caller,
    /// The service: what is answered is still what callers read.
    Service,
}

struct Comparison<'a> {
    released: &'a Value,
    today: &'a Value,
    faults: Vec<String>,
}

impl Comparison<'_> {
    fn unless(&mut self, kept: bool, place: &str, what: impl std::fmt::Display) {
        if !kept {
            self.faults.push(format!("{place}: {what}"));
        }
    }

    fn check_credentials(&mut self) {
        let (released, today) = (self.released, self.today);
        self.unless(released["security"] == today["security"], "security", "it is another");
        for (name, old) in members(&released["components"]["securitySchemes"]) {
            let new = &today["components"]["securitySchemes"][name];
            let is_same =
                ["type", "scheme", "in", "name"].iter().all(|rule| old[rule] == new[rule]);
            self.unless(is_same, name, "the scheme of credentials is another");
        }
    }

    /// Compares the statuses that each problem's `code` comes with, by the examples.
    fn check_codes(&mut self) {
        let today = statuses_of_codes(self.today);
        for (code, statuses) in statuses_of_codes(self.released) {
            let moved = today.get(&code).is_some_and(|now| *now != statuses);
            self.unless(!moved, &code, "the code comes with another status");
        }
    }

    fn check_operation(&mut self, place: &str, old: (&Value, &Value), item: &Value, method: &str) {
        let (old_item, old) = old;
        let new = &item[method];
        if new.is_null() {
            self.unless(false, place, "it is gone");
            return;
        }

        for name in ["operationId", "security", "x-deprecated-content"] {
            self.unless(old[name] == new[name], place, format!("its {name} is another"));
        }

        self.check_parameters(place, &[old_item, old], &[item, new]);
        self.check_request(place, &old["requestBody"], &new["requestBody"]);
        for (status, old) in members(&old["responses"]) {
            let place = format!("{place}, {status}");
            self.check_response(&place, old, &new["responses"][status]);
        }
        for (status, _) in members(&new["responses"]).filter(|(status, _)| *status < "400") {
            let known = !old["responses"][status].is_null();
            self.unless(known, place, format!("it may succeed with {status}, too"));
        }
    }

    fn check_parameters(&mut self, place: &str, old: &[&Value], new: &[&Value]) {
        let all = |document: &Value, holders: &[&Value]| -> Vec<Value> {
            let lists = holders.iter().flat_map(|holder| items(&holder["parameters"]));
            lists.map(|parameter| follow(document, parameter)).collect()
        };
        let (old, new) = (all(self.released, old), all(self.today, new));
        let is_same = |a: &Value, b: &Value| a["in"] == b["in"] && a["name"] == b["name"];

        for old in &old {
            let place = format!("{place}, {}", old["name"]);
            match new.iter().find(|new| is_same(old, new)) {
                Some(new) => {
                    let required = old["required"] != true && new["required"] == true;
                    self.unless(!required, &place, "it is required now");
                    self.check_schema(Writer::Caller, &place, &old["schema"], &new["schema"]);
                }
                None => self.unless(false, &place, "it is gone"),
            }
        }
        for new in new.iter().filter(|new| new["required"] == true) {
            let known = old.iter().any(|old| is_same(old, new));
            self.unless(known, place, format!("{} is required and new", new["name"]));
        }
    }

    fn check_request(&mut self, place: &str, old: &Value, new: &Value) {
        let place = format!("{place}, the request");
        let required = old["required"] != true && new["required"] == true;
        self.unless(!required, &place, "it is required now");
        self.check_contents(Writer::Caller, &place, &old["content"], &new["content"]);
    }

    fn check_response(&mut self, place: &str, old: &Value, new: &Value) {
        if new.is_null() {
            self.unless(false, place, "it is gone");
            return;
        }

        let old = follow(self.released, old);
        let new = follow(self.today, new);
        for (name, old) in members(&old["headers"]) {
            let place = format!("{place}, {name}");
            let new = &new["headers"][name];
            self.unless(!new.is_null(), &place, "it is gone");
            let optional = old["required"] == true && new["required"] != true;
            self.unless(!optional, &place, "it is not always there any more");
            self.check_schema(Writer::Service, &place, &old["schema"], &new["schema"]);
        }
        self.check_contents(Writer::Service, place, &old["content"], &new["content"]);
    }

    fn check_contents(&mut self, writer: Writer, place: &str, old: &Value, new: &Value) {
        for (kind, old) in members(old) {
            let place = format!("{place}, {kind}");
            let new = &new[kind];
            self.unless(!new.is_null(), &place, "it is gone");
            self.check_schema(writer, &place, &old["schema"], &new["schema"]);
        }
    }

    fn check_schema(&mut self, writer: Writer, place: &str, old: &Value, new: &Value) {
        let old = &flat(self.released, old);
        let new = &flat(self.today, new);
        self.unless(old["type"] == new["type"], place, "its type is another");
        self.check_values(writer, place, old, new);
        self.check_bounds(writer, place, old, new);
        self.check_members(writer, place, old, new);

        for part in ["items", "additionalProperties"] {
            if old[part].is_object() && new[part].is_object() {
                self.check_schema(writer, &format!("{place}, {part}"), &old[part], &new[part]);
            }
        }
        let old: Vec<&Value> = items(&old["oneOf"]).collect();
        let new: Vec<&Value> = items(&new["oneOf"]).collect();
        self.unless(old.len() == new.len(), place, "its oneOf has another length");
        for (old, new) in old.into_iter().zip(new) {
            self.check_schema(writer, place, old, new);
        }
    }

    fn check_values(&mut self, writer: Writer, place: &str, old: &Value, new: &Value) {
        let was_null = old["nullable"] == true;
        let is_null = new["nullable"] == true;
        match writer {
            Writer::Caller => {
                self.unless(is_null || !was_null, place, "it may not be null any more")
            }
            Writer::Service => self.unless(was_null || !is_null, place, "it may be null now"),
        }

        for rule in ["pattern", "format"] {
            let changed = old[rule] != new[rule];
            let promised = match writer {
                Writer::Caller => &new[rule],
                Writer::Service => &old[rule],
            };
            let breaks = changed && !promised.is_null();
            self.unless(!breaks, place, format!("its {rule} is another"));
        }
        let has_default = writer == Writer::Caller && !old["default"].is_null();
        let same_default = old["default"] == new["default"];
        self.unless(same_default || !has_default, place, "its default is another");

        let values = |schema: &Value| -> Option<BTreeSet<String>> {
            schema["enum"].as_array().map(|all| all.iter().map(Value::to_string).collect())
        };
        let (promised, limit) = match writer {
            Writer::Caller => (values(old), values(new)),
            Writer::Service => (values(new), values(old)),
        };
        let fits = match (promised, limit) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(values), Some(limit)) => values.is_subset(&limit),
        };
        self.unless(fits, place, "its values are others");
    }

    fn check_bounds(&mut self, writer: Writer, place: &str, old: &Value, new: &Value) {
        const UPPER: [&str; 4] = ["maxLength", "maxItems", "maxProperties", "maximum"];
        const LOWER: [&str; 4] = ["minLength", "minItems", "minProperties", "minimum"];

        let (outer, inner) = match writer {
            Writer::Caller => (new, old),
            Writer::Service => (old, new),
        };
        let bound = |schema: &Value, name| schema[name].as_f64();
        for name in UPPER {
            let value = bound(inner, name).unwrap_or(f64::INFINITY);
            let fits = bound(outer, name).is_none_or(|limit| value <= limit);
            self.unless(fits, place, format!("its {name} is another"));
        }
        for name in LOWER {
            let value = bound(inner, name).unwrap_or(f64::NEG_INFINITY);
            let fits = bound(outer, name).is_none_or(|limit| value >= limit);
            self.unless(fits, place, format!("its {name} is another"));
        }
    }

    fn check_members(&mut self, writer: Writer, place: &str, old: &Value, new: &Value) {
        for (name, old) in members(&old["properties"]) {
            let place = format!("{place}, {name}");
            match &new["properties"][name] {
                Value::Null => self.unless(false, &place, "it is gone"),
                new => self.check_schema(writer, &place, old, new),
            }
        }

        let required = |schema: &Value| -> BTreeSet<String> {
            items(&schema["required"]).map(Value::to_string).collect()
        };
        let (promised, allowed, what) = match writer {
            Writer::Caller => (required(new), required(old), "is required now"),
            Writer::Service => (required(old), required(new), "is not always there any more"),
        };
        for name in promised.difference(&allowed) {
            self.unless(false, place, format!("{name} {what}"));
        }

        let further = |schema: &Value| FurtherMembers::of(&schema["additionalProperties"]);
        let (old, new) = (further(old), further(new));
        match writer {
            Writer::Caller => self.unless(new >= old, place, "it takes fewer further members"),
            // What readers were told nothing of they ignore; what they were told of may not go.
            Writer::Service => {
                let was_told = old == FurtherMembers::OfOneSchema;
                self.unless(new == old || !was_told, place, "its further members are others");
            }
        }
    }
}

/// The members of an object that its schema does not name, by how many are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum FurtherMembers {
    None,
    OfOneSchema,
    Any,
}

impl FurtherMembers {
    fn of(additional_properties: &Value) -> FurtherMembers {
        match additional_properties {
            Value::Bool(false) => FurtherMembers::None,
            Value::Object(_) => FurtherMembers::OfOneSchema,
            _ => FurtherMembers::Any,
        }
    }
}

/// Returns the statuses that the examples of each problem's code have.
fn statuses_of_codes(contract: &Value) -> BTreeMap<String, BTreeSet<u64>> {
    let mut statuses: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
    let mut values = vec![contract];
    while let Some(value) = values.pop() {
        if let (Some(code), Some(status)) = (value["code"].as_str(), value["status"].as_u64()) {
            statuses.entry(code.to_owned()).or_default().insert(status);
        }
        match value {
            Value::Array(items) => values.extend(items),
            Value::Object(members) => values.extend(members.values()),
            _ => {}
        }
    }
    statuses
}

/// Follows a `$ref`; returns any other value itself.
fn follow(document: &Value, value: &Value) -> Value {
    let target = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    let found = target.map(|pointer| document.pointer(pointer).unwrap_or(&Value::Null));
    found.map_or_else(|| value.clone(), |found| follow(document, found))
}

/// Follows a schema's `$ref`, and joins the parts of its `allOf`.
fn flat(document: &Value, schema: &Value) -> Value {
    let mut schema = follow(document, schema);
    let parts: Vec<Value> = items(&schema["allOf"]).map(|part| flat(document, part)).collect();
    for part in parts {
        for name in ["type", "properties", "required"] {
            match (&mut schema[name], &part[name]) {
                (_, Value::Null) => {}
                (Value::Object(all), Value::Object(more)) => all.extend(more.clone()),
                (Value::Array(all), Value::Array(more)) => all.extend(more.clone()),
                (own, value) => *own = value.clone(),
            }
        }
    }
    schema
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter).map(|(name, value)| (name.as_str(), value))
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// Applies a change to the released contract, and returns what is found.
fn after(change: impl FnOnce(&mut Value)) -> Vec<String> {
    let released = parse(RELEASED);
    let mut changed = released.clone();
    change(&mut changed);
    assert_ne!(released, changed, "the change changes nothing");
    breaking_changes(&released, &changed)
}

/// Removes the value at a JSON pointer.
fn remove(document: &mut Value, pointer: &str) {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    let parent = document.pointer_mut(parent).and_then(Value::as_object_mut);
    parent.and_then(|parent| parent.remove(name)).expect("it is there");
}

/// Sets the value at a JSON pointer, in an object that is there.
fn set(document: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
    document.pointer_mut(parent).expect("it is there")[name.replace("~1", "/")] = value;
}

const SEND: &str = "/paths/~1api~1v1~1conversations~1{conversation_id}~1messages/post";

#[test]
fn what_is_gone_is_refused() {
    for (pointer, place) in [
        ("/paths/~1api~1v1~1usage/get".to_owned(), "GET /api/v1/usage: it is gone"),
        ("/components/schemas/Message/properties/content".to_owned(), "content: it is gone"),
        ("/components/schemas/NewMessage/properties/attachments".to_owned(), "attachments: it is"),
        ("/components/schemas/Problem/properties/errors".to_owned(), "errors: it is gone"),
        (format!("{SEND}/responses/201/headers/Location"), "Location: it is gone"),
        (format!("{SEND}/responses/429"), "429: it is gone"),
    ] {
        let found = after(|contract| remove(contract, &pointer));
        assert!(found.iter().any(|fault| fault.contains(place)), "{pointer}: {found:#?}");
    }
}

#[test]
fn what_callers_would_notice_is_refused() {
    for (pointer, value, place) in [
        ("/components/schemas/NewMessage/required", json!(["content", "attachments"]), "required"),
        ("/components/schemas/NewMessage/properties/content/maxLength", json!(4096), "maxLength"),
        ("/components/schemas/Message/required", json!(["id"]), "not always there"),
        ("/components/schemas/Message/properties/content/type", json!("object"), "its type"),
        ("/components/schemas/Message/properties/content/nullable", json!(true), "null"),
        ("/components/schemas/DeliveryStatus/enum", json!(["queued", "lost"]), "its values"),
        ("/components/schemas/MessagePage/properties/messages/maxItems", json!(500), "maxItems"),
        ("/components/parameters/IdempotencyKey/required", json!(true), "required now"),
        ("/components/schemas/AttachmentReference/additionalProperties", json!(false), "further"),
        ("/components/parameters/ConversationId/schema/format", json!("uri"), "format"),
        (&format!("{SEND}/responses/202"), json!({ "description": "Later." }), "succeed with 202"),
        (&format!("{SEND}/operationId"), json!("postMessage"), "operationId"),
        (&format!("{SEND}/security"), json!([{ "other": [] }]), "security"),
        ("/security", json!([]), "security"),
        ("/components/securitySchemes/bearer/scheme", json!("basic"), "scheme of credentials"),
        ("/components/schemas/Metadata/maxProperties", json!(4), "maxProperties"),
        ("/components/schemas/Metadata/additionalProperties", json!(false), "further members"),
        ("/components/schemas/AttachmentReference/additionalProperties", json!({}), "further"),
        ("/components/parameters/PageSize/schema/default", json!(10), "default"),
        (
            "/components/responses/MethodNotAllowed/content/application~1problem+json/examples\
             /method_not_allowed/value/status",
            json!(501),
            "method_not_allowed: the code comes with another status",
        ),
    ] {
        let found = after(|contract| set(contract, pointer, value));
        assert!(found.iter().any(|fault| fault.contains(place)), "{pointer}: {found:#?}");
    }
}

#[test]
fn a_contract_may_grow() {
    for (pointer, value) in [
        ("/paths/~1api~1v2~1usage", json!({ "get": { "operationId": "other" } })),
        ("/components/schemas/NewMessage/properties/subject", json!({ "type": "string" })),
        ("/components/schemas/NewMessage/properties/content/maxLength", json!(200_000)),
        ("/components/schemas/Message/properties/subject", json!({ "type": "string" })),
        ("/components/schemas/Problem/properties/code/x-extensible-enum", json!(["new"])),
        (&format!("{SEND}/responses/409"), json!({ "description": "A conflict." })),
        (
            &format!("{SEND}/parameters/1"),
            json!({ "name": "dry_run", "in": "query", "schema": { "type": "boolean" } }),
        ),
    ] {
        let found = after(|contract| match contract.pointer_mut(&format!("{SEND}/parameters")) {
            Some(Value::Array(list)) if pointer.ends_with("/1") => list.push(value),
            _ => set(contract, pointer, value),
        });
        assert_eq!(found, Vec::<String>::new(), "{pointer}");
    }
}
