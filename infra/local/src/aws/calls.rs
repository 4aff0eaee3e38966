//! Counts which function called what, for tests that compare it with what the function is allowed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::call::Call;

/// Calls to AWS by function and operation. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Calls(Arc<Mutex<BTreeMap<(String, String), u64>>>);

impl Calls {
    /// How often each function (logical id) called each operation (`dynamodb:BatchGetItem`), faults included. Calls
    /// from outside the functions are not counted.
    pub fn counted(&self) -> BTreeMap<(String, String), u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn count(&self, function: &str, call: &Call) {
        let key = (function.to_owned(), format!("{}:{}", call.service.prefix(), call.operation));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default() += 1;
    }
}
