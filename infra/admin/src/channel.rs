//! Switching a channel.

use chrono::TimeDelta;
use serde_json::json;

use crate::command_line::{OneChannel, Pause, Switch};
use crate::place::Place;
use crate::report::{Report, time};
use crate::{Consent, Failure};

/// Switches one.
pub(crate) async fn run(
    place: &Place,
    switch: &Switch,
    consent: &Consent,
) -> Result<Report, Failure> {
    let table = &place.table;
    let (Switch::Pause(Pause { of, .. })
    | Switch::Resume(of)
    | Switch::Deactivate(of)
    | Switch::Activate(of)) = switch;
    place.plan_of(of.business).await?;
    let missing = || Failure::new("the business has no such channel");
    match switch {
        Switch::Pause(args) => {
            let OneChannel { business, channel } = args.of;
            let until = place.now() + TimeDelta::minutes(args.minutes.into());
            table.channel(business, channel).await?.ok_or_else(missing)?;
            table.pause(business, channel, until).await?;
            let paused = table.channel(business, channel).await?.ok_or_else(missing)?.paused_until;
            let until = paused.unwrap_or(until);
            let line = format!(
                "Channel {channel} sends nothing until {}; messages are accepted and wait.",
                time(until)
            );
            Ok(Report::of(json!({"channel_id": channel, "paused_until": until})).line(line))
        }
        Switch::Resume(OneChannel { business, channel }) => {
            table.resume(*business, *channel).await?.then_some(()).ok_or_else(missing)?;
            let line =
                format!("Channel {channel} sends again; what waits goes out within five minutes.");
            Ok(Report::of(json!({"channel_id": channel, "paused_until": null})).line(line))
        }
        Switch::Deactivate(of) => {
            let channel = of.channel;
            consent.ask(&format!(
                "Messages for channel {channel} will be refused; those accepted before are still sent."
            ))?;
            set_active(place, of, false).await
        }
        Switch::Activate(of) => set_active(place, of, true).await,
    }
}

async fn set_active(place: &Place, of: &OneChannel, is_active: bool) -> Result<Report, Failure> {
    if !place.table.set_channel_active(of.business, of.channel, is_active).await? {
        return Err(Failure::new("the business has no such channel"));
    }
    let word = if is_active { "takes messages" } else { "takes no more messages" };
    let line = format!("Channel {} {word}, within half a minute.", of.channel);
    Ok(Report::of(json!({"channel_id": of.channel, "is_active": is_active})).line(line))
}
