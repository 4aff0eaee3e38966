//! The cost of a message as everything grows: one thing at a time, by factors of ten. Flat is what
//! one hopes for.
//!
//! The table is filled with copies of what the product has put there, and the embedded AWS counts:
//! the calls of the functions, and the units and items that DynamoDB tells of each.
//!
//! `LONG=1 GROWTH_PICTURE=tests/growth/growth.svg cargo test --test growth -- --nocapture` prints
//! the table of tests/RESULTS.md and draws the picture. Without `LONG` it takes the smallest sizes,
//! so that it cannot rot. Nothing is judged.

mod fill;
mod report;

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use domain::{BusinessId, ConversationId};
use report::Growth;
use tests::suite::setting;
use tests::{Business, World};

const SIZES: [u64; 4] = [10, 100, 1_000, 10_000];
const SHARDS: [u64; 7] = [1, 2, 4, 8, 16, 32, 64];

/// How many messages a cost is the mean of, after one that fills the functions' caches.
const MEASURED: u32 = 5;

/// More than any measurement sends.
const LIMIT: u64 = 1_000_000;

/// How long the system may take until it has done everything about the items that it was filled
/// with.
const PATIENCE: Duration = Duration::from_secs(600);

/// The calls of some functions and what they took: of a message, or of a sweep.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    /// Calls to AWS of send-message, or of the sweeper.
    calls: f64,
    /// Calls to AWS of the worker.
    worker_calls: f64,
    read_units: f64,
    write_units: f64,
    /// Items that were read.
    items: f64,
}

/// One measured size.
#[derive(Debug, Clone, Copy)]
struct Point {
    size: u64,
    cost: Cost,
}

/// A system with a business that sends.
struct Stage {
    world: World,
    business: Business,
}

impl Stage {
    async fn set() -> Stage {
        let (world, _) = World::without_customers().await;
        let business = world.business(LIMIT, 1).await;
        let stage = Stage { world, business };
        stage.send(&stage.business).await;
        stage
    }

    /// The conversation that messages are sent into.
    fn conversation(&self) -> (BusinessId, ConversationId) {
        let id = self.business.conversation_id("email");
        (BusinessId(self.business.business_id), ConversationId(id))
    }

    /// Sends one mail and waits until the provider has it, and all is told.
    async fn send(&self, business: &Business) {
        let conversation_id = business.conversation_id("email");
        let key = Uuid::new_v4().to_string();
        let send = self.world.send(&business.api_key, conversation_id, "what it costs").key(&key);
        let id = send.go().await.id();
        self.world.until_status(&business.api_key, conversation_id, id, "sent").await;
        self.settle().await;
    }

    /// Waits until nothing is on its way but the timers of the visitors who were let out.
    async fn settle(&self) {
        let begun = Instant::now();
        loop {
            let now = self.world.sandbox(Method::GET, "/activity", Value::Null).await;
            let queues = now["queues"].as_object().expect("queues");
            let is_calm = queues.keys().all(|queue| queue == "HelloTimers");
            let is_at_rest = now["invocations"] == json!({}) && now["deliveries"] == 0;
            if is_calm && is_at_rest && now["streams_behind"] == false {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "still not idle: {now}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Returns what a message of the business costs.
    async fn message(&self, business: &Business) -> Cost {
        self.settle().await;
        self.send(business).await;
        self.world.engine().calls().measure();
        for _ in 0..MEASURED {
            self.send(business).await;
        }
        self.cost(&["SendMessage"], &["DeliverEmail"], f64::from(MEASURED))
    }

    /// Returns what these functions' calls took since the measurement began, for each of `times`.
    fn cost(&self, functions: &[&str], workers: &[&str], times: f64) -> Cost {
        let mut cost = Cost::default();
        for ((function, _), taken) in self.world.engine().calls().measured() {
            let is_worker = workers.contains(&function.as_str());
            if !is_worker && !functions.contains(&function.as_str()) {
                continue;
            }
            let calls = if is_worker { &mut cost.worker_calls } else { &mut cost.calls };
            *calls += taken.calls as f64 / times;
            cost.read_units += taken.read_units / times;
            cost.write_units += taken.write_units / times;
            cost.items += taken.items as f64 / times;
        }
        cost
    }

    /// Stops the system. The oracle knows nothing of the copies.
    async fn stop(self) {
        self.world.stop_unchecked().await;
    }
}

/// The sizes that are tried.
fn sizes(all: &[u64]) -> &[u64] {
    if setting("LONG", 0) == 0 { &all[..2] } else { all }
}

/// Measures a message at each size, after `grow` has made what is there `size`, of which `before`
/// were there already.
async fn measure(grow: impl AsyncFn(&Stage, u64, u64)) -> Vec<Point> {
    let stage = Stage::set().await;
    let mut points = Vec::new();
    let mut before = 1;
    for size in sizes(&SIZES) {
        grow(&stage, before, *size).await;
        before = *size;
        points.push(Point { size: *size, cost: stage.message(&stage.business).await });
    }

    stage.stop().await;
    points
}

async fn shards() -> Vec<Point> {
    let stage = Stage::set().await;
    let mut points = Vec::new();
    for size in sizes(&SHARDS) {
        let shards = u16::try_from(*size).expect("few");
        let business = stage.world.business(LIMIT, shards).await;
        points.push(Point { size: *size, cost: stage.message(&business).await });
    }

    stage.stop().await;
    points
}

/// Sweeps over due conversations whose doorbells no worker answers, each size in a system of its
/// own: a queue that has the doorbells already gets no others.
async fn sweeps() -> Vec<Point> {
    let mut points = Vec::new();
    for size in sizes(&SIZES) {
        let stage = Stage::set().await;
        stage.world.sandbox(Method::PUT, "/queues/held", json!({ "held": true })).await;
        let due = Utc::now() - TimeDelta::minutes(1);
        fill::due(&stage.world, stage.conversation(), *size, due).await;

        stage.world.engine().calls().measure();
        let swept = stage.world.engine().run_schedule("sweep-outbox").await.expect("an answer");
        assert_eq!(swept["due"], *size);
        points.push(Point { size: *size, cost: stage.cost(&["SweepOutbox"], &[], 1.0) });
        stage.stop().await;
    }
    points
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_and_a_sweep_are_measured_while_everything_grows() {
    let messages = async |stage: &Stage, _, size| {
        fill::messages(&stage.world, stage.conversation(), size).await;
    };
    let conversations = async |stage: &Stage, before, size| {
        fill::conversations(&stage.world, stage.conversation(), size - before).await;
    };
    let businesses = async |stage: &Stage, before, size| {
        fill::businesses(&stage.world, &stage.business, size - before).await;
    };
    let due = async |stage: &Stage, before, size| {
        let due = Utc::now() + TimeDelta::hours(1);
        fill::due(&stage.world, stage.conversation(), size - before, due).await;
    };

    // Boxed: all of them together are too much for a test's stack.
    let growths = vec![
        Growth::of_a_message("messages of the conversation", Box::pin(measure(messages)).await),
        Growth::of_a_message(
            "conversations of the business",
            Box::pin(measure(conversations)).await,
        ),
        Growth::of_a_message("businesses", Box::pin(measure(businesses)).await),
        Growth::of_a_message("shards of the month", Box::pin(shards()).await),
        Growth::of_a_message("conversations in the outbox", Box::pin(measure(due)).await),
        Growth::of_a_sweep("conversations due", Box::pin(sweeps()).await),
    ];
    println!("{}", report::table(&growths));
    report::draw(&growths);
}
