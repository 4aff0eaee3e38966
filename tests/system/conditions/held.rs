//! `renew`, by which the holder of a conversation keeps it, and `release`, `postpone` and `park`,
//! by which it lets go of it.
//!
//! The rules are [`ConversationState::renewed`], [`ConversationState::released`],
//! [`ConversationState::postponed`] and [`ConversationState::parked`].

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::sample::{MS, NOW, conversation, conversation_key, held, turned};
use super::scratch::{Item, Scratch, for_all, item, value, with};
use domain::Seq;
use domain::delivery::ConversationState;
use domain::rate_limit::RateLimitState;
use platform::table::record::Conversation;
use platform::table::{HeldConversation, ReleaseOutcome, Table};

/// The holder of the conversation when the write arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    /// The writer itself.
    Us,
    /// Another worker, which claimed the conversation since.
    Successor,
    /// No worker: the writer has released the conversation already.
    Free,
    /// No worker: another one has claimed and released the conversation since.
    FreeAfterSuccessor,
    /// Another worker with the writer's own fence. No claim leads to this state; the rules rely on
    /// that, the table does not.
    SameFence,
    /// Another worker with the writer's own random name. No claim leads to this state either.
    SameName,
    /// The conversation does not exist.
    Gone,
}

/// The time at which the conversation was due when the holder read it.
const DUE: DateTime<Utc> = NOW;
/// The time until which the holder postpones or parks the conversation.
const LATER: DateTime<Utc> = DateTime::from_timestamp_millis(1_900_000_900_000).expect("a time");

/// A state in which a claimed conversation may be when its holder writes.
#[derive(Debug, Clone)]
struct State {
    holder: Holder,
    seq: u64,
    settled: u64,
    /// How far the holder has come, as it knows.
    passed: u64,
    due: DateTime<Utc>,
}

fn any_state() -> impl Strategy<Value = State> {
    use Holder::{Free, FreeAfterSuccessor, Gone, SameFence, SameName, Successor, Us};
    let others =
        prop::sample::select(vec![Successor, Free, FreeAfterSuccessor, SameFence, SameName, Gone]);
    let due = prop::sample::select(vec![DUE, DUE, DUE + MS, DUE - MS]);
    (prop_oneof![Just(Us), others], 0u64..4, 0u64..4, 0u64..4, due)
        .prop_map(|(holder, seq, settled, passed, due)| State { holder, seq, settled, passed, due })
}

fn stored(state: &State, held: &HeldConversation) -> Option<Conversation> {
    let (owner, fence) = match state.holder {
        Holder::Us => (held.conversation.lease_owner.clone(), 2),
        Holder::Successor => (Some("another worker".to_owned()), 3),
        Holder::Free => (None, 2),
        Holder::FreeAfterSuccessor => (None, 3),
        Holder::SameFence => (Some("another worker".to_owned()), 2),
        Holder::SameName => (held.conversation.lease_owner.clone(), 3),
        Holder::Gone => return None,
    };

    Some(Conversation {
        seq: Seq(state.seq),
        settled_seq: Seq(state.settled),
        fence,
        lease_until: owner.as_ref().map(|_| held.lease.until),
        lease_owner: owner,
        not_before: Some(NOW - MS),
        due: Some(state.due),
        ..conversation()
    })
}

/// Makes a write in every state, and compares the stored conversation with the result of `rule`.
/// The write checks its own answer; it is given whether the rule accepts it.
async fn check(
    write: impl AsyncFn(&Table, &State, HeldConversation, bool),
    rule: impl Fn(&ConversationState, Seq) -> Option<ConversationState>,
) {
    let scratch = Scratch::start().await;
    let (table, key) = (scratch.table(), conversation_key());
    let mut held = held(&scratch, &table).await;
    held.conversation.due = Some(DUE);

    for_all(192, &any_state(), async |state| {
        let before = stored(&state, &held);
        let item_of = |conversation: &Conversation| {
            let bucket = conversation.due.map(|_| value("chat#c"));
            with(item(&key, conversation), [("outbox_bucket", bucket)])
        };
        match &before {
            Some(before) => drop(scratch.items.put(item_of(before)).await),
            None => scratch.items.remove(&key).await,
        }
        let sound = !matches!(state.holder, Holder::SameFence | Holder::SameName);
        let passed = Seq(state.passed);
        let after = before
            .as_ref()
            .and_then(|before| rule(&before.state(), passed).map(|turn| turned(before, turn)));
        let after = after.filter(|_| sound);
        let mut holder = held.clone();
        holder.conversation.settled_seq = passed;
        write(&table, &state, holder, after.is_some()).await;
        let stored: Option<Item> = scratch.items.get(&key).await;
        assert_eq!(stored, after.as_ref().or(before.as_ref()).map(item_of));
        after.is_some()
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn letting_go_stores_thread_and_rate_limit_state_if_there_are_any() {
    let scratch = Scratch::start().await;
    let table = scratch.table();
    let stored = async || {
        let item = scratch.items.get(&conversation_key()).await.expect("it is there");
        (item.get("thread").cloned(), item.get("paced").cloned())
    };
    table.deliveries().postpone(&held(&scratch, &table).await, LATER).await.expect("an answer");
    assert_eq!(stored().await, (None, None));

    let paced = RateLimitState { last_at: NOW, conforms_at: LATER };
    let changed = async || {
        let mut held = held(&scratch, &table).await;
        held.conversation.due = None;
        held.conversation.thread.join("2@example.com".into());
        held.conversation.rate_limit_state = Some(paced);
        held
    };
    let both = (Some(value(["2@example.com"])), Some(value(paced)));

    table.deliveries().postpone(&changed().await, LATER).await.expect("an answer");
    assert_eq!(stored().await, both);

    let mut parked = changed().await;
    let due = with(
        scratch.items.get(&conversation_key()).await.expect("it is there"),
        [("due", Some(value(DUE.timestamp_millis())))],
    );
    scratch.items.put(due).await;
    parked.conversation.due = Some(DUE);
    assert!(table.deliveries().park(&mut parked, LATER).await.expect("an answer"));
    assert_eq!(stored().await, both);

    let mut released = changed().await;
    released.conversation.settled_seq = released.conversation.seq;
    let outcome = table.deliveries().release(&released).await.expect("an answer");
    assert_eq!((outcome, stored().await), (ReleaseOutcome::Done, both));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_holder_renews_its_lease() {
    let renew = async |table: &Table, _: &State, held: HeldConversation, right: bool| {
        let renewed = table.deliveries().renew(&held, LATER).await;
        assert_eq!(renewed.expect("an answer"), right);
    };
    check(renew, |turn, _| turn.renewed(2, LATER)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_holder_releases_and_only_behind_the_last_message() {
    let release = async |table: &Table, state: &State, held: HeldConversation, right: bool| {
        let expected = match state.holder {
            // Released already: the worker's own write, the answer to which was lost.
            Holder::Us | Holder::Free if right || state.holder == Holder::Free => {
                ReleaseOutcome::Done
            }
            Holder::Us => ReleaseOutcome::NewMessage,
            _ => ReleaseOutcome::LeaseLost,
        };
        let released = table.deliveries().release(&held).await;
        assert_eq!(released.expect("an answer"), expected);
    };
    check(release, |turn, passed| turn.released(2, passed)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_holder_postpones_and_never_back() {
    let postpone = async |table: &Table, _: &State, held: HeldConversation, _: bool| {
        table.deliveries().postpone(&held, LATER).await.expect("an answer");
    };
    check(postpone, |turn, passed| turn.postponed(2, passed, LATER)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_holder_parks_and_only_while_the_customer_is_away() {
    let leave = async |table: &Table, state: &State, mut held: HeldConversation, right: bool| {
        let left = table.deliveries().park(&mut held, LATER).await.expect("an answer");
        let came_back = state.holder == Holder::Us && !right;
        assert_eq!(left, !came_back);
        assert_eq!(held.conversation.due, Some(if came_back { state.due } else { DUE }));
    };
    check(leave, |turn, passed| turn.parked(2, passed, Some(DUE), LATER)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_whose_answer_was_lost_succeeds() {
    let scratch = Scratch::start().await;
    let claimed = async || {
        let mut held = held(&scratch, &scratch.table()).await;
        let due = with(
            scratch.items.get(&conversation_key()).await.expect("it is there"),
            [("due", Some(value(DUE.timestamp_millis())))],
        );
        scratch.items.put(due).await;
        held.conversation.due = Some(DUE);
        held
    };

    let losing = || scratch.losing_the_first_answer();
    let mut held = claimed().await;
    held.conversation.settled_seq = held.conversation.seq;
    assert_eq!(
        losing().deliveries().release(&held).await.expect("an answer"),
        ReleaseOutcome::Done
    );

    assert!(
        losing().deliveries().park(&mut claimed().await, LATER).await.expect("an answer"),
        "no customer came back"
    );

    assert!(losing().deliveries().renew(&claimed().await, LATER).await.expect("an answer"));

    losing().deliveries().postpone(&claimed().await, LATER).await.expect("an answer");
}
