//! Arguments of `channel`.

use clap::{Args, Subcommand};

use super::parse::{
    parse_configuration_set, parse_language, parse_name, parse_on_unknown_outcome, parse_secret,
    parse_template,
};
use domain::delivery::OnUnknownOutcome;
use domain::{BusinessId, ChannelId};

#[derive(Debug, Subcommand)]
pub(crate) enum ChannelCommand {
    /// Show a channel: whether it takes messages, its pause and its provider's settings
    Show(ChannelArgs),
    /// Change the settings of a channel's provider; workers use them within half a minute
    Change(ChangeChannel),
    /// Send nothing for a while; messages are accepted and wait
    Pause(PauseChannel),
    /// End a pause; waiting messages go out within five minutes
    Resume(ChannelArgs),
    /// Accept no more messages for the channel; those accepted before are still sent
    Deactivate(ChannelArgs),
    /// Accept messages again
    Activate(ChannelArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ChannelArgs {
    /// The business
    #[arg(long = "business", value_name = "ID")]
    pub(crate) business_id: BusinessId,
    /// The channel, by its id, which `list channels` shows
    #[arg(value_name = "CHANNEL_ID")]
    pub(crate) channel_id: ChannelId,
}

#[derive(Debug, Args)]
pub(crate) struct PauseChannel {
    #[command(flatten)]
    pub(crate) channel: ChannelArgs,
    /// For so many minutes, 1 to 1440: after a day, messages are given up
    #[arg(
        long,
        value_name = "MINUTES",
        default_value_t = 60,
        value_parser = clap::value_parser!(u32).range(1..=1440)
    )]
    pub(crate) minutes: u32,
}

/// New settings of a channel; those that are not given stay. A WhatsApp number cannot change, since
/// its customers' conversations are found by it: another number is another channel.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct NewSettings {
    /// WhatsApp: the secret with the access token, by its ARN or its name
    #[arg(long, value_name = "NAME", value_parser = parse_secret)]
    pub(crate) secret: Option<String>,
    /// WhatsApp: an approved template with one parameter
    #[arg(
        long,
        value_name = "NAME",
        value_parser = parse_template,
        requires = "template_language"
    )]
    pub(crate) template: Option<String>,
    /// WhatsApp: the template's language, such as en_US
    #[arg(long, value_name = "CODE", value_parser = parse_language, requires = "template")]
    pub(crate) template_language: Option<String>,
    /// WhatsApp: have no template
    #[arg(long, conflicts_with = "template")]
    pub(crate) no_template: bool,
    /// E-mail: a verified identity, with or without a display name
    #[arg(long, value_name = "ADDRESS", value_parser = parse_name)]
    pub(crate) from: Option<String>,
    /// E-mail: the configuration set whose events become receipts; it has to be the stack's output
    /// `EmailConfigurationSet`
    #[arg(long, value_name = "NAME", value_parser = parse_configuration_set)]
    pub(crate) configuration_set: Option<String>,
    /// If the outcome of a call is unknown: resend or hold
    #[arg(long, value_name = "WHAT", value_parser = parse_on_unknown_outcome)]
    pub(crate) in_doubt: Option<OnUnknownOutcome>,
}

#[derive(Debug, Args)]
pub(crate) struct ChangeChannel {
    #[command(flatten)]
    pub(crate) channel: ChannelArgs,
    #[command(flatten)]
    pub(crate) settings: NewSettings,
}
