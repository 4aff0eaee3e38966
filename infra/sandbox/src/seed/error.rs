//! Why seeding failed.

use platform::error::InternalError;

/// Why a business or a conversation was not made.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    /// The request makes no sense.
    #[error("{0}")]
    Refused(String),
    /// The table did not take it.
    #[error(transparent)]
    Table(#[from] InternalError),
    /// The data directory did not take it.
    #[error(transparent)]
    Directory(#[from] std::io::Error),
}
