//! The calls that functions make, by name, and how to recognize one.

use emulator::RecordedCall;

/// One call of a function, wherever in its work it comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Point {
    /// The call's purpose.
    pub(crate) name: &'static str,
    /// The operation of AWS; empty for the provider's own API.
    pub(crate) operation: &'static str,
    /// Words of the request that no other call with this operation has.
    pub(crate) marker: &'static str,
}

const fn point(name: &'static str, operation: &'static str, marker: &'static str) -> Point {
    Point { name, operation, marker }
}

/// The provider's call: its faults are the provider's own.
pub(crate) const PROVIDER: Point = point("provider", "", "");

/// The provider's call that brings a file.
pub(crate) const UPLOAD: Point = point("upload", "", "media");

/// How a message's end is written down.
pub(crate) const SETTLE: Point = point("settle", "UpdateItem", "_at = :now");

/// The call that a worker makes beside the others: when it arrives among them is chance.
pub(crate) const RING_AGAIN: Point = point("ring again", "ChangeMessageVisibility", "");

/// The calls that keep a file which its message's sender did not come to keep.
pub(crate) const READ_UPLOAD: Point = point("read upload", "GetItem", "U#");
pub(crate) const KEEP_FILE: Point = point("keep file", "PutObjectTagging", "");
pub(crate) const LEAVE_OUTBOX: Point =
    point("leave outbox", "TransactWriteItems", "REMOVE outbox_bucket");

/// Every call there is; the first that fits is it.
const POINTS: [Point; 46] = [
    point("read published", "BatchGetItem", "#EVENTS"),
    point("read everything", "BatchGetItem", "CONVERSATION"),
    point("read shards", "BatchGetItem", "SHARD"),
    point("read subject", "BatchGetItem", "M#"),
    point("read endpoint", "GetItem", "ENDPOINT#"),
    point("read event", "GetItem", "#EVENTS"),
    point("read secret", "GetSecretValue", ""),
    point("read channel", "GetItem", "CHANNEL#"),
    point("read month", "GetItem", "QUOTA#"),
    point("read plan", "GetItem", "PLAN"),
    point("read key", "GetItem", "IDEMPOTENCY"),
    point("read message", "GetItem", "M#"),
    READ_UPLOAD,
    point("read own message", "GetItem", "\"C#0"),
    point("read connection", "GetItem", "CONNECTION"),
    point("publish", "TransactWriteItems", "#EVENTS"),
    point("delete endpoint", "TransactWriteItems", "ENDPOINT#"),
    point("write", "TransactWriteItems", "\"CUSTOMER\""),
    point("accept", "TransactWriteItems", "seq = :last"),
    point("open month", "TransactWriteItems", "QUOTA#"),
    point("look for file", "HeadObject", ""),
    KEEP_FILE,
    LEAVE_OUTBOX,
    point("bury", "SendMessage", "DeadLetters"),
    point("ring", "SendMessage", "MessageBody"),
    RING_ALL,
    point("claim delivery", "UpdateItem", "attempts = :next, lease_until"),
    point("end delivery", "UpdateItem", "REMOVE due, outbox_bucket, lease_until"),
    point("put off", "UpdateItem", "due = :at, not_before"),
    point("note health", "UpdateItem", "health = :health"),
    point("drop delivery", "DeleteItem", ""),
    point("claim", "UpdateItem", "lease_owner = :me, lease_until"),
    point("renew", "UpdateItem", "SET lease_until = :until"),
    RING_AGAIN,
    point("mark", "UpdateItem", "attempted_at = :now"),
    SETTLE,
    point("note part", "UpdateItem", "SET parts = :parts"),
    point("read file", "GetObject", ""),
    point("put back", "UpdateItem", "doubts = :doubts"),
    point("release", "UpdateItem", "not_before, outbox_bucket"),
    point("remember full", "UpdateItem", "SET full_shards = :full"),
    point("pause", "UpdateItem", "paused_until = :until"),
    point("read endpoints", "Query", ":endpoints"),
    point("read deliveries", "Query", ":subject"),
    point("read tabs", "Query", "begins_with"),
    point("read messages", "Query", "BETWEEN"),
];

/// The sweeper's two; each is about one conversation's bucket, or its doorbell.
pub(crate) const BUCKET: Point = point("read bucket", "Query", "");
pub(crate) const RING_ALL: Point = point("ring all", "SendMessageBatch", "");

/// A receipt that was faster than the worker has it note what only it knows. Whether one is, is the
/// customer's doing.
const NOTE_SENT: &str = "sent_at = if_not_exists";

/// The point that a call was made at; none for the one that chance decides about.
///
/// # Panics
/// If functions make a call that has no name yet: then it is not tested either.
pub(crate) fn of(call: &RecordedCall) -> Option<Point> {
    let request = String::from_utf8_lossy(&call.request);
    if request.contains(NOTE_SENT) {
        return None;
    }

    let fits = |point: &&Point| point.operation == call.operation && request.contains(point.marker);
    let found = POINTS.iter().find(fits).copied();
    assert!(
        found.is_some(),
        "tests/crash/point.rs has no name for this {} of {}: {request}",
        call.operation,
        call.function
    );

    found
}
