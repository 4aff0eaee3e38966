//! The outside world on one machine, for a system that the emulator runs: the providers that carry
//! messages away, the customers who get them, and the control API that directs both.

mod accepted;
pub mod atomic_file;
mod aws_error;
mod channel;
mod chat;
mod clock;
mod control;
mod email;
mod fault;
pub mod http_client;
mod journal;
pub mod pages;
mod parts;
mod providers;
mod receipts;
mod receivers;
mod sandbox;
pub mod seed;
mod server;
mod shop;
mod visitor;
mod whatsapp;
mod widget;

pub use clock::Clock;
pub use receipts::ReceiptRule;
pub use sandbox::{Sandbox, SandboxError, SandboxOptions};
