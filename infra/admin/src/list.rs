//! What needs somebody: conversations that stand still, messages in doubt, messages that failed.

use crate::Failure;
use crate::command_line::{OfMessages, Stuck};
use crate::place::Place;
use crate::report::{Progress, Report, or_dash, time, word};
use chrono::TimeDelta;
use domain::delivery::Status;
use domain::{Channel, Seq};
use platform::table::{Counted, Sought, key};
use serde_json::json;

/// Conversations in the outbox that have been due for too long.
pub(crate) async fn stuck(place: &Place, args: &Stuck, progress: &Progress) -> Result<Report, Failure> {
    let since = place.now() - TimeDelta::minutes(args.minutes.into());
    let mut due = Vec::new();
    for channel in Channel::ALL {
        for bucket in key::outbox_buckets(channel) {
            let mut page = None;
            loop {
                let (some, next) = place.table.due(&bucket, since, page).await?;
                progress.more(some.len(), "conversations due");
                due.extend(some.into_iter().map(|one| (channel, one)));
                page = next;
                if page.is_none() {
                    break;
                }
            }
        }
    }
    due.sort_by_key(|(_, one)| one.since);
    let (mut json, mut rows) = (Vec::new(), Vec::new());
    for (channel, one) in due {
        // The index is a moment behind: what has gone out meanwhile is not stuck.
        let conversation = place.table.conversation(one.business, one.conversation).await?;
        let Some(conversation) = conversation.filter(|now| now.due.is_some_and(|due| due <= since)) else { continue };
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
        some => format!("{some} conversations stand still: look for their worker's errors in the log."),
    };
    Ok(Report::of(json!({"stuck": json}))
        .table(["business", "conversation", "channel", "due since", "waiting", "held until"], rows)
        .line(sentence)
        .alarming(found > 0))
}

/// Messages of which nobody knows whether they arrived.
pub(crate) async fn in_doubt(place: &Place, args: &OfMessages, progress: &Progress) -> Result<Report, Failure> {
    messages(place, args, Status::InDoubt, progress).await
}

/// Messages that will not be delivered.
pub(crate) async fn failed(place: &Place, args: &OfMessages, progress: &Progress) -> Result<Report, Failure> {
    messages(place, args, Status::Failed, progress).await
}

async fn messages(place: &Place, args: &OfMessages, status: Status, progress: &Progress) -> Result<Report, Failure> {
    let mut found = match (args.business, args.conversation) {
        (Some(business), Some(conversation)) => {
            let (mut found, mut after) = (Vec::new(), Seq(0));
            loop {
                let (messages, more) = place.table.messages_after(business, conversation, after, 100).await?;
                after = messages.last().map_or(after, |last| last.seq);
                progress.more(messages.len(), "messages read");
                found.extend(messages.into_iter().filter(|message| message.status == status).map(|message| Counted {
                    business,
                    conversation,
                    id: message.id,
                    seq: message.seq,
                    month: message.month,
                    created_at: message.created_at,
                    status: message.status,
                    attempts: message.attempts,
                    error: message.error,
                }));
                if !more {
                    break found;
                }
            }
        }
        (business, _) => {
            let sought = Sought { business, month: None, status: Some(status) };
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
    found.sort_by_key(|one| (one.business, one.conversation, one.seq));
    Ok(report(&found, status))
}

fn report(found: &[Counted], status: Status) -> Report {
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
        .table(["business", "conversation", "seq", "message", "accepted", "attempts", "error"], rows.collect())
        .line(format!("{} messages are {}.", found.len(), word(status)))
        .alarming(!found.is_empty())
}
