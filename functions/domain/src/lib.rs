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
//! | texts that show nothing, characters that none may have, encoded words | [`text`] |
//! | how a message's id carries its `seq` | [`id`] |
//! | which status code and problem document a refusal becomes | [`problem`] |
//!
//! Two types say what went wrong: a [`Refusal`] is a rule that said no to a caller, and a
//! [`delivery::Failure`] is a provider that did not take a message.

pub mod accept;
pub mod channel;
pub mod conversation;
pub mod delivery;
pub mod file;
pub mod id;
pub mod message;
pub mod month;
pub mod problem;
pub mod quota;
pub mod text;

pub use channel::Channel;
pub use conversation::{ConversationChannel, ConversationStatus};
pub use file::{FileLink, FileName, MediaType, UploadState};
pub use id::{AgentId, BusinessId, ChannelId, ConversationId, MessageId, Seq, UploadId};
pub use message::{Attachment, Content, Sender};
pub use month::Month;
pub use problem::{Code, Problem, Refusal};
