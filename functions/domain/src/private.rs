//! Texts of and about people.

use std::fmt;
use std::ops::Deref;

use serde::{Deserialize, Serialize};

/// A text that tells of a person: an address, a number, a subject, or an id that one of these is
/// part of. It is stored and sent as it is, and never printed: it has no `Display`, and its `Debug`
/// shows nothing of it.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PrivateText(String);

impl PrivateText {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the text itself, for what stores or sends it.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Debug for PrivateText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl Deref for PrivateText {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl From<String> for PrivateText {
    fn from(text: String) -> PrivateText {
        PrivateText(text)
    }
}

impl From<&str> for PrivateText {
    fn from(text: &str) -> PrivateText {
        PrivateText(text.to_owned())
    }
}

impl From<PrivateText> for String {
    fn from(text: PrivateText) -> String {
        text.0
    }
}

impl PartialEq<str> for PrivateText {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for PrivateText {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_private_text_is_printed() {
        let text = PrivateText::from("anna@example.com");
        assert_eq!(format!("{text:?} {:#?}", Some(&text)), "… Some(\n    …,\n)");
        assert_eq!(serde_json::to_string(&text).expect("a text"), "\"anna@example.com\"");
    }
}
