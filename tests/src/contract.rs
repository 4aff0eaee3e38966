//! The public contract as a judge: holds what was asked and answered against `infra/openapi.yaml`.
//!
//! Each answer has to be one that the document describes for its operation: status, headers, media
//! type and every member. Each request that was answered with success has to be one that the
//! document allows. A [`crate::World`] asks after every call.
//!
//! OpenAPI 3.0's schemas are almost JSON Schema
//! ([specification](https://spec.openapis.org/oas/v3.0.3#schema-object)); `json_schema` is the
//! difference.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use jsonschema::{Draft, Validator};
use percent_encoding::percent_decode_str;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Method, StatusCode, Url};
use serde_json::{Map, Value, json};

/// Headers that belong to HTTP, to API Gateway and to CORS, and to no operation.
const COMMON_ANSWER_HEADERS: [&str; 6] =
    ["apigw-requestid", "connection", "content-length", "content-type", "date", "vary"];

/// Headers of every answer that is not API Gateway's own, unless the answer describes its own.
const OWN_ANSWER_HEADERS: [(&str, &str); 2] =
    [("cache-control", "no-store"), ("x-content-type-options", "nosniff")];

/// Headers of every answer to a valid credential, as the document's introduction says. Where one is
/// always valid, the document has them among the answer's.
const LIMIT_HEADERS: [&str; 2] = ["ratelimit", "ratelimit-policy"];

/// Headers of requests that belong to HTTP, and to no operation.
const COMMON_REQUEST_HEADERS: [&str; 7] =
    ["accept", "authorization", "content-length", "content-type", "host", "origin", "user-agent"];

/// The repository's root. Cargo sets the variable for every test that it runs; another value has a
/// test that is built already read another copy's template and contract (tests/mutants does so).
#[must_use]
pub fn root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let package = package.filter(|path| path.ends_with("tests"));
    let package = package.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    package.parent().unwrap_or(Path::new("/")).to_owned()
}

/// Makes a copy of the template in which a text is replaced everywhere, with the files that it
/// includes beside it; returns its path.
///
/// # Panics
/// If the template has no such text, or the folder cannot be written.
#[must_use]
pub fn edited_template(folder: &Path, find: &str, replace: &str) -> PathBuf {
    let template = root().join("template.yaml");
    let text = std::fs::read_to_string(template).expect("the template");
    assert!(text.contains(find), "the template has no {find}");

    std::fs::create_dir_all(folder).expect("a folder");
    let infra = folder.join("infra");
    std::fs::remove_file(&infra).ok();
    std::os::unix::fs::symlink(root().join("infra"), infra).expect("a link");
    let edited = folder.join("template.yaml");
    std::fs::write(&edited, text.replace(find, replace)).expect("it is written");
    edited
}

/// One call of the API, from both sides.
#[derive(Debug)]
pub struct Exchange<'a> {
    /// The request's method.
    pub method: &'a Method,
    /// The request's address.
    pub url: &'a Url,
    /// The request's headers.
    pub request_headers: &'a HeaderMap,
    /// The request's body.
    pub request_body: &'a [u8],
    /// The answer's status.
    pub status: StatusCode,
    /// The answer's headers.
    pub headers: &'a HeaderMap,
    /// The answer's body.
    pub body: &'a str,
}

/// `infra/openapi.yaml`.
#[derive(Debug)]
pub struct Contract {
    document: Value,
    /// The document's components with JSON schemas in place of OpenAPI's, which the validators'
    /// references lead into: `schemas` as they are, `whole` and `parts` as [`closed`] makes them.
    components: Value,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

/// One operation of the document.
#[derive(Debug, Clone, Copy)]
pub struct Operation<'a> {
    /// Its path, with parameters in braces.
    pub path: &'a str,
    /// Its method, in lower case.
    pub method: &'a str,
    /// The description of the operation.
    pub own: &'a Value,
    /// The part that the operations of this path have in common.
    item: &'a Value,
}

static CONTRACT: LazyLock<Contract> = LazyLock::new(Contract::read);

impl Contract {
    /// Returns the document, which is read once.
    #[must_use]
    pub fn get() -> &'static Contract {
        &CONTRACT
    }

    fn read() -> Contract {
        let file = root().join("infra/openapi.yaml");
        let text = std::fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let document: Value = yaml_serde::from_str(&text).expect("the contract is YAML");

        let mut components = document["components"].clone();
        for schema in components["schemas"].as_object_mut().into_iter().flat_map(Map::values_mut) {
            *schema = json_schema(schema);
        }
        for (room, is_whole) in [("whole", true), ("parts", false)] {
            let mut schemas = components["schemas"].clone();
            for schema in schemas.as_object_mut().into_iter().flat_map(Map::values_mut) {
                *schema = closed(schema, is_whole);
            }
            components[room] = schemas;
        }

        Contract { document, components, validators: Mutex::default() }
    }

    /// Returns every operation.
    pub fn operations(&self) -> impl Iterator<Item = Operation<'_>> {
        let paths = self.document["paths"].as_object().into_iter().flatten();
        paths.flat_map(|(path, item)| {
            let members = item.as_object().into_iter().flatten();
            let operations = members.filter(|(_, own)| own["operationId"].is_string());
            operations.map(move |(method, own)| Operation { path, method, own, item })
        })
    }

    /// Follows a `$ref`; returns any other value itself.
    #[must_use]
    pub fn follow<'a>(&'a self, value: &'a Value) -> &'a Value {
        let target = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
        target.map_or(value, |pointer| {
            let found = self.document.pointer(pointer);
            self.follow(found.unwrap_or_else(|| panic!("infra/openapi.yaml has no {pointer}")))
        })
    }

    /// Returns the parameters of an operation, those of its path included.
    #[must_use]
    pub fn parameters<'a>(&'a self, operation: &Operation<'a>) -> Vec<&'a Value> {
        let lists = [&operation.item["parameters"], &operation.own["parameters"]];
        let parameters = lists.into_iter().flat_map(|list| list.as_array().into_iter().flatten());
        parameters.map(|parameter| self.follow(parameter)).collect()
    }

    /// Finds what the document says against an exchange: a sentence for each violation.
    #[must_use]
    pub fn violations(&self, exchange: &Exchange<'_>) -> Vec<String> {
        let path = exchange.url.path();
        let method = exchange.method.as_str().to_lowercase();
        let mut found = Vec::new();

        let operation =
            self.operations().find(|one| one.method == method && one.matches(path).is_some());
        let Some(operation) = operation else {
            let is_preflight = exchange.method == Method::OPTIONS;
            let is_missing = exchange.status == StatusCode::NOT_FOUND && exchange.is_gateways();
            if exchange.status == StatusCode::METHOD_NOT_ALLOWED {
                self.check_other_method(exchange, &mut found);
            } else if !is_preflight && !is_missing {
                found.push(format!(
                    "{} is answered, and no operation describes it",
                    exchange.status
                ));
            }
            return found;
        };

        // A body that is deprecated here is judged as the operation's that it is meant for.
        let deprecated =
            &operation.own["x-deprecated-content"][media_type(exchange.request_headers)];
        let meant = self.operations().find(|one| *deprecated == one.id()).unwrap_or(operation);

        self.check_answer(&operation, &meant, exchange, &mut found);
        if exchange.status.is_success() || exchange.status.is_redirection() {
            let is_deprecated = !deprecated.is_null();
            for name in ["deprecation", "link"] {
                if exchange.headers.contains_key(name) != is_deprecated {
                    found.push(format!("deprecated: {is_deprecated}, and the header {name}"));
                }
            }
            self.check_request(&operation, exchange, &mut found);
            self.check_request_body(&meant, exchange, &mut found);
        }
        found
    }

    /// Finds what the document says against a request that an endpoint was sent, by its headers and
    /// its body: a sentence for each violation.
    #[must_use]
    pub fn webhook_violations(&self, headers: &HashMap<String, String>, body: &str) -> Vec<String> {
        let operation = &self.document["x-webhooks"]["event"]["post"];
        let described = operation["parameters"].as_array().expect("headers are described");
        let name_of = |parameter: &Value| parameter["name"].as_str().map(str::to_owned);
        let mut found = Vec::new();

        for parameter in described {
            let name = name_of(parameter).unwrap_or_default();
            match headers.get(&name) {
                None => found.push(format!("the header {name} is missing")),
                Some(text) => {
                    let value = typed(text, &parameter["schema"]);
                    let place = format!("header {name}");
                    self.check_value(&parameter["schema"], &value, &place, &mut found);
                }
            }
        }
        for name in headers.keys().filter(|name| !COMMON_REQUEST_HEADERS.contains(&name.as_str())) {
            if !described.iter().any(|parameter| name_of(parameter).as_ref() == Some(name)) {
                found.push(format!("the header {name} is not documented"));
            }
        }

        let kind = headers.get("content-type").map_or("", String::as_str);
        let content = &operation["requestBody"]["content"][kind];
        match serde_json::from_str(body) {
            _ if content.is_null() => found.push(format!("{kind:?} is not documented")),
            Ok(body) => {
                let schema = closed(&json_schema(&content["schema"]), true);
                self.check(&schema, &body, "the event", &mut found);
            }
            Err(error) => found.push(format!("the event is no JSON: {error}")),
        }
        found
    }

    /// Checks the answer to a method that no operation of its path has.
    fn check_other_method(&self, exchange: &Exchange<'_>, found: &mut Vec<String>) {
        let path = exchange.url.path();
        let methods = self.operations().filter(|one| one.matches(path).is_some());
        let mut methods: Vec<_> = methods.map(|one| one.method.to_uppercase()).collect();
        methods.sort();
        let allowed = methods.join(", ");
        if exchange.headers.get("allow").is_none_or(|given| *given != *allowed) {
            found.push(format!("405 lacks Allow: {allowed}"));
        }

        let response = &self.document["components"]["responses"]["MethodNotAllowed"];
        let given = media_type(exchange.headers);
        match &response["content"][&given] {
            Value::Null => found.push(format!("405 with {given:?} is not documented")),
            _ if exchange.method == Method::HEAD => {}
            content => self.check_body(content, &given, exchange, found),
        }
    }

    /// Checks the status and the headers against the operation that answered, the body against the
    /// one that was meant.
    fn check_answer(
        &self,
        operation: &Operation<'_>,
        meant: &Operation<'_>,
        exchange: &Exchange<'_>,
        found: &mut Vec<String>,
    ) {
        let status = exchange.status.as_u16().to_string();
        let response = &operation.own["responses"][&status];
        if response.is_null() {
            found.push(format!("the status {status} is not documented"));
            return;
        }

        let response = self.follow(response);
        let described = response["headers"].as_object().cloned().unwrap_or_default();
        let given = media_type(exchange.headers);
        for (name, header) in &described {
            let header = self.follow(header);
            let other_name = header["x-may-be-named"].as_str().unwrap_or(name);
            let value = exchange.headers.get(name).or_else(|| exchange.headers.get(other_name));
            match value.map(|value| value.to_str().unwrap_or_default()) {
                None if header["required"] == true
                    || header["x-always-with"] == *given
                    || header["x-always-with"] == "*" && !exchange.is_gateways() =>
                {
                    found.push(format!("the header {name} is missing"));
                }
                None => {}
                Some(text) => {
                    let value = typed(text, self.follow(&header["schema"]));
                    self.check_value(&header["schema"], &value, &format!("header {name}"), found);
                }
            }
        }
        for name in exchange.headers.keys().map(|name| name.as_str()) {
            let known = COMMON_ANSWER_HEADERS.contains(&name)
                || OWN_ANSWER_HEADERS.iter().any(|(own, _)| *own == name)
                || LIMIT_HEADERS.contains(&name) && operation.is_limited()
                || name.starts_with("access-control-")
                || described.keys().any(|header| header.eq_ignore_ascii_case(name));
            if !known {
                found.push(format!("the header {name} of {status} is not documented"));
            }
        }

        if !exchange.is_gateways() {
            let is_described =
                |name: &str| described.keys().any(|header| header.eq_ignore_ascii_case(name));
            for (name, value) in
                OWN_ANSWER_HEADERS.into_iter().filter(|(own, _)| !is_described(own))
            {
                if exchange.headers.get(name).is_none_or(|given| given != value) {
                    found.push(format!("{status} lacks {name}: {value}"));
                }
            }
        }

        // https://www.rfc-editor.org/rfc/rfc9110#section-9.3.2
        if exchange.method == Method::HEAD {
            if !exchange.body.is_empty() {
                found.push(format!("{status} to HEAD has a body"));
            }
            return;
        }
        let contents = self.follow(&meant.own["responses"][&status])["content"].as_object();
        match contents.and_then(|contents| contents.get(&given)) {
            Some(content) => self.check_body(content, &given, exchange, found),
            None if contents.is_none() && exchange.body.is_empty() => {}
            None => found.push(format!("{status} with {given:?} is not documented")),
        }
    }

    fn check_body(
        &self,
        content: &Value,
        given: &str,
        exchange: &Exchange<'_>,
        found: &mut Vec<String>,
    ) {
        let schema = &content["schema"];
        if !given.ends_with("json") {
            self.check_value(schema, &json!(exchange.body), "the answer", found);
            return;
        }
        match serde_json::from_str(exchange.body) {
            Ok(body) => {
                self.check(&closed(&json_schema(schema), true), &body, "the answer", found);
                if given == "application/problem+json" {
                    check_problem(&content["examples"], &body, exchange.headers, found);
                }
            }
            Err(error) => found.push(format!("the answer is no JSON: {error}")),
        }
    }

    fn check_request(
        &self,
        operation: &Operation<'_>,
        exchange: &Exchange<'_>,
        found: &mut Vec<String>,
    ) {
        let in_path = operation.matches(exchange.url.path()).unwrap_or_default();
        let in_query: HashMap<String, String> = exchange.url.query_pairs().into_owned().collect();
        let parameters = self.parameters(operation);

        for parameter in &parameters {
            let name = parameter["name"].as_str().unwrap_or_default();
            let place = parameter["in"].as_str().unwrap_or_default();
            let text = match place {
                "path" => in_path.get(name).cloned(),
                "query" => in_query.get(name).cloned(),
                _ => exchange
                    .request_headers
                    .get(name)
                    .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
            };
            match text {
                None if parameter["required"] == true => {
                    found.push(format!("the {place} lacks {name}, which is required"));
                }
                None => {}
                Some(text) => {
                    let value = typed(&text, self.follow(&parameter["schema"]));
                    self.check_value(
                        &parameter["schema"],
                        &value,
                        &format!("{place} {name}"),
                        found,
                    );
                }
            }
        }

        let named = |place: &str, name: &str| {
            parameters.iter().any(|parameter| {
                parameter["in"] == place
                    && parameter["name"].as_str().is_some_and(|it| it.eq_ignore_ascii_case(name))
            })
        };
        for name in in_query.keys().filter(|name| !named("query", name)) {
            found.push(format!("{name} in the query is not documented"));
        }
        for name in exchange.request_headers.keys().map(|name| name.as_str()) {
            if !COMMON_REQUEST_HEADERS.contains(&name) && !named("header", name) {
                found.push(format!("the request's header {name} is not documented"));
            }
        }
        let open = operation.is_open();
        if !open && !exchange.request_headers.contains_key("authorization") {
            found.push("no credential was needed".to_owned());
        }
    }

    fn check_request_body(
        &self,
        operation: &Operation<'_>,
        exchange: &Exchange<'_>,
        found: &mut Vec<String>,
    ) {
        let described = &operation.own["requestBody"];
        let body = exchange.request_body;
        if described.is_null() {
            if !body.is_empty() {
                found.push("a body came with it, and none is documented".to_owned());
            }
            return;
        }

        let given = media_type(exchange.request_headers);
        let content = &described["content"][&given];
        if content.is_null() {
            found.push(format!("a request with {given:?} is not documented"));
        } else if given.ends_with("json") {
            match serde_json::from_slice(body) {
                Ok(body) => self.check_value(&content["schema"], &body, "the request", found),
                // Of what is another's to describe, what cannot be read is skipped.
                Err(_) if content["schema"]["properties"].is_null() => {}
                Err(error) => found.push(format!("the request is no JSON: {error}")),
            }
        }
    }

    fn check_value(&self, schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
        self.check(&json_schema(schema), value, place, found);
    }

    fn check(&self, schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
        let validator = self.validator(schema);
        let errors = validator.iter_errors(value);
        found.extend(errors.map(|error| format!("{place}{}: {error}", error.instance_path())));
    }

    /// Returns whether the document's schema allows a value.
    #[must_use]
    pub fn allows(&self, schema: &Value, value: &Value) -> bool {
        self.validator(&json_schema(schema)).is_valid(value)
    }

    fn validator(&self, schema: &Value) -> Arc<Validator> {
        let mut validators = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        let known = validators.entry(schema.to_string()).or_insert_with(|| {
            let mut whole = schema.clone();
            whole["components"] = self.components.clone();
            let options =
                jsonschema::options().with_draft(Draft::Draft202012).should_validate_formats(true);
            Arc::new(options.build(&whole).unwrap_or_else(|error| panic!("{error} in {schema}")))
        });
        Arc::clone(known)
    }
}

impl Operation<'_> {
    /// Its name in the document.
    #[must_use]
    pub fn id(&self) -> &str {
        self.own["operationId"].as_str().unwrap_or_default()
    }

    /// True if it needs no credential.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.own["security"].as_array().is_some_and(Vec::is_empty)
    }

    /// True if the requests of one credential are limited.
    fn is_limited(&self) -> bool {
        self.own["security"].is_null()
    }

    /// Returns the parameters of `path`, if it is one of this operation's.
    fn matches(&self, path: &str) -> Option<HashMap<String, String>> {
        let own: Vec<&str> = self.path.split('/').collect();
        let given: Vec<&str> = path.split('/').collect();
        if own.len() != given.len() {
            return None;
        }

        let mut parameters = HashMap::new();
        for (own, given) in own.into_iter().zip(given) {
            match own.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
                Some(name) => {
                    let given = percent_decode_str(given).decode_utf8_lossy().into_owned();
                    parameters.insert(name.to_owned(), given);
                }
                None if own == given => {}
                None => return None,
            }
        }
        Some(parameters)
    }
}

impl Exchange<'_> {
    /// True if API Gateway itself answered, as the document's introduction says.
    fn is_gateways(&self) -> bool {
        let body: Option<Map<String, Value>> = serde_json::from_str(self.body).ok();
        let is_message = |body: Map<String, Value>| body.len() == 1 && body.contains_key("message");
        media_type(self.headers) == "application/json" && body.is_some_and(is_message)
    }
}

/// The media type, without parameters.
fn media_type(headers: &HeaderMap) -> String {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// A parameter's or header's text as the value that its schema means.
fn typed(text: &str, schema: &Value) -> Value {
    let number = (schema["type"] == "integer").then(|| text.parse::<i64>().ok()).flatten();
    number.map_or_else(|| json!(text), |number| json!(number))
}

/// Checks a problem against the examples of its status: they have each code that may come, and each
/// member that comes with it. `instance` names the request as the header does.
fn check_problem(examples: &Value, problem: &Value, headers: &HeaderMap, found: &mut Vec<String>) {
    let request_id = headers.get("apigw-requestid").and_then(|id| id.to_str().ok());
    let instance = request_id.map(|id| format!("urn:pingback:request:{id}"));
    if problem["instance"].as_str() != instance.as_deref() {
        found.push(format!("the problem's instance is not {instance:?}"));
    }

    let code = problem["code"].as_str().unwrap_or_default();
    let names = |body: &Value| -> BTreeSet<String> {
        let names = body.as_object().into_iter().flat_map(Map::keys);
        names.filter(|name| *name != "instance").cloned().collect()
    };

    let documented = names(&examples[code]["value"]);
    let given = names(problem);
    if documented.is_empty() {
        found.push(format!("the problem {code} is not documented for this status"));
    } else if documented != given {
        found.push(format!("the problem {code} has {given:?}, and in its example {documented:?}"));
    }
}

/// Returns a JSON schema that allows no members but those that it names. The document leaves
/// answers open, because they may grow; what they have today is all in it. A part of an `allOf`
/// (`is_whole` is false) knows only its own members, so the whole is closed in its place.
fn closed(schema: &Value, is_whole: bool) -> Value {
    let Value::Object(members) = schema else { return schema.clone() };
    let each = |value: &Value, is_whole| match value {
        Value::Array(items) => items.iter().map(|item| closed(item, is_whole)).collect(),
        Value::Object(items) => Value::Object(
            items.iter().map(|(name, item)| (name.clone(), closed(item, is_whole))).collect(),
        ),
        other => other.clone(),
    };

    let mut result: Map<String, Value> = members
        .iter()
        .map(|(name, value)| {
            let value = match (name.as_str(), value) {
                ("$ref", Value::String(target)) => {
                    let room = if is_whole { "/whole/" } else { "/parts/" };
                    target.replacen("/schemas/", room, 1).into()
                }
                ("allOf", value) => each(value, false),
                ("anyOf" | "oneOf", value) => each(value, is_whole),
                ("properties", value) => each(value, true),
                ("items", value) => closed(value, true),
                (_, value) => value.clone(),
            };
            (name.clone(), value)
        })
        .collect();

    let names_members = members.contains_key("properties") || members.contains_key("allOf");
    if is_whole && names_members && !members.contains_key("additionalProperties") {
        result.insert("unevaluatedProperties".to_owned(), false.into());
    }
    Value::Object(result)
}

/// Returns the JSON schema of an OpenAPI 3.0 schema: `nullable` becomes a type.
fn json_schema(schema: &Value) -> Value {
    let Value::Object(members) = schema else { return schema.clone() };
    let nullable = members.get("nullable") == Some(&Value::Bool(true));
    let all = |value: &Value| match value {
        Value::Array(items) => items.iter().map(json_schema).collect::<Vec<_>>().into(),
        Value::Object(items) => items
            .iter()
            .map(|(name, it)| (name.clone(), json_schema(it)))
            .collect::<Map<_, _>>()
            .into(),
        other => other.clone(),
    };

    let converted = members.iter().filter_map(|(name, value)| {
        let value = match (name.as_str(), value) {
            ("nullable" | "example" | "description" | "default", _) => return None,
            ("properties" | "allOf" | "anyOf" | "oneOf", value) => all(value),
            ("items" | "additionalProperties" | "not", value) => json_schema(value),
            ("type", value) if nullable => json!([value, "null"]),
            ("enum", Value::Array(values)) if nullable => {
                values.iter().cloned().chain([Value::Null]).collect::<Vec<_>>().into()
            }
            (_, value) => value.clone(),
        };
        Some((name.clone(), value))
    });
    Value::Object(converted.collect())
}
