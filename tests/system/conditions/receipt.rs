//! `apply_receipt`: a receipt of a provider or a widget changes a message, and may make the
//! conversation due that waits for the message's outcome. The rules are [`MessageState::reported`]
//! and [`ConversationState::unknown_outcome_resolved`].

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::sample::{
    BUSINESS_ID, CONVERSATION_ID, LEASE, MS, NOW, became, conversation, conversation_key,
    expiry_if_settled, keep_until, message, message_key, stored, turned,
};
use super::scratch::{Item, Scratch, for_all, item, value, with};
use domain::delivery::{
    ConversationState, MessageReference, Part, Reason, Receipt, ReportedStatus, Status,
};
use domain::{Channel, MessageId, PrivateText, Seq};
use platform::table::record::{Conversation, Message};
use platform::table::{AppliedReceipt, ExceptionPlace, ReceiptEffect, key};

/// The time of the event by the provider's clock.
const AT: DateTime<Utc> = DateTime::from_timestamp_millis(1_900_000_000_000).expect("a time");

fn reference_to(message_id: MessageId) -> MessageReference {
    MessageReference { business_id: BUSINESS_ID, conversation_id: CONVERSATION_ID, message_id }
}

fn receipt(reported: ReportedStatus) -> Receipt {
    Receipt { reported, part: Part::WHOLE, at: AT, provider_id: Some("the provider's".into()) }
}

fn all() -> [ReportedStatus; 5] {
    [
        ReportedStatus::Sent,
        ReportedStatus::Delivered,
        ReportedStatus::Read,
        ReportedStatus::Failed(Reason::new("undeliverable", "never")),
        ReportedStatus::Bounced(Reason::new("mailbox_full", "not after all")),
    ]
}

/// Returns the message after a receipt, with its times; `None` if the receipt changes nothing.
fn reported(was: &Message, receipt: &Receipt) -> Option<Message> {
    let mut message = became(was, stored(was).reported(&receipt.reported, receipt.at)?);
    message.provider_id = was.provider_id.clone().or(receipt.provider_id.clone());
    // Only its first end says when it may be deleted.
    if message.status.is_settled() && !was.status.is_settled() {
        message.expires_at = expiry_if_settled(was);
    }
    let first = |time| Some(Option::unwrap_or(time, AT));

    match &receipt.reported {
        ReportedStatus::Sent => {}
        ReportedStatus::Delivered => message.delivered_at = first(was.delivered_at),
        ReportedStatus::Read => {
            (message.delivered_at, message.read_at) = (first(was.delivered_at), first(was.read_at))
        }
        ReportedStatus::Failed(reason) | ReportedStatus::Bounced(reason) => {
            (message.failed_at, message.error) = (first(was.failed_at), Some(reason.clone()));
            return Some(message);
        }
    }

    // A delivered message was sent, and its earlier error does not count any more.
    (message.sent_at, message.error) = (first(was.sent_at), None);
    Some(message)
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_move_a_message_as_the_rule_says() {
    let scratch = Scratch::start().await;
    let (table, key) = (scratch.table(), message_key());
    let pairs =
        Status::ALL.into_iter().flat_map(|was| all().map(|reported| (was, receipt(reported))));
    let times = [None, Some(AT - MS), Some(AT), Some(AT + MS)]
        .into_iter()
        .flat_map(|reported_at| [None, Some(AT - MS)].map(|known| (known, reported_at)));

    let states = pairs.flat_map(|pair| times.clone().map(move |times| (pair.clone(), times)));
    for (((was, receipt), (known, reported_at)), keep_until) in
        states.zip(keep_until().into_iter().cycle())
    {
        let error = known.map(|_| Reason::new("rate_limited", "slower"));
        let provider_id = known.map(|_| PrivateText::from("known before"));
        let times = Message {
            sent_at: known,
            delivered_at: known,
            failed_at: known,
            reported_at,
            keep_until,
            ..message(1)
        };
        let before = Message { status: was, fence: Some(2), error, provider_id, ..times };
        let stored = indexed(item(&key, &before), was, AT);
        scratch.items.put(stored.clone()).await;
        let taken = table
            .apply_receipt(Channel::Chat, &reference_to(before.id), &receipt, NOW)
            .await
            .expect("an answer");
        let expected = reported(&before, &receipt);
        // There is no conversation to make due.
        let effect = if expected.is_some() { ReceiptEffect::Moved } else { ReceiptEffect::None };
        assert_eq!(
            taken,
            AppliedReceipt { message: Some(before.clone()), effect },
            "{was:?}, then {receipt:?}"
        );
        let since = expected.as_ref().filter(|after| after.status != was).map_or(AT, |_| NOW);
        let expected = expected.map(|after| indexed(item(&key, &after), after.status, since));
        assert_eq!(scratch.items.get(&key).await, Some(expected.unwrap_or(stored)));
    }
}

/// Adds what has a message in the index of exceptions, if it has been one since `at`.
fn indexed(item: Item, status: Status, at: DateTime<Utc>) -> Item {
    let is_exception = [Status::Failed, Status::InDoubt].contains(&status);
    let message = Some((Channel::Chat, CONVERSATION_ID, Seq(1)));
    let place = ExceptionPlace { at, message }.to_string();
    let attributes = [
        ("exception_list", is_exception.then(|| value(key::exceptions(BUSINESS_ID, status)))),
        ("exception_at", is_exception.then(|| value(place))),
    ];
    with(item, attributes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_changes_only_the_message_that_it_names() {
    let scratch = Scratch::start().await;
    let table = scratch.table();
    let apply = async |id| {
        table
            .apply_receipt(Channel::Chat, &reference_to(id), &receipt(ReportedStatus::Read), NOW)
            .await
            .expect("an answer")
            .effect
    };

    assert_eq!(apply(message(1).id).await, ReceiptEffect::None, "there is no such message");
    let before = scratch.items.put(item(&message_key(), &message(1))).await;
    assert_eq!(
        apply(MessageId::new(NOW, message(1).seq, 99)).await,
        ReceiptEffect::None,
        "another message has its seq"
    );

    let foreign = "67e55044-10b1-426f-9247-bb680e5fe0c8".parse().expect("a UUID");
    assert_eq!(apply(foreign).await, ReceiptEffect::None, "the id is not one of ours");
    assert_eq!(scratch.items.all().await.into_values().collect::<Vec<_>>(), [before]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_wrong_clock_does_not_reverse_a_messages_times() {
    let scratch = Scratch::start().await;
    let attempted = Message { status: Status::Sending, attempted_at: Some(NOW - MS), ..message(1) };
    let sent = Message { status: Status::Sent, sent_at: Some(NOW - MS), ..attempted.clone() };

    for (before, at, expected) in [
        (&attempted, NOW - LEASE, NOW - MS),
        (&attempted, NOW + LEASE, NOW),
        (&sent, NOW - MS - MS, NOW - MS),
        (&sent, NOW, NOW),
    ] {
        scratch.items.put(item(&message_key(), before)).await;
        let receipt = Receipt { at, ..receipt(ReportedStatus::Delivered) };
        scratch
            .table()
            .apply_receipt(Channel::Chat, &reference_to(before.id), &receipt, NOW)
            .await
            .expect("an answer");
        let after: Message = scratch.items.record(&message_key()).await.expect("it stays");
        assert_eq!(
            (after.sent_at, after.delivered_at),
            (before.sent_at.or(Some(expected)), Some(expected)),
            "{at}"
        );
    }
}

/// The item of a message that was erased: without its text and the provider's id.
fn erased(message: &Message) -> Item {
    with(item(&message_key(), message), [("content", Some(value(""))), ("provider_id", None)])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_brings_nothing_back_into_an_erased_message() {
    let scratch = Scratch::start().await;
    let sent = Message { status: Status::Sent, sent_at: Some(NOW - MS), ..message(1) };
    let address = "no such mailbox: anna@example.com";

    for reported in [
        ReportedStatus::Delivered,
        ReportedStatus::Failed(Reason::new("undeliverable", address).with_provider_code(550)),
        ReportedStatus::Bounced(Reason::new("undeliverable", address).with_provider_code(550)),
    ] {
        // It was erased before the receipt, or between the receipt's read and its write.
        let overtaken = erased(&sent);
        let meanwhile = scratch.meanwhile_once("UpdateItem", move |items| {
            let erased = overtaken.clone();
            async move { drop(items.put(erased).await) }
        });
        for (before, table) in
            [(erased(&sent), scratch.table()), (item(&message_key(), &sent), meanwhile)]
        {
            scratch.items.put(before).await;
            let receipt = receipt(reported.clone());
            let applied =
                table.apply_receipt(Channel::Chat, &reference_to(sent.id), &receipt, NOW).await;
            assert_eq!(applied.expect("an answer").effect, ReceiptEffect::Moved, "{receipt:?}");

            let after: Message = scratch.items.record(&message_key()).await.expect("it stays");
            assert!(after.content.is_erased());
            assert_ne!(after.status, Status::Sent, "its status is not erased");
            assert_eq!(after.provider_id, None, "{receipt:?}");
            let error = after.error.map(|Reason { code, detail, .. }| (code, detail));
            let failed = reported != ReportedStatus::Delivered;
            let expected = failed.then(|| ("undeliverable".to_owned(), String::new()));
            assert_eq!(error, expected, "a provider's sentence may have the address in it");
        }
    }
}

/// Applies a receipt while another write changes the message between its read and its write.
async fn overtaken(was: Status, by: Status, reported: ReportedStatus) -> (ReceiptEffect, Message) {
    let scratch = Scratch::start().await;
    let before =
        scratch.items.put(item(&message_key(), &Message { status: was, ..message(1) })).await;

    let table = scratch.meanwhile_once("UpdateItem", move |items| {
        let overtaken = with(before.clone(), [("status", Some(value(by)))]);
        async move { drop(items.put(overtaken).await) }
    });

    let effect = table
        .apply_receipt(Channel::Chat, &reference_to(message(1).id), &receipt(reported), NOW)
        .await
        .expect("an answer")
        .effect;

    (effect, scratch.items.record(&message_key()).await.expect("it stays"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_is_overtaken_is_applied_to_the_new_state() {
    let now = |status| Message { status, ..message(1) };
    let nothing = |status| (ReceiptEffect::None, now(status));
    assert_eq!(
        overtaken(Status::Sending, Status::Read, ReportedStatus::Sent).await,
        nothing(Status::Read)
    );

    let failed = || all()[3].clone();
    assert_eq!(
        overtaken(Status::Sent, Status::Delivered, failed()).await,
        nothing(Status::Delivered)
    );

    let bounced = all()[4].clone();
    let came_back = reported(&now(Status::Delivered), &receipt(bounced.clone())).expect("it does");
    assert_eq!(
        overtaken(Status::Sent, Status::Delivered, bounced).await,
        (ReceiptEffect::Moved, came_back)
    );

    let read =
        reported(&now(Status::Delivered), &receipt(ReportedStatus::Read)).expect("it moves on");
    assert_eq!(
        overtaken(Status::Sent, Status::Delivered, ReportedStatus::Read).await,
        (ReceiptEffect::Moved, read)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_a_later_bounce_overtakes_changes_nothing() {
    let scratch = Scratch::start().await;
    let failed = Message { status: Status::Failed, ..message(1) };
    let before = scratch.items.put(item(&message_key(), &failed)).await;

    let bounced = with(before, [("reported_at", Some(value(AT + MS)))]);
    let expected = bounced.clone();
    let table = scratch.meanwhile_once("UpdateItem", move |items| {
        let bounced = bounced.clone();
        async move { drop(items.put(bounced).await) }
    });

    let delivered = receipt(ReportedStatus::Delivered);
    let applied =
        table.apply_receipt(Channel::Chat, &reference_to(failed.id), &delivered, NOW).await;
    assert_eq!(applied.expect("an answer").effect, ReceiptEffect::None);
    assert_eq!(scratch.items.get(&message_key()).await, Some(expected));
}

/// A conversation that may wait for the outcome of its first message.
#[derive(Debug, Clone)]
struct Waiting {
    settled: u64,
    /// The end of the lease, in milliseconds from now; a lease that is over is still stored.
    lease: Option<i64>,
    /// The end of the wait, in milliseconds from now.
    waits: Option<i64>,
    due: bool,
    there: bool,
}

fn any_waiting() -> impl Strategy<Value = Waiting> {
    let mostly = |one: bool| prop::sample::select(vec![one, one, one, !one]);
    let lease = prop::sample::select(vec![None, None, None, Some(-1), Some(60_000)]);
    let waits = prop::sample::select(vec![None, Some(-1), Some(120_000)]);
    let settled = prop::sample::select(vec![0, 0, 0, 1, 2]);
    (settled, lease, waits, mostly(true), mostly(true)).prop_map(
        |(settled, lease, waits, due, there)| Waiting { settled, lease, waits, due, there },
    )
}

fn waiting(state: &Waiting) -> Conversation {
    let in_ms = |ms: i64| NOW + MS * i32::try_from(ms).expect("two minutes at most");
    Conversation {
        settled_seq: Seq(state.settled),
        lease_owner: state.lease.map(|_| "a worker".to_owned()),
        lease_until: state.lease.map(in_ms),
        not_before: state.waits.map(in_ms),
        due: state.due.then(|| in_ms(state.waits.unwrap_or(900_000))),
        ..conversation()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resolved_outcome_makes_the_waiting_conversation_due() {
    let scratch = Scratch::start().await;
    let (table, key) = (scratch.table(), conversation_key());
    let item_of = |conversation: &Conversation| -> Item {
        with(
            item(&key, conversation),
            [("outbox_bucket", conversation.due.map(|_| value("chat#c")))],
        )
    };

    for_all(96, &any_waiting(), async |state| {
        let before = waiting(&state);
        if state.there {
            scratch.items.put(item_of(&before)).await;
        } else {
            scratch.items.remove(&key).await;
        }
        let rule = |turn: &ConversationState| {
            turn.unknown_outcome_resolved(Seq(1), NOW).map(|turn| turned(&before, turn))
        };
        let after = rule(&before.state()).filter(|_| state.there);
        scratch
            .items
            .put(item(&message_key(), &Message { status: Status::InDoubt, ..message(1) }))
            .await;
        let effect = table
            .apply_receipt(
                Channel::Chat,
                &reference_to(message(1).id),
                &receipt(ReportedStatus::Sent),
                NOW,
            )
            .await
            .expect("an answer")
            .effect;
        assert_eq!(effect, if after.is_some() { ReceiptEffect::Due } else { ReceiptEffect::Moved });
        let stored = scratch.items.get(&key).await;
        assert_eq!(stored, after.as_ref().or(state.there.then_some(&before)).map(item_of));
        after.is_some()
    });
}

/// Applies a receipt of `was` while the conversation waits for the message.
async fn effect_of(was: Status, reported: ReportedStatus) -> ReceiptEffect {
    let scratch = Scratch::start().await;
    let state = Waiting { settled: 0, lease: None, waits: Some(120_000), due: true, there: true };
    scratch.items.put(item(&conversation_key(), &waiting(&state))).await;
    scratch.items.put(item(&message_key(), &Message { status: was, ..message(1) })).await;
    scratch
        .table()
        .apply_receipt(Channel::Chat, &reference_to(message(1).id), &receipt(reported), NOW)
        .await
        .expect("an answer")
        .effect
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_resolved_outcome_makes_a_conversation_due() {
    for reported in all() {
        assert_eq!(effect_of(Status::InDoubt, reported).await, ReceiptEffect::Due);
    }
    // A conversation that waits because the provider asked for it goes on waiting.
    assert_eq!(effect_of(Status::Queued, ReportedStatus::Sent).await, ReceiptEffect::Moved);
    assert_eq!(effect_of(Status::Sent, ReportedStatus::Delivered).await, ReceiptEffect::Moved);
    assert_eq!(effect_of(Status::Delivered, ReportedStatus::Delivered).await, ReceiptEffect::None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_waits_until_the_worker_has_released_the_conversation() {
    let scratch = Scratch::start().await;
    let held = Waiting { settled: 0, lease: Some(45_000), waits: None, due: true, there: true };
    scratch.items.put(item(&conversation_key(), &waiting(&held))).await;
    scratch
        .items
        .put(item(&message_key(), &Message { status: Status::InDoubt, ..message(1) }))
        .await;

    // The first write is the message's, the second one finds the conversation held, and before the
    // third one the worker releases it.
    let let_go =
        item(&conversation_key(), &waiting(&Waiting { lease: None, waits: Some(120_000), ..held }));

    let table = scratch.meanwhile("UpdateItem", move |items, time| {
        let let_go = let_go.clone();
        async move {
            if time == 2 {
                items.put(let_go).await;
            }
        }
    });

    let effect = table
        .apply_receipt(
            Channel::Chat,
            &reference_to(message(1).id),
            &receipt(ReportedStatus::Sent),
            NOW,
        )
        .await
        .expect("an answer")
        .effect;

    assert_eq!(effect, ReceiptEffect::Due);
    let now: Conversation = scratch.items.record(&conversation_key()).await.expect("it stays");
    assert_eq!((now.due, now.not_before), (Some(NOW), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_whose_answer_was_lost_resolves_the_outcome() {
    let scratch = Scratch::start().await;
    let state = Waiting { settled: 0, lease: None, waits: Some(120_000), due: true, there: true };
    // The calls: read the message, change it, make the conversation due.
    for (reported, others) in
        all().into_iter().flat_map(|reported| [0, 1, 2].map(|others| (reported.clone(), others)))
    {
        scratch.items.put(item(&conversation_key(), &waiting(&state))).await;
        scratch
            .items
            .put(item(&message_key(), &Message { status: Status::InDoubt, ..message(1) }))
            .await;
        let table = scratch.losing_an_answer_after(others);
        let effect = table
            .apply_receipt(
                Channel::Chat,
                &reference_to(message(1).id),
                &receipt(reported.clone()),
                NOW,
            )
            .await
            .expect("an answer")
            .effect;
        assert_eq!(effect, ReceiptEffect::Due, "{reported:?}, answer {others} lost");
    }
}
