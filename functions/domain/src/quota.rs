//! How a month's limit is split into shards.
//!
//! DynamoDB rejects concurrent transactions on one item, so a business that sends many messages a
//! second counts them on several items. Each shard has a `used` that only grows and a `cap` that it
//! never passes; the caps add up to the limit at every moment. So without further coordination, no
//! message beyond the limit is accepted, and a shard that was seen full stays full until the plan
//! changes.

use serde::{Deserialize, Serialize};

/// The most shards of a month: head and shards are opened in one transaction of at most [100
/// actions](https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html),
/// and read back in one `BatchGetItem` of at most 100 keys.
pub const MAX_SHARDS: u16 = 64;

/// The smallest cap worth a shard. Small limits use fewer shards than the plan asks for, so that a
/// sender need not search many nearly empty shards for the last free place.
const MIN_CAP_PER_SHARD: u64 = 10;

/// The state of one shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shard {
    /// Messages counted here.
    pub used: u64,
    /// Messages that may be counted here.
    pub cap: u64,
}

impl Shard {
    /// True if one more message fits.
    #[must_use]
    pub fn has_room(self) -> bool {
        self.used < self.cap
    }
}

/// The shards of a month that were seen full, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FullShards(u64);

impl FullShards {
    /// Of shards with their numbers, those that have no room.
    #[must_use]
    pub fn of(shards: &[(u16, Shard)]) -> FullShards {
        let full = shards.iter().filter(|(_, shard)| !shard.has_room());
        FullShards(full.fold(0, |all, (number, _)| all | FullShards::bit(*number)))
    }

    /// Whether this shard was seen full.
    #[must_use]
    pub fn contain(self, number: u16) -> bool {
        self.0 & FullShards::bit(number) != 0
    }

    /// Whether each of these was.
    #[must_use]
    pub fn contain_all(self, others: FullShards) -> bool {
        self.0 & others.0 == others.0
    }

    /// Whether none was.
    #[must_use]
    pub fn are_none(&self) -> bool {
        self.0 == 0
    }

    /// Returns the numbers, of `count` shards, of those that were not.
    pub fn others(self, count: u16) -> impl Iterator<Item = u16> {
        (0..count).filter(move |number| !self.contain(*number))
    }

    fn bit(number: u16) -> u64 {
        1u64.checked_shl(number.into()).unwrap_or(0)
    }
}

/// Returns how many shards a month with `limit` messages gets when the plan asks for `planned`: 1
/// to [`MAX_SHARDS`].
#[must_use]
pub fn shards_in_force(limit: u64, planned: u16) -> u16 {
    let useful = u16::try_from(limit / MIN_CAP_PER_SHARD).unwrap_or(u16::MAX);
    planned.min(useful).clamp(1, MAX_SHARDS)
}

/// Returns the shards of a month without messages. Their caps add up to `limit` and differ by at
/// most one.
#[must_use]
pub fn open(limit: u64, planned: u16) -> Vec<Shard> {
    let unused = vec![0; usize::from(shards_in_force(limit, planned))];
    recap(&unused, limit, planned)
}

/// Returns the shards with new caps when the limit becomes `limit`; `used` has the messages that
/// each shard already holds.
///
/// The free messages are spread evenly. A limit below the messages used leaves every shard exactly
/// full: no accepted message is taken back, and no more fits. Shards are added when the plan asks
/// for more, and never removed.
#[must_use]
pub fn recap(used: &[u64], limit: u64, planned: u16) -> Vec<Shard> {
    let count = used.len().max(usize::from(shards_in_force(limit, planned)));
    let spent: u64 = used.iter().sum();
    let free = limit.saturating_sub(spent);
    let share = free / count as u64;
    let remainder = free % count as u64;

    (0..count)
        .map(|i| {
            let used = used.get(i).copied().unwrap_or(0);
            Shard { used, cap: used + share + u64::from((i as u64) < remainder) }
        })
        .collect()
}

/// A month's usage, as the business sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Messages the month allows.
    pub limit: u64,
    /// Messages accepted in the month.
    pub used: u64,
}

impl Usage {
    /// Adds up the shards of a month.
    #[must_use]
    pub fn of(shards: &[Shard]) -> Usage {
        Usage {
            limit: shards.iter().map(|s| s.cap).sum(),
            used: shards.iter().map(|s| s.used).sum(),
        }
    }

    /// Returns how many messages still fit.
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
    fn full_shards_are_known_by_number() {
        let [full, free] = [Shard { used: 3, cap: 3 }, Shard { used: 2, cap: 3 }];
        let seen = FullShards::of(&[(63, full), (1, free), (0, full)]);
        assert_eq!(seen.others(4).collect::<Vec<_>>(), [1, 2, 3]);
        assert!(seen.contain(63) && !seen.contain(62) && !seen.are_none());
        assert!(seen.contain_all(FullShards::of(&[(63, full)])));
        assert!(!seen.contain_all(FullShards::of(&[(63, full), (2, full)])));

        let all: Vec<_> = (0..MAX_SHARDS).map(|number| (number, full)).collect();
        assert_eq!(FullShards::of(&all).others(MAX_SHARDS).count(), 0);
        assert!(FullShards::default().are_none());
    }

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
    fn the_remaining_messages_are_never_negative() {
        let remaining = |limit, used| Usage { limit, used }.remaining();
        assert_eq!([remaining(5, 2), remaining(5, 5), remaining(5, 9)], [3, 0, 0]);
    }

    proptest! {
        #[test]
        fn caps_add_up_to_the_limit(limit in 0u64..10_000_000, planned in 0u16..200) {
            let shards = open(limit, planned);
            prop_assert_eq!(Usage::of(&shards), Usage { limit, used: 0 });
            let caps = || shards.iter().map(|s| s.cap);
            prop_assert!(caps().max().unwrap() - caps().min().unwrap() <= 1);
        }

        #[test]
        fn a_plan_change_keeps_what_is_used_and_the_sum(
            used in proptest::collection::vec(0u64..1000, 1..64),
            limit in 0u64..100_000,
            planned in 0u16..100,
        ) {
            let spent: u64 = used.iter().sum();
            let shards = recap(&used, limit, planned);
            prop_assert_eq!(Usage::of(&shards), Usage { limit: limit.max(spent), used: spent });
            prop_assert!(shards.iter().all(|s| s.used <= s.cap));
            prop_assert!(shards.len() >= used.len() && shards.len() <= usize::from(MAX_SHARDS));
            prop_assert!(used.iter().zip(&shards).all(|(before, after)| *before == after.used));
        }
    }
}
