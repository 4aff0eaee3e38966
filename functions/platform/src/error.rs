//! Internal errors: failures of AWS, of a stored item or of our own code, not refusals of a rule.
//! An error is logged once, with its whole chain, where it is handled; callers never see any of it.
//!
//! No error can show what was read or sent. AWS's answers hold secrets and messages, and the errors
//! of SDKs and parsers keep or quote them. So an [`InternalError`] keeps none of these errors: its
//! causes are sentences that [`Cause`] makes of them, and its `Debug` is its chain.

use std::error::Error;
use std::{fmt, io};

use aws_sdk_s3::presigning::PresigningConfigError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use domain::PrivateText;
use domain::delivery::is_error_name;

/// An internal error: what was being done, and the chain of causes.
#[derive(Clone)]
pub struct InternalError {
    doing: String,
    /// The causes, the nearest first, in sentences that [`Cause`] made.
    causes: Vec<String>,
    /// The sentence of AWS's own, which may quote a text or an address.
    aws_message: Option<PrivateText>,
    retryable: bool,
    refused_connection: bool,
}

/// An error of another library that can be described without anything that it was about.
///
/// It is implemented for each type of error by hand: the `Display` of most parsers quotes what they
/// could not read.
pub trait Cause {
    /// Returns the kind of failure, in words that may be logged whatever was read or sent.
    fn describe(&self) -> String;
}

impl InternalError {
    /// Makes an error without a cause, found while `doing`.
    pub fn new(doing: impl Into<String>) -> InternalError {
        InternalError {
            doing: doing.into(),
            causes: Vec::new(),
            aws_message: None,
            retryable: false,
            refused_connection: false,
        }
    }

    /// Makes an error with the cause that stopped `doing`.
    pub fn because(doing: impl Into<String>, cause: impl Cause) -> InternalError {
        InternalError { causes: vec![cause.describe()], ..InternalError::new(doing) }
    }

    /// Makes an error of what was being done when another one stopped it.
    #[must_use]
    pub fn while_doing(self, doing: impl Into<String>) -> InternalError {
        let inner = std::iter::once(self.doing);
        InternalError {
            doing: doing.into(),
            causes: inner.chain(self.causes).collect(),
            retryable: false,
            ..self
        }
    }

    /// Makes an error of an AWS call that failed for good, after the SDK's own retries.
    pub fn aws<E>(call: &str, error: SdkError<E, HttpResponse>) -> InternalError
    where
        E: Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let retryable = error.code().is_some_and(is_contention);
        InternalError {
            causes: vec![describe_aws(&error)],
            aws_message: error.message().map(|message| message.into()),
            retryable,
            refused_connection: is_refused_connection(&error),
            ..InternalError::new(format!("calling {call}"))
        }
    }

    /// Makes an error of a call without an SDK, with the whole chain of `error`. Only for errors
    /// that quote nothing: the network's, and those of documents that hold nothing about people.
    pub fn network(doing: impl Into<String>, error: &(dyn Error + 'static)) -> InternalError {
        InternalError {
            causes: vec![describe_connection(error)],
            refused_connection: is_refused_connection(error),
            ..InternalError::new(doing)
        }
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
    #[must_use]
    pub fn contended(call: &str) -> InternalError {
        InternalError {
            causes: vec!["contention or throttling lasted too long".to_owned()],
            retryable: true,
            ..InternalError::new(format!("calling {call}"))
        }
    }

    /// Returns whether contention or throttling was the only cause, so that nothing was written and
    /// trying again helps.
    #[must_use]
    pub fn is_contention(&self) -> bool {
        self.retryable
    }

    /// Returns whether no program listened at the address that was called.
    #[must_use]
    pub fn is_refused_connection(&self) -> bool {
        self.refused_connection
    }

    /// Returns the whole chain on one line, for the log.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.doing.clone();
        for cause in &self.causes {
            if !text.ends_with(cause) {
                text.push_str(": ");
                text.push_str(cause);
            }
        }
        text
    }

    /// Returns the chain with the sentence that AWS answered, for an operator's terminal. Never for
    /// a log: AWS quotes what it was sent.
    #[must_use]
    pub fn chain_with_aws_message(&self) -> String {
        match &self.aws_message {
            Some(message) => format!("{}: {}", self.chain(), message.as_str()),
            None => self.chain(),
        }
    }
}

/// Describes a failed call: how far it came, and the name and id by which AWS's support finds it.
///
/// | the call | the words |
/// |---|---|
/// | was answered with an error | its name, its status, and the request's id |
/// | was answered with what the SDK cannot read | status and length of the answer |
/// | did not reach AWS | the cause, as far as the network tells it |
fn describe_aws<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> String {
    match error {
        SdkError::ConstructionFailure(_) => "the request could not be made".to_owned(),
        SdkError::TimeoutError(_) => "no answer in time".to_owned(),
        SdkError::DispatchFailure(failed) => match failed.as_connector_error() {
            Some(error) => format!("no connection: {}", describe_connection(error)),
            None => "no connection".to_owned(),
        },
        SdkError::ResponseError(failed) => {
            let status = failed.raw().status().as_u16();
            let bytes = failed.raw().body().bytes().map_or(0, <[u8]>::len);
            format!("an answer of {bytes} bytes with status {status} that cannot be read")
        }
        SdkError::ServiceError(failed) => {
            let name = error
                .code()
                .filter(|name| is_error_name(name))
                .unwrap_or("an error without a name");
            let status = failed.raw().status().as_u16();
            let id = failed.raw().headers().get("x-amzn-requestid").filter(|id| is_word(id));
            let id = id.map(|id| format!(", request {id}")).unwrap_or_default();
            format!("{name}, status {status}{id}")
        }
        _ => "the call failed".to_owned(),
    }
}

/// True for a text that has the form of a member's name or of an id of AWS's, and not of a sentence
/// or an address. API Gateway's ids may end with `=`.
#[must_use]
pub fn is_word(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.#=/+".contains(&byte);
    !text.is_empty() && text.len() <= 128 && text.bytes().all(is_part)
}

/// Describes a failure below HTTP: these errors are made before there is an answer to quote.
pub(crate) fn describe_connection(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

fn is_refused_connection(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(cause) = next {
        let io = cause.downcast_ref::<io::Error>();
        if io.is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused) {
            return true;
        }
        next = cause.source();
    }
    false
}

impl Cause for &'static str {
    fn describe(&self) -> String {
        (*self).to_owned()
    }
}

impl Cause for tokio::time::error::Elapsed {
    fn describe(&self) -> String {
        "time is over".to_owned()
    }
}

impl Cause for serde_dynamo::Error {
    /// Names a member of ours that is missing. Every other message may quote the stored value.
    fn describe(&self) -> String {
        let message = self.to_string();
        match message.strip_prefix("missing field ") {
            Some(field) if is_word(field.trim_matches('`')) => message,
            _ => "a member has another type or form".to_owned(),
        }
    }
}

impl Cause for serde_json::Error {
    fn describe(&self) -> String {
        format!("{:?} error", self.classify())
    }
}

impl Cause for http::Error {
    /// The sentence: these errors are constants.
    fn describe(&self) -> String {
        self.to_string()
    }
}

impl Cause for http::header::InvalidHeaderValue {
    fn describe(&self) -> String {
        self.to_string()
    }
}

impl Cause for aws_smithy_types::byte_stream::error::Error {
    fn describe(&self) -> String {
        "the answer's body ended early or could not be read".to_owned()
    }
}

impl Cause for PresigningConfigError {
    fn describe(&self) -> String {
        self.to_string()
    }
}

impl Cause for std::num::TryFromIntError {
    fn describe(&self) -> String {
        self.to_string()
    }
}

impl Cause for jsonwebtoken::errors::Error {
    fn describe(&self) -> String {
        "the claims cannot be signed".to_owned()
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

impl fmt::Debug for InternalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain())
    }
}

impl Error for InternalError {}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use aws_sdk_dynamodb::operation::get_item::GetItemError;
    use aws_sdk_dynamodb::types::AttributeValue;
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;
    use aws_smithy_types::error::ErrorMetadata;

    use super::*;

    /// Stands for everything that no log may hold.
    const CANARY: &str = "a canary";

    fn answer(status: u16, body: &str) -> HttpResponse {
        let status = StatusCode::try_from(status).expect("a status");
        let mut answer = HttpResponse::new(status, SdkBody::from(body));
        answer.headers_mut().insert("x-amzn-requestid", "4KBNVRGD25RG1KEO9UT4V3FQDJVV4KQN");
        answer
    }

    fn aws(code: &str) -> InternalError {
        let error =
            GetItemError::generic(ErrorMetadata::builder().code(code).message(CANARY).build());
        InternalError::aws("GetItem", SdkError::service_error(error, answer(400, CANARY)))
    }

    #[test]
    fn the_chain_names_every_cause_once() {
        let inner = InternalError::because("reading a stored item", "missing field `seq`");
        let outer = inner.while_doing("accepting a message");
        assert_eq!(
            outer.chain(),
            "accepting a message: reading a stored item: missing field `seq`"
        );
        assert_eq!(InternalError::new("counting").chain(), "counting");
    }

    #[test]
    fn an_error_of_aws_is_known_by_its_name_and_its_id() {
        let error = aws("AccessDeniedException");
        let chain = "calling GetItem: AccessDeniedException, status 400, \
                     request 4KBNVRGD25RG1KEO9UT4V3FQDJVV4KQN";
        assert_eq!(error.chain(), chain);
        assert_eq!(format!("{error:?}"), chain);
        assert_eq!(error.chain_with_aws_message(), format!("{chain}: {CANARY}"));
        let key = "k7".repeat(32);
        for no_name in ["a canary that is no name", "15551234567", "pbk_8d0a1c526b1e", &key] {
            assert_eq!(
                aws(no_name).chain(),
                "calling GetItem: an error without a name, status 400, \
                 request 4KBNVRGD25RG1KEO9UT4V3FQDJVV4KQN"
            );
        }
    }

    #[test]
    fn no_error_shows_what_was_read() {
        let cut = format!("{{\"Item\": {{\"content\": {{\"S\": \"{CANARY}\"}}");
        let unreadable = SdkError::<GetItemError, _>::response_error(CANARY, answer(200, &cut));
        let json = serde_json::from_str::<u64>(&format!("\"{CANARY}\"")).expect_err("a text");

        let text = HashMap::from([("at".to_owned(), AttributeValue::S(CANARY.to_owned()))]);
        let number = HashMap::from([("at".to_owned(), AttributeValue::N(CANARY.to_owned()))]);
        let stored = [text, number].map(|item| {
            serde_dynamo::aws_sdk_dynamodb_1::from_item::<HashMap<String, u64>>(item)
                .map_err(|error| InternalError::because("reading a stored item", error))
                .expect_err("it is no number")
        });

        for error in stored.into_iter().chain([
            InternalError::aws("GetItem", unreadable),
            InternalError::unreadable("a secret", &json),
            InternalError::because("writing", json),
        ]) {
            for printed in [error.chain(), error.to_string(), format!("{error:?} {error:#?}")] {
                assert!(!printed.contains("canary"), "{printed}");
            }
        }
    }

    #[test]
    fn a_missing_member_of_a_stored_item_is_named() {
        #[derive(Debug, serde::Deserialize)]
        struct Stored {
            #[expect(dead_code, reason = "it is never there")]
            seq: u64,
        }

        let read = serde_dynamo::aws_sdk_dynamodb_1::from_item::<Stored>(HashMap::new());
        let error = InternalError::because("reading a stored item", read.expect_err("no member"));
        assert_eq!(error.chain(), "reading a stored item: missing field `seq`");
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

        assert!(InternalError::contended("TransactWriteItems").is_contention());
        assert!(!InternalError::because("reading", "garbage").is_contention());
    }

    #[test]
    fn only_a_refused_connection_is_taken_for_one() {
        let caused_by = |kind| InternalError::network("calling GetItem", &io::Error::from(kind));
        assert!(caused_by(io::ErrorKind::ConnectionRefused).is_refused_connection());
        assert!(!caused_by(io::ErrorKind::TimedOut).is_refused_connection());
        assert!(!InternalError::new("reading an item").is_refused_connection());
    }
}
