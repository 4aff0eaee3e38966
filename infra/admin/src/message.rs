//! A message's life. What it says and to whom is shown only to who asks for it: a terminal
//! remembers.

use serde_json::json;

use crate::Failure;
use crate::command_line::ShowMessage;
use crate::place::Place;
use crate::report::{Report, or_dash, time, word};
use domain::{ConversationId, MessageId};
use platform::table::record::{Conversation, Message};

/// Shows one.
pub(crate) async fn show(place: &Place, args: &ShowMessage) -> Result<Report, Failure> {
    let (conversation_id, id) = address(&args.place)?;
    let conversation = place.conversation_of(args.business, conversation_id).await?;
    let message = place.table.message(args.business, conversation_id, id).await?;
    let message = message.ok_or_else(|| Failure::new("the conversation has no such message"))?;
    Ok(report(&conversation, conversation_id, &message, args.show_content))
}

fn report(
    conversation: &Conversation,
    id: ConversationId,
    message: &Message,
    content: bool,
) -> Report {
    let history = message.attempts_so_far();
    let mut json = json!({
        "id": message.id, "conversation_id": id, "seq": message.seq, "channel": conversation.channel,
        "sender_id": message.sender, "created_at": message.created_at, "month": message.month, "shard": message.shard,
        "status": message.status, "attempts": message.attempts, "unknown_outcomes": message.unknown_outcomes,
        "attempted_at": message.attempted_at, "provider_id": message.provider_id, "sent_at": message.sent_at,
        "delivered_at": message.delivered_at, "read_at": message.read_at, "failed_at": message.failed_at,
        "error": message.error, "correlation_id": message.correlation_id, "history": &history, "parts": message.parts,
        "conversation": {
            "seq": conversation.seq, "settled_seq": conversation.settled_seq, "due": conversation.due,
            "not_before": conversation.not_before, "lease_until": conversation.lease_until, "fence": conversation.fence,
        },
    });
    let at = |time_of: Option<chrono::DateTime<chrono::Utc>>| or_dash(time_of.map(time));
    let mut fields = vec![
        ("message", message.id.to_string()),
        (
            "conversation",
            format!("{id}, settled {} of {}", conversation.settled_seq, conversation.seq),
        ),
        ("seq", message.seq.to_string()),
        ("channel", conversation.channel.clone()),
        ("status", word(message.status)),
        ("accepted", time(message.created_at)),
        ("counted", format!("in {} on shard {}", message.month, message.shard)),
        ("sent", at(message.sent_at)),
        ("delivered", at(message.delivered_at)),
        ("read", at(message.read_at)),
        ("failed", at(message.failed_at)),
        (
            "error",
            or_dash(
                message.error.as_ref().map(|reason| format!("{}: {}", reason.code, reason.detail)),
            ),
        ),
        ("correlation id", or_dash(message.correlation_id.as_ref())),
        ("attempts", message.attempts.to_string()),
        ("due", at(conversation.due)),
        ("held until", at(conversation.lease_until)),
    ];
    if content {
        json["content"] = message.content.clone().into();
        json["recipient"] = conversation.recipient.clone().into();
        json["attachments"] = json!(message.attachments);
        fields.push(("to", conversation.recipient.clone()));
        fields.push(("content", message.content.clone()));
    }
    let attempts = history.into_iter().map(|one| {
        let reason =
            one.reason.as_ref().map(|reason| format!("{}: {}", reason.code, reason.detail));
        [one.attempt.to_string(), time(one.at), word(one.outcome), or_dash(reason)]
    });
    let attempts = attempts.collect();
    Report::of(json).fields(fields).table(["attempt", "at", "outcome", "reason"], attempts)
}

/// Two ids, or the API's URL or path, which has both.
fn address(place: &[String]) -> Result<(ConversationId, MessageId), Failure> {
    let wrong = || {
        Failure::new(
            "CONVERSATION MESSAGE: two ids, or a path such as /api/v1/conversations/{conversation}/messages/{message}",
        )
    };
    let (conversation, message) = match place {
        [conversation, message] => (conversation.as_str(), message.as_str()),
        [path] => {
            let (before, message) =
                path.trim_end_matches('/').split_once("/messages/").ok_or_else(wrong)?;
            (before.rsplit_once("/conversations/").ok_or_else(wrong)?.1, message)
        }
        _ => return Err(wrong()),
    };
    Ok((conversation.parse().map_err(|_| wrong())?, message.parse().map_err(|_| wrong())?))
}
