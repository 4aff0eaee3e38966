//! API Gateway on one machine: an HTTP API that speaks payload format 2.0, and a WebSocket API with
//! its Management API.

mod connections;
mod context;
mod http;
mod http_event;
mod http_response;
mod route;
mod throttle;
mod websocket;
mod websocket_event;

use std::sync::Arc;

use axum::Router;
use tokio::net::TcpListener;

pub(crate) use self::context::{HTTP_API_ID, WEBSOCKET_API_ID};
pub(crate) use self::http::Watch;

use self::connections::{Connections, ManagementAccess};
use crate::aws::Authorizer;
use crate::lambda::Lambda;
use crate::listen::{self, Pages, Server};
use crate::template::Stack;

/// The sockets of both fronts and of the Management API, bound already, and what they take.
pub(crate) struct Listeners {
    pub(crate) api: TcpListener,
    pub(crate) websocket: TcpListener,
    pub(crate) management: TcpListener,
    /// Most connections to the WebSocket API at once.
    pub(crate) max_connections: usize,
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
        authorizer: &Authorizer,
        listeners: Listeners,
        extra_routes: Router,
        watch: Watch,
    ) -> Self {
        let connections = Connections::default();
        let routes = route::Routes::new(&stack.functions);
        let throttles = throttle::Throttles::new(
            routes.keys(),
            &stack.http_throttles,
            stack.http_default_throttle,
        );
        let front = http::Front {
            routes,
            throttles,
            cors: stack.cors.clone(),
            lambda: Arc::clone(lambda),
            watch,
        };
        let http = http::router(front, extra_routes);
        let access = ManagementAccess::new(stack, authorizer.clone());
        let mut servers = vec![
            listen::serve_router(listeners.api, Pages::OfAnySite, http),
            listen::serve_router(
                listeners.management,
                Pages::OfThisMachine,
                connections::router(connections.clone(), access),
            ),
        ];

        if let Some(api) = stack.websocket.clone() {
            let places = listeners.max_connections;
            let router = websocket::router(api, Arc::clone(lambda), connections.clone(), places);
            servers.push(listen::serve_router(listeners.websocket, Pages::OfAnySite, router));
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
