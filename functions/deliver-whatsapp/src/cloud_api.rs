//! Sends one part of a message to the Cloud API: its file, if it has one, by [`POST
//! /{version}/{phone_number_id}/media`](https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media),
//! then the message by [`POST
//! /{version}/{phone_number_id}/messages`](https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages).
//!
//! No customer sees an upload. If one fails, the message was not sent, and can be tried again
//! without any doubt.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::Deserialize;

use crate::failure::{self, ErrorBody};
use crate::media::{Media, Uploaded};
use crate::message_part::{MessagePart, parts_of};
use crate::outgoing::{Body, Outgoing};
use domain::channel::{SendMode, WhatsappMedia};
use domain::delivery::{Accepted, Failure, MessageReference, Reason, SendOutcome};
use domain::{Attachment, Channel, Refusal};
use platform::aws::Aws;
use platform::delivery::{OutboundMessage, Provider};
use platform::error::InternalError;
use platform::files::Files;
use platform::runtime::Error;
use platform::secrets::Secrets;
use platform::settings;
use platform::table::record::{ChannelSettings, Message, Template};

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// How long the answer to a message may take.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// An upload leaves so much of a message's time to the message that goes with it.
const MESSAGE_RESERVE: Duration = Duration::from_secs(4);

/// The Cloud API.
#[derive(Debug)]
pub struct CloudApi {
    client: Client,
    url: String,
    secrets: Secrets,
    media: Media,
}

/// The channel's phone number, with what a call for it needs.
#[derive(Debug, Clone, Copy)]
struct PhoneNumber<'a> {
    id: &'a str,
    secret: &'a str,
    template: Option<&'a Template>,
}

impl CloudApi {
    /// Returns the message's body for WhatsApp, after its file is uploaded.
    async fn body<'a>(
        &self,
        number: PhoneNumber<'a>,
        outbound: &OutboundMessage<'a>,
    ) -> Result<Body<'a>, Failure> {
        let message = outbound.message;
        match send_mode(number.template, outbound)? {
            Some(template) => Ok(Body::template(template, message.content.as_str())),
            None => {
                match parts_of(message).into_iter().nth(usize::from(outbound.part.number) - 1) {
                    Some(MessagePart::File { file, media, caption }) => {
                        let id = self.media_id(number, outbound, file, media).await?;
                        Ok(Body::file(media, id, file.filename.as_str(), caption))
                    }
                    Some(MessagePart::Text(text)) => Ok(Body::text(text)),
                    None => Err(Failure::Permanent(Reason::new(
                        "message_rejected",
                        "the message has no such part",
                    ))),
                }
            }
        }
    }

    /// Returns the file's id at WhatsApp, and uploads the file if it has none.
    async fn media_id(
        &self,
        number: PhoneNumber<'_>,
        outbound: &OutboundMessage<'_>,
        file: &Attachment,
        media: WhatsappMedia,
    ) -> Result<String, Failure> {
        if let Some(id) = self.media.known_id(number.id, file.id) {
            return Ok(id);
        }

        let until = outbound.until.checked_sub(MESSAGE_RESERVE).unwrap_or(outbound.until);
        let uploaded = tokio::time::timeout_at(until, self.upload(number, outbound, file)).await;
        let id = uploaded.map_err(|_| too_slow(file, media))??;
        self.media.remember_id(number.id, file.id, &id);
        Ok(id)
    }

    async fn upload(
        &self,
        number: PhoneNumber<'_>,
        outbound: &OutboundMessage<'_>,
        file: &Attachment,
    ) -> Result<String, Failure> {
        let loaded = self.media.load(outbound, file).await?;
        let url = format!("{}/{}/media", self.url, number.id);
        let request = || Ok(self.client.post(&url).multipart(loaded.form()?));
        let answer = async { success_body(self.call(number, request).await?).await };
        let body = answer.await.map_err(without_doubt)?;

        let uploaded: Option<Uploaded> = serde_json::from_slice(&body).ok();
        uploaded.map(|uploaded| uploaded.id).ok_or_else(|| {
            let reason =
                Reason::new("provider_error", "WhatsApp took a file and did not say as what");
            Failure::Transient { reason, retry_after: None }
        })
    }

    /// Makes a call with the channel's token, and once more if that may have been replaced a moment
    /// ago.
    async fn call(
        &self,
        number: PhoneNumber<'_>,
        request: impl Fn() -> reqwest::Result<RequestBuilder>,
    ) -> Result<Response, Failure> {
        let send = async |token: Arc<str>| {
            let request = request().map_err(|_| unmade())?;
            request
                .bearer_auth(token.trim())
                .send()
                .await
                .map_err(|error| failure::of_transport(&error))
        };

        let response = send(self.token(number.secret, false).await?).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }

        send(self.token(number.secret, true).await?).await
    }

    async fn token(&self, secret: &str, refresh: bool) -> Result<Arc<str>, Failure> {
        let token = if refresh {
            self.secrets.refreshed(secret).await
        } else {
            self.secrets.text(secret).await
        };
        token.map_err(|error| no_token(&error))
    }
}

#[derive(Deserialize)]
struct AcceptedResponse {
    messages: Vec<AcceptedMessage>,
}

#[derive(Deserialize)]
struct AcceptedMessage {
    id: String,
}

impl Provider for CloudApi {
    const CHANNEL: Channel = Channel::Whatsapp;

    /// Reads `WHATSAPP_API_URL`, which ends with the API's version, `ATTACHMENTS_BUCKET` and what
    /// AWS clients need.
    fn from_env(aws: &Aws) -> Result<CloudApi, Error> {
        Ok(CloudApi {
            client: Client::builder().connect_timeout(CONNECT_TIMEOUT).build()?,
            url: settings::required("WHATSAPP_API_URL")?,
            secrets: Secrets::new(aws),
            media: Media::new(Files::from_env(aws)?),
        })
    }

    /// All the time that the worker has, because 100 MiB are read and uploaded in it. A message
    /// alone ends earlier, with `MESSAGE_TIMEOUT`.
    const TIMEOUT: Duration = Duration::from_secs(20);

    fn parts(&self, message: &Message) -> u8 {
        u8::try_from(parts_of(message).len()).unwrap_or(u8::MAX)
    }

    async fn send(&self, outbound: OutboundMessage<'_>) -> SendOutcome {
        let ChannelSettings::Whatsapp { phone_number_id, secret, template } =
            &outbound.channel.settings
        else {
            return Err(Failure::Permanent(Reason::new(
                "channel_misconfigured",
                "the channel is not a WhatsApp number",
            )));
        };

        let number = PhoneNumber { id: phone_number_id, secret, template: template.as_ref() };
        let body = self.body(number, &outbound).await?;

        let callback_data = outbound.part.callback_data(&MessageReference::from(outbound));
        let message = Outgoing::new(&outbound.conversation.recipient, body, callback_data);
        let url = format!("{}/{}/messages", self.url, number.id);
        let request = || Ok(self.client.post(&url).timeout(MESSAGE_TIMEOUT).json(&message));
        let answer = success_body(self.call(number, request).await?).await?;

        // Success is acceptance, even if its id cannot be read: receipts carry our own id.
        let accepted: Option<AcceptedResponse> = serde_json::from_slice(&answer).ok();
        let message = accepted.and_then(|accepted| accepted.messages.into_iter().next());

        Ok(Accepted { provider_id: message.map(|message| message.id) })
    }
}

/// Returns the template to send the message with if the customer's window is closed, and `None` if
/// the message may be sent free-form.
fn send_mode<'a>(
    template: Option<&'a Template>,
    outbound: &OutboundMessage<'_>,
) -> Result<Option<&'a Template>, Failure> {
    let closed =
        |detail: String| Failure::Permanent(Reason::new("outside_messaging_window", detail));
    let OutboundMessage { message, conversation, now, .. } = *outbound;
    let files = message.attachments.len();

    match Channel::Whatsapp.send_mode(
        message.content.as_str(),
        files,
        conversation.window_expires_at,
        template.is_some(),
        now,
    ) {
        Ok(SendMode::FreeForm) => Ok(None),
        Ok(SendMode::Template) => Ok(template),
        Err(Refusal::ContentNotAllowed { detail }) => Err(closed(detail)),
        Err(_) => Err(closed("more than 24 hours have passed since the customer wrote".to_owned())),
    }
}

/// Returns the body of a success.
async fn success_body(response: Response) -> Result<bytes::Bytes, Failure> {
    let status = response.status();
    let retry_after = failure::retry_after(response.headers());
    let body = response.bytes().await.map_err(|error| failure::of_transport(&error))?;
    if status.is_success() {
        return Ok(body);
    }
    Err(failure::of_error(status, serde_json::from_slice::<ErrorBody>(&body).ok(), retry_after))
}

/// Turns an unknown outcome into a transient failure, for calls whose effect no customer sees.
fn without_doubt(failure: Failure) -> Failure {
    match failure {
        Failure::Unknown(reason) => Failure::Transient { reason, retry_after: None },
        Failure::Permanent(_)
        | Failure::Transient { .. }
        | Failure::ChannelDown { .. }
        | Failure::Away => failure,
    }
}

fn too_slow(file: &Attachment, media: WhatsappMedia) -> Failure {
    let detail =
        format!("a file of {} bytes, {media:?}, did not reach WhatsApp in time", file.size);
    Failure::Transient { reason: Reason::new("upload_timeout", detail), retry_after: None }
}

fn unmade() -> Failure {
    Failure::Permanent(Reason::new("message_rejected", "the call to WhatsApp could not be made"))
}

fn no_token(error: &InternalError) -> Failure {
    tracing::error!(error = error.chain(), "access token not read; the message is tried again");
    Failure::Transient {
        reason: Reason::new("token_unavailable", "the channel's access token could not be read"),
        retry_after: None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_are_read_in_the_documented_shapes() {
        let taken = json!({
            "messaging_product": "whatsapp",
            "contacts": [{ "input": "+1 650 555 1234", "wa_id": "16505551234" }],
            "messages": [{ "id": "wamid.HBgLMTY1MDU1NTEyMzQVAgARGBI1QjJBMUMzRDRFNUY2Nzg5MEEA", "message_status": "accepted" }],
        });

        let taken: AcceptedResponse = serde_json::from_value(taken).expect("the documented shape");
        assert_eq!(
            taken.messages[0].id,
            "wamid.HBgLMTY1MDU1NTEyMzQVAgARGBI1QjJBMUMzRDRFNUY2Nzg5MEEA"
        );

        let uploaded: Uploaded = serde_json::from_value(json!({ "id": "1037543291543636" }))
            .expect("the documented shape");
        assert_eq!(uploaded.id, "1037543291543636");
        let error = json!({ "error": {
            "message": "(#131053) Media upload error", "type": "OAuthException", "code": 131_053,
            "error_data": { "messaging_product": "whatsapp", "details": "Downloading media failed." },
            "fbtrace_id": "A1b2C3d4E5f6G7h8",
        }});

        let error: ErrorBody = serde_json::from_value(error).expect("the documented shape");
        let failure = failure::of_error(StatusCode::BAD_REQUEST, Some(error), None);
        assert!(matches!(failure, Failure::Permanent(reason) if reason.code == "file_rejected"));
    }

    #[test]
    fn a_lost_answer_to_what_nobody_sees_leaves_nothing_in_doubt() {
        let reason = || Reason::new("no_answer", "WhatsApp did not answer");
        let waits = Failure::Transient { reason: reason(), retry_after: None };
        assert_eq!(without_doubt(Failure::Unknown(reason())), waits);
        for other in [Failure::Permanent(reason()), waits.clone()] {
            assert_eq!(without_doubt(other.clone()), other);
        }
    }
}
