//! One channel: show, change, pause, resume, deactivate, activate.

use chrono::TimeDelta;
use serde_json::json;

use crate::command_line::{ChangeChannel, ChannelArgs, ChannelCommand, NewSettings, PauseChannel};
use crate::consent::Consent;
use crate::create::{check_secret, check_sender};
use crate::failure::Failure;
use crate::inventory::{channel_json, paused_until, settings_fields};
use crate::names::BusinessNames;
use crate::report::{Report, or_dash, time};
use crate::target::Target;
use domain::Channel;
use platform::table::FoundChannel;
use platform::table::record::{ChannelSettings, Template};

/// Shows or changes a channel of a business.
pub(crate) async fn run(
    target: &Target,
    command: &ChannelCommand,
    consent: &Consent,
) -> Result<Report, Failure> {
    let (ChannelCommand::Pause(PauseChannel { channel: args, .. })
    | ChannelCommand::Change(ChangeChannel { channel: args, .. })
    | ChannelCommand::Show(args)
    | ChannelCommand::Resume(args)
    | ChannelCommand::Deactivate(args)
    | ChannelCommand::Activate(args)) = command;
    target.plan_of(args.business_id).await?;

    match command {
        ChannelCommand::Show(args) => show(target, args).await,
        ChannelCommand::Change(change_args) => change(target, change_args).await,
        ChannelCommand::Pause(pause_args) => pause(target, pause_args).await,
        ChannelCommand::Resume(args) => resume(target, args).await,
        ChannelCommand::Deactivate(args) => {
            consent.confirm(&format!(
                "Messages for channel {} will be refused; those accepted before are still sent.",
                args.channel_id
            ))?;
            set_active(target, args, false).await
        }
        ChannelCommand::Activate(args) => set_active(target, args, true).await,
    }
}

async fn show(target: &Target, args: &ChannelArgs) -> Result<Report, Failure> {
    let ChannelArgs { business_id, channel_id } = *args;
    let record = target.table.channel(business_id, channel_id).await?;
    let record = record.ok_or_else(no_such_channel)?;
    report(target, FoundChannel { business_id, channel_id, record }).await
}

async fn report(target: &Target, channel: FoundChannel) -> Result<Report, Failure> {
    let now = target.now();
    let names = BusinessNames::read(target, [channel.business_id]).await?;
    let json = channel_json(std::slice::from_ref(&channel), &names, now).remove(0);

    let mut fields = vec![
        ("business", channel.business_id.to_string()),
        ("name", or_dash(names.name(channel.business_id))),
        ("channel id", channel.channel_id.to_string()),
        ("channel", channel.record.settings.channel().to_string()),
        ("takes messages", if channel.record.is_active { "yes" } else { "no" }.to_owned()),
        ("paused until", or_dash(paused_until(&channel, now).map(time))),
    ];
    fields.extend(settings_fields(&channel));
    Ok(Report::new(json).fields(fields))
}

/// Changes settings, and leaves those that are not given.
async fn change(target: &Target, args: &ChangeChannel) -> Result<Report, Failure> {
    let ChannelArgs { business_id, channel_id } = args.channel;
    let before = target.table.channel(business_id, channel_id).await?;
    let before = before.ok_or_else(no_such_channel)?;

    let after = changed_settings(target.stack_name(), &before.settings, &args.settings)?;
    let in_doubt = args.settings.in_doubt;
    let is_done = target
        .table
        .operator()
        .change_settings(business_id, channel_id, &before.settings, &after, in_doubt)
        .await?;
    if !is_done {
        return Err(Failure::new("the channel was changed meanwhile: look at it, and try again"));
    }

    show(target, &args.channel).await
}

/// Returns the settings with those that are given. Refuses one that belongs to another kind of
/// channel.
fn changed_settings(
    stack: Option<&str>,
    before: &ChannelSettings,
    given: &NewSettings,
) -> Result<ChannelSettings, Failure> {
    let channel = before.channel();
    for (owner, flag, is_given) in [
        (Channel::Whatsapp, "secret", given.secret.is_some()),
        (Channel::Whatsapp, "template", given.template.is_some()),
        (Channel::Whatsapp, "no-template", given.no_template),
        (Channel::Email, "from", given.from.is_some()),
        (Channel::Email, "configuration-set", given.configuration_set.is_some()),
    ] {
        if is_given && owner != channel {
            return Err(Failure::new(format!(
                "--{flag}: {channel} channels have none, only {owner} channels do"
            )));
        }
    }

    given.secret.as_deref().map_or(Ok(()), |secret| check_secret(stack, secret))?;
    given.from.as_deref().map_or(Ok(()), check_sender)?;

    Ok(match before.clone() {
        ChannelSettings::Chat {} => ChannelSettings::Chat {},
        ChannelSettings::Whatsapp { phone_number_id, secret, template } => {
            let pair = given.template.clone().zip(given.template_language.clone());
            let new = pair.map(|(name, language)| Template { name, language });
            ChannelSettings::Whatsapp {
                phone_number_id,
                secret: given.secret.clone().unwrap_or(secret),
                template: if given.no_template { None } else { new.or(template) },
            }
        }
        ChannelSettings::Email { from, configuration_set } => ChannelSettings::Email {
            from: given.from.clone().map_or(from, Into::into),
            configuration_set: given.configuration_set.clone().or(configuration_set),
        },
    })
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
    Failure::new("the business has no such channel; `list channels` shows them")
}
