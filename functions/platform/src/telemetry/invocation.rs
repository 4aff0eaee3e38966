//! The invocation that this process handles: the members that all its lines share, and its counts.
//!
//! There is one at a time: Lambda gives a process its next event when it has answered the last one
//! ([runtime API](https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html)).

use std::io::{self, Write};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use lambda_runtime::Context;
use serde_json::{Map, Value, json};

use super::counts::Counts;
use super::members::Members;
use crate::clock;
use domain::BusinessId;

/// The name of the system in every line and record.
const SERVICE: &str = "pingback-messages";

static CURRENT: LazyLock<Mutex<Current>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Current {
    members: Map<String, Value>,
    counts: Counts,
    /// True if this process has had an invocation before.
    served: bool,
}

/// An invocation in progress. When it is dropped, its counts are written.
#[derive(Debug)]
#[must_use = "the invocation ends when this is dropped"]
pub struct Invocation(());

impl Invocation {
    /// Begins an invocation: from now on every line carries its members.
    pub fn begin(context: &Context) -> Invocation {
        let mut current = current();
        let env = &context.env_config;

        let mut members = Map::new();
        let mut set = |name: &str, value: Value| drop(members.insert(name.to_owned(), value));
        set("service", json!(SERVICE));
        set("cold_start", json!(!current.served));
        set("function_name", json!(env.function_name));
        set("function_memory_size", json!(env.memory));
        set("function_arn", json!(context.invoked_function_arn));
        set("function_request_id", json!(context.request_id));

        if let Some(trace) = context.xray_trace_id.as_deref().and_then(root) {
            set("xray_trace_id", json!(trace));
        }

        current.members = members;
        current.served = true;
        Invocation(())
    }
}

impl Drop for Invocation {
    /// Writes the counts. A record that cannot be written is lost, as every other line is then.
    fn drop(&mut self) {
        let mut current = current();
        let counts = std::mem::take(&mut current.counts);
        let members = std::mem::take(&mut current.members);
        for record in counts.records(clock::of_the_log()) {
            let line = Members { own: &record, shared: &members }.to_line();
            let _ = io::stdout().lock().write_all(line.as_bytes());
        }
    }
}

/// Adds a correlation id to all further lines of this invocation: API Gateway's id of the API call
/// that they belong to.
pub fn correlate(id: &str) {
    current().members.insert("correlation_id".to_owned(), json!(id));
}

/// Adds to all further lines of this invocation the first eight digits of the API key's hash, by
/// which an operator finds the key. The key may be anyone's: it is not vouched for.
pub fn name_api_key(hash: &str) {
    let digits = hash.get(..8).unwrap_or(hash);
    current().members.insert("api_key".to_owned(), json!(digits));
}

/// Adds to all further lines of this invocation the business that was authenticated.
pub fn name_business(business_id: BusinessId) {
    current().members.insert("business".to_owned(), json!(business_id));
}

/// Passes the invocation's members to `read`.
pub(super) fn with_members<T>(read: impl FnOnce(&Map<String, Value>) -> T) -> T {
    read(&current().members)
}

/// Adds to the invocation's counts.
pub(super) fn count(add: impl FnOnce(&mut Counts)) {
    add(&mut current().counts);
}

fn current() -> MutexGuard<'static, Current> {
    CURRENT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the trace's id in X-Ray's header,
/// `Root=1-5759e988-bd862e3fe1be46a994272793;Parent=…;Sampled=1` ([tracing
/// header](https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader)).
fn root(header: &str) -> Option<&str> {
    header.split(';').find_map(|part| part.trim().strip_prefix("Root="))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_known_by_its_root() {
        let header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
        assert_eq!(root(header), Some("1-5759e988-bd862e3fe1be46a994272793"));
        assert_eq!(root("Sampled=0"), None);
    }
}
