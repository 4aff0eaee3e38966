//! The inside of the system as the console shows it: one conversation with its messages, its
//! business's quota and events, the outbox, the queues, and the last requests and calls.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::events::read_events;
use super::system::System;
use domain::quota::MAX_SHARDS;
use domain::{BusinessId, ConversationId, CustomerNumber, Month, Seq};
use emulator::{AwsCall, HttpRequest};
use platform::error::InternalError;
use platform::table::record::{Conversation, CustomerMessage, Message};
use platform::table::{MessageRange, Order, Table};

/// How many messages of a conversation are read at once.
const PAGE: i32 = 100;
/// Most entries of the outbox that are shown.
const OUTBOX_LIMIT: i32 = 100;

/// The conversation to look at, and where the caller stands.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MachineQuery {
    /// The conversation.
    conversation_id: Option<Uuid>,
    /// The number of the last request or call that the caller has.
    #[serde(default)]
    after: u64,
}

/// The part of a conversation to read.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryQuery {
    /// Only messages of agents before this one.
    before: Option<u64>,
    /// Only messages of the customer before this one, by their own numbers.
    customer_before: Option<u64>,
}

impl System {
    /// Describes what goes on.
    pub(super) async fn machine(&self, query: &MachineQuery) -> Value {
        let traffic = self.engine.traffic();
        // In this order, so that what is noted meanwhile comes once more and is not left out.
        let last = traffic.last();
        let requests = traffic.requests_after(query.after);
        let calls = traffic.calls_after(query.after);
        let id = query.conversation_id.map(|id| id.to_string());

        let activity = self.activity().await;
        let polling = self.engine.polling();
        let (customers, away) = self.widgets.count().await;
        let fault = |channel: &str| self.faults(channel).ok().and_then(|faults| faults.in_force());

        json!({
            "now": self.clock.now(),
            "offset_ms": self.clock.offset_ms(),
            "last": last,
            "requests": requests.iter().map(request_view).collect::<Vec<_>>(),
            "calls": calls.iter().map(|call| call_view(call, id.as_deref())).collect::<Vec<_>>(),
            "activity": activity,
            "queues": self.engine.queue_depths().await,
            "polling": { "held": polling.is_held(), "mischief": polling.faults().as_deref() },
            "faults": {
                "aws": self.engine.faults().rules(),
                "whatsapp": fault("whatsapp"),
                "whatsapp-media": fault("whatsapp-media"),
                "email": fault("email"),
                "chat": fault("chat"),
                "endpoints": fault("endpoints"),
            },
            "widgets": { "customers": customers, "away": away },
            "outbox": self.outbox().await,
            "conversation": self.conversation(query.conversation_id, &HistoryQuery::default()).await,
            "quota": self.quota(query.conversation_id).await,
            "events": self.events(query.conversation_id).await,
        })
    }

    /// Describes a conversation and a page of its messages, newest first; null if there is none.
    pub(super) async fn history(&self, conversation_id: Uuid, query: &HistoryQuery) -> Value {
        self.conversation(Some(conversation_id), query).await
    }

    async fn conversation(&self, id: Option<Uuid>, query: &HistoryQuery) -> Value {
        let Some((business, id)) = id.and_then(|id| self.seeder.find(id)) else {
            return Value::Null;
        };
        let read = read_conversation(self.seeder.table(), business, id, query).await;
        read.unwrap_or_else(|error| json!({ "error": error.to_string() }))
    }

    async fn quota(&self, conversation_id: Option<Uuid>) -> Value {
        let found = conversation_id.and_then(|id| self.seeder.find(id));
        let Some((business_id, _)) = found else { return Value::Null };
        let month = Month::of(self.clock.now());
        let read = read_quota(self.seeder.table(), business_id, month).await;
        read.unwrap_or_else(|error| json!({ "error": error.to_string() }))
    }

    async fn events(&self, conversation_id: Option<Uuid>) -> Value {
        let found = conversation_id.and_then(|id| self.seeder.find(id));
        let Some((business_id, _)) = found else { return Value::Null };
        let read = read_events(self.seeder.table(), &self.receivers, business_id).await;
        read.unwrap_or_else(|error| json!({ "error": error.to_string() }))
    }

    /// Lists what is in the outbox: conversations with something to deliver, files to keep, and
    /// events on their way.
    async fn outbox(&self) -> Value {
        let client = self.engine.dynamodb();
        let scan = client.scan().table_name(self.engine.table_name()).index_name("outbox");
        let Ok(answer) = scan.limit(OUTBOX_LIMIT).send().await else { return json!([]) };

        let items = answer.items.unwrap_or_default();
        let entries = items.iter().map(|item| {
            let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
            let due = item.get("due").and_then(|value| value.as_n().ok()?.parse().ok());
            let id = text("pk").and_then(|pk| pk.rsplit('#').next());
            json!({
                "bucket": text("outbox_bucket"),
                "id": id,
                "due": due.and_then(DateTime::<Utc>::from_timestamp_millis),
            })
        });
        entries.collect()
    }
}

async fn read_conversation(
    table: &Table,
    business_id: BusinessId,
    id: ConversationId,
    query: &HistoryQuery,
) -> Result<Value, InternalError> {
    let Some(conversation) = table.conversation(business_id, id).await? else {
        return Ok(Value::Null);
    };
    let before = query.before.map(Seq);
    let range = MessageRange { after: Seq(0), before, order: Order::NewestFirst };
    let list = table.messages(business_id, id, range, PAGE).await?;

    let up_to = query.customer_before.map_or(u64::MAX, |before| before.saturating_sub(1));
    let numbers = (CustomerNumber(0), CustomerNumber(up_to));
    let (written, has_more_written) =
        table.customer_messages(business_id, id, numbers, Order::NewestFirst, PAGE).await?;
    let tabs = table.connections(business_id, id).await?;

    let Conversation { channel, recipient, seq, settled_seq, fence, .. } = &conversation;
    Ok(json!({
        "business_id": business_id,
        "conversation_id": id,
        "channel": channel,
        "customer": recipient.as_str(),
        "seq": seq,
        "settled_seq": settled_seq,
        "fence": fence,
        "lease_owner": conversation.lease_owner,
        "lease_until": conversation.lease_until,
        "not_before": conversation.not_before,
        "due": conversation.due,
        "tabs": tabs.len(),
        "has_more": list.has_more,
        "messages": list.messages.iter().map(message_view).collect::<Vec<_>>(),
        "customer_has_more": has_more_written,
        "customer_messages": written.iter().map(customer_message_view).collect::<Vec<_>>(),
    }))
}

fn message_view(message: &Message) -> Value {
    json!({
        "id": message.id,
        "seq": message.seq,
        "content": message.content,
        "attachments": message.attachments,
        "created_at": message.created_at,
        "shard": message.shard,
        "status": message.status,
        "attempts": message.attempts,
        "history": message.attempts_so_far(),
        "sent_at": message.sent_at,
        "delivered_at": message.delivered_at,
        "read_at": message.read_at,
        "failed_at": message.failed_at,
        "error": message.error,
    })
}

fn customer_message_view(message: &CustomerMessage) -> Value {
    json!({
        "id": message.id,
        "number": message.number,
        "content": message.content,
        "media": message.media,
        "created_at": message.created_at,
    })
}

async fn read_quota(
    table: &Table,
    business_id: BusinessId,
    month: Month,
) -> Result<Value, InternalError> {
    let plan = table.plan(business_id).await?;
    let mut shards = table.shards(business_id, month, MAX_SHARDS).await?;
    shards.sort_by_key(|(index, _)| *index);

    let used: u64 = shards.iter().map(|(_, shard)| shard.used).sum();
    let shards = shards
        .iter()
        .map(|(index, shard)| json!({ "shard": index, "used": shard.used, "cap": shard.cap }));
    Ok(json!({
        "month": month,
        "limit": plan.map(|plan| plan.max_messages_per_month),
        "used": used,
        "shards": shards.collect::<Vec<_>>(),
    }))
}

fn request_view(request: &HttpRequest) -> Value {
    let HttpRequest { number, at, method, path, status, ms } = request;
    json!({ "number": number, "at": at, "method": method, "path": path,
        "status": status, "ms": ms })
}

fn call_view(call: &AwsCall, conversation_id: Option<&str>) -> Value {
    let request = String::from_utf8_lossy(&call.request);
    json!({
        "number": call.number,
        "at": call.at,
        "function": call.function,
        "operation": call.operation,
        "about": subjects(&request),
        "step": step(call, &request),
        "here": conversation_id.is_some_and(|id| request.contains(id)),
        "status": call.status,
        "fault": call.fault,
        "ms": call.ms,
    })
}

/// Returns the range keys that a request names, and the queue; of a call to S3, the key.
fn subjects(request: &str) -> Vec<String> {
    const MARKS: [&str; 2] = ["\"sk\":{\"S\":\"", "\"QueueUrl\":\""];
    if !request.starts_with('{') {
        return vec![request.chars().take(60).collect()];
    }

    let mut found: Vec<String> = Vec::new();
    for mark in MARKS {
        for rest in request.split(mark).skip(1) {
            let text = rest.split('"').next().unwrap_or_default();
            let text = text.rsplit('/').next().unwrap_or_default();
            // A key's range key is the hash of a credential.
            let text = text.strip_prefix("KEY#").map_or(text, |_| "KEY");
            if !found.iter().any(|known| known == text) {
                found.push(text.to_owned());
            }
        }
    }
    found
}

/// Names the step of the protocol that a call is.
fn step(call: &AwsCall, request: &str) -> Option<&'static str> {
    match call.operation.as_str() {
        "dynamodb:TransactWriteItems" if call.function == "send-message" => Some("accept"),
        "sqs:SendMessage" | "sqs:SendMessageBatch" => Some("ring"),
        "dynamodb:UpdateItem" if request.contains("SET lease_owner = :me") => Some("claim"),
        "dynamodb:UpdateItem" if request.contains("REMOVE lease_owner") => Some("release"),
        "dynamodb:UpdateItem" if request.contains("SET #status = :sending") => Some("attempt"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_its_items_and_no_credential() {
        let request = r#"{"TransactItems":[
            {"Update":{"Key":{"pk":{"S":"B#1#Q#2026-11#0"},"sk":{"S":"SHARD"}}}},
            {"Get":{"Key":{"pk":{"S":"B#1"},"sk":{"S":"KEY#0a1b"}}}},
            {"Put":{"Item":{"sk":{"S":"M#000000000001"},"x"#;
        assert_eq!(subjects(request), ["SHARD", "KEY", "M#000000000001"]);
        assert_eq!(
            subjects(r#"{"QueueUrl":"http://127.0.0.1:1/000000000000/pingback-ChatQueue"}"#),
            ["pingback-ChatQueue"]
        );
        assert_eq!(subjects("bucket/key"), ["bucket/key"]);
    }
}
