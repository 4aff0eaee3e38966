//! The turn of the month, to the millisecond.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;

use crate::talk::{Talk, see_through};
use crate::{CALLERS, UNANSWERED, UNPACED, either, send};
use domain::problem::Refusal;
use domain::{BusinessId, Channel, Content, ConversationId, Metadata, Month, Sender, Seq};
use platform::table::{AcceptOutcome, MessageDraft, Table, key};
use tests::World;
use tests::suite::{Suite, remark};
use uuid::Uuid;

/// How many conversations the callers share, of both sides of the turn.
const TALKS: usize = 6;

/// One millisecond.
const MS: TimeDelta = TimeDelta::milliseconds(1);

pub(crate) fn tests(suite: Suite) -> Suite {
    let suite =
        suite.test("callers_around_the_turn_of_the_month_spend_each_month_for_itself", over_http);
    let shards = either(&[4][..], &[1, 4, 16]);
    shards.iter().fold(suite, |suite, shards| {
        let name = format!("a_millisecond_decides_which_of_two_months_counts_on_{shards}_shards");
        suite.test(name, || to_the_millisecond(*shards))
    })
}

fn turn() -> DateTime<Utc> {
    "2031-02-01T00:00:00Z".parse().expect("a time")
}

/// 64 callers send without a pause until the new month is spent, over the turn.
async fn over_http() {
    const LIMIT: u64 = 60;
    let world = World::start().await;
    let business = world.business(LIMIT, 4).await;
    world.set_clock(turn() - TimeDelta::seconds(either(2, 4))).await;

    let caller = async |number: usize| {
        let mut accepted = Vec::new();
        loop {
            let conversation_id = business.conversation_id(UNPACED[number % UNPACED.len()]);
            let answer = send(&world, &business, conversation_id, "around midnight").await;
            match answer.status.as_u16() {
                201 => accepted.push(created_at(&answer.json()["created_at"])),
                _ => {
                    assert_eq!(
                        answer.problem(),
                        (403, "quota_exceeded".into()),
                        "{}",
                        world.complaints()
                    );
                    if created_at(&answer.json()["resets_at"]) > turn() {
                        return accepted;
                    }
                }
            }
        }
    };
    let accepted: Vec<_> = join_all((0..CALLERS).map(caller)).await.into_iter().flatten().collect();
    let (old, new): (Vec<_>, Vec<_>) = accepted.into_iter().partition(|at| *at < turn());
    let closest = [old.iter().max(), new.iter().min()]
        .map(|at| at.map(|at| (*at - turn()).num_milliseconds()));

    remark(format!(
        "  the turn of the month over HTTP: {} of {LIMIT} before, {} of {LIMIT} after, closest {closest:?} ms",
        old.len(),
        new.len()
    ));
    assert!(old.len() as u64 <= LIMIT);
    assert_eq!(new.len() as u64, LIMIT, "the new month counts its own alone");

    assert_eq!(world.usage(&business.api_key).await, (LIMIT, LIMIT));
}

fn created_at(value: &serde_json::Value) -> DateTime<Utc> {
    serde_json::from_value(value.clone()).expect("a time")
}

/// 32 callers a millisecond before the turn and 32 on it or after, each until its month is spent.
async fn to_the_millisecond(shards: u16) {
    // A shard holds at least ten, so that there are as many as were asked for.
    let limit = u64::from(shards) * 10 + 27;
    let world = World::start().await;
    let business = world.business(limit, shards).await;
    let table = world.table();
    let talks = join_all((0..TALKS).map(|_| Talk::new(&world, &business, "email"))).await;
    let callers = (0..CALLERS).map(|number| {
        let now =
            if number % 2 == 0 { turn() - MS } else { turn() + MS * i32::from(number % 4 == 3) };
        let draft = MessageDraft {
            business_id: BusinessId(business.business_id),
            conversation_id: ConversationId(talks[number % TALKS].conversation_id),
            conversation_channel: "email".into(),
            channel: Channel::Email,
            sender: Sender(None),
            content: Content::new("to the millisecond".into()).expect("it is not blank"),
            attachments: Vec::new(),
            metadata: Metadata::default(),
            new_uploads: Vec::new(),
            idempotency: None,
            correlation_id: None,
            keep_until: None,
            now,
        };
        spend(&world, &table, draft)
    });
    let mut months: BTreeMap<String, u64> = BTreeMap::new();

    for (month, accepted) in join_all(callers).await {
        *months.entry(month.to_string()).or_default() += accepted;
    }

    assert_eq!(months, BTreeMap::from([("2031-01".into(), limit), ("2031-02".into(), limit)]));

    let counted = |month: &'static str| async {
        let month = Month::try_from(month.to_owned()).expect("a month");
        let shards =
            table.shards(BusinessId(business.business_id), month, shards).await.expect("an answer");
        shards.iter().map(|(_, shard)| shard.used).sum::<u64>()
    };
    assert_eq!((counted("2031-01").await, counted("2031-02").await), (limit, limit));

    world.set_clock(turn() + TimeDelta::seconds(1)).await;
    see_through(&world).await;
}

/// Accepts one message after the other until the month is spent; returns the month and how many
/// there were. What is not answered in time is tried again under its key.
async fn spend(world: &World, table: &Table, mut draft: MessageDraft) -> (Month, u64) {
    let month = Month::of(draft.now);
    let mut accepted = 0;
    let mut unanswered = 0;
    let mut last = Seq(0);

    loop {
        let business_id = draft.business_id;
        draft.idempotency.get_or_insert_with(|| {
            let key = key::idempotency(business_id, &Uuid::new_v4().to_string());
            (key, "of one body".into())
        });

        let outcome = match table.accept(&draft, last, None, None).await {
            Err(error) if error.is_contention() => continue, // A caller over HTTP is told 503.
            Err(_) if unanswered < UNANSWERED => {
                unanswered += 1;
                continue;
            }
            outcome => outcome.expect("an answer"),
        };
        match outcome {
            AcceptOutcome::Accepted(message) | AcceptOutcome::Replayed(message) => {
                assert_eq!((message.month, message.created_at), (month, draft.now));
                let id = message.id.to_string().parse().expect("a UUID");
                world.ledger().accepted.insert(id, message.content.as_str().to_owned());
                (accepted, last, unanswered) = (accepted + 1, message.seq, 0);
                draft.idempotency = None;
            }
            AcceptOutcome::Refused(Refusal::Busy) => {}
            AcceptOutcome::Refused(Refusal::QuotaExceeded { resets_at, .. }) => {
                assert_eq!(resets_at, month.resets_at());
                return (month, accepted);
            }
            other => panic!("{other:?}"),
        }
    }
}
