//! The clock, read in this one place.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use crate::settings::{self, SettingError};

/// Tells the time, moved by a setting that is 0 in production.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    offset: TimeDelta,
}

impl Clock {
    /// Reads `CLOCK_OFFSET_MS`.
    ///
    /// # Errors
    /// If it is there and not a whole number.
    pub fn from_env() -> Result<Clock, SettingError> {
        let offset = settings::parsed("CLOCK_OFFSET_MS", "a whole number of milliseconds", 0)?;
        Ok(Clock::moved_by(offset))
    }

    /// Makes a clock that runs `offset_ms` milliseconds ahead.
    #[must_use]
    pub fn moved_by(offset_ms: i64) -> Clock {
        Clock { offset: TimeDelta::milliseconds(offset_ms) }
    }

    /// Returns the time, cut to the millisecond, so that a stored time equals the one that was
    /// decided with.
    #[must_use]
    pub fn now(self) -> DateTime<Utc> {
        #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
        let now = Utc::now();
        (now + self.offset).trunc_subsecs(3)
    }
}

/// Returns the real time, for lines of the log; nothing is decided by it.
#[must_use]
pub fn of_the_log() -> DateTime<Utc> {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    Utc::now()
}

/// Returns the time until `deadline`. Lambda's deadline is real time, which no setting moves.
#[must_use]
pub fn time_left(deadline: SystemTime) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    let now = SystemTime::now();
    deadline.duration_since(now).unwrap_or_default()
}
