//! Something is broken: not a rule that said no, but AWS, a stored item or ourselves. Logged once, with its whole
//! chain, where it is handled; nothing of it is ever shown outside.

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use std::error::Error;
use std::fmt;

/// What broke, what was being done, and the chain of causes.
#[derive(Debug)]
pub struct Broken {
    doing: String,
    cause: Option<Box<dyn Error + Send + Sync>>,
    retryable: bool,
}

impl Broken {
    /// Something that cannot be, seen while `doing`.
    pub fn new(doing: impl Into<String>) -> Broken {
        Broken { doing: doing.into(), cause: None, retryable: false }
    }

    /// `cause` got in the way of `doing`.
    pub fn because(doing: impl Into<String>, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Broken {
        Broken { doing: doing.into(), cause: Some(cause.into()), retryable: false }
    }

    /// An AWS call that failed for good, after the SDK's own retries.
    pub fn aws<E, R>(call: &str, error: SdkError<E, R>) -> Broken
    where
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
        R: fmt::Debug + Send + Sync + 'static,
    {
        let retryable = error.code().is_some_and(is_contention);
        Broken { doing: format!("calling {call}"), cause: Some(Box::new(error)), retryable }
    }

    /// An AWS call that only contention kept from being made, for longer than anybody wants to wait.
    pub fn contended(call: &str, error: impl Into<Box<dyn Error + Send + Sync>>) -> Broken {
        Broken { doing: format!("calling {call}"), cause: Some(error.into()), retryable: true }
    }

    /// Whether only contention or throttling was in the way, so that nothing was written and trying again helps.
    #[must_use]
    pub fn is_contention(&self) -> bool {
        self.retryable
    }

    /// The whole chain on one line, for the log.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = self.source();
        while let Some(error) = next {
            let line = error.to_string();
            if !text.ends_with(&line) {
                text.push_str(": ");
                text.push_str(&line);
            }
            next = error.source();
        }
        text
    }
}

/// Codes that mean "not now, and nothing was written": another transaction holds an item, or a limit of throughput
/// ([DynamoDB error handling](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html)).
#[must_use]
pub fn is_contention(code: &str) -> bool {
    matches!(
        code,
        "TransactionConflict"
            | "TransactionConflictException"
            | "ThrottlingError"
            | "ThrottlingException"
            | "Throttling"
            | "ProvisionedThroughputExceeded"
            | "ProvisionedThroughputExceededException"
            | "RequestLimitExceeded"
    )
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.doing)
    }
}

impl Error for Broken {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}
