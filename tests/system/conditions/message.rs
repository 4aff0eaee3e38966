//! `mark_attempt`, `settle` with `note_sent`, and `requeue`: a worker's writes to a message. The
//! rules are `marked`, `settled` and `requeued` of [`domain::delivery::transitions::MessageState`].

use chrono::TimeDelta;
use proptest::prelude::*;

use super::sample::{
    NOW, became, expiry_if_settled, held, keep_until, message, message_key, stored,
};
use super::scratch::{Scratch, for_all, item, value, with};
use domain::PrivateText;
use domain::delivery::{Attempt, AttemptOutcome, History, Reason, Settlement, Status};
use platform::table::record::Message;
use platform::table::{HeldConversation, RequeueOutcome, Table};

/// The fence of the worker that writes.
const FENCE: u64 = 2;

fn reason() -> Reason {
    Reason::new("rate_limited", "slower, please").with_provider_code(130_429)
}

/// A message with this status and the fence of an earlier worker, the writer or a successor; or no
/// message.
fn any_message(status: impl Strategy<Value = Status>) -> impl Strategy<Value = Option<Message>> {
    let fence = prop::sample::select(vec![None, Some(FENCE - 1), Some(FENCE), Some(FENCE + 1)]);
    let (attempts, unknown_outcomes, marks) = (1u32..3, 0u32..3, any::<[bool; 3]>());
    let keep_until = prop::sample::select(keep_until().to_vec());
    let message = (status, fence, attempts, unknown_outcomes, marks, keep_until).prop_map(
        |(status, fence, attempts, unknown_outcomes, marks, keep_until)| {
            let before = |mark: bool| mark.then_some(NOW - TimeDelta::seconds(1));
            Message {
                status,
                attempts,
                unknown_outcomes,
                // The worker that announced the attempt left its fence.
                fence: fence.or((status == Status::Sending).then_some(FENCE)),
                attempted_at: before(marks[0]),
                sent_at: before(marks[1]),
                provider_id: marks[1].then(|| "an older id".into()),
                error: marks[2].then(reason),
                keep_until,
                history: history_up_to(if status == Status::Sending {
                    attempts - 1
                } else {
                    attempts
                }),
                ..message(1)
            }
        },
    );

    prop::option::weighted(0.9, message)
}

/// A history of `attempts` attempts, all of which were postponed.
fn history_up_to(attempts: u32) -> History {
    (1..=attempts).fold(History::default(), |history, attempt| {
        history.with(Attempt {
            attempt,
            at: NOW,
            outcome: AttemptOutcome::Postponed,
            reason: Some(reason()),
        })
    })
}

fn any_status() -> impl Strategy<Value = Status> {
    prop::sample::select(Status::ALL.to_vec())
}

/// Makes a write to generated messages, and compares the stored message with the result of `rule`.
/// If the rule returns `None`, no attribute may have changed. The write checks its own answer.
async fn check<T: std::fmt::Debug>(
    states: impl Strategy<Value = (Option<Message>, T)>,
    write: impl AsyncFn(&Table, &HeldConversation, Option<&Message>, &T),
    rule: impl Fn(&Message, &T) -> Option<Message>,
) {
    let scratch = Scratch::start().await;
    let (table, key) = (scratch.table(), message_key());
    let held = held(&scratch, &table).await;

    for_all(192, &states, async |(before, also)| {
        match &before {
            Some(message) => drop(scratch.items.put(item(&key, message)).await),
            None => scratch.items.remove(&key).await,
        }
        write(&table, &held, before.as_ref(), &also).await;
        match before.as_ref().and_then(|message| rule(message, &also)) {
            Some(after) => {
                assert_eq!(scratch.items.record(&key).await, Some(after));
                true
            }
            None => {
                assert_eq!(
                    scratch.items.get(&key).await,
                    before.map(|message| item(&key, &message))
                );
                false
            }
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_is_announced_only_if_the_message_is_as_it_was_read_and_still_held() {
    let unsettled: Vec<Status> =
        Status::ALL.into_iter().filter(|status| !status.is_settled()).collect();
    // The message as the worker read it; every other time the stored one has changed since.
    let read = (prop::sample::select(unsettled), 1u32..3, any::<bool>());
    let read =
        (any_message(any_status()), read).prop_map(|(message, (status, attempts, is_old))| {
            let now = message.clone().unwrap_or_else(|| self::message(1));
            let read = Message { status, attempts, ..now.clone() };
            (message, if is_old || now.status.is_settled() { read } else { now })
        });

    let announced = |message: &Message, read: &Message| {
        let marked = became(message, stored(message).marked(FENCE, &read.progress(), NOW)?);
        // A message that was read as `sending` lost its worker.
        let history = if read.status == Status::Sending {
            read.attempts_so_far()
        } else {
            read.history.clone()
        };
        Some(Message { history, ..marked })
    };

    let mark = async |table: &Table,
                      held: &HeldConversation,
                      message: Option<&Message>,
                      read: &Message| {
        let marked = table.deliveries().mark_attempt(held, read, NOW).await.expect("an answer");
        assert_eq!(marked, message.and_then(|message| announced(message, read)));
    };

    check(read, mark, announced).await;
}

/// A message as the worker read it, which does not exist any more.
fn missing_message() -> Message {
    Message { attempts: 1, ..message(1) }
}

/// Whether settling this message reports that another worker has it, or that it is missing.
fn is_lost(message: Option<&Message>) -> bool {
    message.is_none_or(|message| {
        !message.status.is_settled() && message.fence.is_some_and(|fence| fence > FENCE)
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn sent_is_stored_once_and_overwrites_neither_a_receipt_nor_a_successor() {
    let settle = async |table: &Table,
                        held: &HeldConversation,
                        message: Option<&Message>,
                        id: &Option<PrivateText>| {
        let sent = Settlement::Sent { provider_id: id.clone() };
        let settled = table
            .deliveries()
            .settle(held, &message.cloned().unwrap_or_else(missing_message), &sent, NOW)
            .await;
        assert_eq!(settled.ok(), (!is_lost(message)).then_some(true));
    };

    let ids = prop::sample::select(vec![None, Some(PrivateText::from("an id"))]);
    check((any_message(any_status()), ids), settle, |message, id| {
        let (provider_id, history) = (id.clone(), message.history_with(AttemptOutcome::Sent, None));
        match stored(message).settled(FENCE, Status::Sent) {
            Some(sent) => Some(Message {
                sent_at: Some(NOW),
                provider_id,
                error: None,
                expires_at: expiry_if_settled(message),
                history,
                ..became(message, sent)
            }),
            // A receipt was faster: the write adds the data that the receipt could not have.
            None if message.fence.is_none_or(|fence| fence <= FENCE) => Some(Message {
                sent_at: message.sent_at.or(Some(NOW)),
                provider_id,
                history,
                ..message.clone()
            }),
            None => None,
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_is_stored_once_and_overwrites_neither_a_receipt_nor_a_successor() {
    let settle = async |table: &Table,
                        held: &HeldConversation,
                        message: Option<&Message>,
                        failed: &Settlement| {
        let settled = table
            .deliveries()
            .settle(held, &message.cloned().unwrap_or_else(missing_message), failed, NOW)
            .await;
        // A message that a receipt has settled before did not end by this write.
        let ended = message.is_some_and(|message| !message.status.is_settled());
        assert_eq!(settled.ok(), (!is_lost(message)).then_some(ended));
    };

    let failed =
        prop::sample::select(vec![Settlement::Failed(reason()), Settlement::GivenUp(reason())]);
    check((any_message(any_status()), failed), settle, |message, settlement| {
        let failed = became(message, stored(message).settled(FENCE, Status::Failed)?);
        let refused = matches!(settlement, Settlement::Failed(_));
        let history = if refused {
            message.history_with(AttemptOutcome::Refused, Some(&reason()))
        } else {
            message.attempts_so_far()
        };
        let expires_at = expiry_if_settled(message);
        Some(Message { failed_at: Some(NOW), error: Some(reason()), expires_at, history, ..failed })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_requeues_only_a_message_that_it_is_sending() {
    /// The attempts when the message was read, the status it gets, whether it gets a reason, and
    /// whether the attempt counts.
    type Requeue = (Option<u32>, Status, bool, bool);
    let requeued = |message: &Message, (seen, status, _, counted): &Requeue| {
        let seen = Message { attempts: seen.unwrap_or(message.attempts), ..message.clone() };
        stored(message).requeued(FENCE, &seen.progress(), *status, *counted)
    };

    let requeue = async |table: &Table,
                         held: &HeldConversation,
                         was: Option<&Message>,
                         how: &Requeue| {
        let (seen, status, why, counted) = *how;
        let message = was.cloned().unwrap_or_else(missing_message);
        let message = Message { attempts: seen.unwrap_or(message.attempts), ..message };
        let reason = why.then(reason);
        let done = table
            .deliveries()
            .requeue(held, &message, status, reason.as_ref(), counted, NOW)
            .await
            .expect("an answer");
        // As it was to become, with the worker's own fence: its own write, the answer to which
        // was lost.
        let attempts = message.attempts - u32::from(!counted);
        let is_requeued = |was: &Message| {
            was.fence == Some(FENCE) && (was.status, was.attempts) == (status, attempts)
        };
        let expected = match was {
            Some(was) if requeued(was, how).is_some() || is_requeued(was) => RequeueOutcome::Done,
            Some(was) if was.fence == Some(FENCE + 1) => RequeueOutcome::LeaseLost,
            _ => RequeueOutcome::Changed,
        };
        assert_eq!(done, expected);
    };

    // Every other message is being sent, and every other one has had no further attempt since it
    // was read.
    let status = prop_oneof![Just(Status::Sending), any_status()];
    let seen = prop_oneof![Just(None), (1u32..3).prop_map(Some)];
    let requeues = (
        seen,
        prop::sample::select(vec![Status::Queued, Status::InDoubt]),
        any::<bool>(),
        any::<bool>(),
    );

    check((any_message(status), requeues), requeue, |message, how| {
        let (_, status, why, counted) = *how;
        let error = why.then(reason);
        let outcome = if status == Status::InDoubt {
            AttemptOutcome::InDoubt
        } else {
            AttemptOutcome::Postponed
        };
        let history = if counted {
            message.history_with(outcome, error.as_ref())
        } else {
            message.history.clone()
        };
        Some(Message { error, history, ..became(message, requeued(message, how)?) })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requeue_whose_answer_was_lost_succeeds() {
    let scratch = Scratch::start().await;
    let held = held(&scratch, &scratch.table()).await;
    for (status, counted) in
        [(Status::Queued, true), (Status::InDoubt, true), (Status::Queued, false)]
    {
        let before =
            Message { status: Status::Sending, attempts: 1, fence: Some(FENCE), ..message(1) };
        scratch.items.put(item(&message_key(), &before)).await;
        let table = scratch.losing_the_first_answer();
        let done = table
            .deliveries()
            .requeue(&held, &before, status, Some(&reason()), counted, NOW)
            .await
            .expect("an answer");
        let after: Message = scratch.items.record(&message_key()).await.expect("it stays");
        assert_eq!(
            (done, after.status, after.attempts),
            (RequeueOutcome::Done, status, u32::from(counted))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_is_faster_than_a_requeue_is_reported_as_a_change() {
    let scratch = Scratch::start().await;
    let held = held(&scratch, &scratch.table()).await;
    let before = Message { status: Status::Sending, attempts: 1, fence: Some(FENCE), ..message(1) };
    let handed_over = scratch.items.put(item(&message_key(), &before)).await;
    let table = scratch.meanwhile_once("UpdateItem", move |items| {
        let delivered = with(handed_over.clone(), [("status", Some(value(Status::Delivered)))]);
        async move { drop(items.put(delivered).await) }
    });

    let done = table
        .deliveries()
        .requeue(&held, &before, Status::InDoubt, Some(&reason()), true, NOW)
        .await
        .expect("an answer");

    assert_eq!(done, RequeueOutcome::Changed);
    let after: Option<Message> = scratch.items.record(&message_key()).await;
    assert_eq!(after, Some(Message { status: Status::Delivered, ..before }));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announcement_whose_answer_was_lost_is_made_once() {
    let scratch = Scratch::start().await;
    let held = held(&scratch, &scratch.table()).await;

    for status in [Status::Queued, Status::Sending, Status::InDoubt] {
        let before = Message { status, attempts: 1, fence: Some(FENCE - 1), ..message(1) };
        scratch.items.put(item(&message_key(), &before)).await;
        let marked = scratch
            .losing_the_first_answer()
            .deliveries()
            .mark_attempt(&held, &before, NOW)
            .await
            .expect("an answer");
        let announced = marked.expect("no other worker has touched it");
        assert_eq!((announced.status, announced.attempts), (Status::Sending, 2));
        assert_eq!(scratch.items.record(&message_key()).await, Some(announced));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_whose_answer_was_lost_succeeds() {
    let scratch = Scratch::start().await;
    let held = held(&scratch, &scratch.table()).await;

    for settlement in [Settlement::Sent { provider_id: None }, Settlement::Failed(reason())] {
        let before =
            Message { status: Status::Sending, attempts: 1, fence: Some(FENCE), ..message(1) };
        scratch.items.put(item(&message_key(), &before)).await;
        let table = scratch.losing_the_first_answer();
        assert!(
            table
                .deliveries()
                .settle(&held, &before, &settlement, NOW)
                .await
                .expect("it is settled")
        );
        let after: Message = scratch.items.record(&message_key()).await.expect("it stays");
        let expected =
            if matches!(settlement, Settlement::Failed(_)) { Status::Failed } else { Status::Sent };
        assert_eq!(after.status, expected);
    }
}
