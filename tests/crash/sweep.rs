//! `sweep-outbox`: a conversation whose doorbell was lost, and one thing that goes wrong while the
//! sweeper looks for it.

use serde_json::json;

use crate::case::{Case, seeds};
use crate::fault::at;
use crate::point::{BUCKET, KEEP_FILE, LEAVE_OUTBOX, Point, READ_UPLOAD, RING_ALL};
use crate::rows::{Outcome, Rows};
use crate::stage::Stage;

const FUNCTION: &str = "sweep-outbox";

/// The calls that keep a file.
const OF_FILES: [Point; 3] = [READ_UPLOAD, KEEP_FILE, LEAVE_OUTBOX];

/// All calls, hit by everything, for every seed.
pub(crate) async fn every_case() {
    let stage = Stage::start().await;
    let mut rows = Rows::new("sweep-outbox");
    for (point, fault) in at(&[&[BUCKET, RING_ALL][..], &OF_FILES].concat()) {
        for seed in seeds() {
            let case = Case { function: FUNCTION, work: "due", point, fault, seed };
            if case.is_asked_for() {
                let outcome = match OF_FILES.contains(&point) {
                    true => run_with_file(&stage, &case).await,
                    false => run(&stage, &case).await,
                };
                rows.add(&case, &outcome);
            }
        }
    }
    rows.print();
}

/// One case from beginning to end.
pub(crate) async fn run(stage: &Stage, case: &Case) -> Outcome {
    let choices = case.choices();
    let conversation_id = stage.conversation_id("email").await;
    let mut texts = Vec::new();

    for number in 1..=choices.messages {
        let text = format!("{case}, message {number}");
        stage.world.send(&stage.business.api_key, conversation_id, &text).go().await.id();
        texts.push(text);
    }

    stage.doorbells("email").await; // Lost.
    stage.fresh_workers().await;
    let about = match case.point {
        Point { name: "read bucket", .. } => format!("\"{}\"", stage.bucket(conversation_id).await),
        _ => conversation_id.to_string(),
    };
    let fault = case.fault.of_aws(case.point, FUNCTION, &about, 0, choices.stubborn);

    stage.world.fault("aws", fault.clone()).await;
    let done = stage.sweep().await;
    assert!(stage.has_hit("aws", &fault).await, "nothing was hit: {}", case.again());

    stage.world.heal("aws").await;
    let saw = if done { "done" } else { "failed" }.to_owned();

    let mut doorbells = stage.doorbells("email").await;
    let mut repaired = "its own repeat";

    if doorbells.is_empty() {
        stage.world.pass(61).await;
        assert!(stage.sweep().await, "nothing is wrong any more: {}", case.again());
        doorbells = stage.doorbells("email").await;
        repaired = "the next sweep";
    }

    for doorbell in doorbells {
        stage.deliver("email", &doorbell).await;
    }

    let received = stage.world.received("email", conversation_id).await;
    assert_eq!(received, texts, "{}", case.again());

    Outcome { saw, repaired: repaired.to_owned(), twice: 0, calls: vec![case.point.name] }
}

/// One case of a message whose sender died before it kept the file.
async fn run_with_file(stage: &Stage, case: &Case) -> Outcome {
    let choices = case.choices();
    let conversation_id = stage.conversation_id("email").await;
    let url = stage.upload(conversation_id).await;
    let died =
        json!({ "operation": "PutObjectTagging", "error": "kill", "function": "send-message" });
    stage.world.fault("aws", died).await;
    let body = json!({ "content": case.to_string(), "attachments": [{ "url": url }] });
    let send = stage.world.send(&stage.business.api_key, conversation_id, &case.to_string());
    assert_eq!(send.body(body.to_string()).go().await.status, 500);
    stage.world.heal("aws").await;

    for doorbell in stage.doorbells("email").await {
        stage.deliver("email", &doorbell).await;
    }
    stage.world.pass(61).await;
    let about = conversation_id.to_string();
    let fault = case.fault.of_aws(case.point, FUNCTION, &about, 0, choices.stubborn);

    stage.world.fault("aws", fault.clone()).await;
    let done = stage.sweep().await;
    assert!(stage.has_hit("aws", &fault).await, "nothing was hit: {}", case.again());
    stage.world.heal("aws").await;

    let is_left = stage.keeps_file(conversation_id, true).await;
    for doorbell in stage.doorbells("email").await {
        stage.deliver("email", &doorbell).await;
    }
    assert!(stage.is_settled(conversation_id).await, "{}", case.again());

    let saw = if done { "done" } else { "failed" }.to_owned();
    let repaired = if is_left { "the next sweep" } else { "its own repeat" }.to_owned();
    Outcome { saw, repaired, twice: 0, calls: vec![case.point.name] }
}
