//! The ground that every test of the system stands on: a [`World`] of its own, the [`oracle`] that
//! counts when it ends, the [`Tally`] that adds the counts up, and the [`suite`] that closes with a
//! table of them.

mod chat;
pub mod contract;
pub mod oracle;
mod programs;
mod queues;
mod send;
pub mod suite;
mod tally;
mod waiting;
mod world;

pub use oracle::Allowed;
pub use programs::{functions_under_test, own_functions};
pub use send::{Answer, Send};
pub use tally::Tally;
pub use world::{Business, Ledger, World};
