//! A world whose queues are held: what they have, the test hands to the functions, one record at a
//! time.

use aws_sdk_dynamodb::types::AttributeValue;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use emulator::RecordedCall;
use tests::{Business, World};

/// Longer than a lease, than a receipt is waited for, and than a record of a queue stays invisible;
/// in seconds.
const LEASE: i64 = 46;
const DOUBT: i64 = 121;
const VISIBILITY: i64 = 181;

/// More rounds of waiting and sweeping than anything here may need.
const MOST_SWEEPS: u32 = 12;

pub(crate) struct Stage {
    pub(crate) world: World,
    pub(crate) business: Business,
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
        let stage = Stage { world, business };
        stage.open_month().await;
        stage
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
        match self.world.engine().invoke(&format!("deliver-{channel}"), event).await {
            Err(_) => DeliveryOutcome::Died,
            Ok(answer) if answer["batchItemFailures"].as_array().is_none_or(Vec::is_empty) => {
                DeliveryOutcome::Done
            }
            Ok(_) => DeliveryOutcome::Failed,
        }
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
            self.world.pass(if sweeps % 2 == 1 { LEASE } else { DOUBT }).await;
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
