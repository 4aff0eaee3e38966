//! Arguments of `endpoint` and `events`.

use clap::{Args, Subcommand};

use super::parse::{Since, parse_since};
use domain::event::EventId;
use domain::{BusinessId, EndpointId};

#[derive(Debug, Subcommand)]
pub(crate) enum EndpointCommand {
    /// Show an endpoint: whether it is sent events, since when it fails, and how it answered the
    /// latest ones
    Show(EndpointArgs),
    /// Send it events again, as the API's `status: enabled` does; `events redeliver` sends what it
    /// missed
    Enable(EndpointArgs),
    /// Send it nothing more; what is on its way to it fails
    Disable(EndpointArgs),
}

#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct EndpointArgs {
    /// The business
    #[arg(long = "business", value_name = "ID")]
    pub(crate) business_id: BusinessId,
    /// The endpoint, by its id, which `list endpoints` shows
    #[arg(value_name = "ENDPOINT_ID")]
    pub(crate) endpoint_id: EndpointId,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Events {
    /// Send an endpoint events again: those that failed, those that it was never sent, and those
    /// that it has taken
    ///
    /// Each keeps its id and its place in the order of its subject; an endpoint knows by the id
    /// what it has had. Only types that the endpoint asks for are sent. Events stay for 30 days.
    Redeliver(RedeliverEvents),
}

#[derive(Debug, Args)]
pub(crate) struct RedeliverEvents {
    #[command(flatten)]
    pub(crate) endpoint: EndpointArgs,
    #[command(flatten)]
    pub(crate) selection: EventSelection,
}

/// The events that are sent again.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(crate) struct EventSelection {
    /// The event with this id; give it once for each event
    #[arg(long = "event", value_name = "ID", conflicts_with_all = ["since", "until"])]
    pub(crate) event_ids: Vec<EventId>,
    /// All events since: 30m, 2h or 3d ago, or a time such as 2026-11-25 or 2026-11-25T09:00:00Z
    #[arg(long, value_name = "WHEN", value_parser = parse_since)]
    pub(crate) since: Option<Since>,
    /// Only those before: a time, or a while ago
    #[arg(long, value_name = "WHEN", value_parser = parse_since)]
    pub(crate) until: Option<Since>,
}
