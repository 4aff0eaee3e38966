//! WhatsApp through Meta's Cloud API: its limits, its messaging window, and, in files of their own,
//! its kinds of files, its templates, its customers' names and the meaning of its error codes.
//!
//! | subject | source |
//! |---|---|
//! | text | [text messages](https://developers.facebook.com/docs/whatsapp/cloud-api/messages/text-messages): 4,096 characters |
//! | files | [supported media types](https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media#supported-media-types) |
//! | rate | [pair rate](https://developers.facebook.com/docs/whatsapp/cloud-api/overview#pair-rate-limits), error 131056 |
//! | window | [customer service windows](https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages): "When a WhatsApp user messages you or calls you, a 24-hour timer … starts" |
//! | template | [components](https://developers.facebook.com/docs/whatsapp/business-management-api/message-templates/components) |
//! | error codes | [error codes](https://developers.facebook.com/documentation/business-messaging/whatsapp/support/error-codes) |
//!
//! Free-form messages may be sent for 24 hours after the customer's last message, and templates
//! that Meta approved at any time.

mod customer;
mod errors;
mod media;
mod recipient;
mod template;

pub use customer::CustomerId;
pub use errors::{GraphError, failure, failure_reason};
pub use media::WhatsappMedia;
pub use template::{MAX_TEMPLATE_CHARACTERS, template_parameter};

use chrono::TimeDelta;

use super::rules::{ChannelRules, Limits, PendingMessage, SendMode};
use crate::problem::Refusal;
use crate::rate_limit::RateLimit;
use media::check_files;
use recipient::is_recipient;
use template::check_template_parameter;

/// How long a customer's message lets a business write to them.
pub const MESSAGING_WINDOW: TimeDelta = TimeDelta::hours(24);

pub(super) const RULES: ChannelRules = ChannelRules {
    name: "whatsapp",
    wire_names: &["whatsapp"],
    limits: Limits { characters: 4_096, attachments: 10 },
    // WhatsApp reports a message it took within seconds; after two minutes without a report it did
    // not take it.
    receipt_timeout: TimeDelta::seconds(120),
    // WhatsApp takes one message in 6 seconds for one person, and up to 45 ahead of that. Messages
    // that leave within the same moment may arrive in any order, so half a second lies between two;
    // that gap is ours.
    rate_limit: RateLimit {
        min_gap: TimeDelta::milliseconds(500),
        interval: TimeDelta::seconds(6),
        burst: 45,
    },
    is_recipient,
    recipient: "a phone number of 7 to 15 digits with its country's code, or a WhatsApp user's id",
    check_files,
    send_mode,
};

fn send_mode(message: &PendingMessage<'_>) -> Result<SendMode, Refusal> {
    let closed_at = message.window_expires_at;
    if closed_at.is_some_and(|end| message.now < end) {
        Ok(SendMode::FreeForm)
    } else if message.has_template {
        check_template_parameter(message.content, message.attachments)?;
        Ok(SendMode::Template)
    } else {
        Err(Refusal::OutsideMessagingWindow { closed_at })
    }
}
