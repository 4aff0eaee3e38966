//! The rules that every channel has, each in its own way.

use chrono::{DateTime, TimeDelta, Utc};

use crate::message::Attachment;
use crate::problem::Refusal;
use crate::rate_limit::RateLimit;

pub(super) const MIB: u64 = 1 << 20;

/// The limits of one message on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest text, in characters.
    pub characters: usize,
    /// Most attachments; [`Channel::check_files`](super::Channel::check_files) says which files
    /// they may be.
    pub attachments: usize,
}

/// The form in which a message may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendMode {
    /// As the agent wrote it.
    FreeForm,
    /// As the one parameter of the channel's template.
    Template,
}

/// The rules of one channel.
pub(super) struct ChannelRules {
    /// The channel's own name.
    pub(super) name: &'static str,
    /// The names that PingBack's conversations carry for it.
    pub(super) wire_names: &'static [&'static str],
    pub(super) limits: Limits,
    pub(super) receipt_timeout: TimeDelta,
    pub(super) rate_limit: RateLimit,
    /// True for a text that a conversation's recipient may be.
    pub(super) is_recipient: fn(&str) -> bool,
    /// Such a recipient, for people.
    pub(super) recipient: &'static str,
    /// Checks the files of one message.
    pub(super) check_files: fn(&[Attachment]) -> Result<(), Refusal>,
    /// Chooses the form of a message.
    pub(super) send_mode: fn(&PendingMessage<'_>) -> Result<SendMode, Refusal>,
}

/// A message about to be accepted or sent, as far as its [`SendMode`] depends on it.
pub(super) struct PendingMessage<'a> {
    pub(super) content: &'a str,
    pub(super) attachments: usize,
    pub(super) window_expires_at: Option<DateTime<Utc>>,
    pub(super) has_template: bool,
    pub(super) now: DateTime<Utc>,
}

/// The [`SendMode`] of channels that allow free-form messages at any time.
pub(super) fn always_free_form(_: &PendingMessage<'_>) -> Result<SendMode, Refusal> {
    Ok(SendMode::FreeForm)
}

/// Names a file and its size, for a refusal.
pub(super) fn file_size(file: &Attachment) -> String {
    format!("\"{}\" has {} bytes", file.filename, file.size)
}

pub(super) fn refused(detail: String) -> Refusal {
    Refusal::ContentNotAllowed { detail }
}
