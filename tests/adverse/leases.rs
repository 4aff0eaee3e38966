//! Workers whose lease ends in the middle of a call: a successor takes over, and what the former
//! worker writes down too late is refused.
//!
//! No worker lives that long on Lambda, so it takes a clock that jumps: idle workers start anew
//! with the new time, the one that waits for its provider goes on with the old.

use futures_util::future::join_all;
use serde_json::json;

use crate::talk::{Talk, all_arrived, all_send, handed_out, next_due, see_through};
use tests::suite::Suite;
use tests::{CHANNELS, DOUBT_SECONDS, LEASE_SECONDS, Tally, World};

/// How long the provider takes, in milliseconds of the real clock: long enough for a successor, and
/// less than a worker waits for.
const SLOW: u64 = 7_000;

/// The slow provider's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Late {
    /// It takes the message.
    Takes,
    /// It does not.
    Refuses,
}

pub(crate) fn tests(suite: Suite) -> Suite {
    let overtaken = [
        (
            "a_successor_waits_for_a_receipt_of_what_a_late_provider_takes",
            LEASE_SECONDS,
            Late::Takes,
        ),
        (
            "a_successor_waits_for_a_receipt_of_what_a_late_provider_refuses",
            LEASE_SECONDS,
            Late::Refuses,
        ),
        (
            "a_successor_sends_again_what_a_late_provider_takes_all_the_same",
            DOUBT_SECONDS,
            Late::Takes,
        ),
        ("a_successor_sends_again_what_a_late_provider_refuses", DOUBT_SECONDS, Late::Refuses),
    ];
    overtaken
        .into_iter()
        .fold(suite, |suite, (name, jump, late)| suite.test(name, move || overtaken_by(jump, late)))
}

/// The clock jumps while a slow provider has the first message of a conversation on each channel.
async fn overtaken_by(jump: i64, late: Late) {
    let world = World::start().await;
    let business = world.business(100, 1).await;
    let mut talks = Talk::on_every_channel(&world, &business, 1).await;
    let status = (late == Late::Refuses).then_some(503);

    for channel in CHANNELS {
        world.fault(channel, json!({"delay_ms": SLOW, "times": 1, "status": status})).await;
    }

    all_send(&world, &business, &mut talks, 1).await;
    join_all(talks.iter().map(|talk| talk.until_status(&world, &business, 0, "sending"))).await;
    world.pass(jump).await;
    all_send(&world, &business, &mut talks, 2).await;
    next_due(&world).await;

    for talk in &talks {
        let is_in_doubt = jump == LEASE_SECONDS && talk.channel != "chat";
        let taken_over = if is_in_doubt { "in_doubt" } else { end(talk) };
        talk.until_status(&world, &business, 0, taken_over).await;
        for next in [1, 2] {
            talk.until_status(
                &world,
                &business,
                next,
                if is_in_doubt { "queued" } else { end(talk) },
            )
            .await;
        }
    }

    let before = join_all(talks.iter().map(|talk| talk.stored(&world))).await;
    let (records, deliveries) = handed_out(&world).await;
    // The chat's worker gives its provider less time than the others do.
    assert!(records >= deliveries + 2, "the late ones still wait for their providers");

    world
        .until("the late ones are done", async || {
            let (records, deliveries) = handed_out(&world).await;
            (records == deliveries).then_some(())
        })
        .await;

    for (talk, before) in talks.iter().zip(before) {
        assert_eq!(
            talk.stored(&world).await,
            before,
            "{}: what came too late was refused",
            talk.channel
        );
    }

    Tally::count_misfortune();
    see_through(&world).await;
    all_arrived(&world, &talks).await;

    for talk in &talks {
        // A customer of the chat is shown an id once.
        let again = usize::from(late == Late::Takes && talk.channel != "chat");
        assert_eq!(talk.copies(&world).await, 3 + again, "{}", talk.channel);
    }
}

/// Returns how a message on this channel ends if nothing is in its way.
fn end(talk: &Talk) -> &'static str {
    if talk.channel == "chat" { "delivered" } else { "sent" }
}
