//! Sends one part of a message to the Cloud API: its file, if it has one, by [`POST
//! /{version}/{phone_number_id}/media`](https://developers.facebook.com/docs/whatsapp/cloud-api/reference/media),
//! then the message by [`POST
//! /{version}/{phone_number_id}/messages`](https://developers.facebook.com/docs/whatsapp/cloud-api/reference/messages).
//!
//! No customer sees an upload. If one fails, the message was not sent, and can be tried again
//! without any doubt.

use std::time::Duration;

use reqwest::Client;

use crate::answer::Answer;
use crate::authorized::AuthorizedClient;
use crate::media::Media;
use crate::message_part::{MessagePart, parts_of};
use crate::outgoing::{Body, Outgoing};
use domain::channel::whatsapp::{self, CustomerId};
use domain::channel::{SendMode, WhatsappMedia};
use domain::delivery::{Accepted, Failure, MessageReference, Part, Reason, SendOutcome};
use domain::{Attachment, Channel, ConversationId, Refusal};
use platform::aws::Aws;
use platform::cache::TtlCache;
use platform::delivery::{MIN_MESSAGE_TIME, OutboundMessage, Provider, keys_unavailable};
use platform::files::Files;
use platform::receipt_keys::{ReceiptKeys, Route};
use platform::runtime::Error;
use platform::secrets::Secrets;
use platform::settings;
use platform::table::Table;
use platform::table::record::{ChannelSettings, Message, Template};

/// How long the answer to a message may take.
pub const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the link that an answer asked for may take. A link that fails is made after the next
/// message.
const LINK_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a process knows that a link is made.
const LINK_TTL: Duration = Duration::from_secs(24 * 60 * 60);

/// How many links a process knows at once.
const MAX_LINKS: usize = 10_000;

/// An upload leaves so much of a message's time to the message that goes with it.
pub const MESSAGE_RESERVE: Duration = Duration::from_secs(4);

/// The bytes of a file that reach WhatsApp in a second at the least, read from the bucket first. With
/// the largest file, which takes 13 s then, an attempt is begun only by an invocation that has done
/// little else: what does not arrive in time begins at its first byte again.
pub const UPLOAD_RATE: u64 = 8_000_000;

/// The Cloud API.
#[derive(Debug)]
pub struct CloudApi {
    client: AuthorizedClient,
    keys: ReceiptKeys,
    url: String,
    media: Media,
    table: Table,
    /// The names by which customers find their conversations already.
    links: TtlCache<(ConversationId, String), ()>,
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
            Some(template) => {
                Ok(Body::template(template, whatsapp::template_parameter(message.content.as_str())))
            }
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
        let request = |client: &Client| Ok(client.post(&url).multipart(loaded.form()?));
        let answer = self.client.call(number.secret, request).await.map_err(without_doubt)?;

        answer.id().ok_or_else(|| {
            let reason =
                Reason::new("provider_error", "WhatsApp took a file and did not say as what");
            Failure::Transient { reason, retry_after: None }
        })
    }

    /// Returns the part's reference with its proof, which come back with every status.
    async fn callback_data(
        &self,
        number: PhoneNumber<'_>,
        outbound: OutboundMessage<'_>,
    ) -> Result<String, Failure> {
        let reference = outbound.part.callback_data(&MessageReference::from(outbound));
        let route = Route { channel: Channel::Whatsapp, sender: number.id };
        let wait = outbound.half_of_time_left();
        let tag = self.keys.tag(route, &reference, outbound.now, wait).await;
        let tag = tag.map_err(|error| keys_unavailable(&error))?;
        Ok(format!("{reference}.{tag}"))
    }

    /// Lets the customer find the conversation by the names that WhatsApp's answer has for them, if
    /// these are others than the conversation's own.
    async fn link_recipients(
        &self,
        number: PhoneNumber<'_>,
        outbound: &OutboundMessage<'_>,
        answer: &Answer,
    ) {
        let OutboundMessage { business_id, conversation_id, conversation, .. } = *outbound;
        let own = CustomerId::parse(&conversation.recipient).map(|name| name.lookup_key());

        for name in answer.recipients() {
            let known = (conversation_id, name.lookup_key());
            if own.as_ref() == Some(&known.1) || self.links.get(&known).is_some() {
                continue;
            }

            let link = self.table.link_customer(number.id, &name, business_id, conversation_id);
            match tokio::time::timeout(LINK_TIMEOUT, link).await {
                Ok(Ok(())) => self.links.insert(known, ()),
                Ok(Err(error)) => {
                    let error = error.chain();
                    tracing::warn!(error, "customer not linked; the next message tries again");
                }
                Err(_) => {
                    tracing::warn!("customer not linked in time; the next message tries again")
                }
            }
        }
    }
}

impl Provider for CloudApi {
    const CHANNEL: Channel = Channel::Whatsapp;

    /// Reads `WHATSAPP_API_URL`, which ends with the API's version, `ATTACHMENTS_BUCKET`,
    /// `RECEIPT_KEYS_SECRET` and what AWS clients need.
    fn from_env(aws: &Aws) -> Result<CloudApi, Error> {
        let secrets = Secrets::new(aws);
        Ok(CloudApi {
            keys: ReceiptKeys::from_env(&secrets)?,
            client: AuthorizedClient::new(secrets)?,
            url: settings::required("WHATSAPP_API_URL")?,
            media: Media::new(Files::from_env(aws)?),
            table: Table::from_env(aws)?,
            links: TtlCache::new(LINK_TTL, MAX_LINKS),
        })
    }

    /// All the time that the worker has, because 100 MiB are read and uploaded in it. A message
    /// alone ends earlier, with `MESSAGE_TIMEOUT`.
    const TIMEOUT: Duration = Duration::from_secs(20);

    fn parts(&self, message: &Message) -> u8 {
        u8::try_from(parts_of(message).len()).unwrap_or(u8::MAX)
    }

    fn time_needed(&self, message: &Message, part: Part) -> Duration {
        match parts_of(message).into_iter().nth(usize::from(part.number) - 1) {
            Some(MessagePart::File { file, .. }) => {
                Duration::from_millis(file.size * 1_000 / UPLOAD_RATE) + MESSAGE_RESERVE
            }
            Some(MessagePart::Text(_)) | None => MIN_MESSAGE_TIME,
        }
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

        if CustomerId::parse(&outbound.conversation.recipient).is_none() {
            let detail = "WhatsApp cannot write to the customer's number";
            return Err(Failure::Permanent(Reason::new("recipient_unreachable", detail)));
        }

        let number = PhoneNumber { id: phone_number_id, secret, template: template.as_ref() };

        // Secrets come before files: an upload whose message cannot follow would be for nothing.
        let callback_data = self.callback_data(number, outbound).await?;
        self.client.prepare(number.secret, outbound.half_of_time_left()).await?;

        let body = self.body(number, &outbound).await?;
        let message = Outgoing::new(&outbound.conversation.recipient, body, callback_data);
        let url = format!("{}/{}/messages", self.url, number.id);
        let request =
            |client: &Client| Ok(client.post(&url).timeout(MESSAGE_TIMEOUT).json(&message));
        let answer = self.client.call(number.secret, request).await?;

        self.link_recipients(number, &outbound, &answer).await;

        // Success is acceptance, even if its id cannot be read: receipts carry our own id.
        Ok(Accepted { provider_id: answer.id().map(Into::into) })
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
    let media = media.name();
    let detail = format!("the {media} of {} bytes did not reach WhatsApp in time", file.size);
    Failure::Transient { reason: Reason::new("upload_timeout", detail), retry_after: None }
}

#[cfg(test)]
mod tests {
    use super::*;

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
