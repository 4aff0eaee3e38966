//! One endpoint that events are sent to: show, enable, disable.

use serde_json::{Value, json};

use crate::command_line::{EndpointArgs, EndpointCommand};
use crate::consent::Consent;
use crate::failure::Failure;
use crate::inventory::{endpoint_events, endpoint_json};
use crate::names::BusinessNames;
use crate::report::{Report, or_dash, time, wire_name};
use crate::target::Target;
use domain::event::EventSequence;
use domain::webhook::EndpointStatus;
use platform::table::record::{Endpoint, EventDelivery};
use platform::table::{EventList, FoundEndpoint};

/// How many of the latest events `show` looks at.
const LATEST_EVENTS: i32 = 20;

/// Shows or switches an endpoint of a business.
pub(crate) async fn run(
    target: &Target,
    command: &EndpointCommand,
    consent: &Consent,
) -> Result<Report, Failure> {
    let (EndpointCommand::Show(args)
    | EndpointCommand::Enable(args)
    | EndpointCommand::Disable(args)) = command;
    let endpoint = endpoint_of(target, args).await?;

    match command {
        EndpointCommand::Show(_) => show(target, args, endpoint).await,
        EndpointCommand::Enable(_) => switch(target, args, endpoint, EndpointStatus::Enabled).await,
        EndpointCommand::Disable(_) => {
            consent.confirm(&format!(
                "What is on its way to endpoint {} at {} will fail, and it is sent nothing more.",
                args.endpoint_id,
                endpoint.url.authority()
            ))?;
            switch(target, args, endpoint, EndpointStatus::Disabled).await
        }
    }
}

/// Returns an endpoint of a business.
pub(crate) async fn endpoint_of(target: &Target, args: &EndpointArgs) -> Result<Endpoint, Failure> {
    let EndpointArgs { business_id, endpoint_id } = *args;
    target.plan_of(business_id).await?;
    let endpoint = target.table.endpoint(business_id, endpoint_id).await?;
    endpoint.ok_or_else(|| {
        Failure::new("the business has no such endpoint; `list endpoints` shows them")
    })
}

/// Shows an endpoint, and how far the latest events came on their way to it. Its answers are its
/// owner's, and so are the path and the query of its URL: they are not shown.
async fn show(target: &Target, args: &EndpointArgs, record: Endpoint) -> Result<Report, Failure> {
    let EndpointArgs { business_id, endpoint_id } = *args;
    let EventList { events, .. } =
        target.table.events_before(business_id, EventSequence::MAX, LATEST_EVENTS).await?;
    let deliveries = target.table.deliveries_of(business_id, endpoint_id, &events).await?;
    let names = BusinessNames::read(target, [business_id]).await?;

    let endpoint = FoundEndpoint { business_id, endpoint_id, record };
    let mut json = endpoint_json(&endpoint, &names);
    json["deliveries"] = deliveries.iter().map(delivery_json).collect();

    let health = endpoint.record.health;
    let quiet_until = health.is_quiet(target.now());
    json["failures"] = json!(health.failures);
    json["quiet_until"] = json!(quiet_until);

    let fields = vec![
        ("business", business_id.to_string()),
        ("name", or_dash(names.name(business_id))),
        ("endpoint id", endpoint_id.to_string()),
        ("host", endpoint.record.url.authority().to_owned()),
        ("events", endpoint_events(&endpoint.record)),
        ("status", wire_name(endpoint.record.status)),
        ("failing since", or_dash(health.failing_since.map(time))),
        ("failures", health.failures.to_string()),
        ("left alone until", or_dash(quiet_until.map(time))),
        ("created", time(endpoint.record.created_at)),
    ];

    let heading = ["event", "type", "status", "attempts", "answer", "attempted"];
    let rows = deliveries.iter().map(delivery_row).collect();
    let sentence = match deliveries.len() {
        0 => format!("It was sent none of the latest {} events.", events.len()),
        sent => format!("It was sent {sent} of the latest {} events.", events.len()),
    };
    Ok(Report::new(json).fields(fields).table(heading, rows).text(sentence))
}

fn delivery_json(delivery: &EventDelivery) -> Value {
    let attempt = delivery.last_attempt.as_ref();
    json!({
        "event_id": delivery.event_id, "type": delivery.kind, "status": delivery.status,
        "attempts": delivery.attempts, "next_attempt_at": delivery.due,
        "attempted_at": attempt.map(|attempt| attempt.at),
        "answer_status": attempt.and_then(|attempt| attempt.status),
        "fault": attempt.and_then(|attempt| attempt.fault.as_ref()),
    })
}

fn delivery_row(delivery: &EventDelivery) -> [String; 6] {
    let attempt = delivery.last_attempt.as_ref();
    let status = attempt.and_then(|attempt| attempt.status).map(|status| status.to_string());
    let answer = status.or_else(|| attempt.and_then(|attempt| attempt.fault.clone()));
    [
        delivery.event_id.to_string(),
        delivery.kind.to_string(),
        wire_name(delivery.status),
        delivery.attempts.to_string(),
        answer.unwrap_or_default(),
        attempt.map(|attempt| time(attempt.at)).unwrap_or_default(),
    ]
}

/// Switches an endpoint on or off. An endpoint that is on already and fails is called again at
/// once.
async fn switch(
    target: &Target,
    args: &EndpointArgs,
    was: Endpoint,
    status: EndpointStatus,
) -> Result<Report, Failure> {
    let EndpointArgs { business_id, endpoint_id } = *args;
    let is = was.clone().switched(status);
    if !target.table.change_endpoint(business_id, endpoint_id, &was, &is).await? {
        return Err(Failure::new("the endpoint was changed meanwhile: look at it, and try again"));
    }

    let json = json!({
        "business_id": business_id, "endpoint_id": endpoint_id, "status": status,
    });
    let host = is.url.authority();
    Ok(Report::new(json).text(match status {
        EndpointStatus::Enabled => format!(
            "Endpoint {endpoint_id} at {host} is sent events from now on; `events redeliver` sends \
             what it missed."
        ),
        EndpointStatus::Disabled => format!("Endpoint {endpoint_id} at {host} is sent nothing."),
    }))
}
