//! The workers of one function: idle workers are used again, and a new one is started when none is
//! idle.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::{Semaphore, TryAcquireError};
use tokio::time::Instant;

use super::figures::{Account, Counts, FunctionFigures};
use super::invocation::{FunctionError, InvokeError};
use super::launcher::Launcher;
use super::lineage::Lineage;
use super::specification::{MAX_CONCURRENCY, MAX_PAYLOAD, Specification};
use super::worker::{CallError, Worker};

/// One function's workers.
pub(super) struct Pool {
    specification: Arc<Specification>,
    launcher: Arc<Launcher>,
    places: Semaphore,
    /// The function's reserved concurrency, or else what the account has left; `None` without a
    /// limit.
    concurrency: Option<Arc<Semaphore>>,
    account: Arc<Account>,
    counts: Counts,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last one used is the first to be used again, as it is the warmest.
    idle: Vec<Arc<Worker>>,
    /// Variables that changed since the system started.
    changed: BTreeMap<String, String>,
    /// Counts the changes; a worker of an older generation is not used again.
    generation: u64,
}

impl Pool {
    pub(super) fn new(
        specification: Arc<Specification>,
        launcher: Arc<Launcher>,
        account: Arc<Account>,
    ) -> Self {
        let reserved = specification.reserved_concurrency.map(Semaphore::new).map(Arc::new);
        Self {
            concurrency: reserved.or_else(|| account.unreserved.clone()),
            account,
            counts: Counts::default(),
            specification,
            launcher,
            places: Semaphore::new(MAX_CONCURRENCY),
            state: Mutex::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.specification.name
    }

    /// The variables of all workers, as they were at the start.
    pub(super) fn environment(&self) -> &BTreeMap<String, String> {
        &self.specification.environment
    }

    /// Waits for a place, until `end` if there is one, and runs one invocation. What is over the
    /// function's reserved concurrency, or the account's, is throttled at once.
    /// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html>
    pub(super) async fn invoke(
        &self,
        lineage: Lineage,
        end: Option<Instant>,
        payload: Bytes,
    ) -> Result<Bytes, InvokeError> {
        let permit = self.concurrency.as_ref().map(|places| places.try_acquire()).transpose();
        let _permit = permit.map_err(|refused| match refused {
            TryAcquireError::NoPermits => {
                self.counts.throttles.fetch_add(1, Ordering::Relaxed);
                InvokeError::Throttled
            }
            TryAcquireError::Closed => InvokeError::Stopped,
        })?;
        let lineage = lineage.and(&self.specification.logical_id);
        let place = match end {
            None => Ok(self.places.acquire().await),
            Some(end) => tokio::time::timeout_at(end, self.places.acquire()).await,
        };
        let _place = place.map_err(|_| InvokeError::Expired)?.map_err(|_| InvokeError::Stopped)?;
        let _running = self.account.begin();
        self.counts.most_at_once.fetch_max(self.invocations() as u64, Ordering::Relaxed);

        loop {
            let (worker, generation) = self.idle_or_new_worker()?;
            let outcome = worker.call(lineage.clone(), payload.clone()).await;
            if !worker.is_gone() {
                self.give_back(worker, generation).await;
            }
            let error = match outcome {
                Ok(answer) if answer.len() <= MAX_PAYLOAD => return Ok(answer),
                Ok(answer) => too_large(answer.len()),
                Err(CallError::Reported(error)) => return Err(error.into()),
                Err(CallError::Ended(error)) => error,
                // It died while it was idle and never saw the event, so another worker takes it.
                Err(CallError::NotTaken) => continue,
            };
            self.launcher.logs.platform_error(self.name(), &error);
            return Err(error.into());
        }
    }

    /// Returns how many invocations have a place.
    pub(super) fn invocations(&self) -> usize {
        MAX_CONCURRENCY - self.places.available_permits()
    }

    /// Counts a record that was not handed over, because its chain of requests is a loop.
    pub(super) fn count_dropped_loop(&self) {
        self.counts.dropped_loops.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn figures(&self) -> FunctionFigures {
        FunctionFigures {
            reserved_concurrency: self.specification.reserved_concurrency,
            may_loop: self.specification.may_loop,
            throttles: self.counts.throttles.load(Ordering::Relaxed),
            dropped_loops: self.counts.dropped_loops.load(Ordering::Relaxed),
            most_at_once: self.counts.most_at_once.load(Ordering::Relaxed),
        }
    }

    /// Sets a variable of the environment, if the function has it, and restarts the workers.
    pub(super) async fn set_variable(&self, name: &str, value: &str) {
        if !self.specification.environment.contains_key(name) {
            return;
        }
        let idle = {
            let mut state = self.state();
            state.changed.insert(name.to_owned(), value.to_owned());
            state.generation += 1;
            std::mem::take(&mut state.idle)
        };
        for worker in idle {
            worker.kill().await;
        }
    }

    /// Refuses further invocations.
    pub(super) fn close(&self) {
        self.places.close();
    }

    fn idle_or_new_worker(&self) -> Result<(Arc<Worker>, u64), InvokeError> {
        let mut state = self.state();
        let generation = state.generation;
        while let Some(worker) = state.idle.pop() {
            if !worker.is_gone() {
                return Ok((worker, generation));
            }
        }
        Ok((self.launcher.launch(&self.specification, &state.changed)?, generation))
    }

    async fn give_back(&self, worker: Arc<Worker>, generation: u64) {
        let outdated = {
            let mut state = self.state();
            let outdated = state.generation != generation;
            if !outdated {
                state.idle.push(Arc::clone(&worker));
            }
            outdated
        };
        if outdated {
            worker.kill().await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
fn too_large(bytes: usize) -> FunctionError {
    let message =
        format!("Response payload size ({bytes} bytes) exceeded maximum allowed payload size.");
    FunctionError::new("Function.ResponseSizeTooLarge", message)
}
