//! A function as it is run, and Lambda's limits.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Most invocations of one function at once; more wait their turn, as they would at an account's
/// concurrency limit. Sixteen processes of 10–20 MB are plenty for the clients of one machine.
pub(super) const MAX_CONCURRENCY: usize = 16;

/// Largest event and largest answer of a synchronous invocation, in bytes.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub(super) const MAX_PAYLOAD: usize = 6 * 1024 * 1024;

/// A function as it is run.
#[derive(Debug)]
pub(crate) struct Specification {
    /// Logical id, `SendMessage`.
    pub(crate) logical_id: String,
    /// Folder and `_HANDLER`, `send-message`.
    pub(crate) name: String,
    /// The program that a worker executes.
    pub(crate) program: PathBuf,
    pub(crate) timeout: Duration,
    pub(crate) memory_megabytes: u32,
    /// Most invocations at once; further ones are throttled.
    pub(crate) reserved_concurrency: Option<usize>,
    /// Whether Lambda invokes it however often it was invoked in the same chain of requests.
    pub(crate) may_loop: bool,
    /// Everything in a worker's environment that is the same for all workers of the function.
    pub(crate) environment: BTreeMap<String, String>,
}
