//! The errors of fields, and how much of a caller's input an answer repeats.

use std::borrow::Cow;
use std::fmt::{self, Display};

use serde::Serialize;

/// The most characters of a caller's own input that a refusal repeats.
pub const MAX_ECHO_CHARACTERS: usize = 256;

/// Cuts a text of the caller's to [`MAX_ECHO_CHARACTERS`], and marks the cut by `…`.
#[must_use]
pub fn echo(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MAX_ECHO_CHARACTERS) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

/// The error of one field, in FastAPI's shape.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The path of the field: `["body", "attachments", 0, "url"]`.
    pub loc: Vec<Loc>,
    /// The error, for people.
    pub msg: String,
    /// The error, for programs: `missing`, `string_type`, `extra_forbidden`, …
    #[serde(rename = "type")]
    pub kind: &'static str,
}

impl fmt::Debug for FieldError {
    /// The kind: place and sentence repeat what the caller sent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FieldError({})", self.kind)
    }
}

impl Display for FieldError {
    /// Writes the error as a sentence: "attachments\[0\].url in the body is not valid: Field
    /// required".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut steps = self.loc.iter();
        let part = steps.next();
        let mut path = String::new();
        for step in steps {
            match step {
                Loc::Name(name) if path.is_empty() => path += name,
                Loc::Name(name) => path.extend([".", name]),
                // A place in the text is no field.
                Loc::Index(_) if path.is_empty() => {}
                Loc::Index(index) => path += &format!("[{index}]"),
            }
        }

        match (part, path.is_empty()) {
            (Some(Loc::Name(part)), true) => write!(f, "the {part} is not valid: {}", self.msg),
            (Some(Loc::Name(part)), false) => {
                write!(f, "{path} in the {part} is not valid: {}", self.msg)
            }
            _ => f.write_str(&self.msg),
        }
    }
}

/// One step of a [`FieldError::loc`].
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Loc {
    /// A part of the request, or a field.
    Name(String),
    /// An index into an array, from 0.
    Index(usize),
}

impl fmt::Debug for Loc {
    /// The index; a field's name is what the caller sent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Loc::Name(_) => f.write_str("Name(…)"),
            Loc::Index(index) => write!(f, "Index({index})"),
        }
    }
}

impl From<&str> for Loc {
    fn from(name: &str) -> Loc {
        Loc::Name(echo(name).into_owned())
    }
}

impl From<usize> for Loc {
    fn from(index: usize) -> Loc {
        Loc::Index(index)
    }
}

impl FieldError {
    /// Makes an error at `loc`. Long names in it, and a long message, are cut ([`echo`]).
    pub fn new<L: Into<Loc>>(
        loc: impl IntoIterator<Item = L>,
        msg: impl Into<String>,
        kind: &'static str,
    ) -> FieldError {
        let msg = echo(&msg.into()).into_owned();
        FieldError { loc: loc.into_iter().map(Into::into).collect(), msg, kind }
    }

    /// Reports a field that is missing.
    pub fn missing<L: Into<Loc>>(loc: impl IntoIterator<Item = L>) -> FieldError {
        FieldError::new(loc, "Field required", "missing")
    }

    /// Reports a text without a visible character.
    pub fn blank<L: Into<Loc>>(loc: impl IntoIterator<Item = L>) -> FieldError {
        FieldError::new(loc, "String should not be blank", "string_too_short")
    }

    /// Reports a text with a control character in it.
    pub fn control<L: Into<Loc>>(loc: impl IntoIterator<Item = L>, control: char) -> FieldError {
        let msg = format!(
            "String should have no control characters but tabs and line ends; it has U+{:04X}",
            u32::from(control)
        );
        FieldError::new(loc, msg, "string_pattern_mismatch")
    }

    /// Reports a field that is not documented.
    pub fn forbidden<L: Into<Loc>>(loc: impl IntoIterator<Item = L>) -> FieldError {
        FieldError::new(loc, "Extra inputs are not permitted", "extra_forbidden")
    }

    /// Reports a value that is not `expected`.
    pub fn wrong<L: Into<Loc>>(
        loc: impl IntoIterator<Item = L>,
        expected: impl Display,
        kind: &'static str,
    ) -> FieldError {
        FieldError::new(loc, format!("Input should be {expected}"), kind)
    }
}
