//! How many files of a business may wait for a message.
//!
//! An upload counts from when it is made until a message references it, on the day (UTC) that it
//! was made on. Uploads can be referenced for 24 hours, so those that still can are of today or of
//! yesterday, and a day's count ends with the day after it, whatever was left on it.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

/// The most files of a business that wait for a message at once.
pub const MAX_UNREFERENCED_FILES: u64 = 1_000;

/// The most bytes that they have together, as they were stored or announced: 10 GiB, a hundred of
/// the largest files.
pub const MAX_UNREFERENCED_BYTES: u64 = 10 << 30;

/// The uploads of one day that no message has referenced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UnreferencedUploads {
    /// How many they are.
    pub files: u64,
    /// Their bytes together.
    pub bytes: u64,
}

impl UnreferencedUploads {
    /// Returns the sum of two days.
    #[must_use]
    pub fn and(self, other: UnreferencedUploads) -> UnreferencedUploads {
        UnreferencedUploads { files: self.files + other.files, bytes: self.bytes + other.bytes }
    }

    /// Returns the most that today's count may be for a file of `size` bytes to come to it, beside
    /// what `yesterday` left. Yesterday's count only falls, so the sum stays within the limits for
    /// as long as today's does.
    ///
    /// # Errors
    /// Both days together, if `today` is beyond that already.
    pub fn room_today(
        yesterday: UnreferencedUploads,
        today: UnreferencedUploads,
        size: u64,
    ) -> Result<UnreferencedUploads, UnreferencedUploads> {
        let files = MAX_UNREFERENCED_FILES.checked_sub(yesterday.files + 1);
        let bytes = MAX_UNREFERENCED_BYTES.checked_sub(yesterday.bytes + size);
        let room = files.zip(bytes).map(|(files, bytes)| UnreferencedUploads { files, bytes });

        room.filter(|room| today.files <= room.files && today.bytes <= room.bytes)
            .ok_or_else(|| yesterday.and(today))
    }
}

/// Returns the last day on which uploads of `day` count.
#[must_use]
pub fn last_counted_day(day: NaiveDate) -> NaiveDate {
    day.succ_opt().unwrap_or(day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn uploads(files: u64, bytes: u64) -> UnreferencedUploads {
        UnreferencedUploads { files, bytes }
    }

    #[test]
    fn a_file_fits_exactly_to_the_limit() {
        let room = |yesterday, today, size| {
            UnreferencedUploads::room_today(yesterday, today, size)
                .map(|room| (room.files, room.bytes))
        };
        let none = uploads(0, 0);
        let most = MAX_UNREFERENCED_BYTES;
        assert_eq!(room(none, none, most), Ok((999, 0)));
        assert_eq!(room(uploads(400, 9), uploads(599, most - 10), 1), Ok((599, most - 10)));

        let full = |files, bytes| Err(uploads(files, bytes));
        assert_eq!(room(uploads(400, 9), uploads(600, 1), 1), full(1_000, 10));
        assert_eq!(room(uploads(1_000, 9), none, 1), full(1_000, 9));
        assert_eq!(room(none, uploads(1, 1), most), full(1, 1));
        assert_eq!(room(uploads(1, most), none, 1), full(1, most));
    }

    proptest! {
        /// Days of uploads and references in any order, each upload against a count of yesterday
        /// that may be older than the one that is: the sum never passes the limits.
        #[test]
        fn the_sum_of_two_days_stays_within_the_limits(
            steps in prop::collection::vec((0..4_u8, 1..=MAX_UNREFERENCED_BYTES / 8), 1..200),
        ) {
            let mut yesterday = UnreferencedUploads::default();
            let mut today = UnreferencedUploads::default();
            let mut seen = yesterday;
            let mut sizes = Vec::new();

            for (step, size) in steps {
                match step {
                    0 => (yesterday, today, seen) = (today, UnreferencedUploads::default(), today),
                    1 => if let Some(size) = sizes.pop() {
                        let UnreferencedUploads { files, bytes } = yesterday;
                        let less = files.checked_sub(1).zip(bytes.checked_sub(size));
                        yesterday = less.map_or(yesterday, |(files, bytes)| uploads(files, bytes));
                    },
                    2 => seen = yesterday,
                    _ => if UnreferencedUploads::room_today(seen, today, size).is_ok() {
                        today = today.and(uploads(1, size));
                        sizes.push(size);
                    },
                }
                let sum = yesterday.and(today);
                prop_assert!(sum.files <= MAX_UNREFERENCED_FILES);
                prop_assert!(sum.bytes <= MAX_UNREFERENCED_BYTES);
            }
        }
    }
}
