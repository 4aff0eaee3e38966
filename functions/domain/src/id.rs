//! Ids as types: the compiler refuses a business's id where a conversation's is expected.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[doc = $doc:literal] $name:ident),* $(,)?) => {$(
        #[doc = $doc]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                text.parse().map($name)
            }
        }
    )*};
}

uuid_id! {
    /// The id of a business, a customer of PingBack; every key of the table begins with it.
    BusinessId,
    /// The id of a conversation: one customer of a business, on one channel.
    ConversationId,
    /// The id of an agent, a person who answers for a business.
    AgentId,
    /// The id of a business's configured channel: a WhatsApp number, a mailbox, a widget.
    ChannelId,
    /// The id of a file that was uploaded for a conversation's messages.
    UploadId,
}

/// A message's number in its conversation, counted from 1. `Seq(0)` stands before the first
/// message.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// The highest number a message id can carry: 2³² − 1.
    pub const MAX: Seq = Seq(u32::MAX as u64);

    /// Returns the number after this one.
    #[must_use]
    pub fn next(self) -> Seq {
        Seq(self.0 + 1)
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A UUIDv7 that carries its message's `seq`, so that an id finds its own item without an index.
///
/// ```text
/// bit 0                 48  52           64   66            86                128
///     | unix time in ms  | 7 | seq 31..20 | 0b10 | seq 19..0 | random, 42 bits |
/// ```
///
/// RFC 9562 §6.2, method 1, allows a counter in `rand_a` and the leading bits of `rand_b`; 42
/// random bits stay. Ids therefore sort by time, and within one millisecond of one conversation by
/// `seq`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(Uuid);

impl MessageId {
    /// Makes the id of message `seq`, accepted at `at`; the last 42 bits come from `random`.
    ///
    /// # Panics
    /// If `seq` is above [`Seq::MAX`].
    #[must_use]
    pub fn new(at: DateTime<Utc>, seq: Seq, random: u64) -> MessageId {
        assert!(seq <= Seq::MAX, "a conversation holds at most {} messages", Seq::MAX);
        let millis = u128::try_from(at.timestamp_millis()).unwrap_or(0) & ((1 << 48) - 1);
        let seq = u128::from(seq.0);
        let random = u128::from(random) & ((1 << 42) - 1);
        MessageId(Uuid::from_u128(
            millis << 80
                | 0x7 << 76
                | (seq >> 20) << 64
                | 0b10 << 62
                | (seq & 0xF_FFFF) << 42
                | random,
        ))
    }

    /// Returns the message's `seq`, or `None` for an id that this service did not make.
    #[must_use]
    pub fn seq(self) -> Option<Seq> {
        let bits = self.0.as_u128();
        let ours = (bits >> 76) & 0xF == 0x7 && (bits >> 62) & 0b11 == 0b10;
        let seq = ((bits >> 64) & 0xFFF) << 20 | (bits >> 42) & 0xF_FFFF;
        u64::try_from(seq).ok().filter(|seq| ours && *seq > 0).map(Seq)
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for MessageId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(MessageId)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(millis).expect("a valid time")
    }

    #[test]
    fn the_bit_layout_is_pinned() {
        let id = MessageId::new(at(0x0190_0000_0001), Seq(0xABC1_2345), 0x3FF_FFFF_FFFF);
        assert_eq!(id.to_string(), "01900000-0001-7abc-848d-17ffffffffff");
        assert_eq!(id.0.get_version(), Some(uuid::Version::SortRand));
        assert_eq!(id.0.get_variant(), uuid::Variant::RFC4122);
    }

    #[test]
    fn an_id_of_another_version_carries_no_seq() {
        let foreign: MessageId = "67e55044-10b1-426f-9247-bb680e5fe0c8".parse().expect("a UUID");
        assert_eq!(foreign.seq(), None);
    }

    proptest! {
        #[test]
        fn an_id_carries_its_seq(millis in 0i64..1 << 47, seq in 1u64..=Seq::MAX.0, random: u64) {
            prop_assert_eq!(MessageId::new(at(millis), Seq(seq), random).seq(), Some(Seq(seq)));
        }

        #[test]
        fn ids_sort_by_time_then_seq(
            a in (0i64..1 << 47, 1u64..=Seq::MAX.0, any::<u64>()),
            b in (0i64..1 << 47, 1u64..=Seq::MAX.0, any::<u64>()),
        ) {
            prop_assume!((a.0, a.1) < (b.0, b.1));
            let a = MessageId::new(at(a.0), Seq(a.1), a.2);
            let b = MessageId::new(at(b.0), Seq(b.1), b.2);
            prop_assert!(a < b);
            prop_assert!(a.to_string() < b.to_string());
        }
    }
}
