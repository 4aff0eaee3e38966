//! Sample items. Each test changes the attributes that it is about.

use std::ops::ControlFlow;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::scratch::{Scratch, item};
use domain::delivery::transitions::MessageState;
use domain::delivery::{ClaimOutcome, ConversationState, History, Parts, Progress, Status, Thread};
use domain::{
    BusinessId, ChannelId, Content, ConversationId, ConversationStatus, MessageId, Metadata, Month,
    Sender, Seq,
};
use platform::table::key::{self, Key};
use platform::table::record::{Conversation, Message};
use platform::table::{HeldConversation, Table};

/// The time of every test. Conditions compare milliseconds, so tests also use the milliseconds
/// before and after it.
pub(super) const NOW: DateTime<Utc> =
    DateTime::from_timestamp_millis(1_900_000_000_123).expect("a time");
/// The shortest time that conditions tell apart.
pub(super) const MS: TimeDelta = TimeDelta::milliseconds(1);
/// The length of a claim.
pub(super) const LEASE: TimeDelta = TimeDelta::seconds(45);
/// The business of every test.
pub(super) const BUSINESS_ID: BusinessId = BusinessId(Uuid::from_u128(0xB));
/// The business's conversation.
pub(super) const CONVERSATION_ID: ConversationId = ConversationId(Uuid::from_u128(0xC));

/// The key of the conversation.
pub(super) fn conversation_key() -> Key {
    key::conversation(BUSINESS_ID, CONVERSATION_ID)
}

/// The key of the first message.
pub(super) fn message_key() -> Key {
    key::message(BUSINESS_ID, CONVERSATION_ID, Seq(1))
}

/// A conversation with three messages, the first of which is settled. No worker holds it.
pub(super) fn conversation() -> Conversation {
    Conversation {
        channel: "chat".into(),
        channel_id: ChannelId(Uuid::from_u128(0xCC)),
        recipient: "visitor".into(),
        status: ConversationStatus::Open,
        subject: None,
        thread: Thread::default(),
        rate_limit_state: None,
        seq: Seq(3),
        settled_seq: Seq(1),
        created_at: NOW - LEASE,
        updated_at: NOW - LEASE,
        first_response_at: None,
        window_expires_at: None,
        fence: 1,
        lease_owner: None,
        lease_until: None,
        not_before: None,
        due: None,
    }
}

/// Returns the conversation with another state.
pub(super) fn turned(before: &Conversation, turn: ConversationState) -> Conversation {
    let ConversationState { seq, settled_seq, lease_until, fence, not_before, due } = turn;
    let lease_owner = before.lease_owner.clone().filter(|_| lease_until.is_some());
    Conversation {
        seq,
        settled_seq,
        lease_owner,
        lease_until,
        fence,
        not_before,
        due,
        ..before.clone()
    }
}

/// Returns the state of a message that the rules decide by.
pub(super) fn stored(message: &Message) -> MessageState {
    MessageState {
        progress: message.progress(),
        fence: message.fence.unwrap_or(0),
        reported_at: message.reported_at,
    }
}

/// Returns the message with another state.
pub(super) fn became(before: &Message, after: MessageState) -> Message {
    let MessageState { progress, fence, reported_at } = after;
    let Progress { status, created_at, attempts, unknown_outcomes, attempted_at } = progress;
    let fence = before.fence.or(Some(fence).filter(|fence| *fence > 0)).map(|_| fence);
    Message {
        status,
        created_at,
        attempts,
        unknown_outcomes,
        attempted_at,
        fence,
        reported_at,
        ..before.clone()
    }
}

/// The conversation's message number `seq`, as it was accepted.
pub(super) fn message(seq: u64) -> Message {
    Message {
        id: MessageId::new(NOW, Seq(seq), seq),
        seq: Seq(seq),
        sender: Sender(None),
        content: Content::new("a text".into()).expect("it is not blank"),
        attachments: Vec::new(),
        metadata: Metadata::default(),
        created_at: NOW - LEASE,
        month: Month::of(NOW),
        shard: 0,
        status: Status::Queued,
        attempts: 0,
        unknown_outcomes: 0,
        fence: None,
        attempted_at: None,
        provider_id: None,
        sent_at: None,
        delivered_at: None,
        read_at: None,
        failed_at: None,
        reported_at: None,
        error: None,
        parts: Parts::default(),
        correlation_id: Some("JKJaXmPLvHcESHA=".into()),
        keep_until: None,
        expires_at: None,
        history: History::default(),
    }
}

/// Times until which a message has to be kept, in seconds since 1970: for ever, over by now, and
/// long from now.
pub(super) fn keep_until() -> [Option<i64>; 3] {
    let now = NOW.timestamp();
    [None, Some(now - 1), Some(now + 30 * 24 * 60 * 60)]
}

/// Returns when DynamoDB may delete a message that is settled now: a week later at the earliest.
pub(super) fn expiry_if_settled(message: &Message) -> Option<i64> {
    let week_later = NOW.timestamp() + 7 * 24 * 60 * 60;
    message.keep_until.map(|until| if until < week_later { week_later } else { until })
}

/// Has a worker claim the conversation.
pub(super) async fn claim(table: &Table) -> ControlFlow<ClaimOutcome, HeldConversation> {
    let claim = table.deliveries().claim(BUSINESS_ID, CONVERSATION_ID, NOW, LEASE);
    claim.await.expect("an answer")
}

/// Stores the conversation and claims it, with fence 2.
pub(super) async fn held(scratch: &Scratch, table: &Table) -> HeldConversation {
    scratch.items.put(item(&conversation_key(), &conversation())).await;
    let held = claim(table).await.continue_value().expect("it is free");
    assert_eq!(held.lease.fence, 2);
    held
}
