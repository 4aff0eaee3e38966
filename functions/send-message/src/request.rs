//! Reads a request into types.
//!
//! A valid body is read in one pass, straight into its fields. An invalid one is read again, to
//! report everything that is wrong with it, in FastAPI's words.

use lambda_http::http::HeaderValue;
use serde::Deserialize;
use serde_json::Value;

use domain::message::ContentFault;
use domain::problem::{FieldError, Loc};
use domain::{Content, ConversationId};
use platform::api;

/// A request that has the documented form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The conversation in the path.
    pub conversation_id: ConversationId,
    /// `Idempotency-Key`: 1 to 255 visible ASCII characters.
    pub idempotency_key: Option<String>,
    /// The body.
    pub body: Body,
}

/// A body that has the documented form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Body {
    /// The text.
    pub content: Content,
    /// URLs of uploads, in order.
    pub attachments: Vec<String>,
}

/// The most characters of an idempotency key.
pub const MAX_KEY_CHARACTERS: usize = 255;

/// The most characters of an attachment's URL: far more than one of ours has, and few enough to
/// repeat in a refusal.
pub const MAX_URL_CHARACTERS: usize = 2_048;

/// Reads a request.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(
    conversation_id: Option<&str>,
    key: Option<&HeaderValue>,
    body: &[u8],
) -> Result<Request, Vec<FieldError>> {
    let conversation_id = api::path_id(conversation_id, "conversation_id");
    let key = key.map(idempotency_key).transpose();
    let body = parse_body(body);

    match (conversation_id, key, body) {
        (Ok(conversation_id), Ok(idempotency_key), Ok(body)) => {
            Ok(Request { conversation_id, idempotency_key, body })
        }
        (conversation_id, key, body) => {
            let mut errors: Vec<FieldError> =
                conversation_id.err().into_iter().chain(key.err()).collect();
            errors.extend(body.err().unwrap_or_default());
            Err(errors)
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
}

#[derive(Deserialize)]
struct AttachmentJson {
    url: String,
}

fn parse_body(body: &[u8]) -> Result<Body, Vec<FieldError>> {
    let body = api::without_bom(body);
    let Ok(BodyJson { content, attachments }) = serde_json::from_slice(body) else {
        return Err(explain(body));
    };
    let long: Vec<FieldError> = attachments.iter().enumerate().filter_map(explain_url).collect();
    let attachments = attachments.into_iter().map(|attachment| attachment.url).collect();

    match Content::new(content) {
        Ok(content) if long.is_empty() => Ok(Body { content, attachments }),
        Ok(_) => Err(long),
        Err(fault) => Err(std::iter::once(explain_content(fault)).chain(long).collect()),
    }
}

const CONTENT: [&str; 2] = ["body", "content"];
const ATTACHMENTS: [&str; 2] = ["body", "attachments"];

fn explain_content(fault: ContentFault) -> FieldError {
    match fault {
        ContentFault::Blank => FieldError::blank(CONTENT),
        ContentFault::Control(control) => FieldError::control(CONTENT, control),
    }
}

/// Reports everything that is wrong with a body that could not be read.
fn explain(body: &[u8]) -> Vec<FieldError> {
    let value: Value = match serde_json::from_slice(body) {
        Ok(value) => value,
        Err(error) => {
            let loc = [Loc::from("body"), error.column().into()];
            let msg = format!("JSON decode error: {error}");
            return vec![FieldError::new(loc, msg, "json_invalid")];
        }
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
            errors.extend(items.filter_map(|(index, item)| explain_attachment(index, item)));
        }
        Some(_) => errors.push(FieldError::wrong(ATTACHMENTS, "a valid list", "list_type")),
    }

    let unknown = fields.keys().filter(|name| !matches!(name.as_str(), "content" | "attachments"));
    errors.extend(unknown.map(|name| FieldError::forbidden(["body", name])));

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
        let errors = parse_body(body.as_bytes()).expect_err("a body that is wrong");
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
        let error = &parse_body(br#"{"content":"a\u0008"}"#).expect_err("a control character")[0];
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
        let errors = parse(Some("x"), Some(&HeaderValue::from_static("")), br#"{"a":1}"#)
            .expect_err("all wrong");
        let kinds: Vec<_> = errors.iter().map(|error| error.kind).collect();
        assert_eq!(
            kinds,
            ["uuid_parsing", "string_pattern_mismatch", "missing", "extra_forbidden"]
        );
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
