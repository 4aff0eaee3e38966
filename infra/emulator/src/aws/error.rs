//! Why the local AWS does not start.

/// Why the local AWS could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// A loopback port could not be opened.
    #[error("no loopback port for the local AWS: {0}")]
    Listen(#[from] std::io::Error),
    /// There is no HTTP client.
    #[error("no HTTP client for the local AWS: {0}")]
    Http(reqwest::Error),
    /// The table could not be made.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A queue could not be made.
    #[error("queue {queue}: {reason}")]
    Queue {
        /// Its logical id.
        queue: String,
        /// SQS's answer.
        reason: String,
    },
    /// The bucket could not be made.
    #[error("bucket {bucket}: {reason}")]
    Bucket {
        /// Its logical id.
        bucket: String,
        /// The error of the file system.
        reason: String,
    },
    /// A secret could not be made.
    #[error("secret {secret}: {reason}")]
    Secret {
        /// Its logical id.
        secret: String,
        /// Secrets Manager's answer.
        reason: String,
    },
}

/// Why there is no table.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The embedded database could not be opened.
    #[error("the embedded DynamoDB does not open {path}: {reason}")]
    Open {
        /// Its file, or `memory`.
        path: String,
        /// SQLite's error.
        reason: String,
    },
    /// DynamoDB refused the declaration.
    #[error("table {table}: {reason}")]
    Create {
        /// Its logical id.
        table: String,
        /// DynamoDB's answer.
        reason: String,
    },
}
