//! When a channel lets a business write, and as what. Only WhatsApp minds: free-form messages may
//! be sent for 24 hours after the customer's last message, and templates that Meta approved at any
//! time ([customer service
//! windows](https://developers.facebook.com/docs/whatsapp/cloud-api/guides/send-messages)).

use chrono::{DateTime, TimeDelta, Utc};

use super::Channel;
use crate::problem::Refusal;

/// How long a customer's message lets a business write to them.
pub const MESSAGING_WINDOW: TimeDelta = TimeDelta::hours(24);

/// Longest text that goes into a template, in characters. A body has 1,024, the template's own
/// words among them
/// ([components](https://developers.facebook.com/docs/whatsapp/business-management-api/message-templates/components)),
/// which only Meta counts: what is too long with them it refuses with 132005.
pub const MAX_TEMPLATE_CHARACTERS: usize = 1_024;

/// As what a message may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendMode {
    /// As it was written.
    FreeForm,
    /// As the one parameter of the channel's template.
    Template,
}

impl Channel {
    /// As what a text with so many files may be sent now, given when the customer's messaging
    /// window closes and whether the channel has a template for afterwards.
    ///
    /// # Errors
    /// If the window is closed: [`Refusal::OutsideMessagingWindow`] without a template, and
    /// [`Refusal::ContentNotAllowed`], which names what a template cannot carry.
    pub fn send_mode(
        self,
        content: &str,
        attachments: usize,
        window_expires_at: Option<DateTime<Utc>>,
        has_template: bool,
        now: DateTime<Utc>,
    ) -> Result<SendMode, Refusal> {
        match self {
            Channel::Chat | Channel::Email => Ok(SendMode::FreeForm),
            Channel::Whatsapp if window_expires_at.is_some_and(|end| now < end) => {
                Ok(SendMode::FreeForm)
            }
            Channel::Whatsapp if has_template => {
                fits_template(content, attachments).map(|()| SendMode::Template)
            }
            Channel::Whatsapp => {
                Err(Refusal::OutsideMessagingWindow { closed_at: window_expires_at })
            }
        }
    }
}

/// Checks whether a text with so many files can be a template's one parameter. Meta refuses line
/// breaks, tabs and more than four spaces in a row, there and nowhere else ("Param text cannot have
/// new-line/tab characters or more than 4 consecutive spaces"); the text stays as it was written,
/// so what cannot go is refused and not rewritten.
fn fits_template(content: &str, attachments: usize) -> Result<(), Refusal> {
    let length = content.chars().count();
    let what = if attachments > 0 {
        "cannot carry attachments".to_owned()
    } else if length > MAX_TEMPLATE_CHARACTERS {
        format!("holds at most {MAX_TEMPLATE_CHARACTERS} characters; content has {length}")
    } else if content.contains(breaks_a_line) {
        "cannot carry line breaks or tabs".to_owned()
    } else if content.contains("     ") {
        "cannot carry more than four spaces in a row".to_owned()
    } else {
        return Ok(());
    };
    let detail =
        format!("the messaging window is closed, and the template that may be sent instead {what}");
    Err(Refusal::ContentNotAllowed { detail })
}

/// What ends a line or jumps in it, in Unicode's eyes as well as in ASCII's.
fn breaks_a_line(one: char) -> bool {
    matches!(one, '\t'..='\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whatsapp_has_a_window() {
        let now: DateTime<Utc> = "2026-03-01T09:05:00Z".parse().expect("a time");
        let ms = TimeDelta::milliseconds(1);
        assert_eq!(
            Channel::Email.send_mode("two\nlines", 1, None, false, now),
            Ok(SendMode::FreeForm)
        );
        assert_eq!(
            Channel::Chat.send_mode("two\nlines", 1, Some(now - ms), true, now),
            Ok(SendMode::FreeForm)
        );
        for has_template in [false, true] {
            assert_eq!(
                Channel::Whatsapp.send_mode("two\nlines", 1, Some(now + ms), has_template, now),
                Ok(SendMode::FreeForm)
            );
            for closed_at in [Some(now), None] {
                let closed = Err(Refusal::OutsideMessagingWindow { closed_at });
                let expected = if has_template { Ok(SendMode::Template) } else { closed };
                assert_eq!(
                    Channel::Whatsapp.send_mode("one line", 0, closed_at, has_template, now),
                    expected
                );
            }
        }
    }

    #[test]
    fn a_template_takes_one_plain_line_and_says_what_it_does_not_take() {
        let way = |content: &str, attachments| {
            Channel::Whatsapp.send_mode(content, attachments, None, true, DateTime::UNIX_EPOCH)
        };
        let refusal = |content: &str, attachments| match way(content, attachments) {
            Ok(SendMode::Template) => String::new(),
            Ok(SendMode::FreeForm) => panic!("the window is closed"),
            Err(Refusal::ContentNotAllowed { detail }) => detail,
            Err(other) => panic!("{other:?}"),
        };
        for fine in ["Your parcel is here — 📦", "a    b", &"é".repeat(MAX_TEMPLATE_CHARACTERS)]
        {
            assert_eq!(refusal(fine, 0), "");
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
