//! What people and tests may ask of the queues: to wait, and to behave as badly as SQS may. How a
//! queue then behaves lives in `fair_buffer.rs`, never here.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// Most times that one record is delivered.
const MOST_COPIES: u8 = 5;

/// What a standard queue is allowed to do and seldom does, as `PUT /sandbox/queues/mischief` takes
/// it. FIFO queues are left alone: they promise more.
///
/// SQS delivers a message at least once, also after it was deleted, and in no particular order:
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/standard-queues.html>.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mischief {
    /// Each record is delivered 1 to so many times, at most 5, in a different invocation each time.
    #[serde(default = "once")]
    pub copies: u8,
    /// Whether records come in any order.
    #[serde(default)]
    pub shuffle: bool,
    /// Each delivery is held back for 0 to so many milliseconds, so that some come long after the
    /// record was deleted.
    #[serde(default)]
    pub delay_ms: u64,
    /// Whether message groups mean nothing, as in a queue whose senders set none: the oldest record
    /// comes first.
    #[serde(default)]
    pub unfair: bool,
    /// Makes the dice fall alike: the same for the nth record of a queue from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// Why the queues do not do that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`copies` {0} is not between 1 and {MOST_COPIES}")]
pub struct MischiefError(u8);

/// What all queues handed out so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct HandedOut {
    /// Records that SQS gave.
    pub records: u64,
    /// Deliveries that a function was invoked for and that are over, copies included.
    pub deliveries: u64,
}

/// How all queues are polled. Clones share it.
#[derive(Clone)]
pub struct Polling(Arc<Shared>);

struct Shared {
    held: watch::Sender<bool>,
    /// How many queues are being asked for records.
    asking: watch::Sender<usize>,
    mischief: Mutex<Option<Arc<Mischief>>>,
    records: AtomicU64,
    deliveries: AtomicU64,
}

impl fmt::Debug for Polling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Polling")
            .field("held", &self.is_held())
            .field("mischief", &self.mischief())
            .finish()
    }
}

impl Default for Polling {
    /// As it usually is.
    fn default() -> Self {
        Self(Arc::new(Shared {
            held: watch::Sender::new(false),
            asking: watch::Sender::new(0),
            mischief: Mutex::default(),
            records: AtomicU64::new(0),
            deliveries: AtomicU64::new(0),
        }))
    }
}

impl Polling {
    /// Holds the queues: they take what is sent and hand nothing out until they are let go. What a
    /// function has begun with goes on. When this returns, nobody asks a queue for records any
    /// more; what comes from now on stays in it.
    pub async fn hold(&self, held: bool) {
        self.0.held.send_replace(held);
        if held {
            // The sender lives in here, so the wait can only end with what it waits for.
            let _ = self.0.asking.subscribe().wait_for(|asking| *asking == 0).await;
        }
    }

    /// Has the queues misbehave, in place of how they did before.
    ///
    /// # Errors
    /// [`MischiefError`] if it makes no sense; the queues go on as they did.
    pub fn misbehave(&self, mischief: Mischief) -> Result<(), MischiefError> {
        if !(1..=MOST_COPIES).contains(&mischief.copies) {
            return Err(MischiefError(mischief.copies));
        }
        *self.0.mischief.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(mischief));
        Ok(())
    }

    /// Has them behave. Copies that were made already still come.
    pub fn behave(&self) {
        *self.0.mischief.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether nothing is handed out.
    pub fn is_held(&self) -> bool {
        *self.0.held.borrow()
    }

    /// How they misbehave, if they do.
    pub fn mischief(&self) -> Option<Arc<Mischief>> {
        self.0.mischief.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What they handed out so far.
    pub fn handed_out(&self) -> HandedOut {
        let count = |of: &AtomicU64| of.load(Ordering::Relaxed);
        HandedOut { records: count(&self.0.records), deliveries: count(&self.0.deliveries) }
    }

    pub(super) fn count_records(&self, records: usize) {
        self.0.records.fetch_add(records as u64, Ordering::Relaxed);
    }

    pub(super) fn count_deliveries(&self, deliveries: usize) {
        self.0.deliveries.fetch_add(deliveries as u64, Ordering::Relaxed);
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
            let asking = Asking::begin(&self.0.asking);
            // Held in the moment between, it would not be waited for.
            if !self.is_held() {
                let answer = queue.await;
                drop(asking);
                return answer;
            }
        }
    }
}

/// Somebody asks a queue for records, until this is dropped.
struct Asking<'a>(&'a watch::Sender<usize>);

impl<'a> Asking<'a> {
    fn begin(asking: &'a watch::Sender<usize>) -> Self {
        asking.send_modify(|asking| *asking += 1);
        Self(asking)
    }
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|asking| *asking -= 1);
    }
}

fn once() -> u8 {
    1
}
