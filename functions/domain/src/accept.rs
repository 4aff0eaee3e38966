//! Accepting a message: the meaning of a cancelled transaction.
//!
//! The transaction has these positions: the quota shard, the conversation, the message, with a key
//! the idempotency record, and each upload that no message referenced before. DynamoDB cancels all
//! of them or none, and reports for each position whether its condition failed and what the item
//! was. It does not promise to evaluate the other positions after one has refused, so a position
//! without an error proves nothing. [`read`] alone decides what follows.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::conversation::ConversationChannel;
use crate::id::{MessageId, Seq};
use crate::quota::Shard;

/// DynamoDB's report on one position of a cancelled transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position<T> {
    /// No error is reported: the position would have been written, or was not evaluated.
    Fine,
    /// The condition failed; the item as it was, or `None` if there was none.
    Refused(Option<T>),
    /// Another transaction held the item, or the table was throttled.
    Contended,
}

impl<T> Position<T> {
    /// Changes what an item that refused was.
    #[must_use]
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Position<U> {
        match self {
            Position::Fine => Position::Fine,
            Position::Refused(was) => Position::Refused(was.map(change)),
            Position::Contended => Position::Contended,
        }
    }
}

/// A cancelled accept transaction, position by position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelledTransaction {
    /// The quota shard, under the condition `used < cap`.
    pub shard: Position<Shard>,
    /// The conversation, under the condition that `seq = n` and that it is on the channel that the
    /// content was checked for.
    pub conversation: Position<CurrentConversation>,
    /// The message, under the condition that no message `n + 1` exists.
    pub message: Position<()>,
    /// The idempotency record, under the condition that the key is new.
    pub idempotency: Position<RecordedAnswer>,
    /// The uploads, under the condition that each exists and that no message has referenced it.
    pub uploads: Vec<Position<()>>,
}

/// The conversation as the cancelled transaction found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrentConversation {
    /// The conversation's last message.
    pub seq: Seq,
    /// The conversation's channel.
    pub channel: ConversationChannel,
}

/// The answer to the first request with an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedAnswer {
    /// The message that was accepted.
    pub message_id: MessageId,
    /// The message's `seq`.
    pub seq: Seq,
    /// The [`request_hash`] of that request.
    pub request_hash: String,
}

/// The consequence of a cancelled transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CancellationOutcome {
    /// The same request was accepted before: repeat its answer.
    Replay(RecordedAnswer),
    /// The key came with another request before.
    KeyReused,
    /// The conversation is gone.
    ConversationNotFound,
    /// The conversation is on another channel now, which the content was not checked for.
    ChannelChanged,
    /// An upload has expired, or another message has referenced it by now: the files have to be
    /// checked again.
    UploadsChanged,
    /// Try again with what the cancellation said.
    Retry(Retry),
    /// The message exists, and the conversation was not reported to have moved on: it was not
    /// evaluated, or the table contradicts itself. Only another read tells which.
    SeqTaken,
}

/// The changes that the next try has to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retry {
    /// The conversation's last message by now, if the tried one was stale.
    pub seq: Option<Seq>,
    /// The fault of the shard that was tried.
    pub shard: ShardFault,
}

/// The fault of the quota shard in a cancelled transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ShardFault {
    /// None is known.
    #[default]
    None,
    /// The shard is full; it stays full until the plan changes.
    Full,
    /// The shard does not exist: the month has to be opened first.
    NotOpen,
}

/// Decides what follows from a cancelled transaction, which required the conversation to be at
/// `tried` and on `channel`.
///
/// The order matters. A known key wins over everything, even over a month that is spent meanwhile.
/// Then come the refusals that are final, and then the faults that another try may avoid.
#[must_use]
pub fn read(
    cancelled: CancelledTransaction,
    request_hash: &str,
    tried: Seq,
    channel: &ConversationChannel,
) -> CancellationOutcome {
    if let Position::Refused(first) = cancelled.idempotency {
        return match first {
            Some(first) if first.request_hash == request_hash => CancellationOutcome::Replay(first),
            Some(_) => CancellationOutcome::KeyReused,
            // A record existed, and its TTL deleted it before DynamoDB could return it.
            None => CancellationOutcome::Retry(Retry::default()),
        };
    }

    let mut retry = Retry::default();
    let seq_may_be_current = cancelled.conversation == Position::Fine;
    match cancelled.conversation {
        Position::Refused(None) => return CancellationOutcome::ConversationNotFound,
        Position::Refused(Some(now)) if now.channel != *channel => {
            return CancellationOutcome::ChannelChanged;
        }
        Position::Refused(Some(now)) => retry.seq = Some(now.seq),
        Position::Fine | Position::Contended => {}
    }

    let has_changed = |upload: &Position<()>| matches!(upload, Position::Refused(_));
    if cancelled.uploads.iter().any(has_changed) {
        return CancellationOutcome::UploadsChanged;
    }

    match cancelled.shard {
        Position::Refused(None) => retry.shard = ShardFault::NotOpen,
        Position::Refused(Some(_)) => retry.shard = ShardFault::Full,
        Position::Fine | Position::Contended => {}
    }

    match cancelled.message {
        // As far as is reported, `tried` was the last message; then the next one cannot exist.
        Position::Refused(_) if seq_may_be_current || retry.seq == Some(tried) => {
            CancellationOutcome::SeqTaken
        }
        Position::Refused(_) | Position::Fine | Position::Contended => {
            CancellationOutcome::Retry(retry)
        }
    }
}

/// Returns the hash that tells two requests with one idempotency key apart: SHA-256, in hex, over
/// everything that makes the message. Each part is preceded by its length, so that two different
/// splits of one text have different hashes.
#[must_use]
pub fn request_hash<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRIED: Seq = Seq(7);

    fn fine() -> CancelledTransaction {
        CancelledTransaction {
            shard: Position::Fine,
            conversation: Position::Fine,
            message: Position::Fine,
            idempotency: Position::Fine,
            uploads: Vec::new(),
        }
    }

    fn first(hash: &str) -> RecordedAnswer {
        let message_id = "01900000-0001-7abc-848d-17ffffffffff".parse().expect("a UUID");
        RecordedAnswer { message_id, seq: Seq(3), request_hash: hash.into() }
    }

    fn on(channel: &str, seq: u64) -> Position<CurrentConversation> {
        Position::Refused(Some(CurrentConversation { seq: Seq(seq), channel: channel.into() }))
    }

    fn outcome(cancelled: CancelledTransaction) -> CancellationOutcome {
        read(cancelled, "hash", TRIED, &"chat".into())
    }

    const FULL: Position<Shard> = Position::Refused(Some(Shard { used: 5, cap: 5 }));

    #[test]
    fn a_known_key_replays_even_when_the_month_is_spent_and_the_conversation_gone() {
        let cancelled = CancelledTransaction {
            shard: FULL,
            conversation: Position::Refused(None),
            message: Position::Refused(Some(())),
            idempotency: Position::Refused(Some(first("hash"))),
            uploads: vec![Position::Refused(Some(()))],
        };
        assert_eq!(outcome(cancelled), CancellationOutcome::Replay(first("hash")));
    }

    #[test]
    fn a_key_of_another_request_is_refused() {
        let cancelled =
            CancelledTransaction { idempotency: Position::Refused(Some(first("other"))), ..fine() };
        assert_eq!(outcome(cancelled), CancellationOutcome::KeyReused);
    }

    #[test]
    fn a_record_that_expired_in_between_is_tried_again() {
        let cancelled = CancelledTransaction { idempotency: Position::Refused(None), ..fine() };
        assert_eq!(outcome(cancelled), CancellationOutcome::Retry(Retry::default()));
    }

    #[test]
    fn a_missing_conversation_is_not_found() {
        let cancelled =
            CancelledTransaction { conversation: Position::Refused(None), shard: FULL, ..fine() };
        assert_eq!(outcome(cancelled), CancellationOutcome::ConversationNotFound);
    }

    #[test]
    fn a_conversation_that_changed_channel_has_to_be_checked_again() {
        let cancelled = CancelledTransaction { conversation: on("whatsapp", 9), ..fine() };
        assert_eq!(outcome(cancelled), CancellationOutcome::ChannelChanged);
    }

    #[test]
    fn a_stale_seq_is_tried_again_with_the_new_one() {
        let cancelled = CancelledTransaction {
            conversation: on("chat", 9),
            message: Position::Refused(Some(())),
            ..fine()
        };
        assert_eq!(
            outcome(cancelled),
            CancellationOutcome::Retry(Retry { seq: Some(Seq(9)), shard: ShardFault::None })
        );
    }

    #[test]
    fn a_full_shard_and_a_stale_seq_are_both_reported() {
        let cancelled = CancelledTransaction { shard: FULL, conversation: on("chat", 9), ..fine() };
        assert_eq!(
            outcome(cancelled),
            CancellationOutcome::Retry(Retry { seq: Some(Seq(9)), shard: ShardFault::Full })
        );
    }

    #[test]
    fn an_upload_that_changed_has_its_message_checked_again_before_anything_is_tried() {
        for changed in [Position::Refused(None), Position::Refused(Some(()))] {
            let uploads = vec![Position::Fine, changed];
            let conversation = on("chat", 9);
            let cancelled = CancelledTransaction { shard: FULL, conversation, uploads, ..fine() };
            assert_eq!(outcome(cancelled), CancellationOutcome::UploadsChanged);
        }
        let uploads = vec![Position::Contended, Position::Fine];
        let contended = outcome(CancelledTransaction { uploads, ..fine() });
        assert_eq!(contended, CancellationOutcome::Retry(Retry::default()));
    }

    #[test]
    fn a_missing_shard_means_that_the_month_is_not_open() {
        let cancelled = CancelledTransaction { shard: Position::Refused(None), ..fine() };
        assert_eq!(
            outcome(cancelled),
            CancellationOutcome::Retry(Retry { seq: None, shard: ShardFault::NotOpen })
        );
    }

    #[test]
    fn contention_alone_is_tried_again_unchanged() {
        for contended in [
            CancelledTransaction { shard: Position::Contended, ..fine() },
            CancelledTransaction { conversation: Position::Contended, ..fine() },
            CancelledTransaction { message: Position::Contended, ..fine() },
            CancelledTransaction { idempotency: Position::Contended, ..fine() },
        ] {
            assert_eq!(outcome(contended), CancellationOutcome::Retry(Retry::default()));
        }
    }

    #[test]
    fn an_existing_message_behind_a_contended_conversation_is_tried_again() {
        let message = Position::Refused(Some(()));
        let cancelled =
            CancelledTransaction { conversation: Position::Contended, message, ..fine() };
        assert_eq!(outcome(cancelled), CancellationOutcome::Retry(Retry::default()));
    }

    #[test]
    fn an_existing_message_behind_a_seq_that_seems_current_needs_another_read() {
        let cancelled = CancelledTransaction { message: Position::Refused(Some(())), ..fine() };
        assert_eq!(outcome(cancelled), CancellationOutcome::SeqTaken);
    }

    #[test]
    fn different_splits_of_one_text_have_different_hashes() {
        assert_ne!(request_hash(["ab", "c"]), request_hash(["a", "bc"]));
        assert_eq!(request_hash(["ab", "c"]), request_hash(["ab", "c"]));
    }
}
