//! The frames of each conversation that change nothing and are not counted in the table, and the
//! receipts that each connection has sent.

use std::time::Duration;

use chrono::{DateTime, Utc};

use domain::delivery::Status;
use domain::widget::{MinuteCount, RECEIPTS_PER_IDLE_FRAME, UNCOUNTED_IDLE_FRAMES};
use domain::{ConversationId, MessageId};
use platform::cache::TtlCache;

/// Longer than the minute that is counted.
const TTL: Duration = Duration::from_secs(120);

/// How many conversations are counted at once; a full cache forgets all counts.
const MAX_CONVERSATIONS: usize = 10_000;

/// How long a receipt is remembered: as long as API Gateway lets a connection be.
const RECEIPT_TTL: Duration = Duration::from_secs(2 * 60 * 60);

/// How many receipts are remembered at once, in some ten megabytes; a full cache forgets all.
const MAX_RECEIPTS: usize = 50_000;

/// The counts and the receipts of this process.
#[derive(Debug)]
pub(crate) struct IdleFrames {
    counts: TtlCache<ConversationId, MinuteCount>,
    receipts: TtlCache<(String, MessageId, Status), ()>,
    /// How many receipts of a conversation have changed nothing since the last that was counted.
    late_receipts: TtlCache<ConversationId, u32>,
}

impl Default for IdleFrames {
    fn default() -> IdleFrames {
        IdleFrames {
            counts: TtlCache::new(TTL, MAX_CONVERSATIONS),
            receipts: TtlCache::new(RECEIPT_TTL, MAX_RECEIPTS),
            late_receipts: TtlCache::new(TTL, MAX_CONVERSATIONS),
        }
    }
}

impl IdleFrames {
    /// Lets the first frames of a minute pass. False if the table has to count this one.
    pub(crate) fn pass_uncounted(
        &self,
        conversation_id: ConversationId,
        now: DateTime<Utc>,
    ) -> bool {
        let known = self.counts.get(&conversation_id);
        let Ok(count) = MinuteCount::spend(known, UNCOUNTED_IDLE_FRAMES, now) else { return false };
        self.counts.insert(conversation_id, count);
        true
    }

    /// Adds up the receipts that another tab was faster with. True if this one is counted for as
    /// many as weigh as much as an idle frame.
    pub(crate) fn is_counted_late_receipt(&self, conversation_id: ConversationId) -> bool {
        let late = self.late_receipts.get(&conversation_id).unwrap_or_default() + 1;
        self.late_receipts.insert(conversation_id, late % RECEIPTS_PER_IDLE_FRAME);
        late == RECEIPTS_PER_IDLE_FRAME
    }

    /// Remembers a receipt. True if it is the connection's first with this status of this message.
    pub(crate) fn is_first_receipt(
        &self,
        connection_id: &str,
        message_id: MessageId,
        status: Status,
    ) -> bool {
        let receipt = (connection_id.to_owned(), message_id, status);
        let is_first = self.receipts.get(&receipt).is_none();
        self.receipts.insert(receipt, ());
        is_first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_is_the_first_once_on_each_connection() {
        let frames = IdleFrames::default();
        let id: MessageId = "01900000-0001-7abc-848d-17ffffffffff".parse().expect("a UUID");
        for connection_id in ["one", "another"] {
            for status in [Status::Delivered, Status::Read] {
                assert!(frames.is_first_receipt(connection_id, id, status));
                assert!(!frames.is_first_receipt(connection_id, id, status));
            }
        }
    }

    #[test]
    fn some_late_receipts_weigh_as_much_as_one_idle_frame() {
        let frames = IdleFrames::default();
        let id = "01900000-0001-7abc-848d-17ffffffffff".parse().expect("a UUID");
        let receipts = 0..3 * RECEIPTS_PER_IDLE_FRAME;
        assert_eq!(receipts.filter(|_| frames.is_counted_late_receipt(id)).count(), 3);
    }

    #[test]
    fn each_conversation_has_its_own_count() {
        let frames = IdleFrames::default();
        let now = DateTime::UNIX_EPOCH;
        let id = |text: &str| text.parse::<ConversationId>().expect("a UUID");
        let one = id("01900000-0001-7abc-848d-17ffffffffff");
        let another = id("01900000-0001-7abc-848d-17fffffffffe");
        for _ in 0..UNCOUNTED_IDLE_FRAMES {
            assert!(frames.pass_uncounted(one, now));
        }
        assert!(!frames.pass_uncounted(one, now));
        assert!(frames.pass_uncounted(another, now));
        assert!(frames.pass_uncounted(one, now + MinuteCount::LENGTH));
    }
}
