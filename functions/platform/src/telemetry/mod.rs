//! What functions say while they work. [`init`] starts the log, which tells people what happened; [`metrics`] writes
//! those of its lines that are counted as well. No token, text, address or phone number is ever a member of any of them.

mod log;
pub mod metrics;

pub use log::init;
