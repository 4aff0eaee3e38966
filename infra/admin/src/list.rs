//! What needs somebody: conversations that stand still, messages in doubt, messages that failed.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::Failure;
use crate::command_line::{OfMessages, Stuck};
use crate::place::Place;
use crate::report::{Progress, Report, or_dash, time, word};
use domain::delivery::Status;
use domain::{BusinessId, Channel, ConversationId, Seq};
use platform::table::record::{Conversation, Message};
use platform::table::{DueConversation, FoundMessage, MessageFilter, key};

/// Conversations in the outbox that have been due for too long.
pub(crate) async fn stuck(
    place: &Place,
    args: &Stuck,
    progress: &Progress,
) -> Result<Report, Failure> {
    let since = place.now() - TimeDelta::minutes(args.minutes.into());
    let mut due = outbox(place, args.business, Some(since), progress).await?;
    due.sort_by_key(|(_, one)| one.since);
    let (mut json, mut rows) = (Vec::new(), Vec::new());
    for (channel, one) in due {
        // The index is a moment behind: what has gone out meanwhile is not stuck.
        let conversation = place.table.conversation(one.business, one.conversation).await?;
        let Some(conversation) = conversation.filter(|now| now.due.is_some_and(|due| due <= since))
        else {
            continue;
        };
        let waiting = conversation.seq.0 - conversation.settled_seq.0;
        json.push(json!({
            "business_id": one.business, "conversation_id": one.conversation, "channel": channel,
            "due_since": one.since, "waiting": waiting, "held_until": conversation.lease_until,
        }));
        rows.push([
            one.business.to_string(),
            one.conversation.to_string(),
            channel.to_string(),
            time(one.since),
            waiting.to_string(),
            or_dash(conversation.lease_until.map(time)),
        ]);
    }
    let found = rows.len();
    let sentence = match found {
        0 => format!("Nothing has been due for longer than {} minutes.", args.minutes),
        some => {
            format!("{some} conversations stand still: look for their worker's errors in the log.")
        }
    };
    Ok(Report::of(json!({"stuck": json}))
        .table(["business", "conversation", "channel", "due since", "waiting", "held until"], rows)
        .line(sentence)
        .alarming(found > 0))
}

/// What the outbox promises to look at, of one business or of all: what was due at `until`, or
/// everything.
async fn outbox(
    place: &Place,
    business: Option<BusinessId>,
    until: Option<DateTime<Utc>>,
    progress: &Progress,
) -> Result<Vec<(Channel, DueConversation)>, Failure> {
    if let Some(business) = business {
        place.plan_of(business).await?;
    }
    let mut found = Vec::new();
    for channel in Channel::ALL {
        for bucket in key::outbox_buckets(channel) {
            let mut page = None;
            loop {
                let (some, next) = match until {
                    Some(until) => place.table.due(&bucket, until, page).await?,
                    None => place.table.unsettled(&bucket, page).await?,
                };
                progress.more(some.len(), "conversations in the outbox");
                let meant =
                    some.into_iter().filter(|one| business.is_none_or(|only| only == one.business));
                found.extend(meant.map(|one| (channel, one)));
                page = next;
                if page.is_none() {
                    break;
                }
            }
        }
    }
    Ok(found)
}

/// Messages of which nobody knows whether they arrived. Only the first message that is not settled
/// is ever handed over, and its conversation stays in the outbox until it is: so none has to be
/// looked for anywhere else.
pub(crate) async fn in_doubt(
    place: &Place,
    args: &OfMessages,
    progress: &Progress,
) -> Result<Report, Failure> {
    let conversations: Vec<_> = match (args.business, args.conversation) {
        (Some(business), Some(conversation)) => vec![(business, conversation)],
        (business, _) => {
            let all = outbox(place, business, None, progress).await?;
            all.into_iter().map(|(_, one)| (one.business, one.conversation)).collect()
        }
    };
    let mut found = Vec::new();
    for (business, id) in conversations {
        let conversation = match args.conversation {
            Some(_) => Some(place.conversation_of(business, id).await?),
            None => place.table.conversation(business, id).await?,
        };
        let Some(Conversation { settled_seq, .. }) = conversation else { continue };
        let (next, _) = place.table.messages_after(business, id, settled_seq, 1).await?;
        progress.more(1, "conversations read");
        let doubtful = next.into_iter().filter(|message| message.status == Status::InDoubt);
        found.extend(doubtful.map(|message| counted(business, id, message)));
    }
    Ok(report(found, Status::InDoubt))
}

/// Messages that will not be delivered.
pub(crate) async fn failed(
    place: &Place,
    args: &OfMessages,
    progress: &Progress,
) -> Result<Report, Failure> {
    let found = match (args.business, args.conversation) {
        (Some(business), Some(conversation)) => {
            failed_in(place, business, conversation, progress).await?
        }
        (business, _) => {
            if let Some(business) = business {
                place.plan_of(business).await?;
            }
            let sought = MessageFilter { business, month: None, status: Some(Status::Failed) };
            let (mut found, mut page) = (Vec::new(), None);
            loop {
                let (some, read, next) = place.table.census(sought, page).await?;
                found.extend(some);
                progress.more(read, "items read");
                page = next;
                if page.is_none() {
                    break found;
                }
            }
        }
    };
    Ok(report(found, Status::Failed))
}

async fn failed_in(
    place: &Place,
    business: BusinessId,
    id: ConversationId,
    progress: &Progress,
) -> Result<Vec<FoundMessage>, Failure> {
    place.conversation_of(business, id).await?;
    let (mut found, mut after) = (Vec::new(), Seq(0));
    loop {
        let (messages, more) = place.table.messages_after(business, id, after, 100).await?;
        after = messages.last().map_or(after, |last| last.seq);
        progress.more(messages.len(), "messages read");
        let failed = messages.into_iter().filter(|message| message.status == Status::Failed);
        found.extend(failed.map(|message| counted(business, id, message)));
        if !more {
            return Ok(found);
        }
    }
}

fn counted(business: BusinessId, conversation: ConversationId, message: Message) -> FoundMessage {
    FoundMessage {
        business,
        conversation,
        id: message.id,
        seq: message.seq,
        month: message.month,
        created_at: message.created_at,
        status: message.status,
        attempts: message.attempts,
        error: message.error,
    }
}

fn report(mut found: Vec<FoundMessage>, status: Status) -> Report {
    found.sort_by_key(|one| (one.business, one.conversation, one.seq));
    let json = found.iter().map(|one| {
        json!({
            "business_id": one.business, "conversation_id": one.conversation, "id": one.id, "seq": one.seq,
            "created_at": one.created_at, "attempts": one.attempts, "error": one.error,
        })
    });
    let rows = found.iter().map(|one| {
        let reason = one.error.as_ref().map(|reason| reason.code.clone());
        [
            one.business.to_string(),
            one.conversation.to_string(),
            one.seq.to_string(),
            one.id.to_string(),
            time(one.created_at),
            one.attempts.to_string(),
            or_dash(reason),
        ]
    });
    Report::of(json!({"status": status, "messages": json.collect::<Vec<_>>()}))
        .table(
            ["business", "conversation", "seq", "message", "accepted", "attempts", "error"],
            rows.collect(),
        )
        .line(format!("{} messages are {}.", found.len(), word(status)))
        .alarming(!found.is_empty())
}
