//! `note_part`, and receipts of a part: no part of a message is lost or mistaken for another. The
//! rules are [`MessageState::noted`] and [`domain::delivery::Parts`].

use proptest::prelude::*;

use super::sample::{
    BUSINESS_ID, CONVERSATION_ID, LEASE, NOW, became, conversation, conversation_key, held,
    message, message_key, stored,
};
use super::scratch::{Scratch, for_all, item, value, with};
use domain::Channel;
use domain::delivery::transitions::MessageState;
use domain::delivery::{MessageReference, Part, Parts, Reason, Receipt, ReportedStatus, Status};
use platform::table::record::{Conversation, Message};
use platform::table::{ReceiptEffect, Table};

/// The fence of the worker that writes.
const FENCE: u64 = 2;

fn part(number: u8) -> Part {
    Part { number, of: 3 }
}

/// Three parts, the first of which have these statuses.
fn parts(first: &[Status]) -> Parts {
    let tell = |parts: Parts, (number, status): (u8, &Status)| {
        parts.with(part(number), *status).unwrap_or(parts)
    };
    (1..).zip(first).fold(Parts::default(), tell)
}

/// A message of three parts that the writer is sending.
fn sending(first: &[Status]) -> Message {
    Message {
        status: Status::Sending,
        attempts: 1,
        fence: Some(FENCE),
        parts: parts(first),
        ..message(1)
    }
}

async fn now(scratch: &Scratch) -> Message {
    scratch.items.record(&message_key()).await.expect("it stays")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_noted_only_by_the_worker_that_handed_it_over() {
    let scratch = Scratch::start().await;
    let (table, key) = (scratch.table(), message_key());
    let held = held(&scratch, &table).await;
    let status = prop_oneof![Just(Status::Sending), prop::sample::select(Status::ALL.to_vec())];
    let fence = prop_oneof![
        Just(Some(FENCE)),
        prop::sample::select(vec![None, Some(FENCE - 1), Some(FENCE + 1)])
    ];

    // The status that a receipt has stored meanwhile, and that the worker has not read.
    let known = prop::sample::select(vec![
        vec![],
        vec![Status::Sent],
        vec![Status::Delivered, Status::Sent],
    ]);
    let states = (status, fence, 0u32..3, known, 1u8..3);

    for_all(192, &states, async |(status, fence, attempts, known, number)| {
        let error = Some(Reason::new("rate_limited", "slower, please"));
        let before = Message { status, fence, attempts, error, parts: parts(&known), ..message(1) };
        scratch.items.put(item(&key, &before)).await;
        let read = sending(&[]);
        let noted =
            table.deliveries().note_part(&held, &read, part(number)).await.expect("an answer");
        let through =
            MessageState::noted(&stored(&before), FENCE, &read.progress()).map(|stored| {
                let parts =
                    before.parts.with(part(number), Status::Sent).unwrap_or(before.parts.clone());
                Message { parts, error: None, ..became(&before, stored) }
            });
        // As it was to become, with the worker's own fence: its own write, the answer to which was
        // lost.
        let is_noted =
            (before.status, before.attempts, before.fence) == (Status::Queued, 0, Some(FENCE));
        assert_eq!(noted, through.clone().or_else(|| is_noted.then(|| before.clone())));
        assert_eq!(
            scratch.items.get(&key).await,
            Some(item(&key, through.as_ref().unwrap_or(&before)))
        );
        through.is_some()
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_whose_answer_was_lost_is_made_once() {
    let scratch = Scratch::start().await;
    let held = held(&scratch, &scratch.table()).await;

    for known in [&[][..], &[Status::Sent]] {
        let before = sending(known);
        scratch.items.put(item(&message_key(), &before)).await;
        let next = before.parts.next(3).expect("one is left");
        let noted = scratch
            .losing_the_first_answer()
            .deliveries()
            .note_part(&held, &before, next)
            .await
            .expect("an answer");
        let noted = noted.expect("no other worker has touched it");
        assert_eq!(noted.parts.next(3), Some(part(next.number + 1)));
        assert_eq!((noted.status, noted.attempts), (Status::Queued, 0));
        assert_eq!(noted, now(&scratch).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_comes_between_reading_and_noting_is_not_lost() {
    let scratch = Scratch::start().await;
    let held = held(&scratch, &scratch.table()).await;
    let before = sending(&[Status::Sent]);
    let stored = scratch.items.put(item(&message_key(), &before)).await;
    let table = scratch.meanwhile_once("UpdateItem", move |items| {
        let reported = with(stored.clone(), [("parts", Some(value(parts(&[Status::Read]))))]);
        async move { drop(items.put(reported).await) }
    });

    let noted = table
        .deliveries()
        .note_part(&held, &before, part(2))
        .await
        .expect("an answer")
        .expect("it is ours");

    assert_eq!(noted.parts, parts(&[Status::Read, Status::Sent]));
}

/// Applies a receipt of one part of the sample message.
async fn report(scratch: &Scratch, number: u8, reported: ReportedStatus) -> ReceiptEffect {
    report_by(&scratch.table(), number, reported).await
}

async fn report_by(table: &Table, number: u8, reported: ReportedStatus) -> ReceiptEffect {
    let about = MessageReference {
        business_id: BUSINESS_ID,
        conversation_id: CONVERSATION_ID,
        message_id: message(1).id,
    };
    let provider_id = Some(format!("wamid.{number}").into());
    let receipt = Receipt { reported, part: part(number), at: NOW, provider_id };
    table.apply_receipt(Channel::Whatsapp, &about, &receipt, NOW).await.expect("an answer").effect
}

#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_receipts_of_two_parts_are_both_stored() {
    let scratch = Scratch::start().await;
    for known in [&[][..], &[Status::Sent, Status::Sent]] {
        let before = Message { status: Status::Sent, ..sending(known) };
        let stored = scratch.items.put(item(&message_key(), &before)).await;
        let table = scratch.meanwhile_once("UpdateItem", move |items| {
            let first =
                Parts::default().all_taken(3).with(part(1), Status::Delivered).expect("news");
            let reported = with(stored.clone(), [("parts", Some(value(first)))]);
            async move { drop(items.put(reported).await) }
        });
        assert_eq!(report_by(&table, 2, ReportedStatus::Delivered).await, ReceiptEffect::Moved);
        assert_eq!(
            now(&scratch).await.parts,
            parts(&[Status::Delivered, Status::Delivered, Status::Sent])
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_of_a_part_whose_answer_was_lost_is_stored_once() {
    let scratch = Scratch::start().await;
    scratch.items.put(item(&message_key(), &sending(&[Status::Sent]))).await;
    // The first answer is that of the read before.
    let table = scratch.losing_an_answer_after(1);
    assert_eq!(report_by(&table, 1, ReportedStatus::Delivered).await, ReceiptEffect::Moved);
    assert_eq!(now(&scratch).await, sending(&[Status::Delivered]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_has_the_status_of_its_slowest_part() {
    let scratch = Scratch::start().await;
    // The message after a worker handed over all three parts; the message's status stands for the
    // last one.
    let sent = Message {
        status: Status::Sent,
        sent_at: Some(NOW),
        ..sending(&[Status::Sent, Status::Sent])
    };

    scratch.items.put(item(&message_key(), &sent)).await;
    for (number, reported, status) in [
        (3, ReportedStatus::Read, Status::Sent),
        (1, ReportedStatus::Delivered, Status::Sent),
        (2, ReportedStatus::Sent, Status::Sent),
        (2, ReportedStatus::Delivered, Status::Delivered),
        (1, ReportedStatus::Read, Status::Delivered),
        (2, ReportedStatus::Read, Status::Read),
    ] {
        report(&scratch, number, reported).await;
        assert_eq!(now(&scratch).await.status, status, "after part {number}");
    }

    let read = now(&scratch).await;
    assert_eq!(
        (read.provider_id.as_deref(), read.delivered_at, read.read_at),
        (Some("wamid.3"), Some(NOW), Some(NOW))
    );

    assert_eq!(
        report(&scratch, 2, ReportedStatus::Delivered).await,
        ReceiptEffect::None,
        "that was known"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_part_makes_the_message_failed() {
    let scratch = Scratch::start().await;
    let reason = Reason::new("file_rejected", "WhatsApp could not use the attached file");
    for (status, known) in
        [(Status::Sent, &[Status::Delivered, Status::Sent][..]), (Status::Sending, &[])]
    {
        scratch.items.put(item(&message_key(), &Message { status, ..sending(known) })).await;
        assert!(matches!(
            report(&scratch, 2, ReportedStatus::Failed(reason.clone())).await,
            ReceiptEffect::Moved
        ));
        let failed = now(&scratch).await;
        assert_eq!(
            (failed.status, failed.error, failed.failed_at),
            (Status::Failed, Some(reason.clone()), Some(NOW))
        );
        report(&scratch, 3, ReportedStatus::Delivered).await;
        assert_eq!(
            now(&scratch).await.status,
            Status::Failed,
            "the other parts alone are not the message"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receipt_of_a_part_in_doubt_lets_the_message_continue_after_that_part() {
    let scratch = Scratch::start().await;
    let waiting = Conversation {
        settled_seq: domain::Seq(0),
        not_before: Some(NOW + LEASE),
        due: Some(NOW + LEASE),
        ..conversation()
    };

    // The second part is in doubt. The receipt of the first one, which is stored as taken, changes
    // nothing.
    for (number, effect, status) in [
        (1, ReceiptEffect::Moved, Status::InDoubt),
        (2, ReceiptEffect::Due, Status::Queued),
        (3, ReceiptEffect::Moved, Status::InDoubt),
    ] {
        scratch.items.put(item(&conversation_key(), &waiting)).await;
        let in_doubt = Message { status: Status::InDoubt, ..sending(&[Status::Sent]) };
        scratch.items.put(item(&message_key(), &in_doubt)).await;
        assert_eq!(
            report(&scratch, number, ReportedStatus::Delivered).await,
            effect,
            "part {number}"
        );
        let after = now(&scratch).await;
        assert_eq!((after.status, after.error), (status, in_doubt.error), "part {number}");
        let conversation: Conversation =
            scratch.items.record(&conversation_key()).await.expect("it stays");
        assert_eq!(conversation.not_before.is_none(), effect == ReceiptEffect::Due);
    }

    // The receipt of the last part settles the message.
    let in_doubt = Message { status: Status::InDoubt, ..sending(&[Status::Sent, Status::Sent]) };
    scratch.items.put(item(&message_key(), &in_doubt)).await;
    assert_eq!(report(&scratch, 3, ReportedStatus::Sent).await, ReceiptEffect::Due);

    assert_eq!(now(&scratch).await.status, Status::Sent);
}
