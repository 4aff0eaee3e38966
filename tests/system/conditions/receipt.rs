//! `receipt`, with `report`: what a provider's or a widget's word does to a message. The rule is
//! [`Stored::reported`].

use super::sample::{B, C, MS, NOW, became, message, message_key, stored};
use super::scratch::{Scratch, item, value, with};
use domain::MessageId;
use domain::delivery::stored::Stored;
use domain::delivery::{Reason, Status};
use platform::table::record::Message;

/// What a receipt makes of a message, and of its times; `None` if it leaves it as it is.
fn reported(was: &Message, says: Status) -> Option<Message> {
    let mut message = became(was, Stored::reported(&stored(was), says)?);
    let first = |time| Some(Option::unwrap_or(time, NOW));
    match message.status {
        Status::Sent => {}
        Status::Delivered => message.delivered_at = first(was.delivered_at),
        Status::Read => (message.delivered_at, message.read_at) = (first(was.delivered_at), first(was.read_at)),
        Status::Failed => {
            message.failed_at = first(was.failed_at);
            return Some(message);
        }
        status => panic!("a receipt led to {status:?}"),
    }
    // What was delivered was sent, and whatever went wrong before is over.
    (message.sent_at, message.error) = (first(was.sent_at), None);
    Some(message)
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_move_a_message_as_the_rule_says() {
    let scratch = Scratch::start().await;
    let (table, key) = (scratch.table(), message_key());
    let pairs = Status::ALL.into_iter().flat_map(|was| Status::ALL.map(|says| (was, says)));
    for ((was, says), known) in pairs.flat_map(|pair| [None, Some(NOW - MS)].map(|known| (pair, known))) {
        let error = known.map(|_| Reason::new("rate_limited", "slower"));
        let times = Message { sent_at: known, delivered_at: known, failed_at: known, ..message(1) };
        let before = Message { status: was, fence: Some(2), error, ..times };
        scratch.items.put(item(&key, &before)).await;
        let moved = table.receipt(B, C, before.id, says, NOW).await.expect("an answer");
        let expected = reported(&before, says);
        assert_eq!(moved, expected.is_some(), "{was:?}, told {says:?}");
        assert_eq!(scratch.items.get(&key).await, Some(item(&key, &expected.unwrap_or(before))));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_is_for_the_message_it_names() {
    let scratch = Scratch::start().await;
    let table = scratch.table();
    let tell = async |id: MessageId| table.receipt(B, C, id, Status::Read, NOW).await.expect("an answer");
    assert!(!tell(message(1).id).await, "there is no such message");
    let before = scratch.items.put(item(&message_key(), &message(1))).await;
    assert!(!tell(MessageId::new(NOW, message(1).seq, 99)).await, "another one is at its place");
    assert!(!tell("67e55044-10b1-426f-9247-bb680e5fe0c8".parse().expect("a UUID")).await, "it is none of ours");
    assert_eq!(scratch.items.all().await.into_values().collect::<Vec<_>>(), [before]);
}

/// Between reading and writing, something else moves the message on.
async fn overtaken(was: Status, by: Status, says: Status) -> (bool, Message) {
    let scratch = Scratch::start().await;
    let before = scratch.items.put(item(&message_key(), &Message { status: was, ..message(1) })).await;
    let table = scratch.meanwhile_once("UpdateItem", move |items| {
        let overtaken = with(before.clone(), [("status", Some(value(by)))]);
        async move { drop(items.put(overtaken).await) }
    });
    let moved = table.receipt(B, C, message(1).id, says, NOW).await.expect("an answer");
    (moved, scratch.items.record(&message_key()).await.expect("it stays"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_that_is_overtaken_is_judged_anew() {
    let now = |status| Message { status, ..message(1) };
    assert_eq!(overtaken(Status::Sending, Status::Read, Status::Sent).await, (false, now(Status::Read)));
    assert_eq!(overtaken(Status::Sent, Status::Delivered, Status::Failed).await, (false, now(Status::Delivered)));
    let read = reported(&now(Status::Delivered), Status::Read);
    assert_eq!(overtaken(Status::Sent, Status::Delivered, Status::Read).await, (true, read.expect("it moves on")));
}
