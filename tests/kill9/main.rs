//! SIGKILL at a random moment under load, again and again.
//!
//! The whole machine dies, and everything starts anew on what was on disk. What SQS held is gone
//! each time; the sweeper brings it back. Each change of a message's status is told to the
//! business's endpoint all the same.
//!
//! Workers die, each over a conversation, and it is measured after how long another one has that.
//!
//! `KILLS=200 cargo test --test kill9` is the long run.

use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use domain::{BusinessId, ConversationId};
use tests::machine::{Directory, Machine};
use tests::settling::see_through;
use tests::suite::{Suite, percentile, remark, setting};
use tests::{Business, CHANNELS, DOUBT_SECONDS, LEASE_SECONDS, Tally, World, next_page};

/// Kills, unless `KILLS` says how many.
const KILLS: u64 = 20;

fn main() -> ExitCode {
    let everything = nothing_is_lost_however_often_everything_dies;
    let workers = a_conversation_whose_worker_dies_gets_another;
    Suite::new("kill9")
        .test("nothing_is_lost_however_often_everything_dies", everything)
        .test("a_conversation_whose_worker_dies_gets_another", workers)
        .run()
}

/// So many systems at once in which workers are killed, and in each of them one on each channel.
const SYSTEMS: u64 = 4;

/// The provider answers this late, in milliseconds, so that its worker can be killed meanwhile.
const SLOW: u64 = 6_000;

/// Kills a worker while it calls the provider, so many times; returns after how long another one
/// had the conversation each time.
async fn kill_workers(
    world: &World,
    business: &Business,
    channel: &str,
    kills: u64,
) -> Vec<Duration> {
    let mut waits = Vec::new();
    for kill in 0..kills {
        let conversation_id = world.another_conversation(business, channel).await;
        let id = (BusinessId(business.business_id), ConversationId(conversation_id));
        world.fault(channel, json!({ "delay_ms": SLOW, "times": 1 })).await;

        let text = format!("kill {kill}");
        let message = world.send(&business.api_key, conversation_id, &text).go().await.id();
        let stored = async || {
            let conversation = world.table().conversation(id.0, id.1).await.expect("an answer");
            conversation.expect("it was made")
        };
        world.until_status(&business.api_key, conversation_id, message, "sending").await;
        let before = stored().await.fence;
        let moment = u64::from(Uuid::new_v4().as_bytes()[0]) * SLOW / 4 / 255;
        tokio::time::sleep(Duration::from_millis(moment)).await;
        world.engine().kill(&format!("deliver-{channel}")).await;
        Tally::count_misfortune();

        let killed = Instant::now();
        world.heal(channel).await;
        let followed = async || {
            let now = stored().await;
            let is_followed = now.fence > before;
            let is_late = now.due.is_none(); // The kill: the message had gone out before.
            (is_followed || is_late).then(|| is_followed.then(|| killed.elapsed()))
        };
        waits.extend(world.until("another worker has it", followed).await);
    }
    waits
}

async fn a_conversation_whose_worker_dies_gets_another() {
    let kills = setting("KILLS", KILLS).div_ceil(SYSTEMS * CHANNELS.len() as u64);
    let systems = (0..SYSTEMS).map(|_| async {
        let world = World::start().await;
        let business = world.business(1_000, 4).await;
        let on_channels = CHANNELS.map(|channel| kill_workers(&world, &business, channel, kills));
        let waits = join_all(on_channels).await.concat();

        for _ in 0..2 {
            world.pass(DOUBT_SECONDS).await;
            world.sweep().await;
        }
        see_through(&world).await;
        (world, waits)
    });

    let (worlds, waits): (Vec<World>, Vec<_>) = join_all(systems).await.into_iter().unzip();
    drop(worlds);
    let mut waits = waits.concat();
    waits.sort();
    let at = |percent| percentile(&waits, percent).map_or(f64::NAN, |wait| wait.as_secs_f64());
    remark(format!(
        "  {} workers killed: another one after {:.1} s (p50), {:.1} s (p95), {:.1} s (the last)",
        waits.len(),
        at(50),
        at(95),
        at(100)
    ));
}

/// So many messages a life for a conversation on WhatsApp, where each waits for its time.
const PACED: u32 = 3;

/// Sends one message after the other into a conversation, until the system dies or that is enough;
/// returns how many were answered 201.
async fn load(
    world: &World,
    business: &Business,
    conversation_id: Uuid,
    life: u64,
    enough: u32,
) -> u32 {
    let mut answered = 0;
    for number in 1..=enough {
        let text = format!("message {number} of life {life}");
        match world.send(&business.api_key, conversation_id, &text).attempt().await {
            Ok(answer) if answer.status == 201 => answered += 1,
            // The front may outlive the function by a moment.
            Ok(answer) => assert!(answer.status.is_server_error(), "{}", answer.text),
            Err(_) => break,
        }
    }

    answered
}

async fn nothing_is_lost_however_often_everything_dies() {
    let kills = setting("KILLS", KILLS);
    // The business's endpoint is elsewhere, and outlives every kill.
    let elsewhere = World::start().await;
    let directory = Directory::new("kill9");
    let mut machine = Machine::start(directory.path()).await;
    let mut world = World::of(machine.ready.clone());
    let business = world.business(1_000_000, 4).await;
    let receiver = format!("{}/receivers/{}", elsewhere.ready.sandbox, business.business_id);
    world.endpoint(&business, &receiver).await;
    let another = world.another_conversation(&business, "email").await;
    let busy = [business.conversation_id("chat"), business.conversation_id("email"), another];
    let mut conversations = busy.to_vec();

    let mut answered = 0;

    for life in 1..=kills {
        let moment = Duration::from_millis(30 + u64::from(Uuid::new_v4().as_bytes()[0]) * 2);
        let paced = world.another_conversation(&business, "whatsapp").await;
        conversations.push(paced);
        let loads = busy
            .map(|conversation_id| (conversation_id, u32::MAX))
            .into_iter()
            .chain([(paced, PACED)]);
        let all = join_all(loads.map(|(conversation_id, enough)| {
            load(&world, &business, conversation_id, life, enough)
        }));
        let kill = async {
            tokio::time::sleep(moment).await;
            machine.kill();
            Tally::count_misfortune();
        };
        let (counts, ()) = tokio::join!(all, kill);
        answered += counts.iter().sum::<u32>();
        machine = Machine::start(directory.path()).await;
        world.ready = machine.ready.clone();
    }

    // The workers that held conversations are dead: their leases end, messages in doubt wait for a
    // receipt, and are then sent again.
    for seconds in [LEASE_SECONDS, DOUBT_SECONDS, DOUBT_SECONDS] {
        world.pass(seconds).await;
        world.sweep().await;
    }

    world.allow(|allowed| allowed.unheard = true);
    let (got, doubled) = world
        .until_at_rest("everything has arrived", async || {
            let mut unique = BTreeSet::new();
            let mut doubled = 0;
            for channel in ["chat", "whatsapp", "email"] {
                let all =
                    world.sandbox(Method::GET, &format!("/{channel}/messages"), Value::Null).await;
                let ids = all
                    .as_array()
                    .expect("an array")
                    .iter()
                    .map(|one| one["message_id"].to_string());
                ids.for_each(|id| doubled += u64::from(!unique.insert(id)));
            }
            let got = unique.len() as u64;
            if got == world.usage(&business.api_key).await.0 {
                Ok((got, doubled))
            } else {
                Err(got)
            }
        })
        .await;

    // What was taken in one life is reported in the next.
    for conversation_id in
        conversations.iter().filter(|id| **id != business.conversation_id("chat"))
    {
        let path = format!("/api/v1/conversations/{conversation_id}/messages");
        world
            .until("the providers have reported everything", async || {
                let mut next = Some("0".to_owned());
                while let Some(after) = next {
                    let page = world
                        .get(&business.api_key, &format!("{path}?limit=100&after={after}"))
                        .await
                        .json();
                    let messages = page["messages"].as_array().expect("an array");
                    if messages.iter().any(|message| message["delivery"]["status"] != "delivered") {
                        return None;
                    }
                    next = next_page(&page).map(str::to_owned);
                }
                Some(())
            })
            .await;
    }

    // The oracle sees that every change was told; what a dead worker had is sent again.
    see_through(&world).await;

    let (used, _) = world.usage(&business.api_key).await;
    remark(format!(
        "  {kills} kills: {answered} answered 201, {used} stored, {got} arrived, {doubled} of them twice"
    ));
    assert!(u64::from(answered) <= used, "answered and not counted");
    assert!(doubled <= kills * (busy.len() as u64 + 1), "no more than what workers held");
}
