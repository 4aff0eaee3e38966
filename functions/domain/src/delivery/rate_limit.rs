//! How fast the messages of one conversation may follow each other.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// How fast a channel lets the messages of one conversation follow each other. Waiting is a matter
/// of when the next doorbell rings; no worker sleeps over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RateLimit {
    /// The shortest time between two messages.
    pub min_gap: TimeDelta,
    /// In the long run, one message each so long …
    pub interval: TimeDelta,
    /// … but for so many that may be sent ahead of that.
    pub burst: i32,
}

/// How much of its limit a conversation has used. Kept with the conversation; nothing is kept where
/// there is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RateLimitState {
    /// When its last message was handed over.
    #[serde(rename = "last")]
    pub last_sent_at: DateTime<Utc>,
    /// When all that were handed over would have been, at one message [each so long](RateLimit::interval).
    #[serde(rename = "even")]
    pub conforms_at: DateTime<Utc>,
}

impl RateLimit {
    /// As fast as the provider takes them.
    pub const UNLIMITED: RateLimit =
        RateLimit { min_gap: TimeDelta::zero(), interval: TimeDelta::zero(), burst: 1 };

    /// When the next message may be handed over at the earliest.
    #[must_use]
    pub fn earliest(&self, state: Option<RateLimitState>) -> Option<DateTime<Utc>> {
        let ahead = self.interval * (self.burst - 1);
        state.map(|state| (state.last_sent_at + self.min_gap).max(state.conforms_at - ahead))
    }

    /// What is used when a message is handed over at `now`.
    #[must_use]
    pub fn after_send(
        &self,
        state: Option<RateLimitState>,
        now: DateTime<Utc>,
    ) -> Option<RateLimitState> {
        let conforms_at = state.map_or(now, |state| state.conforms_at.max(now)) + self.interval;
        (*self != RateLimit::UNLIMITED).then_some(RateLimitState { last_sent_at: now, conforms_at })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Channel;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;
    const SECOND: TimeDelta = TimeDelta::seconds(1);

    /// When so many messages are handed over that are ready at these times, in order and each as
    /// early as may be.
    fn handed_over(
        limit: RateLimit,
        ready: impl IntoIterator<Item = DateTime<Utc>>,
    ) -> Vec<DateTime<Utc>> {
        let (mut state, mut now) = (None, NOW);
        let mut hand_over = |ready: DateTime<Utc>| {
            now = now.max(ready).max(limit.earliest(state).unwrap_or(now));
            state = limit.after_send(state, now);
            now
        };
        ready.into_iter().map(&mut hand_over).collect()
    }

    #[test]
    fn without_a_pace_nothing_waits_and_nothing_is_kept() {
        assert_eq!(RateLimit::UNLIMITED.after_send(None, NOW), None);
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
    fn whoever_was_silent_for_long_may_burst_again() {
        let limit = Channel::Whatsapp.rate_limit();
        let later = NOW + TimeDelta::hours(1);
        let times = handed_over(limit, [vec![NOW; 45], vec![later; 45]].concat());
        assert_eq!(times[45], later);
        assert!(times[44] < NOW + SECOND * 30 && times[89] < later + SECOND * 30);
    }

    proptest! {
        #[test]
        fn whenever_they_come_no_messages_are_closer_than_they_may_be(gaps in prop::collection::vec(0i64..20_000, 1..200)) {
            let mut ready = NOW;
            let ready = gaps.into_iter().map(|gap| { ready += TimeDelta::milliseconds(gap); ready });
            let times = handed_over(Channel::Whatsapp.rate_limit(), ready);
            prop_assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= TimeDelta::milliseconds(500)));
            // Of any so many in a row, all but a burst took their six seconds.
            for (first, start) in times.iter().enumerate() {
                for (count, end) in times[first..].iter().enumerate().skip(45) {
                    let most = 45 + (*end - *start).num_milliseconds() / 6_000;
                    prop_assert!(i64::try_from(count + 1).unwrap() <= most, "{} in {}", count + 1, *end - *start);
                }
            }
        }
    }
}
