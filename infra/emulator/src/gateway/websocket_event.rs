//! The events of a WebSocket API.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-mapping-template-reference.html>

use bytes::Bytes;
use chrono::{DateTime, Utc};
use http::HeaderMap;
use serde_json::{Map, Value, json};

use super::context::{WEBSOCKET_API_ID, common_log_time, short_id, trace_header};
use crate::template::RouteSelection;

/// The data that all events of one connection share.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) connection_id: String,
    pub(super) connected_at: DateTime<Utc>,
    pub(super) stage: String,
    pub(super) host: String,
    pub(super) source_ip: String,
    pub(super) user_agent: String,
}

impl Origin {
    /// Returns the `$connect` event, with the headers and the query of the handshake.
    pub(super) fn connect(&self, headers: &HeaderMap, query: &str) -> Bytes {
        let mut event = self.event("$connect", "CONNECT");
        let (mut single, mut multi) = (Map::new(), Map::new());
        for name in headers.keys() {
            let all: Vec<_> = headers
                .get_all(name)
                .iter()
                .map(|v| String::from_utf8_lossy(v.as_bytes()))
                .collect();
            single.insert(name.to_string(), json!(all.last()));
            multi.insert(name.to_string(), json!(all));
        }

        for (name, value) in [
            ("X-Amzn-Trace-Id", trace_header(Utc::now())),
            ("X-Forwarded-For", self.source_ip.clone()),
        ] {
            single.insert(name.to_owned(), json!(value));
            multi.insert(name.to_owned(), json!([value]));
        }

        event["headers"] = Value::Object(single);
        event["multiValueHeaders"] = Value::Object(multi);
        if !query.is_empty() {
            let (mut single, mut multi) = (Map::new(), Map::new());
            for (name, value) in form_urlencoded::parse(query.as_bytes()) {
                single.insert(name.to_string(), json!(value));
                let all = multi.entry(name.to_string()).or_insert_with(|| json!([]));
                all.as_array_mut().expect("made as an array").push(json!(value));
            }
            event["queryStringParameters"] = Value::Object(single);
            event["multiValueQueryStringParameters"] = Value::Object(multi);
        }

        Bytes::from(event.to_string())
    }

    /// Returns the event of a frame, under the route that it selected.
    pub(super) fn message(&self, route_key: &str, body: &str) -> Bytes {
        let mut event = self.event(route_key, "MESSAGE");
        event["requestContext"]["messageId"] = json!(short_id());
        event["body"] = json!(body);
        Bytes::from(event.to_string())
    }

    /// Returns the `$disconnect` event, with the code that the connection was closed with.
    pub(super) fn disconnect(&self, code: u16, reason: &str) -> Bytes {
        let mut event = self.event("$disconnect", "DISCONNECT");
        event["requestContext"]["disconnectStatusCode"] = json!(code);
        event["requestContext"]["disconnectReason"] = json!(reason);
        let headers =
            json!({ "Host": self.host, "x-api-key": "", "X-Forwarded-For": "", "x-restapi": "" });
        event["headers"] = headers;
        event["multiValueHeaders"] = json!({ "Host": [self.host], "x-api-key": [""], "X-Forwarded-For": [""], "x-restapi": [""] });
        Bytes::from(event.to_string())
    }

    fn event(&self, route_key: &str, event_type: &str) -> Value {
        let now = Utc::now();
        let id = short_id();

        json!({
            "requestContext": {
                "routeKey": route_key,
                "eventType": event_type,
                "extendedRequestId": id,
                "requestTime": common_log_time(now),
                "messageDirection": "IN",
                "stage": self.stage,
                "connectedAt": self.connected_at.timestamp_millis(),
                "requestTimeEpoch": now.timestamp_millis(),
                "identity": { "userAgent": self.user_agent, "sourceIp": self.source_ip },
                "requestId": id,
                "domainName": self.host,
                "connectionId": self.connection_id,
                "apiId": WEBSOCKET_API_ID,
            },
            "isBase64Encoded": false,
        })
    }
}

/// Returns the route key that a frame names: the text at the selection's path, if the frame is JSON
/// and has one.
pub(super) fn selected(selection: &RouteSelection, frame: &str) -> Option<String> {
    let frame: Value = serde_json::from_str(frame).ok()?;
    let found = selection.0.iter().try_fold(&frame, |value, key| value.get(key))?;
    found.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_names_its_route() {
        let by_action = RouteSelection(vec!["action".to_owned()]);
        let nested = RouteSelection(vec!["a".to_owned(), "b".to_owned()]);
        assert_eq!(selected(&by_action, r#"{"action":"hello"}"#).as_deref(), Some("hello"));
        assert_eq!(selected(&nested, r#"{"a":{"b":"x"}}"#).as_deref(), Some("x"));
        for frame in ["hello", "{}", r#"{"action":1}"#, "[]"] {
            assert_eq!(selected(&by_action, frame), None, "{frame}");
        }
    }
}
