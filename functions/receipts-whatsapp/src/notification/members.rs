//! The members of an item, each read on its own.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use domain::channel::whatsapp::CustomerId;
use platform::lenient_json::Node;

/// The members of an object.
pub(super) type Members<'a> = BTreeMap<String, Node<'a>>;

/// The longest text that is read, in bytes: no id and no word of Meta's is longer, and DynamoDB
/// takes [keys of up to 2,048
/// bytes](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html).
const MAX_TEXT_BYTES: usize = 1_024;

/// Returns a text that could be read whole.
pub(super) fn text(members: &Members<'_>, name: &str) -> Option<String> {
    members.get(name)?.text().filter(|text| is_whole(text))
}

/// Returns an id, which may be written as a number.
pub(super) fn id(members: &Members<'_>, name: &str) -> Option<String> {
    let number = || Some(members.get(name)?.integer()?.to_string());
    text(members, name).filter(|id| !id.is_empty()).or_else(number)
}

/// Returns one of a customer's names.
pub(super) fn name(members: &Members<'_>, name: &str) -> Option<CustomerId> {
    CustomerId::parse(&text(members, name)?)
}

/// Returns the time of an item: seconds since 1970, as a text or a number. What has no time
/// happened `now`, and nothing happens later than that.
pub(super) fn time(members: &Members<'_>, now: DateTime<Utc>) -> DateTime<Utc> {
    let seconds = members.get("timestamp").and_then(|timestamp| timestamp.number());
    #[expect(clippy::cast_possible_truncation, reason = "what is too large is no time")]
    let millis = seconds.map(|seconds| (seconds * 1_000.0) as i64);
    millis.and_then(DateTime::from_timestamp_millis).unwrap_or(now).min(now)
}

/// Returns a member that is not `null`.
pub(super) fn present<'a>(members: &Members<'a>, name: &str) -> Option<Node<'a>> {
    members.get(name).copied().filter(|member| !member.is_null())
}

/// False for a text of which a part could not be read, or that is too long for what it should be.
pub(super) fn is_whole(text: &str) -> bool {
    text.len() <= MAX_TEXT_BYTES && !text.contains('\u{fffd}')
}
