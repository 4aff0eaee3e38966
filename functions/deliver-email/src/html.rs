//! Renders a text as HTML, in the frame of `message.html`. All text from people is escaped.

use html_escape::{encode_double_quoted_attribute, encode_text};

use crate::email::LinkedFile;

/// The page around the text. Each of the two marks is in it once, in this order.
const FRAME: &str = include_str!("message.html");
const MARKS: [&str; 2] = ["{{paragraphs}}", "{{links}}"];

/// Renders the text and the links to files. Every paragraph has its own direction of writing.
#[must_use]
pub fn page(text: &str, links: &[LinkedFile]) -> String {
    // The frame is split before the text is inserted, because a text may look like a mark.
    let (head, rest) = FRAME.split_once(MARKS[0]).unwrap_or((FRAME, ""));
    let (middle, tail) = rest.split_once(MARKS[1]).unwrap_or((rest, ""));
    [head, &paragraphs(text), middle, &list(links), tail].concat()
}

/// Makes a paragraph at every blank line, and a break at every other line end.
fn paragraphs(text: &str) -> String {
    let paragraphs = text
        .split("\n\n")
        .filter(|paragraph| !paragraph.trim_matches('\n').is_empty())
        .map(|paragraph| {
            let lines: Vec<_> = paragraph.trim_matches('\n').split('\n').map(line).collect();
            format!("<p dir=\"auto\">{}</p>", lines.join("<br>\n"))
        });
    paragraphs.collect::<Vec<_>>().join("\n")
}

/// Escapes one line, and keeps the spaces that browsers would drop.
fn line(text: &str) -> String {
    let shown: String =
        text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect();
    let escaped = encode_text(&shown).replace("  ", "&nbsp; ");
    match escaped.strip_prefix(' ') {
        Some(rest) => format!("&nbsp;{rest}"),
        None => escaped,
    }
}

fn list(links: &[LinkedFile]) -> String {
    if links.is_empty() {
        return String::new();
    }
    let items = links.iter().map(|LinkedFile { filename, url, size }| {
        let (url, name) = (encode_double_quoted_attribute(url), line(filename));
        format!("<li><a href=\"{url}\" dir=\"auto\">{name}</a> ({})</li>\n", in_words(*size))
    });
    format!("<ul>\n{}</ul>", items.collect::<String>())
}

/// Returns a size as people read it.
#[must_use]
pub fn in_words(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{} kB", bytes.div_ceil(1_000)),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes % 1_000_000 / 100_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_has_each_mark_once_and_in_order() {
        let places = MARKS.map(|mark| {
            assert_eq!(FRAME.matches(mark).count(), 1, "{mark}");
            FRAME.find(mark)
        });
        assert!(places[0] < places[1]);
    }

    #[test]
    fn markup_is_shown_not_obeyed() {
        let page = page("<b>1 & 2</b>\n{{links}}", &[]);
        assert!(
            page.contains("<p dir=\"auto\">&lt;b&gt;1 &amp; 2&lt;/b&gt;<br>\n{{links}}</p>"),
            "{page}"
        );
    }

    #[test]
    fn paragraphs_and_breaks_are_where_the_writer_put_them() {
        assert_eq!(
            paragraphs("one\ntwo\n\n\nthree"),
            "<p dir=\"auto\">one<br>\ntwo</p>\n<p dir=\"auto\">three</p>"
        );
        assert_eq!(paragraphs("  - a   b"), "<p dir=\"auto\">&nbsp; - a&nbsp;  b</p>");
        assert_eq!(paragraphs("a\u{0}b"), "<p dir=\"auto\">a\u{fffd}b</p>");
    }

    #[test]
    fn a_link_stays_in_its_quotes() {
        let link = LinkedFile {
            filename: "<i>.pdf".into(),
            url: "https://x.example/?a=1&b=\"c".into(),
            size: 1_234_567,
        };
        let page = page("see below", &[link]);
        let item = "<a href=\"https://x.example/?a=1&amp;b=&quot;c\" dir=\"auto\">&lt;i&gt;.pdf</a> (1.2 MB)";
        assert!(page.contains(item), "{page}");
        assert_eq!((in_words(999), in_words(1_001)), ("999 bytes".into(), "2 kB".into()));
    }
}
