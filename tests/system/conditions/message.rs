//! `mark_attempt`, `settle` with `note_sent`, `put_back`: what a worker may do to a message. The rule is the fence's:
//! what a successor has taken up is no longer for a worker whose lease is over; and a settled message stays settled
//! ([`Status::is_settled`]).

use super::sample::{NOW, held, message, message_key};
use super::scratch::{Item, Scratch, for_all, item, value, with};
use chrono::TimeDelta;
use domain::Seq;
use domain::delivery::{Reason, Status};
use platform::table::record::Message;
use platform::table::{Held, Marked, Settlement, Table};
use proptest::prelude::*;

/// The fence of the worker that writes.
const FENCE: u64 = 2;

/// A message as it is stored when the write comes.
#[derive(Debug, Clone)]
struct Stored {
    message: Message,
    /// It is not there at all.
    gone: bool,
}

impl Stored {
    fn is_ours(&self) -> bool {
        !self.gone && self.message.fence.is_none_or(|fence| fence <= FENCE)
    }

    fn item(&self) -> Option<Item> {
        (!self.gone).then(|| item(&message_key(), &self.message))
    }
}

fn reason() -> Reason {
    Reason::new("rate_limited", "slower, please").with_provider_code(130_429)
}

fn any_stored() -> impl Strategy<Value = Stored> {
    let status = prop::sample::select(Status::ALL.to_vec());
    let fence = prop::sample::select(vec![None, Some(FENCE - 1), Some(FENCE), Some(FENCE + 1)]);
    let (attempts, doubts, marks) = (1u32..3, 0u32..3, any::<[bool; 3]>());
    let gone = prop::sample::select(vec![true, false, false, false, false, false, false, false]);
    (status, fence, attempts, doubts, marks, gone).prop_map(|(status, fence, attempts, doubts, marks, gone)| {
        let before = |mark: bool| mark.then_some(NOW - TimeDelta::seconds(1));
        let message = Message {
            status,
            attempts,
            doubts,
            fence,
            attempted_at: before(marks[0]),
            sent_at: before(marks[1]),
            provider_id: marks[1].then(|| "an older id".to_owned()),
            error: marks[2].then(reason),
            ..message(1)
        };
        Stored { message, gone }
    })
}

/// Makes a write against every state and compares what is stored then: `changed` says what becomes of a message that
/// the write is for, `None` leaves it as it is. The write checks its own answer.
async fn check<S: Strategy>(
    states: S,
    stored: impl Fn(&S::Value) -> &Stored,
    write: impl AsyncFn(&Table, &Held, &S::Value),
    changed: impl Fn(&S::Value, Item) -> Option<Item>,
) {
    let scratch = Scratch::start().await;
    let (table, key) = (scratch.table(), message_key());
    let held = held(&scratch, &table).await;
    for_all(192, &states, async |state| {
        let before = stored(&state).item();
        match &before {
            Some(item) => drop(scratch.items.put(item.clone()).await),
            None => scratch.items.remove(&key).await,
        }
        write(&table, &held, &state).await;
        let changed = before.clone().and_then(|item| changed(&state, item));
        let through = changed.is_some();
        assert_eq!(scratch.items.get(&key).await, changed.or(before));
        through
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_is_announced_on_what_was_read_and_is_still_ours() {
    /// What is stored, and what the worker read a moment ago.
    type Read = (Stored, Status, u32);
    let unsettled: Vec<Status> = Status::ALL.into_iter().filter(|status| !status.is_settled()).collect();
    let read = (any_stored(), prop::sample::select(unsettled), 1u32..3, any::<bool>());
    let read = read.prop_map(|(stored, status, attempts, fresh)| match stored.message.status.is_settled() || !fresh {
        true => (stored, status, attempts),
        false => (stored.clone(), stored.message.status, stored.message.attempts),
    });
    let right = |(stored, status, attempts): &Read| {
        stored.is_ours() && stored.message.status == *status && stored.message.attempts == *attempts
    };
    let announced = |(stored, status, attempts): &Read| Message {
        status: Status::Sending,
        attempts: attempts + 1,
        doubts: stored.message.doubts + u32::from(*status == Status::Sending),
        attempted_at: Some(NOW),
        fence: Some(FENCE),
        ..stored.message.clone()
    };
    let mark = async |table: &Table, held: &Held, state: &Read| {
        let read = Message { status: state.1, attempts: state.2, ..state.0.message.clone() };
        match table.mark_attempt(held, &read, NOW).await.expect("an answer") {
            Marked::Announced(message) => assert_eq!((message, true), (announced(state), right(state))),
            Marked::Changed => assert!(!right(state)),
        }
    };
    let changed = |state: &Read, _| right(state).then(|| item(&message_key(), &announced(state)));
    check(read, |state| &state.0, mark, changed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sent_is_written_down_once_and_never_over_what_a_receipt_or_a_successor_says() {
    let settle = async |table: &Table, held: &Held, stored: &Stored| {
        let sent = Settlement::Sent { provider_id: Some("an id".into()) };
        let settled = table.settle(held, Seq(1), &sent, NOW).await;
        let lost = !stored.message.status.is_settled() && !stored.is_ours();
        assert_eq!(settled.is_err(), lost || stored.gone, "{settled:?}");
    };
    let changed = |stored: &Stored, item: Item| {
        let at = if stored.message.status.is_settled() { stored.message.sent_at.unwrap_or(NOW) } else { NOW };
        let noted = with(item, [("sent_at", Some(value(at))), ("provider_id", Some(value("an id")))]);
        let sent = [("status", Some(value(Status::Sent))), ("fence", Some(value(FENCE))), ("error", None)];
        stored.is_ours().then(|| match stored.message.status.is_settled() {
            true => noted,
            false => with(noted, sent),
        })
    };
    check(any_stored(), |stored| stored, settle, changed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_is_written_down_once_and_never_over_what_a_receipt_or_a_successor_says() {
    let settle = async |table: &Table, held: &Held, stored: &Stored| {
        let settled = table.settle(held, Seq(1), &Settlement::Failed(reason()), NOW).await;
        let lost = !stored.message.status.is_settled() && !stored.is_ours();
        assert_eq!(settled.is_err(), lost || stored.gone, "{settled:?}");
    };
    let changed = |stored: &Stored, item: Item| {
        let failed = [
            ("status", Some(value(Status::Failed))),
            ("fence", Some(value(FENCE))),
            ("failed_at", Some(value(NOW))),
            ("error", Some(value(reason()))),
        ];
        (stored.is_ours() && !stored.message.status.is_settled()).then(|| with(item, failed))
    };
    check(any_stored(), |stored| stored, settle, changed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_message_in_our_own_hands_is_put_back() {
    /// What is stored; as what it is put back; why; whether the attempt counts.
    type Back = (Stored, Status, bool, bool);
    // Every other one is in somebody's hands.
    let sending = (any_stored(), any::<bool>()).prop_map(|(mut stored, sending)| {
        stored.message.status = if sending { Status::Sending } else { stored.message.status };
        stored
    });
    let status = prop::sample::select(vec![Status::Queued, Status::InDoubt]);
    let back = async |table: &Table, held: &Held, (stored, status, why, counted): &Back| {
        let (message, reason) = (Message { status: Status::Sending, ..stored.message.clone() }, reason());
        table.put_back(held, &message, *status, why.then_some(&reason), *counted).await.expect("an answer");
    };
    let changed = |(stored, status, why, counted): &Back, item: Item| {
        let ours = stored.message.fence.is_some() && stored.is_ours() && stored.message.status == Status::Sending;
        let back = [
            ("status", Some(value(status))),
            ("doubts", Some(value(stored.message.doubts + u32::from(*status == Status::InDoubt)))),
            ("attempts", Some(value(stored.message.attempts - u32::from(!counted)))),
            ("error", Some(value(why.then(reason)))),
            ("fence", Some(value(FENCE))),
        ];
        ours.then(|| with(item, back))
    };
    check((sending, status, any::<bool>(), any::<bool>()), |state| &state.0, back, changed).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_whose_announcement_went_unanswered_was_announced_once() {
    let scratch = Scratch::start().await;
    let held = held(&scratch, &scratch.table()).await;
    for status in [Status::Queued, Status::Sending, Status::InDoubt] {
        let before = Message { status, attempts: 1, fence: Some(FENCE - 1), ..message(1) };
        scratch.items.put(item(&message_key(), &before)).await;
        let marked = scratch.losing_the_first_answer().mark_attempt(&held, &before, NOW).await.expect("an answer");
        let Marked::Announced(announced) = marked else { panic!("nobody else has touched it") };
        assert_eq!((announced.status, announced.attempts), (Status::Sending, 2));
        assert_eq!(scratch.items.record(&message_key()).await, Some(announced));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_settled_without_an_answer_is_settled() {
    let scratch = Scratch::start().await;
    let held = held(&scratch, &scratch.table()).await;
    for settlement in [Settlement::Sent { provider_id: None }, Settlement::Failed(reason())] {
        let before = Message { status: Status::Sending, attempts: 1, fence: Some(FENCE), ..message(1) };
        scratch.items.put(item(&message_key(), &before)).await;
        let table = scratch.losing_the_first_answer();
        table.settle(&held, Seq(1), &settlement, NOW).await.expect("it is settled");
        let after: Message = scratch.items.record(&message_key()).await.expect("it stays");
        let expected = if matches!(settlement, Settlement::Failed(_)) { Status::Failed } else { Status::Sent };
        assert_eq!(after.status, expected);
    }
}
