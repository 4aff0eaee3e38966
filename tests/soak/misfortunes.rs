//! Faults of AWS, of the providers and of the queues, and processes that are killed.

use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use reqwest::Method;
use serde_json::{Value, json};

use crate::{Stage, process};
use tests::{CHANNELS, Tally};

/// The time between two misfortunes; all earlier ones end with every fourth.
const BETWEEN: Duration = Duration::from_millis(1500);

/// Failures of AWS, on either side of the effect, and operations that they hit.
const FAILURES: [&str; 8] = [
    "InternalServerError",
    "ThrottlingException",
    "TransactionConflict",
    "disconnect",
    "garbage",
    "timeout",
    "partial",
    "kill",
];
const OPERATIONS: [&str; 6] =
    ["TransactWriteItems", "UpdateItem", "GetItem", "Query", "SendMessage", "*"];

/// One misfortune after the other, until the traffic is over.
pub(crate) async fn all(stage: &Stage<'_>) {
    let mut dice = StdRng::seed_from_u64(1);
    for number in 1.. {
        stage.pause(BETWEEN).await;
        if !stage.goes_on() {
            return;
        }

        Tally::count_misfortune();
        match dice.random_range(0..5) {
            0 => fail_aws(stage, &mut dice).await,
            1 => fail_provider(stage, &mut dice).await,
            2 => confuse_queues(stage, &mut dice).await,
            _ => kill(stage, &mut dice).await,
        }
        if number % 4 == 0 {
            heal(stage).await;
        }
    }
}

/// Ends every fault.
pub(crate) async fn heal(stage: &Stage<'_>) {
    for whose in CHANNELS.into_iter().chain(["aws", "whatsapp-media"]) {
        stage.world.heal(whose).await;
    }
    stage.world.sandbox(Method::DELETE, "/queues/mischief", Value::Null).await;
    stage.world.sandbox(Method::PUT, "/queues/held", json!({"held": false})).await;
}

async fn fail_aws(stage: &Stage<'_>, dice: &mut StdRng) {
    let error = *FAILURES.choose(dice).expect("several");
    let operation = *OPERATIONS.choose(dice).expect("several");
    // A call that did a part has answered: its answer cannot be lost.
    let after_effect = error != "partial" && dice.random();
    let probability = if error == "timeout" { 0.02 } else { 0.15 };
    let fault = json!({
        "operation": operation, "error": error, "probability": probability,
        "after_effect": after_effect, "seed": dice.random::<u32>(),
    });
    stage.world.fault("aws", fault).await;
}

async fn fail_provider(stage: &Stage<'_>, dice: &mut StdRng) {
    let channel = *CHANNELS.choose(dice).expect("several");
    let fault = match dice.random_range(0..5) {
        0 => json!({"status": 503, "probability": 0.5}),
        1 => json!({"status": 429, "retry_after": 2, "probability": 0.3}),
        2 => json!({"after_effect": true, "probability": 0.1}),
        3 => json!({"kill": true, "probability": 0.1}),
        _ => json!({"delay_ms": 400}),
    };
    stage.world.fault(channel, fault).await;
}

async fn confuse_queues(stage: &Stage<'_>, dice: &mut StdRng) {
    match dice.random() {
        true => {
            stage.world.sandbox(Method::PUT, "/queues/held", json!({"held": true})).await;
        }
        false => {
            let mischief = json!({"copies": 3, "shuffle": true, "delay_ms": 200, "seed": 5});
            stage.world.sandbox(Method::PUT, "/queues/mischief", mischief).await;
        }
    }
}

/// Kills the process of a function, whatever it is doing.
async fn kill(stage: &Stage<'_>, dice: &mut StdRng) {
    if let Some(pid) = process::children(stage.pid).choose(dice) {
        process::kill(*pid).await;
        stage.kills.fetch_add(1, Ordering::Relaxed);
    }
}
