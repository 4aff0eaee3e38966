//! The parts that functions behind the public API share: authentication, and the answers to
//! refusals and failures.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use http::header::{
    ACCEPT, ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use lambda_http::{Body, Response};
use serde::Serialize;
use serde_json::error::Category;
use tracing::Level;

use crate::aws::Aws;
use crate::clock::Clock;
use crate::credential::{self, ApiKey, Caller, TokenClaims};
use crate::error::InternalError;
use crate::request_rates::RequestRates;
use crate::secrets::{Secrets, TokenKeys};
use crate::service_limits::{self, ServiceLimit};
use crate::settings::{self, SettingError};
use crate::table::{LoadRequest, RequestContext, Table};
use crate::telemetry;
use crate::telemetry::metrics::MetricRecord;
use domain::problem::{FieldError, Loc, Problem, Refusal};
use domain::quota::Usage;
use domain::{Month, Operation};

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
    rates: RequestRates,
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
            rates: RequestRates::default(),
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
            telemetry::name_api_key(&api_key.hash());
            return Ok(TokenClaims::Key(api_key));
        }

        let key = self.keys.signing_key_for(token).await?;
        Ok(key.and_then(|key| key.verify_agent(token, now)).ok_or(Refusal::Unauthorized)?)
    }

    /// Reads the caller's credential and the items of `request`, in one call; the credential has to
    /// have the operation's scope, and requests left. Only a credential that is vouched for has its
    /// requests counted: what others send costs this read, and is remembered nowhere. If the month
    /// and its first shard are read, the answer tells what is left of it, also where it refuses.
    ///
    /// # Errors
    /// [`Refusal::Unauthorized`], [`Refusal::TooManyRequests`] or [`Refusal::MissingScope`], or if
    /// DynamoDB does not answer.
    pub async fn authenticate(
        &self,
        claims: TokenClaims,
        operation: Operation,
        request: LoadRequest<'_>,
        now: DateTime<Utc>,
    ) -> Result<(Caller, RequestContext), ApiError> {
        let month = request.month.filter(|_| request.first_shard);
        let context = self.table.load_request_context(claims, request).await?;
        let caller = context.caller(now).ok_or(Refusal::Unauthorized)?;
        telemetry::name_business(caller.business_id);
        let counted = self.rates.count(&context, operation, now);
        if let Some((month, usage)) = month.zip(context.month_usage()) {
            tell_month(month, usage, now);
        }
        counted?;
        let scope = operation.scope();
        if !context.may(scope) {
            return Err(Refusal::MissingScope(scope).into());
        }
        Ok((caller, context))
    }
}

/// Tells in the answer's headers how far the month's messages are used; a later call takes the
/// place of an earlier one.
pub fn tell_month(month: Month, usage: Usage, now: DateTime<Utc>) {
    let seconds_between = |from: DateTime<Utc>, to: DateTime<Utc>| {
        u64::try_from((to - from).num_seconds()).unwrap_or_default()
    };
    service_limits::note(ServiceLimit {
        policy: "month",
        quota: usage.limit,
        window_seconds: seconds_between(month.begins_at(), month.resets_at()),
        remaining: usage.remaining(),
        seconds_to_more: seconds_between(now, month.resets_at()),
    });
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

/// Returns what was read if nothing was found wrong with it or with the rest of the request.
///
/// # Errors
/// [`Refusal::Invalid`] with its error in front of the others.
pub fn valid<T>(read: Result<T, FieldError>, others: Vec<FieldError>) -> Result<T, Refusal> {
    match read {
        Ok(value) if others.is_empty() => Ok(value),
        read => Err(Refusal::Invalid(read.err().into_iter().chain(others).collect())),
    }
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

/// Refuses a body that is said to be something else than JSON, and tells which type is `taken`. One
/// that is not said to be anything is taken as JSON ([RFC 9110
/// §8.3](https://www.rfc-editor.org/rfc/rfc9110#section-8.3): "MAY … examine the data").
///
/// # Errors
/// [`Refusal::UnsupportedMediaType`].
pub fn check_json(headers: &HeaderMap, taken: &'static str) -> Result<(), Refusal> {
    match headers.get(CONTENT_TYPE) {
        Some(value) if !is_json(value) => Err(Refusal::UnsupportedMediaType { taken }),
        Some(_) | None => Ok(()),
    }
}

/// True for `application/json` and every type whose suffix is `+json` ([RFC 6839
/// §3.1](https://www.rfc-editor.org/rfc/rfc6839#section-3.1)), whatever its parameters.
fn is_json(content_type: &HeaderValue) -> bool {
    let essence = content_type.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    essence == JSON || (essence.starts_with("application/") && essence.ends_with("+json"))
}

/// The media type of JSON.
pub const JSON: &str = "application/json";

/// Says what is wrong with a body that is no JSON, and where.
#[must_use]
pub fn json_fault(error: &serde_json::Error) -> FieldError {
    let (line, column) = (error.line(), error.column());
    let msg = match error.classify() {
        _ if error.to_string().starts_with("recursion limit") => {
            "JSON is nested too deeply".to_owned()
        }
        Category::Eof => format!("JSON ends too early, in line {line}, column {column}"),
        Category::Io | Category::Syntax | Category::Data => {
            format!("JSON is broken in line {line}, column {column}")
        }
    };
    FieldError::new([Loc::from("body"), column.into()], msg, "json_invalid")
}

/// Returns the response to a request. An internal error is logged here, once, with its whole chain.
/// A problem names the request by `request_id`, API Gateway's id of it.
///
/// No cache keeps an answer that does not say otherwise, as each is for one caller ([RFC 9111
/// §5.2.2.5](https://www.rfc-editor.org/rfc/rfc9111#section-5.2.2.5)), and no browser takes it for
/// another type than it says ([Fetch, `nosniff`](https://fetch.spec.whatwg.org/#x-content-type-options-header)).
#[must_use]
pub fn answer(
    result: Result<Response<Body>, ApiError>,
    request_id: Option<&str>,
) -> Response<Body> {
    let mut response = respond(result, request_id);
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.extend(service_limits::headers());
    response
}

fn respond(result: Result<Response<Body>, ApiError>, request_id: Option<&str>) -> Response<Body> {
    let refusal = match result {
        Ok(response) => return response,
        Err(ApiError::Refused(refusal)) => refusal,
        // A read that was throttled wrote nothing either.
        Err(ApiError::Internal(error)) if error.is_contention() => {
            tracing::warn!(error = error.chain(), "request throttled; its caller may repeat it");
            Refusal::Busy
        }
        Err(ApiError::Internal(error)) => {
            tracing::error!(error = error.chain(), "request failed; its caller gets a 500");
            return refuse(Problem::internal().at(request_id), None);
        }
    };

    let header = header_of(&refusal);
    refuse(Problem::from(refusal).at(request_id), header)
}

/// Returns the header that goes with a refusal.
fn header_of(refusal: &Refusal) -> Option<(HeaderName, HeaderValue)> {
    let fixed = |name, text| Some((name, HeaderValue::from_static(text)));
    match refusal {
        Refusal::Unauthorized => fixed(WWW_AUTHENTICATE, "Bearer"),
        Refusal::MethodNotAllowed { allowed } => fixed(ALLOW, allowed),
        Refusal::UnsupportedMediaType { taken } => fixed(ACCEPT, taken),
        Refusal::TooManyRequests { retry_after_seconds, .. } => {
            Some((RETRY_AFTER, (*retry_after_seconds).into()))
        }
        Refusal::Busy => fixed(RETRY_AFTER, "1"),
        _ => None,
    }
}

fn refuse(problem: Problem, header: Option<(HeaderName, HeaderValue)>) -> Response<Body> {
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
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.extend(header);

    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ConversationId;

    const ID: Option<&str> = Some("JKJaXmPLvHcESHA=");

    fn refused(refusal: Refusal) -> Response<Body> {
        answer(Err(refusal.into()), ID)
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
        let busy = answer(Err(InternalError::contended("BatchGetItem").into()), ID);
        assert_eq!((busy.status().as_u16(), header(&busy, RETRY_AFTER)), (503, Some("1")));
        let internal = answer(
            Err(InternalError::because("reading a stored item", "of business 7").into()),
            ID,
        );
        assert_eq!((internal.status().as_u16(), header(&internal, RETRY_AFTER)), (500, None));
        let Body::Text(text) = internal.body() else { panic!("an answer is text") };
        assert!(!text.contains("stored item") && !text.contains("business 7"), "{text}");
    }

    #[test]
    fn a_problem_names_its_request_and_the_log_line_of_it() {
        for response in [refused(Refusal::Busy), refused(Refusal::Unauthorized)] {
            let Body::Text(text) = response.body() else { panic!("an answer is text") };
            let instance = r#""instance":"urn:pingback:request:JKJaXmPLvHcESHA=""#;
            assert!(text.contains(instance), "{text}");
        }
    }

    #[test]
    fn only_json_is_taken_for_json() {
        let check = |text: &str| {
            let value = HeaderValue::from_str(text).expect("a header");
            check_json(&HeaderMap::from_iter([(CONTENT_TYPE, value)]), JSON).is_ok()
        };
        assert!(check_json(&HeaderMap::new(), JSON).is_ok());
        assert!(check("application/json") && check("Application/JSON ; charset=utf-8"));
        assert!(check("application/merge-patch+json"));
        for wrong in ["", "text/plain", "text/json", "application/jsonp", "image/svg+json", "*/*"] {
            assert!(!check(wrong), "{wrong}");
        }
    }

    #[test]
    fn broken_json_is_described_in_our_words() {
        let fault = |text: &str| {
            json_fault(&serde_json::from_str::<serde_json::Value>(text).expect_err("broken")).msg
        };
        assert_eq!(fault(r#"{"content":"#), "JSON ends too early, in line 1, column 11");
        assert_eq!(fault("{\n 'a': 1}"), "JSON is broken in line 2, column 2");
        assert_eq!(fault(r#""\ud800""#), "JSON is broken in line 1, column 8");
        assert_eq!(fault(&"[".repeat(1_000)), "JSON is nested too deeply");
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
