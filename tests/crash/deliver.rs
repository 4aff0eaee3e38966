//! The delivery functions: one conversation with one to three messages, and one thing that goes
//! wrong while they are delivered.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::case::{Case, seeds};
use crate::fault::{Fault, at};
use crate::point::{self, PROVIDER, Point, UPLOAD};
use crate::rows::{Outcome, Rows};
use crate::stage::{DeliveryOutcome, Stage};

/// The worker's task when the fault hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// The provider takes every message.
    Delivered,
    /// The provider asks for patience at the first.
    PutOff,
    /// The provider refused the first for a day.
    GivenUp,
    /// The provider takes nothing on the channel, whatever it is.
    Paused,
    /// The provider takes every message, and each in three parts (WhatsApp).
    InParts,
}

/// The parts of a message: a text, since a recording has no caption, and these.
const FILES: [(&str, &str, &str); 2] = [
    ("voice.ogg", "audio/ogg", "OggS\0\u{2}\0\0\0\0\0\0\0\0"),
    ("invoice.pdf", "application/pdf", "%PDF-1.7\n"),
];

impl Work {
    pub(crate) const ALL: [Work; 5] =
        [Work::Delivered, Work::PutOff, Work::GivenUp, Work::Paused, Work::InParts];

    /// Whether there is such a thing on a channel: chat has no provider that could lock it out, and
    /// WhatsApp alone takes a message in parts.
    pub(crate) fn is_on(self, channel: &str) -> bool {
        match self {
            Work::Delivered | Work::PutOff | Work::GivenUp => true,
            Work::Paused => channel != "chat",
            Work::InParts => channel == "whatsapp",
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Work::Delivered => "delivered",
            Work::PutOff => "put off",
            Work::GivenUp => "given up",
            Work::Paused => "paused",
            Work::InParts => "in parts",
        }
    }

    /// How many parts a message has.
    fn parts(self) -> u32 {
        match self {
            Work::Delivered | Work::PutOff | Work::GivenUp | Work::Paused => 1,
            Work::InParts => 1 + FILES.len() as u32,
        }
    }
}

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

/// The body of a message with files, which are uploaded for it.
async fn with_files(stage: &Stage, conversation_id: Uuid, text: &str) -> String {
    let mut attachments = Vec::new();
    for (name, kind, bytes) in FILES {
        let form = format!(
            "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\nContent-Type: {kind}\r\n\r\n\
             {bytes}\r\n--edge--\r\n"
        );
        let bearer = format!("Bearer {}", stage.business.api_key);
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "multipart/form-data; boundary=edge"),
        ];
        let path = format!("/api/v1/conversations/{conversation_id}/upload");
        let upload =
            stage.world.call(reqwest::Method::POST, &path, &headers, form.into_bytes()).await;
        attachments.push(json!({"url": upload.json()["url"]}));
    }

    json!({"content": text, "attachments": attachments}).to_string()
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
        "postpone" | "ring" if is_paced(channel) => messages.max(2),
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

/// A conversation with messages that wait, and the moment before the worker is called.
struct Scene<'a> {
    channel: &'a str,
    work: Work,
    title: String,
    conversation_id: Uuid,
    doorbell: String,
    /// The messages that were sent, with their ids.
    texts: Vec<(String, Uuid)>,
}

impl<'a> Scene<'a> {
    async fn set(
        stage: &Stage,
        channel: &'a str,
        work: Work,
        messages: u32,
        title: &str,
    ) -> Scene<'a> {
        let conversation_id = stage.conversation_id(channel).await;
        let mut texts = Vec::new();
        for number in 1..=messages {
            let text = format!("{title}, message {number}, {}", Uuid::new_v4());
            let send = stage.world.send(&stage.business.api_key, conversation_id, &text);
            let sent = match work {
                Work::Delivered | Work::PutOff | Work::GivenUp | Work::Paused => send.go().await,
                Work::InParts => {
                    send.body(with_files(stage, conversation_id, &text).await).go().await
                }
            };
            texts.push((text, sent.id()));
        }

        let of_it = |doorbell: &String| doorbell.contains(&conversation_id.to_string());
        let doorbell =
            stage.doorbells(channel).await.into_iter().find(of_it).expect("the doorbell was rung");

        if work == Work::GivenUp {
            stage.world.fault(channel, json!({"status": 429, "times": 1})).await;
            assert_eq!(stage.deliver(channel, &doorbell).await, DeliveryOutcome::Done);
            stage.world.pass(24 * 3600 + 60).await;
        } else {
            stage.fresh_workers().await;
        }

        match (work, channel) {
            (Work::PutOff, _) => {
                stage.world.fault(channel, json!({"status": 429, "times": 1})).await
            }
            // A token that is not accepted is read anew and tried once more.
            (Work::Paused, "whatsapp") => {
                stage.world.fault(channel, json!({"code": 190, "times": 2})).await
            }
            (Work::Paused, _) => {
                stage.world.fault(channel, json!({"status": 403, "times": 1})).await
            }
            (Work::Delivered | Work::GivenUp | Work::InParts, _) => {}
        }

        stage.world.engine().calls().record();
        Scene { channel, work, title: title.to_owned(), conversation_id, doorbell, texts }
    }

    /// Sees everything through, and says what made it good: nothing, SQS, or the sweeper.
    async fn finish(&self, stage: &Stage, again: &str) -> &'static str {
        if stage.is_settled(self.conversation_id).await {
            return "its own repeat";
        }

        if !again.is_empty() {
            stage.redeliver(self.channel, again).await;
            if stage.is_settled(self.conversation_id).await {
                return "SQS, once more";
            }
        }

        match stage.sweep_until_settled(self.channel, self.conversation_id).await {
            Some(1) => "the sweeper",
            Some(2) => "the sweeper, twice",
            Some(_) => "the sweeper, often",
            None => panic!("nothing settled it, {}", self.title),
        }
    }

    /// Everything arrived, in order, or was given up as it should; returns the copies that were too
    /// many.
    async fn judge(&self, stage: &Stage, case: &Case) -> u32 {
        let received = stage.world.received(self.channel, self.conversation_id).await;
        if self.work == Work::InParts {
            return self.judge_parts(stage, case).await;
        }

        let mut twice = 0;
        let mut place = 0;
        for (index, (text, id)) in self.texts.iter().enumerate() {
            let delivery =
                stage.world.delivery(&stage.business.api_key, self.conversation_id, *id).await;
            let status = delivery["status"].as_str().unwrap_or_default().to_owned();
            let copies = received.iter().filter(|got| *got == text).count();
            if self.work == Work::GivenUp && index == 0 {
                assert_eq!((status.as_str(), copies), ("failed", 0), "{}", case.again());
                self.judge_burial(stage, *id, case).await;
                continue;
            }
            assert!(
                matches!(status.as_str(), "sent" | "delivered"),
                "{status} in the end: {}",
                case.again()
            );
            assert!(copies > 0, "lost: {}", case.again());
            let first = received.iter().position(|got| got == text).unwrap_or_default();
            assert!(first >= place, "out of order: {}", case.again());
            (twice, place) = (twice + copies - 1, first);
        }

        u32::try_from(twice).expect("few")
    }

    /// Every message is sent; whether it is whole, and its parts in order, the oracle sees. Returns
    /// the parts that were too many.
    async fn judge_parts(&self, stage: &Stage, case: &Case) -> u32 {
        let path = format!("/{}/messages?conversation_id={}", self.channel, self.conversation_id);
        let got = stage.world.sandbox(reqwest::Method::GET, &path, Value::Null).await;
        for (text, id) in &self.texts {
            let delivery =
                stage.world.delivery(&stage.business.api_key, self.conversation_id, *id).await;
            assert_eq!(delivery["status"], "sent", "{}", case.again());
            let first = got
                .as_array()
                .into_iter()
                .flatten()
                .find(|message| message["message_id"] == json!(id));
            let first = first.unwrap_or_else(|| panic!("lost: {}", case.again()));
            assert_eq!(first["content"], json!(text), "{}", case.again());
            assert_eq!(first["parts"]["got"], json!([1, 2, 3]), "{}", case.again());
            let sizes = first["attachments"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|file| file["size"].clone());
            assert_eq!(
                Vec::from_iter(sizes),
                FILES.map(|(_, _, bytes)| json!(bytes.len())),
                "{}",
                case.again()
            );
        }

        u32::try_from(got.as_array().map_or(0, Vec::len) - self.texts.len()).expect("few")
    }

    /// The dead-letter queue has a copy of what was given up.
    async fn judge_burial(&self, stage: &Stage, id: Uuid, case: &Case) {
        let dead_letters =
            stage.world.take_messages(&stage.world.dead_letter_queue(self.channel)).await;
        let it = |copy: &String| {
            serde_json::from_str::<Value>(copy).is_ok_and(|copy| copy["message"] == json!(id))
        };
        assert!(dead_letters.iter().any(it), "no copy in the dead-letter queue: {}", case.again());
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
    let twice = scene.judge(stage, case).await;
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
        (Work::Delivered, "mark" | "settle" | "advance" | "read tabs") => case.choices().messages,
        (Work::Delivered, "read messages") => 2,
        _ => 1,
    }
}
