//! The event of an HTTP API, payload format 2.0.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use http::HeaderMap;
use http::header::{CONTENT_TYPE, COOKIE, HOST, USER_AGENT};
use http::request::Parts;
use serde::Serialize;

use super::context::{HTTP_API_ID, common_log_time, source_ip, trace_header};
use super::route::{Match, decode};
use crate::account::ACCOUNT_ID;
use crate::listen::Peer;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    version: &'static str,
    route_key: &'a str,
    raw_path: String,
    raw_query_string: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cookies: Vec<String>,
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    query_string_parameters: BTreeMap<String, String>,
    request_context: Context<'a>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    path_parameters: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    is_base64_encoded: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Context<'a> {
    account_id: &'static str,
    api_id: &'static str,
    domain_name: &'a str,
    domain_prefix: &'a str,
    http: Http<'a>,
    request_id: &'a str,
    route_key: &'a str,
    stage: &'static str,
    time: String,
    time_epoch: i64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Http<'a> {
    method: &'a str,
    path: String,
    protocol: &'static str,
    source_ip: String,
    user_agent: &'a str,
}

/// Returns the event as JSON.
pub(super) fn event(
    found: &Match<'_>,
    parts: &Parts,
    body: &[u8],
    peer: Peer,
    request_id: &str,
    now: DateTime<Utc>,
) -> Vec<u8> {
    let host = text(&parts.headers, HOST);
    let query = parts.uri.query().unwrap_or_default();
    let path = decode(parts.uri.path());
    let (body, is_base64_encoded) = encode(body, text(&parts.headers, CONTENT_TYPE));
    let event = Event {
        version: "2.0",
        route_key: found.key,
        raw_path: path.clone(),
        raw_query_string: query,
        cookies: cookies(&parts.headers),
        headers: headers(&parts.headers, peer, now),
        query_string_parameters: joined(form_urlencoded::parse(query.as_bytes())),
        request_context: Context {
            account_id: ACCOUNT_ID,
            api_id: HTTP_API_ID,
            domain_name: host,
            domain_prefix: host.split('.').next().unwrap_or_default(),
            http: Http {
                method: parts.method.as_str(),
                path,
                protocol: "HTTP/1.1",
                source_ip: source_ip(peer.0),
                user_agent: text(&parts.headers, USER_AGENT),
            },
            request_id,
            route_key: found.key,
            stage: "$default",
            time: common_log_time(now),
            time_epoch: now.timestamp_millis(),
        },
        path_parameters: &found.parameters,
        body,
        is_base64_encoded,
    };

    serde_json::to_vec(&event).expect("an event consists of strings and numbers")
}

/// Returns the headers: names in lower case, repeated headers joined by commas, no cookies, and
/// those that the gateway adds.
fn headers(headers: &HeaderMap, peer: Peer, now: DateTime<Utc>) -> BTreeMap<String, String> {
    let own = headers.iter().filter(|(name, _)| **name != COOKIE);
    let own = own.map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value.as_bytes())));
    let mut all = joined(own);
    all.insert("x-amzn-trace-id".to_owned(), trace_header(now));
    all.insert("x-forwarded-for".to_owned(), source_ip(peer.0));
    // The scheme and port that the caller used; there is no TLS here.
    let host = text(headers, HOST);
    let port = host.rsplit_once(':').map_or("80", |(_, port)| port);
    all.insert("x-forwarded-port".to_owned(), port.to_owned());
    all.insert("x-forwarded-proto".to_owned(), "http".to_owned());
    all
}

fn cookies(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(';').map(|cookie| cookie.trim().to_owned())).collect()
}

fn joined<N: AsRef<str>, V: AsRef<str>>(
    pairs: impl Iterator<Item = (N, V)>,
) -> BTreeMap<String, String> {
    let mut joined: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in pairs {
        match joined.get_mut(name.as_ref()) {
            Some(values) => {
                values.push(',');
                values.push_str(value.as_ref());
            }
            None => {
                joined.insert(name.as_ref().to_owned(), value.as_ref().to_owned());
            }
        }
    }

    joined
}

/// Returns a body of a textual type as it is, any other in base64.
fn encode(body: &[u8], content_type: &str) -> (Option<String>, bool) {
    if body.is_empty() {
        return (None, false);
    }
    match std::str::from_utf8(body) {
        Ok(text) if is_textual(content_type) => (Some(text.to_owned()), false),
        _ => (Some(STANDARD.encode(body)), true),
    }
}

fn is_textual(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.starts_with("text/")
        || matches!(
            essence.as_str(),
            "application/json" | "application/javascript" | "application/xml"
        )
        || essence.ends_with("+json")
        || essence.ends_with("+xml")
}

fn text(headers: &HeaderMap, name: http::HeaderName) -> &str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;
    use serde_json::{Value, json};

    use super::*;

    fn made(request: http::request::Builder, body: &[u8]) -> Value {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let parameters = BTreeMap::from([("id".to_owned(), "a b".to_owned())]);
        let found = Match { key: "POST /c/{id}", function: "Echo", parameters };
        let now = Utc.with_ymd_and_hms(2026, 3, 1, 9, 5, 0).unwrap();
        let peer = Peer("127.0.0.1:5000".parse().unwrap());
        serde_json::from_slice(&event(&found, &parts, body, peer, "JKJaXmPLvHcESHA=", now)).unwrap()
    }

    #[test]
    fn an_event_is_as_api_gateway_makes_it() {
        let request = http::Request::post("/c/a%20b?x=1&y=%C3%A4&x=2")
            .header("Host", "api.example.com")
            .header("User-Agent", "curl/8")
            .header("Content-Type", "application/json; charset=utf-8")
            .header("X-Twice", "one")
            .header("X-Twice", "two")
            .header("Cookie", "a=1; b=2");

        let mut event = made(request, br#"{"content":"hi"}"#);
        assert!(
            event["headers"]["x-amzn-trace-id"].as_str().unwrap().starts_with("Root=1-69a4"),
            "{event}"
        );

        event["headers"].as_object_mut().unwrap().remove("x-amzn-trace-id");

        assert_eq!(
            event,
            json!({
                "version": "2.0",
                "routeKey": "POST /c/{id}",
                "rawPath": "/c/a b",
                "rawQueryString": "x=1&y=%C3%A4&x=2",
                "cookies": ["a=1", "b=2"],
                "headers": {
                    "host": "api.example.com",
                    "user-agent": "curl/8",
                    "content-type": "application/json; charset=utf-8",
                    "x-twice": "one,two",
                    "x-forwarded-for": "127.0.0.1",
                    "x-forwarded-port": "80",
                    "x-forwarded-proto": "http",
                },
                "queryStringParameters": { "x": "1,2", "y": "ä" },
                "requestContext": {
                    "accountId": "000000000000",
                    "apiId": "localhttp0",
                    "domainName": "api.example.com",
                    "domainPrefix": "api",
                    "http": {
                        "method": "POST",
                        "path": "/c/a b",
                        "protocol": "HTTP/1.1",
                        "sourceIp": "127.0.0.1",
                        "userAgent": "curl/8",
                    },
                    "requestId": "JKJaXmPLvHcESHA=",
                    "routeKey": "POST /c/{id}",
                    "stage": "$default",
                    "time": "01/Mar/2026:09:05:00 +0000",
                    "timeEpoch": 1_772_355_900_000_i64,
                },
                "pathParameters": { "id": "a b" },
                "body": "{\"content\":\"hi\"}",
                "isBase64Encoded": false,
            })
        );
    }

    #[test]
    fn bodies_that_are_not_textual_are_base64() {
        for (content_type, body, expected) in [
            ("text/plain", &b"hi"[..], json!(["hi", false])),
            ("application/problem+json", b"{}", json!(["{}", false])),
            ("application/x-www-form-urlencoded", b"a=1", json!(["YT0x", true])),
            ("image/png", b"\x89PNG", json!(["iVBORw==", true])),
            ("application/json", b"\xff", json!(["/w==", true])),
            ("application/json", b"", json!([null, false])),
        ] {
            let event =
                made(http::Request::post("/c/1").header("Content-Type", content_type), body);
            assert_eq!(
                json!([event["body"], event["isBase64Encoded"]]),
                expected,
                "{content_type}"
            );
        }
    }
}
