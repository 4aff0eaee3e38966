//! The functions' calls to AWS: how often each operation was called, the operations and their
//! resources, and on demand every call in order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::call::Call;
use super::capacity::Consumption;
use super::operation::{Operation, Request};
use crate::lambda::Specification;

/// Calls to AWS. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Calls(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    counted: BTreeMap<(String, String), u64>,
    operations: BTreeSet<Operation>,
    failed: BTreeMap<(String, String), u64>,
    /// The calls since [`Calls::record`].
    recorded: Option<Vec<RecordedCall>>,
    /// The consumption of the calls since [`Calls::measure`].
    measured: Option<BTreeMap<(String, String), Consumption>>,
}

/// One call of a function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedCall {
    /// The calling function: `send-message`.
    pub function: String,
    /// The operation: `UpdateItem`.
    pub operation: String,
    /// The request's body, JSON; of a call to S3, bucket and key.
    pub request: Bytes,
}

impl Calls {
    /// Returns how often each function (logical id) called each operation
    /// (`dynamodb:BatchGetItem`), faults included. Calls from outside the functions are not
    /// counted.
    pub fn counted(&self) -> BTreeMap<(String, String), u64> {
        self.state().counted.clone()
    }

    /// Returns the operations that functions asked for, outside the proxy too.
    pub fn operations(&self) -> BTreeSet<Operation> {
        self.state().operations.clone()
    }

    /// Returns how often each operation (`UpdateItem`) was answered with each error code by a
    /// fault.
    pub fn failed(&self) -> BTreeMap<(String, String), u64> {
        self.state().failed.clone()
    }

    pub(super) fn count_failed(&self, operation: &str, code: &str) {
        let key = (operation.to_owned(), code.to_owned());
        *self.state().failed.entry(key).or_default() += 1;
    }

    /// Notes that a function asked for an operation.
    pub(super) fn record_request(&self, function: &str, request: Request) {
        let Request { operation, resource, partition } = request;
        let function = function.into();
        self.state().operations.insert(Operation { function, operation, resource, partition });
    }

    /// Forgets the recorded calls, and records every call from now on.
    pub fn record(&self) {
        self.state().recorded = Some(Vec::new());
    }

    /// Returns the calls since [`Calls::record`], in the order they came, faults included.
    pub fn recorded(&self) -> Vec<RecordedCall> {
        self.state().recorded.clone().unwrap_or_default()
    }

    /// Forgets what calls took, and has DynamoDB tell it of every call from now on.
    pub fn measure(&self) {
        self.state().measured = Some(BTreeMap::new());
    }

    /// Returns what the calls since [`Calls::measure`] took, by function (logical id) and operation
    /// (`dynamodb:Query`).
    pub fn measured(&self) -> BTreeMap<(String, String), Consumption> {
        self.state().measured.clone().unwrap_or_default()
    }

    pub(super) fn is_measuring(&self) -> bool {
        self.state().measured.is_some()
    }

    /// Adds what a call took to the others of its function and operation.
    pub(super) fn add_consumption(
        &self,
        function: &Specification,
        call: &Call,
        taken: Consumption,
    ) {
        let mut state = self.state();
        let Some(measured) = &mut state.measured else { return };
        let sum = measured.entry(key_of(function, call)).or_default();
        sum.calls += 1;
        sum.read_units += taken.read_units;
        sum.write_units += taken.write_units;
        sum.items += taken.items;
    }

    pub(super) fn count(&self, function: &Specification, call: &Call, request: &Bytes) {
        let mut state = self.state();
        *state.counted.entry(key_of(function, call)).or_default() += 1;
        if let Some(recorded) = &mut state.recorded {
            let function = function.name.clone();
            let operation = call.operation.clone();
            recorded.push(RecordedCall { function, operation, request: request.clone() });
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Function and operation, by which calls are counted.
fn key_of(function: &Specification, call: &Call) -> (String, String) {
    (function.logical_id.clone(), format!("{}:{}", call.service.prefix(), call.operation))
}
