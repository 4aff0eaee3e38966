//! Controls of the queues, for people and tests: hold them, and have them behave as badly as SQS
//! may. `fair_buffer.rs` does what these settings say.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Most deliveries of one record.
const MOST_COPIES: u8 = 5;

/// Faults that a standard queue is allowed and seldom has. They do not concern FIFO queues, which
/// promise more.
///
/// SQS delivers a message at least once, also after it was deleted, and in no particular order:
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/standard-queues.html>.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueFaults {
    /// Most deliveries of each record, 1 to 5, in a different invocation each time.
    #[serde(default = "once")]
    pub copies: u8,
    /// Whether records come in any order.
    #[serde(default)]
    pub shuffle: bool,
    /// Longest delay of a delivery in milliseconds, so that some come long after the record was
    /// deleted.
    #[serde(default)]
    pub delay_ms: u64,
    /// Whether message groups are ignored, as in a queue whose senders set none: the oldest record
    /// comes first.
    #[serde(default)]
    pub unfair: bool,
    /// Seed of the random numbers: the nth record of a queue from now on always gets the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// The number of copies is out of range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`copies` {0} is not between 1 and {MOST_COPIES}")]
pub struct QueueFaultsError(u8);

/// How much all queues have handed out so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct QueueCounts {
    /// Records that SQS handed out.
    pub records: u64,
    /// Deliveries whose invocations are over, copies included.
    pub deliveries: u64,
}

/// How all queues are polled. Clones share it.
#[derive(Clone)]
pub struct Polling(Arc<Shared>);

struct Shared {
    held: watch::Sender<bool>,
    /// How many queues are being asked for records.
    asking: watch::Sender<usize>,
    faults: Mutex<Option<Arc<QueueFaults>>>,
    records: AtomicU64,
    deliveries: AtomicU64,
    /// Deliveries that wait for an invocation or are in one.
    outstanding: AtomicU64,
}

impl fmt::Debug for Polling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Polling")
            .field("held", &self.is_held())
            .field("faults", &self.faults())
            .finish()
    }
}

impl Default for Polling {
    /// Queues that are not held and have no faults.
    fn default() -> Self {
        Self(Arc::new(Shared {
            held: watch::Sender::new(false),
            asking: watch::Sender::new(0),
            faults: Mutex::default(),
            records: AtomicU64::new(0),
            deliveries: AtomicU64::new(0),
            outstanding: AtomicU64::new(0),
        }))
    }
}

impl Polling {
    /// Holds the queues, or lets them go: queues that are held take what is sent and hand nothing
    /// out. Invocations that have begun go on. When this returns, no poller asks a queue for
    /// records any more; what comes from now on stays in the queue.
    pub async fn set_held(&self, held: bool) {
        self.0.held.send_replace(held);
        if held {
            // The sender lives in here, so the wait can only end with what it waits for.
            let _ = self.0.asking.subscribe().wait_for(|asking| *asking == 0).await;
        }
    }

    /// Puts faults in force, in place of those before.
    ///
    /// # Errors
    /// [`QueueFaultsError`] if the number of copies is out of range; the faults stay as they were.
    pub fn set_faults(&self, faults: QueueFaults) -> Result<(), QueueFaultsError> {
        if !(1..=MOST_COPIES).contains(&faults.copies) {
            return Err(QueueFaultsError(faults.copies));
        }
        *self.0.faults.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(faults));
        Ok(())
    }

    /// Ends the faults. Copies that were made already still come.
    pub fn clear_faults(&self) {
        *self.0.faults.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Returns whether the queues are held.
    pub fn is_held(&self) -> bool {
        *self.0.held.borrow()
    }

    /// Returns the faults in force.
    pub fn faults(&self) -> Option<Arc<QueueFaults>> {
        self.0.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns how much the queues have handed out so far.
    pub fn counts(&self) -> QueueCounts {
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        QueueCounts { records: count(&self.0.records), deliveries: count(&self.0.deliveries) }
    }

    /// Returns how many deliveries wait for an invocation or are in one.
    pub(crate) fn outstanding(&self) -> u64 {
        self.0.outstanding.load(Ordering::Relaxed)
    }

    /// Counts records that SQS handed out, and the deliveries that were made of them.
    pub(super) fn count_records(&self, records: usize, deliveries: u64) {
        self.0.records.fetch_add(records as u64, Ordering::Relaxed);
        self.0.outstanding.fetch_add(deliveries, Ordering::Relaxed);
    }

    pub(super) fn count_deliveries(&self, deliveries: usize) {
        self.0.deliveries.fetch_add(deliveries as u64, Ordering::Relaxed);
        self.0.outstanding.fetch_sub(deliveries as u64, Ordering::Relaxed);
    }

    /// Waits until the queues are not held.
    pub(super) async fn is_on(&self) {
        // The sender lives in here, so the wait can only end with what it waits for.
        let _ = self.0.held.subscribe().wait_for(|held| !held).await;
    }

    /// Waits until the queues are not held, and asks one of them.
    pub(super) async fn ask<T>(&self, queue: impl Future<Output = T>) -> T {
        loop {
            self.is_on().await;
            let asking = AskGuard::begin(&self.0.asking);
            // A hold between the two would not wait for this poller.
            if !self.is_held() {
                let answer = queue.await;
                drop(asking);
                return answer;
            }
        }
    }
}

/// Counts a poller that asks a queue for records, until this is dropped.
struct AskGuard<'a>(&'a watch::Sender<usize>);

impl<'a> AskGuard<'a> {
    fn begin(asking: &'a watch::Sender<usize>) -> Self {
        asking.send_modify(|asking| *asking += 1);
        Self(asking)
    }
}

impl Drop for AskGuard<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|asking| *asking -= 1);
    }
}

fn once() -> u8 {
    1
}
