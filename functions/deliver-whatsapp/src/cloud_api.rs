//! One message to the Cloud API:
//! [`POST /{version}/{phone_number_id}/messages`](https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages).

use crate::verdict::{self, ErrorBody};
use domain::Channel;
use domain::delivery::{Accepted, Failure, Outcome, Reason, Reference};
use platform::broken::Broken;
use platform::delivery::{Parcel, Provider};
use platform::secrets::Secrets;
use platform::table::record::ChannelSettings;
use reqwest::{Client, Response, StatusCode};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// A connection that is not there by then was never going to be.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// The Cloud API.
#[derive(Debug)]
pub struct CloudApi {
    client: Client,
    url: String,
    secrets: Secrets,
}

impl CloudApi {
    /// The API at `url`, which ends with its version.
    ///
    /// # Errors
    /// If no HTTPS client can be made.
    pub fn new(url: String, secrets: Secrets) -> reqwest::Result<CloudApi> {
        let client = Client::builder().connect_timeout(CONNECT_TIMEOUT).build()?;
        Ok(CloudApi { client, url, secrets })
    }

    async fn post(&self, number: &str, token: &str, message: &TextMessage<'_>) -> Result<Response, Failure> {
        let url = format!("{}/{number}/messages", self.url);
        let call = self.client.post(url).bearer_auth(token.trim()).json(message);
        call.send().await.map_err(|error| verdict::of_transport(&error))
    }

    async fn token(&self, secret: &str, refresh: bool) -> Result<Arc<str>, Failure> {
        let token = if refresh { self.secrets.refreshed(secret).await } else { self.secrets.text(secret).await };
        token.map_err(|broken| no_token(&broken))
    }
}

/// A text message. Its fields are the documented ones, in the documented order.
#[derive(Debug, Serialize)]
struct TextMessage<'a> {
    messaging_product: &'static str,
    recipient_type: &'static str,
    to: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    text: Text<'a>,
    /// A [`Reference`], which comes back with every status of the message; at most 512 characters.
    biz_opaque_callback_data: String,
}

#[derive(Debug, Serialize)]
struct Text<'a> {
    preview_url: bool,
    body: &'a str,
}

#[derive(Deserialize)]
struct Taken {
    messages: Vec<TakenMessage>,
}

#[derive(Deserialize)]
struct TakenMessage {
    id: String,
}

impl Provider for CloudApi {
    const CHANNEL: Channel = Channel::Whatsapp;

    async fn send(&self, parcel: Parcel<'_>) -> Outcome {
        let ChannelSettings::Whatsapp { phone_number_id, secret } = &parcel.channel.settings else {
            return Err(Failure::Permanent(Reason::new(
                "channel_misconfigured",
                "the channel is not a WhatsApp number",
            )));
        };
        let content = &parcel.message.content;
        let message = TextMessage {
            messaging_product: "whatsapp",
            recipient_type: "individual",
            to: &parcel.conversation.recipient,
            kind: "text",
            text: Text { preview_url: content.contains("https://") || content.contains("http://"), body: content },
            biz_opaque_callback_data: Reference::from(parcel).to_string(),
        };
        let token = self.token(secret, false).await?;
        let mut response = self.post(phone_number_id, &token, &message).await?;
        if response.status() == StatusCode::UNAUTHORIZED {
            // The token may have been replaced a moment ago.
            let token = self.token(secret, true).await?;
            response = self.post(phone_number_id, &token, &message).await?;
        }
        read(response).await
    }
}

async fn read(response: Response) -> Outcome {
    let status = response.status();
    let retry_after = verdict::retry_after(response.headers());
    let body = response.bytes().await.map_err(|error| verdict::of_transport(&error))?;
    if status.is_success() {
        // Success is acceptance, also where its id cannot be read: receipts carry ours.
        let taken: Option<Taken> = serde_json::from_slice(&body).ok();
        let id = taken.and_then(|taken| taken.messages.into_iter().next()).map(|message| message.id);
        return Ok(Accepted { provider_id: id });
    }
    Err(verdict::of_error(status, serde_json::from_slice::<ErrorBody>(&body).ok(), retry_after))
}

fn no_token(broken: &Broken) -> Failure {
    tracing::error!(error = broken.chain(), "the channel's access token could not be read");
    Failure::Transient {
        reason: Reason::new("token_unavailable", "the channel's access token could not be read"),
        retry_after: None,
    }
}
