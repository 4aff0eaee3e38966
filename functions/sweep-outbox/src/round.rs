//! Whether a sweep rings. A bell that waits in its queue gets no faster by a second one; and while
//! workers are behind, or gone, a bell for each conversation and minute would bury them.

use chrono::{DateTime, TimeDelta, Utc};

use platform::table::SweepRound;

/// So few are rung for without asking what waits in the queue already.
pub(crate) const FEW: usize = 100;

/// How long a sweep relies on the bells that a queue says it has. The queue may have others than
/// those that are missing.
pub(crate) const PATIENCE: TimeDelta = TimeDelta::minutes(30);

/// A sweep's decision about one queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It rings for all that is due.
    Begin,
    /// It rings for those that the sweep before had no time for.
    GoOn,
    /// It rings for none: the queue has bells for them.
    Wait,
}

/// Returns what to do about a queue that holds `depth` bells, for which `due` entries are due, and
/// of which `round` is remembered.
#[must_use]
pub(crate) fn turn(
    round: Option<&SweepRound>,
    due: usize,
    depth: usize,
    now: DateTime<Utc>,
) -> Turn {
    match round {
        Some(round) if !round.left.is_empty() => Turn::GoOn,
        // Half of them, since SQS counts roughly and about a minute late.
        _ if due < FEW || depth < due / 2 => Turn::Begin,
        Some(round) if now - round.began >= PATIENCE => Turn::Begin,
        _ => Turn::Wait,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn turn_of(minutes: Option<i64>, left: &[&str], due: usize, depth: usize) -> Turn {
        let now = DateTime::UNIX_EPOCH + TimeDelta::days(20_000);
        let round = minutes.map(|minutes| SweepRound {
            began: now - TimeDelta::minutes(minutes),
            left: left
                .iter()
                .map(|bucket| ((*bucket).to_owned(), None))
                .collect::<BTreeMap<_, _>>(),
        });
        turn(round.as_ref(), due, depth, now)
    }

    #[test]
    fn a_queue_that_has_the_bells_gets_no_others_for_half_an_hour() {
        assert_eq!(turn_of(None, &[], 1_000, 0), Turn::Begin, "the queue lost them");
        assert_eq!(turn_of(None, &[], 1_000, 499), Turn::Begin, "it has not half of them");
        assert_eq!(turn_of(None, &[], 1_000, 500), Turn::Wait);
        assert_eq!(turn_of(Some(29), &[], 1_000, 1_000), Turn::Wait);
        assert_eq!(turn_of(Some(30), &[], 1_000, 1_000), Turn::Begin, "they may be others'");
    }

    #[test]
    fn few_are_always_rung_for() {
        assert_eq!(turn_of(None, &[], 99, 100_000), Turn::Begin);
        assert_eq!(turn_of(Some(1), &[], 99, 100_000), Turn::Begin);
        assert_eq!(turn_of(None, &[], 100, 100_000), Turn::Wait);
    }

    #[test]
    fn what_there_was_no_time_for_goes_first() {
        assert_eq!(turn_of(Some(1), &["chat#0"], 100_000, 80_000), Turn::GoOn);
        assert_eq!(turn_of(Some(90), &["chat#0"], 0, 0), Turn::GoOn);
    }
}
