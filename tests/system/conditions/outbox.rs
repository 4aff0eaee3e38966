//! `make_due`: a customer who is back makes a conversation due, if there is anything to send. The rule is
//! [`domain::delivery::Turn::made_due`].

use super::sample::{B, C, MS, NOW, conversation, conversation_key, turned};
use super::scratch::{Scratch, for_all, item};
use domain::Seq;
use platform::table::record::Conversation;
use proptest::prelude::*;

#[tokio::test(flavor = "multi_thread")]
async fn only_what_waits_in_the_outbox_is_made_due() {
    let scratch = Scratch::start().await;
    let (table, key) = (scratch.table(), conversation_key());
    let due = prop_oneof![Just(None), (-1..=1).prop_map(|ms| Some(NOW + MS * ms))];
    for_all(64, &(0u64..3, 0u64..3, due), async |(seq, settled, due)| {
        let conversation = Conversation { seq: Seq(seq), settled_seq: Seq(settled), due, ..conversation() };
        scratch.items.put(item(&key, &conversation)).await;
        let made = table.make_due(B, C, NOW).await.expect("an answer");
        let due = conversation.turn().made_due(NOW).map(|turn| turned(&conversation, turn));
        assert_eq!(made, due.is_some());
        assert_eq!(scratch.items.get(&key).await, Some(item(&key, &due.unwrap_or(conversation))));
        made
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_that_is_not_there_is_not_made() {
    let scratch = Scratch::start().await;
    assert!(!scratch.table().make_due(B, C, NOW).await.expect("an answer"));
    assert_eq!(scratch.items.get(&conversation_key()).await, None);
}
