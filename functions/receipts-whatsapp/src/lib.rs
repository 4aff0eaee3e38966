//! `GET` and `POST /api/v1/webhooks/whatsapp`: Meta verifies the address, and reports the statuses
//! of messages and what customers wrote.
//!
//! A genuine call is answered 200, and fast: Meta repeats all others for seven days
//! ([webhooks](https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/create-webhook-endpoint)).
//! So unknown content is ignored, and what cannot be read is counted and skipped. What could not be
//! written down is answered 500; a call of which nothing could be read is refused, so that it is
//! not lost before the reader is mended.

pub mod notification;
pub mod signature;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use lambda_http::http::header::{CONTENT_TYPE, HeaderName};
use lambda_http::http::{HeaderValue, Method};
use lambda_http::{Body, Request, RequestExt, Response};
use tracing::Level;

use domain::problem::{FieldError, Refusal};
use domain::{BusinessId, Channel, ConversationId};
use notification::{Customer, CustomerChange, CustomerText, ParsedWebhook};
use platform::api::ApiError;
use platform::aws::Aws;
use platform::clock::Clock;
use platform::error::InternalError;
use platform::receipt_keys::ReceiptKeys;
use platform::receipts::Receipts;
use platform::runtime::{Error, HttpFunction};
use platform::secrets::Secrets;
use platform::settings::{self};
use platform::table::{CustomerDraft, CustomerMessageOutcome, MessageRetention, Table};
use platform::telemetry::metrics::MetricRecord;
use signature::WebhookSecret;

const SIGNATURE: HeaderName = HeaderName::from_static("x-hub-signature-256");

/// How many items are written at once; Meta puts up to 1,000 receipts into one call.
const MAX_CONCURRENT_WRITES: usize = 16;

/// The function.
#[derive(Debug, Clone)]
pub struct ReceiptsWhatsapp {
    secrets: Secrets,
    secret: String,
    receipts: Receipts,
    keys: ReceiptKeys,
    table: Table,
    clock: Clock,
    retention: MessageRetention,
}

impl HttpFunction for ReceiptsWhatsapp {
    /// Reads `TABLE_NAME`, `WHATSAPP_QUEUE_URL`, `WHATSAPP_WEBHOOK_SECRET`, `RECEIPT_KEYS_SECRET`,
    /// `MESSAGE_RETENTION_DAYS` and what AWS clients need.
    fn from_env() -> Result<ReceiptsWhatsapp, Error> {
        let aws = Aws::from_env()?;
        let secrets = Secrets::new(&aws);
        Ok(ReceiptsWhatsapp {
            keys: ReceiptKeys::from_env(&secrets)?,
            secrets,
            secret: settings::required("WHATSAPP_WEBHOOK_SECRET")?,
            receipts: Receipts::from_env(&aws, Channel::Whatsapp)?,
            table: Table::from_env(&aws)?,
            clock: Clock::from_env()?,
            retention: MessageRetention::from_env()?,
        })
    }

    async fn handle(&self, request: &Request) -> Result<Response<Body>, ApiError> {
        match *request.method() {
            Method::GET => self.answer_challenge(request).await,
            _ => self.receive_webhook(request).await,
        }
    }
}

impl ReceiptsWhatsapp {
    /// Answers Meta's verification of the address with its own challenge.
    async fn answer_challenge(&self, event: &Request) -> Result<Response<Body>, ApiError> {
        let query = event.query_string_parameters();
        let [mode, token, challenge] =
            ["hub.mode", "hub.verify_token", "hub.challenge"].map(|name| query.first(name));

        let (Some("subscribe"), Some(token), Some(challenge)) = (mode, token, challenge) else {
            return Err(Refusal::NotFromProvider.into());
        };
        if !self.verify(|secret| secret.is_verify_token(token)).await? {
            return Err(Refusal::NotFromProvider.into());
        }

        let mut response = Response::new(Body::Text(challenge.to_owned()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        Ok(response)
    }

    /// Receives Meta's reports. Nothing of a report is read before its signature is verified.
    async fn receive_webhook(&self, event: &Request) -> Result<Response<Body>, ApiError> {
        let signature = event.headers().get(SIGNATURE).ok_or(Refusal::NotFromProvider)?;
        if !self.verify(|secret| secret.has_signed(event.body(), signature)).await? {
            return Err(Refusal::NotFromProvider.into());
        }

        let webhook = notification::parse(event.body(), self.clock.now());
        report(&webhook);
        if webhook.is_unreadable() {
            let error = "nothing in it can be read as a notification of WhatsApp's";
            return Err(
                Refusal::Invalid(vec![FieldError::new(["body"], error, "json_invalid")]).into()
            );
        }

        // Changes come first: a customer who wrote is found by the names that they have now.
        let ParsedWebhook { receipts, customers, texts, changes, .. } = webhook;
        let mut failed = None;
        for change in &changes {
            keep_one(&mut failed, self.follow_customer(change).await);
        }

        // All of them are tried: those that are written now change nothing when Meta repeats them.
        let receipts = stream::iter(&receipts)
            .map(|claimed| self.receipts.apply_claimed(&self.keys, claimed).boxed());
        let mut writes = stream::iter(&customers)
            .map(|(customer, at)| {
                let texts = texts.get(customer).map(Vec::as_slice).unwrap_or_default();
                self.hear_customer(customer, *at, texts).boxed()
            })
            .chain(receipts)
            .buffer_unordered(MAX_CONCURRENT_WRITES)
            .boxed();
        while let Some(written) = writes.next().await {
            keep_one(&mut failed, written);
        }

        // Some may be written, so even contention is a 500: a 503 promises that nothing was.
        match failed {
            None => Ok(Response::new(Body::Empty)),
            Some(error) => Err(error.while_doing("writing down what a webhook told").into()),
        }
    }

    /// Opens the messaging window of a customer who wrote or called, and keeps what they wrote in
    /// each of the conversations that it is open in: Meta does not say which of them is meant.
    async fn hear_customer(
        &self,
        customer: &Customer,
        at: DateTime<Utc>,
        texts: &[CustomerText],
    ) -> Result<(), InternalError> {
        let Customer { phone_number_id, names } = customer;
        let conversations = self.table.customer_wrote(phone_number_id, names, at).await?;
        tracing::debug!(opened = conversations.opened, "a customer wrote or called");

        for (business_id, conversation_id) in conversations.open {
            for text in texts {
                self.keep_text(business_id, conversation_id, text).await?;
            }
        }
        Ok(())
    }

    /// Keeps a message of a customer's in a conversation, once however often Meta tells of it.
    async fn keep_text(
        &self,
        business_id: BusinessId,
        conversation_id: ConversationId,
        text: &CustomerText,
    ) -> Result<(), InternalError> {
        let CustomerText { provider_id, content, media } = text.clone();
        let now = self.clock.now();
        let draft = CustomerDraft {
            business_id,
            conversation_id,
            name: provider_id,
            content,
            media,
            per_minute: None,
            keep_until: self.retention.keep_until(now),
            now,
        };

        match self.table.store_customer_message(&draft).await? {
            CustomerMessageOutcome::Stored(message) => {
                MetricRecord::new(Level::INFO, "a customer wrote")
                    .with("business", business_id)
                    .with("conversation", conversation_id)
                    .with("message_id", message.id)
                    .write();
            }
            // It was stored before, was erased since, or there is nowhere to store it.
            CustomerMessageOutcome::Replayed(_)
            | CustomerMessageOutcome::NameReused
            | CustomerMessageOutcome::NoConversation
            | CustomerMessageOutcome::TooMany(_) => {}
        }
        Ok(())
    }

    /// Has conversations follow a customer who has another number or user id.
    async fn follow_customer(&self, change: &CustomerChange) -> Result<(), InternalError> {
        let CustomerChange { phone_number_id, old, new, at } = change;
        let conversations = self.table.customer_changed(phone_number_id, old, new, *at).await?;
        tracing::info!(conversations, "a customer has another number or user id");
        Ok(())
    }

    /// Verifies a call with the secret, or with one that may have replaced it since it was read.
    async fn verify(&self, by: impl Fn(&WebhookSecret) -> bool) -> Result<bool, InternalError> {
        let accepts = |text: &str| Ok(by(&WebhookSecret::parse(text)?));
        self.secrets.is_accepted(&self.secret, accepts).await
    }
}

/// Logs and counts what is in a webhook, never its content.
fn report(webhook: &ParsedWebhook) {
    let ParsedWebhook { receipts, customers, texts, changes, ignored, unreadable } = webhook;
    tracing::info!(
        receipts = receipts.len(),
        customers = customers.len(),
        texts = texts.values().map(Vec::len).sum::<usize>(),
        changes = changes.len(),
        ignored,
        unreadable,
        "webhook"
    );

    if *unreadable > 0 {
        MetricRecord::new(Level::WARN, "items of a webhook cannot be read; they are skipped")
            .by("Channel", Channel::Whatsapp)
            .count_many("Unreadable", *unreadable)
            .write();
    }
}

/// Keeps the last error, for the answer, and logs the one before.
fn keep_one(failed: &mut Option<InternalError>, written: Result<(), InternalError>) {
    let Err(error) = written else { return };
    if let Some(before) = failed.replace(error) {
        let error = before.chain();
        tracing::error!(error, "part of a webhook not written; Meta repeats it");
    }
}

#[cfg(test)]
mod tests {
    use lambda_http::request::from_str;

    use super::*;
    use domain::channel::whatsapp::CustomerId;
    use domain::delivery::Part;

    /// The examples are signed with this.
    const SECRET: &str = r#"{"app_secret": "an app secret for examples", "verify_token": "a-verify-token-for-examples"}"#;

    /// Reads an example.
    fn parse_event(event: &str) -> ParsedWebhook {
        let event = from_str(event).expect("it is a request");
        let signature = event.headers().get(SIGNATURE).expect("it is signed");
        assert!(
            WebhookSecret::parse(SECRET).expect("a secret").has_signed(event.body(), signature),
            "{event:?}"
        );
        notification::parse(event.body(), "2026-03-01T09:05:03Z".parse().expect("a time"))
    }

    #[test]
    fn the_examples_are_signed_as_they_came_also_in_base64_and_tell_of_their_message() {
        for (event, status) in [
            (include_str!("../events/sent-in-base64.json"), "Sent"),
            (include_str!("../events/delivered.json"), "Delivered"),
            (include_str!("../events/part-delivered.json"), "Delivered"),
            (include_str!("../events/failed.json"), "Failed"),
        ] {
            let ParsedWebhook { receipts, customers, ignored, unreadable, .. } = parse_event(event);
            assert_eq!((receipts.len(), customers.len(), ignored, unreadable), (1, 0, 0, 0));
            assert_eq!(format!("{:?}", receipts[0].receipt.reported.status()), status);
            assert_eq!(
                receipts[0].about.message_id.to_string(),
                "0198f3c2-7a10-7000-8001-9d4c5b6a7f80"
            );
        }

        let part =
            parse_event(include_str!("../events/part-delivered.json")).receipts[0].receipt.part;
        assert_eq!(part, Part { number: 2, of: 3 });
        let customer = parse_event(include_str!("../events/customer-writes.json"));
        let names = vec![CustomerId::Number("16505551234".into())];
        let zoe = Customer { phone_number_id: "106540352242922".into(), names };

        let at = "2026-03-01T09:05:02Z".parse().expect("a time");
        assert_eq!(customer.texts[&zoe].len(), 1);
        let customers = [(zoe, at)].into();
        let texts = customer.texts.clone();
        assert_eq!(customer, ParsedWebhook { customers, texts, ..ParsedWebhook::default() });
    }
}
