//! When a delivery is tried again and when it is given up; when an endpoint is left alone for a
//! while, and when it is switched off.

use std::time::Duration;

use chrono::serde::ts_milliseconds_option;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// How long an endpoint may take to answer.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The wait after the first attempt that failed; it doubles with each further one.
pub const FIRST_RETRY: TimeDelta = TimeDelta::seconds(10);

/// The longest wait between two attempts, also if the endpoint asks for a longer one.
pub const LONGEST_RETRY: TimeDelta = TimeDelta::hours(12);

/// How long a delivery is tried: 17 attempts or so.
pub const GIVE_UP_AFTER: TimeDelta = TimeDelta::days(3);

/// How long an endpoint may fail, without one success in between, until it is switched off.
pub const DISABLE_AFTER: TimeDelta = TimeDelta::days(5);

/// How many attempts in a row may fail until an endpoint is left alone for a while. Fewer would
/// hold up an endpoint that does not take one event and takes all others.
const FAILURES_UNTIL_QUIET: u32 = 10;

/// The longest time for which an endpoint is left alone: then one delivery tries whether it is
/// back.
const LONGEST_QUIET: TimeDelta = TimeDelta::minutes(15);

/// The meaning of an endpoint's answer, or of the lack of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptResult {
    /// The endpoint has the event.
    Delivered,
    /// There is no such endpoint any more ([410](https://www.rfc-editor.org/rfc/rfc9110#section-15.5.11)).
    Gone,
    /// The endpoint may take the event later.
    Failed,
}

impl AttemptResult {
    /// Reads an answer's status; `None` if there was no answer in time. A redirect is a failure: it
    /// is not followed.
    #[must_use]
    pub fn of_status(status: Option<u16>) -> AttemptResult {
        match status {
            Some(200..=299) => AttemptResult::Delivered,
            Some(410) => AttemptResult::Gone,
            _ => AttemptResult::Failed,
        }
    }
}

/// The consequence of an attempt that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextAttempt {
    /// Another one, at this time.
    At(DateTime<Utc>),
    /// None.
    GiveUp,
}

/// Returns how long an endpoint asks to be left alone, by its answer's status and `Retry-After`:
/// seconds, or a date ([RFC 9110 §10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)).
/// Only answers that say "not now" are asked; a wait is at most [`LONGEST_RETRY`].
#[must_use]
pub fn asked_wait(
    status: Option<u16>,
    retry_after: Option<&str>,
    now: DateTime<Utc>,
) -> Option<TimeDelta> {
    let text = retry_after.filter(|_| matches!(status, Some(429 | 503)))?.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let wait = if is_number {
        let seconds = text.parse().unwrap_or(i64::MAX);
        TimeDelta::try_seconds(seconds).unwrap_or(TimeDelta::MAX)
    } else {
        DateTime::parse_from_rfc2822(text).ok()?.to_utc() - now
    };
    Some(wait.clamp(TimeDelta::zero(), LONGEST_RETRY))
}

/// Decides what follows the attempt `attempts`, the number of this one, of a delivery that was due
/// first at `since`. `jitter` is from 0 to 1, and spreads attempts by a fifth in both directions.
/// The next attempt is never earlier than the endpoint asks for ([`asked_wait`]).
#[must_use]
pub fn after_failure(
    attempts: u32,
    since: DateTime<Utc>,
    now: DateTime<Utc>,
    jitter: f64,
    asked: Option<TimeDelta>,
) -> NextAttempt {
    let own = spread(doubled(FIRST_RETRY, attempts.saturating_sub(1), LONGEST_RETRY), jitter);
    let at = now + own.max(asked.unwrap_or_default());
    if at - since > GIVE_UP_AFTER { NextAttempt::GiveUp } else { NextAttempt::At(at) }
}

fn doubled(first: TimeDelta, times: u32, most: TimeDelta) -> TimeDelta {
    let factor = 1_i32 << times.min(20);
    (first * factor).min(most)
}

fn spread(wait: TimeDelta, jitter: f64) -> TimeDelta {
    let milliseconds = wait.num_milliseconds() as f64 * (0.8 + 0.4 * jitter.clamp(0.0, 1.0));
    TimeDelta::milliseconds(milliseconds as i64)
}

/// How an endpoint has answered of late.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EndpointHealth {
    /// When the first attempt failed after the last success.
    #[serde(default, with = "ts_milliseconds_option", skip_serializing_if = "Option::is_none")]
    pub failing_since: Option<DateTime<Utc>>,
    /// How many attempts have failed since then.
    #[serde(default)]
    pub failures: u32,
    /// Until when it is left alone.
    #[serde(default, with = "ts_milliseconds_option", skip_serializing_if = "Option::is_none")]
    pub quiet_until: Option<DateTime<Utc>>,
}

impl EndpointHealth {
    /// Returns the health after one more attempt that failed.
    #[must_use]
    pub fn after_failure(self, now: DateTime<Utc>) -> EndpointHealth {
        let failures = self.failures.saturating_add(1);
        let beyond = failures.checked_sub(FAILURES_UNTIL_QUIET);
        let quiet = beyond.map(|beyond| doubled(FIRST_RETRY, beyond, LONGEST_QUIET));
        EndpointHealth {
            failing_since: self.failing_since.or(Some(now)),
            failures,
            quiet_until: quiet.map(|quiet| now + quiet),
        }
    }

    /// Returns the time until which it is left alone, if that is not over.
    #[must_use]
    pub fn is_quiet(self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.quiet_until.filter(|until| now < *until)
    }

    /// True if it has failed for so long that it is switched off.
    #[must_use]
    pub fn is_hopeless(self, now: DateTime<Utc>) -> bool {
        self.failing_since.is_some_and(|since| now - since >= DISABLE_AFTER)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    #[test]
    fn an_answer_of_success_alone_is_a_delivery() {
        for status in 100..=999 {
            let expected = match status {
                200..=299 => AttemptResult::Delivered,
                410 => AttemptResult::Gone,
                _ => AttemptResult::Failed,
            };

            assert_eq!(AttemptResult::of_status(Some(status)), expected, "{status}");
        }

        assert_eq!(AttemptResult::of_status(None), AttemptResult::Failed);
    }

    #[test]
    fn waits_grow_from_ten_seconds_to_twelve_hours_for_three_days() {
        let mut now = NOW;
        let mut waits = Vec::new();
        for attempt in 1.. {
            match after_failure(attempt, NOW, now, 0.5, None) {
                NextAttempt::At(at) => {
                    waits.push((at - now).num_seconds());
                    now = at;
                }
                NextAttempt::GiveUp => break,
            }
        }

        assert_eq!(waits[..4], [10, 20, 40, 80]);
        assert_eq!(waits[11..14], [20_480, 40_960, 43_200]);
        assert_eq!(waits.len() + 1, 18, "attempts in three days");
    }

    #[test]
    fn an_endpoint_that_says_not_now_is_asked_when_to_come_again() {
        let now: DateTime<Utc> = "2026-10-21T07:00:00Z".parse().expect("a time");
        let asked = |text| asked_wait(Some(503), Some(text), now).map(|wait| wait.num_seconds());
        for (text, seconds) in [
            ("120", Some(120)),
            (" 120 ", Some(120)),
            ("0", Some(0)),
            ("43200", Some(43_200)),
            ("43201", Some(43_200)),
            ("9223372036854775807", Some(43_200)),
            ("99999999999999999999999", Some(43_200)),
            ("Wed, 21 Oct 2026 07:28:00 GMT", Some(28 * 60)),
            ("Wed, 21 Oct 2026 06:28:00 GMT", Some(0)),
            ("Thu, 21 Oct 2027 07:28:00 GMT", Some(43_200)),
            ("", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("soon", None),
        ] {
            assert_eq!(asked(text), seconds, "{text:?}");
        }

        assert_eq!(asked_wait(Some(429), Some("7"), now), Some(TimeDelta::seconds(7)));
        assert_eq!(asked_wait(Some(429), None, now), None);
        for status in [None, Some(200), Some(301), Some(500), Some(502)] {
            assert_eq!(asked_wait(status, Some("7"), now), None, "{status:?}");
        }
    }

    #[test]
    fn the_next_attempt_is_never_earlier_than_the_endpoint_asks_for() {
        let next = |attempts, age, asked| {
            let now = NOW + TimeDelta::hours(age);
            match after_failure(attempts, NOW, now, 0.5, asked) {
                NextAttempt::At(at) => Some((at - now).num_seconds()),
                NextAttempt::GiveUp => None,
            }
        };

        assert_eq!(next(1, 0, Some(TimeDelta::seconds(9))), Some(10), "the schedule's is later");
        assert_eq!(next(1, 0, Some(TimeDelta::hours(1))), Some(3_600));
        assert_eq!(next(9, 0, Some(TimeDelta::seconds(9))), Some(2_560));
        assert_eq!(next(1, 60, Some(LONGEST_RETRY)), Some(43_200), "at the end of three days");
        assert_eq!(next(1, 61, Some(LONGEST_RETRY)), None, "beyond them");
    }

    #[test]
    fn an_endpoint_is_left_alone_after_ten_failures_and_switched_off_after_five_days() {
        let mut health = EndpointHealth::default();
        for _ in 0..9 {
            health = health.after_failure(NOW);
        }

        assert_eq!(health.is_quiet(NOW), None);
        health = health.after_failure(NOW);
        assert_eq!(health.is_quiet(NOW), Some(NOW + TimeDelta::seconds(10)));
        assert_eq!(health.is_quiet(NOW + TimeDelta::seconds(10)), None);
        for _ in 0..50 {
            health = health.after_failure(NOW);
        }

        assert_eq!(health.is_quiet(NOW), Some(NOW + LONGEST_QUIET));

        assert!(!health.is_hopeless(NOW + DISABLE_AFTER - TimeDelta::milliseconds(1)));
        assert!(health.is_hopeless(NOW + DISABLE_AFTER));
        assert!(!EndpointHealth::default().is_hopeless(NOW + DISABLE_AFTER));
    }

    proptest! {
        #[test]
        fn a_retry_is_later_and_within_three_days(
            attempts in 1u32..100,
            age in 0i64..400_000,
            jitter in 0.0f64..1.0,
            asked in proptest::option::of(0i64..LONGEST_RETRY.num_seconds()),
        ) {
            let asked = asked.map(TimeDelta::seconds);
            let now = NOW + TimeDelta::seconds(age);
            match after_failure(attempts, NOW, now, jitter, asked) {
                NextAttempt::At(at) => {
                    prop_assert!(at >= now + TimeDelta::seconds(8).max(asked.unwrap_or_default()));
                    prop_assert!(at <= NOW + GIVE_UP_AFTER);
                }
                NextAttempt::GiveUp => {
                    prop_assert!(now + LONGEST_RETRY * 2 > NOW + GIVE_UP_AFTER);
                }
            }
        }
    }
}
