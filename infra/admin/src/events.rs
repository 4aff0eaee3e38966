//! Sending events again, page by page up to the last one.
//!
//! An error ends the work, and the report has what was done before, and how to go on.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::command_line::{EndpointArgs, EventSelection, RedeliverEvents};
use crate::consent::Consent;
use crate::endpoint::endpoint_of;
use crate::failure::{Failure, explain};
use crate::report::{Progress, Report, time};
use crate::target::Target;
use domain::event::EventId;
use domain::webhook::EndpointStatus;
use platform::InternalError;
use platform::redelivery::{EventRange, Redeliverer, Redelivery};
use platform::table::record::Endpoint;

/// The events that were sent so far.
#[derive(Default)]
struct Redelivered {
    found: usize,
    sent: usize,
    /// The time of the last one.
    last_at: Option<DateTime<Utc>>,
    /// The error that ended the work.
    error: Option<InternalError>,
}

/// Has an endpoint sent events again.
pub(crate) async fn redeliver(
    target: &Target,
    args: &RedeliverEvents,
    consent: &Consent,
    progress: &Progress,
) -> Result<Report, Failure> {
    let EndpointArgs { business_id, endpoint_id } = args.endpoint;
    let endpoint = endpoint_of(target, &args.endpoint).await?;
    if endpoint.status == EndpointStatus::Disabled {
        return Err(Failure::new(
            "the endpoint is disabled, and is sent nothing; `endpoint enable` switches it on",
        ));
    }

    let now = target.now();
    let wanted = wanted_events(&args.selection, now)?;
    let bells = target.event_bells()?;
    consent.confirm(&format!(
        "Endpoint {endpoint_id} at {} is sent {} again, those that it has taken as well.",
        endpoint.url.authority(),
        in_words(&wanted)
    ))?;

    let redeliverer = Redeliverer { table: &target.table, bells: &bells, business_id, endpoint_id };
    let id_count = wanted.ids.len();
    let redelivered = send_all(redeliverer, &endpoint, wanted, now, progress).await;
    Ok(report(args.endpoint, &redelivered, id_count))
}

/// Returns the events that are asked for.
fn wanted_events(selection: &EventSelection, now: DateTime<Utc>) -> Result<Redelivery, Failure> {
    let ids: BTreeSet<EventId> = selection.event_ids.iter().copied().collect();
    if !ids.is_empty() {
        return Ok(Redelivery { ids: ids.into_iter().collect(), range: None });
    }

    let since = selection.since.map(|since| since.at(now));
    let until = selection.until.map(|until| until.at(now));
    if since.zip(until).is_some_and(|(since, until)| until <= since) {
        return Err(Failure::new("--until: it is not later than --since"));
    }
    Ok(Redelivery { ids: Vec::new(), range: Some(EventRange { since, until, after: None }) })
}

fn in_words(wanted: &Redelivery) -> String {
    let Some(range) = &wanted.range else { return format!("{} events", wanted.ids.len()) };
    let since = range.since.map(|since| format!(" since {}", time(since))).unwrap_or_default();
    let until = range.until.map(|until| format!(" before {}", time(until))).unwrap_or_default();
    format!("all events{since}{until}")
}

/// Sends the events page by page, oldest first, until none is left or an error ends the work.
async fn send_all(
    redeliverer: Redeliverer<'_>,
    endpoint: &Endpoint,
    mut wanted: Redelivery,
    now: DateTime<Utc>,
    progress: &Progress,
) -> Redelivered {
    let mut redelivered = Redelivered::default();
    loop {
        let outcome = match redeliverer.redeliver(endpoint, &wanted, now).await {
            Ok(outcome) => outcome,
            Err(error) => return Redelivered { error: Some(error), ..redelivered },
        };
        progress.advance(outcome.sent, "events on their way");

        redelivered.found += outcome.found;
        redelivered.sent += outcome.sent;
        redelivered.last_at = outcome.last_at.or(redelivered.last_at);
        let Some(after) = outcome.next else { return redelivered };

        // From here on, the place says where the time begins.
        let until = wanted.range.and_then(|range| range.until);
        wanted.range = Some(EventRange { since: None, until, after: Some(after) });
    }
}

/// Reports on the events that were sent; `id_count` is how many were asked for by their ids.
fn report(args: EndpointArgs, redelivered: &Redelivered, id_count: usize) -> Report {
    let EndpointArgs { business_id, endpoint_id } = args;
    let Redelivered { found, sent, .. } = *redelivered;
    let not_asked_for = found - sent;
    let unknown = if redelivered.error.is_none() { id_count.saturating_sub(found) } else { 0 };

    let json = json!({
        "business_id": business_id, "endpoint_id": endpoint_id, "sent_count": sent,
        "not_asked_for_count": not_asked_for, "unknown_count": unknown,
        "last_event_at": redelivered.last_at,
    });
    let mut report = Report::new(json)
        .text(format!("{sent} events are on their way to endpoint {endpoint_id}."));

    if not_asked_for > 0 {
        report = report
            .text(format!("{not_asked_for} others have types that the endpoint does not ask for."));
    }
    if unknown > 0 {
        report = report.error(format!(
            "--event: {unknown} of them are no events of the business, or older than 30 days"
        ));
    }
    match (&redelivered.error, redelivered.last_at) {
        (None, _) => report,
        (Some(error), None) => report.error(explain(error)),
        (Some(error), Some(at)) => {
            report.error(format!("{}. Go on with `--since {}`", explain(error), time(at)))
        }
    }
}
