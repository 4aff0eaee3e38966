//! How things look on a terminal: few colours, one layout. Whoever prints uses `anstream`, which
//! takes the colours out where nobody sees them (no terminal, `NO_COLOR`).

use std::fmt::Display;

use anstyle::{AnsiColor, Style};

/// What stands out.
pub(crate) const BOLD: Style = Style::new().bold();
/// What stands back.
pub(crate) const DIM: Style = Style::new().dimmed();
/// What went well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// What went wrong, or was refused.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What can be copied.
pub(crate) const CODE: Style = AnsiColor::Cyan.on_default();

/// Labels are this wide, so that what they label is aligned.
const LABEL_WIDTH: usize = 10;

/// Text in a style.
pub(crate) fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// A label and what it labels, indented.
pub(crate) fn field(label: &str, value: impl Display) -> String {
    format!("  {} {value}", paint(DIM, format_args!("{label:LABEL_WIDTH$}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_colours_fields_are_aligned_plain_text() {
        let lines = [field("API", "x"), field("WebSocket", paint(CODE, "y"))]
            .map(|line| anstream::adapter::strip_str(&line).to_string());
        assert_eq!(lines, ["  API        x", "  WebSocket  y"]);
    }
}
