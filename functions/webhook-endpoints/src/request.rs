//! Reads the bodies of requests. What is wrong with one is reported field by field.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use domain::PrivateText;
use domain::event::{EventId, EventSequence, EventType};
use domain::problem::{FieldError, Loc, MAX_LISTED_ERRORS};
use domain::webhook::{EndpointStatus, EndpointUrl, MAX_DESCRIPTION_CHARACTERS, Reach};
use platform::api;
use platform::redelivery::{EventRange, Redelivery};

/// The most events that a request names by their ids.
pub const MAX_EVENT_IDS: usize = 100;

/// How errors call a place in the list of events.
pub const CURSOR: &str = "`next` of an answer before";

/// A new endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEndpoint {
    /// Its URL.
    pub url: EndpointUrl,
    /// The kinds of events that it is sent; `None` for all.
    pub events: Option<BTreeSet<EventType>>,
    /// Its owner's words for it.
    pub description: Option<PrivateText>,
}

/// A change of an endpoint. What is `None` stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointChange {
    /// Its URL.
    pub url: Option<EndpointUrl>,
    /// The kinds of events that it is sent; `Some(None)` for all.
    pub events: Option<Option<BTreeSet<EventType>>>,
    /// Its owner's words for it; `Some(None)` for none.
    pub description: Option<Option<PrivateText>>,
    /// Whether it is sent events.
    pub status: Option<EndpointStatus>,
}

/// Reads a new endpoint.
///
/// # Errors
/// Everything that is wrong.
pub fn new_endpoint(body: &[u8], reach: Reach) -> Result<NewEndpoint, Vec<FieldError>> {
    let mut fields = Fields::read(body, &["url", "events", "description"])?;
    let url = fields.take("url", |value| url(value, reach));
    let events = fields.take("events", events);
    let description = fields.take("description", description);
    if url.is_none() && !fields.has_error("url") {
        fields.errors.push(FieldError::missing(["body", "url"]));
    }

    let (events, description) = (events.flatten(), description.flatten());
    match url {
        Some(url) if fields.errors.is_empty() => Ok(NewEndpoint { url, events, description }),
        _ => Err(fields.errors),
    }
}

/// Reads a change of an endpoint.
///
/// # Errors
/// Everything that is wrong.
pub fn endpoint_change(body: &[u8], reach: Reach) -> Result<EndpointChange, Vec<FieldError>> {
    let mut fields = Fields::read(body, &["url", "events", "description", "status"])?;
    let change = EndpointChange {
        url: fields.take("url", |value| url(value, reach)),
        events: fields.take("events", events),
        description: fields.take("description", description),
        status: fields.take("status", status),
    };

    if fields.errors.is_empty() { Ok(change) } else { Err(fields.errors) }
}

/// Reads which events are to be sent again.
///
/// # Errors
/// Everything that is wrong.
pub fn redelivery(body: &[u8]) -> Result<Redelivery, Vec<FieldError>> {
    let mut fields = Fields::read(body, &["event_ids", "since", "until", "after"])?;
    let ids = fields.take("event_ids", event_ids);
    let range = EventRange {
        since: fields.take("since", |value| time(value, "since")),
        until: fields.take("until", |value| time(value, "until")),
        after: fields.take("after", cursor),
    };

    let range = Some(range).filter(|range| *range != EventRange::default());
    if fields.errors.is_empty() && ids.is_none() && range.is_none() {
        fields.errors.push(FieldError::missing(["body", "event_ids"]));
    }

    let ids = ids.unwrap_or_default();
    if fields.errors.is_empty() { Ok(Redelivery { ids, range }) } else { Err(fields.errors) }
}

/// A body's fields, and what is wrong with them so far.
struct Fields {
    fields: Map<String, Value>,
    errors: Vec<FieldError>,
}

impl Fields {
    fn read(body: &[u8], known: &[&str]) -> Result<Fields, Vec<FieldError>> {
        let value: Value = serde_json::from_slice(api::without_bom(body))
            .map_err(|error| vec![api::json_fault(&error)])?;
        let Value::Object(fields) = value else {
            return Err(vec![FieldError::wrong(["body"], "a valid dictionary", "dict_type")]);
        };

        let unknown = fields.keys().filter(|name| !known.contains(&name.as_str()));
        let errors = unknown
            .map(|name| FieldError::forbidden(["body", name.as_str()]))
            .take(MAX_LISTED_ERRORS + 1)
            .collect();
        Ok(Fields { fields, errors })
    }

    /// Reads a field that may be left out.
    fn take<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Value) -> Result<T, FieldError>,
    ) -> Option<T> {
        let value = self.fields.get(name)?;
        match read(value) {
            Ok(value) => Some(value),
            Err(error) => {
                self.errors.push(error);
                None
            }
        }
    }

    fn has_error(&self, name: &str) -> bool {
        self.errors.iter().any(|error| error.loc.get(1) == Some(&Loc::from(name)))
    }
}

fn url(value: &Value, reach: Reach) -> Result<EndpointUrl, FieldError> {
    let text = text(value, "url")?;
    EndpointUrl::parse(text, reach)
        .map_err(|fault| FieldError::wrong(["body", "url"], fault, "url_parsing"))
}

fn events(value: &Value) -> Result<Option<BTreeSet<EventType>>, FieldError> {
    if value.is_null() {
        return Ok(None);
    }

    let Value::Array(names) = value else {
        return Err(FieldError::wrong(["body", "events"], "a valid list", "list_type"));
    };

    if names.is_empty() {
        let expected = "a list with one type of event at least, or left out for all of them";
        return Err(FieldError::wrong(["body", "events"], expected, "too_short"));
    }

    let kinds = names.iter().enumerate().map(|(index, name)| {
        let kind = name.as_str().and_then(|name| name.parse().ok());
        kind.ok_or_else(|| {
            let loc = [Loc::from("body"), Loc::from("events"), Loc::from(index)];
            FieldError::wrong(loc, "a type of event", "enum")
        })
    });

    kinds.collect::<Result<_, _>>().map(Some)
}

fn description(value: &Value) -> Result<Option<PrivateText>, FieldError> {
    if value.is_null() {
        return Ok(None);
    }

    let text = text(value, "description")?;
    if text.chars().nth(MAX_DESCRIPTION_CHARACTERS).is_some() {
        let expected = format!("a text of at most {MAX_DESCRIPTION_CHARACTERS} characters");
        return Err(FieldError::wrong(["body", "description"], expected, "string_too_long"));
    }

    match domain::text::control_character(text) {
        Some(control) => Err(FieldError::control(["body", "description"], control)),
        None => Ok(Some(text.into())),
    }
}

fn status(value: &Value) -> Result<EndpointStatus, FieldError> {
    match value.as_str() {
        Some("enabled") => Ok(EndpointStatus::Enabled),
        Some("disabled") => Ok(EndpointStatus::Disabled),
        _ => Err(FieldError::wrong(["body", "status"], "'enabled' or 'disabled'", "enum")),
    }
}

fn event_ids(value: &Value) -> Result<Vec<EventId>, FieldError> {
    let Value::Array(ids) = value else {
        return Err(FieldError::wrong(["body", "event_ids"], "a valid list", "list_type"));
    };

    if ids.is_empty() || ids.len() > MAX_EVENT_IDS {
        let expected = format!("a list of 1 to {MAX_EVENT_IDS} ids");
        return Err(FieldError::wrong(["body", "event_ids"], expected, "too_long"));
    }

    let read = ids.iter().enumerate().map(|(index, id)| {
        let id = id.as_str().and_then(|id| id.parse().ok());
        id.ok_or_else(|| {
            let loc = [Loc::from("body"), Loc::from("event_ids"), Loc::from(index)];
            FieldError::wrong(loc, "a valid UUID", "uuid_parsing")
        })
    });

    read.collect()
}

fn time(value: &Value, name: &str) -> Result<DateTime<Utc>, FieldError> {
    let time = value.as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    time.map(|time| time.to_utc()).ok_or_else(|| {
        let expected = "a time as RFC 3339 writes it, such as 2026-03-01T09:05:00Z";
        FieldError::wrong(["body", name], expected, "datetime_parsing")
    })
}

fn cursor(value: &Value) -> Result<EventSequence, FieldError> {
    let cursor = value.as_str().and_then(EventSequence::of_cursor);
    cursor.ok_or_else(|| FieldError::wrong(["body", "after"], CURSOR, "value_error"))
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str, FieldError> {
    value.as_str().ok_or_else(|| FieldError::wrong(["body", name], "a valid string", "string_type"))
}
