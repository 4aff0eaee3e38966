//! Every key of the table is made here and nowhere else. The business is part of each, so another
//! business's items cannot be addressed at all. There are two exceptions, both of which only lead
//! to such a key, from a name that another party vouches for: a WebSocket connection finds its
//! conversation by the id that API Gateway made for it, and a customer who writes on WhatsApp by
//! the names that Meta signs for. What the sweeper remembers belongs to no business: it names
//! buckets of the outbox.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::NaiveDate;
use sha2::{Digest, Sha256};

use domain::channel::whatsapp::CustomerId;
use domain::delivery::Status;
use domain::event::{EventId, EventSequence, Subject};
use domain::{
    AgentId, BusinessId, Channel, ChannelId, ConversationId, CustomerNumber, EndpointId, Month,
    Seq, UploadId,
};

/// Hash key attribute.
pub const PK: &str = "pk";
/// Range key attribute.
pub const SK: &str = "sk";
/// The sparse index of conversations with something to deliver, and of uploads whose files are to
/// be kept.
pub const OUTBOX_INDEX: &str = "outbox";
/// The sparse index of messages that ended `failed` or are `in_doubt`.
pub const EXCEPTIONS_INDEX: &str = "exceptions";
/// How many parts each channel's outbox has, so that no part is written more often than DynamoDB's
/// 1,000 units a second allow ([partition key
/// design](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html)).
pub const OUTBOX_BUCKETS: u8 = 16;

/// An item's primary key.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key {
    /// `pk`.
    pub pk: String,
    /// `sk`.
    pub sk: String,
}

impl Key {
    fn new(pk: String, sk: impl Into<String>) -> Key {
        Key { pk, sk: sk.into() }
    }

    /// As the SDK wants it.
    #[must_use]
    pub fn attributes(&self) -> HashMap<String, AttributeValue> {
        HashMap::from([
            (PK.to_owned(), AttributeValue::S(self.pk.clone())),
            (SK.to_owned(), AttributeValue::S(self.sk.clone())),
        ])
    }
}

fn business_partition(business_id: BusinessId) -> String {
    format!("B#{business_id}")
}

/// Reads back the business of its own partition, which its plan, name, credentials and channels are
/// in.
#[must_use]
pub fn parse_business_partition(pk: &str) -> Option<BusinessId> {
    pk.strip_prefix("B#")?.parse().ok()
}

/// Range key of plans.
pub const PLAN: &str = "PLAN";

/// A business's plan.
#[must_use]
pub fn plan(business_id: BusinessId) -> Key {
    Key::new(business_partition(business_id), PLAN)
}

/// Range key of businesses' names.
pub const BUSINESS: &str = "BUSINESS";

/// A business's name, which only operators use.
#[must_use]
pub fn business(business_id: BusinessId) -> Key {
    Key::new(business_partition(business_id), BUSINESS)
}

/// An API key, by the hash of its secret.
#[must_use]
pub fn api_key(business_id: BusinessId, hash: &str) -> Key {
    Key::new(business_partition(business_id), format!("{API_KEY_PREFIX}{hash}"))
}

/// Prefix of the range keys of a business's API keys.
pub const API_KEY_PREFIX: &str = "KEY#";

/// Reads back the hash of an [`api_key`]'s secret.
#[must_use]
pub fn parse_api_key(sk: &str) -> Option<&str> {
    sk.strip_prefix(API_KEY_PREFIX)
}

/// An agent.
#[must_use]
pub fn agent(business_id: BusinessId, agent_id: AgentId) -> Key {
    Key::new(business_partition(business_id), format!("AGENT#{agent_id}"))
}

/// Prefix of the range keys of a business's channels.
pub const CHANNEL_PREFIX: &str = "CHANNEL#";

/// A configured channel.
#[must_use]
pub fn channel(business_id: BusinessId, channel_id: ChannelId) -> Key {
    Key::new(business_partition(business_id), format!("{CHANNEL_PREFIX}{channel_id}"))
}

/// Reads back the id of a [`channel`].
#[must_use]
pub fn parse_channel(sk: &str) -> Option<ChannelId> {
    sk.strip_prefix(CHANNEL_PREFIX)?.parse().ok()
}

/// A month's limit and how many shards it is counted on.
#[must_use]
pub fn quota_head(business_id: BusinessId, month: Month) -> Key {
    Key::new(business_partition(business_id), format!("{QUOTA_PREFIX}{month}"))
}

/// Prefix of the range keys of a business's months.
pub const QUOTA_PREFIX: &str = "QUOTA#";

/// Reads back business and month of a [`quota_head`].
#[must_use]
pub fn parse_quota_head(pk: &str, sk: &str) -> Option<(BusinessId, Month)> {
    let business_id = pk.strip_prefix("B#")?.parse().ok()?;
    let month = sk.strip_prefix(QUOTA_PREFIX)?.to_owned().try_into().ok()?;
    Some((business_id, month))
}

/// One shard of a month: a partition of its own, so that shards do not share a partition's
/// throughput.
#[must_use]
pub fn quota_shard(business_id: BusinessId, month: Month, shard: u16) -> Key {
    Key::new(format!("{}#Q#{month}#{shard}", business_partition(business_id)), QUOTA_SHARD)
}

/// Range key of a month's shards.
pub const QUOTA_SHARD: &str = "SHARD";

/// Reads back business and month of a [`quota_shard`].
#[must_use]
pub fn parse_quota_shard(pk: &str) -> Option<(BusinessId, Month)> {
    let (business_id, shard) = pk.strip_prefix("B#")?.split_once("#Q#")?;
    let (month, _) = shard.split_once('#')?;
    Some((business_id.parse().ok()?, month.to_owned().try_into().ok()?))
}

/// The partition of a conversation: the conversation itself, agents' messages, the customer's own
/// with their count and their names, its uploads and its live connections.
#[must_use]
pub fn conversation_partition(business_id: BusinessId, conversation_id: ConversationId) -> String {
    format!("{}{conversation_id}", conversations_of(business_id))
}

/// Prefix of the partitions of all conversations of a business.
#[must_use]
pub fn conversations_of(business_id: BusinessId) -> String {
    format!("{}#C#", business_partition(business_id))
}

/// Range key of conversations.
pub const CONVERSATION_SORT: &str = "CONVERSATION";

/// A conversation.
#[must_use]
pub fn conversation(business_id: BusinessId, conversation_id: ConversationId) -> Key {
    Key::new(conversation_partition(business_id, conversation_id), CONVERSATION_SORT)
}

/// Reads back business and conversation of a [`conversation_partition`].
#[must_use]
pub fn parse_conversation_partition(pk: &str) -> Option<(BusinessId, ConversationId)> {
    let (business_id, conversation_id) = pk.strip_prefix("B#")?.split_once("#C#")?;
    Some((business_id.parse().ok()?, conversation_id.parse().ok()?))
}

/// A message, by its place.
#[must_use]
pub fn message(business_id: BusinessId, conversation_id: ConversationId, seq: Seq) -> Key {
    Key::new(conversation_partition(business_id, conversation_id), message_sort(seq))
}

/// Prefix of the range keys of messages.
pub const MESSAGE_PREFIX: &str = "M#";

/// Range key of a message: twelve digits, so that text order is number order.
#[must_use]
pub fn message_sort(seq: Seq) -> String {
    format!("{MESSAGE_PREFIX}{:012}", seq.0)
}

/// A message that the customer wrote, by its number among the customer's messages.
#[must_use]
pub fn customer_message(
    business_id: BusinessId,
    conversation_id: ConversationId,
    number: CustomerNumber,
) -> Key {
    Key::new(conversation_partition(business_id, conversation_id), customer_message_sort(number))
}

/// Prefix of the range keys of customers' messages.
pub const CUSTOMER_MESSAGE_PREFIX: &str = "C#";

/// Range key of a customer's message: twelve digits, so that text order is number order.
#[must_use]
pub fn customer_message_sort(number: CustomerNumber) -> String {
    format!("{CUSTOMER_MESSAGE_PREFIX}{:012}", number.0)
}

/// How many messages the customer of a conversation has written. It is not the conversation's own
/// item: a visitor who writes a lot is in no send's way.
#[must_use]
pub fn customer_count(business_id: BusinessId, conversation_id: ConversationId) -> Key {
    Key::new(conversation_partition(business_id, conversation_id), CUSTOMER_COUNT_SORT)
}

/// Range key of the counts of customers' messages.
pub const CUSTOMER_COUNT_SORT: &str = "CUSTOMER";

/// Prefix of the range keys of the names that customers' messages came with.
pub const CUSTOMER_NAME_PREFIX: &str = "N#";

/// The record of the name that a customer's message came with: the widget's `client_id`, or the
/// provider's id. It is hashed: it may hold what does not belong into a table key.
#[must_use]
pub fn customer_message_name(
    business_id: BusinessId,
    conversation_id: ConversationId,
    name: &str,
) -> Key {
    let hash = hex::encode(Sha256::digest(name));
    Key::new(
        conversation_partition(business_id, conversation_id),
        format!("{CUSTOMER_NAME_PREFIX}{hash}"),
    )
}

/// Prefix of the range keys of uploads.
pub const UPLOAD_PREFIX: &str = "U#";

/// An upload for a conversation's messages.
#[must_use]
pub fn upload(
    business_id: BusinessId,
    conversation_id: ConversationId,
    upload_id: UploadId,
) -> Key {
    Key::new(
        conversation_partition(business_id, conversation_id),
        format!("{UPLOAD_PREFIX}{upload_id}"),
    )
}

/// The uploads of a day (UTC) that no message of the business has referenced.
#[must_use]
pub fn unreferenced_uploads(business_id: BusinessId, day: NaiveDate) -> Key {
    Key::new(business_partition(business_id), format!("UPLOADS#{day}"))
}

/// Reads back the place of an [`upload`].
#[must_use]
pub fn parse_upload(pk: &str, sk: &str) -> Option<(BusinessId, ConversationId, UploadId)> {
    let (business_id, conversation_id) = parse_conversation_partition(pk)?;
    let upload_id = sk.strip_prefix(UPLOAD_PREFIX)?.parse().ok()?;
    Some((business_id, conversation_id, upload_id))
}

/// The record of an idempotency key. The key is hashed: it may hold what does not belong into a
/// table key.
#[must_use]
pub fn idempotency(business_id: BusinessId, key: &str) -> Key {
    let hash = hex::encode(Sha256::digest(key));
    Key::new(format!("{}{hash}", idempotency_of(business_id)), "IDEMPOTENCY")
}

/// Prefix of the partitions of a business's idempotency keys.
#[must_use]
pub fn idempotency_of(business_id: BusinessId) -> String {
    format!("{}#I#", business_partition(business_id))
}

/// Prefix of the range keys of a conversation's connections.
pub const CONNECTION_PREFIX: &str = "W#";

/// A live widget of a conversation.
#[must_use]
pub fn connection(
    business_id: BusinessId,
    conversation_id: ConversationId,
    connection_id: &str,
) -> Key {
    Key::new(
        conversation_partition(business_id, conversation_id),
        format!("{CONNECTION_PREFIX}{connection_id}"),
    )
}

/// Which tabs of a conversation are connected.
#[must_use]
pub fn tabs(business_id: BusinessId, conversation_id: ConversationId) -> Key {
    Key::new(conversation_partition(business_id, conversation_id), "TABS")
}

/// How a connection finds its conversation.
#[must_use]
pub fn connection_owner(connection_id: &str) -> Key {
    Key::new(format!("W#{connection_id}"), "CONNECTION")
}

/// The partition of the index of exceptions with a business's messages of this status.
#[must_use]
pub fn exceptions(business_id: BusinessId, status: Status) -> String {
    format!("{}#E#{status}", business_partition(business_id))
}

/// Reads back the business of a partition of [`exceptions`].
#[must_use]
pub fn parse_exceptions(partition: &str) -> Option<BusinessId> {
    let (business_id, _) = partition.strip_prefix("B#")?.split_once("#E#")?;
    business_id.parse().ok()
}

/// The partition of a business's events, in the order of their numbers, and of their count.
#[must_use]
pub fn events_partition(business_id: BusinessId) -> String {
    format!("{}#EVENTS", business_partition(business_id))
}

/// An event, by its number.
#[must_use]
pub fn event(business_id: BusinessId, sequence: EventSequence) -> Key {
    Key::new(events_partition(business_id), event_sort(sequence))
}

/// Range key of an event: twelve digits, so that text order is number order.
#[must_use]
pub fn event_sort(sequence: EventSequence) -> String {
    format!("{:012}", sequence.0)
}

/// How many events a business has had.
#[must_use]
pub fn event_count(business_id: BusinessId) -> Key {
    Key::new(events_partition(business_id), "COUNT")
}

/// How an event is found by its id, which makes it one event however often it is published.
#[must_use]
pub fn event_name(business_id: BusinessId, id: EventId) -> Key {
    Key::new(format!("{}#EVENT#{id}", business_partition(business_id)), "EVENT")
}

/// Prefix of the range keys of a business's endpoints.
pub const ENDPOINT_PREFIX: &str = "ENDPOINT#";

/// An endpoint that a business has its events sent to.
#[must_use]
pub fn endpoint(business_id: BusinessId, endpoint_id: EndpointId) -> Key {
    Key::new(business_partition(business_id), format!("{ENDPOINT_PREFIX}{endpoint_id}"))
}

/// Reads back the id of an [`endpoint`].
#[must_use]
pub fn parse_endpoint(sk: &str) -> Option<EndpointId> {
    sk.strip_prefix(ENDPOINT_PREFIX)?.parse().ok()
}

/// How many endpoints a business has.
#[must_use]
pub fn endpoint_count(business_id: BusinessId) -> Key {
    Key::new(business_partition(business_id), "ENDPOINTS")
}

/// The partition of what was sent, and is to be sent, to an endpoint.
#[must_use]
pub fn deliveries_partition(business_id: BusinessId, endpoint_id: EndpointId) -> String {
    format!("{}#D#{endpoint_id}", business_partition(business_id))
}

/// Prefix of the range keys of the deliveries of one subject's events.
#[must_use]
pub fn delivery_prefix(subject: &Subject) -> String {
    format!("{subject}#")
}

/// An event on its way to an endpoint. Those of one subject are beside each other, in the order of
/// their numbers.
#[must_use]
pub fn event_delivery(
    business_id: BusinessId,
    endpoint_id: EndpointId,
    subject: &Subject,
    sequence: EventSequence,
) -> Key {
    let sort = format!("{}{}", delivery_prefix(subject), event_sort(sequence));
    Key::new(deliveries_partition(business_id, endpoint_id), sort)
}

/// Reads back business, endpoint and subject of an [`event_delivery`].
#[must_use]
pub fn parse_event_delivery(pk: &str, sk: &str) -> Option<(BusinessId, EndpointId, Subject)> {
    let (business_id, endpoint_id) = pk.strip_prefix("B#")?.split_once("#D#")?;
    let (subject, _) = sk.split_once('#')?;
    Some((business_id.parse().ok()?, endpoint_id.parse().ok()?, subject.parse().ok()?))
}

/// The partition of a customer's conversations on one of WhatsApp's business numbers: Meta's id of
/// the number, and one of the customer's names at Meta. However a number is written, its partition
/// is the same.
#[must_use]
pub fn whatsapp_customer_partition(phone_number_id: &str, customer: &str) -> String {
    let customer = CustomerId::parse(customer).map(|name| name.lookup_key());
    format!("P#{phone_number_id}#{}", customer.unwrap_or_default())
}

/// Reads back the name of a [`whatsapp_customer_partition`], as
/// [`lookup_key`](CustomerId::lookup_key) writes it.
#[must_use]
pub fn parse_whatsapp_customer(pk: &str) -> Option<String> {
    let (_, customer) = pk.strip_prefix("P#")?.split_once('#')?;
    Some(customer.to_owned())
}

/// How a customer who writes on WhatsApp finds a conversation; its range key reads like the
/// conversation's partition.
#[must_use]
pub fn whatsapp_customer(
    phone_number_id: &str,
    customer: &str,
    business_id: BusinessId,
    conversation_id: ConversationId,
) -> Key {
    Key::new(
        whatsapp_customer_partition(phone_number_id, customer),
        conversation_partition(business_id, conversation_id),
    )
}

/// The part of the outbox that a conversation on `channel` is in. It names the channel, so that the
/// sweeper knows which doorbell to ring without reading the conversation.
#[must_use]
pub fn outbox_bucket(channel: Channel, conversation_id: ConversationId) -> String {
    let bucket = conversation_id.0.as_bytes()[15] % OUTBOX_BUCKETS;
    format!("{channel}#{bucket:x}")
}

/// Every part of a channel's outbox.
pub fn outbox_buckets(channel: Channel) -> impl Iterator<Item = String> {
    (0..OUTBOX_BUCKETS).map(move |bucket| format!("{channel}#{bucket:x}"))
}

/// The part of the outbox that an upload is in whose file is to be kept.
#[must_use]
pub fn upload_bucket(upload_id: UploadId) -> String {
    format!("files#{:x}", upload_id.0.as_bytes()[15] % OUTBOX_BUCKETS)
}

/// Every part of the outbox that uploads are in.
pub fn upload_buckets() -> impl Iterator<Item = String> {
    (0..OUTBOX_BUCKETS).map(|bucket| format!("files#{bucket:x}"))
}

/// The part of the outbox that a delivery of an event is in.
#[must_use]
pub fn webhook_bucket(sequence: EventSequence) -> String {
    format!("webhook#{:x}", sequence.0 % u64::from(OUTBOX_BUCKETS))
}

/// Every part of the outbox that deliveries of events are in.
pub fn webhook_buckets() -> impl Iterator<Item = String> {
    (0..OUTBOX_BUCKETS).map(|bucket| format!("webhook#{bucket:x}"))
}

/// The partition of what the sweeper remembers.
pub const SWEEP_ROUNDS: &str = "SWEEP";

/// How far the sweeper came with what is due for a queue.
#[must_use]
pub fn sweep_round(queue: &str) -> Key {
    Key::new(SWEEP_ROUNDS.to_owned(), queue)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use uuid::Uuid;

    use super::*;

    const BUSINESS_ID: BusinessId = BusinessId(Uuid::from_u128(0xB));
    const CONVERSATION_ID: ConversationId = ConversationId(Uuid::from_u128(0xC));

    #[test]
    fn a_partition_tells_whose_it_is() {
        assert_eq!(
            parse_conversation_partition(&conversation(BUSINESS_ID, CONVERSATION_ID).pk),
            Some((BUSINESS_ID, CONVERSATION_ID))
        );
        assert_eq!(parse_conversation_partition("B#x"), None);
        assert!(
            conversation(BUSINESS_ID, CONVERSATION_ID)
                .pk
                .starts_with(&conversations_of(BUSINESS_ID))
        );
    }

    #[test]
    fn an_api_key_tells_its_hash() {
        assert_eq!(parse_api_key(&api_key(BUSINESS_ID, "5e55").sk), Some("5e55"));
        assert_eq!(parse_api_key(&plan(BUSINESS_ID).sk), None);
    }

    #[test]
    fn a_channel_tells_its_id_and_its_business() {
        let channel_id = ChannelId(Uuid::from_u128(0xD));
        let key = channel(BUSINESS_ID, channel_id);
        assert_eq!(parse_channel(&key.sk), Some(channel_id));
        assert_eq!(parse_channel(&plan(BUSINESS_ID).sk), None);
        assert_eq!(parse_business_partition(&key.pk), Some(BUSINESS_ID));
        let conversation = conversation(BUSINESS_ID, CONVERSATION_ID);
        assert_eq!(parse_business_partition(&conversation.pk), None);
    }

    #[test]
    fn a_month_tells_whose_it_is() {
        let month: Month = String::from("2026-11").try_into().expect("a month");
        let head = quota_head(BUSINESS_ID, month);
        assert_eq!(parse_quota_head(&head.pk, &head.sk), Some((BUSINESS_ID, month)));
        assert_eq!(parse_quota_head(&head.pk, &plan(BUSINESS_ID).sk), None);
    }

    #[test]
    fn a_customer_is_found_by_digits_however_their_number_is_written() {
        let key =
            whatsapp_customer("106540352242922", "+1 (650) 555-1234", BUSINESS_ID, CONVERSATION_ID);
        assert_eq!(key.pk, "P#106540352242922#16505551234");
        assert_eq!(key.pk, whatsapp_customer_partition("106540352242922", "16505551234"));
        assert_eq!(
            whatsapp_customer_partition("1", "US.13491208655302741918"),
            "P#1#US.13491208655302741918"
        );
        assert_eq!(
            whatsapp_customer_partition("1", "+55 31 98888-7777"),
            whatsapp_customer_partition("1", "553188887777")
        );
        assert_eq!(parse_conversation_partition(&key.sk), Some((BUSINESS_ID, CONVERSATION_ID)));
    }

    #[test]
    fn an_upload_tells_its_place_and_is_in_one_of_its_buckets() {
        let upload_id = UploadId(Uuid::from_u128(0xE));
        let key = upload(BUSINESS_ID, CONVERSATION_ID, upload_id);
        let place = (BUSINESS_ID, CONVERSATION_ID, upload_id);
        assert_eq!(parse_upload(&key.pk, &key.sk), Some(place));
        assert_eq!(parse_upload(&key.pk, CONVERSATION_SORT), None);
        assert!(upload_buckets().any(|bucket| bucket == upload_bucket(upload_id)));

        let of_channels = Channel::ALL.into_iter().flat_map(outbox_buckets);
        assert!(
            of_channels
                .chain(upload_buckets())
                .chain(webhook_buckets())
                .collect::<BTreeSet<_>>()
                .len()
                == 80
        );
    }

    #[test]
    fn a_shard_tells_whose_it_is() {
        let month: Month = String::from("2026-11").try_into().expect("a month");
        let shard = quota_shard(BUSINESS_ID, month, 7);
        assert_eq!(parse_quota_shard(&shard.pk), Some((BUSINESS_ID, month)));
        assert_eq!(parse_quota_shard(&plan(BUSINESS_ID).pk), None);
    }

    #[test]
    fn events_sort_by_number_and_their_count_is_behind_them() {
        let sort = |number| event_sort(EventSequence(number));
        assert!(sort(9) < sort(10) && sort(999) < sort(EventSequence::MAX.0));
        assert!(sort(EventSequence::MAX.0) < event_count(BUSINESS_ID).sk);
    }

    #[test]
    fn a_delivery_tells_its_line_and_is_in_one_of_its_buckets() {
        let endpoint_id = EndpointId(Uuid::from_u128(0xE));
        let subject = Subject::Channel(ChannelId(Uuid::from_u128(0xD)));
        let key = event_delivery(BUSINESS_ID, endpoint_id, &subject, EventSequence(7));
        let line = (BUSINESS_ID, endpoint_id, subject);
        assert_eq!(parse_event_delivery(&key.pk, &key.sk), Some(line));
        assert!(webhook_buckets().any(|bucket| bucket == webhook_bucket(EventSequence(7))));
        assert_eq!(parse_endpoint(&endpoint(BUSINESS_ID, endpoint_id).sk), Some(endpoint_id));
        assert_eq!(parse_endpoint(&endpoint_count(BUSINESS_ID).sk), None);
    }

    #[test]
    fn an_exception_tells_whose_it_is() {
        let partition = exceptions(BUSINESS_ID, Status::InDoubt);
        assert!(partition.ends_with("#E#in_doubt"), "{partition}");
        assert_eq!(parse_exceptions(&partition), Some(BUSINESS_ID));
        assert_eq!(parse_exceptions(&plan(BUSINESS_ID).pk), None);
    }

    #[test]
    fn no_range_of_a_conversations_items_has_those_of_another() {
        let ranges = [
            MESSAGE_PREFIX,
            CUSTOMER_MESSAGE_PREFIX,
            CUSTOMER_NAME_PREFIX,
            UPLOAD_PREFIX,
            CONNECTION_PREFIX,
        ];
        for (place, range) in ranges.iter().enumerate() {
            let others = ranges.iter().enumerate().filter(|(other, _)| *other != place);
            let others = others.map(|(_, other)| *other);
            for sort in others.chain([CONVERSATION_SORT, CUSTOMER_COUNT_SORT, "TABS"]) {
                assert!(!sort.starts_with(range), "{range} has {sort}");
            }
        }
    }

    #[test]
    fn messages_sort_by_number() {
        assert!(message_sort(Seq(9)) < message_sort(Seq(10)));
        assert!(message_sort(Seq(999)) < message_sort(Seq::MAX));
        let sort = |number| customer_message_sort(CustomerNumber(number));
        assert!(sort(9) < sort(10) && sort(999) < sort(CustomerNumber::MAX.0));
    }

    #[test]
    fn a_conversation_is_in_one_of_its_channels_buckets() {
        assert!(
            outbox_buckets(Channel::Email)
                .any(|bucket| bucket == outbox_bucket(Channel::Email, CONVERSATION_ID))
        );
        assert_eq!(outbox_bucket(Channel::Email, CONVERSATION_ID), "email#c");
    }
}
