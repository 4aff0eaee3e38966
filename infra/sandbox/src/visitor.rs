//! A customer of the chat channel.

use uuid::Uuid;

/// A customer who chats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Visitor {
    /// The business that the customer chats with.
    pub(crate) business_id: Uuid,
    /// The customer's conversation.
    pub(crate) conversation_id: Uuid,
}
