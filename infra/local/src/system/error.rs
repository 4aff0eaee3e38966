//! Why the system did not start, worded for the person who wanted it to.

use std::io;
use std::path::PathBuf;

use emulator::StartError;
use sandbox::seed::SeedError;

/// Why it did not start, in a sentence.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// Somebody else has the port.
    #[error("port {port}, for the {what}, is taken by another program")]
    PortTaken {
        /// The port.
        port: u16,
        /// What it was to be for.
        what: &'static str,
    },
    /// The system does not let us have it.
    #[error("port {port}, for the {what}, cannot be opened: {error}")]
    Port {
        /// The port.
        port: u16,
        /// What it was to be for.
        what: &'static str,
        /// What the system said.
        error: io::Error,
    },
    /// There are no three ports from there on.
    #[error(
        "port {0} leaves no room for the WebSocket and the sandbox, which take the two ports after it"
    )]
    PortTooHigh(u16),
    /// Another process works in the directory.
    #[error("the data directory {} is in use by another `cargo local`", .0.display())]
    InUse(PathBuf),
    /// The directory is of no use.
    #[error("the data directory {}: {error}", .path.display())]
    DataDirectory {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        error: io::Error,
    },
    /// The local AWS or the functions.
    #[error(transparent)]
    Engine(StartError),
    /// Filling it.
    #[error("seeding failed: {0}")]
    Seed(#[from] SeedError),
    /// The secrets.
    #[error("seeding failed: {0}")]
    Secrets(String),
    /// Anything else.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What a port that cannot be bound means.
pub(super) fn bind_error(error: io::Error, port: u16, what: &'static str) -> LocalError {
    match error.kind() {
        io::ErrorKind::AddrInUse => LocalError::PortTaken { port, what },
        _ => LocalError::Port { port, what, error },
    }
}

/// The engine's busy port is one like any other.
pub(super) fn engine_error(error: StartError) -> LocalError {
    match error {
        StartError::Port { what, port, source } => bind_error(source, port, what),
        error => LocalError::Engine(error),
    }
}
