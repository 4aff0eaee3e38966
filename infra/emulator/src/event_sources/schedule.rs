//! Clocks that invoke functions on a schedule.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use super::asynchronous;
use crate::account::{ACCOUNT_ID, PARTITION, REGION};
use crate::lambda::Lambda;
use crate::template::{Function, Schedule};

/// Sends the function an event in each period, first after one period, and does not wait for it.
pub(super) async fn tick(
    schedule: Schedule,
    rule: String,
    function: Arc<Function>,
    lambda: Arc<Lambda>,
) {
    let mut ticks = tokio::time::interval_at(Instant::now() + schedule.every, schedule.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut running = JoinSet::new();
    loop {
        ticks.tick().await;
        let event = scheduled_event(&schedule, &rule, Utc::now());
        let (function, lambda) = (Arc::clone(&function), Arc::clone(&lambda));
        running.spawn(async move {
            // The function logs a failed run, and the next tick makes up for it.
            let _ = asynchronous::invoke(&function, &event, Duration::ZERO, &lambda).await;
        });
        while running.try_join_next().is_some() {}
    }
}

/// Returns the event that EventBridge sends by the name of a rule, or the template's own input.
/// <https://docs.aws.amazon.com/eventbridge/latest/ref/event-types-detail-scheduled.html>
pub(crate) fn scheduled_event(schedule: &Schedule, rule: &str, now: DateTime<Utc>) -> Bytes {
    if let Some(input) = &schedule.input {
        return Bytes::from(input.clone());
    }

    let event = json!({
        "version": "0",
        "id": uuid::Uuid::new_v4(),
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": ACCOUNT_ID,
        "time": now.to_rfc3339_opts(SecondsFormat::Secs, true),
        "region": REGION,
        "resources": [format!("arn:{PARTITION}:events:{REGION}:{ACCOUNT_ID}:rule/{rule}")],
        "detail": {},
    });

    Bytes::from(event.to_string())
}
