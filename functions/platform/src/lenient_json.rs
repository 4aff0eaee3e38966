//! JSON as a provider sends it. One odd value must not spoil its neighbours, so a document is first
//! [repaired](repair) where its bytes are not JSON, and then read value by value ([`Node`]).

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// The character in place of what is none.
const REPLACEMENT: &str = "\u{fffd}";

/// A value of a document, which is parsed only as far as it is asked for. A value that is missing,
/// is `null` or has another type than asked for is `None`.
#[derive(Clone, Copy)]
pub struct Node<'a>(&'a str);

impl<'a> Node<'a> {
    /// Returns the whole document; `None` if it is not JSON.
    #[must_use]
    pub fn document(repaired: &'a str) -> Option<Node<'a>> {
        serde_json::from_str::<&RawValue>(repaired).ok().map(|raw| Node(raw.get()))
    }

    /// Returns the members of an object. Of a name that comes twice the last one counts.
    #[must_use]
    pub fn members(self) -> Option<BTreeMap<String, Node<'a>>> {
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(self.0).ok()?;
        Some(members.into_iter().map(|(name, raw)| (name, Node(raw.get()))).collect())
    }

    /// Returns a member of an object.
    #[must_use]
    pub fn member(self, name: &str) -> Option<Node<'a>> {
        self.members()?.remove(name).filter(|member| !member.is_null())
    }

    /// Returns the items of a list.
    #[must_use]
    pub fn items(self) -> Option<Vec<Node<'a>>> {
        let items: Vec<&RawValue> = serde_json::from_str(self.0).ok()?;
        Some(items.into_iter().map(|raw| Node(raw.get())).collect())
    }

    /// Returns a text.
    #[must_use]
    pub fn text(self) -> Option<String> {
        serde_json::from_str(self.0).ok()
    }

    /// Returns a whole number, which may be written as a text or with a fraction of nothing.
    #[must_use]
    pub fn integer(self) -> Option<i64> {
        let digits = self.written();
        digits.trim().parse().ok().or_else(|| {
            let number = self.number()?;
            // Above this, not every integer has a double of its own.
            let is_whole = number.fract() == 0.0 && number.abs() < (1u64 << 53) as f64;
            #[expect(clippy::cast_possible_truncation, reason = "it is a whole number below 2^53")]
            is_whole.then_some(number as i64)
        })
    }

    /// Returns a finite number, which may be written as a text.
    #[must_use]
    pub fn number(self) -> Option<f64> {
        self.written().trim().parse().ok().filter(|number: &f64| number.is_finite())
    }

    /// True for `true`, which may be written as a text.
    #[must_use]
    pub fn is_true(self) -> bool {
        self.written().trim() == "true"
    }

    /// True for `null`.
    #[must_use]
    pub fn is_null(self) -> bool {
        self.0 == "null"
    }

    /// Returns the letters of a text, and any other value as it stands in the document.
    fn written(self) -> Cow<'a, str> {
        self.text().map_or(Cow::Borrowed(self.0), Cow::Owned)
    }
}

/// Returns a document as JSON, where something else than its structure keeps it from being that:
/// its byte order mark is dropped; bytes that are not UTF-8, halves of surrogate pairs and unknown
/// escapes become U+FFFD; control characters in texts become spaces; numbers beyond a double's
/// range, and words that are neither numbers nor JSON's own, such as `NaN`, become `null`.
#[must_use]
pub fn repair(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut rest = text.trim_start_matches('\u{feff}');
    let mut repaired = String::with_capacity(rest.len());

    while let Some(first) = rest.chars().next() {
        rest = match first {
            '"' => {
                repaired.push('"');
                copy_text(&rest[1..], &mut repaired)
            }
            first if is_of_word(first) => copy_word(rest, &mut repaired),
            other => {
                repaired.push(other);
                &rest[other.len_utf8()..]
            }
        };
    }

    repaired
}

/// True for what numbers and words outside of texts are made of.
fn is_of_word(one: char) -> bool {
    one.is_ascii_alphanumeric() || matches!(one, '+' | '-' | '.' | '_')
}

/// Copies a number or a word, and returns what follows it.
fn copy_word<'a>(text: &'a str, repaired: &mut String) -> &'a str {
    let end = text.find(|one| !is_of_word(one)).unwrap_or(text.len());
    let (word, rest) = text.split_at(end);

    let is_json = matches!(word, "true" | "false") || serde_json::from_str::<f64>(word).is_ok();
    repaired.push_str(if is_json { word } else { "null" });
    rest
}

/// Copies a text to its closing quote, and returns what follows it.
fn copy_text<'a>(text: &'a str, repaired: &mut String) -> &'a str {
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        rest = match first {
            '"' => {
                repaired.push('"');
                return &rest[1..];
            }
            '\\' => copy_escape(rest, repaired),
            control if control < ' ' => {
                repaired.push(' ');
                &rest[1..]
            }
            other => {
                repaired.push(other);
                &rest[other.len_utf8()..]
            }
        };
    }
    rest
}

/// Copies an escape, and returns what follows it.
fn copy_escape<'a>(text: &'a str, repaired: &mut String) -> &'a str {
    let length = match (text.as_bytes().get(1), code_unit(text)) {
        (Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't'), _) => 2,
        (_, Some(0xd800..=0xdbff)) => match text.get(6..).and_then(code_unit) {
            Some(0xdc00..=0xdfff) => 12,
            _ => {
                repaired.push_str(REPLACEMENT);
                return &text[6..];
            }
        },
        (_, Some(0xdc00..=0xdfff)) => {
            repaired.push_str(REPLACEMENT);
            return &text[6..];
        }
        (_, Some(_)) => 6,
        (_, None) => {
            repaired.push_str(REPLACEMENT);
            return &text[1..];
        }
    };

    let (escape, rest) = text.split_at(length);
    repaired.push_str(escape);
    rest
}

/// Returns the code unit of an escape such as `\u00e9`.
fn code_unit(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    is_hex.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn repaired(text: &str) -> Value {
        serde_json::from_str(&repair(text.as_bytes())).expect("it is JSON")
    }

    #[test]
    fn what_is_no_json_but_in_its_structure_is_repaired() {
        for (broken, whole) in [
            ("\u{feff}{}", "{}"),
            (r#"{"a": 1e999, "b": -1e999, "c": 2}"#, r#"{"a": null, "b": null, "c": 2}"#),
            (r#"["\ud83d", "\ude00", "\ude00\ud83d", "x\ud83dy"]"#, r#"["�", "�", "��", "x�y"]"#),
            (
                r#"["\ud83d\ude00", "\u00e9", "\"\\\/\b\f\n\r\t"]"#,
                r#"["😀", "é", "\"\\/\b\f\n\r\t"]"#,
            ),
            (r#"["\ud83d\u0041", "\x41", "\u12"]"#, r#"["�A", "�x41", "�u12"]"#),
            ("[\"a\tb\nc\"]", r#"["a b c"]"#),
            (r#"{"\ud83d": 1}"#, r#"{"�": 1}"#),
            (
                r#"[NaN, -Infinity, +7, 007, .5, 5., 0x7, undefined, None, True, -]"#,
                "[null, null, null, null, null, null, null, null, null, null, null]",
            ),
            ("[-0, -0.0, 1E+2, true, false, null]", "[-0, -0.0, 1E+2, true, false, null]"),
        ] {
            let whole: Value = serde_json::from_str(whole).expect("it is JSON");
            assert_eq!(repaired(broken), whole, "{broken}");
        }

        let digits = "9".repeat(400);
        assert_eq!(repaired(&digits), Value::Null);
        assert_eq!(repair(b"[\"\xff\", 1]"), "[\"\u{fffd}\", 1]");
        for open in ["\"", "\"\\", "\"\\u", "\"\\ud83d", "\"\\ud83d\\", "[1", "{a: 1}", "é\\u"] {
            assert!(Node::document(&repair(open.as_bytes())).is_none(), "{open}");
        }
    }

    #[test]
    fn a_value_is_read_as_what_it_is_asked_for() {
        let text = r#"{"t": "x", "n": 7, "s": " -7 ", "f": 7.0, "e": 1e2, "h": 7.5, "o": {"i": [1, "2"]}, "z": null, "y": true, "t": "last"}"#;
        let document = Node::document(text).expect("it is JSON");
        let integer = |name| document.member(name).and_then(Node::integer);
        assert_eq!(document.member("t").and_then(Node::text).as_deref(), Some("last"));
        assert_eq!(
            ["n", "s", "f", "e", "h", "t", "o", "y"].map(integer),
            [Some(7), Some(-7), Some(7), Some(100), None, None, None, None]
        );
        assert!(document.member("z").is_none() && document.member("missing").is_none());
        assert!(document.member("y").is_some_and(Node::is_true));

        let items = document.member("o").and_then(|o| o.member("i")).and_then(Node::items);
        let items: Vec<_> = items.expect("a list").into_iter().map(Node::integer).collect();
        assert_eq!(items, [Some(1), Some(2)]);
        assert!(document.items().is_none() && document.text().is_none());
    }

    #[test]
    fn a_value_that_is_not_asked_for_may_be_as_deep_as_it_likes() {
        let deep = format!(r#"{{"deep": {}{}, "a": 1}}"#, "[".repeat(10_000), "]".repeat(10_000));
        let document = Node::document(&deep).expect("it is JSON");
        assert_eq!(document.member("a").and_then(Node::integer), Some(1));
    }

    proptest! {
        #[test]
        fn json_stays_as_it_is(text in any::<String>(), number in any::<f64>(), whole in any::<i64>()) {
            let value = serde_json::json!({ "text": text, "list": [number, whole, null, true] });
            prop_assert_eq!(repaired(&value.to_string()), value.clone());
            prop_assert_eq!(repaired(&format!("{value:#}")), value);
        }

        #[test]
        fn nothing_stops_the_repair(bytes in any::<Vec<u8>>(), text in r#"[\\"ud83e0-9\[\]{}:,.+-]*"#) {
            let _ = repair(&bytes);
            let _ = repair(text.as_bytes());
        }
    }
}
