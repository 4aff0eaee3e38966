//! The requests of each credential to each operation, counted in this process.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::cache::TtlCache;
use crate::service_limits::{self, ServiceLimit};
use crate::table::{RequestContext, key};
use domain::Operation;
use domain::problem::Refusal;
use domain::rate_limit::RateLimitState;
use domain::request_limit::{RequestDecision, RequestLimit};

/// Longer than the minute in which the bucket of the smallest plan fills.
const TTL: Duration = Duration::from_secs(120);

/// How many buckets are remembered at once, in some three megabytes; a full cache forgets all, and
/// then each is full.
const MAX_BUCKETS: usize = 10_000;

/// The name of the limit in `RateLimit` and `RateLimit-Policy`.
const POLICY: &str = "requests";

/// A bucket for each credential and operation. Lambda gives a process one request at a time, and
/// prefers the process that was used last: one caller that waits for its answers is mostly counted
/// in one process, and one that sends on `n` connections at once gets at most `n` times as much.
#[derive(Debug, Clone)]
pub(crate) struct RequestRates(TtlCache<(key::Key, Operation), RateLimitState>);

impl Default for RequestRates {
    fn default() -> RequestRates {
        RequestRates(TtlCache::new(TTL, MAX_BUCKETS))
    }
}

impl RequestRates {
    /// Counts one more request of a credential that is vouched for, by its plan, and notes for the
    /// answer what is left.
    ///
    /// # Errors
    /// [`Refusal::TooManyRequests`].
    pub(crate) fn count(
        &self,
        context: &RequestContext,
        operation: Operation,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        let RequestRates(buckets) = self;
        let plan = context.plan.as_ref();
        let limit = RequestLimit::of_plan(plan.and_then(|plan| plan.requests_per_minute));
        let bucket = (context.credential_key(), operation);

        let (level, refusal) = match limit.decide(buckets.get(&bucket), now) {
            RequestDecision::Allowed(state, level) => {
                buckets.insert(bucket, state);
                (level, Ok(()))
            }
            RequestDecision::Refused(level) => (
                level,
                Err(Refusal::TooManyRequests {
                    most: limit.quota(),
                    window_seconds: limit.window_seconds(),
                    retry_after_seconds: level.seconds_to_next,
                }),
            ),
        };

        service_limits::note(ServiceLimit {
            policy: POLICY,
            quota: limit.quota(),
            window_seconds: limit.window_seconds(),
            remaining: level.remaining,
            seconds_to_more: level.seconds_to_next,
        });
        refusal
    }
}
