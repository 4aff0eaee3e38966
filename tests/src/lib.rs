//! The ground that every test of the system stands on: a [`World`] of its own, the [`oracle`] that
//! counts when it ends, the [`Tally`] that adds the counts up, and the [`suite`] that closes with a
//! table of them.

pub mod chart;
mod chat;
pub mod contract;
pub mod machine;
pub mod oracle;
mod programs;
mod queues;
mod send;
pub mod settling;
mod stream;
pub mod suite;
mod tally;
mod told;
mod waiting;
mod world;

/// The channels' names in paths and records.
pub const CHANNELS: [&str; 3] = ["chat", "whatsapp", "email"];

/// Longer than a worker's lease, in seconds.
pub const LEASE_SECONDS: i64 = 11;

/// Longer than a receipt is waited for, in seconds.
pub const DOUBT_SECONDS: i64 = 121;

/// Longer than a function uses a secret that it has read, in seconds.
pub const SECRET_TTL_SECONDS: i64 = 301;

/// The beginning of a picture, by which it is one.
pub const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";

pub use oracle::Allowed;
pub use programs::{functions_under_test, own_functions, send_signal};
pub use send::{Answer, Send, next_page};
pub use stream::StreamReader;
pub use tally::Tally;
pub use world::{Business, Ledger, World};
