//! `POST /api/v1/conversations/{conversation_id}/messages`: checks an agent's message, counts and
//! stores it, and rings its channel's doorbell. That takes three AWS calls, one after the other,
//! and three more for a file that no message referenced before. What the calls do is in
//! `platform`, what is allowed in `domain`.

mod attachments;
pub mod request;

use chrono::{DateTime, Utc};
use futures_util::future::join;
use lambda_http::http::header::{HeaderValue, LOCATION};
use lambda_http::http::{HeaderName, StatusCode};
use lambda_http::{Body, Request, RequestExt, Response};
use tracing::Level;

use attachments::{AttachmentResolver, new_uploads, referenced};
use domain::accept::request_hash;
use domain::message::MessageView;
use domain::problem::{MAX_BODY_BYTES, Refusal};
use domain::quota::Usage;
use domain::{BusinessId, ConversationId, FileLink, Month, Operation, Sender, Seq};
use platform::api::{self, ApiError, Authenticator};
use platform::aws::Aws;
use platform::credential::{Caller, TokenClaims};
use platform::delivery::ChannelCache;
use platform::error::InternalError;
use platform::files::Files;
use platform::origin::{ApiAddress, ApiDomains};
use platform::query::Query;
use platform::queue::{Doorbell, Doorbells, Version};
use platform::runtime::{Error, HttpFunction, request_id};
use platform::secrets::Secrets;
use platform::table::record::Message;
use platform::table::{
    AcceptOutcome, LoadRequest, MessageDraft, MessageRetention, RequestContext, key,
};
use platform::telemetry::metrics::MetricRecord;
use request::{Body as MessageBody, InvalidRequest};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// How often a request is checked: once, and again after a change of the channel and one of the
/// files. What has changed once does not change back.
const MAX_CHECKS: usize = 3;

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
            Query::read(request, &[]),
            request.body(),
        );

        match (api::check_json(request.headers(), api::JSON), parsed) {
            (Ok(()), Ok(parsed)) => {
                let address = self.domains.address(request);
                self.accept(parsed, claims, &address, request_id(request), now).await
            }
            // A caller without access does not learn what else is wrong.
            (media_type, parsed) => {
                let load = LoadRequest {
                    month: Some(Month::of(now)),
                    first_shard: true,
                    ..LoadRequest::default()
                };
                self.authenticator.authenticate(claims, Operation::SendMessage, load, now).await?;
                media_type?;
                let errors = parsed.err().map(InvalidRequest::explain);
                Err(Refusal::Invalid(errors.unwrap_or_default()).into())
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
        let month = Month::of(now);
        let conversation_id = request.conversation_id;
        let hash = hash(conversation_id, &request.body, address);
        let business_id = claims.business_id();
        let idempotency_key = request.idempotency_key.as_deref();
        let idempotency_key = idempotency_key.map(|text| key::idempotency(business_id, text));
        let uploads = referenced(&request.body.attachments, business_id, conversation_id);

        // If the conversation changes its channel in between, or another message references the
        // same new file, everything is checked again.
        for _ in 0..MAX_CHECKS {
            let load = LoadRequest {
                conversation_id: Some(conversation_id),
                month: Some(month),
                first_shard: true,
                idempotency_key: idempotency_key.as_ref(),
                uploads: &uploads,
                upload_day: None,
            };
            let (caller, context) = self
                .authenticator
                .authenticate(claims.clone(), Operation::SendMessage, load, now)
                .await?;

            if let Some(first) = context.first.as_ref().filter(|first| first.request_hash == hash) {
                let outcome = table.replay(caller.business_id, conversation_id, first).await?;
                return respond(outcome, conversation_id, address);
            }

            let resolver = self.resolver(caller.business_id, conversation_id, address);
            let (draft, last) = self
                .draft(resolver, &caller, &context, &request, request_id.as_deref(), now)
                .await?;
            let idempotency = idempotency_key.clone().map(|key| (key, hash.clone()));
            let draft = MessageDraft { idempotency, ..draft };
            if context.first.is_some() {
                return Err(Refusal::IdempotencyKeyReused.into());
            }

            let usage = context.month_usage();
            match table.accept(&draft, last, context.head, context.first_shard).await? {
                AcceptOutcome::ChannelChanged | AcceptOutcome::UploadsChanged => {}
                outcome => {
                    tell_month(month, usage, &outcome, now);
                    if let AcceptOutcome::Accepted(message) = &outcome {
                        let kept = resolver.keep(&draft.new_uploads);
                        join(self.ring(&draft, message), kept).await;
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
            new_uploads: new_uploads(&attachments, &context.uploads),
            attachments,
            metadata: body.metadata.clone(),
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

/// Tells the caller how far the month is used if this outcome says more than `usage`, which was
/// read before and told.
fn tell_month(month: Month, usage: Option<Usage>, outcome: &AcceptOutcome, now: DateTime<Utc>) {
    let usage = match outcome {
        AcceptOutcome::Accepted(_) => usage.map(|usage| Usage { used: usage.used + 1, ..usage }),
        AcceptOutcome::Refused(Refusal::QuotaExceeded { limit, used, .. }) => {
            Some(Usage { limit: *limit, used: *used })
        }
        _ => None,
    };
    if let Some(usage) = usage {
        api::tell_month(month, usage, now);
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
        AcceptOutcome::ChannelChanged | AcceptOutcome::UploadsChanged => {
            return Err(Refusal::Busy.into());
        }
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
/// file is the same under each address of the API, and metadata in each order.
fn hash(conversation_id: ConversationId, body: &MessageBody, address: &ApiAddress) -> String {
    let conversation_id = conversation_id.to_string();
    let files = body.attachments.iter().map(|url| match FileLink::of_url(url) {
        Some((host, link)) if address.is_own(host) => link.secret().to_owned(),
        Some(_) | None => url.clone(),
    });
    let files: Vec<String> = files.collect();

    // As one part, so that it cannot be taken for a file; left out if there is none.
    let metadata: Vec<&str> = body.metadata.texts().collect();
    let metadata = Some(metadata).filter(|texts| !texts.is_empty()).map(request_hash);

    let parts = [conversation_id.as_str(), body.content.as_str()];
    let parts = parts.into_iter().chain(files.iter().map(String::as_str));
    request_hash(parts.chain(metadata.as_deref()))
}
