//! A message that is ready to be accepted.

use chrono::{DateTime, Utc};

use crate::table::key::Key;
use crate::table::record::Upload;
use domain::{
    Attachment, BusinessId, Channel, Content, ConversationChannel, ConversationId, Metadata, Sender,
};

/// A message that is ready to be accepted: everything that can be checked beforehand was.
#[derive(Clone)]
pub struct MessageDraft {
    /// The business that sends.
    pub business_id: BusinessId,
    /// The conversation it is sent into.
    pub conversation_id: ConversationId,
    /// The conversation's channel as it was read; the message is accepted only if it still is.
    pub conversation_channel: ConversationChannel,
    /// The channel that the content was checked for.
    pub channel: Channel,
    /// The agent in whose name it is sent.
    pub sender: Sender,
    /// The text.
    pub content: Content,
    /// Its files.
    pub attachments: Vec<Attachment>,
    /// Its caller's notes.
    pub metadata: Metadata,
    /// The uploads among them that no message has referenced, as they were read, with the types
    /// that their files have.
    pub new_uploads: Vec<Upload>,
    /// The key of the idempotency key's record, and the request's hash.
    pub idempotency: Option<(Key, String)>,
    /// API Gateway's id of the call.
    pub correlation_id: Option<String>,
    /// Until when it has to be kept, in seconds since 1970; `None` for ever.
    pub keep_until: Option<i64>,
    /// The one clock reading: `created_at`, and with it the month.
    pub now: DateTime<Utc>,
}
