//! Reads a record of the stream as a change that callers are told of.

use aws_lambda_events::event::dynamodb::{EventRecord, StreamRecord};
use serde::de::DeserializeOwned;
use serde_dynamo::{AttributeValue, Item};

use domain::event::Change;
use domain::quota::Shard;
use domain::{BusinessId, Month};
use platform::error::InternalError;
use platform::table::record::{ChannelRecord, CustomerMessage, EventData, Message};
use platform::table::{EventDraft, key};

/// A change of the table.
#[derive(Debug, Clone)]
pub enum StreamChange {
    /// One that makes an event.
    Event(EventDraft),
    /// So much more of this month was counted that it may have reached a mark.
    Counted(Month),
}

/// Reads a record; `None` if callers are not told of it.
///
/// # Errors
/// If its item cannot be read.
pub fn read(record: EventRecord) -> Result<Option<(BusinessId, StreamChange)>, InternalError> {
    let StreamRecord { keys, new_image, old_image, .. } = record.change;
    let is_new = old_image.is_empty();
    // What is deleted is told nobody: its time is over, or it was erased.
    if new_image.is_empty() {
        return Ok(None);
    }

    let (Some(pk), Some(sk)) = (text(&keys, key::PK), text(&keys, key::SK)) else {
        return Err(InternalError::new("reading the key of a changed item"));
    };

    let old_image = (!is_new).then_some(old_image);

    if sk.starts_with(key::MESSAGE_PREFIX) {
        message(&pk, old_image, new_image)
    } else if sk.starts_with(key::CUSTOMER_MESSAGE_PREFIX) && is_new {
        customer_message(&pk, new_image)
    } else if sk.starts_with(key::CHANNEL_PREFIX) {
        channel(&pk, &sk, old_image, new_image)
    } else if sk == key::QUOTA_SHARD {
        shard(&pk, old_image, new_image)
    } else {
        Ok(None)
    }
}

type Read = Result<Option<(BusinessId, StreamChange)>, InternalError>;

fn message(pk: &str, was: Option<Item>, is: Item) -> Read {
    let place = key::parse_conversation_partition(pk);
    let (business_id, conversation_id) = place.ok_or_else(|| unknown("a message"))?;
    let was: Option<Message> = was.map(item).transpose()?;
    let is: Message = item(is)?;

    let was = was.map(|was| was.moment());
    let change = Change::of_message(is.id, was, is.moment());
    Ok(change.map(|change| {
        let snapshot = Box::new(is.without_texts());
        let data = EventData::Message { conversation_id, snapshot };
        (business_id, StreamChange::Event(EventDraft { change, data }))
    }))
}

fn customer_message(pk: &str, is: Item) -> Read {
    let place = key::parse_conversation_partition(pk);
    let (business_id, conversation_id) = place.ok_or_else(|| unknown("a customer's message"))?;
    let CustomerMessage { id: message_id, created_at, .. } = item(is)?;

    let data = EventData::CustomerMessage { conversation_id, message_id, created_at };
    let draft = EventDraft { change: Change::Received(message_id), data };
    Ok(Some((business_id, StreamChange::Event(draft))))
}

fn channel(pk: &str, sk: &str, was: Option<Item>, is: Item) -> Read {
    let place = key::parse_business_partition(pk).zip(key::parse_channel(sk));
    let (business_id, channel_id) = place.ok_or_else(|| unknown("a channel"))?;
    let was: Option<ChannelRecord> = was.map(item).transpose()?;
    let is: ChannelRecord = item(is)?;

    let before = was.and_then(|was| was.paused_until);
    let change = Change::of_pause(channel_id, before, is.paused_until);
    Ok(change.zip(is.paused_until.or(before)).map(|(change, paused_until)| {
        let channel = is.settings.channel();
        let data = EventData::Channel { channel_id, channel, paused_until };
        (business_id, StreamChange::Event(EventDraft { change, data }))
    }))
}

/// A month is looked at when one of its shards has come to another percent of its cap. Where it has
/// several, a mark is told at most one percent late; the last one is told exactly: a month is
/// full when each of its shards is.
fn shard(pk: &str, was: Option<Item>, is: Item) -> Read {
    let place = key::parse_quota_shard(pk);
    let (business_id, month) = place.ok_or_else(|| unknown("a month's shard"))?;
    let Some(was) = was.map(item::<Shard>).transpose()? else { return Ok(None) };
    let is: Shard = item(is)?;

    let percent = |shard: Shard| (shard.used * 100).checked_div(shard.cap);
    let is_further = percent(was) != percent(is);
    Ok(is_further.then_some((business_id, StreamChange::Counted(month))))
}

fn text(keys: &Item, name: &str) -> Option<String> {
    match keys.get(name) {
        Some(AttributeValue::S(text)) => Some(text.clone()),
        _ => None,
    }
}

fn item<T: DeserializeOwned>(item: Item) -> Result<T, InternalError> {
    let name = std::any::type_name::<T>().rsplit("::").next().unwrap_or_default();
    serde_dynamo::from_item(item)
        .map_err(|error| InternalError::because(format!("reading a changed {name}"), error))
}

fn unknown(what: &str) -> InternalError {
    InternalError::new(format!("reading the partition of {what}"))
}
