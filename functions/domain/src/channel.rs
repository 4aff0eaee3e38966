//! The channels: their limits, their rate, and the meaning of their providers' answers.
//!
//! Everything that is true of one channel stands in that channel's module as one `RULES` value:
//! [`chat`], [`whatsapp`], [`email`]. The methods of [`Channel`] only look it up, so a new channel
//! is a new module, a variant of [`Channel`] and a line in `Channel::rules`.
//!
//! Content is checked when a message is accepted, before anything is counted.

pub mod chat;
pub mod email;
mod rules;
pub mod whatsapp;

pub use rules::{Limits, SendMode};
pub use whatsapp::{MAX_TEMPLATE_CHARACTERS, MESSAGING_WINDOW, WhatsappMedia};

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::message::{Attachment, Content, MAX_ATTACHMENTS};
use crate::problem::Refusal;
use crate::rate_limit::RateLimit;
use rules::{ChannelRules, PendingMessage, refused};

/// Where the customer writes, and where the answer must go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// The live chat widget on the business's own pages.
    #[serde(alias = "webchat", alias = "widget")]
    Chat,
    /// WhatsApp, through Meta's Cloud API.
    Whatsapp,
    /// E-mail, through Amazon SES.
    Email,
}

impl Channel {
    /// Every channel there is.
    pub const ALL: [Channel; 3] = [Channel::Chat, Channel::Whatsapp, Channel::Email];

    /// The most attachments that any channel carries in one message.
    pub const MAX_ATTACHMENTS: usize = MAX_ATTACHMENTS;

    fn rules(self) -> &'static ChannelRules {
        match self {
            Channel::Chat => &chat::RULES,
            Channel::Whatsapp => &whatsapp::RULES,
            Channel::Email => &email::RULES,
        }
    }

    /// The channel's own name: queues, workers and logs are called after it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.rules().name
    }

    /// The values that PingBack's conversations carry for this channel.
    #[must_use]
    pub fn wire_names(self) -> &'static [&'static str] {
        self.rules().wire_names
    }

    /// Reads a conversation's channel; `None` for one that this service does not deliver to.
    #[must_use]
    pub fn from_wire(name: &str) -> Option<Channel> {
        Channel::ALL.into_iter().find(|channel| channel.wire_names().contains(&name))
    }

    /// Returns how much fits into one message.
    #[must_use]
    pub fn limits(self) -> Limits {
        self.rules().limits
    }

    /// Checks the recipient of a new conversation: messages to another one could never arrive.
    ///
    /// # Errors
    /// A recipient of this channel, for people.
    pub fn check_recipient(self, text: &str) -> Result<(), &'static str> {
        let rules = self.rules();
        if (rules.is_recipient)(text) { Ok(()) } else { Err(rules.recipient) }
    }

    /// Checks a text and the number of its files against the channel's [limits](Channel::limits).
    ///
    /// # Errors
    /// [`Refusal::ContentNotAllowed`], naming the limit and what was found.
    pub fn check_content(self, content: &Content, attachments: usize) -> Result<(), Refusal> {
        let limits = self.limits();

        let characters = content.characters();
        if characters > limits.characters {
            return Err(refused(format!(
                "content has {characters} characters; a {self} message holds at most {}",
                limits.characters
            )));
        }

        if attachments > limits.attachments {
            return Err(refused(format!(
                "{attachments} attachments; a {self} message holds at most {}",
                limits.attachments
            )));
        }

        Ok(())
    }

    /// Checks the files of one message against what the channel carries.
    ///
    /// # Errors
    /// [`Refusal::ContentNotAllowed`], naming the limit, what was found and whose limit it is.
    pub fn check_files(self, files: &[Attachment]) -> Result<(), Refusal> {
        (self.rules().check_files)(files)
    }

    /// Chooses the form in which a text with this many files may be sent at `now`.
    /// `window_expires_at` is when the customer's messaging window closes, and `has_template` says
    /// whether the channel has a template for afterwards.
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
        let message = PendingMessage { content, attachments, window_expires_at, has_template, now };
        (self.rules().send_mode)(&message)
    }

    /// Returns how long a message in doubt waits for a receipt before it is sent again.
    #[must_use]
    pub fn receipt_timeout(self) -> TimeDelta {
        self.rules().receipt_timeout
    }

    /// Returns how fast the messages of one conversation may follow each other.
    #[must_use]
    pub fn rate_limit(self) -> RateLimit {
        self.rules().rate_limit
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::file::{FileName, MediaType};
    use crate::id::UploadId;

    fn text(characters: usize) -> Content {
        Content::new("x".repeat(characters)).expect("not blank")
    }

    pub(super) fn file(filename: &str, content_type: &str, size: u64) -> Attachment {
        Attachment {
            id: UploadId(uuid::Uuid::nil()),
            link: crate::FileLink::new(""),
            filename: FileName::new(filename),
            content_type: MediaType::parse(content_type).expect("a media type"),
            size,
        }
    }

    pub(super) fn is_carried(
        channel: Channel,
        filename: &str,
        content_type: &str,
        size: u64,
    ) -> bool {
        channel.check_files(&[file(filename, content_type, size)]).is_ok()
    }

    /// The names are PingBack's. infra/openapi.yaml has the limits, infra/OPERATIONS.md the two
    /// minutes for a receipt.
    #[test]
    fn each_channel_has_the_names_and_limits_that_are_documented() {
        for (channel, names, characters, receipt_seconds) in [
            (Channel::Chat, &["chat", "webchat", "widget"][..], 20_000, 0),
            (Channel::Whatsapp, &["whatsapp"], 4_096, 120),
            (Channel::Email, &["email"], 100_000, 120),
        ] {
            assert_eq!(channel.wire_names(), names);
            for name in names {
                assert_eq!(Channel::from_wire(name), Some(channel));
            }
            assert_eq!(channel.limits(), Limits { characters, attachments: 10 });
            assert_eq!(channel.receipt_timeout(), TimeDelta::seconds(receipt_seconds));
        }
        for unknown in ["", "sms", "Chat", "chat "] {
            assert_eq!(Channel::from_wire(unknown), None, "{unknown:?}");
        }
    }

    #[test]
    fn no_channel_carries_more_than_the_maximum_of_attachments() {
        assert!(
            Channel::ALL
                .into_iter()
                .all(|channel| channel.limits().attachments <= Channel::MAX_ATTACHMENTS)
        );
    }

    #[test]
    fn a_conversations_recipient_is_one_that_its_channel_can_reach() {
        for (channel, recipient, is_one) in [
            (Channel::Email, "anna@example.com", true),
            (Channel::Email, "Anna <anna@example.com>", false),
            (Channel::Email, "\"an na\"@example.com", false),
            (Channel::Email, "anna@[192.0.2.1]", false),
            (Channel::Email, "+16505551234", false),
            (Channel::Email, "", false),
            (Channel::Whatsapp, "+1 650 555 1234", true),
            (Channel::Whatsapp, "16505551234", true),
            (Channel::Whatsapp, "+49 (0151) 234-567.89", true),
            (Channel::Whatsapp, "US.13491208655302741918", true),
            (Channel::Whatsapp, "US.ENT.11815799212886844830", true),
            (Channel::Whatsapp, "US.1349.1208", false),
            (Channel::Whatsapp, "", false),
            (Channel::Whatsapp, "+", false),
            (Channel::Whatsapp, "12345", false),
            (Channel::Whatsapp, "1234567890123456", false),
            (Channel::Whatsapp, "anna@example.com", false),
            (Channel::Whatsapp, "+1650555\n1234", false),
            (Channel::Whatsapp, "+1650555CALL", false),
            (Channel::Chat, "visitor", true),
            (Channel::Chat, "Besucherin Zoë", true),
            (Channel::Chat, "", false),
            (Channel::Chat, " \u{200b}", false),
            (Channel::Chat, "a\nb", false),
            (Channel::Chat, &"x".repeat(321), false),
        ] {
            assert_eq!(
                channel.check_recipient(recipient).is_ok(),
                is_one,
                "{channel} {recipient:?}"
            );
        }
    }

    /// `FileName("a.webp")` is how Rust shows a value to its programmers.
    #[test]
    fn a_refusal_is_written_for_people() {
        let details = [
            Channel::Whatsapp.check_files(&[file("a.webp", "image/webp", 1)]),
            Channel::Whatsapp.check_files(&[file("b \"c\".mp4", "video/mp4", 17 << 20)]),
            Channel::Email.check_files(&[file("Zoë.exe", "application/octet-stream", 1)]),
            Channel::Chat.check_files(&[file("d.zip", "application/zip", 26 << 20)]),
        ];
        let details = details.map(|refused| match refused {
            Err(Refusal::ContentNotAllowed { detail }) => detail,
            other => panic!("{other:?}"),
        });

        let names = ["\"a.webp\"", "\"b \"c\".mp4\"", "\"Zoë.exe\"", "\"d.zip\""];
        for (detail, name) in details.iter().zip(names) {
            assert!(detail.starts_with(name), "{detail}");
            for debug in ["FileName", "MediaType", "Some(", "None", "\\u{", "\\\""] {
                assert!(!detail.contains(debug), "{detail}");
            }
        }
    }

    #[test]
    fn a_refusal_names_the_limit() {
        let Err(Refusal::ContentNotAllowed { detail }) =
            Channel::Whatsapp.check_content(&text(4097), 0)
        else {
            panic!("one character too many was let through");
        };
        assert!(detail.contains("4097") && detail.contains("4096"), "{detail}");
    }

    #[test]
    fn email_limits_the_sum_and_chat_each_file() {
        let half = file("a.zip", "application/zip", 13_107_200); // of 25 MiB
        assert!(Channel::Email.check_files(&[half.clone(), half.clone()]).is_ok());
        assert!(
            Channel::Email
                .check_files(&[half.clone(), half.clone(), file("b", "text/plain", 1)])
                .is_err()
        );
        let whole = file("a.zip", "application/zip", 26_214_400);
        assert!(Channel::Chat.check_files(&[whole.clone(), whole]).is_ok());
        assert!(!is_carried(Channel::Chat, "a", "application/zip", 26_214_401));
    }

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

    proptest! {
        #[test]
        fn exactly_the_limit_is_carried(over in 0usize..3) {
            for channel in Channel::ALL {
                let length = channel.limits().characters - 1 + over;
                prop_assert_eq!(channel.check_content(&text(length), 0).is_ok(), over < 2);
            }
        }
    }
}
