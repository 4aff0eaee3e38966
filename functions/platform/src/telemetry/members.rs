//! The members of a line, on their way to stdout.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

/// As many bytes as most lines have, so that the memory of one need not grow.
const LINE_BYTES: usize = 1_024;

/// The members of a line or a record: its own, and those that all of the invocation share.
pub(super) struct Members<'a> {
    pub(super) own: &'a Map<String, Value>,
    pub(super) shared: &'a Map<String, Value>,
}

impl Members<'_> {
    /// Returns them as one line of JSON. It is written at once: stdout would take each comma by
    /// itself, and look for the line's end in it.
    pub(super) fn to_line(&self) -> String {
        let mut line = Vec::with_capacity(LINE_BYTES);
        serde_json::to_writer(&mut line, self).expect("members are plain data");
        line.push(b'\n');
        String::from_utf8(line).expect("JSON is text")
    }
}

impl Serialize for Members<'_> {
    /// Writes them without a copy. A member of its own takes the place of a shared one.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shared = self.shared.iter().filter(|(name, _)| !self.own.contains_key(*name));
        serializer.collect_map(self.own.iter().chain(shared))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_has_the_shared_members_that_it_has_not_itself() {
        let map = |value: Value| value.as_object().expect("an object").clone();
        let own = map(json!({"business": "own", "seq": 7}));
        let shared = map(json!({"business": "shared", "service": "a \"name\"\n"}));
        let line = Members { own: &own, shared: &shared }.to_line();

        assert_eq!(line.matches('\n').count(), 1, "one line: {line}");
        assert_eq!(line.matches("business").count(), 1, "each member once: {line}");
        let read: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(read, json!({"business": "own", "seq": 7, "service": "a \"name\"\n"}));
    }
}
