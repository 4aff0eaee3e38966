//! A rate limiter: a generic cell rate algorithm (GCRA), which is a token bucket that remembers two
//! times and no count.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// How fast uses may follow each other: messages of a conversation, as its channel has it, or
/// requests of a caller, as [`request_limit`](crate::request_limit) has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RateLimit {
    /// The shortest time between two uses.
    pub min_gap: TimeDelta,
    /// The average time between two uses in the long run.
    pub interval: TimeDelta,
    /// How many uses may be ahead of that average.
    pub burst: i32,
}

/// How much of a limit is used. Nothing is kept where there is no limit. A conversation's is stored
/// with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RateLimitState {
    /// When the last use was.
    #[serde(rename = "last")]
    pub last_at: DateTime<Utc>,
    /// The theoretical arrival time: when all uses so far would have been made at exactly one for
    /// each [`RateLimit::interval`].
    #[serde(rename = "even")]
    pub conforms_at: DateTime<Utc>,
}

impl RateLimit {
    /// No limit: uses follow each other at any speed.
    pub const UNLIMITED: RateLimit =
        RateLimit { min_gap: TimeDelta::zero(), interval: TimeDelta::zero(), burst: 1 };

    /// Returns the earliest time of the next use; `None` for at once.
    #[must_use]
    pub fn earliest(&self, state: Option<RateLimitState>) -> Option<DateTime<Utc>> {
        let ahead = self.interval * (self.burst - 1);
        state.map(|state| (state.last_at + self.min_gap).max(state.conforms_at - ahead))
    }

    /// Returns the state after a use at `now`.
    #[must_use]
    pub fn after_use(
        &self,
        state: Option<RateLimitState>,
        now: DateTime<Utc>,
    ) -> Option<RateLimitState> {
        let conforms_at = state.map_or(now, |state| state.conforms_at.max(now)) + self.interval;
        (*self != RateLimit::UNLIMITED).then_some(RateLimitState { last_at: now, conforms_at })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Channel;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;
    const SECOND: TimeDelta = TimeDelta::seconds(1);

    /// Returns when messages that are ready at these times are handed over, in order and each as
    /// early as the limit allows.
    fn handed_over(
        limit: RateLimit,
        ready: impl IntoIterator<Item = DateTime<Utc>>,
    ) -> Vec<DateTime<Utc>> {
        let mut state = None;
        let mut now = NOW;
        let mut hand_over = |ready: DateTime<Utc>| {
            now = now.max(ready).max(limit.earliest(state).unwrap_or(now));
            state = limit.after_use(state, now);
            now
        };
        ready.into_iter().map(&mut hand_over).collect()
    }

    #[test]
    fn without_a_limit_nothing_waits_and_nothing_is_stored() {
        assert_eq!(RateLimit::UNLIMITED.after_use(None, NOW), None);
        assert_eq!(RateLimit::UNLIMITED.earliest(None), None);
    }

    #[test]
    fn whatsapp_takes_a_burst_with_gaps_and_then_one_in_six_seconds() {
        let times = handed_over(Channel::Whatsapp.rate_limit(), vec![NOW; 100]);
        let waits: Vec<i64> =
            times.windows(2).map(|pair| (pair[1] - pair[0]).num_milliseconds()).collect();
        // The burst is longer by what becomes due while it lasts.
        let burst = waits.iter().take_while(|wait| **wait == 500).count() + 1;
        assert_eq!(burst, 49);
        assert!(waits[burst..].iter().all(|wait| *wait == 6_000), "{waits:?}");
    }

    #[test]
    fn a_conversation_that_was_silent_for_an_hour_may_burst_again() {
        let limit = Channel::Whatsapp.rate_limit();
        let later = NOW + TimeDelta::hours(1);
        let times = handed_over(limit, [vec![NOW; 45], vec![later; 45]].concat());
        assert_eq!(times[45], later);
        assert!(times[44] < NOW + SECOND * 30 && times[89] < later + SECOND * 30);
    }

    proptest! {
        #[test]
        fn messages_that_are_ready_at_any_time_keep_the_limit(
            gaps in prop::collection::vec(0i64..20_000, 1..200),
        ) {
            let mut ready = NOW;
            let ready = gaps.into_iter().map(|gap| {
                ready += TimeDelta::milliseconds(gap);
                ready
            });

            let times = handed_over(Channel::Whatsapp.rate_limit(), ready);
            let min_gap = TimeDelta::milliseconds(500);
            prop_assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= min_gap));

            // In every run of messages, each one beyond a burst took its six seconds.
            for (first, start) in times.iter().enumerate() {
                for (count, end) in times[first..].iter().enumerate().skip(45) {
                    let most = 45 + (*end - *start).num_milliseconds() / 6_000;
                    let sent = i64::try_from(count + 1).unwrap();
                    prop_assert!(sent <= most, "{sent} in {}", *end - *start);
                }
            }
        }
    }
}
