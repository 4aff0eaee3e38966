//! The one door to AWS: the table, the queues, files, secrets, settings, the clock, telemetry, and
//! the worker that every delivery function runs. What is allowed is decided in `domain`; what a
//! channel's provider wants, in its function.

pub mod api;
pub mod aws;
pub mod capability;
pub mod clock;
pub mod credential;
pub mod delivery;
pub mod error;
pub mod files;
pub mod queue;
pub mod receipts;
pub mod runtime;
pub mod secrets;
pub mod settings;
pub mod sockets;
pub mod table;
pub mod telemetry;

pub use clock::Clock;
pub use error::InternalError;
