//! The moved clock.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

use chrono::{DateTime, SubsecRound, Utc};

/// A clock that runs at the real pace and can be moved to another time.
#[derive(Debug, Default)]
pub struct Clock {
    offset_ms: AtomicI64,
}

impl Clock {
    /// Returns the moved time, to the millisecond.
    pub fn now(&self) -> DateTime<Utc> {
        let offset = chrono::Duration::milliseconds(self.offset_ms());
        let real = DateTime::<Utc>::from(SystemTime::now());
        real.checked_add_signed(offset).unwrap_or(real).trunc_subsecs(3)
    }

    /// Returns the difference to the real time in milliseconds; 0 until the clock is moved.
    pub fn offset_ms(&self) -> i64 {
        self.offset_ms.load(Ordering::Relaxed)
    }

    /// Moves the clock to `now`, and returns the new difference in milliseconds.
    pub fn move_to(&self, now: DateTime<Utc>) -> i64 {
        let offset = (now - DateTime::<Utc>::from(SystemTime::now())).num_milliseconds();
        self.offset_ms.store(offset, Ordering::Relaxed);
        offset
    }

    /// Moves the clock back to the real time.
    pub fn reset(&self) {
        self.offset_ms.store(0, Ordering::Relaxed);
    }
}
