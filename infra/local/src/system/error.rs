//! Why the system did not start, worded for the person who started it.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use emulator::StartError;
use sandbox::SandboxError;

/// Why it did not start, in a sentence.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// Another program has the port.
    #[error("port {port}, for the {what}, is taken by another program")]
    PortTaken {
        /// The port.
        port: u16,
        /// The server that was to listen on it.
        what: &'static str,
    },
    /// The port cannot be opened.
    #[error("port {port}, for the {what}, cannot be opened: {error}")]
    Port {
        /// The port.
        port: u16,
        /// The server that was to listen on it.
        what: &'static str,
        /// The operating system's error.
        error: io::Error,
    },
    /// The address to listen on is another machine's.
    #[error("{0} is not an address of this machine")]
    ForeignAddress(IpAddr),
    /// There are no four ports from there on.
    #[error(
        "port {0} leaves no room for WebSocket, sandbox and AWS, which take the three ports after it"
    )]
    PortTooHigh(u16),
    /// Another process works in the directory.
    #[error("the data directory {} is in use by another `cargo local`", .0.display())]
    InUse(PathBuf),
    /// The directory cannot be used.
    #[error("the data directory {}: {error}", .path.display())]
    DataDirectory {
        /// The directory.
        path: PathBuf,
        /// Its error.
        error: io::Error,
    },
    /// The local AWS or the functions do not start.
    #[error(transparent)]
    Engine(StartError),
    /// The sandbox does not start.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// Anything else.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Returns the error of a port that cannot be bound.
pub(super) fn bind_error(
    error: io::Error,
    address: IpAddr,
    port: u16,
    what: &'static str,
) -> LocalError {
    match error.kind() {
        io::ErrorKind::AddrInUse => LocalError::PortTaken { port, what },
        io::ErrorKind::AddrNotAvailable => LocalError::ForeignAddress(address),
        _ => LocalError::Port { port, what, error },
    }
}

/// Returns the engine's error; its busy port is worded like any other.
pub(super) fn engine_error(error: StartError, address: IpAddr) -> LocalError {
    match error {
        StartError::Port { what, port, source } => bind_error(source, address, port, what),
        error => LocalError::Engine(error),
    }
}
