//! A count of uses within a minute.

use chrono::serde::ts_milliseconds;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// How often something was used within a minute, which begins with the first use. Any 60 seconds
/// therefore have at most twice the limit less one: all but the first use of one minute at its end,
/// and all of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MinuteCount {
    #[serde(with = "ts_milliseconds")]
    since: DateTime<Utc>,
    uses: u32,
}

impl MinuteCount {
    /// How long a minute is.
    pub const LENGTH: TimeDelta = TimeDelta::minutes(1);

    /// Returns the count after one more use at `now`. A minute that is over counts no more, nor
    /// does one that begins a minute from now or later, because the clock was set back; clocks of
    /// processes differ by less.
    ///
    /// # Errors
    /// The end of the minute, if `limit` uses were made in it.
    pub fn spend(
        count: Option<MinuteCount>,
        limit: u32,
        now: DateTime<Utc>,
    ) -> Result<MinuteCount, DateTime<Utc>> {
        let running = count
            .filter(|count| count.since < now + Self::LENGTH && now < count.since + Self::LENGTH);
        match running {
            None => Ok(MinuteCount { since: now, uses: 1 }),
            Some(count) if count.uses < limit => Ok(MinuteCount { uses: count.uses + 1, ..count }),
            Some(count) => Err(count.since + Self::LENGTH),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: TimeDelta = MinuteCount::LENGTH;

    proptest! {
        /// Whatever the times, the minute that the count runs in has no more uses than the limit,
        /// and a refusal names a time within a minute at which a use is granted.
        #[test]
        fn no_minute_has_more_uses_than_the_limit(
            gaps in prop::collection::vec(0i64..30_000, 1..200),
            limit in 1u32..9,
        ) {
            let mut now = DateTime::UNIX_EPOCH;
            let mut count = None;
            let mut granted_since = 0;
            for gap in gaps {
                now += TimeDelta::milliseconds(gap);
                match MinuteCount::spend(count, limit, now) {
                    Ok(next) => {
                        let goes_on = |count: MinuteCount| count.since == next.since;
                        let before = if count.is_some_and(goes_on) { granted_since } else { 0 };
                        granted_since = before + 1;
                        prop_assert!(granted_since <= limit);
                        count = Some(next);
                    }
                    Err(again) => {
                        prop_assert!(again > now && again <= now + MINUTE);
                        prop_assert!(MinuteCount::spend(count, limit, again).is_ok());
                    }
                }
            }
        }

        /// Any 60 seconds, wherever they begin, have at most twice the limit less one.
        #[test]
        fn no_sixty_seconds_have_twice_the_limit(
            gaps in prop::collection::vec(0i64..20_000, 1..200),
            limit in 1u32..9,
        ) {
            let mut now = DateTime::UNIX_EPOCH;
            let mut count = None;
            let mut granted = Vec::new();
            for gap in gaps {
                now += TimeDelta::milliseconds(gap);
                if let Ok(next) = MinuteCount::spend(count, limit, now) {
                    count = Some(next);
                    granted.push(now);
                }
            }
            for from in &granted {
                let within = |at: &&DateTime<Utc>| from <= *at && **at < *from + MINUTE;
                let uses = granted.iter().filter(within).count();
                prop_assert!(uses < 2 * limit as usize);
            }
        }
    }

    #[test]
    fn a_clock_that_was_set_back_locks_nothing() {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(40);
        let spent = Some(MinuteCount { since: now, uses: 3 });
        assert_eq!(MinuteCount::spend(spent, 3, now), Err(now + MINUTE));
        let a_moment_earlier = now - TimeDelta::milliseconds(1);
        assert_eq!(MinuteCount::spend(spent, 3, a_moment_earlier), Err(now + MINUTE));
        assert!(MinuteCount::spend(spent, 3, now - MINUTE).is_ok());
    }
}
