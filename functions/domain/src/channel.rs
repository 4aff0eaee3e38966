//! What each channel can carry. LoadRequest when a message is accepted, before anything is counted.

mod files;
mod window;

pub use files::WhatsappMedia;
pub use window::{MAX_TEMPLATE_CHARACTERS, MESSAGING_WINDOW, SendMode};

use std::fmt;

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

use crate::delivery::RateLimit;
use crate::message::Content;
use crate::problem::Refusal;

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

/// What a channel can carry in one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest text, in characters.
    pub characters: usize,
    /// Most attachments; which files they may be, [`Channel::carries_files`] says.
    pub attachments: usize,
}

impl Channel {
    /// Every channel there is.
    pub const ALL: [Channel; 3] = [Channel::Chat, Channel::Whatsapp, Channel::Email];

    /// The most attachments that any channel carries in one message.
    pub const MAX_ATTACHMENTS: usize = 10;

    /// The channel's own name: queues, workers and logs are called after it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Channel::Chat => "chat",
            Channel::Whatsapp => "whatsapp",
            Channel::Email => "email",
        }
    }

    /// The values that PingBack's conversations carry for this channel.
    #[must_use]
    pub fn wire_names(self) -> &'static [&'static str] {
        match self {
            Channel::Chat => &["chat", "webchat", "widget"],
            Channel::Whatsapp => &["whatsapp"],
            Channel::Email => &["email"],
        }
    }

    /// Reads a conversation's channel; `None` for one that this service does not deliver to.
    #[must_use]
    pub fn from_wire(name: &str) -> Option<Channel> {
        Channel::ALL.into_iter().find(|channel| channel.wire_names().contains(&name))
    }

    /// How much fits into one message.
    ///
    /// - chat: ours. 20,000 characters stay below the 128 KB that an API Gateway WebSocket message
    ///   may have
    ///   ([quotas](https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html)),
    ///   even if every character has to be escaped. What exceeds them all the same, the widget
    ///   fetches.
    /// - WhatsApp: a text body holds 4,096 characters ([Cloud API, text
    ///   messages](https://developers.facebook.com/docs/whatsapp/cloud-api/messages/text-messages)).
    /// - e-mail: ours; a body of 256 KiB is the API's own limit before that.
    #[must_use]
    pub fn limits(self) -> Limits {
        match self {
            Channel::Chat => Limits { characters: 20_000, attachments: 10 },
            Channel::Whatsapp => Limits { characters: 4_096, attachments: 10 },
            Channel::Email => Limits { characters: 100_000, attachments: 10 },
        }
    }

    /// Checks a text and how many files go with it against the channel's [limits](Channel::limits).
    ///
    /// # Errors
    /// [`Refusal::ContentNotAllowed`], naming the limit and what was found.
    pub fn check_content(self, content: &Content, attachments: usize) -> Result<(), Refusal> {
        let Limits { characters, attachments: most } = self.limits();
        let length = content.characters();
        if length > characters {
            let detail = format!(
                "content has {length} characters; a {self} message holds at most {characters}"
            );
            return Err(Refusal::ContentNotAllowed { detail });
        }
        if attachments > most {
            let detail =
                format!("{attachments} attachments; a {self} message holds at most {most}");
            return Err(Refusal::ContentNotAllowed { detail });
        }
        Ok(())
    }

    /// How long a message whose fate is unknown waits for a receipt before it is sent again.
    ///
    /// The widget drops an id it has seen, so chat sends again at once. WhatsApp and SES report
    /// what they took within seconds; two minutes without a word mean that they did not.
    #[must_use]
    pub fn receipt_timeout(self) -> TimeDelta {
        match self {
            Channel::Chat => TimeDelta::zero(),
            Channel::Whatsapp | Channel::Email => TimeDelta::seconds(120),
        }
    }

    /// How fast the messages of one conversation may follow each other.
    ///
    /// WhatsApp takes one message in 6 seconds for one person, and up to 45 ahead of that ([pair
    /// rate](https://developers.facebook.com/docs/whatsapp/cloud-api/overview#pair-rate-limits),
    /// error 131056). Messages that leave within the same moment may arrive in any order, so half a
    /// second lies between two; that is ours.
    #[must_use]
    pub fn rate_limit(self) -> RateLimit {
        match self {
            Channel::Chat | Channel::Email => RateLimit::UNLIMITED,
            Channel::Whatsapp => RateLimit {
                min_gap: TimeDelta::milliseconds(500),
                interval: TimeDelta::seconds(6),
                burst: 45,
            },
        }
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

    fn text(characters: usize) -> Content {
        Content::new("x".repeat(characters)).expect("not blank")
    }

    #[test]
    fn wire_names_lead_back() {
        for channel in Channel::ALL {
            for name in channel.wire_names() {
                assert_eq!(Channel::from_wire(name), Some(channel));
            }
        }
        assert_eq!(Channel::from_wire("sms"), None);
    }

    #[test]
    fn no_channel_carries_more_files_than_are_looked_up() {
        assert!(
            Channel::ALL
                .into_iter()
                .all(|channel| channel.limits().attachments <= Channel::MAX_ATTACHMENTS)
        );
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
