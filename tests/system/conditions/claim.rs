//! `claim`: which worker gets a conversation. The rule is [`ConversationState::claimed`].

use std::ops::ControlFlow;

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::sample::{
    BUSINESS_ID, CONVERSATION_ID, LEASE, MS, NOW, claim, conversation, conversation_key, turned,
};
use super::scratch::{Scratch, for_all, item};
use domain::Seq;
use domain::delivery::{ClaimOutcome, ConversationState, Lease};
use platform::table::record::Conversation;

/// No time, or one a moment ago, now, or in a moment.
fn any_time() -> impl Strategy<Value = Option<DateTime<Utc>>> {
    prop_oneof![Just(None), (-1..=1).prop_map(|ms| Some(NOW + MS * ms))]
}

fn any_conversation() -> impl Strategy<Value = Conversation> {
    let numbers = (0u64..3, 0u64..3, 0u64..3);
    (numbers, any_time(), any_time(), any_time()).prop_map(
        |((seq, settled, fence), lease_until, not_before, due)| {
            let lease_owner = lease_until.map(|_| "another worker".to_owned());
            let (seq, settled_seq) = (Seq(seq), Seq(settled));
            Conversation {
                seq,
                settled_seq,
                lease_owner,
                lease_until,
                not_before,
                due,
                fence,
                ..conversation()
            }
        },
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_grants_what_the_rule_grants() {
    let scratch = Scratch::start().await;
    let (table, key) = (scratch.table(), conversation_key());

    for_all(160, &any_conversation(), async |conversation| {
        let before = scratch.items.put(item(&key, &conversation)).await;
        let decided = claim(&table).await;
        let after = scratch.items.get(&key).await.expect("it stays");
        match ConversationState::claimed(&conversation.state(), NOW, LEASE) {
            Ok((turn, lease)) => {
                let held = decided.continue_value().expect("the rule grants it");
                let lease_owner = held.conversation.lease_owner.clone();
                assert!(lease_owner.is_some() && lease_owner != conversation.lease_owner);
                assert_eq!(
                    held.conversation,
                    Conversation { lease_owner, ..turned(&conversation, turn) }
                );
                assert_eq!(
                    (held.business_id, held.conversation_id, held.lease),
                    (BUSINESS_ID, CONVERSATION_ID, lease)
                );
                assert_eq!(after, item(&key, &held.conversation));
                true
            }
            Err(refused) => {
                assert_eq!(decided.map_continue(|held| held.lease), ControlFlow::Break(refused));
                assert_eq!(after, before);
                false
            }
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn no_claim_makes_a_missing_conversation() {
    let scratch = Scratch::start().await;
    let decided = claim(&scratch.table()).await;
    assert_eq!(decided.map_continue(|held| held.lease), ControlFlow::Break(ClaimOutcome::Settled));
    assert_eq!(scratch.items.get(&conversation_key()).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_whose_answer_was_lost_is_granted_once() {
    let scratch = Scratch::start().await;
    scratch.items.put(item(&conversation_key(), &conversation())).await;
    let table = scratch.losing_the_first_answer();
    let held = claim(&table).await.continue_value().expect("no other worker asked");
    assert_eq!(scratch.items.record(&conversation_key()).await, Some(held.conversation));
    assert_eq!(held.lease, Lease { fence: 2, until: NOW + LEASE }, "it was made once");
}
