//! The deployed system on one machine, for development and tests.

mod bootstrap;
mod cli;
mod console;
mod demo;
mod forward;
mod listen;
mod ready;
mod sam;
mod stack;
mod stop;
mod system;
mod terminal;

pub use ready::{Aws, Demo, Other, Queues, Ready};
pub use system::{Local, LocalError, Options};

/// The `local` binary: a function's bootstrap where Lambda's variables say so, the command line
/// elsewhere.
pub fn main() -> std::process::ExitCode {
    match std::env::var_os("AWS_LAMBDA_RUNTIME_API") {
        Some(_) => emulator::bootstrap::run(bootstrap::run_function),
        None => cli::run(),
    }
}
