//! Receives SES's reports on messages through EventBridge. The template selects the events;
//! [`event`] says what each means.

pub mod event;

use std::time::Duration;

use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use serde_json::Value;
use tokio::time::Instant;

use domain::Channel;
use platform::aws::Aws;
use platform::clock::Clock;
use platform::error::InternalError;
use platform::receipts::Receipts;
use platform::runtime::{Error, EventFunction};

/// The function.
#[derive(Debug, Clone)]
pub struct ReceiptsEmail {
    receipts: Receipts,
    clock: Clock,
}

impl EventFunction for ReceiptsEmail {
    type Event = EventBridgeEvent<Value>;
    type Answer = ();

    const RESERVE: Duration = Duration::ZERO;

    /// Reads `TABLE_NAME`, `EMAIL_QUEUE_URL` and what AWS clients need.
    fn from_env() -> Result<ReceiptsEmail, Error> {
        let aws = Aws::from_env()?;
        Ok(ReceiptsEmail {
            receipts: Receipts::from_env(&aws, Channel::Email)?,
            clock: Clock::from_env()?,
        })
    }

    /// Handles one event. If that fails, Lambda repeats the event, twice ([asynchronous
    /// invocation](https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html)).
    async fn handle(
        &self,
        event: EventBridgeEvent<Value>,
        _: Instant,
    ) -> Result<(), InternalError> {
        let EventBridgeEvent { detail_type, time, detail, .. } = event;
        let time = time.unwrap_or_else(|| self.clock.now());

        match event::receipt(&detail_type, time, &detail) {
            Some((about, receipt)) => self.receipts.apply(&about, &receipt).await,
            None => {
                tracing::info!(kind = detail_type, "SES event carries no id of ours; ignored");
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_tell_of_their_message() {
        for (event, status) in [
            (include_str!("../events/sent.json"), "Sent"),
            (include_str!("../events/delivered.json"), "Delivered"),
            (include_str!("../events/complaint.json"), "Delivered"),
            (include_str!("../events/bounced.json"), "Failed"),
            (include_str!("../events/rejected.json"), "Failed"),
        ] {
            let event: EventBridgeEvent<Value> =
                serde_json::from_str(event).expect("it is an event");
            let time = event.time.expect("it has one");
            let (about, receipt) =
                event::receipt(&event.detail_type, time, &event.detail).expect("it is about ours");
            assert_eq!(format!("{:?}", receipt.reported.status()), status);
            assert_eq!(about.message_id.to_string(), "0198f3c2-7a10-7000-8001-9d4c5b6a7f80");
        }
    }
}
