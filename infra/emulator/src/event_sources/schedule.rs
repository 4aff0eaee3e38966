//! Clocks that invoke functions on a schedule.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior};

use crate::account::{ACCOUNT_ID, PARTITION, REGION};
use crate::lambda::Lambda;
use crate::template::Schedule;

/// Invokes the function once in each period, first after one period.
pub(super) async fn tick(schedule: Schedule, rule: String, function: String, lambda: Arc<Lambda>) {
    let mut ticks = tokio::time::interval_at(Instant::now() + schedule.every, schedule.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        // The function logs a failed run, and the next tick makes up for it.
        let _ = lambda.invoke(&function, scheduled_event(&schedule, &rule, Utc::now())).await;
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
