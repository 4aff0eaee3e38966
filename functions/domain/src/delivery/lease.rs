//! The lease by which one worker at a time holds a conversation.

use chrono::{DateTime, TimeDelta, Utc};

use crate::id::Seq;

/// The state of a conversation, as far as delivery depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConversationState {
    /// The last message accepted.
    pub seq: Seq,
    /// The last message that the provider took or that ended `failed`.
    pub settled_seq: Seq,
    /// The end of the current worker's lease; `None` if no worker holds the conversation.
    pub lease_until: Option<DateTime<Utc>>,
    /// Increased by every claim; a write that carries an older fence is refused.
    pub fence: u64,
    /// Nothing may be sent before this time: the provider asked for a wait, or the conversation
    /// waits for a receipt.
    pub not_before: Option<DateTime<Utc>>,
    /// When the outbox sweeper rings for this conversation; `None` when nothing is left to send.
    pub due: Option<DateTime<Utc>>,
}

impl ConversationState {
    /// Returns the message that a worker may be handing over at `now`.
    #[must_use]
    pub fn message_in_flight(&self, now: DateTime<Utc>) -> Option<Seq> {
        let held = self.lease_until.is_some_and(|until| now < until);
        (held && self.settled_seq < self.seq).then(|| self.settled_seq.next())
    }
}

/// The right to work on a conversation until a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Higher than the fence of every earlier claim.
    pub fence: u64,
    /// When the lease ends and another worker may claim the conversation.
    pub until: DateTime<Utc>,
}

/// The outcome of claiming a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimOutcome {
    /// The worker holds the conversation from now on.
    Granted(Lease),
    /// Nothing is left to do: every message is settled, and the conversation has left the outbox.
    Settled,
    /// Another worker holds it. It will see new messages, or it dies, and then its lease ends at
    /// this time.
    Held(DateTime<Utc>),
    /// Nothing may be sent before this time.
    NotYet(DateTime<Utc>),
}

/// Decides whether a worker may hold the conversation for `length` from `now` on.
///
/// A conversation whose messages are all settled but which is still in the outbox lost its worker
/// just before the release. It is granted too; otherwise the sweeper would ring for it for ever.
///
/// In production a condition on the claim's write decides; a contract test compares it with this
/// function.
#[must_use]
pub fn claim(state: &ConversationState, now: DateTime<Utc>, length: TimeDelta) -> ClaimOutcome {
    if state.settled_seq >= state.seq && state.due.is_none() {
        return ClaimOutcome::Settled;
    }

    match (state.lease_until, state.not_before) {
        (Some(until), _) if now < until => ClaimOutcome::Held(until),
        (_, Some(time)) if now < time => ClaimOutcome::NotYet(time),
        _ => ClaimOutcome::Granted(Lease { fence: state.fence + 1, until: now + length }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(second, 0).expect("a valid time")
    }

    fn state() -> ConversationState {
        ConversationState {
            seq: Seq(3),
            settled_seq: Seq(1),
            lease_until: None,
            fence: 4,
            not_before: None,
            due: Some(at(50)),
        }
    }

    const LENGTH: TimeDelta = TimeDelta::seconds(45);

    #[test]
    fn a_free_conversation_is_granted_with_a_higher_fence() {
        assert_eq!(
            claim(&state(), at(100), LENGTH),
            ClaimOutcome::Granted(Lease { fence: 5, until: at(145) })
        );
    }

    #[test]
    fn a_settled_conversation_is_not_granted() {
        let settled = ConversationState { settled_seq: Seq(3), due: None, ..state() };
        assert_eq!(claim(&settled, at(100), LENGTH), ClaimOutcome::Settled);
    }

    #[test]
    fn a_settled_conversation_that_was_not_released_is_granted_once_its_lease_ends() {
        let left = ConversationState { settled_seq: Seq(3), lease_until: Some(at(100)), ..state() };
        assert_eq!(claim(&left, at(99), LENGTH), ClaimOutcome::Held(at(100)));
        assert!(matches!(claim(&left, at(100), LENGTH), ClaimOutcome::Granted(_)));
    }

    #[test]
    fn a_lease_holds_until_its_last_moment() {
        let held = ConversationState { lease_until: Some(at(100)), ..state() };
        assert_eq!(claim(&held, at(99), LENGTH), ClaimOutcome::Held(at(100)));
        assert!(matches!(claim(&held, at(100), LENGTH), ClaimOutcome::Granted(_)));
    }

    #[test]
    fn the_next_message_is_in_flight_as_long_as_the_lease_holds() {
        let held = ConversationState { lease_until: Some(at(100)), ..state() };
        assert_eq!(held.message_in_flight(at(99)), Some(Seq(2)));
        assert_eq!(held.message_in_flight(at(100)), None);
        assert_eq!(state().message_in_flight(at(99)), None);
        assert_eq!(
            ConversationState { settled_seq: Seq(3), ..held }.message_in_flight(at(99)),
            None
        );
    }

    #[test]
    fn nothing_is_granted_before_not_before() {
        let waiting = ConversationState { not_before: Some(at(100)), ..state() };
        assert_eq!(claim(&waiting, at(99), LENGTH), ClaimOutcome::NotYet(at(100)));
        assert!(matches!(claim(&waiting, at(100), LENGTH), ClaimOutcome::Granted(_)));
    }
}
