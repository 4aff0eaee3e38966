//! Files that go with messages. `POST /api/v1/conversations/{conversation_id}/upload` takes small
//! files, `POST …/uploads` presigns uploads for larger ones; `GET` and `HEAD /api/v1/files/{file}`
//! redirect a file's URL to the file.
//!
//! Which files a message may reference is decided when it is sent, in `send-message`.

mod disposition;
pub mod form;

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use lambda_http::http::header::{HeaderName, HeaderValue, LINK, LOCATION, REFERRER_POLICY};
use lambda_http::http::{HeaderMap, Method, StatusCode};
use lambda_http::{Body, Request, RequestExt, Response};
use serde::Serialize;

use domain::file::{UnreferencedUploads, UploadState};
use domain::message::{AttachmentView, rfc3339};
use domain::problem::{FieldError, Refusal};
use domain::{BusinessId, ConversationId, Operation};
use form::{BodyKind, UploadRequest};
use platform::api::{self, ApiError, Authenticator};
use platform::aws::Aws;
use platform::capability::Capability;
use platform::error::InternalError;
use platform::files::{Files, ObjectKey, PresignedUpload, UPLOAD_URL_TTL};
use platform::origin::ApiDomains;
use platform::query::Query;
use platform::routes::route_key;
use platform::runtime::{Error, HttpFunction};
use platform::secrets::Secrets;
use platform::table::record::Upload;
use platform::table::{CountUploadOutcome, LoadRequest, RequestContext};

/// The function.
#[derive(Debug, Clone)]
pub struct Attachments {
    authenticator: Authenticator,
    files: Files,
    domains: ApiDomains,
}

/// The routes that take files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UploadRoute {
    /// `…/upload`: a form; JSON is deprecated there.
    Upload,
    /// `…/uploads`: JSON.
    Announce,
}

impl UploadRoute {
    fn of(event: &Request) -> UploadRoute {
        match route_key(event) {
            Some(route) if route.ends_with("/uploads") => UploadRoute::Announce,
            _ => UploadRoute::Upload,
        }
    }

    /// Returns the media type that the route takes.
    fn media_type(self) -> &'static str {
        match self {
            UploadRoute::Upload => "multipart/form-data",
            UploadRoute::Announce => api::JSON,
        }
    }
}

/// Since when JSON is deprecated at `…/upload`, as [RFC 9745
/// §2.1](https://www.rfc-editor.org/rfc/rfc9745.html#section-2.1) writes a date: 2026-11-29.
const DEPRECATED_SINCE: &str = "@1795910400";

/// The answer to an upload.
#[derive(Serialize)]
struct UploadResponse<'a> {
    #[serde(flatten)]
    attachment: AttachmentView<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upload: Option<Instructions>,
}

/// How to upload the file that was announced.
#[derive(Serialize)]
struct Instructions {
    method: String,
    url: String,
    headers: BTreeMap<String, String>,
    #[serde(serialize_with = "rfc3339")]
    expires_at: DateTime<Utc>,
}

impl HttpFunction for Attachments {
    /// Reads `TABLE_NAME`, `ATTACHMENTS_BUCKET`, `AGENT_KEYS_SECRET`, `API_DOMAIN` and what AWS
    /// clients need.
    fn from_env() -> Result<Attachments, Error> {
        let aws = Aws::from_env()?;
        Ok(Attachments {
            authenticator: Authenticator::from_env(&aws, &Secrets::new(&aws))?,
            files: Files::from_env(&aws)?,
            domains: ApiDomains::from_env()?,
        })
    }

    async fn handle(&self, request: &Request) -> Result<Response<Body>, ApiError> {
        match *request.method() {
            Method::POST => self.receive_upload(request).await,
            ref method => {
                self.redirect_to_file(request.path_parameters().first("file"), method).await
            }
        }
    }
}

impl Attachments {
    /// Takes an upload. The order of the checks is that of sending a message: size, caller, form,
    /// conversation.
    async fn receive_upload(&self, event: &Request) -> Result<Response<Body>, ApiError> {
        let route = UploadRoute::of(event);
        let kind = match route {
            UploadRoute::Upload => BodyKind::of(event.headers()),
            UploadRoute::Announce => BodyKind::Announcement,
        };
        let is_deprecated = route == UploadRoute::Upload && kind == BodyKind::Announcement;

        let most = kind.max_bytes();
        if event.body().len() as u64 > most {
            return Err(Refusal::BodyTooLarge { most }.into());
        }

        let now = self.authenticator.clock.now();
        let claims = self.authenticator.read_token(event.headers(), now).await?;
        let conversation_id =
            api::path_id(event.path_parameters().first("conversation_id"), "conversation_id");

        // A caller without access has no body read, and does not learn what else is wrong.
        let load = LoadRequest {
            conversation_id: conversation_id.as_ref().ok().copied(),
            upload_day: Some(now.date_naive()),
            ..LoadRequest::default()
        };
        let (caller, context) =
            self.authenticator.authenticate(claims, Operation::UploadFile, load, now).await?;

        if kind == BodyKind::Announcement {
            api::check_json(event.headers(), route.media_type())?;
        }
        let query = Query::read(event, &[]).into_errors();
        let upload = kind.read(Bytes::copy_from_slice(event.body())).await;
        let (conversation_id, upload) = match (conversation_id, upload) {
            (Ok(conversation_id), Ok(upload)) if query.is_empty() => (conversation_id, upload),
            (conversation_id, upload) => {
                let beside_body = conversation_id.err().into_iter().chain(query).collect();
                return Err(all_errors(beside_body, upload.err()).into());
            }
        };
        let RequestContext { conversation, uploads_today, uploads_yesterday, .. } = context;
        conversation.ok_or(Refusal::ConversationNotFound)?;

        let size = upload.size();
        let too_many = |waiting| Refusal::TooManyUploads { waiting };
        let room = UnreferencedUploads::room_today(uploads_yesterday, uploads_today, size)
            .map_err(too_many)?;
        let table = &self.authenticator.table;
        match table.count_upload(caller.business_id, now.date_naive(), size, room).await? {
            CountUploadOutcome::Counted => {}
            CountUploadOutcome::NoRoom(today) => {
                return Err(too_many(uploads_yesterday.and(today)).into());
            }
        }

        let capability = Capability::generate(caller.business_id, conversation_id);
        let stored = self.store_upload(capability, upload, now).await;
        if stored.is_err() {
            self.discount(caller.business_id, now, size).await;
        }
        let (upload, instructions) = stored?;
        let attachment = upload.attachment();
        let origin = self.domains.address(event).origin;
        let response =
            UploadResponse { attachment: attachment.view(&origin), upload: instructions };
        let mut response = api::json(StatusCode::CREATED, &response)?;
        if is_deprecated {
            deprecate(response.headers_mut(), conversation_id)?;
        }
        Ok(response)
    }

    /// Takes back the count of an upload that failed. If that fails as well, it counts until the
    /// next day is over.
    async fn discount(&self, business_id: BusinessId, now: DateTime<Utc>, size: u64) {
        let table = &self.authenticator.table;
        if let Err(error) = table.discount_upload(business_id, now.date_naive(), size).await {
            let error = error.chain();
            tracing::warn!(error, "a failed upload counts until the next day is over");
        }
    }

    /// Stores the file or presigns its upload, and then its record.
    async fn store_upload(
        &self,
        capability: Capability,
        request: UploadRequest,
        now: DateTime<Utc>,
    ) -> Result<(Upload, Option<Instructions>), InternalError> {
        let key = object_key(&capability);
        let record = |filename, content_type, size, state: UploadState| Upload {
            id: capability.upload,
            link: capability.link(),
            filename,
            content_type,
            size,
            state,
            created_at: now,
            expires_at: state.kept_until(now).timestamp(),
        };

        let (upload, instructions) = match request {
            UploadRequest::Stored { filename, content_type, bytes } => {
                let size = bytes.len() as u64;
                self.files.store(key, &content_type, bytes).await?;
                (record(filename, content_type, size, UploadState::Stored), None)
            }
            UploadRequest::Announced { filename, content_type, size } => {
                let presigned = self.files.presign_upload(key, &content_type, size).await?;
                let record = record(filename, content_type, size, UploadState::Announced);
                (record, Some(instructions(presigned, now)))
            }
        };

        self.authenticator.table.put_upload(key, &upload).await?;
        tracing::info!(
            business = %key.business_id,
            conversation = %key.conversation_id,
            upload = %upload.id,
            size = upload.size,
            state = ?upload.state,
            "upload"
        );

        Ok((upload, instructions))
    }

    /// Redirects to a file, by an address for the method of the request. Only inspected files are
    /// shown: those that came through this function or that a message references.
    async fn redirect_to_file(
        &self,
        path: Option<&str>,
        method: &Method,
    ) -> Result<Response<Body>, ApiError> {
        let capability = path.and_then(Capability::parse).ok_or(Refusal::FileNotFound)?;
        let upload =
            self.authenticator.table.upload(&capability).await?.ok_or(Refusal::FileNotFound)?;

        let gone = upload.state.kept_until(upload.created_at) <= self.authenticator.clock.now();
        if gone || upload.state == UploadState::Announced {
            return Err(Refusal::FileNotFound.into());
        }

        let key = object_key(&capability);
        let Upload { filename, content_type, .. } = &upload;
        let address = if *method == Method::HEAD {
            self.files.presign_head(key, filename, content_type).await?
        } else {
            self.files.presign_download(key, filename, content_type).await?
        };

        Ok(redirect(&address)?)
    }
}

fn object_key(capability: &Capability) -> ObjectKey {
    ObjectKey {
        business_id: capability.business_id,
        conversation_id: capability.conversation_id,
        upload: capability.upload,
    }
}

fn instructions(presigned: PresignedUpload, now: DateTime<Utc>) -> Instructions {
    let PresignedUpload { method, url, headers } = presigned;
    Instructions {
        method,
        url,
        headers: headers.into_iter().collect(),
        expires_at: now + UPLOAD_URL_TTL,
    }
}

/// Adds the errors of the body to those beside it; a file that is too large comes before all of
/// them.
fn all_errors(mut errors: Vec<FieldError>, body: Option<Refusal>) -> Refusal {
    match body {
        Some(Refusal::Invalid(of_body)) => errors.extend(of_body),
        Some(refusal) => return refusal,
        None => {}
    }
    Refusal::Invalid(errors)
}

/// Says that announcements have a route of their own. There is no `Sunset` ([RFC
/// 8594](https://www.rfc-editor.org/rfc/rfc8594.html)): version 1 of the contract drops nothing.
fn deprecate(headers: &mut HeaderMap, id: ConversationId) -> Result<(), InternalError> {
    let link = format!("</api/v1/conversations/{id}/uploads>; rel=\"successor-version\"");
    let link = HeaderValue::from_str(&link)
        .map_err(|error| InternalError::because("writing an answer", error))?;
    let since = HeaderValue::from_static(DEPRECATED_SINCE);
    headers.insert(HeaderName::from_static("deprecation"), since);
    headers.insert(LINK, link);
    Ok(())
}

fn redirect(address: &str) -> Result<Response<Body>, InternalError> {
    let location = HeaderValue::from_str(address)
        .map_err(|error| InternalError::because("writing an answer", error))?;
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::FOUND;
    let headers = response.headers_mut();
    headers.insert(LOCATION, location);
    // The address is good for minutes, and is all that is needed to read the file.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    Ok(response)
}
