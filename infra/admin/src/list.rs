//! Lists of what needs attention: stuck conversations, messages in doubt, messages that failed.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::command_line::{ChannelListArgs, ListFailed, ListStuck, MessageListArgs, Since};
use crate::failure::Failure;
use crate::names::BusinessNames;
use crate::report::{Progress, Report, or_dash, time, wire_name, with_provider_code};
use crate::target::Target;
use domain::delivery::{Reason, Status};
use domain::{BusinessId, Channel, ConversationId, MessageId, Seq};
use platform::table::record::Conversation;
use platform::table::{
    DueConversation, ExceptionPlace, ExceptionSearch, MessageList, StoredMessage, key,
};

/// A message as it is listed: all but its content, of which there may be too much to hold.
struct FoundMessage {
    business_id: BusinessId,
    conversation_id: ConversationId,
    message_id: MessageId,
    seq: Seq,
    created_at: DateTime<Utc>,
    attempts: u32,
    failed_at: Option<DateTime<Utc>>,
    /// Why the provider did not take it, or why it was given up.
    error: Option<Reason>,
    /// Why the last attempt did not succeed.
    last_reason: Option<Reason>,
}

/// How many messages or conversations are read at once: as many as one
/// [BatchGetItem](https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html)
/// reads.
const READ_AT_ONCE: usize = 100;

/// Lists conversations in the outbox that have been due for too long.
pub(crate) async fn stuck(
    target: &Target,
    args: &ListStuck,
    progress: &Progress,
) -> Result<Report, Failure> {
    let stuck_since = target.now() - TimeDelta::minutes(args.minutes.into());
    let mut entries = read_outbox(target, &args.only, Some(stuck_since), progress).await?;
    entries.sort_by_key(|(_, entry)| entry.since);

    let mut conversations = HashMap::new();
    for chunk in entries.chunks(READ_AT_ONCE) {
        let due = chunk.iter().map(|(_, entry)| *entry);
        conversations.extend(target.table.conversations(due).await?);
    }

    let business_ids = entries.iter().map(|(_, entry)| entry.business_id);
    let names = BusinessNames::read(target, business_ids).await?;
    let mut json = Vec::new();
    let mut rows = Vec::new();
    for (channel, entry) in entries {
        // The index lags behind the table: a conversation that was sent meanwhile is not stuck.
        let record: Option<Conversation> = conversations.remove(&entry.conversation_id);
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

/// Reads the outbox entries of the businesses and channels that are asked for: those due at
/// `until`, or every entry.
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
                    Some(until) => target.table.due(&bucket, until, None, cursor).await?,
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

/// Lists messages in doubt.
pub(crate) async fn in_doubt(
    target: &Target,
    args: &MessageListArgs,
    progress: &Progress,
) -> Result<Report, Failure> {
    list_exceptions(target, args, Status::InDoubt, None, progress).await
}

/// Lists messages that failed for good.
pub(crate) async fn failed(
    target: &Target,
    args: &ListFailed,
    progress: &Progress,
) -> Result<Report, Failure> {
    let since = args.since.map(|since: Since| since.at(target.now()));
    list_exceptions(target, &args.messages, Status::Failed, since, progress).await
}

/// Lists the messages with a status: those of one conversation by reading it, all others by the
/// index that such messages are in.
async fn list_exceptions(
    target: &Target,
    args: &MessageListArgs,
    status: Status,
    since: Option<DateTime<Utc>>,
    progress: &Progress,
) -> Result<Report, Failure> {
    let MessageListArgs { only: ChannelListArgs { business_id, channel }, conversation_id } = *args;
    let search = ExceptionSearch {
        status,
        channel,
        since: since.unwrap_or(DateTime::UNIX_EPOCH),
        before: ExceptionPlace::END,
    };
    let found = match (business_id, conversation_id) {
        (Some(business_id), Some(conversation_id)) => {
            let conversation = target.conversation_of(business_id, conversation_id).await?;
            let is_on = |channel| conversation.channel.supported() == Ok(channel);
            match channel.is_none_or(is_on) {
                true => {
                    read_conversation(target, business_id, conversation_id, &search, progress)
                        .await?
                }
                false => Vec::new(),
            }
        }
        (Some(business_id), None) => {
            target.plan_of(business_id).await?;
            read_business(target, business_id, search, progress).await?
        }
        (None, _) => read_all(target, &search, progress).await?,
    };

    report(target, found, status).await
}

/// Reads the exceptions of one business.
async fn read_business(
    target: &Target,
    business_id: BusinessId,
    mut search: ExceptionSearch,
    progress: &Progress,
) -> Result<Vec<FoundMessage>, Failure> {
    let mut found = Vec::new();
    loop {
        let page = target.table.exceptions(business_id, &search, READ_AT_ONCE).await?;
        progress.advance(page.messages.len(), "messages read");

        found.extend(page.messages.into_iter().map(|(_, stored)| found_message(stored)));
        if !page.has_more {
            return Ok(found);
        }
        search.before = page.read_up_to;
    }
}

/// Reads the exceptions of all businesses.
async fn read_all(
    target: &Target,
    search: &ExceptionSearch,
    progress: &Progress,
) -> Result<Vec<FoundMessage>, Failure> {
    let mut found = Vec::new();
    let mut cursor = None;
    loop {
        let page = target.table.operator().all_exceptions(search, cursor).await?;
        progress.advance(page.items_read, "entries read");

        found.extend(page.records.into_iter().map(|(_, stored)| found_message(stored)));
        cursor = page.end;
        if cursor.is_none() {
            return Ok(found);
        }
    }
}

/// Reads the exceptions of one conversation, whatever channel it is on.
async fn read_conversation(
    target: &Target,
    business_id: BusinessId,
    conversation_id: ConversationId,
    search: &ExceptionSearch,
    progress: &Progress,
) -> Result<Vec<FoundMessage>, Failure> {
    let mut found = Vec::new();
    let mut after = Seq(0);
    loop {
        let MessageList { messages, has_more } =
            target.table.messages_after(business_id, conversation_id, after, 100).await?;
        after = messages.last().map_or(after, |last| last.seq);
        progress.advance(messages.len(), "messages read");

        let sought = messages.into_iter().filter(|message| {
            let since = message.failed_at.unwrap_or(message.created_at);
            message.status == search.status && search.since <= since
        });
        let stored = sought.map(|message| StoredMessage { business_id, conversation_id, message });
        found.extend(stored.map(found_message));

        if !has_more {
            return Ok(found);
        }
    }
}

fn found_message(stored: StoredMessage) -> FoundMessage {
    let StoredMessage { business_id, conversation_id, message } = stored;
    FoundMessage {
        business_id,
        conversation_id,
        message_id: message.id,
        seq: message.seq,
        created_at: message.created_at,
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
