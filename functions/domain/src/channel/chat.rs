//! Live chat: the widget on the business's own pages. The limits are ours.

use chrono::TimeDelta;

use super::rules::{ChannelRules, Limits, MIB, always_free_form, file_size, refused};
use crate::message::Attachment;
use crate::problem::Refusal;
use crate::rate_limit::RateLimit;
use crate::text::is_blank;

/// The largest file, in bytes. The widget gets a link, so this is what a visitor on a telephone can
/// be expected to wait for.
pub(super) const MAX_FILE_BYTES: u64 = 25 * MIB;

/// The longest id of a visitor, in characters; an address fits into it.
const MAX_VISITOR_CHARACTERS: usize = 320;

pub(super) const RULES: ChannelRules = ChannelRules {
    name: "chat",
    wire_names: &["chat", "webchat", "widget"],
    // 20,000 characters stay below the 128 KB that an API Gateway WebSocket message may have, even
    // if every character has to be escaped:
    // https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html
    // The widget fetches a message whose frame is larger all the same.
    limits: Limits { characters: 20_000, attachments: 10 },
    // The widget drops an id it has seen, so a message in doubt is sent again at once.
    receipt_timeout: TimeDelta::zero(),
    rate_limit: RateLimit::UNLIMITED,
    check_files,
    is_recipient: is_visitor,
    recipient: "a visitor's id of 1 to 320 visible characters",
    send_mode: always_free_form,
};

/// True for an id by which the site knows its visitor.
fn is_visitor(text: &str) -> bool {
    let length = text.chars().count();
    length <= MAX_VISITOR_CHARACTERS && !is_blank(text) && !text.contains(char::is_control)
}

fn check_files(files: &[Attachment]) -> Result<(), Refusal> {
    match files.iter().find(|file| file.size > MAX_FILE_BYTES) {
        Some(file) => Err(refused(format!(
            "{}; a chat message's file has at most {MAX_FILE_BYTES} bytes",
            file_size(file)
        ))),
        None => Ok(()),
    }
}
