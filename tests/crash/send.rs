//! `send-message`: one call of the API, and one thing that goes wrong while it is answered. A
//! caller with an idempotency key repeats what was not answered, as the API asks for; one without
//! cannot know, and does not.

use chrono::{DateTime, Datelike, Months, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use tests::next_page;
use uuid::Uuid;

use crate::case::{Case, seeds};
use crate::fault::at;
use crate::point::{self, Point};
use crate::rows::{Outcome, Rows};
use crate::stage::Stage;

const FUNCTION: &str = "send-message";

/// More repeats than a caller needs.
const MOST_REPEATS: usize = 8;

/// The function's task when the fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// An API key sends.
    Sent,
    /// An agent sends, with a JWT.
    ByAnAgent,
    /// It is the first message of its month.
    FirstOfTheMonth,
    /// It was sent before.
    Replayed,
    /// The month is spent.
    Refused,
    /// It has a file that no message had before.
    WithAFile,
}

impl Work {
    pub(crate) const ALL: [Work; 6] = [
        Work::Sent,
        Work::ByAnAgent,
        Work::FirstOfTheMonth,
        Work::Replayed,
        Work::Refused,
        Work::WithAFile,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Work::Sent => "sent",
            Work::ByAnAgent => "by_an_agent",
            Work::FirstOfTheMonth => "first_of_the_month",
            Work::Replayed => "replayed",
            Work::Refused => "refused",
            Work::WithAFile => "with_a_file",
        }
    }
}

/// Every call of the work, hit by everything, for every seed.
pub(crate) async fn every_case(work: Work) {
    let stage = Stage::start().await;
    if work == Work::Refused {
        let small = stage.world.business(1, 1).await;
        let stage = Stage::of(stage.world, small);
        stage.open_month().await; // With the one message that it allows.
        return every_case_on(stage, work).await;
    }
    every_case_on(stage, work).await;
}

async fn every_case_on(stage: Stage, work: Work) {
    let points = points(&stage, work).await;
    let mut rows = Rows::new(format!("{FUNCTION}, {}", work.name().replace('_', " ")));
    for (point, fault) in at(&points) {
        for seed in seeds() {
            let case = Case { function: FUNCTION, work: work.name(), point, fault, seed };
            if case.is_asked_for() {
                rows.add(&case, &run(&stage, work, &case).await);
            }
        }
    }
    rows.print();
}

/// The calls of this work, found out by doing it. What it has in common with plain sending is left
/// to that.
async fn points(stage: &Stage, work: Work) -> Vec<Point> {
    observed(stage, work).await; // Whatever is done only once, is done now.
    let mut points = observed(stage, work).await;
    if work != Work::Sent {
        let plain = ["read everything", "read channel", "accept", "ring"];
        points.retain(|point| {
            let is_accept = point.name == "accept";
            matches!(work, Work::Refused | Work::WithAFile) && is_accept
                || !plain.contains(&point.name)
        });
    }
    assert!(!points.is_empty(), "no call of its own when {}", work.name());
    points
}

async fn observed(stage: &Stage, work: Work) -> Vec<Point> {
    let scene = Scene::set(stage, work).await;
    let status = scene.call(stage, Some("rehearsed")).await.status;
    assert_eq!(status, if work == Work::Refused { 403 } else { 201 });
    let mut points = Vec::new();
    for call in stage.calls(FUNCTION) {
        points.extend(point::of(&call).filter(|point| !points.contains(point)));
    }
    if work != Work::Refused {
        scene.deliver(stage).await;
    }
    points
}

struct Scene {
    token: String,
    conversation_id: Uuid,
    text: String,
    key: String,
    /// The URL of the message's file.
    file: Option<String>,
}

impl Scene {
    async fn set(stage: &Stage, work: Work) -> Scene {
        let demo = stage.world.ready.demo.as_ref().expect("the demo is seeded");
        let (token, conversation_id) = match work {
            Work::ByAnAgent => (demo.token.clone(), demo.conversations.email),
            Work::Refused => {
                (stage.business.api_key.clone(), stage.business.conversation_id("email"))
            }
            _ => (stage.business.api_key.clone(), stage.conversation_id("email").await),
        };
        let text = format!("{} {}", work.name(), Uuid::new_v4());
        let key = Uuid::new_v4().to_string();
        let file = match work {
            Work::WithAFile => Some(stage.upload(conversation_id).await),
            _ => None,
        };
        let scene = Scene { token, conversation_id, text, key, file };

        match work {
            Work::FirstOfTheMonth => stage.world.set_clock(next_month(stage).await).await,
            Work::Replayed => {
                scene.call(stage, Some("key")).await.id();
                stage.fresh_workers().await;
            }
            Work::Sent | Work::ByAnAgent | Work::Refused | Work::WithAFile => {
                stage.fresh_workers().await;
            }
        }

        stage.world.engine().calls().record();
        scene
    }

    async fn call(&self, stage: &Stage, keyed: Option<&str>) -> tests::Answer {
        let send = stage.world.send(&self.token, self.conversation_id, &self.text);
        let send = if keyed.is_some() { send.key(&self.key) } else { send };
        let files: Vec<Value> = self.file.iter().map(|url| json!({ "url": url })).collect();
        let body = json!({ "content": self.text, "attachments": files });
        let send = send.body(body.to_string());
        send.go().await
    }

    /// How many messages this made.
    async fn stored(&self, stage: &Stage) -> usize {
        let mut count = 0;
        let mut after = "0".to_owned();
        loop {
            let path = format!(
                "/api/v1/conversations/{}/messages?limit=100&after={after}",
                self.conversation_id
            );
            let page = stage.world.get(&self.token, &path).await.json();
            let messages = page["messages"].as_array().cloned().unwrap_or_default();
            count += messages.iter().filter(|message| message["content"] == self.text).count();
            match next_page(&page) {
                Some(next) => next.clone_into(&mut after),
                None => return count,
            }
        }
    }

    /// Waits until the stored message arrives, whether its doorbell was rung or not; says who rang.
    async fn deliver(&self, stage: &Stage) -> &'static str {
        let doorbells: Vec<String> = stage.doorbells("email").await;
        for doorbell in &doorbells {
            stage.deliver("email", doorbell).await;
        }

        let arrived =
            async || stage.world.received("email", self.conversation_id).await.contains(&self.text);
        if arrived().await {
            return "";
        }

        for _ in 0..3 {
            stage.world.pass(61).await;
            stage.sweep().await;
            for doorbell in stage.doorbells("email").await {
                stage.deliver("email", &doorbell).await;
            }
            if arrived().await {
                return "the sweeper";
            }
        }

        panic!("{} never arrived; {}", self.text, stage.world.complaints());
    }
}

/// A moment in the month after the one it is.
async fn next_month(stage: &Stage) -> DateTime<Utc> {
    let now = stage.world.sandbox(Method::GET, "/clock", Value::Null).await["now"].clone();
    let now: DateTime<Utc> = serde_json::from_value(now).expect("a time");
    now.with_day(2).and_then(|day| day.checked_add_months(Months::new(1))).expect("years are many")
}

/// One case from beginning to end.
pub(crate) async fn run(stage: &Stage, work: Work, case: &Case) -> Outcome {
    let choices = case.choices();
    let scene = Scene::set(stage, work).await;
    let keyed = (choices.keyed || matches!(work, Work::Replayed | Work::Refused)).then_some("key");
    let fault = case.fault.of_aws(case.point, FUNCTION, case.point.marker, 0, choices.stubborn);

    stage.world.fault("aws", fault.clone()).await;
    let first = scene.call(stage, keyed).await;
    assert!(stage.has_hit("aws", &fault).await, "nothing was hit: {}", case.again());

    stage.world.heal("aws").await;
    let calls =
        stage.calls(FUNCTION).iter().filter_map(point::of).map(|point| point.name).collect();

    let mut answer = first;
    let mut repeats = 0;
    let saw = answer.status.as_u16().to_string();

    while keyed.is_some() && answer.status.is_server_error() && repeats < MOST_REPEATS {
        answer = scene.call(stage, keyed).await;
        repeats += 1;
    }

    let stored = scene.stored(stage).await;
    let replayed = answer.header("idempotent-replayed").is_some();
    let mut repaired = match (answer.status.as_u16(), repeats, stored) {
        (201, 0, 1) => "its own repeat",
        (201, _, 1) if replayed && work != Work::Replayed => "the caller's, replayed",
        (201, _, 1) => "the caller's repeat",
        (403, 0, 0) if work == Work::Refused => "its own repeat",
        (403, _, 0) if work == Work::Refused => "the caller's repeat",
        (500.., 0, 0) if keyed.is_none() => "nothing stored",
        (500.., 0, 1) if keyed.is_none() => "stored, unheard",
        (status, ..) => panic!("{status} in the end, {stored} stored: {}", case.again()),
    }
    .to_owned();
    assert_eq!(
        answer.status == 201,
        repaired != "nothing stored" && repaired != "stored, unheard" && stored == 1
    );

    if stored == 1 && !scene.deliver(stage).await.is_empty() && work != Work::Replayed {
        repaired += " + the sweeper";
    }

    if work == Work::WithAFile && stage.keeps_file(scene.conversation_id, stored == 1).await {
        repaired += " + the sweeper, of the file";
    }

    Outcome { saw, repaired, twice: 0, calls }
}
