//! Accepting a message: what a cancelled transaction means.
//!
//! The transaction has four positions: the quota shard, the conversation, the message and, with a
//! key, the idempotency record. DynamoDB cancels all of them or none, and says of each position
//! whether its condition failed and what the item was. What follows from that is decided here and
//! nowhere else.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::id::{MessageId, Seq};
use crate::quota::Shard;

/// What DynamoDB said of one position of a cancelled transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Position<T> {
    /// Nothing against it.
    Fine,
    /// Its condition failed; what the item was, or `None` if there was none.
    Refused(Option<T>),
    /// Another transaction held the item, or the table was throttled.
    Contended,
}

/// A cancelled accept transaction, position by position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CancelledTransaction {
    /// `used < cap`.
    pub shard: Position<Shard>,
    /// `seq = n`, on the channel that the content was checked for.
    pub conversation: Position<CurrentConversation>,
    /// The place `n + 1` is free.
    pub message: Position<()>,
    /// The key is new.
    pub idempotency: Position<RecordedAnswer>,
}

/// The conversation as the cancelled transaction found it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrentConversation {
    /// Its last message.
    pub seq: Seq,
    /// Its channel's wire name.
    pub channel: String,
}

/// What an idempotency key led to when it came first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedAnswer {
    /// The message that was accepted.
    pub message_id: MessageId,
    /// Its place in its conversation.
    pub seq: Seq,
    /// [`request_hash`] of the request it came with.
    pub request_hash: String,
}

/// What to do about a cancelled transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CancellationOutcome {
    /// The same request was accepted before: answer what it was answered.
    Replay(RecordedAnswer),
    /// The key came with another request before.
    KeyReused,
    /// The conversation is gone.
    ConversationNotFound,
    /// The conversation is on another channel now, which the content was not checked for.
    ChannelChanged,
    /// Try again with what was learnt.
    Retry(Retry),
    /// The place of the message was taken although the conversation's `seq` said otherwise:
    /// something is broken.
    PlaceTaken,
}

/// What the next try has to do differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retry {
    /// The conversation has moved on to this message.
    pub seq: Option<Seq>,
    /// What is the matter with the shard.
    pub shard: ShardFault,
}

/// What is the matter with the quota shard of a cancelled transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ShardFault {
    /// Nothing, or nothing was said of it.
    #[default]
    None,
    /// It is full; it stays full until the plan changes.
    Full,
    /// It does not exist: the month has to be opened first.
    NotOpen,
}

/// Reads a cancelled transaction, which asked for the conversation to be at `tried` and on
/// `channel`.
///
/// The order matters. A known key wins over everything, also over a month that is spent meanwhile;
/// then what is wrong for good; then what another try may mend.
#[must_use]
pub fn read(
    cancelled: CancelledTransaction,
    request_hash: &str,
    tried: Seq,
    channel: &str,
) -> CancellationOutcome {
    if let Position::Refused(first) = cancelled.idempotency {
        return match first {
            Some(first) if first.request_hash == request_hash => CancellationOutcome::Replay(first),
            Some(_) => CancellationOutcome::KeyReused,
            // Refused because a record existed, which its expiry took away before it could be
            // returned.
            None => CancellationOutcome::Retry(Retry::default()),
        };
    }
    let mut retry = Retry::default();
    let agreed = cancelled.conversation == Position::Fine;
    match cancelled.conversation {
        Position::Refused(None) => return CancellationOutcome::ConversationNotFound,
        Position::Refused(Some(now)) if now.channel != channel => {
            return CancellationOutcome::ChannelChanged;
        }
        Position::Refused(Some(now)) => retry.seq = Some(now.seq),
        Position::Fine | Position::Contended => {}
    }
    match cancelled.shard {
        Position::Refused(None) => retry.shard = ShardFault::NotOpen,
        Position::Refused(Some(_)) => retry.shard = ShardFault::Full,
        Position::Fine | Position::Contended => {}
    }
    match cancelled.message {
        // Position 2 agreed that `tried` was the last message, so nothing can stand behind it.
        Position::Refused(_) if agreed || retry.seq == Some(tried) => {
            CancellationOutcome::PlaceTaken
        }
        Position::Refused(_) | Position::Fine | Position::Contended => {
            CancellationOutcome::Retry(retry)
        }
    }
}

/// Tells two requests that came with the same idempotency key apart: SHA-256, in hex, over
/// everything that makes the message. Each part is preceded by its length, so that no two requests
/// run into one another.
#[must_use]
pub fn request_hash<'a>(parts: impl IntoIterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
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
        }
    }

    fn first(hash: &str) -> RecordedAnswer {
        let message_id = "01900000-0001-7abc-848d-17ffffffffff".parse().expect("a UUID");
        RecordedAnswer { message_id, seq: Seq(3), request_hash: hash.into() }
    }

    fn on(channel: &str, seq: u64) -> Position<CurrentConversation> {
        Position::Refused(Some(CurrentConversation { seq: Seq(seq), channel: channel.into() }))
    }

    fn verdict(cancelled: CancelledTransaction) -> CancellationOutcome {
        read(cancelled, "hash", TRIED, "chat")
    }

    const FULL: Position<Shard> = Position::Refused(Some(Shard { used: 5, cap: 5 }));

    #[test]
    fn a_known_key_replays_even_when_the_month_is_spent_and_the_conversation_gone() {
        let cancelled = CancelledTransaction {
            shard: FULL,
            conversation: Position::Refused(None),
            message: Position::Refused(Some(())),
            idempotency: Position::Refused(Some(first("hash"))),
        };
        assert_eq!(verdict(cancelled), CancellationOutcome::Replay(first("hash")));
    }

    #[test]
    fn a_key_of_another_request_is_refused() {
        let cancelled =
            CancelledTransaction { idempotency: Position::Refused(Some(first("other"))), ..fine() };
        assert_eq!(verdict(cancelled), CancellationOutcome::KeyReused);
    }

    #[test]
    fn a_record_that_expired_in_between_is_tried_again() {
        let cancelled = CancelledTransaction { idempotency: Position::Refused(None), ..fine() };
        assert_eq!(verdict(cancelled), CancellationOutcome::Retry(Retry::default()));
    }

    #[test]
    fn a_missing_conversation_is_not_found() {
        let cancelled =
            CancelledTransaction { conversation: Position::Refused(None), shard: FULL, ..fine() };
        assert_eq!(verdict(cancelled), CancellationOutcome::ConversationNotFound);
    }

    #[test]
    fn a_conversation_that_changed_channel_has_to_be_checked_again() {
        let cancelled = CancelledTransaction { conversation: on("whatsapp", 9), ..fine() };
        assert_eq!(verdict(cancelled), CancellationOutcome::ChannelChanged);
    }

    #[test]
    fn a_stale_seq_is_tried_again_with_the_new_one() {
        let cancelled = CancelledTransaction {
            conversation: on("chat", 9),
            message: Position::Refused(Some(())),
            ..fine()
        };
        assert_eq!(
            verdict(cancelled),
            CancellationOutcome::Retry(Retry { seq: Some(Seq(9)), shard: ShardFault::None })
        );
    }

    #[test]
    fn a_full_shard_and_a_stale_seq_are_both_learnt() {
        let cancelled = CancelledTransaction { shard: FULL, conversation: on("chat", 9), ..fine() };
        assert_eq!(
            verdict(cancelled),
            CancellationOutcome::Retry(Retry { seq: Some(Seq(9)), shard: ShardFault::Full })
        );
    }

    #[test]
    fn a_missing_shard_means_that_the_month_is_not_open() {
        let cancelled = CancelledTransaction { shard: Position::Refused(None), ..fine() };
        assert_eq!(
            verdict(cancelled),
            CancellationOutcome::Retry(Retry { seq: None, shard: ShardFault::NotOpen })
        );
    }

    #[test]
    fn contention_alone_teaches_nothing() {
        for contended in [
            CancelledTransaction { shard: Position::Contended, ..fine() },
            CancelledTransaction { conversation: Position::Contended, ..fine() },
            CancelledTransaction { message: Position::Contended, ..fine() },
            CancelledTransaction { idempotency: Position::Contended, ..fine() },
        ] {
            assert_eq!(verdict(contended), CancellationOutcome::Retry(Retry::default()));
        }
    }

    #[test]
    fn a_taken_place_behind_a_conversation_that_another_transaction_holds_is_tried_again() {
        let message = Position::Refused(Some(()));
        let cancelled =
            CancelledTransaction { conversation: Position::Contended, message, ..fine() };
        assert_eq!(verdict(cancelled), CancellationOutcome::Retry(Retry::default()));
    }

    #[test]
    fn a_taken_place_behind_a_right_seq_is_a_bug() {
        let cancelled = CancelledTransaction { message: Position::Refused(Some(())), ..fine() };
        assert_eq!(verdict(cancelled), CancellationOutcome::PlaceTaken);
    }

    #[test]
    fn requests_do_not_run_into_one_another() {
        assert_ne!(request_hash(["ab", "c"]), request_hash(["a", "bc"]));
        assert_eq!(request_hash(["ab", "c"]), request_hash(["ab", "c"]));
    }
}
