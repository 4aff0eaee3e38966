//! Ids, times and addresses as both kinds of API put them into events.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use chrono::{DateTime, Utc};

/// Id of the HTTP API, in the form of a real one.
pub(crate) const HTTP_API_ID: &str = "localhttp0";
/// Id of the WebSocket API, in the form of a real one.
pub(crate) const WEBSOCKET_API_ID: &str = "localchat0";

/// Returns an id as API Gateway makes them for requests and connections: 11 bytes in base64.
pub(super) fn short_id() -> String {
    URL_SAFE.encode(rand::random::<[u8; 11]>())
}

/// Formats a time as API Gateway's events have it: `12/Mar/2026:19:03:58 +0000`.
pub(super) fn common_log_time(time: DateTime<Utc>) -> String {
    time.format("%d/%b/%Y:%H:%M:%S +0000").to_string()
}

/// Returns the X-Ray header that API Gateway adds.
pub(super) fn trace_header(time: DateTime<Utc>) -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("Root=1-{:08x}-{}", time.timestamp(), &random[..24])
}

/// Returns a connection's address without its port.
pub(super) fn source_ip(peer: SocketAddr) -> String {
    peer.ip().to_string()
}
