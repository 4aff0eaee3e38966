//! A world whose queues are held: what they have, the test hands to the functions, one record at a
//! time.

use aws_sdk_dynamodb::types::AttributeValue;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::sync::Mutex;
use uuid::Uuid;

use emulator::RecordedCall;
use tests::{Business, DOUBT_SECONDS, LEASE_SECONDS, StreamReader, World};

const VISIBILITY: i64 = 181;

/// More rounds of waiting and sweeping than anything here may need.
const MOST_SWEEPS: u32 = 12;

pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) business: Business,
    /// The table's stream, as far as it was read.
    stream: Mutex<StreamReader>,
}

/// The answer to the event source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DeliveryOutcome {
    Done,
    Failed,
    Died,
}

impl DeliveryOutcome {
    pub(crate) fn name(self) -> &'static str {
        match self {
            DeliveryOutcome::Done => "done",
            DeliveryOutcome::Failed => "failed",
            DeliveryOutcome::Died => "died",
        }
    }
}

impl Stage {
    pub(crate) async fn start() -> Stage {
        let world = World::start().await;
        world.sandbox(Method::PUT, "/queues/held", json!({"held": true})).await;
        // A caller that hears nothing and has no key cannot know that its message was stored.
        world.allow(|allowed| allowed.unheard = true);
        let business = world.business(1_000_000, 1).await;
        let stage = Stage::of(world, business);
        stage.open_month().await;
        stage
    }

    /// A stage of another business in this world.
    pub(crate) fn of(world: World, business: Business) -> Stage {
        Stage { world, business, stream: Mutex::default() }
    }

    /// Has the first message of the month behind it.
    pub(crate) async fn open_month(&self) {
        let conversation_id = self.business.conversation_id("email");
        self.world
            .send(&self.business.api_key, conversation_id, "the first of the month")
            .go()
            .await
            .id();
        for doorbell in self.doorbells("email").await {
            self.deliver("email", &doorbell).await;
        }
    }

    /// A conversation that nothing has happened to. The chat's is the one that has a customer, and
    /// is used again.
    pub(crate) async fn conversation_id(&self, channel: &str) -> Uuid {
        if channel == "chat" {
            return self.business.conversation_id("chat");
        }
        self.world.another_conversation(&self.business, channel).await
    }

    /// Workers that know nothing yet: every process is a new one.
    pub(crate) async fn fresh_workers(&self) {
        self.world.pass(1).await;
    }

    /// Takes everything out of a channel's queue.
    pub(crate) async fn doorbells(&self, channel: &str) -> Vec<String> {
        self.world.take_messages(&self.world.queue(channel)).await
    }

    /// Hands one record to a channel's worker, as the event source does.
    pub(crate) async fn deliver(&self, channel: &str, doorbell: &str) -> DeliveryOutcome {
        let event = include_str!("../../functions/deliver-email/events/doorbell.json");
        let mut event: Value = serde_json::from_str(event).expect("JSON");
        event["Records"][0]["body"] = json!(doorbell);
        self.invoke(&format!("deliver-{channel}"), event).await
    }

    /// Hands records of the stream to their function, as its event source does.
    pub(crate) async fn publish(&self, records: &[Value]) -> DeliveryOutcome {
        self.invoke("publish-events", json!({ "Records": records })).await
    }

    async fn invoke(&self, function: &str, event: Value) -> DeliveryOutcome {
        match self.world.engine().invoke(function, event).await {
            Err(_) => DeliveryOutcome::Died,
            Ok(answer) if answer["batchItemFailures"].as_array().is_none_or(Vec::is_empty) => {
                DeliveryOutcome::Done
            }
            Ok(_) => DeliveryOutcome::Failed,
        }
    }

    /// Takes the records of the stream since the last time that are about a conversation's
    /// messages.
    pub(crate) async fn changes_of(&self, conversation_id: Uuid) -> Vec<Value> {
        let pk = format!("B#{}#C#{conversation_id}", self.business.business_id);
        let mut records = Vec::new();
        let see = |record: &Value| {
            let keys = &record["dynamodb"]["Keys"];
            let is_message = keys["sk"]["S"].as_str().is_some_and(|sk| sk.starts_with("M#"));
            if keys["pk"]["S"] == json!(pk) && is_message {
                records.push(record.clone());
            }
        };
        self.stream.lock().await.for_each(&self.world, see).await;
        records
    }

    /// Takes everything out of the queue of deliver-webhook.
    pub(crate) async fn bells(&self) -> Vec<String> {
        let queue = self.world.engine().queue_url("WebhookQueue").expect("the template has it");
        self.world.take_messages(queue).await
    }

    /// Runs the sweeper; false if it failed.
    pub(crate) async fn sweep(&self) -> bool {
        self.world.engine().run_schedule("sweep-outbox").await.is_ok()
    }

    /// A conversation as it is stored.
    async fn stored(
        &self,
        conversation_id: Uuid,
    ) -> std::collections::HashMap<String, AttributeValue> {
        let pk = format!("B#{}#C#{conversation_id}", self.business.business_id);
        let key = |text: &str| AttributeValue::S(text.to_owned());
        let get = self
            .world
            .dynamodb()
            .get_item()
            .table_name(&self.world.ready.table)
            .consistent_read(true);
        let got = get
            .key("pk", key(&pk))
            .key("sk", key("CONVERSATION"))
            .send()
            .await
            .expect("the table answers");

        got.item.expect("the conversation is stored")
    }

    /// Uploads a file into a conversation; returns its URL.
    pub(crate) async fn upload(&self, conversation_id: Uuid) -> String {
        let form = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\
                    Content-Type: text/plain\r\n\r\nhello\r\n--b--\r\n";
        let bearer = format!("Bearer {}", self.business.api_key);
        let headers = [
            ("authorization", bearer.as_str()),
            ("content-type", "multipart/form-data; boundary=b"),
        ];
        let path = format!("/api/v1/conversations/{conversation_id}/upload");
        let answer = self.world.call(Method::POST, &path, &headers, form.as_bytes().to_vec()).await;
        answer.json()["url"].as_str().expect("a URL").to_owned()
    }

    /// Checks that the file of a conversation is kept and counted as its message is stored or not;
    /// true if only the sweeper kept it.
    pub(crate) async fn keeps_file(&self, conversation_id: Uuid, is_stored: bool) -> bool {
        let is_due = self.upload_of(conversation_id).await.contains_key("due");
        if is_due {
            self.world.pass(61).await;
            assert!(self.sweep().await, "{}", self.world.complaints());
        }

        let upload = self.upload_of(conversation_id).await;
        let state = upload["state"].as_s().expect("a text");
        assert_eq!(state, if is_stored { "ready" } else { "stored" });
        assert!(!upload.contains_key("due") && !upload.contains_key("outbox_bucket"));
        let id = upload["id"].as_s().expect("a text");
        assert_eq!(self.tag_of(conversation_id, id).await == "referenced", is_stored);
        is_due
    }

    /// The state that a file's tag says.
    async fn tag_of(&self, conversation_id: Uuid, upload: &str) -> String {
        let client = self.world.s3();
        let key = format!("{}/{conversation_id}/{upload}", self.business.business_id);
        let tags = client.get_object_tagging().bucket(self.world.engine().bucket_name()).key(key);
        let tags = tags.send().await.expect("the object is there").tag_set;
        tags.first().expect("a tag").value.clone()
    }

    /// The one upload of a conversation as it is stored.
    async fn upload_of(
        &self,
        conversation_id: Uuid,
    ) -> std::collections::HashMap<String, AttributeValue> {
        let text = |text: String| AttributeValue::S(text);
        let pk = format!("B#{}#C#{conversation_id}", self.business.business_id);
        let query = self.world.dynamodb().query().table_name(&self.world.ready.table);
        let query = query.key_condition_expression("pk = :pk AND begins_with(sk, :uploads)");
        let query = query.expression_attribute_values(":pk", text(pk));
        let query = query.expression_attribute_values(":uploads", text("U#".to_owned()));
        let found = query.consistent_read(true).send().await.expect("the table answers");
        found.items().first().expect("an upload").clone()
    }

    /// The conversation's part of the outbox.
    pub(crate) async fn bucket(&self, conversation_id: Uuid) -> String {
        let stored = self.stored(conversation_id).await;
        stored["outbox_bucket"].as_s().expect("a text").clone()
    }

    /// Whether nothing is left to do for a conversation.
    pub(crate) async fn is_settled(&self, conversation_id: Uuid) -> bool {
        let stored = self.stored(conversation_id).await;
        stored["seq"] == stored["settled_seq"]
            && !stored.contains_key("due")
            && !stored.contains_key("lease_until")
    }

    /// Whether an event is on its way to an endpoint, which may be gone.
    pub(crate) async fn is_due(&self, endpoint_id: &str) -> bool {
        let pk = format!("B#{}#D#{endpoint_id}", self.business.business_id);
        let query = self
            .world
            .dynamodb()
            .query()
            .table_name(&self.world.ready.table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", AttributeValue::S(pk))
            .consistent_read(true);
        let found = query.send().await.expect("the table answers");
        found.items().iter().any(|item| item.contains_key("due"))
    }

    /// SQS delivers a record again that was not processed in time.
    pub(crate) async fn redeliver(&self, channel: &str, doorbell: &str) -> DeliveryOutcome {
        self.world.pass(VISIBILITY).await;
        self.deliver(channel, doorbell).await
    }

    /// Time passes and the sweeper runs until nothing is left to do; says how often it took, if
    /// ever it was enough.
    pub(crate) async fn sweep_until_settled(
        &self,
        channel: &str,
        conversation_id: Uuid,
    ) -> Option<u32> {
        for sweeps in 1..=MOST_SWEEPS {
            self.world.pass(if sweeps % 2 == 1 { LEASE_SECONDS } else { DOUBT_SECONDS }).await;
            assert!(self.sweep().await, "nothing is wrong with the sweeper");
            for doorbell in self.doorbells(channel).await {
                self.deliver(channel, &doorbell).await;
            }
            if self.is_settled(conversation_id).await {
                return Some(sweeps);
            }
        }

        None
    }

    /// Whether a fault has hit: it is gone, or has been used.
    pub(crate) async fn has_hit(&self, whose: &str, fault: &Value) -> bool {
        let in_force =
            self.world.sandbox(Method::GET, &format!("/{whose}/faults"), Value::Null).await;
        let left = if in_force.is_array() {
            in_force[0]["times"].clone()
        } else {
            in_force["times"].clone()
        };
        left != fault["times"]
    }

    /// The calls of one function since the recording began.
    pub(crate) fn calls(&self, function: &str) -> Vec<RecordedCall> {
        let recorded = self.world.engine().calls().recorded();
        recorded.into_iter().filter(|call| call.function == function).collect()
    }
}
