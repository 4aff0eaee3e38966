//! How a month's limit is spread over shards.
//!
//! DynamoDB rejects concurrent transactions on one item, so a business that sends many messages a
//! second counts them on several items. Each shard has a `used` that only grows and a `cap` that it
//! never passes; the caps add up to the limit at every moment. From that follows, without any
//! further coordination, that never more than the limit is accepted, and that a shard once seen
//! full stays full until the plan changes.

use serde::{Deserialize, Serialize};

/// The most shards a month is ever spread over: head and shards are opened in one transaction of at
/// most [100
/// actions](https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html),
/// and read back in one `BatchGetItem` of at most 100 keys.
pub const MAX_SHARDS: u16 = 64;

/// A shard is worth its while only if it holds a few messages; small limits use fewer shards than
/// the plan asks for, so that nobody has to look through many nearly empty ones for the last free
/// place.
const LEAST_PER_SHARD: u64 = 10;

/// One shard's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Messages counted here.
    pub used: u64,
    /// Messages that may be counted here.
    pub cap: u64,
}

impl Shard {
    /// Whether one more message fits.
    #[must_use]
    pub fn has_room(self) -> bool {
        self.used < self.cap
    }
}

/// How many shards a month with `limit` messages gets when the plan asks for `wanted`: 1 to
/// [`MAX_SHARDS`].
#[must_use]
pub fn shards_in_force(limit: u64, wanted: u16) -> u16 {
    let useful = u16::try_from(limit / LEAST_PER_SHARD).unwrap_or(u16::MAX);
    wanted.min(useful).clamp(1, MAX_SHARDS)
}

/// The shards of a month that nobody has used yet. Their caps add up to `limit` and differ by at
/// most one.
#[must_use]
pub fn open(limit: u64, wanted: u16) -> Vec<Shard> {
    let none = vec![0; usize::from(shards_in_force(limit, wanted))];
    recap(&none, limit, wanted)
}

/// New caps for shards that already hold `used` messages each, when the limit becomes `limit`.
///
/// What is free is spread as evenly as it goes. A limit below what is used leaves every shard
/// exactly full: nothing accepted is taken back, and nothing more fits. Shards are added when the
/// plan asks for more, and never removed.
#[must_use]
pub fn recap(used: &[u64], limit: u64, wanted: u16) -> Vec<Shard> {
    let count = used.len().max(usize::from(shards_in_force(limit, wanted)));
    let spent: u64 = used.iter().sum();
    let free = limit.saturating_sub(spent);
    let (each, rest) = (free / count as u64, free % count as u64);
    (0..count)
        .map(|i| {
            let used = used.get(i).copied().unwrap_or(0);
            Shard { used, cap: used + each + u64::from((i as u64) < rest) }
        })
        .collect()
}

/// A month as its owner sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Messages the month allows.
    pub limit: u64,
    /// Messages accepted in the month.
    pub used: u64,
}

impl Usage {
    /// Adds shards up.
    #[must_use]
    pub fn of(shards: &[Shard]) -> Usage {
        Usage {
            limit: shards.iter().map(|s| s.cap).sum(),
            used: shards.iter().map(|s| s.used).sum(),
        }
    }

    /// Messages that still fit.
    #[must_use]
    pub fn remaining(self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn small_limits_use_one_shard() {
        assert_eq!(open(0, 16), [Shard { used: 0, cap: 0 }]);
        assert_eq!(open(2, 16).len(), 1);
        assert_eq!(open(97, 16).len(), 9);
        assert_eq!(open(250, 16).len(), 16);
        assert_eq!(open(1_000_000, 200).len(), 64);
    }

    #[test]
    fn a_shard_has_room_until_it_is_at_its_cap() {
        let room = |used, cap| Shard { used, cap }.has_room();
        assert_eq!(
            [room(0, 1), room(4, 5), room(5, 5), room(6, 5), room(0, 0)],
            [true, true, false, false, false]
        );
    }

    #[test]
    fn what_remains_is_the_rest_of_the_limit_and_never_less_than_nothing() {
        let remaining = |limit, used| Usage { limit, used }.remaining();
        assert_eq!([remaining(5, 2), remaining(5, 5), remaining(5, 9)], [3, 0, 0]);
    }

    proptest! {
        #[test]
        fn caps_add_up_to_the_limit(limit in 0u64..10_000_000, wanted in 0u16..200) {
            let shards = open(limit, wanted);
            prop_assert_eq!(Usage::of(&shards), Usage { limit, used: 0 });
            let caps = || shards.iter().map(|s| s.cap);
            prop_assert!(caps().max().unwrap() - caps().min().unwrap() <= 1);
        }

        #[test]
        fn a_plan_change_keeps_what_is_used_and_the_sum(
            used in proptest::collection::vec(0u64..1000, 1..64), limit in 0u64..100_000, wanted in 0u16..100,
        ) {
            let spent: u64 = used.iter().sum();
            let shards = recap(&used, limit, wanted);
            prop_assert_eq!(Usage::of(&shards), Usage { limit: limit.max(spent), used: spent });
            prop_assert!(shards.iter().all(|s| s.used <= s.cap));
            prop_assert!(shards.len() >= used.len() && shards.len() <= usize::from(MAX_SHARDS));
            prop_assert!(used.iter().zip(&shards).all(|(before, after)| *before == after.used));
        }
    }
}
