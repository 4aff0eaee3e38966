//! The last events of a business as the console shows them: each with its deliveries, and with what
//! the sandbox's receivers got of it.

use serde_json::{Value, json};

use crate::receivers::Receivers;
use domain::BusinessId;
use domain::event::EventSequence;
use platform::error::InternalError;
use platform::table::Table;
use platform::table::record::{Event, EventDelivery};

/// How many events are shown.
const SHOWN: i32 = 30;

/// Describes the last events, newest first: a row for each delivery, and one for an event that goes
/// to no endpoint.
pub(super) async fn read_events(
    table: &Table,
    receivers: &Receivers,
    business_id: BusinessId,
) -> Result<Value, InternalError> {
    let behind_all = EventSequence::MAX.next();
    let events = table.events_before(business_id, behind_all, SHOWN).await?.events;
    let endpoints = table.endpoints(business_id).await?;
    let mut deliveries = Vec::new();
    for (endpoint_id, endpoint) in &endpoints {
        for delivery in table.deliveries_of(business_id, *endpoint_id, &events).await? {
            deliveries.push((endpoint.url.as_str(), delivery));
        }
    }

    let rows = events.iter().flat_map(|event| {
        let got = receivers.requests_with(&event.id.to_string());
        let of_it = deliveries.iter().filter(|(_, delivery)| delivery.sequence == event.sequence);
        let mut rows: Vec<Value> =
            of_it.map(|(url, delivery)| row(event, Some((url, delivery)), &got)).collect();
        if rows.is_empty() {
            rows.push(row(event, None, &got));
        }
        rows
    });
    Ok(json!({ "endpoints": endpoints.len(), "rows": rows.collect::<Vec<_>>() }))
}

fn row(event: &Event, delivery: Option<(&str, &EventDelivery)>, got: &[String]) -> Value {
    let last = delivery.and_then(|(_, delivery)| delivery.last_attempt.as_ref());
    json!({
        "sequence": event.sequence,
        "type": event.kind,
        "subject": event.subject,
        "at": event.created_at,
        "endpoint": delivery.map(|(url, _)| url),
        "status": delivery.map(|(_, delivery)| delivery.status),
        "attempts": delivery.map_or(0, |(_, delivery)| delivery.attempts),
        "answer": last.and_then(|last| last.status),
        "fault": last.and_then(|last| last.fault.as_deref()),
        "ms": last.map(|last| last.took_ms),
        "got": got.len(),
        "body": got.last(),
    })
}
