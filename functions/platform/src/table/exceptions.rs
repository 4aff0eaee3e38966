//! The index of exceptions: messages that ended `failed` or are `in_doubt`, newest first.
//!
//! It is sparse: only such messages have its two attributes. The write that gives a message one of
//! the two statuses puts it in, and the write that takes the status away takes it out, so a message
//! that arrives never pays for the index. DynamoDB updates an index [a moment after the
//! table](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html), so each message that
//! it names is read from the table, and left out if it has another status by then.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::search::stored_message;
use super::{Cursor, OperatorTable, Page, StoredMessage, Table, key, read, text};
use crate::error::InternalError;
use domain::delivery::Status;
use domain::{BusinessId, Channel, ConversationId, Seq};

/// The most entries of the index that are read for one page of a list of one channel: less than a
/// [page of DynamoDB](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html),
/// 1 MB.
const MAX_ENTRIES_READ: usize = 1_000;

/// The last millisecond that has 13 digits, in the year 2286.
const LAST_MILLIS: i64 = 9_999_999_999_999;

/// The most items that one
/// [BatchGetItem](https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html)
/// reads.
const MAX_BATCH: i32 = 100;

/// A place in the index of exceptions: when a message became one, and which message it is.
///
/// As text it is the range key of the index, whose order is that of time: milliseconds since 1970
/// with 13 digits, the channel, the conversation and the `seq` with 12 digits, with dots between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExceptionPlace {
    /// When the message became `failed` or `in_doubt`.
    pub at: DateTime<Utc>,
    /// The message; `None` for the place before all messages of the same millisecond.
    pub message: Option<(Channel, ConversationId, Seq)>,
}

impl ExceptionPlace {
    /// The most characters of a place as text.
    pub const CHARACTERS: usize = 13 + 1 + "whatsapp".len() + 1 + 36 + 1 + 12;

    /// The place behind everything.
    pub const END: ExceptionPlace = ExceptionPlace { at: DateTime::<Utc>::MAX_UTC, message: None };

    /// Returns the place before everything that happens at `at` or later.
    #[must_use]
    pub fn before(at: DateTime<Utc>) -> ExceptionPlace {
        ExceptionPlace { at, message: None }
    }

    /// Returns the last range key that lies before this place.
    fn last_before(&self) -> String {
        let message = self.message.map(|(channel, conversation_id, seq)| {
            (channel, conversation_id, Seq(seq.0.saturating_sub(1)))
        });
        ExceptionPlace { message, ..*self }.to_string()
    }
}

impl fmt::Display for ExceptionPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:013}", self.at.timestamp_millis().clamp(0, LAST_MILLIS))?;
        match self.message {
            Some((channel, conversation_id, Seq(seq))) => {
                write!(f, ".{channel}.{conversation_id}.{seq:012}")
            }
            None => Ok(()),
        }
    }
}

/// A text that is no place in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoPlace;

impl FromStr for ExceptionPlace {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<ExceptionPlace, NoPlace> {
        let digits = |text: &str, count: usize| {
            let is_number = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| text.parse().ok()).flatten().ok_or(NoPlace)
        };
        let mut parts = text.split('.');
        let mut next = || parts.next().ok_or(NoPlace);

        let millis: u64 = digits(next()?, 13)?;
        let at = i64::try_from(millis).ok().and_then(DateTime::from_timestamp_millis);
        let at = at.ok_or(NoPlace)?;
        let Ok(channel) = next() else { return Ok(ExceptionPlace::before(at)) };
        let channel = Channel::ALL.into_iter().find(|one| one.to_string() == channel);
        let conversation_id = next()?.parse().map_err(|_| NoPlace)?;
        let seq = Seq(digits(next()?, 12)?);

        let message = Some((channel.ok_or(NoPlace)?, conversation_id, seq));
        let place = ExceptionPlace { at, message };
        if place.to_string() == text { Ok(place) } else { Err(NoPlace) }
    }
}

/// The exceptions that are asked for.
#[derive(Debug, Clone, Copy)]
pub struct ExceptionSearch {
    /// `failed` or `in_doubt`; of any other status there are none.
    pub status: Status,
    /// Only those on this channel.
    pub channel: Option<Channel>,
    /// Only those that became so at this time or later.
    pub since: DateTime<Utc>,
    /// Only those before this place.
    pub before: ExceptionPlace,
}

impl ExceptionSearch {
    /// True if the message at this place is on the channel and in the time that are asked for.
    fn includes(&self, place: ExceptionPlace) -> bool {
        let is_on = |channel| place.message.is_some_and(|(on, ..)| on == channel);
        let is_in_time = self.since <= place.at && place.to_string() <= self.before.last_before();
        is_in_time && self.channel.is_none_or(is_on)
    }
}

/// Some of a business's exceptions.
#[derive(Debug)]
pub struct Exceptions {
    /// The messages and their places, newest first.
    pub messages: Vec<(ExceptionPlace, StoredMessage)>,
    /// The place up to which the index was read.
    pub read_up_to: ExceptionPlace,
    /// Whether the index goes on there.
    pub has_more: bool,
}

/// The address of a message that changes its status.
#[derive(Debug, Clone, Copy)]
pub(super) struct MessageAddress {
    pub(super) business_id: BusinessId,
    pub(super) channel: Channel,
    pub(super) conversation_id: ConversationId,
    pub(super) seq: Seq,
}

/// Puts a message into the index with the update that gives it `status` at `now`, if that is one of
/// the two. Returns the end of the update's `SET`.
///
/// An update that takes one of the two statuses away removes `exception_list` and `exception_at`.
pub(super) fn index_exception(
    call: UpdateItemFluentBuilder,
    address: Option<MessageAddress>,
    status: Status,
    now: DateTime<Utc>,
) -> (UpdateItemFluentBuilder, &'static str) {
    let is_exception = matches!(status, Status::Failed | Status::InDoubt);
    let Some(address) = address.filter(|_| is_exception) else { return (call, "") };

    let MessageAddress { business_id, channel, conversation_id, seq } = address;
    let message = Some((channel, conversation_id, seq));
    let place = ExceptionPlace { at: now, message };
    let call = call
        .expression_attribute_values(":exception", text(key::exceptions(business_id, status)))
        .expression_attribute_values(":exception_at", text(place));
    (call, ", exception_list = :exception, exception_at = :exception_at")
}

/// An entry of the index, as DynamoDB returns it.
#[derive(Deserialize)]
struct Entry {
    exception_list: String,
    exception_at: String,
}

impl Entry {
    /// Returns the place of the entry, and the message's address.
    fn parse(&self) -> Result<(ExceptionPlace, MessageAddress), InternalError> {
        let place: Option<ExceptionPlace> = self.exception_at.parse().ok();
        let business_id = key::parse_exceptions(&self.exception_list);
        let address = place.zip(business_id).and_then(|(place, business_id)| {
            let (channel, conversation_id, seq) = place.message?;
            Some((place, MessageAddress { business_id, channel, conversation_id, seq }))
        });
        address.ok_or_else(|| InternalError::new("reading an entry of the index of exceptions"))
    }
}

impl Table {
    /// Up to `limit` exceptions of a business, newest first. There may be fewer although there are
    /// more behind them: where one channel is asked for, and where messages have changed since.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn exceptions(
        &self,
        business_id: BusinessId,
        search: &ExceptionSearch,
        limit: usize,
    ) -> Result<Exceptions, InternalError> {
        let ExceptionSearch { status, channel, since, before } = *search;
        let since = ExceptionPlace::before(since);
        let last = before.last_before();
        let mut found = Exceptions { messages: Vec::new(), read_up_to: since, has_more: false };
        if last < since.to_string() {
            return Ok(found); // DynamoDB refuses a range whose end lies before its beginning.
        }

        let entries = if channel.is_some() { MAX_ENTRIES_READ } else { limit };
        let call = self
            .client
            .query()
            .table_name(&self.name)
            .index_name(key::EXCEPTIONS_INDEX)
            .scan_index_forward(false)
            .limit(entries.try_into().unwrap_or(i32::MAX))
            .key_condition_expression(
                "exception_list = :exception AND exception_at BETWEEN :since AND :last",
            )
            .expression_attribute_values(":exception", text(key::exceptions(business_id, status)))
            .expression_attribute_values(":since", text(since))
            .expression_attribute_values(":last", text(last));
        let answer = call.send().await.map_err(|error| InternalError::aws("Query", error))?;
        found.has_more = answer.last_evaluated_key.is_some();

        let mut sought = Vec::new();
        for item in answer.items.unwrap_or_default() {
            let (place, address) = read::<Entry>(item)?.parse()?;
            if channel.is_none_or(|channel| channel == address.channel) {
                if sought.len() == limit {
                    found.has_more = true;
                    break;
                }
                sought.push((place, address));
            }
            found.read_up_to = place;
        }

        found.messages = self.exceptions_at(sought, status).await?;
        Ok(found)
    }

    /// Reads the messages of these entries, and leaves out those that have another status by now.
    async fn exceptions_at(
        &self,
        entries: Vec<(ExceptionPlace, MessageAddress)>,
        status: Status,
    ) -> Result<Vec<(ExceptionPlace, StoredMessage)>, InternalError> {
        if entries.is_empty() {
            return Ok(Vec::new());
        }

        let keys =
            entries.iter().map(|(_, MessageAddress { business_id, conversation_id, seq, .. })| {
                key::message(*business_id, *conversation_id, *seq)
            });
        let mut messages: HashMap<(ConversationId, Seq), StoredMessage> = HashMap::new();
        for item in self.get_all(keys).await? {
            let stored = stored_message(item)?;
            messages.insert((stored.conversation_id, stored.message.seq), stored);
        }

        let entries = entries.into_iter();
        let stored = entries.filter_map(|(place, MessageAddress { conversation_id, seq, .. })| {
            Some((place, messages.remove(&(conversation_id, seq))?))
        });
        Ok(stored.filter(|(_, stored)| stored.message.status == status).collect())
    }
}

impl OperatorTable<'_> {
    /// One page of the index, of at most 100 entries: the exceptions of all businesses that are
    /// asked for, in any order. Messages are read for those entries alone.
    ///
    /// # Errors
    /// If DynamoDB does not answer.
    pub async fn all_exceptions(
        self,
        search: &ExceptionSearch,
        page: Option<Cursor>,
    ) -> Result<Page<(ExceptionPlace, StoredMessage)>, InternalError> {
        let call = self
            .table
            .client
            .scan()
            .table_name(&self.table.name)
            .index_name(key::EXCEPTIONS_INDEX)
            .limit(MAX_BATCH)
            .set_exclusive_start_key(page.map(|page| page.0));
        let answer = call.send().await.map_err(|error| InternalError::aws("Scan", error))?;
        let items_read = usize::try_from(answer.scanned_count).unwrap_or_default();

        let mut sought = Vec::new();
        for item in answer.items.unwrap_or_default() {
            let entry: Entry = read(item)?;
            let (place, address) = entry.parse()?;
            let list = key::exceptions(address.business_id, search.status);
            if entry.exception_list == list && search.includes(place) {
                sought.push((place, address));
            }
        }
        let records = self.table.exceptions_at(sought, search.status).await?;
        Ok(Page { records, items_read, end: answer.last_evaluated_key.map(Cursor) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONVERSATION: &str = "6f1c1f0e-3a57-4a39-9a55-6c1e7bb7d1a4";

    #[test]
    fn a_place_is_its_range_key() {
        let at = DateTime::from_timestamp_millis(1_772_355_902_123).expect("a time");
        let conversation_id = CONVERSATION.parse().expect("an id");
        let message = Some((Channel::Whatsapp, conversation_id, Seq(12)));
        let place = ExceptionPlace { at, message };

        let text = format!("1772355902123.whatsapp.{CONVERSATION}.000000000012");
        assert_eq!(place.to_string(), text);
        assert_eq!(text.parse(), Ok(place));
        assert_eq!("1772355902123".parse(), Ok(ExceptionPlace::before(at)));
    }

    #[test]
    fn the_last_key_before_a_place_is_below_it_and_above_all_others() {
        let at = DateTime::from_timestamp_millis(1_772_355_902_123).expect("a time");
        let conversation_id = CONVERSATION.parse().expect("an id");
        let key =
            |seq| ExceptionPlace { at, message: Some((Channel::Chat, conversation_id, Seq(seq))) };
        assert!(key(7).last_before() < key(7).to_string());
        assert!(key(7).last_before() >= key(6).to_string());

        let before = ExceptionPlace::before(at).last_before();
        assert!(before < key(0).to_string() && before.as_str() > "1772355902122.~");
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "",
            "1",
            "177235590212",
            "17723559021234",
            "177235590212x",
            "+772355902123",
            "1772355902123.",
            "1772355902123.sms.6f1c1f0e-3a57-4a39-9a55-6c1e7bb7d1a4.000000000012",
            "1772355902123.chat.6f1c1f0e.000000000012",
            "1772355902123.chat.6f1c1f0e-3a57-4a39-9a55-6c1e7bb7d1a4.12",
            "1772355902123.chat.6F1C1F0E-3a57-4a39-9a55-6c1e7bb7d1a4.000000000012",
            "1772355902123.chat.6f1c1f0e-3a57-4a39-9a55-6c1e7bb7d1a4.000000000012.",
        ] {
            assert_eq!(text.parse::<ExceptionPlace>(), Err(NoPlace), "{text}");
        }
    }
}
