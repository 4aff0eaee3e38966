//! The rules of sending a message: who may send, how many messages a month allows, what a channel
//! can carry, and how a message is delivered.
//!
//! Everything here is a pure function of its arguments: no AWS, no async, no clock, no environment,
//! no randomness. `now` and jitter are parameters, so production, the protocol's model and the
//! property tests decide with the very same code.
//!
//! | rule | module |
//! |---|---|
//! | how a month's limit is split into shards, so that no message beyond it is accepted | [`quota`], [`month`] |
//! | what a cancelled accept transaction means: replay, retry or refusal | [`accept`] |
//! | which texts and files a channel carries, how fast, and what its provider's errors mean | [`channel`] |
//! | when a message may be sent only as a template | [`Channel::send_mode`] |
//! | which worker holds a conversation | [`delivery::claim`] |
//! | what a worker does next with a conversation it holds | [`delivery::Round`] |
//! | when an attempt is repeated, and when a message is given up | [`delivery::next_step`], [`delivery::after_attempt`] |
//! | how receipts move a message's status | [`delivery::Status::on_receipt`] |
//! | what each write to the table requires and changes | [`delivery::transitions`] |
//! | what a file is, what it is called, and how long it is kept | [`file`](mod@file) |
//! | which channel and status a conversation has | [`conversation`] |
//! | which changes callers are told of, and by which id | [`event`] |
//! | which notes of its own a caller may give a message | [`metadata`] |
//! | which texts are never printed | [`private`] |
//! | texts that show nothing, characters that none may have, encoded words | [`text`] |
//! | how a message's id carries its `seq` | [`id`] |
//! | how agents' messages and the customer's make one list | [`timeline`] |
//! | what an API key may do | [`scope`] |
//! | how many requests one credential may make | [`request_limit`], by the limiter in [`rate_limit`] |
//! | which status code and problem document a refusal becomes | [`problem`] |
//! | what one visitor's widgets may do on the WebSocket | [`widget`] |
//! | which endpoints events are brought to, how they are signed and tried again | [`webhook`] |
//!
//! Two types say what went wrong: a [`Refusal`] is a rule that said no to a caller, and a
//! [`delivery::Failure`] is a provider that did not take a message.

pub mod accept;
pub mod channel;
pub mod conversation;
pub mod delivery;
pub mod event;
pub mod file;
pub mod id;
pub mod message;
pub mod metadata;
pub mod month;
pub mod private;
pub mod problem;
pub mod quota;
pub mod rate_limit;
pub mod request_limit;
pub mod scope;
pub mod text;
pub mod timeline;
pub mod webhook;
pub mod widget;

pub use channel::Channel;
pub use conversation::{ConversationChannel, ConversationStatus};
pub use file::{FileLink, FileName, MediaType, UploadState};
pub use id::{
    AgentId, BusinessId, ChannelId, ConversationId, CustomerNumber, EndpointId, MessageId,
    MessageNumber, Seq, UploadId,
};
pub use message::{Attachment, Content, Media, Sender};
pub use metadata::Metadata;
pub use month::Month;
pub use private::PrivateText;
pub use problem::{Code, Problem, Refusal};
pub use request_limit::Operation;
pub use scope::{Scope, Scopes};
