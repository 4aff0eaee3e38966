//! How far the sweeper came with what is due. Nothing depends on it: a sweeper that remembers
//! nothing rings for all.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};

use super::{Cursor, Item, Table, key, millis, text};
use crate::error::InternalError;

/// One ringing for all that is due for a queue, which may take several sweeps.
#[derive(Debug, Clone)]
pub struct SweepRound {
    /// When it began, or when it was first not necessary.
    pub began: DateTime<Utc>,
    /// The buckets that are left, each with the place up to which it is done.
    pub left: BTreeMap<String, Option<Cursor>>,
}

impl SweepRound {
    fn item(&self, queue: &str) -> Item {
        let place = |cursor: &Option<Cursor>| {
            AttributeValue::M(cursor.clone().map(|cursor| cursor.0).unwrap_or_default())
        };
        let left = self.left.iter().map(|(bucket, cursor)| (bucket.clone(), place(cursor)));

        let mut item = key::sweep_round(queue).attributes();
        item.insert("began".to_owned(), millis(self.began));
        item.insert("left".to_owned(), AttributeValue::M(left.collect::<HashMap<_, _>>()));
        item
    }

    /// Reads back what [`SweepRound::item`] makes: the queue and its round.
    fn read(item: &Item) -> Option<(String, SweepRound)> {
        let queue = item.get(key::SK)?.as_s().ok()?.clone();
        let began = item.get("began")?.as_n().ok()?.parse().ok()?;
        let left = item.get("left")?.as_m().ok()?.iter().map(|(bucket, place)| {
            let place = place.as_m().ok()?.clone();
            Some((bucket.clone(), (!place.is_empty()).then_some(Cursor(place))))
        });

        let began = DateTime::from_timestamp_millis(began)?;
        Some((queue, SweepRound { began, left: left.collect::<Option<_>>()? }))
    }
}

impl Table {
    /// The rounds that are not over, by the queue's name.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn sweep_rounds(&self) -> Result<BTreeMap<String, SweepRound>, InternalError> {
        let call = self
            .query()
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", text(key::SWEEP_ROUNDS));
        let answer = call.send().await.map_err(|error| InternalError::aws("Query", error))?;
        Ok(answer.items().iter().filter_map(SweepRound::read).collect())
    }

    /// Remembers a round.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn put_sweep_round(
        &self,
        queue: &str,
        round: &SweepRound,
    ) -> Result<(), InternalError> {
        let call = self.client.put_item().table_name(&self.name);
        let sent = call.set_item(Some(round.item(queue))).send().await;
        sent.map(drop).map_err(|error| InternalError::aws("PutItem", error))
    }

    /// Forgets a round that is over.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn delete_sweep_round(&self, queue: &str) -> Result<(), InternalError> {
        let call = self.client.delete_item().table_name(&self.name);
        let sent = call.set_key(Some(key::sweep_round(queue).attributes())).send().await;
        sent.map(drop).map_err(|error| InternalError::aws("DeleteItem", error))
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn a_round_is_read_as_it_was_written() {
        let place = Item::from([("due".to_owned(), millis(DateTime::UNIX_EPOCH))]);
        let left = [("chat#0", None), ("chat#f", Some(Cursor(place.clone())))];
        let left = left.map(|(bucket, cursor)| (bucket.to_owned(), cursor));
        let began = DateTime::UNIX_EPOCH + TimeDelta::milliseconds(1_234);
        let round = SweepRound { began, left: left.into() };

        let (queue, read) = SweepRound::read(&round.item("chat")).expect("a round");
        assert_eq!((queue.as_str(), read.began), ("chat", began));
        let places = read.left.into_iter().map(|(bucket, cursor)| (bucket, cursor.map(|it| it.0)));
        let expected = [("chat#0".to_owned(), None), ("chat#f".to_owned(), Some(place))];
        assert!(places.eq(expected));

        assert!(SweepRound::read(&key::sweep_round("chat").attributes()).is_none());
    }
}
