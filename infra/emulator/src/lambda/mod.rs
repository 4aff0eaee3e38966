//! Lambda on one machine: real processes over the real Runtime API, one for each concurrent
//! invocation.

mod figures;
mod invocation;
mod launcher;
mod lineage;
mod logs;
mod pool;
mod runtime_api;
mod specification;
mod worker;
mod workers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use tokio::time::Instant;

use crate::listen::{self, Pages, Server};

pub use figures::{AccountFigures, FunctionFigures};
pub use invocation::{FunctionError, InvokeError};
pub(crate) use lineage::Lineage;
pub use logs::{LogLine, Logs};
pub(crate) use specification::Specification;
pub(crate) use worker::Worker;
pub(crate) use workers::{Workers, WorkersGuard};

use figures::Account;
use launcher::Launcher;
use pool::Pool;
use specification::MAX_PAYLOAD;

/// All functions, their workers and the Runtime API.
pub(crate) struct Lambda {
    pools: BTreeMap<String, Arc<Pool>>,
    workers: Arc<Workers>,
    account: Arc<Account>,
    /// How many events functions were invoked with so far.
    events: AtomicU64,
    _runtime_api: Server,
}

impl Lambda {
    /// Serves the Runtime API; no worker is started before the first invocation. `concurrency` is
    /// the account's.
    pub(crate) async fn start(
        specifications: Vec<Specification>,
        concurrency: Option<usize>,
        workers: Arc<Workers>,
        logs: Logs,
    ) -> std::io::Result<Self> {
        let listener = listen::bind().await?;
        let url = format!("http://{}", listener.local_addr()?);
        let runtime_api = listen::serve_router(
            listener,
            Pages::OfThisMachine,
            runtime_api::router(Arc::clone(&workers)),
        );
        let launcher = Arc::new(Launcher { runtime_api: url, workers: Arc::clone(&workers), logs });
        let reserved = specifications.iter().filter_map(|one| one.reserved_concurrency).sum();
        let account = Arc::new(Account::new(concurrency, reserved));
        let pool = |specification: Specification| {
            let logical_id = specification.logical_id.clone();
            let launcher = Arc::clone(&launcher);
            let pool = Pool::new(Arc::new(specification), launcher, Arc::clone(&account));
            (logical_id, Arc::new(pool))
        };

        Ok(Self {
            pools: specifications.into_iter().map(pool).collect(),
            workers,
            account,
            events: AtomicU64::new(0),
            _runtime_api: runtime_api,
        })
    }

    /// Returns each function's variables, by logical id.
    pub(crate) fn environments(&self) -> BTreeMap<&str, &BTreeMap<String, String>> {
        self.pools
            .iter()
            .map(|(logical_id, pool)| (logical_id.as_str(), pool.environment()))
            .collect()
    }

    /// Invokes a function at the beginning of a chain of requests.
    pub(crate) async fn invoke(
        &self,
        function: &str,
        payload: Bytes,
    ) -> Result<Bytes, InvokeError> {
        self.invoke_in(Lineage::default(), function, payload).await
    }

    /// Invokes a function in a chain of requests, and waits for its answer.
    pub(crate) async fn invoke_in(
        &self,
        lineage: Lineage,
        function: &str,
        payload: Bytes,
    ) -> Result<Bytes, InvokeError> {
        self.run(lineage, None, function, payload).await
    }

    /// Invokes a function with an event that is dropped if no worker has taken it by `end`.
    pub(crate) async fn invoke_by(
        &self,
        end: Instant,
        function: &str,
        payload: Bytes,
    ) -> Result<Bytes, InvokeError> {
        self.run(Lineage::default(), Some(end), function, payload).await
    }

    /// Runs an invocation, of a function by logical id or folder, which goes on when its caller has
    /// gone, as it does on Lambda.
    async fn run(
        &self,
        lineage: Lineage,
        end: Option<Instant>,
        function: &str,
        payload: Bytes,
    ) -> Result<Bytes, InvokeError> {
        let unknown = || InvokeError::UnknownFunction(function.to_owned());
        let pool = Arc::clone(self.pool(function).ok_or_else(unknown)?);
        if payload.len() > MAX_PAYLOAD {
            return Err(InvokeError::TooLarge(payload.len()));
        }
        self.events.fetch_add(1, Ordering::Relaxed);
        let invocation = tokio::spawn(async move { pool.invoke(lineage, end, payload).await });
        invocation.await.unwrap_or(Err(InvokeError::Stopped))
    }

    /// Returns how many events functions were invoked with so far.
    pub(crate) fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Counts a record that was not handed to a function, because its chain of requests is a loop.
    pub(crate) fn count_dropped_loop(&self, function: &str) {
        if let Some(pool) = self.pool(function) {
            pool.count_dropped_loop();
        }
    }

    /// Returns the figures of each function, by logical id.
    pub(crate) fn figures(&self) -> BTreeMap<String, FunctionFigures> {
        let pools = self.pools.iter();
        pools.map(|(logical_id, pool)| (logical_id.clone(), pool.figures())).collect()
    }

    /// Returns the account's figures.
    pub(crate) fn account(&self) -> AccountFigures {
        self.account.figures()
    }

    /// Sets a variable of every function whose environment has it, by restarting its workers: idle
    /// ones at once, busy ones when they are done.
    pub(crate) async fn set_variable(&self, name: &str, value: &str) {
        for pool in self.pools.values() {
            pool.set_variable(name, value).await;
        }
    }

    /// Kills the workers of a function that are at work on an event.
    pub(crate) async fn kill(&self, function: &str) {
        for worker in self.workers.at_work(function) {
            worker.kill().await;
        }
    }

    /// Returns how many invocations are running or wait for a worker, by logical id of their
    /// function.
    pub(crate) fn at_work(&self) -> BTreeMap<String, usize> {
        let at_work = |(logical_id, pool): (&String, &Arc<Pool>)| {
            let invocations = pool.invocations();
            (invocations > 0).then(|| (logical_id.clone(), invocations))
        };
        self.pools.iter().filter_map(at_work).collect()
    }

    /// Kills every worker and waits until it is gone.
    pub(crate) async fn stop(&self) {
        for pool in self.pools.values() {
            pool.close();
        }
        self.workers.end().await;
    }

    fn pool(&self, function: &str) -> Option<&Arc<Pool>> {
        self.pools
            .get(function)
            .or_else(|| self.pools.values().find(|pool| pool.name() == function))
    }
}
