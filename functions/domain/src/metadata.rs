//! A caller's own notes on a message, which no customer sees.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// The most pairs of one message.
pub const MAX_METADATA_PAIRS: usize = 16;

/// The most characters (Unicode scalar values) of a name, and of a value.
pub const MAX_METADATA_CHARACTERS: usize = 512;

/// Names and values that a caller gave a message, each name once. They are shown to the business's
/// own callers, and to no customer.
///
/// Reading one refuses a name that is given twice; how many pairs there are and how long they may
/// be is checked by [`Metadata::faults`].
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Metadata(BTreeMap<String, String>);

/// Why a text is no message's metadata.
#[derive(Clone, PartialEq, Eq)]
pub enum MetadataFault {
    /// There are more than [`MAX_METADATA_PAIRS`].
    TooManyPairs,
    /// The pair has no name.
    NameMissing,
    /// This name has more than [`MAX_METADATA_CHARACTERS`].
    LongName(String),
    /// The value under this name has more than [`MAX_METADATA_CHARACTERS`].
    LongValue(String),
}

impl Metadata {
    /// True if there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns everything that is wrong with it.
    pub fn faults(&self) -> impl Iterator<Item = MetadataFault> {
        let is_long = |text: &str| text.chars().nth(MAX_METADATA_CHARACTERS).is_some();
        let too_many = (self.0.len() > MAX_METADATA_PAIRS).then_some(MetadataFault::TooManyPairs);
        let of_pairs = self.0.iter().flat_map(move |(name, value)| {
            [
                name.is_empty().then_some(MetadataFault::NameMissing),
                is_long(name).then(|| MetadataFault::LongName(name.clone())),
                is_long(value).then(|| MetadataFault::LongValue(name.clone())),
            ]
        });
        too_many.into_iter().chain(of_pairs.flatten())
    }

    /// Returns the texts that make two of them the same: names and values in turns, by name.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()])
    }
}

impl fmt::Debug for Metadata {
    /// How many pairs there are: they may be about a customer.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metadata({} pairs)", self.0.len())
    }
}

impl fmt::Debug for MetadataFault {
    /// The kind: names are what the caller sent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MetadataFault::TooManyPairs => "TooManyPairs",
            MetadataFault::NameMissing => "NameMissing",
            MetadataFault::LongName(_) => "LongName(…)",
            MetadataFault::LongValue(_) => "LongValue(…)",
        })
    }
}

impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Metadata, D::Error> {
        deserializer.deserialize_map(Pairs)
    }
}

struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Metadata;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("names and texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
        let mut pairs = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, String>()? {
            if pairs.insert(name, value).is_some() {
                return Err(A::Error::custom("a name is given twice"));
            }
        }
        Ok(Metadata(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(json: &str) -> Metadata {
        serde_json::from_str(json).expect("metadata")
    }

    #[test]
    fn its_limits_are_in_characters_and_pairs() {
        let pairs = |count: usize| {
            let pairs = (0..count).map(|index| (format!("n{index}"), String::new()));
            Metadata(pairs.collect())
        };
        assert_eq!(pairs(MAX_METADATA_PAIRS).faults().count(), 0);
        let faults: Vec<_> = pairs(MAX_METADATA_PAIRS + 1).faults().collect();
        assert_eq!(faults, [MetadataFault::TooManyPairs]);

        let text = |characters: usize| "ü".repeat(characters);
        let pair = |name: String, value: String| Metadata(BTreeMap::from([(name, value)]));
        let most = MAX_METADATA_CHARACTERS;
        assert_eq!(pair(text(most), text(most)).faults().count(), 0);
        let faults: Vec<_> = pair(text(most + 1), text(most + 1)).faults().collect();
        let name = text(most + 1);
        assert_eq!(faults, [MetadataFault::LongName(name.clone()), MetadataFault::LongValue(name)]);
        let faults: Vec<_> = metadata(r#"{"":"x"}"#).faults().collect();
        assert_eq!(faults, [MetadataFault::NameMissing]);
    }

    #[test]
    fn each_name_is_given_once_and_each_value_is_a_text() {
        for wrong in [r#"{"a":"1","a":"1"}"#, r#"{"a":1}"#, r#"{"a":null}"#, "[]", "null"] {
            assert!(serde_json::from_str::<Metadata>(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_order_in_which_it_came_does_not_count() {
        let (one, other) = (metadata(r#"{"b":"2","a":"1"}"#), metadata(r#"{"a":"1","b":"2"}"#));
        assert!(one == other && one.texts().eq(["a", "1", "b", "2"]));
    }

    #[test]
    fn it_is_not_printed() {
        assert_eq!(format!("{:?}", metadata(r#"{"order":"7"}"#)), "Metadata(1 pairs)");
    }
}
