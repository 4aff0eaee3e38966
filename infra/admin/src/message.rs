//! A message's history. Content and recipient are shown only on request, because terminals keep
//! what they print.

mod find;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::command_line::ShowMessage;
use crate::failure::Failure;
use crate::names::BusinessNames;
use crate::report::{Progress, Report, or_dash, time, wire_name, with_provider_code};
use crate::target::Target;
use domain::delivery::{Attempt, Reason};
use domain::{BusinessId, ConversationId};
use platform::table::StoredMessage;
use platform::table::record::{Conversation, CustomerMessage, Message};

/// Shows one message, or lists several that one name has led to.
pub(crate) async fn show(
    target: &Target,
    args: &ShowMessage,
    progress: &Progress,
) -> Result<Report, Failure> {
    if let Some((business_id, conversation_id, message)) =
        find::find_customer_message(target, args).await?
    {
        let names = BusinessNames::read(target, [business_id]).await?;
        let address = Address { business_id, name: names.name(business_id), conversation_id };
        return Ok(customer_report(address, &message, args.show_content));
    }

    let mut found = find::find(target, args, progress).await?;
    let Some(only) = found.pop() else {
        return Err(Failure::new(
            "no message has this id, correlation id or provider's id. A `function_request_id` is \
             only in the log: its lines name their messages",
        ));
    };
    if !found.is_empty() {
        found.push(only);
        return Ok(list(&found));
    }

    let StoredMessage { business_id, conversation_id, message } = only;
    let conversation = target.conversation_of(business_id, conversation_id).await?;
    let names = BusinessNames::read(target, [business_id]).await?;
    let address = Address { business_id, name: names.name(business_id), conversation_id };
    Ok(report(address, &conversation, &message, args.show_content))
}

/// Lists messages that came from one call.
fn list(messages: &[StoredMessage]) -> Report {
    let json: Vec<_> = messages
        .iter()
        .map(|found| {
            json!({
                "business_id": found.business_id, "conversation_id": found.conversation_id,
                "message_id": found.message.id, "seq": found.message.seq,
                "status": found.message.status, "created_at": found.message.created_at,
            })
        })
        .collect();
    let rows = messages
        .iter()
        .map(|found| {
            [
                found.business_id.to_string(),
                found.conversation_id.to_string(),
                found.message.seq.to_string(),
                found.message.id.to_string(),
                wire_name(found.message.status),
                time(found.message.created_at),
            ]
        })
        .collect();

    Report::new(json!({"messages": json}))
        .table(["business", "conversation", "seq", "message", "status", "accepted"], rows)
        .text(format!("{} messages have this name: show one by its own id.", messages.len()))
}

/// Where a message is.
struct Address<'a> {
    business_id: BusinessId,
    name: Option<&'a str>,
    conversation_id: ConversationId,
}

fn report(
    address: Address<'_>,
    conversation: &Conversation,
    message: &Message,
    show_content: bool,
) -> Report {
    let Address { business_id, name, conversation_id } = address;
    let history: Vec<Attempt> = message.attempts_so_far().into_iter().collect();
    let attempts: Vec<_> = history.iter().map(attempt_json).collect();
    let error = message.error.as_ref();

    let mut json = json!({
        "message_id": message.id, "business_id": business_id, "business_name": name,
        "conversation_id": conversation_id, "seq": message.seq,
        "channel": conversation.channel, "agent_id": message.sender,
        "created_at": message.created_at, "month": message.month, "shard": message.shard,
        "status": message.status, "attempts": message.attempts,
        "unknown_outcomes": message.unknown_outcomes, "attempted_at": message.attempted_at,
        "provider_id": message.provider_id, "sent_at": message.sent_at,
        "delivered_at": message.delivered_at, "read_at": message.read_at,
        "failed_at": message.failed_at, "reason": error.map(|error| &error.code),
        "detail": error.map(|error| &error.detail),
        "provider_code": error.and_then(|error| error.provider_code.as_ref()),
        "correlation_id": message.correlation_id, "history": attempts, "parts": message.parts,
        "conversation": {
            "seq": conversation.seq, "settled_seq": conversation.settled_seq,
            "due": conversation.due, "not_before": conversation.not_before,
            "lease_until": conversation.lease_until, "fence": conversation.fence,
        },
    });

    let at = |time_of: Option<DateTime<Utc>>| or_dash(time_of.map(time));
    let reason = |reason: Option<&Reason>| {
        or_dash(reason.map(|reason| {
            let code = with_provider_code(&reason.code, reason.provider_code.as_deref());
            format!("{code}: {}", reason.detail)
        }))
    };

    let position =
        format!("{conversation_id}, settled {} of {}", conversation.settled_seq, conversation.seq);

    let mut fields = vec![
        ("message", message.id.to_string()),
        ("business", business_id.to_string()),
        ("name", or_dash(name)),
        ("conversation", position),
        ("seq", message.seq.to_string()),
        ("channel", conversation.channel.to_string()),
        ("status", wire_name(message.status)),
        ("accepted", time(message.created_at)),
        ("counted", format!("in {} on shard {}", message.month, message.shard)),
        ("sent", at(message.sent_at)),
        ("delivered", at(message.delivered_at)),
        ("read", at(message.read_at)),
        ("failed", at(message.failed_at)),
        ("reason", reason(error)),
        ("correlation id", or_dash(message.correlation_id.as_ref())),
        ("provider's id", or_dash(message.provider_id.as_deref())),
        ("attempts", message.attempts.to_string()),
        ("due", at(conversation.due)),
        ("held until", at(conversation.lease_until)),
    ];

    if show_content {
        json["content"] = message.content.as_str().into();
        json["recipient"] = conversation.recipient.as_str().into();
        json["attachments"] = json!(message.attachments);
        fields.push(("to", conversation.recipient.clone().into_string()));
        fields.push(("content", message.content.as_str().to_owned()));
    }

    let rows = history
        .into_iter()
        .map(|attempt| {
            [
                attempt.attempt.to_string(),
                time(attempt.at),
                wire_name(attempt.outcome),
                reason(attempt.reason.as_ref()),
            ]
        })
        .collect();

    Report::new(json).fields(fields).table(["attempt", "at", "outcome", "reason"], rows)
}

/// Reports on a message that the customer wrote: it is stored, and that is all that happens to it.
fn customer_report(address: Address<'_>, message: &CustomerMessage, show_content: bool) -> Report {
    let Address { business_id, name, conversation_id } = address;
    let kind = message.media.as_ref().map(|media| wire_name(media.kind));
    let mut json = json!({
        "message_id": message.id, "business_id": business_id, "business_name": name,
        "conversation_id": conversation_id, "sender_type": "customer", "number": message.number,
        "created_at": message.created_at, "media_kind": kind,
    });
    let mut fields = vec![
        ("message", message.id.to_string()),
        ("business", business_id.to_string()),
        ("name", or_dash(name)),
        ("conversation", conversation_id.to_string()),
        ("sender", "customer".to_owned()),
        ("number", message.number.to_string()),
        ("stored", time(message.created_at)),
        ("file", or_dash(kind.as_deref())),
    ];

    if show_content {
        json["content"] = message.content.as_str().into();
        json["media"] = json!(message.media);
        fields.push(("content", message.content.as_str().to_owned()));
    }
    Report::new(json).fields(fields)
}

fn attempt_json(attempt: &Attempt) -> Value {
    let reason = attempt.reason.as_ref();
    json!({
        "attempt": attempt.attempt, "at": attempt.at, "outcome": attempt.outcome,
        "reason": reason.map(|reason| &reason.code),
        "detail": reason.map(|reason| &reason.detail),
        "provider_code": reason.and_then(|reason| reason.provider_code.as_ref()),
    })
}
