//! Serves the sandbox's routes, and can do what no well-behaved server does: take a request and never answer.

use std::convert::Infallible;

use axum::Router;
use axum::response::{IntoResponse, Response};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower_service::Service;

/// Marks an answer that must not reach the caller.
#[derive(Debug, Clone, Copy)]
struct Lost;

#[derive(Debug, thiserror::Error)]
#[error("the answer is lost")]
struct AnswerLost;

/// An answer that never arrives: the connection is closed instead.
pub(super) fn lost_answer() -> Response {
    let mut answer = ().into_response();
    answer.extensions_mut().insert(Lost);
    answer
}

/// Whether this answer is one that must not arrive.
pub(super) fn is_lost(answer: &Response) -> bool {
    answer.extensions().get::<Lost>().is_some()
}

/// Serves until the task is dropped; every connection ends with it.
pub(super) async fn serve(listener: TcpListener, router: Router) {
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        // A connection that was reset before it was accepted is the caller's trouble.
        let Ok((stream, _)) = accepted else { continue };
        let _ = stream.set_nodelay(true);
        let router = router.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| {
                let answer = router.clone().call(request);
                async move {
                    let answer = answer.await.unwrap_or_else(|never: Infallible| match never {});
                    if is_lost(&answer) { Err(AnswerLost) } else { Ok(answer) }
                }
            });
            // How a connection ended is of no interest: a lost answer ends one with an error.
            let _ = auto::Builder::new(TokioExecutor::new())
                .http1_only()
                .serve_connection_with_upgrades(TokioIo::new(stream), service)
                .await;
        });
    }
}
