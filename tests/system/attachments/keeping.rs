//! Nothing is kept before a message is counted, and the files that wait for one are counted.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{announce, bring, lead, send, store};
use domain::BusinessId;
use domain::file::{MAX_FILE_BYTES, MAX_UNREFERENCED_BYTES, MAX_UNREFERENCED_FILES};
use platform::table::PlanChange;
use tests::{Answer, Business, PNG, World};

const DAY: i64 = 24 * 60 * 60;

type Item = std::collections::HashMap<String, AttributeValue>;

/// Every item of a business whose range key begins so.
async fn items(world: &World, business: &Business, prefix: &str) -> Vec<Item> {
    let pages = world.dynamodb().scan().table_name(&world.ready.table).consistent_read(true);
    let items = pages.into_paginator().items().send();
    let items: Vec<Item> = items.collect::<Result<_, _>>().await.expect("the table can be read");

    let text = |item: &Item, name: &str| item[name].as_s().expect("a text").clone();
    let partition = format!("B#{}", business.business_id);
    let is_wanted = |item: &Item| {
        text(item, "pk").starts_with(&partition) && text(item, "sk").starts_with(prefix)
    };
    items.into_iter().filter(is_wanted).collect()
}

fn number(item: &Item, name: &str) -> i64 {
    item[name].as_n().expect("a number").parse().expect("a number")
}

/// Each upload's state, with how many days its record stays.
async fn states(world: &World, business: &Business) -> Vec<(String, i64)> {
    let state = |item: &Item| {
        let made: DateTime<Utc> =
            item["created_at"].as_s().expect("a text").parse().expect("a time");
        let end = DateTime::from_timestamp(number(item, "expires_at"), 0).expect("a time");
        let days = (end - made + TimeDelta::seconds(1)).num_days();
        (item["state"].as_s().expect("a text").clone(), days)
    };
    items(world, business, "U#").await.iter().map(state).collect()
}

/// The counts of a business, by day, and what they should be: its uploads that no message has.
async fn counts(world: &World, business: &Business) -> [BTreeMap<String, (i64, i64)>; 2] {
    let counted = items(world, business, "UPLOADS#").await.into_iter().map(|item| {
        let day = item["sk"].as_s().expect("a text").trim_start_matches("UPLOADS#").to_owned();
        (day, (number(&item, "files"), number(&item, "bytes")))
    });
    let counted = counted.filter(|(_, count)| *count != (0, 0)).collect();

    let mut waiting: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for item in items(world, business, "U#").await {
        if item["state"].as_s().expect("a text") == "ready" && !item.contains_key("outbox_bucket") {
            continue;
        }
        let day = item["created_at"].as_s().expect("a text")[..10].to_owned();
        let count = waiting.entry(day).or_default();
        *count = (count.0 + 1, count.1 + number(&item, "size"));
    }
    [counted, waiting]
}

async fn assert_counted(world: &World, business: &Business) {
    let [counted, waiting] = counts(world, business).await;
    assert_eq!(counted, waiting);
}

/// Gives a day another count than it has.
async fn set_count(world: &World, business: &Business, day: NaiveDate, files: u64, bytes: u64) {
    let text = |text: String| AttributeValue::S(text);
    let number = |number: u64| AttributeValue::N(number.to_string());
    let put = world.dynamodb().put_item().table_name(&world.ready.table);
    let put = put.item("pk", text(format!("B#{}", business.business_id)));
    let put = put.item("sk", text(format!("UPLOADS#{day}")));
    put.item("files", number(files)).item("bytes", number(bytes)).send().await.expect("it is put");
}

/// A picture that was stored, and one that was announced and brought.
async fn pictures(world: &World, business: &Business, channel: &str) -> [Value; 2] {
    let conversation_id = business.conversation_id(channel);
    let key = &business.api_key;
    let stored = store(world, key, conversation_id, "cat.png", "image/png", PNG).await.json();
    let size = PNG.len() as u64;
    let announced =
        announce(world, key, conversation_id, "dog.png", "image/png", size).await.json();
    assert_eq!(bring(&announced["upload"], PNG).await.status(), 200);
    [stored["url"].clone(), announced["url"].clone()]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_refused_keeps_no_file() {
    let world = World::start().await;

    for limit in [0, 1] {
        let business = world.business(limit, 1).await;
        let conversation_id = business.conversation_id("email");
        let [stored, announced] = pictures(&world, &business, "email").await;
        if limit == 1 {
            world.send(&business.api_key, conversation_id, "the only one").go().await.id();
        }

        for _ in 0..2 {
            let refused = send(&world, &business, conversation_id, &[&stored, &announced]).await;
            assert_eq!(refused.problem(), (403, "quota_exceeded".into()));
        }

        let mut states = states(&world, &business).await;
        states.sort();
        assert_eq!(states, [("announced".to_owned(), 1), ("stored".to_owned(), 1)]);
        assert_eq!(lead(&world, &announced).await.status, 404, "no message has it");
        assert_counted(&world, &business).await;

        // The same files go with the same message once the plan allows it.
        let id = BusinessId(business.business_id);
        let table = world.table();
        table
            .operator()
            .change_plan(id, PlanChange::of_limit(9), Utc::now())
            .await
            .expect("a plan");
        send(&world, &business, conversation_id, &[&stored, &announced]).await.id();
        let kept = [("ready".to_owned(), 365), ("ready".to_owned(), 365)];
        assert_eq!(self::states(&world, &business).await, kept);
        assert_counted(&world, &business).await;
    }

    // What a refused message named is gone in two days, with its objects.
    let business = world.business(0, 1).await;
    let conversation_id = business.conversation_id("chat");
    let [stored, announced] = pictures(&world, &business, "chat").await;
    let address = lead(&world, &stored).await.header("location").expect("a URL").to_owned();
    send(&world, &business, conversation_id, &[&stored, &announced]).await;
    world.pass(3 * DAY).await;
    assert_eq!(reqwest::get(&address).await.expect("S3 answers").status(), 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sweeper_keeps_what_the_sender_did_not_come_to_keep() {
    let world = World::start().await;
    world.allow(|allowed| allowed.unheard = true);
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("email");

    let mut addresses = Vec::new();

    for error in ["SlowDown", "kill"] {
        let [stored, announced] = pictures(&world, &business, "email").await;
        let address = lead(&world, &stored).await.header("location").expect("a URL").to_owned();
        let fault =
            json!({"operation": "PutObjectTagging", "error": error, "function": "send-message"});
        world.fault("aws", fault).await;
        let answer = send(&world, &business, conversation_id, &[&stored, &announced]).await;
        assert_eq!(answer.status.as_u16(), if error == "kill" { 500 } else { 201 });
        world.heal("aws").await;

        let states = states(&world, &business).await;
        assert!(states.iter().all(|(state, _)| state == "ready"), "{states:?}");
        let [counted, _] = counts(&world, &business).await;
        assert_eq!(counted.len(), 1, "{error}: they are not kept yet");

        world.pass(61).await;
        world.sweep().await;
        assert_eq!(counts(&world, &business).await, [BTreeMap::new(), BTreeMap::new()]);
        world.sweep().await;
        assert_counted(&world, &business).await;

        addresses.push(address);
    }

    world.pass(3 * DAY).await;
    for address in addresses {
        let file = reqwest::get(&address).await.expect("S3 answers");
        assert_eq!(file.status(), 200, "it is kept for a year");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_gone_is_reported_once_and_stops_no_sweep() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let [stored, _] = pictures(&world, &business, "chat").await;
    let fault = json!({ "operation": "PutObjectTagging", "error": "SlowDown",
        "function": "send-message" });
    world.fault("aws", fault).await;
    send(&world, &business, business.conversation_id("chat"), &[&stored]).await.id();
    world.heal("aws").await;
    delete_objects(&world).await;

    for _ in 0..2 {
        world.pass(61).await;
        world.sweep().await;
        let reports = world.logged().into_iter();
        let reports = reports.filter(|line| line.text.contains("file of an accepted message"));
        assert_eq!(reports.count(), 1);
    }
}

/// Deletes every object, as the bucket's rules do when their time is over.
async fn delete_objects(world: &World) {
    let client = world.s3();
    let buckets = client.list_buckets().send().await.expect("S3 answers").buckets;
    for bucket in buckets.into_iter().flatten().filter_map(|bucket| bucket.name) {
        let listed = client.list_objects_v2().bucket(&bucket).send().await.expect("S3 answers");
        for key in listed.contents.into_iter().flatten().filter_map(|object| object.key) {
            client.delete_object().bucket(&bucket).key(&key).send().await.expect("S3 answers");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_file_can_go_with_many_messages_at_once_and_counts_down_once() {
    let world = World::start().await;
    let business = world.business(100, 4).await;
    let conversation_id = business.conversation_id("email");
    let [stored, announced] = pictures(&world, &business, "email").await;

    let both = [&stored, &announced];
    let sent = join_all((0..8).map(|_| send(&world, &business, conversation_id, &both))).await;
    let statuses: Vec<u16> = sent.iter().map(|answer| answer.status.as_u16()).collect();
    assert!(statuses.iter().all(|status| [201, 503].contains(status)), "{statuses:?}");
    assert!(statuses.contains(&201), "{statuses:?}");

    world.pass(61).await;
    world.sweep().await;
    assert_eq!(counts(&world, &business).await, [BTreeMap::new(), BTreeMap::new()]);
}

fn is_full(answer: &Answer) -> bool {
    let detail = answer.json()["detail"].as_str().unwrap_or_default().to_owned();
    answer.problem() == (422, "too_many_uploads".into())
        && detail.contains(&MAX_UNREFERENCED_FILES.to_string())
        && detail.contains(&MAX_UNREFERENCED_BYTES.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bytes_that_wait_for_a_message_are_bounded() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let other = world.business(10, 1).await;
    let conversation_id = business.conversation_id("email");
    let announce_largest = async |business: &Business| {
        let conversation_id = business.conversation_id("email");
        let key = &business.api_key;
        announce(&world, key, conversation_id, "a.zip", "application/zip", MAX_FILE_BYTES).await
    };
    let store_picture = async || {
        store(&world, &business.api_key, conversation_id, "cat.png", "image/png", PNG).await
    };

    let picture = store_picture().await.json();
    for number in 1..MAX_UNREFERENCED_BYTES / MAX_FILE_BYTES {
        assert_eq!(announce_largest(&business).await.status, 201, "{number}");
    }
    assert_eq!(announce_largest(&business).await.status, 201, "the picture fits beside them");
    let full = announce_largest(&business).await;
    assert!(is_full(&full), "{}", full.text);
    assert_eq!(announce_largest(&other).await.status, 201, "another business has its own");
    assert_counted(&world, &business).await;

    // Small ones fit for as long as there is room.
    let day = Utc::now().date_naive();
    set_count(&world, &business, day, 9, MAX_UNREFERENCED_BYTES - PNG.len() as u64 + 1).await;
    let full = store_picture().await;
    assert!(is_full(&full), "{}", full.text);

    // A message with one makes room for one.
    send(&world, &business, conversation_id, &[&picture["url"]]).await.id();
    assert_eq!(store_picture().await.status, 201);
    assert!(is_full(&store_picture().await));

    // It counts on the next day as well, and no longer.
    world.pass(DAY).await;
    assert!(is_full(&store_picture().await));
    world.pass(DAY).await;
    assert_eq!(store_picture().await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_at_once_get_exactly_the_uploads_that_are_left() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("email");
    let day = Utc::now().date_naive();
    set_count(&world, &business, day.pred_opt().expect("a day"), 300, 0).await;
    set_count(&world, &business, day, MAX_UNREFERENCED_FILES - 300 - 7, 0).await;

    let uploads = (0..32).map(async |number| {
        let key = &business.api_key;
        match number % 2 {
            0 => store(&world, key, conversation_id, "cat.png", "image/png", PNG).await,
            _ => announce(&world, key, conversation_id, "a.zip", "application/zip", 9).await,
        }
    });
    let answers = join_all(uploads).await;
    let taken = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(taken, 7);
    assert!(answers.iter().filter(|answer| answer.status != 201).all(is_full));
    assert_eq!(items(&world, &business, "U#").await.len(), 7);
}

/// Uploads, messages with them, refusals and faults in any order and at once: the count is the
/// number of files that wait.
#[tokio::test(flavor = "multi_thread")]
async fn the_count_is_what_waits_whatever_happens() {
    let world = World::start().await;
    let business = world.business(8, 4).await;
    let conversation_id = business.conversation_id("email");
    let conflict = json!({ "operation": "TransactWriteItems", "error": "TransactionConflict",
        "probability": 0.3 });
    world.fault("aws", conflict).await;

    let callers = (0..8).map(async |caller: usize| {
        for round in 0..4 {
            let [stored, announced] = pictures(&world, &business, "email").await;
            let urls = [&stored, &announced];
            send(&world, &business, conversation_id, &urls[..(caller + round) % 3]).await;
        }
    });
    join_all(callers).await;
    world.heal("aws").await;

    world.fault("aws", json!({"operation": "PutObject", "error": "SlowDown"})).await;
    let failed = store(&world, &business.api_key, conversation_id, "a.png", "image/png", PNG).await;
    assert_eq!(failed.problem(), (503, "busy".into()));
    world.heal("aws").await;

    world.pass(61).await;
    world.sweep().await;
    let [counted, waiting] = counts(&world, &business).await;
    assert_eq!(counted, waiting);
    assert!(waiting.values().map(|(files, _)| files).sum::<i64>() >= 64 - 16, "{waiting:?}");

    let uploads = items(&world, &business, "U#").await;
    assert!(uploads.iter().all(|upload| !upload.contains_key("due")));
    let usage = world.usage(&business.api_key).await;
    assert_eq!(usage, (8, 8), "and the messages are counted");
}
