//! `make_due`: makes the conversation of a returning customer due if it has messages to send. The
//! rule is [`domain::delivery::ConversationState::made_due`].

use proptest::prelude::*;

use super::sample::{
    BUSINESS_ID, CONVERSATION_ID, MS, NOW, conversation, conversation_key, turned,
};
use super::scratch::{Scratch, for_all, item};
use domain::Seq;
use platform::table::record::Conversation;

#[tokio::test(flavor = "multi_thread")]
async fn only_a_conversation_in_the_outbox_that_may_send_now_is_made_due() {
    let scratch = Scratch::start().await;
    let (table, key) = (scratch.table(), conversation_key());
    let time = || prop_oneof![Just(None), (-1..=1).prop_map(|ms| Some(NOW + MS * ms))];
    let states = (0u64..3, 0u64..3, time(), time(), time());

    for_all(192, &states, async |(seq, settled, due, not_before, lease_until)| {
        let lease_owner = lease_until.map(|_| "a worker".to_owned());
        let (seq, settled_seq) = (Seq(seq), Seq(settled));
        let conversation = Conversation {
            seq,
            settled_seq,
            due,
            not_before,
            lease_until,
            lease_owner,
            ..conversation()
        };
        scratch.items.put(item(&key, &conversation)).await;
        let made = table.make_due(BUSINESS_ID, CONVERSATION_ID, NOW).await.expect("an answer");
        let due = conversation.state().made_due(NOW).map(|turn| turned(&conversation, turn));
        assert_eq!(made, due.is_some());
        assert_eq!(scratch.items.get(&key).await, Some(item(&key, &due.unwrap_or(conversation))));
        made
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn no_write_makes_a_missing_conversation() {
    let scratch = Scratch::start().await;
    assert!(!scratch.table().make_due(BUSINESS_ID, CONVERSATION_ID, NOW).await.expect("an answer"));
    assert_eq!(scratch.items.get(&conversation_key()).await, None);
}
