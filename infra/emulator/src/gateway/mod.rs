//! API Gateway on one machine: an HTTP API that speaks payload format 2.0, and a WebSocket API with
//! its Management API.

mod connections;
mod context;
mod http;
mod http_event;
mod http_response;
mod route;
mod websocket;
mod websocket_event;

use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;

pub(crate) use self::context::{HTTP_API_ID, WEBSOCKET_API_ID};

use self::connections::Connections;
use crate::lambda::Lambda;
use crate::listen::{self, Server};
use crate::template::Stack;

/// The sockets of both fronts and of the Management API, bound already.
pub(crate) struct Listeners {
    pub(crate) api: TcpListener,
    pub(crate) websocket: TcpListener,
    pub(crate) management: TcpListener,
}

/// The open fronts. Dropping them closes every socket.
pub(crate) struct Gateway {
    connections: Connections,
    servers: Vec<Server>,
}

impl Gateway {
    /// Opens both fronts and the Management API.
    pub(crate) fn start(
        stack: &Stack,
        lambda: &Arc<Lambda>,
        listeners: Listeners,
        extra_routes: Router,
    ) -> Self {
        let connections = Connections::default();
        let routes = route::Routes::new(&stack.functions);
        let http = http::router(routes, stack.cors.clone(), Arc::clone(lambda), extra_routes);
        let mut servers = vec![
            listen::serve_router(listeners.api, http),
            listen::serve_router(listeners.management, connections::router(connections.clone())),
        ];

        if let Some(api) = stack.websocket.clone() {
            let router = websocket::router(api, Arc::clone(lambda), connections.clone());
            servers.push(listen::serve_router(listeners.websocket, router));
        }

        Self { connections, servers }
    }

    /// Closes every connection and every socket.
    pub(crate) async fn stop(self) {
        self.connections.close_all();
        for server in self.servers {
            server.stop().await;
        }
    }
}
