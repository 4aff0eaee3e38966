//! Logs and metrics: lines of the log, which tell operators what happened, and one record of the
//! counts at the end of each invocation. No token, text, address or phone number is ever a member
//! of any of them.
//!
//! Members are called as
//! [Powertools](https://docs.aws.amazon.com/powertools/python/latest/core/logger/#standard-structured-keys)
//! calls them, so that queries written for other functions of an account find ours as well.

mod counts;
mod invocation;
mod log;
mod members;
pub mod metrics;

pub use invocation::{Invocation, correlate, name_api_key, name_business};
pub use log::init;
