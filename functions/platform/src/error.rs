//! Internal errors: failures of AWS, of a stored item or of our own code, not refusals of a rule.
//! An error is logged once, with its whole chain, where it is handled; callers never see any of it.

use std::error::Error;
use std::fmt;

use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// An internal error: what was being done, and the chain of causes.
#[derive(Debug)]
pub struct InternalError {
    doing: String,
    cause: Option<Box<dyn Error + Send + Sync>>,
    retryable: bool,
}

impl InternalError {
    /// Makes an error without a cause, found while `doing`.
    pub fn new(doing: impl Into<String>) -> InternalError {
        InternalError { doing: doing.into(), cause: None, retryable: false }
    }

    /// Makes an error with the cause that stopped `doing`.
    pub fn because(
        doing: impl Into<String>,
        cause: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> InternalError {
        InternalError { doing: doing.into(), cause: Some(cause.into()), retryable: false }
    }

    /// Makes an error of an AWS call that failed for good, after the SDK's own retries.
    pub fn aws<E, R>(call: &str, error: SdkError<E, R>) -> InternalError
    where
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
        R: fmt::Debug + Send + Sync + 'static,
    {
        let retryable = error.code().is_some_and(is_contention);
        InternalError { doing: format!("calling {call}"), cause: Some(Box::new(error)), retryable }
    }

    /// Makes an error of JSON that could not be read. It names the place and never the text there,
    /// which may be a secret.
    #[must_use]
    pub fn unreadable(what: &str, error: &serde_json::Error) -> InternalError {
        let category = error.classify();
        let place = format!("line {}, column {}", error.line(), error.column());
        InternalError::new(format!("reading {what}: {category:?} error in {place}"))
    }

    /// Makes an error of an AWS call that contention stopped, after all retries.
    pub fn contended(call: &str, error: impl Into<Box<dyn Error + Send + Sync>>) -> InternalError {
        InternalError {
            doing: format!("calling {call}"),
            cause: Some(error.into()),
            retryable: true,
        }
    }

    /// Returns whether contention or throttling was the only cause, so that nothing was written and
    /// trying again helps.
    #[must_use]
    pub fn is_contention(&self) -> bool {
        self.retryable
    }

    /// Returns the whole chain on one line, for the log.
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

/// Returns whether a code means "not now, and nothing was written": another transaction holds an
/// item, or a limit of throughput is reached
/// ([DynamoDB](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html),
/// [S3](https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList)).
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
            | "SlowDown"
    )
}

impl fmt::Display for InternalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.doing)
    }
}

impl Error for InternalError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.cause.as_deref().map(|cause| cause as &(dyn Error + 'static))
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::operation::get_item::GetItemError;
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    fn aws(code: &str) -> InternalError {
        let error = GetItemError::generic(
            ErrorMetadata::builder().code(code).message("as AWS says").build(),
        );
        InternalError::aws("GetItem", SdkError::service_error(error, ()))
    }

    #[test]
    fn the_chain_names_every_cause_once() {
        let inner = InternalError::because("reading a stored item", "missing field `seq`");
        let repeated = InternalError::because("reading a stored item", inner);
        let outer = InternalError::because("accepting a message", repeated);
        assert_eq!(
            outer.chain(),
            "accepting a message: reading a stored item: missing field `seq`"
        );
        assert_eq!(InternalError::new("counting").chain(), "counting");
    }

    #[test]
    fn the_chain_reaches_what_aws_said() {
        let chain = aws("AccessDeniedException").chain();
        assert!(chain.starts_with("calling GetItem: "), "{chain}");
        assert!(
            chain.contains("AccessDeniedException") && chain.contains("as AWS says"),
            "{chain}"
        );
    }

    #[test]
    fn only_what_wrote_nothing_may_be_tried_again() {
        for code in [
            "TransactionConflictException",
            "ThrottlingException",
            "ProvisionedThroughputExceededException",
        ] {
            assert!(aws(code).is_contention(), "{code}");
        }

        for code in
            ["AccessDeniedException", "InternalServerError", "ConditionalCheckFailedException"]
        {
            assert!(!aws(code).is_contention(), "{code}");
        }

        assert!(InternalError::contended("TransactWriteItems", "too long").is_contention());
        assert!(!InternalError::because("reading", "garbage").is_contention());
    }
}
