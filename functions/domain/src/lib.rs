//! The rules of sending a message: who may, how many, what a channel can carry, and what happens to
//! it next.
//!
//! Everything here is a pure function of its arguments: no AWS, no async, no clock, no environment,
//! no randomness. `now` and jitter are parameters, so production, the protocol's model and the
//! property tests decide with the very same code.

pub mod accept;
pub mod channel;
pub mod delivery;
pub mod file;
pub mod id;
pub mod message;
pub mod month;
pub mod problem;
pub mod quota;

pub use channel::Channel;
pub use file::{FileName, MediaType, UploadState};
pub use id::{AgentId, BusinessId, ChannelId, ConversationId, MessageId, Seq, UploadId};
pub use message::{Attachment, Content, Sender};
pub use month::Month;
pub use problem::{Code, Problem, Refusal};
