//! The template that may be sent when the messaging window is closed, and its one parameter.

use crate::channel::rules::refused;
use crate::problem::Refusal;

/// Longest text that goes into a template, in characters. A template's body has 1,024, its own
/// words among them. Only Meta counts those: it refuses a text that is too long with them with
/// 132005.
pub const MAX_TEMPLATE_CHARACTERS: usize = 1_024;

/// Returns a text as a template's one parameter: without the blanks and line ends around it, which
/// readers do not see. All else stays as it was written.
#[must_use]
pub fn template_parameter(content: &str) -> &str {
    content.trim()
}

/// Checks whether a text with this many files can be a template's one parameter.
///
/// Meta refuses line breaks, tabs and more than four spaces in a row, there and nowhere else
/// ("Param text cannot have new-line/tab characters or more than 4 consecutive spaces"). A text that
/// does not fit is refused and not rewritten.
pub(super) fn check_template_parameter(content: &str, attachments: usize) -> Result<(), Refusal> {
    let content = template_parameter(content);
    let length = content.chars().count();

    let limit = if attachments > 0 {
        "cannot carry attachments".to_owned()
    } else if length > MAX_TEMPLATE_CHARACTERS {
        format!("holds at most {MAX_TEMPLATE_CHARACTERS} characters; content has {length}")
    } else if content.contains(is_break_or_tab) {
        "cannot carry line breaks or tabs".to_owned()
    } else if content.contains("     ") {
        "cannot carry more than four spaces in a row".to_owned()
    } else {
        return Ok(());
    };

    Err(refused(format!(
        "the messaging window is closed, and the template that may be sent instead {limit}"
    )))
}

/// True for line breaks and tabs, those of Unicode as well as those of ASCII.
fn is_break_or_tab(character: char) -> bool {
    matches!(character, '\t'..='\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::channel::{Channel, SendMode};

    #[test]
    fn a_template_takes_one_plain_line_and_its_refusal_names_what_does_not_fit() {
        let mode = |content: &str, attachments| {
            Channel::Whatsapp.send_mode(content, attachments, None, true, DateTime::UNIX_EPOCH)
        };

        let refusal = |content: &str, attachments| match mode(content, attachments) {
            Ok(SendMode::Template) => String::new(),
            Ok(SendMode::FreeForm) => panic!("the window is closed"),
            Err(Refusal::ContentNotAllowed { detail }) => detail,
            Err(other) => panic!("{other:?}"),
        };

        for fine in [
            "Your parcel is here — 📦",
            "a    b",
            &"é".repeat(MAX_TEMPLATE_CHARACTERS),
            // Editors and command lines end a text with a line break.
            "one line\n",
            "\r\none line \r\n\r\n",
            &format!("{}\n", "é".repeat(MAX_TEMPLATE_CHARACTERS)),
            &format!("a{}", " ".repeat(9)),
        ] {
            assert_eq!(refusal(fine, 0), "");
            let parameter = template_parameter(fine);
            assert!(!parameter.contains(is_break_or_tab) && !parameter.is_empty());
        }

        for (content, attachments, named) in [
            ("see the file", 1, "attachments"),
            (&*"é".repeat(MAX_TEMPLATE_CHARACTERS + 1), 0, "1024 characters; content has 1025"),
            ("two\nlines", 0, "line breaks"),
            ("two\r\nlines", 0, "line breaks"),
            ("two\u{2028}lines", 0, "line breaks"),
            ("a\ttable", 0, "tabs"),
            ("a     b", 0, "four spaces"),
        ] {
            assert!(
                refusal(content, attachments).contains(named),
                "{content:?}: {}",
                refusal(content, attachments)
            );
        }
    }
}
