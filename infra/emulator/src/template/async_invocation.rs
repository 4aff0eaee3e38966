//! `EventInvokeConfig`: for how long, and how often, Lambda tries an event that its source does not
//! wait for.
//! <https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-configuring.html>

use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::TemplateError;
use super::properties::Properties;

/// The seconds that an event may wait; the longest is the default.
const AGES: RangeInclusive<u64> = 60..=21_600;

/// The times that a failed event may be tried again; the most are the default.
const RETRIES: RangeInclusive<usize> = 0..=2;

/// How a function is invoked by a source that does not wait for its answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsyncInvocation {
    /// Age at which an event that could not run is dropped.
    pub max_age: Duration,
    /// Times that an event is tried again after the function failed on it.
    pub max_retries: usize,
}

impl Default for AsyncInvocation {
    fn default() -> Self {
        Self { max_age: Duration::from_secs(*AGES.end()), max_retries: *RETRIES.end() }
    }
}

impl AsyncInvocation {
    pub(super) fn read(mut properties: Properties<'_>) -> Result<Self, TemplateError> {
        let age = properties.parsed("MaximumEventAgeInSeconds")?.unwrap_or(*AGES.end());
        let retries = properties.parsed("MaximumRetryAttempts")?.unwrap_or(*RETRIES.end());
        if !AGES.contains(&age) {
            return Err(properties.error(format!("MaximumEventAgeInSeconds is in {AGES:?}")));
        }
        if !RETRIES.contains(&retries) {
            return Err(properties.error(format!("MaximumRetryAttempts is in {RETRIES:?}")));
        }

        properties.finish(&["DestinationConfig", "Qualifier"])?;

        Ok(Self { max_age: Duration::from_secs(age), max_retries: retries })
    }
}
