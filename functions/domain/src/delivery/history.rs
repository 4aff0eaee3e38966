//! What became of each attempt to hand a message over. How far the message has come is its status;
//! this is how it got there.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::outcome::Reason;

/// How many attempts are told from the beginning of a long history: they say how it began to go
/// wrong.
pub const FIRST_ATTEMPTS_KEPT: usize = 5;

/// How many attempts are told from its end: they say what is wrong now.
pub const LAST_ATTEMPTS_KEPT: usize = 15;

/// An attempt that was begun, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its number, from 1.
    pub attempt: u32,
    /// When it was begun.
    pub at: DateTime<Utc>,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// Why; nothing was wrong if the provider took it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// The provider took the message.
    Sent,
    /// It never will.
    Refused,
    /// It may later.
    Postponed,
    /// Nobody knows: no answer came, or none was written down.
    InDoubt,
}

impl AttemptOutcome {
    /// Every ending there is.
    pub const ALL: [AttemptOutcome; 4] = [
        AttemptOutcome::Sent,
        AttemptOutcome::Refused,
        AttemptOutcome::Postponed,
        AttemptOutcome::InDoubt,
    ];
}

/// Attempts, oldest first, each once. At most [`FIRST_ATTEMPTS_KEPT`] + [`LAST_ATTEMPTS_KEPT`] are kept; the numbers
/// show where some were left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct History(Vec<Attempt>);

impl History {
    /// Whether no attempt has ended yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// With one more attempt. What is told of one stays: whoever tells it again, or tells of one
    /// before, changes nothing.
    #[must_use]
    pub fn with(&self, attempt: Attempt) -> History {
        let mut all = self.0.clone();
        if attempt.attempt > all.last().map_or(0, |last| last.attempt) {
            all.push(attempt);
        }
        if all.len() > FIRST_ATTEMPTS_KEPT + LAST_ATTEMPTS_KEPT {
            all.remove(FIRST_ATTEMPTS_KEPT);
        }
        History(all)
    }
}

impl IntoIterator for History {
    type Item = Attempt;
    type IntoIter = std::vec::IntoIter<Attempt>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::delivery::MAX_ATTEMPTS;

    fn attempt(number: u32) -> Attempt {
        let outcome = AttemptOutcome::ALL[number as usize % AttemptOutcome::ALL.len()];
        Attempt { attempt: number, at: DateTime::UNIX_EPOCH, outcome, reason: None }
    }

    fn told(numbers: impl IntoIterator<Item = u32>) -> Vec<u32> {
        let history = numbers
            .into_iter()
            .fold(History::default(), |history, number| history.with(attempt(number)));
        history.into_iter().map(|attempt| attempt.attempt).collect()
    }

    #[test]
    fn a_short_history_is_told_in_full_and_of_a_long_one_its_beginning_and_its_end() {
        assert_eq!(told(1..=20), Vec::from_iter(1..=20));
        assert_eq!(told(1..=MAX_ATTEMPTS), Vec::from_iter((1..=5).chain(106..=120)));
    }

    #[test]
    fn only_a_history_without_attempts_is_empty() {
        assert!(History::default().is_empty());
        assert!(!History::default().with(attempt(1)).is_empty());
    }

    #[test]
    fn what_is_told_of_an_attempt_stays() {
        let history = History::default().with(attempt(1));
        let again = Attempt { outcome: AttemptOutcome::InDoubt, ..attempt(1) };
        assert_eq!(history.with(again), history);
        assert_eq!(history.with(attempt(0)), history, "there is no attempt 0");
    }

    proptest! {
        #[test]
        fn attempts_are_told_in_order_and_once(numbers in proptest::collection::vec(0u32..60, 0..200)) {
            let told = told(numbers.clone());
            prop_assert!(told.is_sorted_by(|one, next| one < next) && told.len() <= FIRST_ATTEMPTS_KEPT + LAST_ATTEMPTS_KEPT);
            prop_assert_eq!(told.last().copied().unwrap_or(0), numbers.into_iter().max().unwrap_or(0));
        }
    }
}
