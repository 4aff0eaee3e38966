//! By what names a conversation's messages are known to the customer's mail program, so that it
//! shows them as one thread.

use serde::{Deserialize, Serialize};

/// How many names are kept: the first, which everything hangs on, and the last ones, in case some
/// never arrived. Each takes about 90 bytes of its conversation's item and of the header that names
/// them all.
pub const KEPT: usize = 4;

/// The names (RFC 5322 §3.6.4 `msg-id`s, without their angle brackets) of the first and the last
/// messages of a conversation, oldest first, at most [`KEPT`]. Empty on channels without threads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Thread(Vec<String>);

impl Thread {
    /// The thread that a customer's own mail begins. `name` is the mail's `Message-ID`, with or
    /// without its brackets.
    #[must_use]
    pub fn begun_by(name: &str) -> Thread {
        let mut thread = Thread::default();
        thread.join(name.trim().trim_start_matches('<').trim_end_matches('>').to_owned());
        thread
    }

    /// Adds the name of the next message. One that is there already is not added again, and neither
    /// is what would not stay within its brackets: such a name is nobody's.
    pub fn join(&mut self, name: String) {
        let is_name = name.bytes().all(|byte| byte.is_ascii_graphic() && !b"<>".contains(&byte));
        let is_name = is_name && (3..=LONGEST).contains(&name.len()) && name.contains('@');
        if !is_name || self.0.contains(&name) {
            return;
        }
        self.0.push(name);
        if self.0.len() > KEPT {
            self.0.remove(1);
        }
    }

    /// Whether no message is known by name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The names, oldest first.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.0
    }
}

/// The longest name: [`KEPT`] of them with their brackets fit into one header line of 998
/// characters (RFC 5322 §2.1.1).
const LONGEST: usize = 240;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_and_the_last_ones_stay() {
        let mut thread = Thread::begun_by(" <mine@example.com>\r\n");
        for number in 1..=9 {
            thread.join(format!("{number}@eu-central-1.amazonses.com"));
        }
        let last = [7, 8, 9].map(|number| format!("{number}@eu-central-1.amazonses.com"));
        assert_eq!(thread.names()[0], "mine@example.com");
        assert_eq!(thread.names()[1..], last);
    }

    #[test]
    fn a_message_joins_once() {
        let mut thread = Thread::default();
        assert!(thread.is_empty());
        thread.join("1@eu-central-1.amazonses.com".into());
        assert!(!thread.is_empty());
        let before = thread.clone();
        thread.join("1@eu-central-1.amazonses.com".into());
        assert_eq!(thread, before);
    }

    #[test]
    fn what_would_break_a_header_is_no_name() {
        for odd in
            ["", "<>", "@", "no-at", "a@b\r\nBcc: x@example.com", "a@b> <c@d", "a b@c", "ä@b"]
        {
            assert!(Thread::begun_by(odd).is_empty(), "{odd:?}");
        }
        assert!(Thread::begun_by(&format!("{}@example.com", "x".repeat(LONGEST))).is_empty());
    }
}
