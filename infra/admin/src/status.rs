//! The system on one screen: what waits, what is paused, what was given up.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use crate::command_line::ChannelListArgs;
use crate::failure::Failure;
use crate::inventory::{channel_json, channel_table, paused_until};
use crate::list::read_outbox;
use crate::names::BusinessNames;
use crate::report::{Progress, Report, or_dash, time};
use crate::target::Target;
use domain::{Channel, ChannelId};
use platform::queue::QueueDepth;
use platform::table::FoundChannel;

/// How long a conversation is due before it is a problem, as in the alarms `…StandsStill`.
const STUCK_AFTER: TimeDelta = TimeDelta::minutes(10);

/// How many pages of the table are searched for paused channels, of 1 MB each. Of a larger table,
/// the channels are read of the businesses whose messages wait.
const MAX_PAGES: usize = 10;

/// The counts of one channel.
#[derive(Debug, Default)]
struct ChannelStatus {
    unsettled: usize,
    due: usize,
    due_since: Option<DateTime<Utc>>,
    dead_letters: usize,
    paused: usize,
}

/// Shows the system on one screen.
pub(crate) async fn run(target: &Target, progress: &Progress) -> Result<Report, Failure> {
    let now = target.now();
    let everything = ChannelListArgs { business_id: None, channel: None };
    let outbox = read_outbox(target, &everything, None, progress).await?;
    let mut channels: BTreeMap<Channel, ChannelStatus> =
        Channel::ALL.into_iter().map(|channel| (channel, ChannelStatus::default())).collect();

    for (channel, entry) in &outbox {
        let status = channels.entry(*channel).or_default();
        status.unsettled += 1;
        if entry.since <= now {
            status.due += 1;
            let oldest = status.due_since.map_or(entry.since, |oldest| oldest.min(entry.since));
            status.due_since = Some(oldest);
        }
    }

    for (channel, status) in &mut channels {
        let QueueDepth { visible, hidden } = target.dead_letter_queue(*channel)?.depth().await?;
        status.dead_letters = visible + hidden;
    }

    let businesses = outbox.iter().map(|(_, entry)| entry.business_id);
    let (paused, is_complete) = read_paused(target, businesses.collect(), progress).await?;
    for channel in &paused {
        channels.entry(channel.record.settings.channel()).or_default().paused += 1;
    }

    report(target, &channels, &paused, is_complete).await
}

/// Returns the channels that are paused, and whether all channels were read.
async fn read_paused(
    target: &Target,
    mut businesses: Vec<domain::BusinessId>,
    progress: &Progress,
) -> Result<(Vec<FoundChannel>, bool), Failure> {
    let now = target.now();
    let mut found: BTreeMap<ChannelId, FoundChannel> = BTreeMap::new();

    let mut cursor = None;
    let mut is_complete = false;
    for _ in 0..MAX_PAGES {
        let page = target.table.operator().channels(None, cursor).await?;
        progress.advance(page.items_read, "items read");
        found.extend(page.records.into_iter().map(|channel| (channel.channel_id, channel)));

        cursor = page.end;
        is_complete = cursor.is_none();
        if is_complete {
            break;
        }
    }

    businesses.sort_unstable();
    businesses.dedup();
    for business_id in businesses.into_iter().filter(|_| !is_complete) {
        let channels = target.channels(Some(business_id), progress).await?;
        found.extend(channels.into_iter().map(|channel| (channel.channel_id, channel)));
    }

    let paused = found.into_values().filter(|channel| paused_until(channel, now).is_some());
    Ok((paused.collect(), is_complete))
}

async fn report(
    target: &Target,
    channels: &BTreeMap<Channel, ChannelStatus>,
    paused: &[FoundChannel],
    is_complete: bool,
) -> Result<Report, Failure> {
    let now = target.now();
    let names = BusinessNames::read(target, paused.iter().map(|one| one.business_id)).await?;

    let queues: Vec<_> = channels
        .iter()
        .map(|(channel, status)| {
            json!({
                "channel": channel, "unsettled": status.unsettled, "due": status.due,
                "due_since": status.due_since, "paused": status.paused,
                "dead_letters": status.dead_letters,
            })
        })
        .collect();
    let rows = channels
        .iter()
        .map(|(channel, status)| {
            [
                channel.to_string(),
                status.unsettled.to_string(),
                status.due.to_string(),
                or_dash(status.due_since.map(time)),
                status.paused.to_string(),
                status.dead_letters.to_string(),
            ]
        })
        .collect();

    let is_stuck =
        |status: &ChannelStatus| status.due_since.is_some_and(|since| now - since >= STUCK_AFTER);
    let stuck = channels.values().any(is_stuck);
    let dead_letters = channels.values().any(|status| status.dead_letters > 0);
    let advice = [
        (stuck, "Conversations are due for over 10 minutes: `list stuck`."),
        (!paused.is_empty(), "Channels are paused: `channel show`, `channel resume`."),
        (dead_letters, "Messages or doorbells were given up: `dead-letters inspect`."),
        (!is_complete, "Only the table's beginning was searched for pauses: `list paused`."),
    ];
    let found_problems = stuck || dead_letters || !paused.is_empty();

    let json = json!({
        "queues": queues, "channels": channel_json(paused, &names, now),
        "all_channels_read": is_complete,
    });
    let (heading, paused_rows) = channel_table(paused, &names, now);
    let mut report = Report::new(json)
        .table(["channel", "unsettled", "due", "oldest due", "paused", "dead letters"], rows)
        .table(heading, paused_rows);

    for (_, sentence) in advice.into_iter().filter(|(applies, _)| *applies) {
        report = report.text(sentence);
    }
    if !found_problems {
        report = report.text("Nothing is stuck, paused or given up.");
    }
    Ok(report.found_problems(found_problems))
}
