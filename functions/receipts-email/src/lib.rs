//! Receives SES's reports on messages through EventBridge. The template selects the events;
//! [`event`] says what each means.

pub mod event;

use std::time::Duration;

use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use serde_json::Value;
use tokio::time::Instant;

use domain::Channel;
use domain::delivery::MessageReference;
use platform::aws::Aws;
use platform::clock::Clock;
use platform::error::InternalError;
use platform::receipt_keys::ReceiptKeys;
use platform::receipts::Receipts;
use platform::runtime::{Error, EventFunction};
use platform::secrets::Secrets;
use platform::settings;

/// The function.
#[derive(Debug, Clone)]
pub struct ReceiptsEmail {
    receipts: Receipts,
    keys: ReceiptKeys,
    clock: Clock,
    /// The configuration set whose events are ours.
    configuration_set: String,
}

impl EventFunction for ReceiptsEmail {
    type Event = EventBridgeEvent<Value>;
    type Answer = ();

    const RESERVE: Duration = Duration::ZERO;

    /// Reads `TABLE_NAME`, `EMAIL_QUEUE_URL`, `EMAIL_CONFIGURATION_SET`, `RECEIPT_KEYS_SECRET` and
    /// what AWS clients need.
    fn from_env() -> Result<ReceiptsEmail, Error> {
        let aws = Aws::from_env()?;
        Ok(ReceiptsEmail {
            receipts: Receipts::from_env(&aws, Channel::Email)?,
            keys: ReceiptKeys::from_env(&Secrets::new(&aws))?,
            clock: Clock::from_env()?,
            configuration_set: settings::required("EMAIL_CONFIGURATION_SET")?,
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

        match event::receipt(&self.configuration_set, &detail_type, time, &detail) {
            Some(claimed) => {
                self.receipts.apply_claimed(&self.keys, &claimed).await?;
                if event::is_complaint(&detail_type, &detail) {
                    report_complaint(&claimed.about);
                }
                Ok(())
            }
            None => {
                let kind = Some(detail_type).filter(|kind| event::is_kind(kind));
                tracing::info!(kind, "SES event changes no message of ours; ignored");
                Ok(())
            }
        }
    }
}

/// Writes the line that tells operators whose customer has called a mail spam.
fn report_complaint(about: &MessageReference) {
    let MessageReference { business_id, conversation_id, message_id } = about;
    tracing::warn!(
        business = %business_id,
        conversation = %conversation_id,
        %message_id,
        "complaint"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::delivery::{Receipt, Standing, Status};

    #[test]
    fn the_examples_tell_of_their_message() {
        for (event, status) in [
            (include_str!("../events/sent.json"), "Sent"),
            (include_str!("../events/delivered.json"), "Delivered"),
            (include_str!("../events/complaint.json"), "Delivered"),
            (include_str!("../events/bounced.json"), "Failed"),
            (include_str!("../events/late-bounce.json"), "Failed"),
            (include_str!("../events/out-of-office.json"), "Failed"),
            (include_str!("../events/rejected.json"), "Failed"),
        ] {
            assert_eq!(format!("{:?}", receipt(event).reported.status()), status);
        }
    }

    fn receipt(event: &str) -> Receipt {
        let event: EventBridgeEvent<Value> = serde_json::from_str(event).expect("it is an event");
        let time = event.time.expect("it has one");
        let claimed = event::receipt(
            "pingback-messages-EmailReceipts",
            &event.detail_type,
            time,
            &event.detail,
        )
        .expect("it is about ours");
        let message_id = claimed.about.message_id.to_string();
        assert_eq!(message_id, "0198f3c2-7a10-7000-8001-9d4c5b6a7f80");
        claimed.receipt
    }

    #[test]
    fn a_late_bounce_is_the_last_word_in_any_order_and_an_out_of_office_answer_is_not() {
        let sent = receipt(include_str!("../events/sent.json"));
        let delivered = receipt(include_str!("../events/delivered.json"));
        let late_bounce = receipt(include_str!("../events/late-bounce.json"));
        let out_of_office = receipt(include_str!("../events/out-of-office.json"));

        for (third, status) in [(late_bounce, Status::Failed), (out_of_office, Status::Delivered)] {
            let events = [&sent, &delivered, &third];
            for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
                let begun = Standing { status: Status::Sending, reported_at: None };
                let end = order.iter().fold(begun, |standing, place| {
                    let Receipt { reported, at, .. } = events[*place];
                    standing.on_receipt(reported, *at).unwrap_or(standing)
                });
                assert_eq!(end.status, status, "{order:?}");
            }
        }
    }
}
