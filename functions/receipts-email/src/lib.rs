//! SES tells, by way of EventBridge, what became of messages. Which events are asked for is in the
//! template; what each means, in [`event`].

pub mod event;

use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use lambda_runtime::LambdaEvent;
use serde_json::Value;

use domain::Channel;
use platform::aws::Aws;
use platform::clock::Clock;
use platform::receipts::Receipts;
use platform::runtime;
use platform::settings::SettingError;

/// The function.
#[derive(Debug, Clone)]
pub struct ReceiptsEmail {
    receipts: Receipts,
    clock: Clock,
}

/// Runs the function until Lambda stops it.
///
/// # Errors
/// What kept it from starting, in a sentence.
pub async fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    platform::telemetry::init();
    let function = ReceiptsEmail::from_env()?;
    runtime::events(|event| function.handle(event)).await
}

impl ReceiptsEmail {
    /// Reads `TABLE_NAME`, `EMAIL_QUEUE_URL` and what AWS clients need.
    ///
    /// # Errors
    /// The variable that is missing or malformed.
    pub fn from_env() -> Result<ReceiptsEmail, SettingError> {
        let aws = Aws::from_env()?;
        Ok(ReceiptsEmail {
            receipts: Receipts::from_env(&aws, Channel::Email)?,
            clock: Clock::from_env()?,
        })
    }

    /// Takes one event.
    ///
    /// # Errors
    /// If the table does not answer; Lambda then brings the event again, twice ([asynchronous
    /// invocation](https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html)).
    pub async fn handle(
        &self,
        event: LambdaEvent<EventBridgeEvent<Value>>,
    ) -> Result<(), lambda_runtime::Error> {
        let EventBridgeEvent { detail_type, time, detail, .. } = event.payload;
        match event::receipt(&detail_type, time.unwrap_or_else(|| self.clock.now()), &detail) {
            Some((about, receipt)) => Ok(self.receipts.take(&about, &receipt).await?),
            None => {
                tracing::info!(kind = detail_type, "an event about nothing of ours");
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
            assert_eq!(about.message.to_string(), "0198f3c2-7a10-7000-8001-9d4c5b6a7f80");
        }
    }
}
