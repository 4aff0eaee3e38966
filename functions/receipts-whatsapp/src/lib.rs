//! `GET` and `POST /api/v1/webhooks/whatsapp`: Meta asks whether this is the place, and tells what
//! became of messages and when customers wrote.
//!
//! Whatever is genuine is answered 200, and fast: Meta repeats everything else for seven days
//! ([webhooks](https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/create-webhook-endpoint)).
//! So what is not understood is left alone, and what could not be written down is answered 500.

pub mod notification;
pub mod signature;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt};
use lambda_http::http::header::{CONTENT_TYPE, HeaderName};
use lambda_http::http::{HeaderValue, Method};
use lambda_http::{Body, Request, RequestExt, Response};

use domain::Channel;
use domain::problem::Refusal;
use notification::{Customer, ParsedWebhook};
use platform::api::ApiError;
use platform::aws::Aws;
use platform::clock::Clock;
use platform::error::InternalError;
use platform::receipts::Receipts;
use platform::runtime::{Error, HttpFunction};
use platform::secrets::Secrets;
use platform::settings::{self};
use platform::table::Table;
use signature::WebhookSecret;

const SIGNATURE: HeaderName = HeaderName::from_static("x-hub-signature-256");

/// How much is written down at once; Meta puts up to 1,000 receipts into one call.
const AT_ONCE: usize = 16;

/// The function.
#[derive(Debug, Clone)]
pub struct ReceiptsWhatsapp {
    secrets: Secrets,
    secret: String,
    receipts: Receipts,
    table: Table,
    clock: Clock,
}

impl HttpFunction for ReceiptsWhatsapp {
    /// Reads `TABLE_NAME`, `WHATSAPP_QUEUE_URL`, `WHATSAPP_WEBHOOK_SECRET` and what AWS clients
    /// need.
    fn from_env() -> Result<ReceiptsWhatsapp, Error> {
        let aws = Aws::from_env()?;
        Ok(ReceiptsWhatsapp {
            secrets: Secrets::new(&aws),
            secret: settings::required("WHATSAPP_WEBHOOK_SECRET")?,
            receipts: Receipts::from_env(&aws, Channel::Whatsapp)?,
            table: Table::from_env(&aws)?,
            clock: Clock::from_env()?,
        })
    }

    async fn handle(&self, request: &Request) -> Result<Response<Body>, ApiError> {
        match *request.method() {
            Method::GET => self.challenge(request).await,
            _ => self.statuses(request).await,
        }
    }
}

impl ReceiptsWhatsapp {
    /// Meta asks whether this is the place, and wants its challenge back.
    async fn challenge(&self, event: &Request) -> Result<Response<Body>, ApiError> {
        let query = event.query_string_parameters();
        let [mode, token, challenge] =
            ["hub.mode", "hub.verify_token", "hub.challenge"].map(|name| query.first(name));
        let (Some("subscribe"), Some(token), Some(challenge)) = (mode, token, challenge) else {
            return Err(Refusal::NotFromProvider.into());
        };
        if !self.vouch(|secret| secret.is_verify_token(token)).await? {
            return Err(Refusal::NotFromProvider.into());
        }
        let mut response = Response::new(Body::Text(challenge.to_owned()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        Ok(response)
    }

    /// Meta tells what became of messages. Nothing is read of it before its signature is found
    /// good.
    async fn statuses(&self, event: &Request) -> Result<Response<Body>, ApiError> {
        let signature = event.headers().get(SIGNATURE).ok_or(Refusal::NotFromProvider)?;
        if !self.vouch(|secret| secret.has_signed(event.body(), signature)).await? {
            return Err(Refusal::NotFromProvider.into());
        }
        let ParsedWebhook { receipts, customers, ignored } =
            match notification::parse(event.body(), self.clock.now()) {
                Ok(told) => told,
                Err(broken) => {
                    // Genuine, and of no use to us however often it is repeated.
                    tracing::error!(error = broken.chain(), "a webhook could not be read");
                    return Ok(Response::new(Body::Empty));
                }
            };
        tracing::info!(receipts = receipts.len(), customers = customers.len(), ignored, "webhook");
        let taken = stream::iter(&receipts)
            .map(|(about, receipt)| self.receipts.apply(about, receipt).boxed());
        let heard = stream::iter(&customers).map(|(customer, at)| self.hear(customer, *at).boxed());
        // All of them are tried: what is written down now is no news when Meta repeats the rest.
        let all = heard.chain(taken).buffer_unordered(AT_ONCE);
        let mut failures = all.filter_map(async |done| done.err()).boxed();
        let mut failed = None;
        while let Some(broken) = failures.next().await {
            if let Some(before) = failed.replace(broken) {
                tracing::error!(error = before.chain(), "a part of a webhook was not written down");
            }
        }
        // However passing the trouble, some may be written: 500, and not the 503 that promises that
        // nothing was.
        let trouble =
            failed.map(|broken| InternalError::because("writing down what a webhook told", broken));
        trouble.map_or_else(|| Ok(Response::new(Body::Empty)), |broken| Err(broken.into()))
    }

    /// A customer wrote: the business may write to them for another while.
    async fn hear(&self, customer: &Customer, at: DateTime<Utc>) -> Result<(), InternalError> {
        let opened =
            self.table.customer_wrote(&customer.phone_number_id, &customer.wa_id, at).await?;
        tracing::debug!(opened, "a customer wrote");
        Ok(())
    }

    /// Whether the secret says so, or the one that may have replaced it since it was read.
    async fn vouch(&self, says_so: impl Fn(&WebhookSecret) -> bool) -> Result<bool, InternalError> {
        let known = self.secrets.text(&self.secret).await?;
        if says_so(&WebhookSecret::parse(&known)?) {
            return Ok(true);
        }
        let fresh = self.secrets.refreshed(&self.secret).await?;
        Ok(fresh != known && says_so(&WebhookSecret::parse(&fresh)?))
    }
}

#[cfg(test)]
mod tests {
    use lambda_http::request::from_str;

    use super::*;
    use domain::delivery::Part;

    /// The examples are signed with this.
    const SECRET: &str = r#"{"app_secret": "an app secret for examples", "verify_token": "a-verify-token-for-examples"}"#;

    /// What an example tells.
    fn told(event: &str) -> ParsedWebhook {
        let event = from_str(event).expect("it is a request");
        let signature = event.headers().get(SIGNATURE).expect("it is signed");
        assert!(
            WebhookSecret::parse(SECRET).expect("a secret").has_signed(event.body(), signature),
            "{event:?}"
        );
        notification::parse(event.body(), "2026-03-01T09:05:03Z".parse().expect("a time"))
            .expect("it is JSON")
    }

    #[test]
    fn the_examples_are_signed_as_they_came_also_in_base64_and_tell_of_their_message() {
        for (event, status) in [
            (include_str!("../events/sent-in-base64.json"), "Sent"),
            (include_str!("../events/delivered.json"), "Delivered"),
            (include_str!("../events/part-delivered.json"), "Delivered"),
            (include_str!("../events/failed.json"), "Failed"),
        ] {
            let ParsedWebhook { receipts, customers, ignored } = told(event);
            assert_eq!((receipts.len(), customers.len(), ignored), (1, 0, 0));
            assert_eq!(format!("{:?}", receipts[0].1.reported.status()), status);
            assert_eq!(
                receipts[0].0.message_id.to_string(),
                "0198f3c2-7a10-7000-8001-9d4c5b6a7f80"
            );
        }
        let part = told(include_str!("../events/part-delivered.json")).receipts[0].1.part;
        assert_eq!(part, Part { number: 2, of: 3 });
        let customer = told(include_str!("../events/customer-writes.json"));
        let zoe =
            Customer { phone_number_id: "106540352242922".into(), wa_id: "16505551234".into() };
        let at = "2026-03-01T09:05:02Z".parse().expect("a time");
        assert_eq!(
            customer,
            ParsedWebhook { customers: [(zoe, at)].into(), ..ParsedWebhook::default() }
        );
    }
}
