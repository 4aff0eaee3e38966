//! From a request to what it says: after this file nothing is a bare string any more.
//!
//! A body that is right is read in one pass, straight into its fields. One that is not is read
//! again, at leisure, to say everything that is wrong with it, in FastAPI's words.

use lambda_http::http::HeaderValue;
use serde::Deserialize;
use serde_json::Value;

use domain::problem::{FieldError, Loc};
use domain::{Content, ConversationId};
use platform::api;

/// A request that has the documented form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The conversation in the path.
    pub conversation: ConversationId,
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
const LONGEST_KEY: usize = 255;

/// Reads a request.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(
    conversation: Option<&str>,
    key: Option<&HeaderValue>,
    body: &[u8],
) -> Result<Request, Vec<FieldError>> {
    let conversation = api::path_id(conversation, "conversation_id");
    let key = key.map(idempotency_key).transpose();
    let body = parse_body(body);
    match (conversation, key, body) {
        (Ok(conversation), Ok(idempotency_key), Ok(body)) => {
            Ok(Request { conversation, idempotency_key, body })
        }
        (conversation, key, body) => {
            let mut errors: Vec<FieldError> =
                conversation.err().into_iter().chain(key.err()).collect();
            errors.extend(body.err().unwrap_or_default());
            Err(errors)
        }
    }
}

fn idempotency_key(value: &HeaderValue) -> Result<String, FieldError> {
    let text = value.to_str().ok().filter(|text| (1..=LONGEST_KEY).contains(&text.len()));
    let visible = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
    visible.map(str::to_owned).ok_or_else(|| FieldError {
        loc: vec!["header".into(), "Idempotency-Key".into()],
        msg: format!("Input should have 1 to {LONGEST_KEY} visible ASCII characters"),
        kind: "string_pattern_mismatch",
    })
}

/// The body as it is written down. Unknown fields are refused: a mistyped `"internal": true` must
/// never reach a customer. Of an attachment only `url` counts; everything else is known from the
/// upload.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    content: String,
    #[serde(default)]
    attachments: Vec<WrittenAttachment>,
}

#[derive(Deserialize)]
struct WrittenAttachment {
    url: String,
}

fn parse_body(body: &[u8]) -> Result<Body, Vec<FieldError>> {
    let Ok(Written { content, attachments }) = serde_json::from_slice(body) else {
        return Err(explain(body));
    };
    let attachments = attachments.into_iter().map(|attachment| attachment.url).collect();
    let content = Content::new(content).ok_or_else(|| vec![blank()])?;
    Ok(Body { content, attachments })
}

/// Says what is wrong with a body that could not be read.
fn explain(body: &[u8]) -> Vec<FieldError> {
    let value: Value = match serde_json::from_slice(body) {
        Ok(value) => value,
        Err(error) => {
            let loc = vec!["body".into(), error.column().into()];
            return vec![FieldError {
                loc,
                msg: format!("JSON decode error: {error}"),
                kind: "json_invalid",
            }];
        }
    };
    let Value::Object(fields) = &value else {
        return vec![wrong(&[], "a valid dictionary", "dict_type")];
    };
    let mut errors = Vec::new();
    match fields.get("content") {
        None => errors.push(missing(&["content".into()])),
        Some(Value::String(text)) if text.trim().is_empty() => errors.push(blank()),
        Some(Value::String(_)) => {}
        Some(_) => errors.push(wrong(&["content".into()], "a valid string", "string_type")),
    }
    match fields.get("attachments") {
        None => {}
        Some(Value::Array(items)) => {
            errors.extend(
                items
                    .iter()
                    .enumerate()
                    .filter_map(|(index, item)| explain_attachment(index, item)),
            );
        }
        Some(_) => errors.push(wrong(&["attachments".into()], "a valid list", "list_type")),
    }
    let unknown = fields.keys().filter(|name| !matches!(name.as_str(), "content" | "attachments"));
    errors.extend(unknown.map(|name| FieldError {
        loc: vec!["body".into(), name.as_str().into()],
        msg: "Extra inputs are not permitted".to_owned(),
        kind: "extra_forbidden",
    }));
    if errors.is_empty() {
        // Readable, but not as written: the one way is a field that stands there twice.
        errors.push(FieldError {
            loc: vec!["body".into()],
            msg: "Every field may be given only once".to_owned(),
            kind: "json_invalid",
        });
    }
    errors
}

fn explain_attachment(index: usize, item: &Value) -> Option<FieldError> {
    let loc = |name: Option<&str>| -> Vec<Loc> {
        ["attachments".into(), index.into()].into_iter().chain(name.map(Loc::from)).collect()
    };
    match item {
        Value::Object(fields) => match fields.get("url") {
            None => Some(missing(&loc(Some("url")))),
            Some(Value::String(_)) => None,
            Some(_) => Some(wrong(&loc(Some("url")), "a valid string", "string_type")),
        },
        _ => Some(wrong(&loc(None), "a valid dictionary", "dict_type")),
    }
}

fn in_body(path: &[Loc]) -> Vec<Loc> {
    std::iter::once("body".into()).chain(path.iter().cloned()).collect()
}

fn missing(path: &[Loc]) -> FieldError {
    FieldError { loc: in_body(path), msg: "Field required".to_owned(), kind: "missing" }
}

fn wrong(path: &[Loc], wanted: &str, kind: &'static str) -> FieldError {
    FieldError { loc: in_body(path), msg: format!("Input should be {wanted}"), kind }
}

fn blank() -> FieldError {
    FieldError {
        loc: vec!["body".into(), "content".into()],
        msg: "String should not be blank".to_owned(),
        kind: "string_too_short",
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
