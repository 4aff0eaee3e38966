//! Tables that fit their terminal. A table that is too wide has its ids shortened, then its times,
//! and last of all its cells wrapped; elsewhere than on a terminal everything is in full.

use std::borrow::Cow;

use comfy_table::{ColumnConstraint, ContentArrangement, Table, presets};

/// How many digits a shortened id keeps: its last ones, since a message's id begins with its time.
const SHORT_ID_DIGITS: usize = 8;

/// The widest column that is never wrapped; the heading of a conversation's id has as many.
const MAX_WHOLE_COLUMNS: usize = 12;

/// A table as text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TableText {
    pub(super) text: String,
    /// True if ids are shortened.
    pub(super) has_short_ids: bool,
}

/// Lays a table out in at most `width` columns. A column in which every cell is empty is left out.
pub(super) fn format_table(
    heading: &[&'static str],
    rows: &[Vec<String>],
    width: Option<usize>,
) -> TableText {
    let is_used = |column: &usize| rows.iter().any(|row| !row[*column].is_empty());
    let used: Vec<usize> = (0..heading.len()).filter(is_used).collect();
    let heading: Vec<&str> = used.iter().map(|column| heading[*column]).collect();
    let full: Vec<Vec<&str>> =
        rows.iter().map(|row| used.iter().map(|column| row[*column].as_str()).collect()).collect();

    let text = lay_out(&heading, &full, None);
    let Some(width) = width.filter(|width| columns(&text) > *width) else {
        return TableText { text, has_short_ids: false };
    };

    let shortened = |shorten: fn(&str) -> String| -> Vec<Vec<String>> {
        full.iter().map(|row| row.iter().map(|cell| shorten(cell)).collect()).collect()
    };
    let short_ids = shortened(shorten_ids);
    let short_ids_and_times = shortened(|cell| shorten_times(&shorten_ids(cell)));

    let has_short_ids = full.iter().flatten().zip(short_ids.iter().flatten()).any(|(a, b)| a != b);
    let candidates = [&short_ids, &short_ids_and_times];
    let text = candidates
        .into_iter()
        .map(|rows| lay_out(&heading, rows, None))
        .find(|text| columns(text) <= width)
        .unwrap_or_else(|| lay_out(&heading, &short_ids_and_times, Some(width)));
    TableText { text, has_short_ids }
}

/// Lays names and values out in at most `width` columns. Values wrap between words only: an id or a
/// key stays in one piece, to be copied.
pub(super) fn format_fields(fields: &[(String, String)], width: Option<usize>) -> String {
    let names = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
    let indent = names + 3;
    let room = width.map_or(usize::MAX, |width| width.saturating_sub(indent).max(20));

    let lines = fields.iter().flat_map(|(name, value)| {
        wrap(value, room).into_iter().enumerate().map(move |(index, line)| {
            let name = if index == 0 { name.as_str() } else { "" };
            format!(" {name:names$}  {line}").trim_end().to_owned()
        })
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn lay_out(heading: &[&str], rows: &[Vec<impl ToString>], width: Option<usize>) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    if let Some(width) = width {
        table.set_content_arrangement(ContentArrangement::Dynamic);
        table.set_width(u16::try_from(width).unwrap_or(u16::MAX));
    }

    table.set_header(heading);
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| row.iter().map(ToString::to_string).collect()).collect();
    table.add_rows(&cells);

    // Short words, such as ids, stay in one piece.
    for (index, column) in table.column_iter_mut().enumerate().filter(|_| width.is_some()) {
        let widest = cells.iter().map(|row| row[index].chars().count()).max();
        if widest.is_none_or(|widest| widest <= MAX_WHOLE_COLUMNS) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table.trim_fmt()
}

/// Returns the width of the widest line.
fn columns(text: &str) -> usize {
    text.lines().map(|line| line.chars().count()).max().unwrap_or_default()
}

/// Splits a text into lines of at most `room` characters, between words.
pub(super) fn wrap(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is one");
        let length = line.chars().count();
        if length > 0 && length + 1 + word.chars().count() > room {
            lines.push(word.to_owned());
        } else {
            if length > 0 {
                line.push(' ');
            }
            line.push_str(word);
        }
    }

    lines
}

/// Shortens the ids in a cell: UUIDs and the hashes of API keys.
fn shorten_ids(cell: &str) -> String {
    let short = |word: &str| -> Option<String> {
        let is_id = (word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit()))
            || (word.len() == 36 && uuid::Uuid::try_parse(word).is_ok());
        is_id.then(|| format!("…{}", &word[word.len() - SHORT_ID_DIGITS..]))
    };
    replace_words(cell, short)
}

/// Leaves out the fractions of seconds.
fn shorten_times(cell: &str) -> String {
    let short = |word: &str| -> Option<String> {
        chrono::DateTime::parse_from_rfc3339(word).ok()?;
        let (seconds, _) = word.split_once('.')?;
        Some(format!("{seconds}Z"))
    };
    replace_words(cell, short)
}

fn replace_words(cell: &str, replace: impl Fn(&str) -> Option<String>) -> String {
    let words = cell.split(' ').map(|word| replace(word).map_or(Cow::Borrowed(word), Cow::Owned));
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "01a2237e-bd2d-7000-8000-05f7dc49e83b";

    /// A row as wide as rows get: three ids, a time, and words of a provider.
    fn rows() -> Vec<Vec<String>> {
        let cells = [
            "whatsapp",
            ID,
            "",
            ID,
            ID,
            "2026-11-29T02:22:42.123Z",
            "given up: attempts_exhausted",
            "rate_limited (TooManyRequestsException)",
        ];
        vec![cells.map(str::to_owned).to_vec()]
    }

    const HEADING: [&str; 8] =
        ["channel", "business", "name", "conversation", "message", "since", "letter", "last"];

    #[test]
    fn a_table_fits_its_terminal_and_says_what_it_shortened() {
        for width in [80, 100, 120] {
            let table = format_table(&HEADING, &rows(), Some(width));
            assert!(columns(&table.text) <= width, "{width}: {}", table.text);
            assert!(table.has_short_ids && table.text.contains("…dc49e83b"), "{}", table.text);
        }

        let full = format_table(&HEADING, &rows(), None);
        assert!(!full.has_short_ids && full.text.contains(ID), "{}", full.text);
        assert!(!full.text.contains("name"), "a column without a value is left out");
        assert_eq!(format_table(&HEADING, &rows(), Some(500)), full);
    }

    #[test]
    fn no_more_is_shortened_than_has_to_be() {
        let rows = vec![vec![ID.to_owned(), "2026-11-29T02:22:42.123Z".to_owned()]];
        let table = format_table(&["message", "since"], &rows, Some(40));
        assert!(table.text.contains("…dc49e83b") && table.text.contains("42.123Z"));
        let table = format_table(&["message", "since"], &rows, Some(33));
        assert!(table.text.contains("…dc49e83b") && table.text.contains("02:22:42Z"));
    }

    #[test]
    fn values_wrap_between_words_and_ids_stay_whole() {
        let key = "k".repeat(80);
        let sentence = "one two three four five six seven".to_owned();
        let fields = [("api key".to_owned(), key.clone()), ("text".to_owned(), sentence)];
        let text = format_fields(&fields, Some(30));
        assert!(text.contains(&key), "{text}");
        let wrapped: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(wrapped, [" text     one two three four", "          five six seven"]);
    }
}
