//! The `Message-ID`s of a conversation's mails, which the customer's mail program needs to show
//! them as one thread.

use serde::{Deserialize, Serialize};

/// The most names that a thread keeps: the first, to which every mail refers, and the last ones, in
/// case some never arrived. Each takes about 90 bytes of its conversation's item and of the header
/// that names them all.
pub const MAX_THREAD_NAMES: usize = 4;

/// The longest name, in bytes: [`MAX_THREAD_NAMES`] of them with their brackets fit into one header
/// line of 998 characters (RFC 5322 §2.1.1).
const MAX_NAME_BYTES: usize = 240;

/// The names (RFC 5322 §3.6.4 `msg-id`s, without their angle brackets) of the first and the last
/// messages of a conversation, oldest first, at most [`MAX_THREAD_NAMES`]. Empty on channels
/// without threads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Thread(Vec<String>);

impl Thread {
    /// Begins a thread with a customer's own mail. `name` is the mail's `Message-ID`, with or
    /// without its brackets.
    #[must_use]
    pub fn begun_by(name: &str) -> Thread {
        let mut thread = Thread::default();
        thread.join(name.trim().trim_start_matches('<').trim_end_matches('>').to_owned());
        thread
    }

    /// Adds the name of the next message. A name that the thread has already is not added again,
    /// and a text that would not stay within its brackets is ignored.
    pub fn join(&mut self, name: String) {
        if !is_name(&name) || self.0.contains(&name) {
            return;
        }
        self.0.push(name);
        if self.0.len() > MAX_THREAD_NAMES {
            self.0.remove(1);
        }
    }

    /// True if no message's name is known.
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

fn is_name(text: &str) -> bool {
    let fits_brackets = |byte: u8| byte.is_ascii_graphic() && !b"<>".contains(&byte);
    (3..=MAX_NAME_BYTES).contains(&text.len())
        && text.contains('@')
        && text.bytes().all(fits_brackets)
}

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
    fn a_text_that_would_break_a_header_is_no_name() {
        for odd in
            ["", "<>", "@", "no-at", "a@b\r\nBcc: x@example.com", "a@b> <c@d", "a b@c", "ä@b"]
        {
            assert!(Thread::begun_by(odd).is_empty(), "{odd:?}");
        }
        assert!(
            Thread::begun_by(&format!("{}@example.com", "x".repeat(MAX_NAME_BYTES))).is_empty()
        );
    }
}
