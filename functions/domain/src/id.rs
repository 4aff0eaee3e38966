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
    /// The id of an endpoint that a business has its events sent to.
    EndpointId,
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

/// The number of a message that the customer wrote, among the customer's messages of its
/// conversation, counted from 1. `CustomerNumber(0)` stands before the first one.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct CustomerNumber(pub u64);

impl CustomerNumber {
    /// The highest number a message id can carry.
    pub const MAX: CustomerNumber = CustomerNumber(Seq::MAX.0);

    /// Returns the number after this one.
    #[must_use]
    pub fn next(self) -> CustomerNumber {
        CustomerNumber(self.0 + 1)
    }
}

impl fmt::Display for CustomerNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A message's number in its conversation: agents' messages and the customer's are counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageNumber {
    /// An agent's message.
    Agent(Seq),
    /// A message that the customer wrote.
    Customer(CustomerNumber),
}

/// The id of a message. It carries the message's number, so that it finds its own item without an
/// index: a UUIDv7 with an agent's `seq`, or a UUIDv8 of the same layout with the number of a
/// message that the customer wrote.
///
/// ```text
/// bit 0                 48       52              64     66             86                128
///     | unix time in ms  | 7 or 8 | number 31..20 | 0b10 | number 19..0 | random, 42 bits |
/// ```
///
/// RFC 9562 §6.2, method 1, allows a counter in `rand_a` and the leading bits of `rand_b` of a
/// UUIDv7, and §5.8 leaves all but version and variant of a UUIDv8 to its maker; 42 random bits
/// stay. Ids therefore sort by time, and within one millisecond of one conversation agents' ids by
/// `seq` before the customer's by number.
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
        MessageId(lay_out(AGENT_VERSION, at, seq.0, random))
    }

    /// Makes the id of the customer's message `number`, stored at `at`; the last 42 bits come from
    /// `random`.
    ///
    /// # Panics
    /// If `number` is above [`CustomerNumber::MAX`].
    #[must_use]
    pub fn of_customer(at: DateTime<Utc>, number: CustomerNumber, random: u64) -> MessageId {
        let most = CustomerNumber::MAX;
        assert!(number <= most, "a conversation holds at most {most} messages of its customer");
        MessageId(lay_out(CUSTOMER_VERSION, at, number.0, random))
    }

    /// Returns the message's number, or `None` for an id that this service did not make.
    #[must_use]
    pub fn number(self) -> Option<MessageNumber> {
        let bits = self.0.as_u128();
        let number = ((bits >> 64) & 0xFFF) << 20 | (bits >> 42) & 0xF_FFFF;
        let number = u64::try_from(number).ok().filter(|number| *number > 0)?;
        match ((bits >> 76) & 0xF, (bits >> 62) & 0b11) {
            (AGENT_VERSION, VARIANT) => Some(MessageNumber::Agent(Seq(number))),
            (CUSTOMER_VERSION, VARIANT) => Some(MessageNumber::Customer(CustomerNumber(number))),
            _ => None,
        }
    }

    /// Returns the `seq` of an agent's message, or `None` for any other id.
    #[must_use]
    pub fn seq(self) -> Option<Seq> {
        match self.number()? {
            MessageNumber::Agent(seq) => Some(seq),
            MessageNumber::Customer(_) => None,
        }
    }
}

/// The UUID version of agents' messages.
const AGENT_VERSION: u128 = 0x7;

/// The UUID version of customers' messages.
const CUSTOMER_VERSION: u128 = 0x8;

/// The variant of every UUID of RFC 9562.
const VARIANT: u128 = 0b10;

fn lay_out(version: u128, at: DateTime<Utc>, number: u64, random: u64) -> Uuid {
    let millis = u128::try_from(at.timestamp_millis()).unwrap_or(0) & ((1 << 48) - 1);
    let number = u128::from(number);
    let random = u128::from(random) & ((1 << 42) - 1);
    Uuid::from_u128(
        millis << 80
            | version << 76
            | (number >> 20) << 64
            | VARIANT << 62
            | (number & 0xF_FFFF) << 42
            | random,
    )
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

        let number = CustomerNumber(0xABC1_2345);
        let id = MessageId::of_customer(at(0x0190_0000_0001), number, 0x3FF_FFFF_FFFF);
        assert_eq!(id.to_string(), "01900000-0001-8abc-848d-17ffffffffff");
        assert_eq!(id.0.get_version(), Some(uuid::Version::Custom));
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
            let id = MessageId::new(at(millis), Seq(seq), random);
            prop_assert_eq!(id.number(), Some(MessageNumber::Agent(Seq(seq))));
            prop_assert_eq!(id.seq(), Some(Seq(seq)));

            let number = CustomerNumber(seq);
            let id = MessageId::of_customer(at(millis), number, random);
            prop_assert_eq!(id.number(), Some(MessageNumber::Customer(number)));
            prop_assert_eq!(id.seq(), None, "it is no agent's");
        }

        #[test]
        fn ids_of_both_sort_by_time_and_agents_first(
            agent in (0i64..1 << 47, 1u64..=Seq::MAX.0, any::<u64>()),
            customer in (0i64..1 << 47, 1u64..=Seq::MAX.0, any::<u64>()),
        ) {
            let is_first = agent.0 <= customer.0;
            let agent = MessageId::new(at(agent.0), Seq(agent.1), agent.2);
            let number = CustomerNumber(customer.1);
            let customer = MessageId::of_customer(at(customer.0), number, customer.2);
            prop_assert_eq!(agent < customer, is_first);
            prop_assert_eq!(agent.to_string() < customer.to_string(), is_first);
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
