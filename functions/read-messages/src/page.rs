//! The size of a page, as Lambda counts an answer.
//!
//! Lambda takes answers of [6
//! MB](https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html), and API Gateway's
//! format holds the body as a text inside of another JSON document. A quote is one character of a
//! message, two of the body and four of the answer.

use std::io::{self, Write};

use serde::Serialize;

use platform::error::InternalError;

/// The most bytes that the messages of a page take of the answer. What is left of Lambda's 6 MB is
/// for the rest of the answer. A message of any size fits: an item of the table has 400 KB at most,
/// which no escaping makes larger than 2.8 MB.
pub const MAX_PAGE_BYTES: usize = 4 << 20;

/// Takes items from the front for as long as they fit into a page, and always the first one.
///
/// # Errors
/// If an item cannot be written as JSON; all of ours can.
pub fn fitting<T: Serialize>(items: impl IntoIterator<Item = T>) -> Result<Vec<T>, InternalError> {
    let mut page = Vec::new();
    let mut bytes = 0;

    for item in items {
        bytes += escaped_bytes(&item)?;
        if bytes > MAX_PAGE_BYTES && !page.is_empty() {
            break;
        }
        page.push(item);
    }

    Ok(page)
}

/// Returns how many bytes of an answer `item` and a comma take.
fn escaped_bytes(item: &impl Serialize) -> Result<usize, InternalError> {
    let mut counter = EscapedBytes(1);
    serde_json::to_writer(&mut counter, item)
        .map_err(|error| InternalError::because("measuring an answer", error))?;
    Ok(counter.0)
}

/// Counts the bytes of a JSON text inside of a JSON string. Such a text has no control characters
/// of its own, so quotes and backslashes are all that is escaped once more.
struct EscapedBytes(usize);

impl Write for EscapedBytes {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let escaped = text.iter().filter(|byte| matches!(byte, b'"' | b'\\')).count();
        self.0 += text.len() + escaped;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Returns the bytes that a body takes of an answer, without the quotes around it.
    fn in_an_answer(body: &str) -> usize {
        serde_json::to_string(body).expect("a text").len() - 2
    }

    #[test]
    fn a_message_larger_than_a_page_is_a_page_of_its_own() {
        let giant = "x".repeat(MAX_PAGE_BYTES);
        let page = |items: &[&str]| fitting(items.to_vec()).expect("texts").len();
        assert_eq!((page(&[&giant, "a"]), page(&["a", &giant])), (1, 1));
        assert_eq!((page(&["a", "b"]), page(&[])), (2, 0));
    }

    proptest! {
        #[test]
        fn a_page_takes_what_it_counted(
            texts in prop::collection::vec("[\\x00-\\x7fé\"\\\\]{0,40}", 0..20),
        ) {
            let body = serde_json::to_string(&texts).expect("texts");
            let counted = texts.iter().map(|text| escaped_bytes(text).expect("a text"));
            let counted: usize = counted.sum();
            // The brackets are counted with no message, and the last one has no comma.
            let brackets = if texts.is_empty() { 2 } else { 1 };
            prop_assert_eq!(counted + brackets, in_an_answer(&body));
        }
    }

    proptest! {
        // Megabytes each.
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn a_page_is_as_long_as_it_may_be(
            lengths in prop::collection::vec(0..MAX_PAGE_BYTES / 7, 1..12),
        ) {
            let texts = lengths.iter().map(|length| "\u{1}".repeat(*length));
            let texts: Vec<String> = texts.collect();
            let page = fitting(&texts).expect("texts");
            let size = |texts: &[&String]| {
                in_an_answer(&serde_json::to_string(texts).expect("texts")) - 1
            };

            prop_assert!(page.len() == 1 || size(&page) <= MAX_PAGE_BYTES);
            let next: Vec<&String> = texts.iter().take(page.len() + 1).collect();
            prop_assert!(page.len() == texts.len() || size(&next) > MAX_PAGE_BYTES);
        }
    }
}
