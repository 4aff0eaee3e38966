//! The counts of all worlds of a test program, for the table that a suite closes with.

use std::ops::AddAssign;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Counts of one world, or of all that have ended. The last five are broken guarantees: always 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Worlds that ended in the oracle.
    pub worlds: u64,
    /// Processes killed, faults injected and other misfortunes that a test counts itself.
    pub misfortunes: u64,
    /// Messages that the API answered 201 for.
    pub accepted: u64,
    /// Messages that are stored. More than were answered for where a caller did not live to hear
    /// it.
    pub stored: u64,
    /// Messages that the provider took, whatever is known of them since.
    pub sent: u64,
    /// Messages that ended `failed`.
    pub failed: u64,
    /// Messages that still wait where a test leaves it at that: the customer is away, the provider
    /// is down.
    pub waiting: u64,
    /// Changes of messages that callers are told of.
    pub changes: u64,
    /// Events that endpoints took.
    pub told: u64,
    /// Copies that customers got beyond the first, each after a death or a lost answer.
    pub excused: u64,
    /// Messages answered 201 or marked as sent that are not there.
    pub lost: u64,
    /// Copies that customers got beyond the first without such an excuse, and idempotency keys with
    /// two messages.
    pub doubled: u64,
    /// Messages that reached a provider before an earlier one of their conversation.
    pub out_of_order: u64,
    /// Messages accepted beyond a limit.
    pub over_quota: u64,
    /// Messages by which `used` differs from what is stored, and limits by which the caps differ
    /// from the plan's.
    pub miscounted: u64,
}

static ALL: Mutex<Option<Tally>> = Mutex::new(None);

fn all() -> MutexGuard<'static, Option<Tally>> {
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tally {
    /// Adds this to what all worlds of this program came to.
    pub fn add_up(self) {
        *all().get_or_insert_default() += self;
    }

    /// Counts one misfortune: a kill, a fault.
    pub fn count_misfortune() {
        Tally { misfortunes: 1, ..Tally::default() }.add_up();
    }

    /// Returns the sum over all worlds of this program so far.
    #[must_use]
    pub fn of_all() -> Tally {
        all().unwrap_or_default()
    }

    /// The counts with their names, in the order people read them.
    #[must_use]
    pub fn rows(self) -> [(&'static str, u64); 10] {
        [
            ("worlds", self.worlds),
            ("misfortunes", self.misfortunes),
            ("answered 201", self.accepted),
            ("stored", self.stored),
            ("sent", self.sent),
            ("failed", self.failed),
            ("still waiting", self.waiting),
            ("changes told", self.changes),
            ("told endpoints", self.told),
            ("twice, excused", self.excused),
        ]
    }

    /// Returns the counts that a guarantee keeps at 0.
    #[must_use]
    pub fn broken_guarantees(self) -> [(&'static str, u64); 5] {
        [
            ("lost", self.lost),
            ("doubled", self.doubled),
            ("out of order", self.out_of_order),
            ("over quota", self.over_quota),
            ("miscounted", self.miscounted),
        ]
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.worlds += other.worlds;
        self.misfortunes += other.misfortunes;
        self.accepted += other.accepted;
        self.stored += other.stored;
        self.sent += other.sent;
        self.failed += other.failed;
        self.waiting += other.waiting;
        self.changes += other.changes;
        self.told += other.told;
        self.excused += other.excused;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.out_of_order += other.out_of_order;
        self.over_quota += other.over_quota;

        self.miscounted += other.miscounted;
    }
}
