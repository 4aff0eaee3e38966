//! `chat-socket`: a visitor writes, and one thing goes wrong. The widget sends the same frame again
//! on its next connection, until it is answered; the message is stored once, and listed.

use chrono::{TimeDelta, Utc};
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::case::{Case, seeds};
use crate::fault::at;
use crate::point::{self, Point};
use crate::rows::{Outcome, Rows};
use crate::stage::Stage;
use domain::widget::{ReplayDecision, ReplayState};
use domain::{BusinessId, ConversationId};
use platform::credential::SigningKeys;
use platform::credential::visitor::{Visitor, VisitorToken};
use platform::table::Connection;

const FUNCTION: &str = "chat-socket";

/// More repeats than a widget needs.
const MOST_REPEATS: usize = 8;

/// The function's task when the fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// A message is stored.
    Written,
    /// It was stored before.
    Repeated,
}

impl Work {
    pub(crate) const ALL: [Work; 2] = [Work::Written, Work::Repeated];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Work::Written => "written",
            Work::Repeated => "repeated",
        }
    }
}

/// Every call of the work, hit by everything, for every seed.
pub(crate) async fn every_case(work: Work) {
    let stage = Stage::start().await;
    // The sandbox's own customers call AWS as well.
    stage.world.sandbox(Method::DELETE, "/chat/widgets", Value::Null).await;
    let points = points(&stage, work).await;
    let mut rows = Rows::new(format!("{FUNCTION}, {}", work.name()));
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

/// The calls of this work, found out by doing it.
async fn points(stage: &Stage, work: Work) -> Vec<Point> {
    let scene = Scene::set(stage, work).await;
    assert!(scene.say(stage).await, "nothing is wrong yet: {}", stage.world.complaints());
    let mut points = Vec::new();
    for call in stage.calls(FUNCTION) {
        points.extend(point::of(&call).filter(|point| !points.contains(point)));
    }
    if work == Work::Repeated {
        points.retain(|point| point.name == "read own message");
    }
    assert!(!points.is_empty(), "no call of its own when {}", work.name());
    points
}

/// A connection that has said hello, and the frame that comes on it.
struct Scene {
    conversation_id: Uuid,
    connection_id: String,
    client_id: String,
    text: String,
}

impl Scene {
    async fn set(stage: &Stage, work: Work) -> Scene {
        let conversation_id = stage.conversation_id("email").await;
        let scene = Scene {
            conversation_id,
            connection_id: Uuid::new_v4().to_string(),
            client_id: Uuid::new_v4().to_string(),
            text: format!("{} {}", work.name(), Uuid::new_v4()),
        };
        stage.world.ledger().texts.push(scene.text.clone());
        scene.connect(stage).await;

        if work == Work::Repeated {
            assert!(scene.say(stage).await, "{}", stage.world.complaints());
        }
        stage.fresh_workers().await;
        stage.world.engine().calls().record();
        scene
    }

    /// Stores a connection as after its hello. Nothing listens at its other end.
    async fn connect(&self, stage: &Stage) {
        let keys = stage.world.secret("VisitorKeys").await;
        let keys: SigningKeys = serde_json::from_value(keys).expect("keys");
        let visitor = Visitor {
            business_id: BusinessId(stage.business.business_id),
            conversation_id: ConversationId(self.conversation_id),
        };
        let ends_at = Utc::now() + TimeDelta::days(30);
        let token = VisitorToken { visitor, kid: keys.keys[0].kid.clone(), ends_at };
        let ReplayDecision::Run(begun) = ReplayState::begin(None, 1, Utc::now()) else {
            panic!("it is the first one")
        };
        let replay = Some(begun.finish(domain::Seq(0), domain::Seq(0)));
        let connection =
            Connection { replay, ..Connection::new(&self.connection_id, token, Utc::now()) };
        let table = stage.world.table();
        table.connect(&connection).await.expect("the table answers");
        table.list_connection(&connection).await.expect("the table answers");
    }

    /// Brings the frame as API Gateway does; true if the function did not fail.
    async fn say(&self, stage: &Stage) -> bool {
        let event = include_str!("../../functions/chat-socket/events/message.json");
        let mut event: Value = serde_json::from_str(event).expect("JSON");
        event["requestContext"]["connectionId"] = json!(self.connection_id);
        let frame =
            json!({ "action": "message", "client_id": self.client_id, "content": self.text });
        event["body"] = json!(frame.to_string());
        stage.world.engine().invoke(FUNCTION, event).await.is_ok()
    }

    /// The messages of the conversation, as callers see them.
    async fn stored(&self, stage: &Stage) -> usize {
        let conversation_id = self.conversation_id;
        let path = format!("/api/v1/conversations/{conversation_id}/messages?sender_type=any");
        let page = stage.world.get(&stage.business.api_key, &path).await.json();
        let messages = page["messages"].as_array().expect("a list").iter();
        messages.filter(|message| message["content"] == self.text).count()
    }
}

/// One case from beginning to end.
async fn run(stage: &Stage, work: Work, case: &Case) -> Outcome {
    let choices = case.choices();
    let scene = Scene::set(stage, work).await;
    let fault = case.fault.of_aws(case.point, FUNCTION, case.point.marker, 0, choices.stubborn);

    stage.world.fault("aws", fault.clone()).await;
    let first = scene.say(stage).await;
    assert!(stage.has_hit("aws", &fault).await, "nothing was hit: {}", case.again());

    stage.world.heal("aws").await;
    let calls =
        stage.calls(FUNCTION).iter().filter_map(point::of).map(|point| point.name).collect();
    let before = scene.stored(stage).await;

    let mut repeats = 0;
    while !scene.say(stage).await {
        repeats += 1;
        assert!(repeats < MOST_REPEATS, "it is never answered: {}", case.again());
    }
    assert_eq!(scene.stored(stage).await, 1, "{}", case.again());

    let repaired = match before {
        0 => "the widget's repeat",
        _ if first => "its own repeat",
        _ => "the widget's, which finds it stored",
    };
    let saw = if first { "answered" } else { "failed" };
    Outcome { saw: saw.to_owned(), repaired: repaired.to_owned(), twice: 0, calls }
}
