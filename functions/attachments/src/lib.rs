//! Files that go with messages: takes them (`POST /api/v1/conversations/{conversation_id}/upload`),
//! small ones through the API, larger ones past it, and leads whoever has a file's URL to the file
//! (`GET /api/v1/files/{file}`).
//!
//! What a message may reference is decided when it is sent, in `send-message`.

pub mod form;

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use lambda_http::http::header::{CACHE_CONTROL, HOST, HeaderValue, LOCATION, REFERRER_POLICY};
use lambda_http::http::{HeaderMap, Method, StatusCode};
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt, Response};
use serde::Serialize;

use domain::file::{FileName, MediaType, UploadState};
use domain::message::rfc3339;
use domain::problem::Refusal;
use domain::{Attachment, BusinessId, ConversationId};
use form::UploadRequest;
use platform::api::{self, ApiError, Authenticator};
use platform::aws::Aws;
use platform::capability::Capability;
use platform::error::InternalError;
use platform::files::{Files, ObjectKey, PresignedUpload, UPLOAD_URL_TTL};
use platform::runtime::{Error, HttpFunction};
use platform::secrets::Secrets;
use platform::table::LoadRequest;
use platform::table::record::Upload;

/// The function.
#[derive(Debug, Clone)]
pub struct Attachments {
    authenticator: Authenticator,
    files: Files,
}

/// What an upload is answered with.
#[derive(Debug, Serialize)]
struct UploadResponse {
    #[serde(flatten)]
    attachment: Attachment,
    #[serde(skip_serializing_if = "Option::is_none")]
    upload: Option<Instructions>,
}

/// How to bring the file that was announced.
#[derive(Debug, Serialize)]
struct Instructions {
    method: String,
    url: String,
    headers: BTreeMap<String, String>,
    #[serde(serialize_with = "rfc3339")]
    expires_at: DateTime<Utc>,
}

impl HttpFunction for Attachments {
    /// Reads `TABLE_NAME`, `ATTACHMENTS_BUCKET`, `AGENT_KEYS_SECRET` and what AWS clients need.
    fn from_env() -> Result<Attachments, Error> {
        let aws = Aws::from_env()?;
        Ok(Attachments {
            authenticator: Authenticator::from_env(&aws, &Secrets::new(&aws))?,
            files: Files::from_env(&aws)?,
        })
    }

    async fn handle(&self, request: &Request) -> Result<Response<Body>, ApiError> {
        match *request.method() {
            Method::POST => self.receive_upload(request).await,
            _ => self.redirect_to_file(request.path_parameters().first("file")).await,
        }
    }
}

impl Attachments {
    /// The order of the checks is that of sending a message: size, caller, form, conversation.
    async fn receive_upload(&self, event: &Request) -> Result<Response<Body>, ApiError> {
        let most = form::max_body_bytes(event.headers());
        if event.body().len() as u64 > most {
            return Err(Refusal::BodyTooLarge { most }.into());
        }
        let now = self.authenticator.clock.now();
        let claim = self.authenticator.read_token(event.headers(), now).await?;
        let conversation =
            api::path_id(event.path_parameters().first("conversation_id"), "conversation_id");
        let wanted = form::read(event.headers(), Bytes::copy_from_slice(event.body())).await;
        let (conversation, wanted) = match (conversation, wanted) {
            (Ok(conversation), Ok(wanted)) => (conversation, wanted),
            // Who is not allowed in is not told what else is wrong.
            (conversation, wanted) => {
                self.authenticator.authenticate(claim, LoadRequest::default(), now).await?;
                return Err(all_that_is_wrong(conversation.err(), wanted.err()).into());
            }
        };
        let checked = LoadRequest { conversation: Some(conversation), ..LoadRequest::default() };
        let (caller, context) = self.authenticator.authenticate(claim, checked, now).await?;
        context.conversation.ok_or(Refusal::ConversationNotFound)?;
        let answer = self.keep(&origin(event), caller.business, conversation, wanted, now).await?;
        Ok(api::json(StatusCode::CREATED, &answer)?)
    }

    /// Stores the file, or says how to; then remembers it.
    async fn keep(
        &self,
        origin: &str,
        business: BusinessId,
        conversation: ConversationId,
        wanted: UploadRequest,
        now: DateTime<Utc>,
    ) -> Result<UploadResponse, InternalError> {
        let capability = Capability::generate(business, conversation);
        let place = ObjectKey { business, conversation, upload: capability.upload };
        let (upload, instructions) = match wanted {
            UploadRequest::Stored { filename, content_type, bytes } => {
                let size = bytes.len() as u64;
                self.files.store(place, &content_type, bytes).await?;
                (
                    record(
                        &capability,
                        origin,
                        filename,
                        content_type,
                        size,
                        UploadState::Stored,
                        now,
                    ),
                    None,
                )
            }
            UploadRequest::Announced { filename, content_type, size } => {
                let ticket = self.files.presign_upload(place, &content_type, size).await?;
                let record = record(
                    &capability,
                    origin,
                    filename,
                    content_type,
                    size,
                    UploadState::Announced,
                    now,
                );
                (record, Some(instructions(ticket, now)))
            }
        };
        self.authenticator.table.put_upload(place, &upload).await?;
        tracing::info!(%business, %conversation, upload = %upload.id, size = upload.size, state = ?upload.state, "upload");
        Ok(UploadResponse { attachment: upload.attachment(), upload: instructions })
    }

    /// Leads to a file. Only what was looked at is shown: a file that came through us, or that a
    /// message references.
    async fn redirect_to_file(&self, path: Option<&str>) -> Result<Response<Body>, ApiError> {
        let capability = path.and_then(Capability::parse).ok_or(Refusal::FileNotFound)?;
        let upload =
            self.authenticator.table.upload(&capability).await?.ok_or(Refusal::FileNotFound)?;
        let gone = upload.state.kept_until(upload.created_at) <= self.authenticator.clock.now();
        if gone || upload.state == UploadState::Announced {
            return Err(Refusal::FileNotFound.into());
        }
        let Capability { business, conversation, upload: id, .. } = capability;
        let place = ObjectKey { business, conversation, upload: id };
        let address =
            self.files.presign_download(place, &upload.filename, &upload.content_type).await?;
        Ok(redirect(&address)?)
    }
}

fn record(
    capability: &Capability,
    origin: &str,
    filename: FileName,
    content_type: MediaType,
    size: u64,
    state: UploadState,
    now: DateTime<Utc>,
) -> Upload {
    Upload {
        id: capability.upload,
        url: capability.url(origin),
        filename,
        content_type,
        size,
        state,
        created_at: now,
        expires_at: state.kept_until(now).timestamp(),
    }
}

fn instructions(ticket: PresignedUpload, now: DateTime<Utc>) -> Instructions {
    let PresignedUpload { method, url, headers } = ticket;
    Instructions {
        method,
        url,
        headers: headers.into_iter().collect(),
        expires_at: now + UPLOAD_URL_TTL,
    }
}

/// Both at once; a file that is too large comes before anything that is wrong with it.
fn all_that_is_wrong(path: Option<domain::problem::FieldError>, body: Option<Refusal>) -> Refusal {
    match body {
        Some(Refusal::Invalid(errors)) => {
            Refusal::Invalid(path.into_iter().chain(errors).collect())
        }
        Some(refusal) => refusal,
        None => Refusal::Invalid(path.into_iter().collect()),
    }
}

/// Where the caller reached us, which is where the file will be reached. The template cannot tell
/// the function: the API is made of the functions behind it.
fn origin(event: &Request) -> String {
    let domain = match event.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(context)) => context.domain_name.as_deref(),
        _ => None,
    };
    let text = |headers: &HeaderMap, name| {
        headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
    };
    let host =
        domain.map(str::to_owned).or_else(|| text(event.headers(), HOST)).unwrap_or_default();
    let scheme = event
        .headers()
        .get("x-forwarded-proto")
        .filter(|scheme| *scheme == "http")
        .map_or("https", |_| "http");
    format!("{scheme}://{host}")
}

fn redirect(address: &str) -> Result<Response<Body>, InternalError> {
    let location = HeaderValue::from_str(address)
        .map_err(|error| InternalError::because("writing an answer", error))?;
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::FOUND;
    let headers = response.headers_mut();
    headers.insert(LOCATION, location);
    // The address is good for minutes, and whoever sees it can read the file.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}
