//! `pause`: pauses a channel until a time, and the latest time wins. `resume` and
//! `set_channel_active` change a channel and make none. `domain` has no rule for these writes.

use proptest::prelude::*;
use uuid::Uuid;

use super::sample::{BUSINESS_ID, MS, NOW};
use super::scratch::{Scratch, for_all, item};
use domain::ChannelId;
use platform::table::key;
use platform::table::record::{ChannelRecord, ChannelSettings};

const CHANNEL: ChannelId = ChannelId(Uuid::from_u128(7));

#[tokio::test(flavor = "multi_thread")]
async fn the_longer_of_two_pauses_counts() {
    let scratch = Scratch::start().await;
    let (table, key) = (scratch.table(), key::channel(BUSINESS_ID, CHANNEL));
    let before = prop_oneof![Just(None), (-3..=9).prop_map(|ms| Some(NOW + MS * ms))];

    for_all(64, &before, async |paused_until| {
        let settings = ChannelSettings::Chat {};
        let record =
            ChannelRecord { is_active: true, in_doubt: Default::default(), paused_until, settings };
        scratch.items.put(item(&key, &record)).await;
        table.deliveries().pause(BUSINESS_ID, CHANNEL, NOW).await.expect("an answer");
        let after = ChannelRecord { paused_until: paused_until.max(Some(NOW)), ..record };
        assert_eq!(scratch.items.get(&key).await, Some(item(&key, &after)));
        paused_until < Some(NOW)
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn switching_a_channel_changes_nothing_else_of_it() {
    let scratch = Scratch::start().await;
    let (table, key) = (scratch.table(), key::channel(BUSINESS_ID, CHANNEL));
    let settings = ChannelSettings::Chat {};
    let record = ChannelRecord {
        is_active: true,
        in_doubt: Default::default(),
        paused_until: Some(NOW),
        settings,
    };

    scratch.items.put(item(&key, &record)).await;
    assert!(
        table.operator().set_channel_active(BUSINESS_ID, CHANNEL, false).await.expect("an answer")
    );
    let off = ChannelRecord { is_active: false, ..record };
    assert_eq!(scratch.items.get(&key).await, Some(item(&key, &off)));

    for _ in 0..2 {
        assert!(table.operator().resume(BUSINESS_ID, CHANNEL).await.expect("an answer"));
        assert_eq!(
            scratch.items.get(&key).await,
            Some(item(&key, &ChannelRecord { paused_until: None, ..off.clone() }))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_write_makes_a_missing_channel() {
    let scratch = Scratch::start().await;
    let table = scratch.table();
    table.deliveries().pause(BUSINESS_ID, CHANNEL, NOW).await.expect("an answer");
    assert!(!table.operator().resume(BUSINESS_ID, CHANNEL).await.expect("an answer"));
    assert!(
        !table.operator().set_channel_active(BUSINESS_ID, CHANNEL, true).await.expect("an answer")
    );
    assert_eq!(scratch.items.get(&key::channel(BUSINESS_ID, CHANNEL)).await, None);
}
