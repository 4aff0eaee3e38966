//! What the customer's mail program shows: the text as it is, and the same text as HTML.

use html_escape::encode_text;

/// The subject of a conversation that has none.
pub const DEFAULT_SUBJECT: &str = "A message for you";

/// The text as HTML: escaped, a paragraph for every blank line, a break for every other.
#[must_use]
pub fn html(text: &str) -> String {
    let text = text.replace("\r\n", "\n");
    let paragraphs = text.split("\n\n").map(|paragraph| {
        let lines: Vec<_> = paragraph.trim_matches('\n').split('\n').map(encode_text).collect();
        format!("<p>{}</p>", lines.join("<br>\n"))
    });
    let body: Vec<String> = paragraphs.collect();
    format!("<!doctype html>\n<html><body>\n{}\n</body></html>\n", body.join("\n"))
}

/// A subject that fits into one header line: no line breaks, which SES would refuse.
#[must_use]
pub fn subject(of_conversation: Option<&str>) -> String {
    let words: Vec<&str> = of_conversation.unwrap_or_default().split_whitespace().collect();
    if words.is_empty() { DEFAULT_SUBJECT.to_owned() } else { words.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_shown_not_obeyed() {
        assert!(html("<b>1 & 2</b>").contains("<p>&lt;b&gt;1 &amp; 2&lt;/b&gt;</p>"));
        assert!(html("one\ntwo\r\n\r\nthree").contains("<p>one<br>\ntwo</p>\n<p>three</p>"));
    }

    #[test]
    fn a_subject_stays_on_its_line() {
        assert_eq!(subject(Some("Your order\r\nBcc: x@example.com")), "Your order Bcc: x@example.com");
        assert_eq!(subject(Some("  ")), DEFAULT_SUBJECT);
        assert_eq!(subject(None), DEFAULT_SUBJECT);
    }
}
