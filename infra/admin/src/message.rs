//! A message's history. Content and recipient are shown only on request, because terminals keep
//! what they print.

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::command_line::ShowMessage;
use crate::failure::Failure;
use crate::report::{Report, or_dash, time, wire_name};
use crate::target::Target;
use domain::delivery::Reason;
use domain::{ConversationId, MessageId};
use platform::table::record::{Conversation, Message};

/// Shows one message.
pub(crate) async fn show(target: &Target, args: &ShowMessage) -> Result<Report, Failure> {
    let (conversation_id, message_id) = parse_address(&args.address)?;
    let conversation = target.conversation_of(args.business_id, conversation_id).await?;

    let message = target
        .table
        .message(args.business_id, conversation_id, message_id)
        .await?
        .ok_or_else(|| Failure::new("the conversation has no such message"))?;

    Ok(report(&conversation, conversation_id, &message, args.show_content))
}

fn report(
    conversation: &Conversation,
    conversation_id: ConversationId,
    message: &Message,
    show_content: bool,
) -> Report {
    let history = message.attempts_so_far();
    let mut json = json!({
        "id": message.id, "conversation_id": conversation_id, "seq": message.seq,
        "channel": conversation.channel, "sender_id": message.sender,
        "created_at": message.created_at, "month": message.month, "shard": message.shard,
        "status": message.status, "attempts": message.attempts,
        "unknown_outcomes": message.unknown_outcomes, "attempted_at": message.attempted_at,
        "provider_id": message.provider_id, "sent_at": message.sent_at,
        "delivered_at": message.delivered_at, "read_at": message.read_at,
        "failed_at": message.failed_at, "error": message.error,
        "correlation_id": message.correlation_id, "history": &history, "parts": message.parts,
        "conversation": {
            "seq": conversation.seq, "settled_seq": conversation.settled_seq,
            "due": conversation.due, "not_before": conversation.not_before,
            "lease_until": conversation.lease_until, "fence": conversation.fence,
        },
    });

    let at = |time_of: Option<DateTime<Utc>>| or_dash(time_of.map(time));
    let reason = |reason: Option<&Reason>| {
        or_dash(reason.map(|reason| format!("{}: {}", reason.code, reason.detail)))
    };

    let position =
        format!("{conversation_id}, settled {} of {}", conversation.settled_seq, conversation.seq);

    let mut fields = vec![
        ("message", message.id.to_string()),
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
        ("error", reason(message.error.as_ref())),
        ("correlation id", or_dash(message.correlation_id.as_ref())),
        ("attempts", message.attempts.to_string()),
        ("due", at(conversation.due)),
        ("held until", at(conversation.lease_until)),
    ];

    if show_content {
        json["content"] = message.content.as_str().into();
        json["recipient"] = conversation.recipient.clone().into();
        json["attachments"] = json!(message.attachments);
        fields.push(("to", conversation.recipient.clone()));
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

/// Parses two ids, or the API's URL or path, which has both.
fn parse_address(arguments: &[String]) -> Result<(ConversationId, MessageId), Failure> {
    let malformed = || {
        Failure::new(
            "CONVERSATION MESSAGE: two ids, or a path such as \
             /api/v1/conversations/{conversation}/messages/{message}",
        )
    };

    let (conversation_id, message_id) = match arguments {
        [conversation_id, message_id] => (conversation_id.as_str(), message_id.as_str()),
        [path] => {
            let path = path.trim_end_matches('/');
            let (before, message_id) = path.split_once("/messages/").ok_or_else(malformed)?;
            let (_, conversation_id) =
                before.rsplit_once("/conversations/").ok_or_else(malformed)?;
            (conversation_id, message_id)
        }
        _ => return Err(malformed()),
    };

    let conversation_id = conversation_id.parse().map_err(|_| malformed())?;
    let message_id = message_id.parse().map_err(|_| malformed())?;
    Ok((conversation_id, message_id))
}
