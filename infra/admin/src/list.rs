//! Lists of what needs attention: stuck conversations, messages in doubt, messages that failed.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::command_line::{ListStuck, MessageListArgs};
use crate::failure::Failure;
use crate::report::{Progress, Report, or_dash, time, wire_name};
use crate::target::Target;
use domain::delivery::Status;
use domain::{BusinessId, Channel, ConversationId, Seq};
use platform::table::record::{Conversation, Message};
use platform::table::{DueConversation, FoundMessage, MessageFilter, MessagesAfter, key};

/// Lists conversations in the outbox that have been due for too long.
pub(crate) async fn stuck(
    target: &Target,
    args: &ListStuck,
    progress: &Progress,
) -> Result<Report, Failure> {
    let stuck_since = target.now() - TimeDelta::minutes(args.minutes.into());
    let mut entries = read_outbox(target, args.business_id, Some(stuck_since), progress).await?;
    entries.sort_by_key(|(_, entry)| entry.since);

    let mut json = Vec::new();
    let mut rows = Vec::new();
    for (channel, entry) in entries {
        // The index lags behind the table: a conversation that was sent meanwhile is not stuck.
        let record = target.table.conversation(entry.business_id, entry.conversation_id).await?;
        let still_due = |record: &Conversation| record.due.is_some_and(|due| due <= stuck_since);
        let Some(conversation) = record.filter(still_due) else {
            continue;
        };

        let waiting = conversation.seq.0 - conversation.settled_seq.0;
        json.push(json!({
            "business_id": entry.business_id, "conversation_id": entry.conversation_id,
            "channel": channel, "due_since": entry.since, "waiting": waiting,
            "held_until": conversation.lease_until,
        }));

        rows.push([
            entry.business_id.to_string(),
            entry.conversation_id.to_string(),
            channel.to_string(),
            time(entry.since),
            waiting.to_string(),
            or_dash(conversation.lease_until.map(time)),
        ]);
    }

    let count = rows.len();
    let sentence = match count {
        0 => format!("Nothing has been due for longer than {} minutes.", args.minutes),
        _ => format!("{count} conversations are stuck: look for their worker's errors in the log."),
    };

    Ok(Report::new(json!({"stuck": json}))
        .table(["business", "conversation", "channel", "due since", "waiting", "held until"], rows)
        .text(sentence)
        .found_problems(count > 0))
}

/// Reads the outbox entries of one business or of all: those due at `until`, or every entry.
async fn read_outbox(
    target: &Target,
    business_id: Option<BusinessId>,
    until: Option<DateTime<Utc>>,
    progress: &Progress,
) -> Result<Vec<(Channel, DueConversation)>, Failure> {
    if let Some(business_id) = business_id {
        target.plan_of(business_id).await?;
    }

    let is_selected =
        |entry: &DueConversation| business_id.is_none_or(|only| only == entry.business_id);
    let mut selected = Vec::new();
    for channel in Channel::ALL {
        for bucket in key::outbox_buckets(channel) {
            let mut cursor = None;
            loop {
                let page = match until {
                    Some(until) => target.table.due(&bucket, until, cursor).await?,
                    None => target.table.unsettled(&bucket, cursor).await?,
                };
                progress.advance(page.records.len(), "conversations in the outbox");

                let entries = page.records.into_iter().filter(is_selected);
                selected.extend(entries.map(|entry| (channel, entry)));

                cursor = page.end;
                if cursor.is_none() {
                    break;
                }
            }
        }
    }

    Ok(selected)
}

/// Lists messages in doubt. Workers send only the first message of a conversation that is not
/// settled, and the conversation stays in the outbox until that message is: so every message in
/// doubt is the next one of a conversation in the outbox.
pub(crate) async fn in_doubt(
    target: &Target,
    args: &MessageListArgs,
    progress: &Progress,
) -> Result<Report, Failure> {
    let conversations: Vec<_> = match (args.business_id, args.conversation_id) {
        (Some(business_id), Some(conversation_id)) => vec![(business_id, conversation_id)],
        (business_id, _) => read_outbox(target, business_id, None, progress)
            .await?
            .into_iter()
            .map(|(_, entry)| (entry.business_id, entry.conversation_id))
            .collect(),
    };

    let mut found = Vec::new();
    for (business_id, conversation_id) in conversations {
        let conversation = match args.conversation_id {
            Some(_) => Some(target.conversation_of(business_id, conversation_id).await?),
            None => target.table.conversation(business_id, conversation_id).await?,
        };
        let Some(Conversation { settled_seq, .. }) = conversation else { continue };

        let next =
            target.table.messages_after(business_id, conversation_id, settled_seq, 1).await?;
        progress.advance(1, "conversations read");

        found.extend(
            next.messages
                .into_iter()
                .filter(|message| message.status == Status::InDoubt)
                .map(|message| found_message(business_id, conversation_id, message)),
        );
    }

    Ok(report(found, Status::InDoubt))
}

/// Lists messages that failed for good.
pub(crate) async fn failed(
    target: &Target,
    args: &MessageListArgs,
    progress: &Progress,
) -> Result<Report, Failure> {
    let found = match (args.business_id, args.conversation_id) {
        (Some(business_id), Some(conversation_id)) => {
            read_failed_of(target, business_id, conversation_id, progress).await?
        }
        (business_id, _) => {
            if let Some(business_id) = business_id {
                target.plan_of(business_id).await?;
            }
            read_failed(target, business_id, progress).await?
        }
    };

    Ok(report(found, Status::Failed))
}

/// Reads the failed messages of one business or of all from the whole table.
async fn read_failed(
    target: &Target,
    business_id: Option<BusinessId>,
    progress: &Progress,
) -> Result<Vec<FoundMessage>, Failure> {
    let filter = MessageFilter { business_id, month: None, status: Some(Status::Failed) };

    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let page = target.table.operator().census(filter, cursor).await?;
        found.extend(page.records);
        progress.advance(page.items_read, "items read");

        cursor = page.end;
        if cursor.is_none() {
            return Ok(found);
        }
    }
}

/// Reads the failed messages of one conversation.
async fn read_failed_of(
    target: &Target,
    business_id: BusinessId,
    conversation_id: ConversationId,
    progress: &Progress,
) -> Result<Vec<FoundMessage>, Failure> {
    target.conversation_of(business_id, conversation_id).await?;

    let mut found = Vec::new();
    let mut after = Seq(0);
    loop {
        let MessagesAfter { messages, has_more } =
            target.table.messages_after(business_id, conversation_id, after, 100).await?;
        after = messages.last().map_or(after, |last| last.seq);
        progress.advance(messages.len(), "messages read");

        found.extend(
            messages
                .into_iter()
                .filter(|message| message.status == Status::Failed)
                .map(|message| found_message(business_id, conversation_id, message)),
        );

        if !has_more {
            return Ok(found);
        }
    }
}

fn found_message(
    business_id: BusinessId,
    conversation_id: ConversationId,
    message: Message,
) -> FoundMessage {
    FoundMessage {
        business_id,
        conversation_id,
        message_id: message.id,
        seq: message.seq,
        month: message.month,
        created_at: message.created_at,
        status: message.status,
        attempts: message.attempts,
        error: message.error,
    }
}

fn report(mut messages: Vec<FoundMessage>, status: Status) -> Report {
    messages.sort_by_key(|message| (message.business_id, message.conversation_id, message.seq));

    let json: Vec<_> = messages
        .iter()
        .map(|message| {
            json!({
                "business_id": message.business_id, "conversation_id": message.conversation_id,
                "id": message.message_id, "seq": message.seq, "created_at": message.created_at,
                "attempts": message.attempts, "error": message.error,
            })
        })
        .collect();

    let rows = messages
        .iter()
        .map(|message| {
            [
                message.business_id.to_string(),
                message.conversation_id.to_string(),
                message.seq.to_string(),
                message.message_id.to_string(),
                time(message.created_at),
                message.attempts.to_string(),
                or_dash(message.error.as_ref().map(|reason| reason.code.clone())),
            ]
        })
        .collect();

    Report::new(json!({"status": status, "messages": json}))
        .table(
            ["business", "conversation", "seq", "message", "accepted", "attempts", "error"],
            rows,
        )
        .text(format!("{} messages are {}.", messages.len(), wire_name(status)))
        .found_problems(!messages.is_empty())
}
