//! The `Message-ID`s of a conversation's mails, which the customer's mail program needs to show
//! them as one thread.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The most names that a thread keeps: the first, to which every mail refers, and the last ones, in
/// case some never arrived. SES's names take about 90 bytes each, of the conversation's item and of
/// the header that names them all.
pub const MAX_THREAD_NAMES: usize = 4;

/// The longest name, in bytes: with its brackets and `In-Reply-To: ` it fits into a line of 998
/// characters (RFC 5322 §2.1.1).
const MAX_NAME_BYTES: usize = 900;

/// The names (RFC 5322 §3.6.4 `msg-id`s, without their angle brackets) of the first and the last
/// messages of a conversation, oldest first, at most [`MAX_THREAD_NAMES`]. Empty on channels
/// without threads.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Thread(Vec<String>);

impl fmt::Debug for Thread {
    /// The number of names: a customer's own mail has the name that their program made.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thread({})", self.0.len())
    }
}

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

/// True for a text that stays within its brackets. Names without an `@` are against RFC 5322
/// §3.6.4, but some mail programs make them, and find their mail by no other.
fn is_name(text: &str) -> bool {
    let fits_brackets = |byte: u8| byte.is_ascii_graphic() && !b"<>".contains(&byte);
    text.len() <= MAX_NAME_BYTES
        && text.contains(|one: char| one.is_ascii_alphanumeric())
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
        for odd in ["", "<>", "@", "a@b\r\nBcc: x@example.com", "a@b> <c@d", "a b@c", "ä@b"] {
            assert!(Thread::begun_by(odd).is_empty(), "{odd:?}");
        }
        let long = "x".repeat(900);
        assert_eq!(Thread::begun_by(&format!("<{long}>")).names(), [long.as_str()]);
        assert!(Thread::begun_by(&format!("<{long}x>")).is_empty());
    }

    /// Mail programs that make names without a domain, and mailing systems with very long ones.
    #[test]
    fn a_customers_name_for_their_mail_threads_whatever_it_looks_like() {
        let long = format!("{}@mail.example.com", "x".repeat(300));
        for name in
            ["20260301.4711", "no-at", "a@b@c", "\"quoted\"@example.com", "!&%$@[192.0.2.1]", &long]
        {
            assert_eq!(Thread::begun_by(&format!("<{name}>")).names(), [name]);
        }
    }
}
