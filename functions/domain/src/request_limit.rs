//! How many requests one credential may make to one operation of the API.
//!
//! The limit is the plan's, and each credential has a bucket for each operation: a program that
//! reads in a loop stops no message, and an agent is not slowed down by a program of the business.
//! Each process of a function has buckets of its own, so that a request costs no call for them.

use chrono::{DateTime, TimeDelta, Utc};

use crate::rate_limit::{RateLimit, RateLimitState};
use crate::scope::Scope;

/// The requests a minute of a plan that says nothing else: ten a second. It is far more than an
/// agent types, and half of what one shard of a month counts (`Plan::shards`, infra/OPERATIONS.md),
/// so that one credential in one process leaves room for the others of its business.
pub const DEFAULT_REQUESTS_PER_MINUTE: u32 = 600;

/// The most requests a minute that a plan may allow: what API Gateway lets through for all callers
/// together (`ApiRate` in template.yaml).
pub const MAX_REQUESTS_PER_MINUTE: u32 = 60_000;

/// How much of a minute's requests may come at once: those of ten seconds. A larger bucket would
/// let a program in a loop, which makes some 20 requests a second in one process, run for minutes
/// before it is noticed.
const BUCKETS_PER_MINUTE: u32 = 6;

/// An operation of the API that needs a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Sends a message.
    SendMessage,
    /// Uploads or announces a file.
    UploadFile,
    /// Lists messages of a conversation.
    ListMessages,
    /// Lists messages of a business that did not arrive.
    ListExceptions,
    /// Reads one message.
    ReadMessage,
    /// Reads the month's usage.
    ReadUsage,
    /// Lists events.
    ListEvents,
    /// Reads endpoints, and what was sent to them.
    ReadEndpoints,
    /// Makes, changes, deletes or tries out an endpoint, or has events sent to it again.
    ManageEndpoints,
}

impl Operation {
    /// Returns the scope that the credential has to have.
    #[must_use]
    pub fn scope(self) -> Scope {
        match self {
            Operation::SendMessage | Operation::UploadFile => Scope::Send,
            Operation::ListMessages
            | Operation::ListExceptions
            | Operation::ReadMessage
            | Operation::ReadUsage
            | Operation::ListEvents => Scope::Read,
            Operation::ReadEndpoints | Operation::ManageEndpoints => Scope::Webhooks,
        }
    }
}

/// How fast the requests of one credential to one operation may follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimit(RateLimit);

/// The decision about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestDecision {
    /// It is allowed, and this is what the bucket holds then.
    Allowed(RateLimitState, BucketLevel),
    /// The bucket is empty. Nothing changes it but time.
    Refused(BucketLevel),
}

/// The contents of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketLevel {
    /// Requests that may still come at once.
    pub remaining: u64,
    /// Seconds until there is one more, rounded up; at least 1.
    pub seconds_to_next: u64,
}

impl RequestLimit {
    /// Makes the limit of a plan, from 1 to [`MAX_REQUESTS_PER_MINUTE`] requests a minute; `None`
    /// for one that says nothing.
    #[must_use]
    pub fn of_plan(requests_per_minute: Option<u32>) -> RequestLimit {
        let requests = requests_per_minute.unwrap_or(DEFAULT_REQUESTS_PER_MINUTE);
        let requests = i32::try_from(requests.clamp(1, MAX_REQUESTS_PER_MINUTE))
            .expect("60,000 fit into 31 bits");

        RequestLimit(RateLimit {
            min_gap: TimeDelta::zero(),
            interval: TimeDelta::minutes(1) / requests,
            burst: (requests / BUCKETS_PER_MINUTE.cast_signed()).max(1),
        })
    }

    /// Returns how many requests a full bucket holds.
    #[must_use]
    pub fn quota(self) -> u64 {
        self.0.burst.unsigned_abs().into()
    }

    /// Returns the seconds in which an empty bucket fills, rounded up.
    #[must_use]
    pub fn window_seconds(self) -> u64 {
        seconds(self.0.interval * self.0.burst)
    }

    /// Decides about one more request.
    #[must_use]
    pub fn decide(self, state: Option<RateLimitState>, now: DateTime<Utc>) -> RequestDecision {
        let RequestLimit(limit) = self;
        // Whatever the plan was then, the last request left the bucket empty at most.
        // A clock that was set back fills it.
        let state = state.filter(|state| state.last_at <= now).map(|state| RateLimitState {
            conforms_at: state.conforms_at.min(state.last_at + limit.interval * limit.burst),
            ..state
        });

        if limit.earliest(state).is_some_and(|earliest| now < earliest) {
            return RequestDecision::Refused(self.level(state, now));
        }
        let after = limit.after_use(state, now).expect("every plan has a limit");
        RequestDecision::Allowed(after, self.level(Some(after), now))
    }

    fn level(self, state: Option<RateLimitState>, now: DateTime<Utc>) -> BucketLevel {
        let RequestLimit(limit) = self;
        let ahead = state.map_or(TimeDelta::zero(), |state| state.conforms_at - now);
        let used = nanoseconds(ahead).div_ceil(nanoseconds(limit.interval));
        let remaining = self.quota().saturating_sub(used);

        let next =
            ahead - limit.interval * i32::try_from(used.saturating_sub(1)).unwrap_or(i32::MAX);
        BucketLevel { remaining, seconds_to_next: seconds(next).max(1) }
    }
}

fn nanoseconds(time: TimeDelta) -> u64 {
    time.num_nanoseconds().unwrap_or(i64::MAX).max(0).unsigned_abs()
}

fn seconds(time: TimeDelta) -> u64 {
    nanoseconds(time).div_ceil(1_000_000_000)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    /// Makes requests at these times, and returns which were allowed, and what each was told.
    fn requests(
        limit: RequestLimit,
        times: impl IntoIterator<Item = DateTime<Utc>>,
    ) -> Vec<(DateTime<Utc>, bool, BucketLevel)> {
        let mut state = None;
        let mut decide = |now| match limit.decide(state, now) {
            RequestDecision::Allowed(after, level) => {
                state = Some(after);
                (now, true, level)
            }
            RequestDecision::Refused(level) => (now, false, level),
        };
        times.into_iter().map(&mut decide).collect()
    }

    #[test]
    fn a_plan_that_says_nothing_allows_a_hundred_at_once_and_ten_a_second() {
        let limit = RequestLimit::of_plan(None);
        assert_eq!((limit.quota(), limit.window_seconds()), (100, 10));

        let told = requests(limit, vec![NOW; 101]);
        assert_eq!(told[0].2, BucketLevel { remaining: 99, seconds_to_next: 1 });
        assert_eq!(told[99], (NOW, true, BucketLevel { remaining: 0, seconds_to_next: 1 }));
        assert_eq!(told[100], (NOW, false, BucketLevel { remaining: 0, seconds_to_next: 1 }));
    }

    #[test]
    fn the_smallest_plan_allows_one_request_a_minute_and_the_largest_a_thousand_a_second() {
        for (plan, quota, window) in
            [(0, 1, 60), (1, 1, 60), (11, 1, 6), (60, 10, 10), (700, 116, 10)]
        {
            let limit = RequestLimit::of_plan(Some(plan));
            assert_eq!((limit.quota(), limit.window_seconds()), (quota, window), "{plan}");
        }
        for plan in [MAX_REQUESTS_PER_MINUTE, u32::MAX] {
            let limit = RequestLimit::of_plan(Some(plan));
            assert_eq!((limit.quota(), limit.window_seconds()), (10_000, 10));
        }
    }

    #[test]
    fn a_refused_request_takes_nothing_and_is_allowed_after_the_seconds_that_it_was_told() {
        let told = requests(RequestLimit::of_plan(Some(1)), vec![NOW; 9]);
        let wait = TimeDelta::seconds(60);
        assert!(
            told[1..].iter().all(|(_, allowed, level)| !allowed && level.seconds_to_next == 60)
        );

        let times = [vec![NOW; 9], vec![NOW + wait, NOW + wait]].concat();
        let allowed = requests(RequestLimit::of_plan(Some(1)), times);
        assert_eq!((allowed[9].1, allowed[10].1), (true, false));
    }

    #[test]
    fn a_larger_plan_fills_an_empty_bucket_and_so_does_a_clock_that_was_set_back() {
        let RequestDecision::Allowed(state, _) = RequestLimit::of_plan(Some(1)).decide(None, NOW)
        else {
            panic!("the bucket was full")
        };
        let larger = RequestLimit::of_plan(Some(60));
        let empty = BucketLevel { remaining: 0, seconds_to_next: 1 };
        assert_eq!(larger.decide(Some(state), NOW), RequestDecision::Refused(empty));
        for later in [TimeDelta::seconds(1), TimeDelta::days(-1)] {
            let decision = larger.decide(Some(state), NOW + later);
            assert!(matches!(decision, RequestDecision::Allowed(..)), "{decision:?}");
        }
    }

    proptest! {
        /// In every span of time no more than a bucket and what flows into it is allowed, a refusal
        /// was unavoidable, and what a caller is told comes true.
        #[test]
        fn requests_at_any_time_keep_the_limit(
            plan in 1u32..2_000,
            gaps in prop::collection::vec(0i64..3_000, 1..60),
        ) {
            let limit = RequestLimit::of_plan(Some(plan));
            let mut now = NOW;
            let times: Vec<_> = gaps.into_iter().map(|gap| {
                now += TimeDelta::milliseconds(gap);
                now
            }).collect();
            let told = requests(limit, times);

            let allowed: Vec<_> = told.iter().filter(|told| told.1).map(|told| told.0).collect();
            for (first, start) in allowed.iter().enumerate() {
                for (count, end) in (1u64..).zip(&allowed[first..]) {
                    let flown_in = nanoseconds(*end - *start) / nanoseconds(limit.0.interval);
                    prop_assert!(count <= limit.quota() + flown_in);
                }
            }

            for (place, (now, is_allowed, level)) in told.iter().enumerate() {
                prop_assert!(level.remaining < limit.quota());
                prop_assert!(*is_allowed || level.remaining == 0);
                // As many as remain are allowed at once, and then after the seconds that were told.
                let until = told[..=place].iter().map(|told| told.0);
                let remaining = usize::try_from(level.remaining).unwrap();
                let more = std::iter::repeat_n(*now, remaining);
                let later = *now + TimeDelta::seconds(level.seconds_to_next.cast_signed());
                let again = requests(limit, until.chain(more).chain([*now, later]));
                let after = &again[place + 1..];
                prop_assert!(after[..remaining].iter().all(|told| told.1));
                prop_assert!(!after[remaining].1 && after[remaining + 1].1);
            }
        }
    }
}
