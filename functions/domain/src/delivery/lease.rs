//! Whose state it is to work on a conversation.

use chrono::{DateTime, TimeDelta, Utc};

use crate::id::Seq;

/// A conversation as far as delivery is concerned.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ConversationState {
    /// The last message accepted.
    pub seq: Seq,
    /// The last message that the provider took or that ended.
    pub settled_seq: Seq,
    /// Who works on it, if anybody.
    pub lease_until: Option<DateTime<Utc>>,
    /// Raised by every claim; a write that carries an older one is refused.
    pub fence: u64,
    /// Nothing may be sent before: the provider asked for time, or an answer is waited for.
    pub not_before: Option<DateTime<Utc>>,
    /// The outbox's promise: when to look again. `None` when nothing is left to send.
    pub due: Option<DateTime<Utc>>,
}

impl ConversationState {
    /// The message that a worker may be handing over at this moment.
    #[must_use]
    pub fn message_in_flight(&self, now: DateTime<Utc>) -> Option<Seq> {
        let held = self.lease_until.is_some_and(|until| now < until);
        (held && self.settled_seq < self.seq).then(|| self.settled_seq.next())
    }
}

/// The right to work on a conversation until a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Higher than that of every claim before.
    pub fence: u64,
    /// When the lease is over and anybody may claim again.
    pub until: DateTime<Utc>,
}

/// What came of asking for a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClaimOutcome {
    /// It is yours.
    Granted(Lease),
    /// Nothing is left to do: everything is sent, and the conversation is out of the outbox.
    Settled,
    /// Somebody works on it and will see what is new, or dies, and then the lease ends at this
    /// time.
    Held(DateTime<Utc>),
    /// Nothing may be sent before this time.
    NotYet(DateTime<Utc>),
}

/// Whether a worker may have the conversation for `length` from `now` on.
///
/// A conversation whose messages are all settled but which is still in the outbox lost its worker
/// at the very end. It is granted too, or the sweeper would ring for it for ever.
///
/// The table decides this by a condition on the claim's write; a contract test holds the two
/// against each other.
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
    fn a_settled_one_is_left_alone() {
        let settled = ConversationState { settled_seq: Seq(3), due: None, ..state() };
        assert_eq!(claim(&settled, at(100), LENGTH), ClaimOutcome::Settled);
    }

    #[test]
    fn one_that_was_settled_and_not_let_go_is_granted_once_its_worker_is_dead() {
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
    fn a_worker_has_the_next_message_in_hand_as_long_as_its_lease_holds() {
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
    fn nothing_is_sent_earlier_than_asked() {
        let waiting = ConversationState { not_before: Some(at(100)), ..state() };
        assert_eq!(claim(&waiting, at(99), LENGTH), ClaimOutcome::NotYet(at(100)));
        assert!(matches!(claim(&waiting, at(100), LENGTH), ClaimOutcome::Granted(_)));
    }
}
