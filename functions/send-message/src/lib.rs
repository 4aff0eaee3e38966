//! `POST /api/v1/conversations/{conversation_id}/messages`: an agent's message is checked, counted,
//! stored and its channel's doorbell rung. Three AWS calls, one after the other, and two or three
//! more for a file that no message referenced before; what they do is in `platform`, what is
//! allowed in `domain`.

mod attachments;
pub mod request;

use lambda_http::http::header::{HeaderValue, LOCATION};
use lambda_http::http::{HeaderName, StatusCode};
use lambda_http::{Body, Request, RequestExt, Response};
use tracing::Level;

use attachments::{AttachmentResolver, referenced};
use domain::accept::request_hash;
use domain::message::MessageView;
use domain::problem::{MAX_BODY_BYTES, Refusal};
use domain::{BusinessId, Channel, ConversationId, Month, Sender, Seq};
use platform::api::{self, ApiError, Authenticator};
use platform::aws::Aws;
use platform::credential::Caller;
use platform::delivery::ChannelCache;
use platform::error::InternalError;
use platform::files::Files;
use platform::queue::{Doorbell, Doorbells, Version};
use platform::runtime::{Error, HttpFunction, request_id};
use platform::secrets::Secrets;
use platform::table::record::Message;
use platform::table::{AcceptOutcome, LoadRequest, MessageDraft, RequestContext};
use platform::telemetry::metrics::MetricRecord;
use request::Body as MessageBody;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The function.
#[derive(Debug, Clone)]
pub struct SendMessage {
    authenticator: Authenticator,
    channels: ChannelCache,
    files: Files,
    doorbells: Doorbells,
}

impl HttpFunction for SendMessage {
    /// Reads `TABLE_NAME`, `ATTACHMENTS_BUCKET`, the queues' URLs, `AGENT_KEYS_SECRET` and what AWS
    /// clients need.
    fn from_env() -> Result<SendMessage, Error> {
        let aws = Aws::from_env()?;
        Ok(SendMessage {
            authenticator: Authenticator::from_env(&aws, &Secrets::new(&aws))?,
            channels: ChannelCache::default(),
            files: Files::from_env(&aws)?,
            doorbells: Doorbells::from_env(&aws)?,
        })
    }

    async fn handle(&self, request: &Request) -> Result<Response<Body>, ApiError> {
        self.accept(request).await
    }
}

impl SendMessage {
    /// The documented order of the checks: size, caller, form, conversation, channel, key, month.
    async fn accept(&self, event: &Request) -> Result<Response<Body>, ApiError> {
        if event.body().len() > MAX_BODY_BYTES {
            return Err(Refusal::BodyTooLarge { most: MAX_BODY_BYTES as u64 }.into());
        }
        let now = self.authenticator.clock.now();
        let claim = self.authenticator.read_token(event.headers(), now).await?;
        let request = request::parse(
            event.path_parameters().first("conversation_id"),
            event.headers().get(IDEMPOTENCY_KEY),
            event.body(),
        );
        let request = match request {
            Ok(request) => request,
            // Who is not allowed in is not told what else is wrong.
            Err(errors) => {
                self.authenticator.authenticate(claim, LoadRequest::default(), now).await?;
                return Err(Refusal::Invalid(errors).into());
            }
        };
        let hash = hash(request.conversation, &request.body);
        let request_id = request_id(event);
        let uploads = referenced(&request.body.attachments, claim.business(), request.conversation);
        // A conversation that changes channel in the moment between is checked again, once.
        for _ in 0..2 {
            let checked = LoadRequest {
                conversation: Some(request.conversation),
                month: Some(Month::of(now)),
                idempotency_key: request.idempotency_key.as_deref(),
                uploads: &uploads,
            };
            let (caller, context) =
                self.authenticator.authenticate(claim.clone(), checked, now).await?;
            if let Some(first) = context.first.as_ref().filter(|first| first.request_hash == hash) {
                let answer = self
                    .authenticator
                    .table
                    .replay(caller.business, request.conversation, first)
                    .await?;
                return respond(answer, request.conversation);
            }
            let (draft, last) =
                self.draft(&caller, &context, &request, &hash, request_id.as_deref(), now).await?;
            if context.first.is_some() {
                return Err(Refusal::IdempotencyKeyReused.into());
            }
            self.resolver(caller.business, request.conversation)
                .keep(&draft.attachments, &context.uploads)
                .await?;
            match self.authenticator.table.accept(&draft, last, context.head).await? {
                AcceptOutcome::ChannelChanged => {}
                answer => {
                    if let AcceptOutcome::Accepted(message) = &answer {
                        self.ring(&draft, message).await;
                    }
                    return respond(answer, request.conversation);
                }
            }
        }
        Err(Refusal::Busy.into())
    }

    /// Checks the content against the conversation's channel, before anything is counted; returns
    /// the conversation's last message as well.
    async fn draft(
        &self,
        caller: &Caller,
        context: &RequestContext,
        request: &request::Request,
        hash: &str,
        request_id: Option<&str>,
        now: chrono::DateTime<chrono::Utc>,
    ) -> Result<(MessageDraft, Seq), ApiError> {
        let conversation = context.conversation.as_ref().ok_or(Refusal::ConversationNotFound)?;
        let name = &conversation.channel;
        let channel = Channel::from_wire(name)
            .ok_or_else(|| Refusal::ChannelNotSupported { channel: name.clone() })?;
        let table = &self.authenticator.table;
        let record = self.channels.get(table, caller.business, conversation.channel_id).await?;
        let record = record.filter(|record| record.is_active).ok_or(Refusal::ChannelInactive)?;
        if record.settings.channel() != channel {
            return Err(InternalError::new(
                "sending on a channel whose settings are another channel's",
            )
            .into());
        }
        let body = &request.body;
        channel.check_content(&body.content, body.attachments.len())?;
        let (files, has_template) = (body.attachments.len(), record.settings.has_template());
        channel.send_mode(
            body.content.as_str(),
            files,
            conversation.window_expires_at,
            has_template,
            now,
        )?;
        let resolver = self.resolver(caller.business, request.conversation);
        let attachments = resolver.find(&body.attachments, &context.uploads, now).await?;
        channel.check_files(&attachments)?;
        let draft = MessageDraft {
            business: caller.business,
            conversation: request.conversation,
            wire_channel: name.clone(),
            channel,
            sender: Sender(caller.agent),
            content: body.content.clone(),
            attachments,
            idempotency: request.idempotency_key.clone().map(|key| (key, hash.to_owned())),
            correlation_id: request_id.map(str::to_owned),
            now,
        };
        Ok((draft, conversation.seq))
    }

    fn resolver(
        &self,
        business: BusinessId,
        conversation: ConversationId,
    ) -> AttachmentResolver<'_> {
        AttachmentResolver {
            files: &self.files,
            table: &self.authenticator.table,
            business,
            conversation,
        }
    }

    /// The last call. If SQS does not take the doorbell the answer is still 201: the outbox holds the
    /// promise.
    async fn ring(&self, draft: &MessageDraft, message: &Message) {
        let (business, conversation, channel) = (draft.business, draft.conversation, draft.channel);
        let accepted =
            MetricRecord::new(Level::INFO, "accepted").by("Channel", channel).count("Accepted");
        let accepted = accepted.with("business", business).with("conversation", conversation);
        accepted.with("message_id", message.id).with("seq", message.seq).write();
        let doorbell = Doorbell { v: Version, business, conversation, channel };
        if let Err(broken) = self.doorbells.ring(&doorbell).await {
            doorbell.ring_failed(&broken).write();
        }
    }
}

fn respond(
    answer: AcceptOutcome,
    conversation: ConversationId,
) -> Result<Response<Body>, ApiError> {
    let (message, replayed) = match answer {
        AcceptOutcome::Accepted(message) => (message, false),
        AcceptOutcome::Replayed(message) => (message, true),
        AcceptOutcome::Refused(refusal) => return Err(refusal.into()),
        AcceptOutcome::ChannelChanged => return Err(Refusal::Busy.into()),
    };
    if replayed {
        tracing::info!(%conversation, message_id = %message.id, "replayed");
    }
    Ok(created(&message.view(conversation), replayed)?)
}

fn created(view: &MessageView<'_>, replayed: bool) -> Result<Response<Body>, InternalError> {
    let mut response = api::json(StatusCode::CREATED, view)?;
    let location = format!("/api/v1/conversations/{}/messages/{}", view.conversation_id, view.id);
    let location = HeaderValue::try_from(location)
        .map_err(|error| InternalError::because("writing an answer", error))?;
    response.headers_mut().insert(LOCATION, location);
    if replayed {
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// What makes two requests the same for an idempotency key: where to, and what.
fn hash(conversation: ConversationId, body: &MessageBody) -> String {
    let conversation = conversation.to_string();
    let parts = [conversation.as_str(), body.content.as_str()];
    request_hash(parts.into_iter().chain(body.attachments.iter().map(String::as_str)))
}
