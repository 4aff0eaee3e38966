//! Colours and layout on a terminal. All output goes through `anstream`, which removes the colours
//! where there is no terminal, or `NO_COLOR` is set.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};

/// Titles.
pub(crate) const BOLD: Style = Style::new().bold();
/// Side remarks.
pub(crate) const DIM: Style = Style::new().dimmed();
/// Success.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// Errors and refusals.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// Text to copy.
pub(crate) const CODE: Style = AnsiColor::Cyan.on_default();

/// Width of labels, so that the values are aligned.
const LABEL_WIDTH: usize = 10;

/// Prints a line. A terminal that is gone must not end the system.
pub(crate) fn tell(line: impl Display) {
    let _ = writeln!(anstream::stdout(), "{line}");
}

/// Prints the sentence of an error, and returns the program's exit code.
pub(crate) fn fail(sentence: &str) -> ExitCode {
    let _ = writeln!(anstream::stderr(), "{} {sentence}", paint(BAD, "error:"));
    ExitCode::FAILURE
}

/// Returns text in a style.
pub(crate) fn paint(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Returns an indented label with its value.
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
