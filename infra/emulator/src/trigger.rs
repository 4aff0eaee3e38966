//! The trigger that every kind of fault shares: which of the calls that a fault is about it hits.

use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// When a fault hits, and on which side of the call's effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    /// How likely a call is hit, 0 to 1.
    #[serde(default = "always")]
    pub probability: f64,
    /// How many calls are hit before the fault is used up; without it the fault lasts until it is
    /// cleared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// How many calls that it would hit are let through first: 2 fails a worker's third write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<u32>,
    /// Whether the call takes effect first, so that only its answer is lost.
    #[serde(default)]
    pub after_effect: bool,
}

/// The probability is out of range.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("`probability` {0} is not between 0 and 1")]
pub struct ProbabilityError(f64);

impl Default for Trigger {
    /// Hits every call, before its effect, until the fault is cleared.
    fn default() -> Self {
        Self { probability: always(), times: None, skip: None, after_effect: false }
    }
}

impl Trigger {
    /// Checks the probability.
    ///
    /// # Errors
    /// [`ProbabilityError`] if it is not between 0 and 1.
    pub fn check(&self) -> Result<(), ProbabilityError> {
        match (0.0..=1.0).contains(&self.probability) {
            true => Ok(()),
            false => Err(ProbabilityError(self.probability)),
        }
    }

    /// Decides whether a call is hit, and counts it: against `skip` if it is let through, against
    /// `times` if it is hit.
    pub fn hits(&mut self, rng: &mut impl Rng) -> bool {
        if self.is_used_up() || !rng.random_bool(self.probability) {
            return false;
        }

        if let Some(skip) = self.skip.as_mut().filter(|skip| **skip > 0) {
            *skip -= 1;
            return false;
        }

        self.times = self.times.map(|times| times - 1);
        true
    }

    /// Returns whether it hits nothing any more.
    pub fn is_used_up(&self) -> bool {
        self.times == Some(0)
    }
}

fn always() -> f64 {
    1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hits(trigger: &mut Trigger, calls: usize) -> Vec<bool> {
        (0..calls).map(|_| trigger.hits(&mut rand::rng())).collect()
    }

    #[test]
    fn calls_are_skipped_and_counted() {
        let mut trigger = Trigger { skip: Some(2), times: Some(1), ..Trigger::default() };
        assert_eq!(hits(&mut trigger, 4), [false, false, true, false]);
        assert!(trigger.is_used_up());
    }

    #[test]
    fn a_trigger_without_times_lasts() {
        assert_eq!(hits(&mut Trigger::default(), 3), [true; 3]);
        let never = Trigger { probability: 0.0, ..Trigger::default() };
        assert_eq!(hits(&mut never.clone(), 3), [false; 3]);
        assert!(Trigger { probability: 1.5, ..never }.check().is_err());
    }
}
