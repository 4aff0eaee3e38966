//! The workers that are alive.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::worker::Worker;

/// Workers that are alive, by id. A worker's id is also the access key that it signs its calls to
/// AWS with.
#[derive(Debug, Default)]
pub(crate) struct Workers(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    alive: HashMap<String, Arc<Worker>>,
    started: u64,
    closed: bool,
}

/// Ends every worker when it is dropped, for an engine that is dropped without a stop.
pub(crate) struct WorkersGuard(pub(crate) Arc<Workers>);

impl Drop for WorkersGuard {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl Workers {
    /// Returns the worker with this id, if it is alive.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Worker>> {
        self.state().alive.get(id).cloned()
    }

    /// Returns the workers of a function, by logical id or folder, that work on an event.
    pub(super) fn at_work(&self, function: &str) -> Vec<Arc<Worker>> {
        let is_it = |worker: &Worker| {
            worker.function().logical_id == function || worker.function().name == function
        };
        let state = self.state();
        state
            .alive
            .values()
            .filter(|worker| is_it(worker) && worker.is_at_work())
            .cloned()
            .collect()
    }

    /// Kills every worker and waits until all are gone; no worker is started any more.
    pub(super) async fn end(&self) {
        for worker in self.close() {
            worker.kill().await;
        }
    }

    /// Returns a number that no worker has had.
    pub(super) fn number(&self) -> u64 {
        let mut state = self.state();
        state.started += 1;
        state.started
    }

    /// Adds a new worker; false after [`Workers::end`].
    pub(super) fn add(&self, worker: Arc<Worker>) -> bool {
        let mut state = self.state();
        if !state.closed {
            state.alive.insert(worker.id().to_owned(), worker);
        }
        !state.closed
    }

    pub(super) fn remove(&self, id: &str) {
        self.state().alive.remove(id);
    }

    /// Begins to kill every worker, without waiting for it.
    fn close(&self) -> Vec<Arc<Worker>> {
        let mut state = self.state();
        state.closed = true;
        state.alive.values().inspect(|worker| worker.begin_kill()).cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
