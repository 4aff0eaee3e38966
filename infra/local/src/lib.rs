//! The deployed system on one machine, for development and tests.

mod aws;
pub mod bootstrap;
mod cli;
mod console;
mod cors;
mod demo;
mod engine;
mod gateway;
mod http_client;
mod lambda;
mod listen;
mod ready;
mod sam;
pub mod sandbox;
pub mod seed;
mod sources;
mod system;
mod template;
mod terminal;

pub use aws::{
    AwsError, AwsFaults, Calls, Failure, FaultError, FaultRule, Permission, RecordedCall,
    TableError,
};
pub use engine::{Engine, EngineOptions, Programs, StartError};
pub use lambda::{FunctionError, InvokeError, LogLine, Logs};
pub use ready::{Aws, Demo, Other, Queues, Ready};
pub use sandbox::ReceiptRule;
pub use sources::{Event, HandedOut, Mischief, MischiefError, Polling};
pub use system::{Local, LocalError, Options};
pub use template::TemplateError;

/// The `local` binary: a function's bootstrap where Lambda's variables say so, the command line
/// elsewhere.
pub fn main() -> std::process::ExitCode {
    match std::env::var_os("AWS_LAMBDA_RUNTIME_API") {
        Some(_) => bootstrap::run(bootstrap::own),
        None => cli::run(),
    }
}
