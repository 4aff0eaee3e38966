//! The answer of a function behind an HTTP API, payload format 2.0.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>

use std::collections::BTreeMap;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{CONTENT_TYPE, SET_COOKIE, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;

/// The name that API Gateway gives to a function's `WWW-Authenticate`.
/// [AWS says so of REST APIs](https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-known-issues.html);
/// [users saw it on HTTP APIs, too](https://github.com/anthropics/claude-ai-mcp/issues/748).
const REMAPPED_WWW_AUTHENTICATE: HeaderName =
    HeaderName::from_static("x-amzn-remapped-www-authenticate");

/// An answer with a status. Format 2.0 has no `multiValueHeaders`: they are dropped here, as API
/// Gateway drops them.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProxyResponse {
    status_code: u16,
    #[serde(default)]
    headers: BTreeMap<String, Value>,
    #[serde(default)]
    cookies: Vec<String>,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

/// Returns the HTTP response of an answer; `None` if it is malformed, which is a 500 to the client.
pub(super) fn response(answer: &[u8]) -> Option<Response<Body>> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    if answer.get("statusCode").is_none() {
        return Some(inferred(&answer));
    }

    let proxied: ProxyResponse = serde_json::from_value(answer).ok()?;
    let body = proxied.body.unwrap_or_default();
    let body =
        if proxied.is_base64_encoded { STANDARD.decode(body).ok()? } else { body.into_bytes() };

    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(proxied.status_code).ok()?;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain;charset=UTF-8"));

    for (name, value) in &proxied.headers {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        let name = if name == WWW_AUTHENTICATE { REMAPPED_WWW_AUTHENTICATE } else { name };
        response.headers_mut().insert(name, HeaderValue::from_str(&value).ok()?);
    }

    for cookie in &proxied.cookies {
        response.headers_mut().append(SET_COOKIE, HeaderValue::from_str(cookie).ok()?);
    }

    Some(response)
}

/// Returns a response of the gateway itself: `{"message": …}`.
pub(super) fn message(status: StatusCode, message: &str) -> Response<Body> {
    let mut response =
        Response::new(Body::from(serde_json::json!({ "message": message }).to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Returns the response of an answer without `statusCode`, which is the body itself.
fn inferred(answer: &Value) -> Response<Body> {
    let body = answer.as_str().map_or_else(|| answer.to_string(), str::to_owned);
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use serde_json::json;

    use super::*;

    async fn decoded(answer: Value) -> Option<(u16, String, Vec<String>, Vec<u8>)> {
        let (parts, body) = response(answer.to_string().as_bytes())?.into_parts();
        let all = |name: HeaderName| {
            parts.headers.get_all(name).iter().map(|v| v.to_str().unwrap().to_owned()).collect()
        };
        let content_type: Vec<String> = all(CONTENT_TYPE);
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Some((parts.status.as_u16(), content_type.concat(), all(SET_COOKIE), body))
    }

    #[tokio::test]
    async fn answers_are_decoded() {
        let full = json!({ "statusCode": 201, "headers": { "content-type": "application/json" }, "cookies": ["a=1", "b=2"], "body": "{}" });
        let cookies = vec!["a=1".to_owned(), "b=2".to_owned()];
        assert_eq!(
            decoded(full).await,
            Some((201, "application/json".to_owned(), cookies, b"{}".to_vec()))
        );

        let binary = json!({ "statusCode": 200, "body": "iVBORw==", "isBase64Encoded": true });
        assert_eq!(decoded(binary).await.unwrap().3, b"\x89PNG");
        let bare = json!({ "hello": "world" });

        assert_eq!(
            decoded(bare).await,
            Some((200, "application/json".to_owned(), vec![], br#"{"hello":"world"}"#.to_vec()))
        );
    }

    #[test]
    fn a_challenge_is_renamed_and_nothing_else() {
        let challenge = json!({ "statusCode": 401, "headers":
            { "WWW-Authenticate": "Bearer", "retry-after": "1" } });
        let answer = response(challenge.to_string().as_bytes()).unwrap();
        let mut names: Vec<_> = answer.headers().keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-type", "retry-after", "x-amzn-remapped-www-authenticate"]);
    }

    #[tokio::test]
    async fn malformed_answers_are_refused() {
        for answer in [
            json!({ "statusCode": "ok" }),
            json!({ "statusCode": 42 }),
            json!({ "statusCode": 200, "body": "!", "isBase64Encoded": true }),
            json!({ "statusCode": 200, "headers": { "a b": "c" } }),
            json!({ "statusCode": 200, "body": { "not": "text" } }),
        ] {
            assert!(decoded(answer.clone()).await.is_none(), "{answer}");
        }
    }
}
