//! The delivery functions: one conversation with one to three messages, and one thing that goes
//! wrong while they are delivered.

mod scene;
mod work;

pub(crate) use work::Work;

use serde_json::Value;

use crate::case::{Case, seeds};
use crate::fault::{Fault, at};
use crate::point::{self, PROVIDER, Point, RING_AGAIN, UPLOAD};
use crate::rows::{Outcome, Rows};
use crate::stage::{DeliveryOutcome, Stage};
use scene::Scene;
use work::FILES;

pub(crate) fn function(channel: &str) -> &'static str {
    match channel {
        "chat" => "deliver-chat",
        "whatsapp" => "deliver-whatsapp",
        _ => "deliver-email",
    }
}

/// Every call of the work, hit by everything, for every seed.
pub(crate) async fn every_case(channel: &'static str, work: Work) {
    let stage = Stage::start().await;
    let points = points(&stage, channel, work).await;
    let mut rows = Rows::new(format!("{}, {}", function(channel), work.name()));
    for (point, fault) in at(&points) {
        for seed in seeds() {
            let case = Case { function: function(channel), work: work.name(), point, fault, seed };
            if case.is_asked_for() {
                rows.add(&case, &run(&stage, channel, work, &case).await);
            }
        }
    }
    rows.print();
}

/// The calls of this work, found out by doing it. What it has in common with plain delivery is left
/// to that.
async fn points(stage: &Stage, channel: &str, work: Work) -> Vec<Point> {
    let mut points = observed(stage, channel, work).await;
    match work {
        Work::Delivered => points.push(PROVIDER),
        Work::PutOff | Work::GivenUp | Work::Paused | Work::InParts => {
            let plain = observed(stage, channel, Work::Delivered).await;
            points.retain(|point| !plain.contains(point));
        }
    }

    if work == Work::InParts {
        points.extend([PROVIDER, UPLOAD, point::SETTLE]);
    }

    assert!(!points.is_empty(), "{channel} makes no call of its own when {}", work.name());

    points
}

async fn observed(stage: &Stage, channel: &str, work: Work) -> Vec<Point> {
    let mut points = Vec::new();
    for messages in 1..=2 {
        let scene = Scene::set(stage, channel, work, messages, "rehearsed").await;
        assert_eq!(stage.deliver(channel, &scene.doorbell).await, DeliveryOutcome::Done);
        stage.world.heal(channel).await;
        scene.finish(stage, &scene.doorbell).await;
        for call in stage.calls(function(channel)) {
            points.extend(point::of(&call).filter(|point| !points.contains(point)));
        }
    }
    points
}

/// Whether a worker sends one message of a conversation and leaves the next until it may follow.
fn is_paced(channel: &str) -> bool {
    channel == "whatsapp"
}

/// How many messages the conversation has. With a pace it takes a single one to be let go of in the
/// first invocation, and more than one to be postponed.
fn messages(channel: &str, case: &Case) -> u32 {
    let messages = case.choices().messages;
    match case.point.name {
        "release" if is_paced(channel) => 1,
        "put off" | "ring" if is_paced(channel) => messages.max(2),
        _ => messages,
    }
}

/// How many parts of the first message are through before something goes wrong: each is an
/// invocation of its own.
fn through(case: &Case, work: Work) -> u32 {
    let parts = work.parts();
    let occurrence = case.choices().occurrence;
    match case.point.name {
        _ if work != Work::InParts => 0,
        "settle" => parts - 1,
        "note part" => occurrence % (parts - 1),
        "upload" | "read file" => parts - FILES.len() as u32 + occurrence % FILES.len() as u32,
        _ => occurrence % parts,
    }
}

/// One case from beginning to end.
pub(crate) async fn run(stage: &Stage, channel: &str, work: Work, case: &Case) -> Outcome {
    let choices = case.choices();
    let scene = Scene::set(stage, channel, work, messages(channel, case), &case.again()).await;
    for _ in 0..through(case, work) {
        assert_eq!(
            stage.deliver(channel, &scene.doorbell).await,
            DeliveryOutcome::Done,
            "{}",
            case.again()
        );
        stage.world.pass(1).await;
    }

    stage.world.engine().calls().record();
    let (whose, fault) = fault(channel, case, scene.work);
    stage.world.fault(whose, fault.clone()).await;

    let outcome = stage.deliver(channel, &scene.doorbell).await;
    assert!(stage.has_hit(whose, &fault).await, "nothing was hit: {}", case.again());

    stage.world.heal(whose).await;
    stage.world.heal(channel).await;
    let calls = stage
        .calls(function(channel))
        .iter()
        .filter_map(point::of)
        .filter(|point| *point != RING_AGAIN)
        .map(|point| point.name)
        .collect();

    if choices.doubled {
        stage.deliver(channel, &scene.doorbell).await;
    }

    let again = if outcome != DeliveryOutcome::Done && choices.redelivered {
        scene.doorbell.as_str()
    } else {
        ""
    };
    let repaired = scene.finish(stage, again).await.to_owned();
    let twice = scene.check(stage, case).await;
    assert!(twice == 0 || may_come_twice(case), "twice for no reason: {}", case.again());

    Outcome { saw: outcome.name().to_owned(), repaired, twice, calls }
}

/// A message may come twice only if the worker died, or the provider's answer was lost, after the
/// provider took it and before that was written down.
fn may_come_twice(case: &Case) -> bool {
    match case.point.name {
        "provider" => matches!(case.fault, Fault::DiesAfter | Fault::AnswerLost | Fault::Garbage),
        "settle" | "note part" => !matches!(case.fault, Fault::DiesAfter),
        _ => false,
    }
}

/// The fault of a case, and whose it is.
fn fault<'a>(channel: &'a str, case: &Case, work: Work) -> (&'a str, Value) {
    let choices = case.choices();
    if case.point == PROVIDER {
        let skip = choices.occurrence % if is_paced(channel) { 1 } else { choices.messages };
        return (channel, case.fault.of_provider(skip).expect("only what a provider can do"));
    }

    if case.point == UPLOAD {
        return ("whatsapp-media", case.fault.of_provider(0).expect("only what a provider can do"));
    }

    let times = if is_paced(channel) { 1 } else { times(work, case) };
    (
        "aws",
        case.fault.of_aws(
            case.point,
            case.function,
            case.point.marker,
            choices.occurrence % times,
            choices.stubborn,
        ),
    )
}

/// How often this work makes the call: as often as there are messages, or once.
fn times(work: Work, case: &Case) -> u32 {
    match (work, case.point.name) {
        (Work::Delivered, "mark" | "settle" | "read tabs") => case.choices().messages,
        _ => 1,
    }
}
