//! Lambda on one machine: real processes over the real Runtime API, one per concurrent invocation.
//! What invokes them (HTTP, WebSocket, queues, schedules) lives in the gateway and the event
//! sources, never here.

mod invocation;
mod launcher;
mod logs;
mod pool;
mod runtime_api;
mod worker;
mod workers;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::listen::{self, Server};

pub use invocation::{FunctionError, InvokeError};
pub use logs::{LogLine, Logs};
pub(crate) use worker::Worker;
pub(crate) use workers::{EndOfWorkers, Workers};

use launcher::Launcher;
use pool::Pool;

/// Most invocations of one function at once; more wait their turn, as they would at an account's
/// concurrency limit. Sixteen processes of 10–20 MB are plenty for the clients of one machine.
pub(crate) const MAX_CONCURRENCY: usize = 16;

/// Largest event and largest answer of a synchronous invocation, in bytes.
/// <https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>
pub(crate) const MAX_PAYLOAD: usize = 6 * 1024 * 1024;

/// The setting that moves a function's clock.
const CLOCK_OFFSET: &str = "CLOCK_OFFSET_MS";

/// A function as it is run.
#[derive(Debug)]
pub(crate) struct Specification {
    /// Logical id, `SendMessage`.
    pub(crate) logical_id: String,
    /// Folder and `_HANDLER`, `send-message`.
    pub(crate) name: String,
    /// What a worker executes.
    pub(crate) program: PathBuf,
    pub(crate) timeout: Duration,
    pub(crate) memory_megabytes: u32,
    /// Everything in a worker's environment that is the same for all workers of the function.
    pub(crate) environment: BTreeMap<String, String>,
}

/// All functions, their workers and the Runtime API.
pub(crate) struct Lambda {
    pools: BTreeMap<String, Arc<Pool>>,
    workers: Arc<Workers>,
    _runtime_api: Server,
}

impl Lambda {
    /// Serves the Runtime API; no worker is started before the first invocation.
    pub(crate) async fn start(
        specifications: Vec<Specification>,
        workers: Arc<Workers>,
        logs: Logs,
    ) -> std::io::Result<Self> {
        let listener = listen::bind().await?;
        let url = format!("http://{}", listener.local_addr()?);
        let runtime_api = listen::serve_router(listener, runtime_api::router(Arc::clone(&workers)));
        let launcher = Arc::new(Launcher { runtime_api: url, workers: Arc::clone(&workers), logs });
        let pool = |specification: Specification| {
            (
                specification.logical_id.clone(),
                Arc::new(Pool::new(Arc::new(specification), Arc::clone(&launcher))),
            )
        };
        Ok(Self {
            pools: specifications.into_iter().map(pool).collect(),
            workers,
            _runtime_api: runtime_api,
        })
    }

    /// What each function is run with, by logical id.
    pub(crate) fn environments(&self) -> BTreeMap<&str, &BTreeMap<String, String>> {
        self.pools
            .iter()
            .map(|(logical_id, pool)| (logical_id.as_str(), pool.environment()))
            .collect()
    }

    /// Invokes a function, by logical id or folder, and waits for its answer. An invocation that
    /// has begun goes on when nobody waits any more, as it does on Lambda.
    pub(crate) async fn invoke(
        &self,
        function: &str,
        payload: Bytes,
    ) -> Result<Bytes, InvokeError> {
        let unknown = || InvokeError::UnknownFunction(function.to_owned());
        let pool = Arc::clone(self.pool(function).ok_or_else(unknown)?);
        if payload.len() > MAX_PAYLOAD {
            return Err(InvokeError::TooLarge(payload.len()));
        }
        let invocation = tokio::spawn(async move { pool.invoke(payload).await });
        invocation.await.unwrap_or(Err(InvokeError::Stopped))
    }

    /// Moves the clock of every function that has one, by restarting its workers: idle ones at
    /// once, busy ones when they are done.
    pub(crate) async fn set_clock_offset(&self, milliseconds: i64) {
        for pool in self.pools.values() {
            pool.set_variable(CLOCK_OFFSET, &milliseconds.to_string()).await;
        }
    }

    /// Kills the workers of a function that are at work on an event.
    pub(crate) async fn kill(&self, function: &str) {
        for worker in self.workers.at_work(function) {
            worker.kill().await;
        }
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
