//! Listeners, and the servers on them.

mod foreign_pages;

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::Router;
use bytes::Bytes;
use hyper::Request;
use hyper::Response;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

pub use foreign_pages::Pages;
pub(crate) use foreign_pages::is_of_foreign_page;

use foreign_pages::Checked;

/// Pause after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// The address that a request came from, an extension of every request to [`serve_router`].
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// A server that runs until it is dropped; its connections end with it.
#[derive(Debug)]
pub struct Server {
    task: JoinHandle<()>,
    stop: watch::Sender<bool>,
}

impl Server {
    /// Closes it; when this returns, its connections are gone, and with them everything they held.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        let _ = (&mut self.task).await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The address that only this machine reaches.
pub const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Opens a loopback port, for servers that only this process calls.
pub async fn bind() -> std::io::Result<TcpListener> {
    bind_to(LOOPBACK, 0).await
}

/// Opens a port of one of this machine's addresses; 0 lets the system choose one.
pub async fn bind_to(address: IpAddr, port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind((address, port)).await
}

/// Serves HTTP/1.1 with one service per connection, to programs and to these pages. A service's
/// error closes its connection without an answer.
pub fn serve<S, B>(
    listener: TcpListener,
    pages: Pages,
    service: impl Fn(SocketAddr) -> S + Send + 'static,
) -> Server
where
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let (stop, mut stopped) = watch::channel(false);
    let address = listener.local_addr().ok().map(|address| address.ip());
    let accept = async move {
        let mut connections = JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stopped.changed() => return connections.shutdown().await,
            };
            // Errors concern one connection (reset before it was accepted) or pass (too many open
            // files).
            let Ok((stream, peer)) = accepted else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            let _ = stream.set_nodelay(true);
            let checked = Checked { pages, address, service: service(peer) };
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), checked);
            connections.spawn(async move { connection.with_upgrades().await.ok() });
        }
    };

    Server { task: tokio::spawn(accept), stop }
}

/// Serves an axum router; handlers find their [`Peer`] among the extensions.
pub fn serve_router(listener: TcpListener, pages: Pages, router: Router) -> Server {
    serve(listener, pages, move |peer| {
        TowerToHyperService::new(router.clone().layer(axum::Extension(Peer(peer))))
    })
}
