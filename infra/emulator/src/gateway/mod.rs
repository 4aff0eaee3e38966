//! API Gateway on one machine: an HTTP API that speaks payload format 2.0, and a WebSocket API with
//! its Management API. What is behind a route is a function's business, never the gateway's.

mod connections;
mod http;
mod http_event;
mod http_response;
mod route;
mod websocket;
mod websocket_event;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use chrono::{DateTime, Utc};
use tokio::net::TcpListener;

use self::connections::Connections;
use crate::lambda::Lambda;
use crate::listen::{self, Server};
use crate::template::Stack;

/// Ids of the two APIs, in the form of real ones.
pub(crate) const HTTP_API_ID: &str = "localhttp0";
pub(crate) const WEBSOCKET_API_ID: &str = "localchat0";

/// The open fronts. Dropping them closes every socket.
pub(crate) struct Gateway {
    pub(crate) api_url: String,
    pub(crate) websocket_url: String,
    pub(crate) management_url: String,
    connections: Connections,
    servers: Vec<Server>,
}

impl Gateway {
    /// Opens both fronts and the Management API on listeners that are bound already.
    pub(crate) fn start(
        stack: &Stack,
        lambda: &Arc<Lambda>,
        api: TcpListener,
        websocket: TcpListener,
        management: TcpListener,
        extra: Router,
    ) -> std::io::Result<Self> {
        let connections = Connections::default();
        let api_url = format!("http://{}", api.local_addr()?);
        let websocket_url = format!("ws://{}", websocket.local_addr()?);
        let management_url = format!("http://{}", management.local_addr()?);
        let routes = route::Routes::new(&stack.functions);
        let mut servers = vec![
            listen::serve_router(
                api,
                http::router(routes, stack.cors.clone(), Arc::clone(lambda), extra),
            ),
            listen::serve_router(management, connections::router(connections.clone())),
        ];
        if let Some(api) = stack.websocket.clone() {
            let router = websocket::router(api, Arc::clone(lambda), connections.clone());
            servers.push(listen::serve_router(websocket, router));
        }
        Ok(Self { api_url, websocket_url, management_url, connections, servers })
    }

    /// Says goodbye to everybody who is connected and closes.
    pub(crate) async fn stop(self) {
        self.connections.close_all();
        for server in self.servers {
            server.stop().await;
        }
    }
}

/// An id as API Gateway makes them for requests and connections: 11 bytes in base64.
fn short_id() -> String {
    URL_SAFE.encode(rand::random::<[u8; 11]>())
}

/// `12/Mar/2026:19:03:58 +0000`, the time format of API Gateway's events.
fn common_log_time(time: DateTime<Utc>) -> String {
    time.format("%d/%b/%Y:%H:%M:%S +0000").to_string()
}

/// The X-Ray header that API Gateway adds.
fn trace_header(time: DateTime<Utc>) -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("Root=1-{:08x}-{}", time.timestamp(), &random[..24])
}

/// A connection's address without its port.
fn source_ip(peer: SocketAddr) -> String {
    peer.ip().to_string()
}
