//! The scene of a case: a conversation whose messages wait for the worker, and their deliveries.

use serde_json::{Value, json};
use uuid::Uuid;

use super::work::{FILES, Work};
use crate::case::Case;
use crate::stage::{DeliveryOutcome, Stage};

/// A conversation with messages that wait, and the moment before the worker is called.
pub(super) struct Scene<'a> {
    channel: &'a str,
    pub(super) work: Work,
    title: String,
    conversation_id: Uuid,
    pub(super) doorbell: String,
    /// The messages that were sent, with their ids.
    texts: Vec<(String, Uuid)>,
}

impl<'a> Scene<'a> {
    pub(super) async fn set(
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
    pub(super) async fn finish(&self, stage: &Stage, again: &str) -> &'static str {
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
    pub(super) async fn check(&self, stage: &Stage, case: &Case) -> u32 {
        let received = stage.world.received(self.channel, self.conversation_id).await;
        if self.work == Work::InParts {
            return self.check_parts(stage, case).await;
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
                self.check_dead_letter(stage, *id, case).await;
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
    async fn check_parts(&self, stage: &Stage, case: &Case) -> u32 {
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
    async fn check_dead_letter(&self, stage: &Stage, id: Uuid, case: &Case) {
        let dead_letters =
            stage.world.take_messages(&stage.world.dead_letter_queue(self.channel)).await;
        let it = |copy: &String| {
            serde_json::from_str::<Value>(copy).is_ok_and(|copy| copy["message"] == json!(id))
        };
        assert!(dead_letters.iter().any(it), "no copy in the dead-letter queue: {}", case.again());
    }
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
