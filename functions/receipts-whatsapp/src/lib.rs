//! `GET` and `POST /api/v1/webhooks/whatsapp`: Meta asks whether this is the place, and tells what became of messages.
//!
//! Whatever is genuine is answered 200, and fast: Meta repeats everything else for seven days
//! ([webhooks](https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/create-webhook-endpoint)).
//! So what is not understood is left alone, and what could not be written down is answered 500.

pub mod notification;
pub mod signature;

use domain::Channel;
use domain::problem::Refusal;
use futures_util::stream::{self, StreamExt};
use lambda_http::http::header::{CONTENT_TYPE, HeaderName};
use lambda_http::http::{HeaderValue, Method};
use lambda_http::{Body, Request, RequestExt, Response, service_fn};
use notification::Told;
use platform::api::{self, Trouble};
use platform::aws::Aws;
use platform::broken::Broken;
use platform::clock::{self, Clock};
use platform::receipts::Receipts;
use platform::secrets::Secrets;
use platform::settings::{self, SettingError};
use signature::WebhookSecret;
use std::time::Duration;

const SIGNATURE: HeaderName = HeaderName::from_static("x-hub-signature-256");

/// What it takes to answer that there is no time left.
const RESERVE: Duration = Duration::from_millis(250);

/// How many receipts are written down at once; Meta puts up to 1,000 into one call.
const AT_ONCE: usize = 16;

/// The function.
#[derive(Debug, Clone)]
pub struct ReceiptsWhatsapp {
    secrets: Secrets,
    secret: String,
    receipts: Receipts,
    clock: Clock,
}

/// Runs the function until Lambda stops it.
///
/// # Errors
/// What kept it from starting, in a sentence.
pub async fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    platform::telemetry::init();
    let function = ReceiptsWhatsapp::from_env()?;
    lambda_http::run(service_fn(|event| async { Ok::<_, std::convert::Infallible>(function.handle(event).await) }))
        .await
}

impl ReceiptsWhatsapp {
    /// Reads `TABLE_NAME`, `WHATSAPP_QUEUE_URL`, `WHATSAPP_WEBHOOK_SECRET` and what AWS clients need.
    ///
    /// # Errors
    /// The variable that is missing or malformed.
    pub fn from_env() -> Result<ReceiptsWhatsapp, SettingError> {
        let aws = Aws::from_env()?;
        Ok(ReceiptsWhatsapp {
            secrets: Secrets::new(&aws),
            secret: settings::required("WHATSAPP_WEBHOOK_SECRET")?,
            receipts: Receipts::from_env(&aws, Channel::Whatsapp)?,
            clock: Clock::from_env()?,
        })
    }

    /// Answers one request, in time: whoever waits hears from us and not from whatever stops us.
    pub async fn handle(&self, event: Request) -> Response<Body> {
        let left = clock::time_left(event.lambda_context().deadline()).saturating_sub(RESERVE);
        let late = |late| Err(Broken::because("answering in time", late).into());
        let answer = async {
            match *event.method() {
                Method::GET => self.challenge(&event).await,
                _ => self.statuses(&event).await,
            }
        };
        api::answer(tokio::time::timeout(left, answer).await.unwrap_or_else(late))
    }

    /// Meta asks whether this is the place, and wants its challenge back.
    async fn challenge(&self, event: &Request) -> Result<Response<Body>, Trouble> {
        let query = event.query_string_parameters();
        let [mode, token, challenge] = ["hub.mode", "hub.verify_token", "hub.challenge"].map(|name| query.first(name));
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

    /// Meta tells what became of messages. Nothing is read of it before its signature is found good.
    async fn statuses(&self, event: &Request) -> Result<Response<Body>, Trouble> {
        let signature = event.headers().get(SIGNATURE).ok_or(Refusal::NotFromProvider)?;
        if !self.vouch(|secret| secret.has_signed(event.body(), signature)).await? {
            return Err(Refusal::NotFromProvider.into());
        }
        let Told { receipts, ignored } = match notification::parse(event.body(), self.clock.now()) {
            Ok(told) => told,
            Err(broken) => {
                // Genuine, and of no use to us however often it is repeated.
                tracing::error!(error = broken.chain(), "a webhook could not be read");
                return Ok(Response::new(Body::Empty));
            }
        };
        tracing::info!(receipts = receipts.len(), ignored, "webhook");
        let taken = stream::iter(&receipts).map(|(about, receipt)| self.receipts.take(about, receipt));
        // All of them are tried: what is written down now is no news when Meta repeats the rest.
        let mut failures = taken.buffer_unordered(AT_ONCE).filter_map(async |taken| taken.err()).boxed();
        let mut failed = None;
        while let Some(broken) = failures.next().await {
            if let Some(before) = failed.replace(broken) {
                tracing::error!(error = Broken::chain(&before), "a receipt was not written down");
            }
        }
        failed.map_or_else(|| Ok(Response::new(Body::Empty)), |broken| Err(broken.into()))
    }

    /// Whether the secret says so, or the one that may have replaced it since it was read.
    async fn vouch(&self, says_so: impl Fn(&WebhookSecret) -> bool) -> Result<bool, Broken> {
        let known = self.secrets.text(&self.secret).await?;
        if says_so(&WebhookSecret::parse(&known)?) {
            return Ok(true);
        }
        let fresh = self.secrets.refreshed(&self.secret).await?;
        Ok(fresh != known && says_so(&WebhookSecret::parse(&fresh)?))
    }
}
