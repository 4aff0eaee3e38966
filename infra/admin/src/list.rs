//! Lists of what needs attention: stuck conversations, messages in doubt, messages that failed.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::command_line::{ChannelListArgs, ListFailed, ListStuck, MessageListArgs, Since};
use crate::failure::Failure;
use crate::names::BusinessNames;
use crate::report::{Progress, Report, or_dash, time, wire_name, with_provider_code};
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
    let mut entries = read_outbox(target, &args.only, Some(stuck_since), progress).await?;
    entries.sort_by_key(|(_, entry)| entry.since);

    let business_ids = entries.iter().map(|(_, entry)| entry.business_id);
    let names = BusinessNames::read(target, business_ids).await?;
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
            "business_id": entry.business_id, "business_name": names.name(entry.business_id),
            "conversation_id": entry.conversation_id, "channel": channel, "due_since": entry.since, "waiting": waiting,
            "held_until": conversation.lease_until,
        }));

        rows.push([
            entry.business_id.to_string(),
            names.cell(entry.business_id),
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
        .table(
            ["business", "name", "conversation", "channel", "due since", "waiting", "held until"],
            rows,
        )
        .text(sentence)
        .found_problems(count > 0))
}

/// Reads the outbox entries of the businesses and channels that are asked for: those due at `until`,
/// or every entry.
pub(crate) async fn read_outbox(
    target: &Target,
    only: &ChannelListArgs,
    until: Option<DateTime<Utc>>,
    progress: &Progress,
) -> Result<Vec<(Channel, DueConversation)>, Failure> {
    let ChannelListArgs { business_id, channel } = *only;
    if let Some(business_id) = business_id {
        target.plan_of(business_id).await?;
    }

    let is_selected =
        |entry: &DueConversation| business_id.is_none_or(|only| only == entry.business_id);
    let channels =
        Channel::ALL.into_iter().filter(|one| channel.is_none_or(|channel| channel == *one));
    let mut selected = Vec::new();
    for channel in channels {
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
    let conversations: Vec<_> = match (args.only.business_id, args.conversation_id) {
        (Some(business_id), Some(conversation_id)) => vec![(business_id, conversation_id)],
        _ => read_outbox(target, &args.only, None, progress)
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
        let Some(Conversation { settled_seq, .. }) =
            conversation.filter(|conversation| is_on(conversation, args.only.channel))
        else {
            continue;
        };

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

    report(target, found, Status::InDoubt).await
}

/// Lists messages that failed for good.
pub(crate) async fn failed(
    target: &Target,
    args: &ListFailed,
    progress: &Progress,
) -> Result<Report, Failure> {
    let ListFailed { messages: MessageListArgs { only, conversation_id }, since } = args;
    let mut found = match (only.business_id, *conversation_id) {
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

    if let Some(since) = since.map(|since: Since| since.at(target.now())) {
        found.retain(|message| message.failed_at.unwrap_or(message.created_at) >= since);
    }
    if let Some(channel) = only.channel {
        found = keep_channel(target, found, channel).await?;
    }

    report(target, found, Status::Failed).await
}

/// Keeps the messages whose conversations are on a channel; only the conversations know it.
async fn keep_channel(
    target: &Target,
    messages: Vec<FoundMessage>,
    channel: Channel,
) -> Result<Vec<FoundMessage>, Failure> {
    let mut known: BTreeMap<(BusinessId, ConversationId), bool> = BTreeMap::new();
    let mut kept = Vec::new();
    for message in messages {
        let FoundMessage { business_id, conversation_id, .. } = message;
        let is_kept = match known.get(&(business_id, conversation_id)) {
            Some(is_kept) => *is_kept,
            None => {
                let conversation = target.table.conversation(business_id, conversation_id).await?;
                conversation.is_some_and(|conversation| is_on(&conversation, Some(channel)))
            }
        };

        known.insert((business_id, conversation_id), is_kept);
        if is_kept {
            kept.push(message);
        }
    }

    Ok(kept)
}

/// Returns true if a conversation is on the channel that is asked for, if one is.
fn is_on(conversation: &Conversation, channel: Option<Channel>) -> bool {
    channel.is_none_or(|channel| conversation.channel.supported() == Ok(channel))
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
        failed_at: message.failed_at,
        last_reason: message.history.last_reason(),
        error: message.error,
    }
}

async fn report(
    target: &Target,
    mut messages: Vec<FoundMessage>,
    status: Status,
) -> Result<Report, Failure> {
    messages.sort_by_key(|message| (message.business_id, message.conversation_id, message.seq));
    let business_ids = messages.iter().map(|message| message.business_id);
    let names = BusinessNames::read(target, business_ids).await?;

    let json: Vec<_> = messages
        .iter()
        .map(|message| {
            let reason = message.error.as_ref();
            let last = message.last_reason.as_ref().or(reason);
            json!({
                "business_id": message.business_id,
                "business_name": names.name(message.business_id),
                "conversation_id": message.conversation_id, "message_id": message.message_id,
                "seq": message.seq, "created_at": message.created_at,
                "failed_at": message.failed_at, "attempts": message.attempts,
                "reason": reason.map(|reason| &reason.code),
                "last_reason": last.map(|last| &last.code),
                "detail": last.map(|last| &last.detail),
                "provider_code": last.and_then(|last| last.provider_code.as_ref()),
            })
        })
        .collect();

    let rows = messages
        .iter()
        .map(|message| {
            let reason = message.error.as_ref();
            let last = message.last_reason.as_ref().or(reason);
            [
                message.business_id.to_string(),
                names.cell(message.business_id),
                message.conversation_id.to_string(),
                message.seq.to_string(),
                message.message_id.to_string(),
                time(message.failed_at.unwrap_or(message.created_at)),
                message.attempts.to_string(),
                or_dash(reason.map(|reason| &reason.code)),
                last.map_or_else(String::new, |last| {
                    with_provider_code(&last.code, last.provider_code.as_deref())
                }),
            ]
        })
        .collect();

    let since = if status == Status::Failed { "failed" } else { "accepted" };
    let heading = [
        "business",
        "name",
        "conversation",
        "seq",
        "message",
        since,
        "attempts",
        "reason",
        "last attempt",
    ];
    Ok(Report::new(json!({"status": status, "messages": json}))
        .table(heading, rows)
        .text(format!("{} messages are {}.", messages.len(), wire_name(status)))
        .found_problems(!messages.is_empty()))
}
