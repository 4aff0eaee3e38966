//! The history of attempts: it lists each attempt once and in order, even if answers are lost, and
//! stays within the size of an item.

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::TimeDelta;
use uuid::Uuid;

use super::sample::{
    BUSINESS_ID, CONVERSATION_ID, LEASE, NOW, conversation, conversation_key, held, message,
    message_key,
};
use super::scratch::{Item, Scratch, item, value, with};
use domain::delivery::{
    AttemptOutcome, FIRST_ATTEMPTS_KEPT, LAST_ATTEMPTS_KEPT, MAX_ATTEMPTS, Reason, Settlement,
    Status,
};
use domain::problem::MAX_BODY_BYTES;
use domain::{Attachment, Channel, Content, FileLink, FileName, MediaType, UploadId};
use platform::table::record::Message;
use platform::table::{HeldConversation, RequeueOutcome};

/// The largest item that DynamoDB stores ([item
/// size](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html#limits-items)).
const LARGEST_ITEM: usize = 400 * 1024;

fn reason(code: &str) -> Reason {
    Reason::new(code, "as the provider said").with_provider_code(code.replace('_', "."))
}

async fn stored(scratch: &Scratch) -> Message {
    scratch.items.record(&message_key()).await.expect("it stays")
}

/// Has another worker claim the conversation after the lease of the last one.
async fn taken_over(scratch: &Scratch, later: TimeDelta) -> HeldConversation {
    let claimed = scratch
        .table()
        .deliveries()
        .claim(BUSINESS_ID, CONVERSATION_ID, NOW + later, LEASE)
        .await
        .expect("an answer");
    claimed.continue_value().expect("the lease of the one before is over")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_has_every_attempt_once_although_every_answer_is_lost() {
    let scratch = Scratch::start().await;
    scratch.items.put(item(&message_key(), &message(1))).await;
    let mut holder = held(&scratch, &scratch.table()).await;
    let table = || scratch.losing_the_first_answer();
    let mark = async |held: &HeldConversation, at: i64| {
        let read = stored(&scratch).await;
        let marked = table()
            .deliveries()
            .mark_attempt(held, &read, NOW + TimeDelta::seconds(at))
            .await
            .expect("an answer");
        marked.expect("no other worker has touched it")
    };

    let requeue = async |held: &HeldConversation,
                         message: &Message,
                         status,
                         reason: Option<Reason>,
                         counted| {
        let done = table()
            .deliveries()
            .requeue(held, message, status, reason.as_ref(), counted, NOW)
            .await;
        assert_eq!(done.expect("an answer"), RequeueOutcome::Done);
    };

    let first = mark(&holder, 1).await;
    requeue(&holder, &first, Status::Queued, Some(reason("busy")), true).await;
    // The customer was away, which is no attempt.
    let away = mark(&holder, 2).await;
    requeue(&holder, &away, Status::Queued, None, false).await;
    let second = mark(&holder, 3).await;
    requeue(&holder, &second, Status::InDoubt, Some(reason("no_answer")), true).await;

    // A worker dies during the third attempt, and the next worker makes the fourth. That one dies,
    // too, and the message is requeued.
    mark(&holder, 4).await;
    holder = taken_over(&scratch, LEASE * 2).await;
    let fourth = mark(&holder, 5).await;

    assert_eq!((fourth.attempts, fourth.unknown_outcomes), (4, 2));
    holder = taken_over(&scratch, LEASE * 4).await;
    requeue(&holder, &fourth, Status::InDoubt, Some(Reason::outcome_unknown()), true).await;
    let fifth = mark(&holder, 6).await;
    let sent = Settlement::Sent { provider_id: None };
    table().deliveries().settle(&holder, &fifth, &sent, NOW).await.expect("it is settled");
    let history: Vec<_> = stored(&scratch).await.attempts_so_far().into_iter().collect();
    let history: Vec<_> = history
        .iter()
        .map(|attempt| {
            let code = attempt.reason.as_ref().map(|reason| reason.code.as_str());
            (attempt.attempt, (attempt.at - NOW).num_seconds(), attempt.outcome, code)
        })
        .collect();

    let expected = [
        (1, 1, AttemptOutcome::Postponed, Some("busy")),
        (2, 3, AttemptOutcome::InDoubt, Some("no_answer")),
        (3, 4, AttemptOutcome::InDoubt, Some("outcome_unknown")),
        (4, 5, AttemptOutcome::InDoubt, Some("outcome_unknown")),
        (5, 6, AttemptOutcome::Sent, None),
    ];

    assert_eq!(history, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_given_up_after_a_worker_died_has_that_workers_attempt_in_its_history() {
    let scratch = Scratch::start().await;
    let held = held(&scratch, &scratch.table()).await;

    for (status, attempts) in [(Status::Sending, 1), (Status::Queued, 0)] {
        let before = Message { status, attempts, attempted_at: Some(NOW), ..message(1) };
        scratch.items.put(item(&message_key(), &before)).await;
        let given_up = Settlement::GivenUp(reason("expired"));
        scratch
            .losing_the_first_answer()
            .deliveries()
            .settle(&held, &before, &given_up, NOW)
            .await
            .expect("it is settled");
        let after = stored(&scratch).await;
        let history: Vec<_> =
            after.history.into_iter().map(|attempt| (attempt.attempt, attempt.outcome)).collect();
        assert_eq!(history, Vec::from_iter((attempts > 0).then_some((1, AttemptOutcome::InDoubt))));
        assert_eq!(after.error, Some(reason("expired")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_message_with_the_longest_history_fits_into_its_item() {
    let scratch = Scratch::start().await;
    scratch.items.put(item(&conversation_key(), &conversation())).await;
    let held = held(&scratch, &scratch.table()).await;
    let table = scratch.table();
    let longest_code = format!("{}/{}", "p".repeat(48), "p".repeat(15));
    let loud = Reason::new(&"c".repeat(1_000), "d".repeat(10_000)).with_provider_code(longest_code);

    let mut largest = largest_message(&loud);
    for attempt in 1..MAX_ATTEMPTS {
        largest = Message { attempts: attempt, attempted_at: Some(NOW), ..largest };
        largest.history = largest.history_with(AttemptOutcome::Postponed, Some(&loud));
    }

    scratch.items.put(item(&message_key(), &largest)).await;
    let last = table
        .deliveries()
        .mark_attempt(&held, &largest, NOW)
        .await
        .expect("an answer")
        .expect("it is queued");

    assert_eq!(last.attempts, MAX_ATTEMPTS);
    table
        .deliveries()
        .requeue(&held, &last, Status::Queued, Some(&loud), true, NOW)
        .await
        .expect("an answer");

    let queued = stored(&scratch).await;
    table
        .deliveries()
        .settle(&held, &queued, &Settlement::GivenUp(loud), NOW)
        .await
        .expect("it is settled");

    let after = scratch.items.get(&message_key()).await.expect("it stays");
    let history = stored(&scratch).await.attempts_so_far();
    assert_eq!(history.into_iter().count(), FIRST_ATTEMPTS_KEPT + LAST_ATTEMPTS_KEPT);
    let size = size(&after);
    println!("{size} of {LARGEST_ITEM} bytes");

    assert!((MAX_BODY_BYTES..LARGEST_ITEM).contains(&size), "{size} bytes");
    let every_time =
        with(after, ["delivered_at", "read_at", "sent_at"].map(|name| (name, Some(value(NOW)))));

    assert!(self::size(&every_time) < LARGEST_ITEM);
}

/// A message that is larger than any request can make: the text of the largest body, and the most
/// files, each with the longest URL and name of the public contract.
fn largest_message(error: &Reason) -> Message {
    let attachment = |number| Attachment {
        id: UploadId(Uuid::from_u128(number)),
        link: FileLink::new(&"u".repeat(2_048)),
        filename: FileName::new(&"ü".repeat(255)),
        content_type: MediaType::parse(&format!("{0}/{0}", "t".repeat(127))).expect("a media type"),
        size: u64::MAX,
    };

    let most = Channel::ALL.map(|channel| channel.limits().attachments).into_iter().max();
    Message {
        content: Content::new("x".repeat(MAX_BODY_BYTES)).expect("it is not blank"),
        attachments: (0..).map(attachment).take(most.expect("three channels")).collect(),
        provider_id: Some("p".repeat(1_024).into()),
        error: Some(error.clone()),
        ..message(1)
    }
}

/// Returns the size of an item in bytes
/// ([sizes](https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html)).
fn size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + size_of_value(value)).sum()
}

fn size_of_value(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
        AttributeValue::Bool(_) | AttributeValue::Null(_) => 1,
        AttributeValue::L(list) => {
            3 + list.iter().map(|value| 1 + size_of_value(value)).sum::<usize>()
        }
        AttributeValue::M(map) => {
            3 + map.iter().map(|(name, value)| 1 + name.len() + size_of_value(value)).sum::<usize>()
        }
        other => panic!("no record has a {other:?}"),
    }
}
