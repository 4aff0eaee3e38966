//! The parts that functions behind the public API share: authentication, and the answers to
//! refusals and failures.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use lambda_http::{Body, Response};
use serde::Serialize;
use tracing::Level;

use crate::aws::Aws;
use crate::clock::Clock;
use crate::credential::{self, ApiKey, Caller, TokenClaims};
use crate::error::InternalError;
use crate::secrets::{Secrets, TokenKeys};
use crate::settings::{self, SettingError};
use crate::table::{LoadRequest, RequestContext, Table};
use crate::telemetry::metrics::MetricRecord;
use domain::problem::{Code, FieldError, Problem, Refusal};

/// Why a request gets a problem document instead of its answer.
#[derive(Debug)]
pub enum ApiError {
    /// A rule refuses the request.
    Refused(Refusal),
    /// The request failed through no fault of its caller.
    Internal(InternalError),
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> ApiError {
        ApiError::Refused(refusal)
    }
}

impl From<InternalError> for ApiError {
    fn from(error: InternalError) -> ApiError {
        ApiError::Internal(error)
    }
}

/// Authenticates callers by their bearer tokens.
#[derive(Debug, Clone)]
pub struct Authenticator {
    /// The table.
    pub table: Table,
    /// The clock.
    pub clock: Clock,
    keys: TokenKeys,
}

impl Authenticator {
    /// Reads `TABLE_NAME`, `CLOCK_OFFSET_MS` and `AGENT_KEYS_SECRET`.
    ///
    /// # Errors
    /// The variable that is missing or malformed.
    pub fn from_env(aws: &Aws, secrets: &Secrets) -> Result<Authenticator, SettingError> {
        let keys = settings::required("AGENT_KEYS_SECRET")?;
        Ok(Authenticator {
            table: Table::from_env(aws)?,
            clock: Clock::from_env()?,
            keys: TokenKeys::new(secrets.clone(), keys),
        })
    }

    /// Reads the claims of the request's token. A JWT's signature is verified here; the stored
    /// credential, by [`Self::authenticate`].
    ///
    /// # Errors
    /// [`Refusal::Unauthorized`], or if the signing keys cannot be read.
    pub async fn read_token(
        &self,
        headers: &HeaderMap,
        now: DateTime<Utc>,
    ) -> Result<TokenClaims, ApiError> {
        let token = bearer_token(headers)?;
        if let Some(api_key) = ApiKey::parse(token) {
            return Ok(TokenClaims::Key(api_key));
        }

        let key = self.keys.signing_key_for(token).await?;
        Ok(key.and_then(|key| key.verify_agent(token, now)).ok_or(Refusal::Unauthorized)?)
    }

    /// Reads the caller's credential and the items of `request`, in one call.
    ///
    /// # Errors
    /// [`Refusal::Unauthorized`], or if DynamoDB does not answer.
    pub async fn authenticate(
        &self,
        claims: TokenClaims,
        request: LoadRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<(Caller, RequestContext), ApiError> {
        let context = self.table.load_request_context(claims, request).await?;
        let caller = context.caller(now).ok_or(Refusal::Unauthorized)?;
        Ok((caller, context))
    }
}

/// Returns the token of a request's `Authorization` header.
///
/// # Errors
/// [`Refusal::Unauthorized`] if there is none.
pub fn bearer_token(headers: &HeaderMap) -> Result<&str, Refusal> {
    let header = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    header.and_then(credential::bearer).ok_or(Refusal::Unauthorized)
}

/// Reads an id from the path.
///
/// # Errors
/// FastAPI's error for a path parameter that is not a UUID.
pub fn path_id<T: FromStr>(text: Option<&str>, name: &str) -> Result<T, FieldError> {
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| FieldError::wrong(["path", name], "a valid UUID", "uuid_parsing"))
}

/// Returns a JSON text without the byte order mark that some programs write in front ([RFC 8259
/// §8.1](https://www.rfc-editor.org/rfc/rfc8259#section-8.1): "MAY ignore").
#[must_use]
pub fn without_bom(body: &[u8]) -> &[u8] {
    body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body)
}

/// Answers with `body` as JSON.
///
/// # Errors
/// If a header is not one; all of ours are.
pub fn json(status: StatusCode, body: &impl Serialize) -> Result<Response<Body>, InternalError> {
    let text = serde_json::to_string(body)
        .map_err(|error| InternalError::because("writing an answer", error))?;
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, "application/json")
        .body(Body::Text(text))
        .map_err(|error| InternalError::because("writing an answer", error))
}

/// Returns the response to a request. An internal error is logged here, once, with its whole chain.
#[must_use]
pub fn answer(result: Result<Response<Body>, ApiError>) -> Response<Body> {
    match result {
        Ok(response) => response,
        Err(ApiError::Refused(refusal)) => refuse(Problem::from(refusal)),
        // A read that was throttled wrote nothing either.
        Err(ApiError::Internal(error)) if error.is_contention() => {
            tracing::warn!(error = error.chain(), "request throttled; its caller may repeat it");
            refuse(Problem::from(Refusal::Busy))
        }
        Err(ApiError::Internal(error)) => {
            tracing::error!(error = error.chain(), "request failed; its caller gets a 500");
            refuse(Problem::internal())
        }
    }
}

fn refuse(problem: Problem) -> Response<Body> {
    MetricRecord::new(Level::INFO, "refused")
        .by("Code", problem.code)
        .count("Refused")
        .with("status", problem.status)
        .write();

    let text = serde_json::to_string(&problem).expect("problems are plain data");
    let mut response = Response::new(Body::Text(text));
    *response.status_mut() =
        StatusCode::from_u16(problem.status).expect("our own statuses are valid");

    let headers = response.headers_mut();
    let mut set =
        |name, value: &'static str| headers.insert(name, http::HeaderValue::from_static(value));
    set(CONTENT_TYPE, "application/problem+json");

    match problem.code {
        Code::Unauthorized => drop(set(WWW_AUTHENTICATE, "Bearer")),
        Code::Busy => drop(set(RETRY_AFTER, "1")),
        Code::BodyTooLarge
        | Code::ValidationError
        | Code::ConversationNotFound
        | Code::MessageNotFound
        | Code::FileNotFound
        | Code::ContentNotAllowed
        | Code::ChannelInactive
        | Code::ChannelNotSupported
        | Code::OutsideMessagingWindow
        | Code::AttachmentNotFound
        | Code::IdempotencyKeyReused
        | Code::QuotaExceeded
        | Code::NotFromProvider
        | Code::Internal => {}
    }

    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ConversationId;
    use domain::problem::Loc;

    fn refused(refusal: Refusal) -> Response<Body> {
        answer(Err(refusal.into()))
    }

    fn header(response: &Response<Body>, name: http::HeaderName) -> Option<&str> {
        response.headers().get(name).map(|value| value.to_str().expect("our headers are ASCII"))
    }

    #[test]
    fn a_refusal_is_a_problem_with_the_headers_that_go_with_it() {
        let unauthorized = refused(Refusal::Unauthorized);
        assert_eq!(unauthorized.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(header(&unauthorized, CONTENT_TYPE), Some("application/problem+json"));
        assert_eq!(header(&unauthorized, WWW_AUTHENTICATE), Some("Bearer"));
        let missing = refused(Refusal::ConversationNotFound);
        assert_eq!(
            (header(&missing, WWW_AUTHENTICATE), header(&missing, RETRY_AFTER)),
            (None, None)
        );
    }

    #[test]
    fn contention_is_answered_busy_and_whatever_else_is_broken_tells_nothing() {
        let busy =
            answer(Err(InternalError::contended("BatchGetItem", "throttled for too long").into()));
        assert_eq!((busy.status().as_u16(), header(&busy, RETRY_AFTER)), (503, Some("1")));
        let internal =
            answer(Err(InternalError::because("reading a stored item", "of business 7").into()));
        assert_eq!((internal.status().as_u16(), header(&internal, RETRY_AFTER)), (500, None));
        let Body::Text(text) = internal.body() else { panic!("an answer is text") };
        assert!(!text.contains("stored item") && !text.contains("business 7"), "{text}");
    }

    #[test]
    fn a_path_holds_an_id_or_the_error_says_where_it_does_not() {
        let text = "67e55044-10b1-426f-9247-bb680e5fe0c8";
        let id: ConversationId = path_id(Some(text), "conversation_id").expect("an id");
        assert_eq!(id.to_string(), text);
        for wrong in [None, Some(""), Some("7")] {
            let error = path_id::<ConversationId>(wrong, "conversation_id").expect_err("no id");
            assert_eq!(error.loc, [Loc::from("path"), Loc::from("conversation_id")]);
        }
    }
}
