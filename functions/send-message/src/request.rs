//! Reads a request into types.
//!
//! A valid body is read in one pass, straight into its fields. An invalid one is read again, to
//! report what is wrong with it in FastAPI's words, but only for a caller who is authenticated: the
//! first pass stops at the first error.

use std::fmt;

use lambda_http::http::HeaderValue;
use serde::Deserialize;
use serde_json::Value;

use domain::message::ContentFault;
use domain::metadata::{MAX_METADATA_CHARACTERS, MAX_METADATA_PAIRS, MetadataFault};
use domain::problem::{FieldError, Loc, MAX_LISTED_ERRORS};
use domain::{Content, ConversationId, Metadata};
use platform::api;
use platform::query::Query;

/// A request that has the documented form.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// The conversation in the path.
    pub conversation_id: ConversationId,
    /// `Idempotency-Key`: 1 to 255 visible ASCII characters.
    pub idempotency_key: Option<String>,
    /// The body.
    pub body: Body,
}

/// A body that has the documented form.
#[derive(Clone, PartialEq, Eq)]
pub struct Body {
    /// The text.
    pub content: Content,
    /// URLs of uploads, in order.
    pub attachments: Vec<String>,
    /// The caller's notes.
    pub metadata: Metadata,
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Request(to {}, …)", self.conversation_id)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} attachments, …)", self.attachments.len())
    }
}

/// The most characters of an idempotency key.
pub const MAX_KEY_CHARACTERS: usize = 255;

/// The most characters of an attachment's URL: far more than one of ours has, and few enough to
/// repeat in a refusal.
pub const MAX_URL_CHARACTERS: usize = 2_048;

/// The parts of a request that does not have the documented form.
#[derive(Debug)]
pub struct InvalidRequest<'a> {
    beside_body: Vec<FieldError>,
    body: Option<InvalidBody<'a>>,
}

impl InvalidRequest<'_> {
    /// Returns everything that is wrong, up to one error more than an answer lists.
    #[must_use]
    pub fn explain(self) -> Vec<FieldError> {
        let body = self.body.map(InvalidBody::explain).unwrap_or_default();
        self.beside_body.into_iter().chain(body).collect()
    }
}

/// Reads a request.
///
/// # Errors
/// The parts that are wrong; what is wrong with them, [`InvalidRequest::explain`] finds out.
pub fn parse<'a>(
    conversation_id: Option<&str>,
    key: Option<&HeaderValue>,
    query: Query,
    body: &'a [u8],
) -> Result<Request, InvalidRequest<'a>> {
    let conversation_id = api::path_id(conversation_id, "conversation_id");
    let key = key.map(idempotency_key).transpose();
    let query = query.into_errors();
    let body = parse_body(body);

    match (conversation_id, key, body) {
        (Ok(conversation_id), Ok(idempotency_key), Ok(body)) if query.is_empty() => {
            Ok(Request { conversation_id, idempotency_key, body })
        }
        (conversation_id, key, body) => {
            let beside_body = conversation_id.err().into_iter().chain(key.err()).chain(query);
            Err(InvalidRequest { beside_body: beside_body.collect(), body: body.err() })
        }
    }
}

fn idempotency_key(value: &HeaderValue) -> Result<String, FieldError> {
    let text = value.to_str().ok().filter(|text| (1..=MAX_KEY_CHARACTERS).contains(&text.len()));
    let visible = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
    visible.map(str::to_owned).ok_or_else(|| {
        let msg = format!("Input should have 1 to {MAX_KEY_CHARACTERS} visible ASCII characters");
        FieldError::new(["header", "Idempotency-Key"], msg, "string_pattern_mismatch")
    })
}

/// The body's JSON. Unknown fields are refused: a mistyped `"internal": true` must
/// never reach a customer. Of an attachment only `url` counts; everything else is known from the
/// upload.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BodyJson {
    content: String,
    #[serde(default)]
    attachments: Vec<AttachmentJson>,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Deserialize)]
struct AttachmentJson {
    url: String,
}

/// A body that does not have the documented form.
enum InvalidBody<'a> {
    /// It is no JSON, or has other fields or types than a message.
    Unreadable(&'a [u8]),
    /// It was read, and what its fields hold is wrong.
    WrongValues(Vec<FieldError>),
}

impl fmt::Debug for InvalidBody<'_> {
    /// The kind: what is wrong repeats what the caller sent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidBody::Unreadable(_) => f.write_str("Unreadable(…)"),
            InvalidBody::WrongValues(errors) => write!(f, "WrongValues({errors:?})"),
        }
    }
}

impl InvalidBody<'_> {
    fn explain(self) -> Vec<FieldError> {
        match self {
            InvalidBody::Unreadable(body) => explain(body),
            InvalidBody::WrongValues(errors) => errors,
        }
    }
}

fn parse_body(body: &[u8]) -> Result<Body, InvalidBody<'_>> {
    let body = api::without_bom(body);
    let Ok(BodyJson { content, attachments, metadata }) = serde_json::from_slice(body) else {
        return Err(InvalidBody::Unreadable(body));
    };
    let long = attachments.iter().enumerate().filter_map(explain_url);
    let mut errors: Vec<FieldError> = long.take(MAX_FOUND_ERRORS).collect();
    errors.extend(metadata.faults().map(explain_metadata).take(MAX_FOUND_ERRORS));
    let attachments = attachments.into_iter().map(|attachment| attachment.url).collect();

    match Content::new(content) {
        Ok(content) if errors.is_empty() => Ok(Body { content, attachments, metadata }),
        Ok(_) => Err(InvalidBody::WrongValues(errors)),
        Err(fault) => {
            let errors = std::iter::once(explain_content(fault)).chain(errors);
            Err(InvalidBody::WrongValues(errors.collect()))
        }
    }
}

/// The most errors of one kind that are looked for: one more than an answer lists.
const MAX_FOUND_ERRORS: usize = MAX_LISTED_ERRORS + 1;

const CONTENT: [&str; 2] = ["body", "content"];
const ATTACHMENTS: [&str; 2] = ["body", "attachments"];
const METADATA: [&str; 2] = ["body", "metadata"];

fn explain_content(fault: ContentFault) -> FieldError {
    match fault {
        ContentFault::Blank => FieldError::blank(CONTENT),
        ContentFault::Control(control) => FieldError::control(CONTENT, control),
    }
}

/// Reports what is wrong with a body that could not be read.
fn explain(body: &[u8]) -> Vec<FieldError> {
    let value: Value = match serde_json::from_slice(body) {
        Ok(value) => value,
        Err(error) => return vec![api::json_fault(&error)],
    };

    let Value::Object(fields) = &value else {
        return vec![FieldError::wrong(["body"], "a valid dictionary", "dict_type")];
    };

    let mut errors = Vec::new();
    match fields.get("content") {
        None => errors.push(FieldError::missing(CONTENT)),
        Some(Value::String(text)) => {
            errors.extend(Content::new(text.clone()).err().map(explain_content));
        }
        Some(_) => errors.push(FieldError::wrong(CONTENT, "a valid string", "string_type")),
    }

    match fields.get("attachments") {
        None => {}
        Some(Value::Array(items)) => {
            let items = items.iter().enumerate();
            let found = items.filter_map(|(index, item)| explain_attachment(index, item));
            errors.extend(found.take(MAX_FOUND_ERRORS));
        }
        Some(_) => errors.push(FieldError::wrong(ATTACHMENTS, "a valid list", "list_type")),
    }

    match fields.get("metadata") {
        None => {}
        Some(Value::Object(pairs)) => {
            let wrong = pairs.iter().filter(|(_, value)| !value.is_string()).map(|(name, _)| {
                FieldError::wrong(metadata_value(name), "a valid string", "string_type")
            });
            let found = wrong.take(MAX_FOUND_ERRORS);
            let before = errors.len();
            errors.extend(found);
            if errors.len() == before {
                let metadata = Metadata::deserialize(&fields["metadata"]).unwrap_or_default();
                errors.extend(metadata.faults().map(explain_metadata).take(MAX_FOUND_ERRORS));
            }
        }
        Some(_) => errors.push(FieldError::wrong(METADATA, "a valid dictionary", "dict_type")),
    }

    let is_known = |name: &str| matches!(name, "content" | "attachments" | "metadata");
    let unknown = fields.keys().filter(|name| !is_known(name));
    let unknown = unknown.map(|name| FieldError::forbidden(["body", name]));
    errors.extend(unknown.take(MAX_FOUND_ERRORS));

    if errors.is_empty() {
        // Every field is valid, so one of them must have been given twice.
        let msg = "Every field may be given only once";
        errors.push(FieldError::new(["body"], msg, "json_invalid"));
    }

    errors
}

fn explain_url((index, attachment): (usize, &AttachmentJson)) -> Option<FieldError> {
    let is_long = attachment.url.chars().count() > MAX_URL_CHARACTERS;
    is_long.then(|| {
        let loc = [Loc::from("body"), "attachments".into(), index.into(), "url".into()];
        let msg = format!("String should have at most {MAX_URL_CHARACTERS} characters");
        FieldError::new(loc, msg, "string_too_long")
    })
}

fn metadata_value(name: &str) -> [&str; 3] {
    ["body", "metadata", name]
}

fn explain_metadata(fault: MetadataFault) -> FieldError {
    match fault {
        MetadataFault::TooManyPairs => {
            let msg = format!("Dictionary should have at most {MAX_METADATA_PAIRS} items");
            FieldError::new(METADATA, msg, "too_long")
        }
        MetadataFault::NameMissing => {
            let msg = "Each name should have at least 1 character";
            FieldError::new(METADATA, msg, "string_too_short")
        }
        MetadataFault::LongName(name) => {
            let msg = format!("The name should have at most {MAX_METADATA_CHARACTERS} characters");
            FieldError::new(metadata_value(&name), msg, "string_too_long")
        }
        MetadataFault::LongValue(name) => {
            let msg = format!("String should have at most {MAX_METADATA_CHARACTERS} characters");
            FieldError::new(metadata_value(&name), msg, "string_too_long")
        }
    }
}

fn explain_attachment(index: usize, item: &Value) -> Option<FieldError> {
    let loc = [Loc::from("body"), "attachments".into(), index.into()];
    let Value::Object(fields) = item else {
        return Some(FieldError::wrong(loc, "a valid dictionary", "dict_type"));
    };

    let url = loc.into_iter().chain([Loc::from("url")]);
    match fields.get("url") {
        None => Some(FieldError::missing(url)),
        Some(Value::String(_)) => None,
        Some(_) => Some(FieldError::wrong(url, "a valid string", "string_type")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(body: &str) -> Vec<(String, &'static str)> {
        let errors = parse_body(body.as_bytes()).expect_err("a body that is wrong").explain();
        let loc = |error: &FieldError| serde_json::to_string(&error.loc).expect("plain data");
        errors.iter().map(|error| (loc(error), error.kind)).collect()
    }

    fn one(body: &str, loc: &str, kind: &'static str) {
        assert_eq!(kinds(body), [(loc.to_owned(), kind)], "{body}");
    }

    #[test]
    fn a_right_body_is_read() {
        let body = parse_body(
            br#"{"content":" hi \u00e9 ","attachments":[{"url":"u","id":"x","size":3}]}"#,
        );
        let body = body.expect("a right body");
        assert_eq!(
            (body.content.as_str(), &body.attachments[..]),
            (" hi é ", &["u".to_owned()][..])
        );
        assert!(parse_body(br#"{"content":"x"}"#).is_ok_and(|body| body.attachments.is_empty()));
    }

    #[test]
    fn what_is_wrong_is_said_where_it_is() {
        one("{}", r#"["body","content"]"#, "missing");
        one(r#"{"content":null}"#, r#"["body","content"]"#, "string_type");
        one(r#"{"content":7}"#, r#"["body","content"]"#, "string_type");
        one(r#"{"content":" \n\u00a0"}"#, r#"["body","content"]"#, "string_too_short");
        one(r#"{"content":"x","internal":true}"#, r#"["body","internal"]"#, "extra_forbidden");
        one(r#"{"content":"x","attachments":null}"#, r#"["body","attachments"]"#, "list_type");
        one(r#"{"content":"x","attachments":["u"]}"#, r#"["body","attachments",0]"#, "dict_type");
        one(
            r#"{"content":"x","attachments":[{"url":"u"},{}]}"#,
            r#"["body","attachments",1,"url"]"#,
            "missing",
        );

        let metadata = |pairs: &str| format!(r#"{{"content":"x","metadata":{pairs}}}"#);
        one(&metadata("null"), r#"["body","metadata"]"#, "dict_type");
        one(&metadata(r#"{"a":1}"#), r#"["body","metadata","a"]"#, "string_type");
        one(&metadata(r#"{"":"x"}"#), r#"["body","metadata"]"#, "string_too_short");
        one(&metadata(r#"{"a":"x","a":"x"}"#), r#"["body"]"#, "json_invalid");
        let long = "x".repeat(MAX_METADATA_CHARACTERS + 1);
        let value = format!(r#"{{"a":"{long}"}}"#);
        one(&metadata(&value), r#"["body","metadata","a"]"#, "string_too_long");
        let pairs: Vec<_> =
            (0..=MAX_METADATA_PAIRS).map(|name| format!(r#""{name}":"""#)).collect();
        let many = format!("{{{}}}", pairs.join(","));
        one(&metadata(&many), r#"["body","metadata"]"#, "too_long");

        one(r#"{"content":"x","content":"y"}"#, r#"["body"]"#, "json_invalid");
        one("[]", r#"["body"]"#, "dict_type");
        one("{\"content\":", r#"["body",11]"#, "json_invalid");

        one(r#"{"content":"\ud800"}"#, r#"["body",19]"#, "json_invalid");
    }

    #[test]
    fn a_text_that_shows_nothing_and_a_control_character_are_refused_by_name() {
        for text in ["\\u200b", "\\ufeff", "\\u2800\\u3164", "\\u0000"] {
            let body = format!(r#"{{"content":"{text}"}}"#);
            one(&body, r#"["body","content"]"#, "string_too_short");
        }
        for text in ["a\\u0000", "\\u0008b", "a\\u000b", "a\\u007f", "\\u0085b"] {
            one(
                &format!(r#"{{"content":"{text}"}}"#),
                r#"["body","content"]"#,
                "string_pattern_mismatch",
            );
            let with_other = format!(r#"{{"content":"{text}","a":1}}"#);
            let found: Vec<_> = kinds(&with_other).into_iter().map(|(_, kind)| kind).collect();
            assert_eq!(found, ["string_pattern_mismatch", "extra_forbidden"]);
        }
        let invalid = parse_body(br#"{"content":"a\u0008"}"#).expect_err("a control character");
        let error = &invalid.explain()[0];
        assert!(error.msg.contains("U+0008"), "{}", error.msg);
        assert!(parse_body(br#"{"content":"a\tb\r\nc\n"}"#).is_ok());
    }

    /// RFC 8259 §8.1.
    #[test]
    fn a_body_may_begin_with_a_byte_order_mark() {
        let body = parse_body("\u{feff}{\"content\":\"hi\"}".as_bytes()).expect("a right body");
        assert_eq!(body.content.as_str(), "hi");
    }

    #[test]
    fn a_url_has_a_length() {
        let body = |characters: usize| {
            let url = "ü".repeat(characters);
            format!(r#"{{"content":"x","attachments":[{{"url":"u"}},{{"url":"{url}"}}]}}"#)
        };
        assert!(parse_body(body(MAX_URL_CHARACTERS).as_bytes()).is_ok());
        let long = body(MAX_URL_CHARACTERS + 1);
        one(&long, r#"["body","attachments",1,"url"]"#, "string_too_long");
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let errors =
            parse(Some("x"), Some(&HeaderValue::from_static("")), Query::default(), br#"{"a":1}"#)
                .expect_err("all wrong")
                .explain();
        let kinds: Vec<_> = errors.iter().map(|error| error.kind).collect();
        assert_eq!(
            kinds,
            ["uuid_parsing", "string_pattern_mismatch", "missing", "extra_forbidden"]
        );
    }

    /// However much is wrong, no more is found than one error beyond those that are listed.
    #[test]
    fn the_search_for_errors_ends() {
        let many = |item: &str| vec![item; 60_000].join(",");
        let numbers = format!(r#"{{"content":"x","attachments":[{}]}}"#, many("1"));
        assert_eq!(kinds(&numbers).len(), MAX_FOUND_ERRORS);

        let names: Vec<String> = (0..20_000).map(|name| format!("\"{name}\":1")).collect();
        let fields = format!(r#"{{"content":"x",{}}}"#, names.join(","));
        assert_eq!(kinds(&fields).len(), MAX_FOUND_ERRORS);

        let url = format!(r#"{{"url":"{}"}}"#, "u".repeat(MAX_URL_CHARACTERS + 1));
        let urls = vec![url.as_str(); MAX_FOUND_ERRORS + 5].join(",");
        let long = format!(r#"{{"content":"x","attachments":[{urls}]}}"#);
        assert_eq!(kinds(&long).len(), MAX_FOUND_ERRORS);
    }

    #[test]
    fn keys_are_visible_ascii() {
        let key = |text: &str| {
            idempotency_key(&HeaderValue::from_bytes(text.as_bytes()).expect("a header")).is_ok()
        };
        assert!(key("a") && key(&"k".repeat(255)) && key("~!#"));
        assert!(!key("") && !key(&"k".repeat(256)) && !key("a b") && !key("é"));
    }
}
