//! Endpoints and deliveries as callers read them.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde::Serialize;

use domain::EndpointId;
use domain::event::{EventId, EventSequence, EventType};
use domain::message::rfc3339;
use domain::webhook::{DeliveryStatus, EndpointStatus, EndpointUrl};
use platform::table::record::{Endpoint, EventDelivery};

#[derive(Serialize)]
#[serde(transparent)]
struct Time(#[serde(serialize_with = "rfc3339")] DateTime<Utc>);

/// An endpoint; its secret is told once.
#[derive(Serialize)]
pub(super) struct EndpointView<'a> {
    id: EndpointId,
    url: &'a EndpointUrl,
    /// Null for all.
    events: Option<&'a BTreeSet<EventType>>,
    description: Option<&'a str>,
    status: EndpointStatus,
    failing_since: Option<Time>,
    created_at: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl EndpointView<'_> {
    /// Returns an endpoint without its secret.
    pub(super) fn of(id: EndpointId, endpoint: &Endpoint) -> EndpointView<'_> {
        EndpointView {
            id,
            url: &endpoint.url,
            events: endpoint.events.as_ref(),
            description: endpoint.description.as_ref().map(|text| text.as_str()),
            status: endpoint.status,
            failing_since: endpoint.health.failing_since.map(Time),
            created_at: Time(endpoint.created_at),
            secret: None,
        }
    }

    /// Returns an endpoint whose secret is new.
    pub(super) fn with_secret(id: EndpointId, endpoint: &Endpoint) -> EndpointView<'_> {
        EndpointView { secret: Some(endpoint.secret.reveal()), ..EndpointView::of(id, endpoint) }
    }
}

/// A delivery of an event.
#[derive(Serialize)]
pub(super) struct DeliveryView<'a> {
    event_id: EventId,
    #[serde(rename = "type")]
    kind: EventType,
    sequence: EventSequence,
    status: DeliveryStatus,
    attempts: u32,
    next_attempt_at: Option<Time>,
    last_attempt: Option<AttemptView<'a>>,
}

#[derive(Serialize)]
struct AttemptView<'a> {
    at: Time,
    took_ms: u64,
    status: Option<u16>,
    answer: Option<&'a str>,
    fault: Option<&'a str>,
}

impl DeliveryView<'_> {
    pub(super) fn of(delivery: &EventDelivery) -> DeliveryView<'_> {
        DeliveryView {
            event_id: delivery.event_id,
            kind: delivery.kind,
            sequence: delivery.sequence,
            status: delivery.status,
            attempts: delivery.attempts,
            next_attempt_at: delivery.due.map(Time),
            last_attempt: delivery.last_attempt.as_ref().map(|attempt| AttemptView {
                at: Time(attempt.at),
                took_ms: attempt.took_ms,
                status: attempt.status,
                answer: attempt.answer.as_ref().map(|answer| answer.as_str()),
                fault: attempt.fault.as_deref(),
            }),
        }
    }
}
