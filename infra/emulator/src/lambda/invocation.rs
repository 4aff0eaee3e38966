//! One invocation: its event, and the ways it can end.

use std::time::SystemTime;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::lineage::Lineage;

/// The receiver of an invocation's result.
pub(super) type Reply = oneshot::Sender<Result<Bytes, FunctionError>>;

/// An event on its way to a worker.
#[derive(Debug)]
pub(super) struct Invocation {
    pub(super) request_id: String,
    /// The time at which the worker is killed.
    pub(super) deadline: SystemTime,
    /// The chain of requests, this invocation included.
    pub(super) lineage: Lineage,
    pub(super) payload: Bytes,
    pub(super) reply: Reply,
}

/// An error that a function, or the runtime around it, reported.
/// <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html#runtimes-api-invokeerror>
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{error_type}: {error_message}")]
#[serde(rename_all = "camelCase")]
pub struct FunctionError {
    /// `Runtime.ExitError`, `Sandbox.Timedout`, or the function's own type.
    #[serde(default)]
    pub error_type: String,
    /// A sentence.
    #[serde(default)]
    pub error_message: String,
}

/// Why an invocation has no answer.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// The template declares no such function.
    #[error("there is no function `{0}`")]
    UnknownFunction(String),
    /// The function failed, crashed or ran out of time.
    #[error(transparent)]
    Function(#[from] FunctionError),
    /// The event is over Lambda's limit; its size in bytes.
    #[error("an event of {0} bytes is over Lambda's limit of 6 MB")]
    TooLarge(usize),
    /// As many invocations of the function as are reserved for it are running.
    #[error("Rate Exceeded.")]
    Throttled,
    /// The event waited for longer than the function's `EventInvokeConfig` lets it.
    #[error("the event waited for too long and is dropped")]
    Expired,
    /// The worker's process could not be started.
    #[error("the bootstrap does not start: {0}")]
    Bootstrap(std::io::Error),
    /// The local system is stopping.
    #[error("the local system is stopping")]
    Stopped,
    /// The answer is not JSON, which the SDK's runtimes never produce.
    #[error("the answer is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
}

impl FunctionError {
    pub(super) fn new(error_type: &str, error_message: impl Into<String>) -> Self {
        Self { error_type: error_type.to_owned(), error_message: error_message.into() }
    }
}
