//! Why a command ended without doing its work.

use platform::InternalError;

/// The reason why a command ended without doing its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The input or the state of the system is at fault; the sentence says what to do.
    #[error("{0}")]
    Rejected(String),
    /// AWS did not answer, or an item in it cannot be read.
    #[error("{}", .0.chain())]
    Internal(#[from] InternalError),
    /// The operator did not confirm.
    #[error("{0}")]
    NotConfirmed(String),
}

impl Failure {
    pub(crate) fn new(sentence: impl Into<String>) -> Failure {
        Failure::Rejected(sentence.into())
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Failure::Rejected(_) | Failure::Internal(_) => 1,
            Failure::NotConfirmed(_) => 3,
        }
    }
}
