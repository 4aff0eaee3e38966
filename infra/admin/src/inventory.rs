//! Lists of what there is: businesses, channels, API keys, pauses, endpoints.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::command_line::{ApiKeyListArgs, ChannelListArgs, EndpointListArgs};
use crate::failure::Failure;
use crate::names::BusinessNames;
use crate::pages::read_pages;
use crate::report::{Progress, Report, or_dash, time, wire_name};
use crate::target::Target;
use domain::BusinessId;
use domain::webhook::EndpointStatus;
use platform::table::record::{ChannelSettings, Endpoint, Plan};
use platform::table::{BusinessPart, FoundApiKey, FoundChannel, FoundEndpoint};

/// Lists all businesses, those with a name first.
pub(crate) async fn businesses(target: &Target, progress: &Progress) -> Result<Report, Failure> {
    let mut names: BTreeMap<BusinessId, String> = BTreeMap::new();
    let mut plans: Vec<(BusinessId, Plan)> = Vec::new();
    let table = target.table.operator();
    for part in read_pages(progress, async |at| table.businesses(at).await).await? {
        match part {
            BusinessPart::Plan(business_id, plan) => plans.push((business_id, plan)),
            BusinessPart::Name(business_id, name) => _ = names.insert(business_id, name),
        }
    }
    plans.sort_by_key(|(business_id, _)| {
        let name = names.get(business_id);
        (name.is_none(), name.cloned(), *business_id)
    });

    let json: Vec<_> = plans
        .iter()
        .map(|(business_id, plan)| {
            json!({
                "business_id": business_id, "business_name": names.get(business_id),
                "plan": plan.name, "limit": plan.max_messages_per_month,
            })
        })
        .collect();
    let rows = plans
        .iter()
        .map(|(business_id, plan)| {
            [
                or_dash(names.get(business_id)),
                business_id.to_string(),
                plan.name.clone(),
                plan.max_messages_per_month.to_string(),
            ]
        })
        .collect();

    Ok(Report::new(json!({"businesses": json}))
        .table(["name", "business", "plan", "messages a month"], rows)
        .text(format!("{} businesses.", plans.len())))
}

/// Lists channels.
pub(crate) async fn channels(
    target: &Target,
    args: &ChannelListArgs,
    progress: &Progress,
) -> Result<Report, Failure> {
    let channels = read_channels(target, args, progress).await?;
    let report = channel_report(target, &channels).await?;
    Ok(report.text(format!("{} channels.", channels.len())))
}

/// Lists channels that are paused now.
pub(crate) async fn paused(
    target: &Target,
    args: &ChannelListArgs,
    progress: &Progress,
) -> Result<Report, Failure> {
    let now = target.now();
    let mut channels = read_channels(target, args, progress).await?;
    channels.retain(|channel| paused_until(channel, now).is_some());

    let report = channel_report(target, &channels).await?;
    Ok(report
        .text(format!("{} channels are paused.", channels.len()))
        .found_problems(!channels.is_empty()))
}

/// Lists API keys. Their secrets are stored nowhere.
pub(crate) async fn api_keys(
    target: &Target,
    args: &ApiKeyListArgs,
    progress: &Progress,
) -> Result<Report, Failure> {
    if let Some(business_id) = args.business_id {
        target.plan_of(business_id).await?;
    }

    let table = target.table.operator();
    let read = async |at| table.api_keys(args.business_id, at).await;
    let mut keys = read_pages(progress, read).await?;
    keys.sort_by(|one, other| (one.business_id, &one.hash).cmp(&(other.business_id, &other.hash)));

    let now = target.now();
    let names = BusinessNames::read(target, keys.iter().map(|key| key.business_id)).await?;
    let state = |key: &FoundApiKey| match key.credential.valid_until {
        _ if !key.credential.is_active => "revoked",
        Some(until) if until <= now => "expired",
        _ => "valid",
    };

    let json: Vec<_> = keys
        .iter()
        .map(|key| {
            json!({
                "business_id": key.business_id, "business_name": names.name(key.business_id),
                "api_key_id": key.hash, "state": state(key), "agent_id": key.credential.agent,
                "valid_until": key.credential.valid_until, "scopes": key.credential.scopes,
                "name": key.credential.name,
            })
        })
        .collect();
    let rows = keys
        .iter()
        .map(|key| {
            [
                key.business_id.to_string(),
                names.cell(key.business_id),
                key.hash.clone(),
                or_dash(key.credential.name.as_ref()),
                state(key).to_owned(),
                key.credential.scopes.to_string(),
                or_dash(key.credential.agent),
                or_dash(key.credential.valid_until.map(time)),
            ]
        })
        .collect();

    Ok(Report::new(json!({"api_keys": json}))
        .table(
            [
                "business",
                "name",
                "api key id",
                "key name",
                "state",
                "scopes",
                "agent",
                "valid until",
            ],
            rows,
        )
        .text(format!("{} API keys.", keys.len())))
}

/// Lists endpoints. Of a URL only the host is shown: its path and its query may be secrets.
pub(crate) async fn endpoints(
    target: &Target,
    args: &EndpointListArgs,
    progress: &Progress,
) -> Result<Report, Failure> {
    if let Some(business_id) = args.business_id {
        target.plan_of(business_id).await?;
    }

    let table = target.table.operator();
    let read = async |at| table.endpoints(args.business_id, at).await;
    let mut endpoints = read_pages(progress, read).await?;
    endpoints.retain(|endpoint| !args.failing || is_failing(&endpoint.record));
    endpoints.sort_by_key(|endpoint| (endpoint.business_id, endpoint.endpoint_id));

    let business_ids = endpoints.iter().map(|endpoint| endpoint.business_id);
    let names = BusinessNames::read(target, business_ids).await?;
    let json: Vec<_> = endpoints.iter().map(|endpoint| endpoint_json(endpoint, &names)).collect();
    let row = |endpoint: &FoundEndpoint| {
        [
            endpoint.business_id.to_string(),
            names.cell(endpoint.business_id),
            endpoint.endpoint_id.to_string(),
            endpoint.record.url.authority().to_owned(),
            endpoint_events(&endpoint.record),
            wire_name(endpoint.record.status),
            endpoint.record.health.failing_since.map(time).unwrap_or_default(),
        ]
    };

    let heading = ["business", "name", "endpoint id", "host", "events", "status", "failing since"];
    let disabled = endpoints.iter().filter(|one| one.record.status == EndpointStatus::Disabled);
    let sentence = format!("{} endpoints, {} of them disabled.", endpoints.len(), disabled.count());
    Ok(Report::new(json!({"endpoints": json}))
        .table(heading, endpoints.iter().map(row).collect())
        .text(sentence))
}

/// Whether an endpoint is sent nothing, or did not take the latest attempt.
fn is_failing(endpoint: &Endpoint) -> bool {
    endpoint.status == EndpointStatus::Disabled || endpoint.health.failing_since.is_some()
}

/// Returns an endpoint as JSON.
pub(crate) fn endpoint_json(endpoint: &FoundEndpoint, names: &BusinessNames) -> Value {
    let FoundEndpoint { business_id, endpoint_id, record } = endpoint;
    json!({
        "business_id": business_id, "business_name": names.name(*business_id),
        "endpoint_id": endpoint_id, "url_host": record.url.authority(), "events": record.events,
        "status": record.status, "failing_since": record.health.failing_since,
        "created_at": record.created_at,
    })
}

/// Returns the types of events that an endpoint asks for, as words.
pub(crate) fn endpoint_events(endpoint: &Endpoint) -> String {
    let Some(kinds) = &endpoint.events else { return "all".to_owned() };
    kinds.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(" ")
}

async fn read_channels(
    target: &Target,
    args: &ChannelListArgs,
    progress: &Progress,
) -> Result<Vec<FoundChannel>, Failure> {
    if let Some(business_id) = args.business_id {
        target.plan_of(business_id).await?;
    }

    let mut channels = target.channels(args.business_id, progress).await?;
    channels.retain(|channel| args.channel.is_none_or(|only| only == kind(channel)));
    Ok(channels)
}

async fn channel_report(target: &Target, channels: &[FoundChannel]) -> Result<Report, Failure> {
    let now = target.now();
    let business_ids = channels.iter().map(|channel| channel.business_id);
    let names = BusinessNames::read(target, business_ids).await?;
    let (heading, rows) = channel_table(channels, &names, now);
    Ok(Report::new(json!({"channels": channel_json(channels, &names, now)})).table(heading, rows))
}

/// Returns channels as JSON.
pub(crate) fn channel_json(
    channels: &[FoundChannel],
    names: &BusinessNames,
    now: DateTime<Utc>,
) -> Vec<Value> {
    let entry = |channel: &FoundChannel| {
        let mut json = settings_json(&channel.record.settings);
        json["business_id"] = json!(channel.business_id);
        json["business_name"] = json!(names.name(channel.business_id));
        json["channel_id"] = json!(channel.channel_id);
        json["is_active"] = json!(channel.record.is_active);
        json["paused_until"] = json!(paused_until(channel, now));
        json["in_doubt"] = json!(channel.record.in_doubt);
        json
    };
    channels.iter().map(entry).collect()
}

/// Returns channels as a table.
pub(crate) fn channel_table(
    channels: &[FoundChannel],
    names: &BusinessNames,
    now: DateTime<Utc>,
) -> ([&'static str; 7], Vec<[String; 7]>) {
    let row = |channel: &FoundChannel| {
        let pause = paused_until(channel, now);
        [
            channel.business_id.to_string(),
            names.cell(channel.business_id),
            kind(channel).to_string(),
            channel.channel_id.to_string(),
            sender(&channel.record.settings),
            if channel.record.is_active { "active" } else { "inactive" }.to_owned(),
            pause.map(time).unwrap_or_default(),
        ]
    };
    let heading = ["business", "name", "channel", "channel id", "sends as", "", "paused until"];
    (heading, channels.iter().map(row).collect())
}

/// Returns the settings of a channel's provider as JSON.
pub(crate) fn settings_json(settings: &ChannelSettings) -> Value {
    match settings {
        ChannelSettings::Chat {} => json!({"channel": settings.channel()}),
        ChannelSettings::Whatsapp { phone_number_id, secret, template } => json!({
            "channel": settings.channel(), "phone_number_id": phone_number_id, "secret": secret,
            "template": template.as_ref().map(|template| &template.name),
            "template_language": template.as_ref().map(|template| &template.language),
        }),
        ChannelSettings::Email { from, configuration_set } => json!({
            "channel": settings.channel(), "from": from, "configuration_set": configuration_set,
        }),
    }
}

/// Returns until when a channel is paused, if it is.
pub(crate) fn paused_until(channel: &FoundChannel, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    channel.record.paused_until.filter(|until| now < *until)
}

fn kind(channel: &FoundChannel) -> domain::Channel {
    channel.record.settings.channel()
}

fn sender(settings: &ChannelSettings) -> String {
    match settings {
        ChannelSettings::Chat {} => String::new(),
        ChannelSettings::Whatsapp { phone_number_id, .. } => phone_number_id.clone(),
        ChannelSettings::Email { from, .. } => from.clone().into_string(),
    }
}

/// Returns a channel's settings as names and values.
pub(crate) fn settings_fields(channel: &FoundChannel) -> Vec<(&'static str, String)> {
    let mut fields = match &channel.record.settings {
        ChannelSettings::Chat {} => Vec::new(),
        ChannelSettings::Whatsapp { phone_number_id, secret, template } => vec![
            ("phone number id", phone_number_id.clone()),
            ("secret", secret.clone()),
            (
                "template",
                or_dash(template.as_ref().map(|one| format!("{}, {}", one.name, one.language))),
            ),
        ],
        ChannelSettings::Email { from, configuration_set } => {
            vec![
                ("from", from.clone().into_string()),
                ("configuration set", or_dash(configuration_set.as_ref())),
            ]
        }
    };

    fields.push(("in doubt", wire_name(channel.record.in_doubt)));
    fields
}
