//! How fast the messages of one conversation may follow each other.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// How fast a channel lets the messages of one conversation follow each other. Waiting is a matter
/// of when the next bell rings; no worker sleeps over it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pace {
    /// The shortest time between two messages.
    pub gap: TimeDelta,
    /// In the long run, one message each so long …
    pub each: TimeDelta,
    /// … but for so many that may be sent ahead of that.
    pub burst: i32,
}

/// How much of its pace a conversation has used. Kept with the conversation; nothing is kept where
/// there is no pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Paced {
    /// When its last message was handed over.
    pub last: DateTime<Utc>,
    /// When all that were handed over would have been, at one message [each so long](Pace::each).
    pub even: DateTime<Utc>,
}

impl Pace {
    /// As fast as the provider takes them.
    pub const FREE: Pace = Pace { gap: TimeDelta::zero(), each: TimeDelta::zero(), burst: 1 };

    /// When the next message may be handed over at the earliest.
    #[must_use]
    pub fn earliest(&self, paced: Option<Paced>) -> Option<DateTime<Utc>> {
        let ahead = self.each * (self.burst - 1);
        paced.map(|paced| (paced.last + self.gap).max(paced.even - ahead))
    }

    /// What is used when a message is handed over at `now`.
    #[must_use]
    pub fn after(&self, paced: Option<Paced>, now: DateTime<Utc>) -> Option<Paced> {
        let even = paced.map_or(now, |paced| paced.even.max(now)) + self.each;
        (*self != Pace::FREE).then_some(Paced { last: now, even })
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
        pace: Pace,
        ready: impl IntoIterator<Item = DateTime<Utc>>,
    ) -> Vec<DateTime<Utc>> {
        let (mut paced, mut now) = (None, NOW);
        let mut hand_over = |ready: DateTime<Utc>| {
            now = now.max(ready).max(pace.earliest(paced).unwrap_or(now));
            paced = pace.after(paced, now);
            now
        };
        ready.into_iter().map(&mut hand_over).collect()
    }

    #[test]
    fn without_a_pace_nothing_waits_and_nothing_is_kept() {
        assert_eq!(Pace::FREE.after(None, NOW), None);
        assert_eq!(Pace::FREE.earliest(None), None);
    }

    #[test]
    fn whatsapp_takes_a_burst_with_gaps_and_then_one_in_six_seconds() {
        let times = handed_over(Channel::Whatsapp.pace(), vec![NOW; 100]);
        let waits: Vec<i64> =
            times.windows(2).map(|pair| (pair[1] - pair[0]).num_milliseconds()).collect();
        // The burst is longer by what becomes due while it lasts.
        let burst = waits.iter().take_while(|wait| **wait == 500).count() + 1;
        assert_eq!(burst, 49);
        assert!(waits[burst..].iter().all(|wait| *wait == 6_000), "{waits:?}");
    }

    #[test]
    fn whoever_was_silent_for_long_may_burst_again() {
        let pace = Channel::Whatsapp.pace();
        let later = NOW + TimeDelta::hours(1);
        let times = handed_over(pace, [vec![NOW; 45], vec![later; 45]].concat());
        assert_eq!(times[45], later);
        assert!(times[44] < NOW + SECOND * 30 && times[89] < later + SECOND * 30);
    }

    proptest! {
        #[test]
        fn whenever_they_come_no_messages_are_closer_than_they_may_be(gaps in prop::collection::vec(0i64..20_000, 1..200)) {
            let mut ready = NOW;
            let ready = gaps.into_iter().map(|gap| { ready += TimeDelta::milliseconds(gap); ready });
            let times = handed_over(Channel::Whatsapp.pace(), ready);
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
