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
use domain::event::{EventSequence, EventType};
use domain::file::{MAX_FILE_BYTES, MAX_NAME_BYTES};
use domain::metadata::{MAX_METADATA_CHARACTERS, MAX_METADATA_PAIRS};
use domain::problem::{Code, MAX_ECHO_CHARACTERS, MAX_LISTED_ERRORS};
use domain::timeline::Cursor;
use domain::webhook::{MAX_DESCRIPTION_CHARACTERS, MAX_ENDPOINTS};
use platform::capability::Capability;
use platform::table::ExceptionPlace;
use read_messages::{DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE};
use send_message::request::{MAX_KEY_CHARACTERS, MAX_URL_CHARACTERS};

const METHODS: [&str; 6] = ["get", "head", "post", "put", "patch", "delete"];

#[test]
fn problems_are_those_of_the_code() {
    let document = Document::read();
    let mut violations = Violations::default();
    let known: BTreeMap<String, Code> =
        Code::ALL.into_iter().map(|code| (name(code), code)).collect();
    let mut documented = BTreeSet::new();

    let of_operations = document.operations().flat_map(|(method, path, operation)| {
        let place = format!("{method} {path}");
        entries(&operation["responses"])
            .map(move |(status, response)| (place.clone(), status, response))
    });
    // The answer to a method that no operation has.
    let of_others = document.at("/components/responses/MethodNotAllowed");
    let of_others = ("any other method".to_owned(), "405", of_others);
    for (place, status, response) in of_operations.chain([of_others]) {
        let response = document.follow(response);
        let examples = &response["content"]["application/problem+json"]["examples"];
        for (example, content) in entries(examples) {
            let place = format!("infra/openapi.yaml, {place}, {status}, example `{example}`");
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

    for code in known.keys().filter(|code| !documented.contains(*code)) {
        violations.add(format!(
            "no operation of infra/openapi.yaml can answer `{code}`: add an example of that name under its status"
        ));
    }

    let listed = document.list("/components/schemas/Problem/properties/code/x-extensible-enum");
    violations.unless(listed == known.keys().cloned().collect(), || {
        format!(
            "infra/openapi.yaml: the list of Problem.code must be {:?}",
            known.keys().collect::<Vec<_>>()
        )
    });

    let types = EventType::ALL.map(|kind| serde_json::to_value(kind).expect("a text"));
    let types: BTreeSet<String> =
        types.iter().filter_map(|kind| kind.as_str().map(ToOwned::to_owned)).collect();
    for list in ["EventType/x-extensible-enum", "WantedEventType/enum"] {
        violations.unless(document.list(&format!("/components/schemas/{list}")) == types, || {
            format!("infra/openapi.yaml: the list of {list} must be {types:?}")
        });
    }

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

    violations.report();
}

/// Every limit of the document, with the code's. What requests may have is tried out besides, by
/// the system suite.
#[test]
fn limits_are_those_of_the_code() {
    let document = Document::read();
    let email = Channel::Email.limits();
    let history = FIRST_ATTEMPTS_KEPT + LAST_ATTEMPTS_KEPT;
    let limits: BTreeMap<String, u64> = [
        ("IdempotencyKey/schema/minLength", 1),
        ("IdempotencyKey/schema/maxLength", MAX_KEY_CHARACTERS as u64),
        ("NewMessage/properties/content/minLength", 1),
        ("NewMessage/properties/content/maxLength", email.characters as u64),
        ("NewMessage/properties/attachments/maxItems", Channel::MAX_ATTACHMENTS as u64),
        ("AttachmentReference/properties/url/maxLength", MAX_URL_CHARACTERS as u64),
        ("Attachment/properties/filename/maxLength", MAX_NAME_BYTES as u64),
        ("Attachment/properties/size/minimum", 0),
        ("NewFile/properties/filename/minLength", 1),
        ("NewFile/properties/size/minimum", 1),
        ("NewFile/properties/size/maximum", MAX_FILE_BYTES),
        ("Delivery/properties/attempts/minimum", 0),
        ("Delivery/properties/history/maxItems", history as u64),
        ("DeliveryAttempt/properties/attempt/minimum", 1),
        ("DeliveryAttempt/properties/code/maxLength", MAX_CODE_BYTES as u64),
        ("DeliveryAttempt/properties/detail/maxLength", MAX_DETAIL_BYTES as u64),
        ("DeliveryAttempt/properties/provider_code/maxLength", MAX_PROVIDER_CODE_BYTES as u64),
        ("DeliveryError/properties/code/maxLength", MAX_CODE_BYTES as u64),
        ("DeliveryError/properties/detail/maxLength", MAX_DETAIL_BYTES as u64),
        ("DeliveryError/properties/provider_code/maxLength", MAX_PROVIDER_CODE_BYTES as u64),
        ("Cursor/maxLength", Cursor::CHARACTERS as u64),
        ("MessagePage/properties/messages/maxItems", MAX_PAGE_SIZE),
        ("ExceptionCursor/maxLength", ExceptionPlace::CHARACTERS as u64),
        ("ExceptionPage/properties/messages/maxItems", MAX_PAGE_SIZE),
        ("Metadata/maxProperties", MAX_METADATA_PAIRS as u64),
        ("Metadata/additionalProperties/maxLength", MAX_METADATA_CHARACTERS as u64),
        ("Event/properties/sequence/minimum", 1),
        ("Event/properties/sequence/maximum", EventSequence::MAX.0),
        (
            "WebhookEndpoint/properties/url/maxLength",
            domain::webhook::url::MAX_URL_CHARACTERS as u64,
        ),
        ("WebhookEndpoint/properties/events/minItems", 1),
        ("WebhookEndpoint/properties/description/maxLength", MAX_DESCRIPTION_CHARACTERS as u64),
        (
            "NewWebhookEndpoint/properties/url/maxLength",
            domain::webhook::url::MAX_URL_CHARACTERS as u64,
        ),
        ("NewWebhookEndpoint/properties/events/minItems", 1),
        ("NewWebhookEndpoint/properties/description/maxLength", MAX_DESCRIPTION_CHARACTERS as u64),
        (
            "WebhookEndpointChange/properties/url/maxLength",
            domain::webhook::url::MAX_URL_CHARACTERS as u64,
        ),
        ("WebhookEndpointChange/properties/events/minItems", 1),
        (
            "WebhookEndpointChange/properties/description/maxLength",
            MAX_DESCRIPTION_CHARACTERS as u64,
        ),
        ("WebhookEndpointList/properties/endpoints/maxItems", MAX_ENDPOINTS.into()),
        ("WebhookDelivery/properties/sequence/minimum", 1),
        ("WebhookDelivery/properties/sequence/maximum", EventSequence::MAX.0),
        ("WebhookDelivery/properties/attempts/minimum", 0),
        ("WebhookAttempt/properties/took_ms/minimum", 0),
        ("WebhookDeliveryPage/properties/deliveries/maxItems", MAX_PAGE_SIZE),
        ("Redelivery/properties/event_ids/minItems", 1),
        (
            "Redelivery/properties/event_ids/maxItems",
            webhook_endpoints::request::MAX_EVENT_IDS as u64,
        ),
        ("RedeliveryAnswer/properties/count/minimum", 0),
        ("RedeliveryAnswer/properties/next/maxLength", EventSequence::MAX.to_string().len() as u64),
        ("EventCursor/maxLength", EventSequence::MAX.to_string().len() as u64),
        ("EventPage/properties/events/maxItems", MAX_PAGE_SIZE),
        ("EventQuota/properties/percent/minimum", 1),
        ("EventQuota/properties/percent/maximum", 100),
        ("EventQuota/properties/limit/minimum", 0),
        ("EventQuota/properties/used/minimum", 0),
        ("Usage/properties/limit/minimum", 0),
        ("Usage/properties/used/minimum", 0),
        ("Usage/properties/remaining/minimum", 0),
        ("Problem/properties/status/minimum", 400),
        ("Problem/properties/status/maximum", 599),
        ("Problem/properties/errors/minItems", 1),
        ("Problem/properties/errors/maxItems", MAX_LISTED_ERRORS as u64),
        ("Problem/properties/limit/minimum", 0),
        ("Problem/properties/used/minimum", 0),
        ("FieldError/properties/loc/minItems", 1),
        // The mark of the cut.
        ("FieldError/properties/loc/items/oneOf/0/maxLength", MAX_ECHO_CHARACTERS as u64 + 1),
        ("FieldError/properties/msg/maxLength", MAX_ECHO_CHARACTERS as u64 + 1),
        ("Busy/headers/Retry-After/schema/minimum", 1),
        ("TooManyRequests/headers/Retry-After/schema/minimum", 1),
        ("PageSize/schema/minimum", 1),
        ("PageSize/schema/maximum", MAX_PAGE_SIZE),
        ("PageSize/schema/default", DEFAULT_PAGE_SIZE),
    ]
    .into_iter()
    .map(|(place, limit)| {
        let kind = match place.split('/').next() {
            Some("IdempotencyKey" | "PageSize") => "parameters",
            Some("Busy" | "TooManyRequests") => "responses",
            _ => "schemas",
        };
        (format!("/components/{kind}/{place}"), limit)
    })
    .collect();

    let mut found = BTreeMap::new();
    collect_limits(&document.0, String::new(), &mut found);
    let mut violations = Violations::default();
    for (place, limit) in &found {
        violations.unless(limits.get(place) == Some(limit), || match limits.get(place) {
            Some(code) => format!("infra/openapi.yaml, {place} is {limit}, and {code} in the code"),
            None => format!("infra/openapi.yaml, {place} is new: compare it with the code here"),
        });
    }
    for place in limits.keys().filter(|place| !found.contains_key(*place)) {
        violations.add(format!("infra/openapi.yaml no longer has {place}"));
    }

    let file = document.at("/paths/~1api~1v1~1files~1{file}/parameters/0/schema/pattern");
    let wanted = format!("^[A-Za-z0-9_-]{{{}}}$", Capability::CHARACTERS);
    violations.unless(*file == wanted, || {
        format!(
            "infra/openapi.yaml: the path of a file is {wanted}, as platform::capability makes it"
        )
    });

    violations.report();
}

/// Collects the numbers that limit something, and numbers by default, by their JSON pointers.
fn collect_limits(value: &Value, place: String, found: &mut BTreeMap<String, u64>) {
    const LIMITS: [&str; 8] = [
        "minLength",
        "maxLength",
        "minItems",
        "maxItems",
        "minimum",
        "maximum",
        "maxProperties",
        "default",
    ];

    for (index, item) in value.as_sequence().into_iter().flatten().enumerate() {
        collect_limits(item, format!("{place}/{index}"), found);
    }
    for (name, member) in entries(value).filter(|(name, _)| *name != "examples") {
        let place = format!("{place}/{}", name.replace('/', "~1"));
        match member.as_u64() {
            Some(limit) if LIMITS.contains(&name) => drop(found.insert(place, limit)),
            _ => collect_limits(member, place, found),
        }
    }
}

/// Members of answers that are left out where there is nothing to say; all others are always there,
/// and null then. Of a problem they depend on its code, and [`tests::contract`] holds each answer
/// against the example of its code.
const LEFT_OUT: [(&str, &str); 11] = [
    ("EventData", "message"),
    ("EventData", "quota"),
    ("EventData", "channel"),
    ("MessageWithDelivery", "media"),
    ("MessageWithDelivery", "metadata"),
    ("Problem", "instance"),
    ("Problem", "errors"),
    ("Problem", "more_errors"),
    ("Problem", "limit"),
    ("Problem", "used"),
    ("Problem", "resets_at"),
];

/// The bodies of requests. The system suite tries out which of their members are required.
const SENT: [&str; 7] = [
    "NewMessage",
    "NewFile",
    "FileForm",
    "AttachmentReference",
    "NewWebhookEndpoint",
    "WebhookEndpointChange",
    "Redelivery",
];

#[test]
fn an_answer_has_all_its_members_always() {
    let document = Document::read();
    let mut violations = Violations::default();
    for (name, schema) in entries(document.at("/components/schemas")) {
        if !SENT.contains(&name) {
            check_members(name, schema, &mut violations);
        }
    }
    violations.report();
}

fn check_members(name: &str, schema: &Value, violations: &mut Violations) {
    let members: BTreeSet<&str> =
        entries(&schema["properties"]).map(|(member, _)| member).collect();
    let required = schema["required"].as_sequence().into_iter().flatten();
    let required: BTreeSet<&str> = required.filter_map(Value::as_str).collect();
    let left_out = |member: &str| LEFT_OUT.contains(&(name, member));
    let wanted: BTreeSet<&str> =
        members.iter().copied().filter(|member| !left_out(member)).collect();
    violations.unless(required == wanted, || {
        format!(
            "infra/openapi.yaml, {name}: an answer always has {wanted:?}, require exactly these"
        )
    });

    for part in schema["allOf"].as_sequence().into_iter().flatten() {
        check_members(name, part, violations);
    }
    for (_, member) in entries(&schema["properties"]) {
        check_members(name, member, violations);
        check_members(name, &member["items"], violations);
    }
}

/// Members that may be null. Every client has to be ready for it, and no further one is sent one.
const NULL: [&str; 24] = [
    "NewWebhookEndpoint/events",
    "NewWebhookEndpoint/description",
    "WebhookEndpointChange/events",
    "WebhookEndpointChange/description",
    "WebhookEndpoint/events",
    "WebhookEndpoint/description",
    "WebhookEndpoint/failing_since",
    "WebhookDelivery/next_attempt_at",
    "WebhookDelivery/last_attempt",
    "WebhookAttempt",
    "WebhookAttempt/status",
    "WebhookAttempt/answer",
    "WebhookAttempt/fault",
    "RedeliveryAnswer/next",
    "Message/sender_id",
    "Delivery/sent_at",
    "Delivery/delivered_at",
    "Delivery/read_at",
    "Delivery/failed_at",
    "DeliveryAttempt/code",
    "DeliveryAttempt/detail",
    "DeliveryAttempt/provider_code",
    "DeliveryError",
    "DeliveryError/provider_code",
];

#[test]
fn members_are_null_where_the_code_has_nothing_to_say() {
    let document = Document::read();
    let mut found = BTreeSet::new();
    for (name, schema) in entries(document.at("/components/schemas")) {
        if schema["nullable"] == true {
            found.insert(name.to_owned());
        }
        for (member, schema) in entries(&schema["properties"]) {
            if document.follow(schema)["nullable"] == true
                && schema["$ref"] != "#/components/schemas/DeliveryError"
            {
                found.insert(format!("{name}/{member}"));
            }
        }
    }

    let known: BTreeSet<String> = NULL.map(str::to_owned).into();
    assert_eq!(found, known, "infra/openapi.yaml: compare `nullable` with what is answered");
}

/// Headers of answers that are left out where there is nothing to say.
const HEADERS_LEFT_OUT: [&str; 4] =
    ["Idempotent-Replayed", "x-amzn-Remapped-WWW-Authenticate", "Deprecation", "Link"];

#[test]
fn an_answer_has_all_its_headers_always() {
    let document = Document::read();
    let mut violations = Violations::default();
    for (method, path, operation) in document.operations() {
        for (status, response) in entries(&operation["responses"]) {
            for (name, header) in entries(&document.follow(response)["headers"]) {
                let header = document.follow(header);
                let always = header["required"] == true || header["x-always-with"].is_string();
                violations.unless(always != HEADERS_LEFT_OUT.contains(&name), || {
                    format!(
                        "infra/openapi.yaml, {method} {path}, {status}: is {name} always there?"
                    )
                });
            }
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

/// API Gateway's own answers, by
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-troubleshooting-lambda.html>,
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html> and
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html>.
const GATEWAYS_OWN: [&str; 5] = ["404", "413", "429", "500", "503"];

#[test]
fn every_operation_may_be_answered_by_api_gateway() {
    let document = Document::read();
    let mut violations = Violations::default();
    for (method, path, operation) in document.operations() {
        for (status, response) in entries(&operation["responses"]) {
            let schema = &document.follow(response)["content"]["application/json"]["schema"];
            let is_gateways = schema["$ref"] == "#/components/schemas/GatewayError";
            violations.unless(is_gateways == GATEWAYS_OWN.contains(&status), || {
                format!(
                    "infra/openapi.yaml, {method} {path}, {status}: does API Gateway answer so?"
                )
            });
        }
        for status in GATEWAYS_OWN {
            violations.unless(!operation["responses"][status].is_null(), || {
                format!("infra/openapi.yaml, {method} {path}: API Gateway can answer {status}")
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

    /// The folders of the functions behind the operations.
    pub(crate) fn functions(&self) -> BTreeSet<String> {
        let folders = self.operations().filter_map(|(.., one)| one["x-function"].as_str());
        folders.map(str::to_owned).collect()
    }

    /// The whole text, with one space between two words.
    pub(crate) fn prose(&self) -> String {
        read("infra/openapi.yaml").split_whitespace().collect::<Vec<_>>().join(" ")
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
        pointer.split('/').skip(1).fold(&self.0, |value, step| match step.parse::<usize>() {
            Ok(index) if value.is_sequence() => &value[index],
            _ => &value[step.replace("~1", "/").as_str()],
        })
    }

    fn list(&self, pointer: &str) -> BTreeSet<String> {
        let items = self.at(pointer).as_sequence().into_iter().flatten();
        items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
    }
}
