//! `advance`, `release`, `postpone`, `leave`: what only the holder of a conversation may do to it.

use super::sample::{MS, NOW, conversation, conversation_key, held};
use super::scratch::{Item, Scratch, for_all, item, value, with};
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use domain::Seq;
use platform::table::record::Conversation;
use platform::table::{Held, Release, Table};
use proptest::prelude::*;

/// Whose the conversation is when the write comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    /// Still the writer's.
    Us,
    /// Another worker's, who claimed it since.
    Successor,
    /// Nobody's: the writer let go of it already.
    Nobody,
    /// Nobody's: another worker claimed it since, and let go of it.
    NobodyAfterSuccessor,
    /// Another worker's with the writer's own fence, which cannot be; the table does not rely on that.
    Impostor,
    /// The conversation is not there.
    Gone,
}

/// When the conversation was due as the holder read it.
const DUE: DateTime<Utc> = NOW;
/// When it shall be looked at again.
const LATER: DateTime<Utc> = DateTime::from_timestamp_millis(1_900_000_900_000).expect("a time");

/// A conversation that was claimed and has come to this since.
#[derive(Debug, Clone)]
struct State {
    holder: Holder,
    seq: u64,
    settled: u64,
    due: Option<DateTime<Utc>>,
}

fn any_state() -> impl Strategy<Value = State> {
    use Holder::{Gone, Impostor, Nobody, NobodyAfterSuccessor, Successor, Us};
    let others = prop::sample::select(vec![Successor, Nobody, NobodyAfterSuccessor, Impostor, Gone]);
    let due = prop::sample::select(vec![Some(DUE), Some(DUE), Some(DUE + MS), Some(DUE - MS), None]);
    (prop_oneof![Just(Us), others], 0u64..4, 0u64..4, due).prop_map(|(holder, seq, settled, due)| State {
        holder,
        seq,
        settled,
        due,
    })
}

fn stored(state: &State, held: &Held) -> Option<Item> {
    let (owner, fence) = match state.holder {
        Holder::Us => (held.conversation.lease_owner.clone(), 2),
        Holder::Successor => (Some("another worker".to_owned()), 3),
        Holder::Nobody => (None, 2),
        Holder::NobodyAfterSuccessor => (None, 3),
        Holder::Impostor => (Some("another worker".to_owned()), 2),
        Holder::Gone => return None,
    };
    let conversation = Conversation {
        seq: Seq(state.seq),
        settled_seq: Seq(state.settled),
        fence,
        lease_until: owner.as_ref().map(|_| held.lease.until),
        lease_owner: owner,
        not_before: Some(NOW - MS),
        due: state.due,
        ..conversation()
    };
    Some(with(item(&conversation_key(), &conversation), [("outbox_bucket", state.due.map(|_| value("chat#c")))]))
}

/// Makes a write in every state and compares what is stored then: `changed` says what becomes of an item that the
/// write is for, `None` leaves it as it is. The write checks its own answer.
async fn check(write: impl AsyncFn(&Table, &State, Held), changed: impl Fn(&State, Item) -> Option<Item>) {
    let scratch = Scratch::start().await;
    let mut held = held(&scratch, &scratch.table()).await;
    held.conversation.due = Some(DUE);
    let key = conversation_key();
    for_all(160, &any_state(), async |state| {
        let before = stored(&state, &held);
        match &before {
            Some(item) => drop(scratch.items.put(item.clone()).await),
            None => scratch.items.remove(&key).await,
        }
        write(&scratch.table(), &state, held.clone()).await;
        let changed = before.clone().and_then(|item| changed(&state, item));
        let through = changed.is_some();
        assert_eq!(scratch.items.get(&key).await, changed.or(before));
        through
    });
}

fn millis(time: DateTime<Utc>) -> Option<AttributeValue> {
    Some(value(time.timestamp_millis()))
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_holder_moves_a_conversation_on_and_by_one_message() {
    let advance = async |table: &Table, state: &State, mut held: Held| {
        let moved = table.advance(&mut held, Seq(2)).await.expect("an answer");
        // Found at 2 already: its own write, the answer to which was lost.
        assert_eq!(moved, state.holder == Holder::Us && [1, 2].contains(&state.settled));
        assert_eq!(held.conversation.settled_seq, Seq(if moved { 2 } else { 1 }));
    };
    check(advance, |state, item| {
        let right = state.holder == Holder::Us && state.settled == 1;
        right.then(|| with(item, [("settled_seq", Some(value(2)))]))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_holder_lets_go_and_only_of_what_is_settled() {
    let release = async |table: &Table, state: &State, held: Held| {
        let expected = match state.holder {
            Holder::Us if state.settled == state.seq => Release::Done,
            Holder::Us => Release::NewMessage,
            Holder::Nobody => Release::Done,
            _ => Release::LeaseLost,
        };
        assert_eq!(table.release(&held).await.expect("an answer"), expected);
    };
    check(release, |state, item| {
        let right = state.holder == Holder::Us && state.settled == state.seq;
        let gone = ["lease_owner", "lease_until", "not_before", "outbox_bucket", "due"].map(|name| (name, None));
        right.then(|| with(item, gone))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_holder_postpones() {
    let postpone = async |table: &Table, _: &State, held: Held| {
        table.postpone(&held, LATER).await.expect("an answer");
    };
    check(postpone, |state, item| {
        let later =
            [("due", millis(LATER)), ("not_before", millis(LATER)), ("lease_owner", None), ("lease_until", None)];
        (state.holder == Holder::Us).then(|| with(item, later))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_holder_leaves_and_only_while_the_customer_is_away() {
    let leave = async |table: &Table, state: &State, mut held: Held| {
        let left = table.leave(&mut held, LATER).await.expect("an answer");
        let came_back = state.holder == Holder::Us && state.due != Some(DUE);
        assert_eq!(left, !came_back);
        assert_eq!(held.conversation.due, if came_back { state.due } else { Some(DUE) });
    };
    check(leave, |state, item| {
        let right = state.holder == Holder::Us && state.due == Some(DUE);
        let left = [("due", millis(LATER)), ("not_before", None), ("lease_owner", None), ("lease_until", None)];
        right.then(|| with(item, left))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_was_lost_was_made_all_the_same() {
    let scratch = Scratch::start().await;
    let claimed = async || {
        let mut held = held(&scratch, &scratch.table()).await;
        let due = with(scratch.items.get(&conversation_key()).await.expect("it is there"), [("due", millis(DUE))]);
        scratch.items.put(due).await;
        held.conversation.due = Some(DUE);
        held
    };
    let losing = || scratch.losing_the_first_answer();
    let mut held = claimed().await;
    assert!(losing().advance(&mut held, Seq(2)).await.expect("an answer"));
    assert!(losing().advance(&mut held, Seq(3)).await.expect("an answer"));
    assert_eq!(losing().release(&held).await.expect("an answer"), Release::Done);
    assert!(losing().leave(&mut claimed().await, LATER).await.expect("an answer"), "nobody came back");
    losing().postpone(&claimed().await, LATER).await.expect("an answer");
}
