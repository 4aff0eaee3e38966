//! The outcome of each attempt to hand a message over. The status says how far the message has
//! come; the history says how it got there.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::outcome::Reason;

/// How many attempts are kept from the beginning of a long history: they show how it began to go
/// wrong.
pub const FIRST_ATTEMPTS_KEPT: usize = 5;

/// How many attempts are kept from its end: they show what is wrong now.
pub const LAST_ATTEMPTS_KEPT: usize = 15;

/// An attempt that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// Its number, from 1.
    pub attempt: u32,
    /// When it began.
    pub at: DateTime<Utc>,
    /// How it ended.
    pub outcome: AttemptOutcome,
    /// The cause; `None` if the provider took the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttemptOutcome {
    /// The provider took the message.
    Sent,
    /// The provider will never take the message.
    Refused,
    /// The provider may take the message later.
    Postponed,
    /// Unknown: no answer came, or the worker died before it stored the answer.
    InDoubt,
}

impl AttemptOutcome {
    /// Every outcome there is.
    pub const ALL: [AttemptOutcome; 4] = [
        AttemptOutcome::Sent,
        AttemptOutcome::Refused,
        AttemptOutcome::Postponed,
        AttemptOutcome::InDoubt,
    ];
}

/// Attempts, oldest first, each once. At most [`FIRST_ATTEMPTS_KEPT`] + [`LAST_ATTEMPTS_KEPT`] are
/// kept; a gap in the numbers shows where others were left out.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct History(Vec<Attempt>);

impl History {
    /// True if no attempt has ended yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns why the last attempt did not succeed; `None` if it did, or none has ended.
    #[must_use]
    pub fn last_reason(&self) -> Option<Reason> {
        self.0.last()?.reason.clone()
    }

    /// Returns the history with one more attempt. An attempt that is in the history already, or
    /// older than its last one, changes nothing.
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

    fn numbers_kept(numbers: impl IntoIterator<Item = u32>) -> Vec<u32> {
        let history = numbers
            .into_iter()
            .fold(History::default(), |history, number| history.with(attempt(number)));
        history.into_iter().map(|attempt| attempt.attempt).collect()
    }

    #[test]
    fn a_short_history_is_kept_in_full_and_a_long_one_at_both_ends() {
        assert_eq!(numbers_kept(1..=20), Vec::from_iter(1..=20));
        assert_eq!(numbers_kept(1..=MAX_ATTEMPTS), Vec::from_iter((1..=5).chain(106..=120)));
    }

    #[test]
    fn only_a_history_without_attempts_is_empty() {
        assert!(History::default().is_empty());
        assert!(!History::default().with(attempt(1)).is_empty());
    }

    #[test]
    fn a_recorded_attempt_does_not_change() {
        let history = History::default().with(attempt(1));
        let again = Attempt { outcome: AttemptOutcome::InDoubt, ..attempt(1) };
        assert_eq!(history.with(again), history);
        assert_eq!(history.with(attempt(0)), history, "there is no attempt 0");
    }

    proptest! {
        #[test]
        fn attempts_are_kept_in_order_and_once(
            numbers in proptest::collection::vec(0u32..60, 0..200),
        ) {
            let kept = numbers_kept(numbers.clone());
            let max_kept = FIRST_ATTEMPTS_KEPT + LAST_ATTEMPTS_KEPT;
            prop_assert!(kept.is_sorted_by(|one, next| one < next) && kept.len() <= max_kept);
            let last = numbers.into_iter().max().unwrap_or(0);
            prop_assert_eq!(kept.last().copied().unwrap_or(0), last);
        }
    }
}
