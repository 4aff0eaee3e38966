//! The month's limit: exact under any concurrency, contention, plan change and turn of the month.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use serde_json::json;
use uuid::Uuid;

use domain::{BusinessId, Month};
use platform::table::PlanChange;
use tests::suite::setting;
use tests::{Answer, Business, World};

const CALLERS: usize = 64;
const LIMITS: [u64; 6] = [0, 1, 2, 97, 100, 250];
const FEW_LIMITS: [u64; 3] = [0, 1, 33];
/// One conversation takes all that comes on these; on WhatsApp it has its pace.
const CHANNELS: [&str; 2] = ["chat", "email"];

/// Has 64 callers send as long as they are not told 403; counts the answers. A caller that is told
/// 503 comes again, as the answer says.
async fn exhaust(world: &World, business: &Business) -> BTreeMap<u16, usize> {
    let conversations = world.conversations_for_many(business).await;
    exhaust_in(world, business, &conversations).await
}

async fn exhaust_in(
    world: &World,
    business: &Business,
    conversations: &[Uuid],
) -> BTreeMap<u16, usize> {
    let caller = async |number: usize| {
        let mut answers = Vec::new();
        loop {
            let conversation_id = conversations[number % conversations.len()];
            let answer =
                world.send(&business.api_key, conversation_id, "one more message").go().await;
            let status = answer.status.as_u16();
            if status == 503 {
                assert_eq!(
                    (answer.problem().1.as_str(), answer.header("retry-after")),
                    ("busy", Some("1"))
                );
            }
            answers.push(status);
            if !matches!(status, 201 | 503) {
                assert_eq!(
                    answer.problem(),
                    (403, "quota_exceeded".into()),
                    "{}",
                    world.complaints()
                );
                return answers;
            }
        }
    };
    let answers = join_all((0..CALLERS).map(caller)).await;

    answers.into_iter().flatten().fold(BTreeMap::new(), |mut counts, status| {
        *counts.entry(status).or_default() += 1;
        counts
    })
}

async fn exactly(world: &World, limit: u64, shards: u16) {
    let business = world.business(limit, shards).await;
    let answers = exhaust(world, &business).await;
    assert_exact(world, &business, &answers, limit, shards).await;
}

async fn assert_exact(
    world: &World,
    business: &Business,
    answers: &BTreeMap<u16, usize>,
    limit: u64,
    shards: u16,
) {
    let accepted = answers.get(&201).copied().unwrap_or(0) as u64;
    println!("limit {limit:>3}, {shards:>2} shards: {answers:?}");
    assert_eq!(accepted, limit, "limit {limit}, {shards} shards");
    assert_eq!(answers[&403], CALLERS);
    assert_eq!(world.usage(&business.api_key).await, (limit, limit));
}

async fn every_limit(world: &World, shards: u16) {
    let limits = if is_long() { &LIMITS[..] } else { &FEW_LIMITS };
    for limit in limits {
        exactly(world, *limit, shards).await;
    }
}

/// Whether `LONG` asks for all limits, which take minutes.
fn is_long() -> bool {
    setting("LONG", 0) != 0
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_callers_get_exactly_the_limit_through_1_shard() {
    every_limit(&World::start().await, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_callers_get_exactly_the_limit_through_4_shards() {
    every_limit(&World::start().await, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_callers_get_exactly_the_limit_through_16_shards() {
    every_limit(&World::start().await, 16).await;
}

/// The callers wait for each other's place in a conversation and in the month.
#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_callers_in_two_conversations_get_exactly_the_limit() {
    let world = World::start().await;
    let business = world.business(97, 4).await;
    let conversations = CHANNELS.map(|channel| business.conversation_id(channel));

    let answers = exhaust_in(&world, &business, &conversations).await;

    assert_exact(&world, &business, &answers, 97, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn conflicts_change_nothing_about_the_limit() {
    let world = World::start().await;
    let conflict = json!({"operation": "TransactWriteItems", "error": "TransactionConflict", "probability": 0.3});
    world.fault("aws", conflict).await;
    let shards = if is_long() { &[1, 4, 16][..] } else { &[4] };
    for shards in shards {
        every_limit(&world, *shards).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exhausted_month_says_what_is_left_and_until_when() {
    let world = World::start().await;
    let business = world.business(1, 1).await;
    world.send(&business.api_key, business.conversation_id("chat"), "the only one").go().await.id();

    let answer =
        world.send(&business.api_key, business.conversation_id("chat"), "one too many").go().await;
    assert_eq!(answer.problem(), (403, "quota_exceeded".into()));
    assert_eq!(answer.header("content-type"), Some("application/problem+json"));

    let problem = answer.json();
    let resets_at: DateTime<Utc> =
        serde_json::from_value(problem["resets_at"].clone()).expect("a time");
    assert_eq!(
        (&problem["limit"], &problem["used"], Month::of(resets_at).resets_at() > resets_at),
        (&json!(1), &json!(1), true)
    );

    let usage = world.get(&business.api_key, "/api/v1/usage").await.json();
    assert_eq!(usage["resets_at"], problem["resets_at"]);
    assert_eq!(
        (&usage["used"], &usage["limit"], &usage["remaining"]),
        (&json!(1), &json!(1), &json!(0))
    );
}

/// The month's items of `RateLimit-Policy` and `RateLimit`: the limit and what is left.
fn month_told(answer: &Answer) -> (String, String) {
    let item = |name: &str, parameter: &str| {
        let header = answer.header(name).expect("it is there");
        let month = header.split(", ").find(|item| item.starts_with("\"month\";"));
        let month = month.unwrap_or_else(|| panic!("{header}"));
        let value = month.split(';').find_map(|part| part.strip_prefix(parameter));
        value.unwrap_or_else(|| panic!("{month}")).to_owned()
    };
    (item("ratelimit-policy", "q="), item("ratelimit", "r="))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_answer_tells_what_is_left_of_the_month_and_costs_no_call_more() {
    let world = World::start().await;
    let business = world.business(3, 1).await;
    let conversation_id = business.conversation_id("email");
    let told = |left: u64| ("3".to_owned(), left.to_string());

    for left in [2, 1, 0] {
        let key = format!("key-{left}");
        let send = || world.send(&business.api_key, conversation_id, "counted").key(&key).go();
        let answer = send().await;
        assert_eq!((answer.status.as_u16(), month_told(&answer)), (201, told(left)));
        let again = send().await;
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        assert_eq!(month_told(&again), told(left), "a repeat counts nothing");
    }

    // Whatever else is wrong with a request.
    let wrong = world.send(&business.api_key, conversation_id, "").body("{}").go().await;
    assert_eq!((wrong.problem(), month_told(&wrong)), ((422, "validation_error".into()), told(0)));

    // The full shard was read with everything else: the very first refusal needs no transaction.
    let transactions = || world.calls_of("SendMessage")["dynamodb:TransactWriteItems"];
    let before = transactions();
    let answer = world.send(&business.api_key, conversation_id, "one too many").go().await;
    assert_eq!(answer.problem(), (403, "quota_exceeded".into()));
    assert_eq!((month_told(&answer), transactions()), (told(0), before));

    // A plan that is counted in several parts: near the truth.
    let large = world.business(1_000, 10).await;
    let answer = world.send(&large.api_key, large.conversation_id("email"), "counted").go().await;
    let (limit, left) = month_told(&answer);
    let left: u64 = left.parse().expect("a number");
    assert!(limit == "1000" && (980..1_000).contains(&left), "{left} of {limit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_month_is_refused_by_one_read_until_the_plan_changes() {
    let world = World::start().await;
    for shards in [1, 4] {
        let business = world.business(16, shards).await;
        let conversation_id = business.conversation_id("email");
        let first = world.send(&business.api_key, conversation_id, "first").key("a-key");
        let first = first.go().await.id();
        exhaust(&world, &business).await;

        let before = world.calls_of("SendMessage");
        for _ in 0..8 {
            let refused = world.send(&business.api_key, conversation_id, "refused").go().await;
            assert_eq!(refused.problem(), (403, "quota_exceeded".into()));
            assert_eq!(
                (&refused.json()["limit"], &refused.json()["used"]),
                (&json!(16), &json!(16))
            );
        }
        let mut expected = before.clone();
        *expected.get_mut("dynamodb:BatchGetItem").expect("some") += 8;
        assert_eq!(world.calls_of("SendMessage"), expected, "{shards} shards");

        // A known key is answered as before, and an unknown one refused.
        let again = world.send(&business.api_key, conversation_id, "first").key("a-key").go().await;
        assert_eq!(again.id(), first);
        let other = world.send(&business.api_key, conversation_id, "other").key("other").go().await;
        assert_eq!(other.problem(), (403, "quota_exceeded".into()));

        // More by the plan is accepted at once, and spent again.
        let id = BusinessId(business.business_id);
        for limit in [17, 20] {
            let table = world.table();
            let change = table.operator().change_plan(id, PlanChange::of_limit(limit), Utc::now());
            change.await.expect("a change");
            world.send(&business.api_key, conversation_id, "one more").go().await.id();
            exhaust(&world, &business).await;
            assert_eq!(world.usage(&business.api_key).await, (limit, limit), "{shards} shards");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_that_turns_under_64_callers_splits_them_exactly() {
    let world = World::start().await;
    let business = world.business(40, 4).await;
    let turn: DateTime<Utc> = "2031-02-01T00:00:00Z".parse().expect("a time");
    world.set_clock(turn - TimeDelta::milliseconds(400)).await;

    let senders = stream::iter(0..CALLERS).map(|number| {
        let conversation_id = business.conversation_id(CHANNELS[number % CHANNELS.len()]);
        world.send(&business.api_key, conversation_id, "around midnight").go()
    });
    let answers: Vec<_> = senders.buffer_unordered(16).collect().await;
    let mut months: BTreeMap<String, u64> = BTreeMap::new();

    for answer in answers.iter().filter(|answer| answer.status == 201) {
        let at: DateTime<Utc> =
            serde_json::from_value(answer.json()["created_at"].clone()).expect("a time");
        *months.entry(Month::of(at).to_string()).or_default() += 1;
    }

    println!("accepted around the turn of the month: {months:?}");
    assert!(months.values().all(|count| *count <= 40));

    let now = world.usage(&business.api_key).await;
    assert_eq!(
        now,
        (months.get("2031-02").copied().unwrap_or(0), 40),
        "the new month counts its own alone"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_changes_under_load_holds_at_every_moment() {
    let world = World::start().await;
    let business = world.business(60, 4).await;
    let id = BusinessId(business.business_id);
    let now = Utc::now();
    let change = async || {
        for (limit, shards) in [(90, 4), (120, 8), (70, 8), (150, 16)] {
            world
                .table()
                .operator()
                .change_plan(
                    id,
                    PlanChange {
                        name: Some("changed"),
                        shards: Some(shards),
                        ..PlanChange::of_limit(limit)
                    },
                    now,
                )
                .await
                .expect("a change");
        }
    };
    let (answers, ()) = tokio::join!(exhaust(&world, &business), change());

    println!("plan changed under load: {answers:?}");
    // Every 403 was answered by a limit that was in force; with the last one, the rest
    // fits.
    exhaust(&world, &business).await;
    assert_eq!(world.usage(&business.api_key).await, (150, 150));

    world
        .table()
        .operator()
        .change_plan(
            id,
            PlanChange { name: Some("smaller"), shards: Some(1), ..PlanChange::of_limit(20) },
            now,
        )
        .await
        .expect("a change");
    assert_eq!(world.usage(&business.api_key).await, (150, 150), "nothing accepted is taken back");

    let answer =
        world.send(&business.api_key, business.conversation_id("chat"), "one too many").go().await;
    assert_eq!(answer.problem(), (403, "quota_exceeded".into()));
}
