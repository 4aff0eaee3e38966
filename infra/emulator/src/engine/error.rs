//! Why the system does not start.

use std::path::PathBuf;

use crate::aws::AwsError;
use crate::template::TemplateError;

/// Why the system did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The template cannot be made on this machine.
    #[error("template: {0}")]
    Template(#[from] TemplateError),
    /// A port that was asked for is taken, or may not be opened.
    #[error("port {port} for the {what} cannot be opened ({source}): is another program using it?")]
    Port {
        /// The server that was to listen on it.
        what: &'static str,
        /// The port.
        port: u16,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A loopback port of the system's own choice could not be opened.
    #[error("no loopback port: {0}")]
    Loopback(#[from] std::io::Error),
    /// The local AWS could not be made.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// A function's own binary was asked for and is not there.
    #[error(
        "{function} has no binary: neither {} (`cargo build --bins`) nor {} (`sam build`) is there",
        .cargos.display(), .sams.display()
    )]
    Program {
        /// The function's logical id.
        function: String,
        /// The path that cargo would have built it at.
        cargos: PathBuf,
        /// The path that SAM would have built it at.
        sams: PathBuf,
    },
    /// A variable names something that has no value on this machine.
    #[error(
        "{variable} of {function}: {reference} has no value on one machine; give it one in the emulator's src/engine/reference.rs"
    )]
    Environment {
        /// The function's logical id.
        function: String,
        /// The variable.
        variable: String,
        /// The reference in its value.
        reference: String,
    },
}
