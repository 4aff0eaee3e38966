//! The deployed system on one machine, for development and tests.

mod aws;
pub mod bootstrap;
mod engine;
mod gateway;
mod lambda;
mod listen;
mod sources;
mod template;

pub use aws::{AwsError, AwsFaults, Calls, Failure, FaultError, FaultRule, TableError};
pub use engine::{Engine, EngineOptions, StartError};
pub use lambda::{FunctionError, InvokeError, LogLine, Logs};
pub use template::TemplateError;

/// The `local` binary: a function's bootstrap where Lambda's variables say so.
pub fn main() -> std::process::ExitCode {
    bootstrap::run(bootstrap::own)
}
