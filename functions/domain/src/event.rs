//! Events: what callers are told about their messages, channels and months.
//!
//! An event is one change of a stored item. Its id is made of that change alone, so that the same
//! change makes the same event however often it is told, and by whom.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::delivery::Status;
use crate::{BusinessId, ChannelId, MessageId, Month};

/// How long an event can be read and sent again.
pub const EVENT_TTL: TimeDelta = TimeDelta::days(30);

/// The kinds of events. Kinds may be added, so a caller ignores those that it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum EventType {
    /// A message was accepted.
    #[serde(rename = "message.accepted")]
    MessageAccepted,
    /// The provider took a message.
    #[serde(rename = "message.sent")]
    MessageSent,
    /// A message reached the customer's device.
    #[serde(rename = "message.delivered")]
    MessageDelivered,
    /// The customer has seen a message.
    #[serde(rename = "message.read")]
    MessageRead,
    /// A message ended `failed`.
    #[serde(rename = "message.failed")]
    MessageFailed,
    /// A message was handed over, and no answer came.
    #[serde(rename = "message.in_doubt")]
    MessageInDoubt,
    /// The customer wrote a message.
    #[serde(rename = "message.received")]
    MessageReceived,
    /// A part of the month's messages is used.
    #[serde(rename = "quota.reached")]
    QuotaReached,
    /// A channel takes no messages to its customers until a time.
    #[serde(rename = "channel.paused")]
    ChannelPaused,
    /// The pause of a channel was ended before its time.
    #[serde(rename = "channel.resumed")]
    ChannelResumed,
    /// A caller asked whether an endpoint answers.
    #[serde(rename = "endpoint.test")]
    EndpointTest,
}

impl EventType {
    /// Every kind there is.
    pub const ALL: [EventType; 11] = [
        EventType::MessageAccepted,
        EventType::MessageSent,
        EventType::MessageDelivered,
        EventType::MessageRead,
        EventType::MessageFailed,
        EventType::MessageInDoubt,
        EventType::MessageReceived,
        EventType::QuotaReached,
        EventType::ChannelPaused,
        EventType::ChannelResumed,
        EventType::EndpointTest,
    ];

    /// Returns the kind that tells of an agent's message that has come to `status`; `None` for one
    /// that a caller is not told of: the worker's own.
    #[must_use]
    pub fn of_status(status: Status) -> Option<EventType> {
        match status {
            Status::Queued | Status::Sending => None,
            Status::InDoubt => Some(EventType::MessageInDoubt),
            Status::Sent => Some(EventType::MessageSent),
            Status::Delivered => Some(EventType::MessageDelivered),
            Status::Read => Some(EventType::MessageRead),
            Status::Failed => Some(EventType::MessageFailed),
        }
    }

    /// Returns the kind as the API names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            EventType::MessageAccepted => "message.accepted",
            EventType::MessageSent => "message.sent",
            EventType::MessageDelivered => "message.delivered",
            EventType::MessageRead => "message.read",
            EventType::MessageFailed => "message.failed",
            EventType::MessageInDoubt => "message.in_doubt",
            EventType::MessageReceived => "message.received",
            EventType::QuotaReached => "quota.reached",
            EventType::ChannelPaused => "channel.paused",
            EventType::ChannelResumed => "channel.resumed",
            EventType::EndpointTest => "endpoint.test",
        }
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownEventType;

impl FromStr for EventType {
    type Err = UnknownEventType;

    fn from_str(text: &str) -> Result<EventType, UnknownEventType> {
        EventType::ALL.into_iter().find(|kind| kind.name() == text).ok_or(UnknownEventType)
    }
}

/// The most digits of a cursor: those of [`EventSequence::MAX`].
const CURSOR_DIGITS: usize = 12;

/// The place of an event among the events of its business, from 1, without gaps.
///
/// Events of one message are numbered in the order of its changes. Those of different messages are
/// numbered in the order in which they were published.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct EventSequence(pub u64);

impl EventSequence {
    /// The highest number: it has twelve digits.
    pub const MAX: EventSequence = EventSequence(999_999_999_999);

    /// Reads a cursor: one to twelve digits.
    #[must_use]
    pub fn of_cursor(text: &str) -> Option<EventSequence> {
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| is_number && text.len() <= CURSOR_DIGITS)?;
        Some(EventSequence(number))
    }

    /// Returns the number after this one.
    #[must_use]
    pub fn next(self) -> EventSequence {
        EventSequence(self.0 + 1)
    }
}

impl fmt::Display for EventSequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The subject of an event: events of one subject are delivered one after the other, in their
/// order, and those of different subjects at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A message of either side.
    Message(MessageId),
    /// A month of the business.
    Month(Month),
    /// A channel of the business.
    Channel(ChannelId),
    /// An event that an endpoint was sent to see whether it answers.
    Test(Uuid),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Message(id) => write!(f, "message.{id}"),
            Subject::Month(month) => write!(f, "month.{month}"),
            Subject::Channel(id) => write!(f, "channel.{id}"),
            Subject::Test(id) => write!(f, "test.{id}"),
        }
    }
}

/// A text that is no subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no subject of an event")]
pub struct UnknownSubject;

impl FromStr for Subject {
    type Err = UnknownSubject;

    fn from_str(text: &str) -> Result<Subject, UnknownSubject> {
        let (kind, name) = text.split_once('.').ok_or(UnknownSubject)?;
        match kind {
            "message" => name.parse().map(Subject::Message).map_err(|_| UnknownSubject),
            "month" => name.to_owned().try_into().map(Subject::Month).map_err(|_| UnknownSubject),
            "channel" => name.parse().map(Subject::Channel).map_err(|_| UnknownSubject),
            "test" => name.parse().map(Subject::Test).map_err(|_| UnknownSubject),
            _ => Err(UnknownSubject),
        }
    }
}

impl TryFrom<String> for Subject {
    type Error = UnknownSubject;

    fn try_from(text: String) -> Result<Subject, UnknownSubject> {
        text.parse()
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> String {
        subject.to_string()
    }
}

impl Serialize for Subject {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Subject {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Subject, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The state of an agent's message that its events tell of.
///
/// Two changes of one message to the same status differ in one of these: an attempt that ends in
/// doubt raises `unknown_outcomes`, and a bounce or a delivery that takes another one back has a
/// time of its own ([`crate::delivery::Standing`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageMoment {
    /// The status.
    pub status: Status,
    /// How many attempts had an unknown outcome.
    pub unknown_outcomes: u32,
    /// The provider's own time of the delivery or the bounce that the status rests on.
    pub reported_at: Option<DateTime<Utc>>,
}

/// A change that callers are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Change {
    /// An agent's message was accepted.
    Accepted(MessageId),
    /// An agent's message has come to another status.
    Moved(MessageId, MessageMoment),
    /// A customer's message was stored.
    Received(MessageId),
    /// So many percent of the month's messages are used.
    Quota(Month, QuotaMark),
    /// A channel was paused until this time.
    Paused(ChannelId, DateTime<Utc>),
    /// A pause until this time was ended.
    Resumed(ChannelId, DateTime<Utc>),
    /// An endpoint is sent an event to see whether it answers.
    Test(Uuid),
}

impl Change {
    /// Returns the change of an agent's message between two states of its item; `None` if callers
    /// are not told of it.
    #[must_use]
    pub fn of_message(
        id: MessageId,
        was: Option<MessageMoment>,
        is: MessageMoment,
    ) -> Option<Change> {
        match was {
            None => Some(Change::Accepted(id)),
            Some(was) if was.status == is.status => None,
            Some(_) => EventType::of_status(is.status).map(|_| Change::Moved(id, is)),
        }
    }

    /// Returns the change of a channel between two ends of its pause; `None` if callers are not
    /// told of it. A pause that ends by itself changes nothing that is stored: the event that told
    /// of it had its end.
    #[must_use]
    pub fn of_pause(
        id: ChannelId,
        was: Option<DateTime<Utc>>,
        is: Option<DateTime<Utc>>,
    ) -> Option<Change> {
        match (was, is) {
            (was, Some(until)) if was != Some(until) => Some(Change::Paused(id, until)),
            (Some(until), None) => Some(Change::Resumed(id, until)),
            _ => None,
        }
    }

    /// Returns the kind of event.
    #[must_use]
    pub fn kind(&self) -> EventType {
        match self {
            Change::Accepted(_) => EventType::MessageAccepted,
            Change::Moved(_, moment) => {
                EventType::of_status(moment.status).unwrap_or(EventType::MessageAccepted)
            }
            Change::Received(_) => EventType::MessageReceived,
            Change::Quota(..) => EventType::QuotaReached,
            Change::Paused(..) => EventType::ChannelPaused,
            Change::Resumed(..) => EventType::ChannelResumed,
            Change::Test(_) => EventType::EndpointTest,
        }
    }

    /// Returns the subject.
    #[must_use]
    pub fn subject(&self) -> Subject {
        match *self {
            Change::Accepted(id) | Change::Moved(id, _) | Change::Received(id) => {
                Subject::Message(id)
            }
            Change::Quota(month, _) => Subject::Month(month),
            Change::Paused(id, _) | Change::Resumed(id, _) => Subject::Channel(id),
            Change::Test(id) => Subject::Test(id),
        }
    }
}

/// The id of an event: a UUIDv8 of a hash of the change ([RFC 9562
/// §B.2](https://www.rfc-editor.org/rfc/rfc9562#appendix-B.2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(Uuid);

impl EventId {
    /// Returns the id of a change in a business.
    #[must_use]
    pub fn of(business_id: BusinessId, change: &Change) -> EventId {
        let detail = match change {
            Change::Accepted(_) | Change::Received(_) | Change::Test(_) => String::new(),
            Change::Moved(_, MessageMoment { unknown_outcomes, reported_at, .. }) => {
                format!("{unknown_outcomes}/{}", millis(*reported_at))
            }
            Change::Quota(_, mark) => mark.percent().to_string(),
            Change::Paused(_, until) | Change::Resumed(_, until) => millis(Some(*until)),
        };

        let name = format!("{business_id}/{}/{}/{detail}", change.subject(), change.kind());

        let hash: [u8; 32] = Sha256::digest(name).into();
        let first_half = hash.first_chunk().expect("a hash has 32 bytes");
        EventId(uuid::Builder::from_custom_bytes(*first_half).into_uuid())
    }
}

fn millis(time: Option<DateTime<Utc>>) -> String {
    time.map(|time| time.timestamp_millis().to_string()).unwrap_or_default()
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl FromStr for EventId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<EventId, uuid::Error> {
        text.parse().map(EventId)
    }
}

/// A part of the month's messages of which callers are told, once a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaMark {
    /// Four fifths.
    Most,
    /// All of them.
    All,
}

impl QuotaMark {
    /// Every mark, the smaller first.
    pub const ALL: [QuotaMark; 2] = [QuotaMark::Most, QuotaMark::All];

    /// Returns the part in percent.
    #[must_use]
    pub fn percent(self) -> u64 {
        match self {
            QuotaMark::Most => 80,
            QuotaMark::All => 100,
        }
    }

    /// True if so many of the month's messages are used. A month that allows none has no marks.
    #[must_use]
    pub fn is_reached(self, used: u64, limit: u64) -> bool {
        limit > 0 && used * 100 >= limit * self.percent()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Seq;
    use crate::delivery::{Reason, ReportedStatus, Standing};

    const BUSINESS: BusinessId = BusinessId(Uuid::from_u128(0xB));

    fn message() -> MessageId {
        MessageId::new(time(0), Seq(1), 7)
    }

    fn time(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_772_355_900 + seconds, 0).expect("a time")
    }

    fn moment(status: Status) -> MessageMoment {
        MessageMoment { status, unknown_outcomes: 0, reported_at: None }
    }

    #[test]
    fn a_cursor_is_a_number_of_at_most_twelve_digits() {
        assert_eq!(EventSequence::of_cursor("12"), Some(EventSequence(12)));
        assert_eq!(EventSequence::of_cursor("999999999999"), Some(EventSequence::MAX));
        for wrong in ["", "-1", "+1", "1.2", "x", "1000000000000"] {
            assert_eq!(EventSequence::of_cursor(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn kinds_are_named_alike_everywhere() {
        for kind in EventType::ALL {
            assert_eq!(serde_json::json!(kind), kind.to_string());
            assert_eq!(kind.name().parse(), Ok(kind));
        }

        assert_eq!("message.queued".parse::<EventType>(), Err(UnknownEventType));
    }

    #[test]
    fn subjects_are_read_as_they_are_written() {
        let month = Month::of(time(0));
        for subject in [
            Subject::Message(message()),
            Subject::Month(month),
            Subject::Channel(ChannelId(Uuid::from_u128(1))),
            Subject::Test(Uuid::from_u128(2)),
        ] {
            assert_eq!(subject.to_string().parse(), Ok(subject));
            let json = serde_json::to_string(&subject).expect("a text");
            assert_eq!(serde_json::from_str::<Subject>(&json).expect("a subject"), subject);
        }

        assert_eq!("message.7".parse::<Subject>(), Err(UnknownSubject));
    }

    #[test]
    fn an_id_is_pinned() {
        let id = EventId::of(BUSINESS, &Change::Accepted(message()));
        let text = id.to_string();
        assert_eq!(text.as_bytes()[14], b'8', "{text}");
        assert_eq!(text.parse(), Ok(id));
        assert_ne!(id, EventId::of(BusinessId(Uuid::from_u128(0xC)), &Change::Accepted(message())));
    }

    #[test]
    fn callers_are_told_of_what_concerns_them_alone() {
        let change = |was, is| Change::of_message(message(), was, is).map(|change| change.kind());
        use Status::{Delivered, Failed, InDoubt, Queued, Read, Sending, Sent};
        assert_eq!(change(None, moment(Queued)), Some(EventType::MessageAccepted));
        for (was, is, told) in [
            (Queued, Sending, None),
            (Sending, Queued, None),
            (Sending, Sending, None),
            (Sending, Sent, Some(EventType::MessageSent)),
            (Sending, InDoubt, Some(EventType::MessageInDoubt)),
            (InDoubt, Sending, None),
            (Sent, Delivered, Some(EventType::MessageDelivered)),
            (Queued, Delivered, Some(EventType::MessageDelivered)),
            (Delivered, Read, Some(EventType::MessageRead)),
            (Delivered, Failed, Some(EventType::MessageFailed)),
            (Failed, Failed, None),
        ] {
            assert_eq!(change(Some(moment(was)), moment(is)), told, "{was} to {is}");
        }
    }

    #[test]
    fn a_pause_is_told_with_its_end_and_again_when_it_is_ended() {
        let id = ChannelId(Uuid::from_u128(1));
        let change = |was: Option<i64>, is: Option<i64>| {
            Change::of_pause(id, was.map(time), is.map(time)).map(|change| change.kind())
        };

        assert_eq!(change(None, Some(1)), Some(EventType::ChannelPaused));
        assert_eq!(change(Some(1), Some(2)), Some(EventType::ChannelPaused));
        assert_eq!(change(Some(1), None), Some(EventType::ChannelResumed));
        assert_eq!((change(Some(1), Some(1)), change(None, None)), (None, None));
    }

    #[test]
    fn a_month_has_two_marks() {
        let reached = |used, limit| QuotaMark::ALL.map(|mark| mark.is_reached(used, limit));
        assert_eq!(reached(0, 0), [false, false]);
        assert_eq!(reached(79, 100), [false, false]);
        assert_eq!(reached(80, 100), [true, false]);
        assert_eq!(reached(4, 5), [true, false]);
        assert_eq!(reached(5, 5), [true, true]);
    }

    proptest! {
        /// Whatever a message's receipts are, no two of its changes have one id.
        #[test]
        fn changes_of_one_message_have_ids_of_their_own(
            reports in proptest::collection::vec((0usize..4, 0i64..6), 0..20),
        ) {
            let reason = || Reason::new("odd", "");
            let mut standing = Standing { status: Status::Sending, reported_at: None };
            let mut ids = vec![EventId::of(BUSINESS, &Change::Accepted(message()))];
            for (kind, at) in reports {
                let reported = match kind {
                    0 => ReportedStatus::Sent,
                    1 => ReportedStatus::Delivered,
                    2 => ReportedStatus::Failed(reason()),
                    _ => ReportedStatus::Bounced(reason()),
                };

                let Some(after) = standing.on_receipt(&reported, time(at)) else { continue };
                let of = |standing: Standing| MessageMoment {
                    status: standing.status,
                    unknown_outcomes: 0,
                    reported_at: standing.reported_at,
                };

                if let Some(change) = Change::of_message(message(), Some(of(standing)), of(after)) {
                    let id = EventId::of(BUSINESS, &change);
                    prop_assert!(!ids.contains(&id), "{change:?}");
                    ids.push(id);
                }

                standing = after;
            }
        }
    }
}
