//! `publish-events` and `deliver-webhook`: they tell an endpoint of each change of one to three
//! messages, and one thing goes wrong on the way. The endpoint gets each change, in its message's
//! order, and twice only if its answer was lost or the worker died before it wrote that down.

mod scene;

use serde_json::Value;

use crate::case::{Case, seeds};
use crate::fault::{Fault, at};
use crate::point::{self, PROVIDER, Point};
use crate::rows::{Outcome, Rows};
use crate::stage::{DeliveryOutcome, Stage};
use scene::{Endpoint, Scene};

/// The event source's repeats, of which one is enough here.
const MOST_REPEATS: u32 = 4;

/// Whose fault the endpoint's is.
const ENDPOINTS: &str = "endpoints";

/// The function's task when the fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// publish-events gets the changes of the messages.
    Published,
    /// deliver-webhook gets a bell, and the endpoint takes every event.
    Told,
    /// The endpoint answers 503 to the first.
    PutOff,
    /// The endpoint answers that it is gone.
    Gone,
}

impl Work {
    pub(crate) const ALL: [Work; 4] = [Work::Published, Work::Told, Work::PutOff, Work::Gone];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Work::Published => "published",
            Work::Told => "told",
            Work::PutOff => "put off",
            Work::Gone => "gone",
        }
    }

    pub(crate) fn function(self) -> &'static str {
        match self {
            Work::Published => "publish-events",
            Work::Told | Work::PutOff | Work::Gone => "deliver-webhook",
        }
    }

    /// How often the work makes a call of a message's two events.
    fn times(self, point: Point) -> u32 {
        match (self, point.name) {
            (Work::Told, "read deliveries") => 3,
            (Work::Told, "claim delivery" | "read event" | "read subject" | "end delivery") => 2,
            (Work::Told, "provider") | (Work::Gone, "drop delivery") => 2,
            _ => 1,
        }
    }
}

/// Every call of the work, hit by everything, for every seed.
pub(crate) async fn every_case(work: Work) {
    let stage = Stage::start().await;
    let endpoint = Endpoint::make(&stage).await;
    let points = points(&stage, &endpoint, work).await;
    let function = work.function();
    let mut rows = Rows::new(format!("{function}, {}", work.name()));
    for (point, fault) in at(&points) {
        for seed in seeds() {
            let case = Case { function, work: work.name(), point, fault, seed };
            if case.is_asked_for() {
                rows.add(&case, &run(&stage, &endpoint, work, &case).await);
            }
        }
    }
    rows.print();
}

/// The calls of this work, found out by doing it. What it has in common with plain telling is left
/// to that.
async fn points(stage: &Stage, endpoint: &Endpoint, work: Work) -> Vec<Point> {
    let mut points = observed(stage, endpoint, work).await;
    match work {
        Work::Published => {}
        Work::Told => points.push(PROVIDER),
        Work::PutOff | Work::Gone => {
            let plain = observed(stage, endpoint, Work::Told).await;
            points.retain(|point| !plain.contains(point));
        }
    }
    assert!(!points.is_empty(), "no call of its own when {}", work.name());
    points
}

async fn observed(stage: &Stage, endpoint: &Endpoint, work: Work) -> Vec<Point> {
    let scene = Scene::set(stage, endpoint, work, 1, "rehearsed").await;
    assert_eq!(scene.work(stage).await, DeliveryOutcome::Done);
    let mut points = Vec::new();
    for call in stage.calls(work.function()) {
        points.extend(point::of(&call).filter(|point| !points.contains(point)));
    }
    scene.finish(stage, "").await;
    points
}

/// One case from beginning to end.
async fn run(stage: &Stage, endpoint: &Endpoint, work: Work, case: &Case) -> Outcome {
    let choices = case.choices();
    let scene = Scene::set(stage, endpoint, work, choices.messages, &case.again()).await;
    let (whose, fault) = fault(work, case);
    stage.world.fault(whose, fault.clone()).await;

    let outcome = scene.work(stage).await;
    assert!(stage.has_hit(whose, &fault).await, "nothing was hit: {}", case.again());
    stage.world.heal(whose).await;
    let recorded = stage.calls(case.function);
    let calls = recorded.iter().filter_map(point::of).map(|point| point.name).collect();

    if choices.doubled {
        scene.work(stage).await;
    }

    let repaired = match work {
        Work::Published => repeat(stage, &scene, outcome, case).await,
        Work::Told | Work::PutOff | Work::Gone => {
            let again = outcome != DeliveryOutcome::Done && choices.redelivered;
            scene.finish(stage, if again { scene.bell() } else { "" }).await
        }
    };

    let twice = scene.check(stage, case).await;
    assert!(twice == 0 || may_come_twice(case), "twice for no reason: {}", case.again());
    Outcome { saw: outcome.name().to_owned(), repaired, twice, calls }
}

/// Hands the changes over until they are published, as the event source does, and tells them.
async fn repeat(stage: &Stage, scene: &Scene, outcome: DeliveryOutcome, case: &Case) -> String {
    let mut repeats = 0;
    let mut last = outcome;
    while last != DeliveryOutcome::Done {
        repeats += 1;
        assert!(repeats < MOST_REPEATS, "they are never published: {}", case.again());
        last = scene.work(stage).await;
    }

    let published = if repeats == 0 { "its own repeat" } else { "the stream, once more" };
    match scene.finish(stage, "").await.as_str() {
        "its own repeat" => published.to_owned(),
        rang => format!("{published} + {rang}"),
    }
}

/// The endpoint may get an event twice only if the worker died, or the answer was lost, after the
/// endpoint took it and before that was written down.
fn may_come_twice(case: &Case) -> bool {
    match case.point.name {
        "provider" => matches!(case.fault, Fault::DiesAfter | Fault::AnswerLost),
        "end delivery" => !matches!(case.fault, Fault::DiesAfter),
        _ => false,
    }
}

/// The fault of a case, and whose it is.
fn fault(work: Work, case: &Case) -> (&'static str, Value) {
    let choices = case.choices();
    let skip = choices.occurrence % work.times(case.point);
    if case.point == PROVIDER {
        return (ENDPOINTS, case.fault.of_provider(skip).expect("only what an endpoint can do"));
    }

    let marker = case.point.marker;
    ("aws", case.fault.of_aws(case.point, case.function, marker, skip, choices.stubborn))
}
