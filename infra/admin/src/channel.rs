//! Switching a channel: pause, resume, deactivate, activate.

use chrono::TimeDelta;
use serde_json::json;

use crate::command_line::{ChannelArgs, PauseChannel, SwitchChannel};
use crate::consent::Consent;
use crate::failure::Failure;
use crate::report::{Report, time};
use crate::target::Target;

/// Switches a channel of a business.
pub(crate) async fn run(
    target: &Target,
    command: &SwitchChannel,
    consent: &Consent,
) -> Result<Report, Failure> {
    let (SwitchChannel::Pause(PauseChannel { channel: args, .. })
    | SwitchChannel::Resume(args)
    | SwitchChannel::Deactivate(args)
    | SwitchChannel::Activate(args)) = command;
    target.plan_of(args.business_id).await?;

    match command {
        SwitchChannel::Pause(pause_args) => pause(target, pause_args).await,
        SwitchChannel::Resume(args) => resume(target, args).await,
        SwitchChannel::Deactivate(args) => {
            consent.confirm(&format!(
                "Messages for channel {} will be refused; those accepted before are still sent.",
                args.channel_id
            ))?;
            set_active(target, args, false).await
        }
        SwitchChannel::Activate(args) => set_active(target, args, true).await,
    }
}

/// Pauses the channel; the report has the later of this pause and one that was there before.
async fn pause(target: &Target, args: &PauseChannel) -> Result<Report, Failure> {
    let table = &target.table;
    let ChannelArgs { business_id, channel_id } = args.channel;
    let until = target.now() + TimeDelta::minutes(args.minutes.into());

    table.channel(business_id, channel_id).await?.ok_or_else(no_such_channel)?;
    table.deliveries().pause(business_id, channel_id, until).await?;
    let record = table.channel(business_id, channel_id).await?.ok_or_else(no_such_channel)?;
    let paused_until = record.paused_until.unwrap_or(until);

    let json = json!({"channel_id": channel_id, "paused_until": paused_until});
    Ok(Report::new(json).text(format!(
        "Channel {channel_id} sends nothing until {}; messages are accepted and wait.",
        time(paused_until)
    )))
}

async fn resume(target: &Target, args: &ChannelArgs) -> Result<Report, Failure> {
    let ChannelArgs { business_id, channel_id } = *args;
    if !target.table.operator().resume(business_id, channel_id).await? {
        return Err(no_such_channel());
    }

    let json = json!({"channel_id": channel_id, "paused_until": null});
    Ok(Report::new(json).text(format!(
        "Channel {channel_id} sends again; waiting messages go out within five minutes."
    )))
}

async fn set_active(
    target: &Target,
    args: &ChannelArgs,
    is_active: bool,
) -> Result<Report, Failure> {
    let ChannelArgs { business_id, channel_id } = *args;
    if !target.table.operator().set_channel_active(business_id, channel_id, is_active).await? {
        return Err(no_such_channel());
    }

    let effect = if is_active { "takes messages" } else { "takes no more messages" };
    Ok(Report::new(json!({"channel_id": channel_id, "is_active": is_active}))
        .text(format!("Channel {channel_id} {effect}, within half a minute.")))
}

fn no_such_channel() -> Failure {
    Failure::new("the business has no such channel")
}
