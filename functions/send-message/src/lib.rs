//! `POST /api/v1/conversations/{conversation_id}/messages`: checks an agent's message, counts and
//! stores it, and rings its channel's doorbell. That takes three AWS calls, one after the other,
//! and two or three more for a file that no message referenced before. What the calls do is in
//! `platform`, what is allowed in `domain`.

mod attachments;
pub mod request;

use chrono::{DateTime, Utc};
use lambda_http::http::header::{HeaderValue, LOCATION};
use lambda_http::http::{HeaderName, StatusCode};
use lambda_http::{Body, Request, RequestExt, Response};
use tracing::Level;

use attachments::{AttachmentResolver, referenced};
use domain::accept::request_hash;
use domain::message::MessageView;
use domain::problem::{MAX_BODY_BYTES, Refusal};
use domain::{BusinessId, ConversationId, FileLink, Month, Sender, Seq};
use platform::api::{self, ApiError, Authenticator};
use platform::aws::Aws;
use platform::credential::{Caller, TokenClaims};
use platform::delivery::ChannelCache;
use platform::error::InternalError;
use platform::files::Files;
use platform::origin::{ApiAddress, ApiDomains};
use platform::queue::{Doorbell, Doorbells, Version};
use platform::runtime::{Error, HttpFunction, request_id};
use platform::secrets::Secrets;
use platform::table::record::Message;
use platform::table::{AcceptOutcome, LoadRequest, MessageDraft, MessageRetention, RequestContext};
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
    domains: ApiDomains,
    retention: MessageRetention,
}

impl HttpFunction for SendMessage {
    /// Reads `TABLE_NAME`, `ATTACHMENTS_BUCKET`, the queues' URLs, `AGENT_KEYS_SECRET`,
    /// `API_DOMAIN`, `MESSAGE_RETENTION_DAYS` and what AWS clients need.
    fn from_env() -> Result<SendMessage, Error> {
        let aws = Aws::from_env()?;
        Ok(SendMessage {
            authenticator: Authenticator::from_env(&aws, &Secrets::new(&aws))?,
            channels: ChannelCache::default(),
            files: Files::from_env(&aws)?,
            doorbells: Doorbells::from_env(&aws)?,
            domains: ApiDomains::from_env()?,
            retention: MessageRetention::from_env()?,
        })
    }

    /// Accepts a message. The documented order of the checks: size, caller, form, conversation,
    /// channel, key, month.
    async fn handle(&self, request: &Request) -> Result<Response<Body>, ApiError> {
        if request.body().len() > MAX_BODY_BYTES {
            return Err(Refusal::BodyTooLarge { most: MAX_BODY_BYTES as u64 }.into());
        }

        let now = self.authenticator.clock.now();
        let claims = self.authenticator.read_token(request.headers(), now).await?;
        let parsed = request::parse(
            request.path_parameters().first("conversation_id"),
            request.headers().get(IDEMPOTENCY_KEY),
            request.body(),
        );

        match parsed {
            Ok(parsed) => {
                let address = self.domains.address(request);
                self.accept(parsed, claims, &address, request_id(request), now).await
            }
            // A caller without access does not learn what else is wrong.
            Err(errors) => {
                self.authenticator.authenticate(claims, LoadRequest::default(), now).await?;
                Err(Refusal::Invalid(errors).into())
            }
        }
    }
}

impl SendMessage {
    async fn accept(
        &self,
        request: request::Request,
        claims: TokenClaims,
        address: &ApiAddress,
        request_id: Option<String>,
        now: DateTime<Utc>,
    ) -> Result<Response<Body>, ApiError> {
        let Authenticator { table, .. } = &self.authenticator;
        let conversation_id = request.conversation_id;
        let hash = hash(conversation_id, &request.body, address);
        let uploads = referenced(&request.body.attachments, claims.business_id(), conversation_id);

        // A conversation that changes its channel in between is checked again, once.
        for _ in 0..2 {
            let load = LoadRequest {
                conversation_id: Some(conversation_id),
                month: Some(Month::of(now)),
                idempotency_key: request.idempotency_key.as_deref(),
                uploads: &uploads,
            };
            let (caller, context) =
                self.authenticator.authenticate(claims.clone(), load, now).await?;

            if let Some(first) = context.first.as_ref().filter(|first| first.request_hash == hash) {
                let outcome = table.replay(caller.business_id, conversation_id, first).await?;
                return respond(outcome, conversation_id, address);
            }

            let resolver = self.resolver(caller.business_id, conversation_id, address);
            let (draft, last) = self
                .draft(resolver, &caller, &context, &request, request_id.as_deref(), now)
                .await?;
            let idempotency = request.idempotency_key.clone().map(|key| (key, hash.clone()));
            let draft = MessageDraft { idempotency, ..draft };
            if context.first.is_some() {
                return Err(Refusal::IdempotencyKeyReused.into());
            }

            resolver.keep_new(&draft.attachments, &context.uploads).await?;
            match table.accept(&draft, last, context.head).await? {
                AcceptOutcome::ChannelChanged => {}
                outcome => {
                    if let AcceptOutcome::Accepted(message) = &outcome {
                        self.ring(&draft, message).await;
                    }
                    return respond(outcome, conversation_id, address);
                }
            }
        }

        Err(Refusal::Busy.into())
    }

    /// Checks the content against the conversation's channel, before anything is counted. Returns
    /// the draft, without an idempotency key, and the conversation's last `seq`.
    async fn draft(
        &self,
        resolver: AttachmentResolver<'_>,
        caller: &Caller,
        context: &RequestContext,
        request: &request::Request,
        request_id: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<(MessageDraft, Seq), ApiError> {
        let conversation = context.conversation.as_ref().ok_or(Refusal::ConversationNotFound)?;
        let channel = conversation.channel.supported()?;

        let table = &self.authenticator.table;
        let record = self.channels.get(table, caller.business_id, conversation.channel_id).await?;
        let record = record.filter(|record| record.is_active).ok_or(Refusal::ChannelInactive)?;
        if record.settings.channel() != channel {
            let doing = "sending on a channel whose settings are another channel's";
            return Err(InternalError::new(doing).into());
        }

        let body = &request.body;
        let files = body.attachments.len();
        channel.check_content(&body.content, files)?;
        channel.send_mode(
            body.content.as_str(),
            files,
            conversation.window_expires_at,
            record.settings.has_template(),
            now,
        )?;

        let attachments = resolver.resolve(&body.attachments, &context.uploads, now).await?;
        channel.check_files(&attachments)?;

        let draft = MessageDraft {
            business_id: caller.business_id,
            conversation_id: request.conversation_id,
            conversation_channel: conversation.channel.clone(),
            channel,
            sender: Sender(caller.agent),
            content: body.content.clone(),
            attachments,
            idempotency: None,
            correlation_id: request_id.map(str::to_owned),
            keep_until: self.retention.keep_until(now),
            now,
        };

        Ok((draft, conversation.seq))
    }

    fn resolver<'a>(
        &'a self,
        business_id: BusinessId,
        conversation_id: ConversationId,
        address: &'a ApiAddress,
    ) -> AttachmentResolver<'a> {
        let table = &self.authenticator.table;
        AttachmentResolver { files: &self.files, table, business_id, conversation_id, address }
    }

    /// Makes the last call. If SQS does not take the doorbell the answer is still 201: the
    /// conversation is in the outbox.
    async fn ring(&self, draft: &MessageDraft, message: &Message) {
        let doorbell = Doorbell {
            v: Version,
            business_id: draft.business_id,
            conversation_id: draft.conversation_id,
            channel: draft.channel,
        };

        MetricRecord::new(Level::INFO, "accepted")
            .by("Channel", doorbell.channel)
            .count("Accepted")
            .with("business", doorbell.business_id)
            .with("conversation", doorbell.conversation_id)
            .with("message_id", message.id)
            .with("seq", message.seq)
            .write();

        if let Err(error) = self.doorbells.ring(&doorbell).await {
            doorbell.ring_failed(&error).write();
        }
    }
}

fn respond(
    outcome: AcceptOutcome,
    conversation_id: ConversationId,
    address: &ApiAddress,
) -> Result<Response<Body>, ApiError> {
    let (message, replayed) = match outcome {
        AcceptOutcome::Accepted(message) => (message, false),
        AcceptOutcome::Replayed(message) => (message, true),
        AcceptOutcome::Refused(refusal) => return Err(refusal.into()),
        AcceptOutcome::ChannelChanged => return Err(Refusal::Busy.into()),
    };
    if replayed {
        tracing::info!(conversation = %conversation_id, message_id = %message.id, "replayed");
    }
    Ok(created(&message.view(conversation_id, &address.origin), replayed)?)
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

/// Hashes what makes two requests the same for an idempotency key: the conversation and the body. A
/// file is the same under each address of the API.
fn hash(conversation_id: ConversationId, body: &MessageBody, address: &ApiAddress) -> String {
    let conversation_id = conversation_id.to_string();
    let files = body.attachments.iter().map(|url| match FileLink::of_url(url) {
        Some((host, link)) if address.is_own(host) => link.secret().to_owned(),
        Some(_) | None => url.clone(),
    });
    let files: Vec<String> = files.collect();

    let parts = [conversation_id.as_str(), body.content.as_str()];
    request_hash(parts.into_iter().chain(files.iter().map(String::as_str)))
}
