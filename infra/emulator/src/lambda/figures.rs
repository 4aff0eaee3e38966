//! The figures of functions and of the account that Lambda's metrics show.
//! <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-metrics-types.html>

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::sync::Semaphore;

/// A function's concurrency and recursion settings, and its counts since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionFigures {
    /// `ReservedConcurrentExecutions`.
    pub reserved_concurrency: Option<usize>,
    /// True with `RecursiveLoop: Allow`.
    pub may_loop: bool,
    /// `Throttles`: invocations that were refused.
    pub throttles: u64,
    /// `RecursiveInvocationsDropped`: records that did not reach the function, because their chain
    /// of requests had invoked it too often.
    pub dropped_loops: u64,
    /// The maximum of `ConcurrentExecutions`.
    pub most_at_once: u64,
}

/// The account's concurrency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountFigures {
    /// Most invocations at once; `None` without a limit.
    pub concurrency: Option<usize>,
    /// The maximum of `ConcurrentExecutions`, over all functions.
    pub most_at_once: u64,
}

/// The counts of one function.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) throttles: AtomicU64,
    pub(super) dropped_loops: AtomicU64,
    pub(super) most_at_once: AtomicU64,
}

/// The account's concurrency in use.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) concurrency: Option<usize>,
    /// The places for functions that have none reserved.
    pub(super) unreserved: Option<Arc<Semaphore>>,
    at_once: AtomicUsize,
    most_at_once: AtomicU64,
}

/// One invocation that is running; it ends when this is dropped.
pub(super) struct Running<'a>(&'a Account);

impl Account {
    pub(super) fn new(concurrency: Option<usize>, reserved: usize) -> Self {
        let places = |all: usize| Arc::new(Semaphore::new(all.saturating_sub(reserved)));
        Self { concurrency, unreserved: concurrency.map(places), ..Self::default() }
    }

    pub(super) fn begin(&self) -> Running<'_> {
        let at_once = self.at_once.fetch_add(1, Ordering::Relaxed) + 1;
        self.most_at_once.fetch_max(at_once as u64, Ordering::Relaxed);
        Running(self)
    }

    pub(super) fn figures(&self) -> AccountFigures {
        let most_at_once = self.most_at_once.load(Ordering::Relaxed);
        AccountFigures { concurrency: self.concurrency, most_at_once }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.at_once.fetch_sub(1, Ordering::Relaxed);
    }
}
