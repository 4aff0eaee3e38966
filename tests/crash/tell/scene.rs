//! The scene of a case: messages that were sent, what the stream says of them, and an endpoint.

use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Work;
use crate::case::Case;
use crate::stage::{DeliveryOutcome, Stage};
use tests::LEASE_SECONDS;

/// The kinds of each message's events, in their order.
const EXPECTED: [&str; 2] = ["message.accepted", "message.sent"];

/// More rounds of waiting and sweeping than anything here may need.
const MOST_SWEEPS: u32 = 6;

/// An endpoint of the stage's business, which one of the sandbox's receivers plays.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    id: String,
    receiver: String,
}

impl Endpoint {
    pub(super) async fn make(stage: &Stage) -> Endpoint {
        let receiver = format!("/receivers/{}", Uuid::new_v4());
        let url = format!("{}{receiver}", stage.world.ready.sandbox);
        let made = stage.world.endpoint(&stage.business, &url).await;
        Endpoint { id: made["id"].as_str().expect("an id").to_owned(), receiver }
    }

    /// Whether it is there still.
    async fn is_there(&self, stage: &Stage) -> bool {
        let path = format!("/api/v1/webhook_endpoints/{}", self.id);
        stage.world.get(&stage.business.api_key, &path).await.status == 200
    }

    /// How its deliveries stand, of all messages.
    async fn pending(&self, stage: &Stage) -> usize {
        let path = format!("/api/v1/webhook_endpoints/{}/deliveries?status=pending", self.id);
        let page = stage.world.get(&stage.business.api_key, &path).await.json();
        page["deliveries"].as_array().expect("a list").len()
    }
}

/// Messages of which something is to be told, and the moment before the function is called.
pub(super) struct Scene {
    work: Work,
    endpoint: Endpoint,
    messages: Vec<Uuid>,
    /// The stream's records about the messages.
    changes: Vec<Value>,
    /// The bells of deliver-webhook, that of the first message first.
    bells: Vec<String>,
}

impl Scene {
    pub(super) async fn set(
        stage: &Stage,
        endpoint: &Endpoint,
        work: Work,
        messages: u32,
        title: &str,
    ) -> Scene {
        let endpoint = match work {
            Work::Gone => Endpoint::make(stage).await,
            Work::Published | Work::Told | Work::PutOff => endpoint.clone(),
        };

        let conversation_id = stage.conversation_id("email").await;
        let mut ids = Vec::new();
        for number in 1..=messages {
            let text = format!("{title}, message {number}");
            let send = stage.world.send(&stage.business.api_key, conversation_id, &text);
            ids.push(send.go().await.id());
        }
        for doorbell in stage.doorbells("email").await {
            stage.deliver("email", &doorbell).await;
        }

        let changes = stage.changes_of(conversation_id).await;
        let mut scene = Scene { work, endpoint, messages: ids, changes, bells: Vec::new() };
        if work != Work::Published {
            assert_eq!(stage.publish(&scene.changes).await, DeliveryOutcome::Done);
            scene.bells = scene.ring(stage).await;
        }
        scene.set_manners(stage).await;

        stage.fresh_workers().await;
        stage.world.engine().calls().record();
        scene
    }

    async fn set_manners(&self, stage: &Stage) {
        let manners = match self.work {
            Work::Published | Work::Told => return,
            Work::PutOff => json!({ "status": 503, "times": 1 }),
            Work::Gone => json!({ "status": 410 }),
        };
        stage.world.sandbox(Method::PUT, &self.endpoint.receiver, manners).await;
    }

    /// Takes the bells, and returns those for the endpoint, by message. Another endpoint's are
    /// answered.
    async fn ring(&self, stage: &Stage) -> Vec<String> {
        let place = |bell: &str| {
            let is_for = |id: &Uuid| bell.contains(&id.to_string());
            self.messages.iter().position(is_for).filter(|_| bell.contains(&self.endpoint.id))
        };

        let mut own = Vec::new();
        for bell in stage.bells().await {
            match place(&bell) {
                Some(_) => own.push(bell),
                None => drop(stage.deliver("webhook", &bell).await),
            }
        }

        own.sort_by_key(|bell| place(bell));
        own
    }

    /// The bell that is answered while something goes wrong.
    pub(super) fn bell(&self) -> &str {
        self.bells.first().map(String::as_str).unwrap_or_default()
    }

    /// Calls the function.
    pub(super) async fn work(&self, stage: &Stage) -> DeliveryOutcome {
        match self.work {
            Work::Published => stage.publish(&self.changes).await,
            Work::Told | Work::PutOff | Work::Gone => stage.deliver("webhook", self.bell()).await,
        }
    }

    /// Sees everything through, and says what made it good: nothing, SQS, or the sweeper.
    pub(super) async fn finish(&self, stage: &Stage, again: &str) -> String {
        let others = match self.work {
            Work::Published => self.ring(stage).await,
            Work::Told | Work::PutOff | Work::Gone => self.bells.iter().skip(1).cloned().collect(),
        };
        for bell in others {
            stage.deliver("webhook", &bell).await;
        }

        if self.is_over(stage).await {
            return "its own repeat".to_owned();
        }

        if !again.is_empty() {
            stage.redeliver("webhook", again).await;
            if self.is_over(stage).await {
                return "SQS, once more".to_owned();
            }
        }

        for sweeps in 1..=MOST_SWEEPS {
            stage.world.pass(LEASE_SECONDS).await;
            assert!(stage.sweep().await, "nothing is wrong with the sweeper");
            for bell in self.ring(stage).await {
                stage.deliver("webhook", &bell).await;
            }
            if self.is_over(stage).await {
                let often = if sweeps == 1 { "the sweeper" } else { "the sweeper, again" };
                return often.to_owned();
            }
        }

        panic!("the endpoint is never told: {}", stage.world.complaints());
    }

    /// Whether nothing is on its way to the endpoint, or the endpoint is gone with all that was.
    async fn is_over(&self, stage: &Stage) -> bool {
        match self.endpoint.is_there(stage).await {
            true => {
                let is_told = self.got(stage).await.len() >= self.messages.len() * EXPECTED.len();
                is_told && self.endpoint.pending(stage).await == 0
            }
            false => !stage.is_due(&self.endpoint.id).await,
        }
    }

    /// The events that the endpoint took: message, kind and id.
    async fn got(&self, stage: &Stage) -> Vec<(Uuid, String, String)> {
        let got = stage.world.sandbox(Method::GET, &self.endpoint.receiver, Value::Null).await;
        let taken = got.as_array().expect("a list").iter().filter(|one| one["answered"] == 200);
        let read = |one: &Value| {
            let body = one["body"].as_str().expect("a text");
            let event: Value = serde_json::from_str(body).expect("JSON");
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            let message = text(&event["data"]["message"]["id"]).parse().expect("an id");
            (message, text(&event["type"]), text(&event["id"]))
        };
        taken.map(read).filter(|(message, ..)| self.messages.contains(message)).collect()
    }

    /// Every change was told, in the order of its message and under an id of its own, or the
    /// endpoint is gone; returns the copies that were too many.
    pub(super) async fn check(&self, stage: &Stage, case: &Case) -> u32 {
        if self.work == Work::Gone {
            assert!(!self.endpoint.is_there(stage).await, "{}", case.again());
            return 0;
        }

        let mut twice = 0;
        let got = self.got(stage).await;
        for message in &self.messages {
            let of_it: Vec<_> = got.iter().filter(|(id, ..)| id == message).collect();
            let mut first: Vec<(&str, &str)> = Vec::new();
            for (_, kind, id) in &of_it {
                if !first.iter().any(|(_, known)| known == id) {
                    first.push((kind, id));
                }
            }

            let kinds: Vec<&str> = first.iter().map(|(kind, _)| *kind).collect();
            assert_eq!(kinds, EXPECTED, "{}", case.again());
            twice += of_it.len() - first.len();
        }

        u32::try_from(twice).expect("few")
    }
}
