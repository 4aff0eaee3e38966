//! `sweep-outbox`: a conversation whose doorbell was lost, and one thing that goes wrong while the
//! sweeper looks for it.

use crate::case::{Case, seeds};
use crate::fault::at;
use crate::point::{BUCKET, Point, RING_ALL};
use crate::rows::{Outcome, Rows};
use crate::stage::Stage;

const FUNCTION: &str = "sweep-outbox";

/// Both calls, hit by everything, for every seed.
pub(crate) async fn every_case() {
    let stage = Stage::start().await;
    let mut rows = Rows::new("sweep-outbox");
    for (point, fault) in at(&[BUCKET, RING_ALL]) {
        for seed in seeds() {
            let case = Case { function: FUNCTION, work: "due", point, fault, seed };
            if case.is_asked_for() {
                rows.add(&case, &run(&stage, &case).await);
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
