//! A world's queues, as SQS shows them.

use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::send::read;
use crate::world::World;

impl World {
    /// A channel's queue.
    #[must_use]
    pub fn queue(&self, channel: &str) -> String {
        let queues = &self.ready.queues;
        match channel {
            "chat" => queues.chat.clone(),
            "whatsapp" => queues.whatsapp.clone(),
            _ => queues.email.clone(),
        }
    }

    /// A channel's dead-letter queue.
    #[must_use]
    pub fn dead_letter_queue(&self, channel: &str) -> String {
        self.queue(channel).replace("Queue", "DeadLetters")
    }

    /// Returns the dead letters of a channel.
    pub async fn dead_letters(&self, channel: &str) -> Vec<Value> {
        let queue = self.dead_letter_queue(channel);
        let received =
            json!({"QueueUrl": queue, "MaxNumberOfMessages": 10, "VisibilityTimeout": 0});
        let received = self.sqs("ReceiveMessage", &received).await["Messages"].take();
        let body = |message: &Value| {
            serde_json::from_str(message["Body"].as_str().expect("a body")).expect("JSON")
        };
        received.as_array().into_iter().flatten().map(body).collect()
    }

    /// Takes everything out of a queue that is there now, oldest first.
    pub async fn take_messages(&self, queue: &str) -> Vec<String> {
        let mut bodies = Vec::new();
        loop {
            let received =
                json!({"QueueUrl": queue, "MaxNumberOfMessages": 10, "VisibilityTimeout": 600});
            let received = self.sqs("ReceiveMessage", &received).await["Messages"].take();
            let Some(messages) = received.as_array().filter(|messages| !messages.is_empty()) else {
                return bodies;
            };
            for message in messages {
                bodies.push(message["Body"].as_str().expect("a body").to_owned());
                let delete = json!({"QueueUrl": queue, "ReceiptHandle": message["ReceiptHandle"]});
                self.sqs("DeleteMessage", &delete).await;
            }
        }
    }

    /// Returns how many messages a queue holds, those that are being read among them.
    ///
    /// # Panics
    /// If SQS does not say.
    pub async fn queue_depth(&self, queue: &str) -> usize {
        let names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"];
        let asked = json!({"QueueUrl": queue, "AttributeNames": names});
        let answer = self.sqs("GetQueueAttributes", &asked).await;
        let number = |name| answer["Attributes"][name].as_str()?.parse::<usize>().ok();
        names.into_iter().map(|name| number(name).expect("a number")).sum()
    }

    /// Sends a message to a queue as a part of a chain of requests, which X-Ray's header names.
    pub async fn ring_in_chain(&self, queue: &str, body: &str, trace: &str) {
        let message = json!({"QueueUrl": queue, "MessageBody": body});
        let call = self.sqs_call("SendMessage", &message).header("X-Amzn-Trace-Id", trace);
        assert_eq!(read(call).await.status, 200, "SQS takes it");
    }

    async fn sqs(&self, operation: &str, body: &Value) -> Value {
        serde_json::from_str(&read(self.sqs_call(operation, body)).await.text).unwrap_or_default()
    }

    fn sqs_call(&self, operation: &str, body: &Value) -> RequestBuilder {
        self.http
            .post(&self.ready.aws.sqs)
            .header("X-Amz-Target", format!("AmazonSQS.{operation}"))
            .header("Content-Type", "application/x-amz-json-1.0")
            .body(body.to_string())
    }
}
