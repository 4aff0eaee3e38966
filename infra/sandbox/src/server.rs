//! Serves the sandbox's routes. Unlike a usual server it can take a request and never answer.

use std::convert::Infallible;

use axum::Router;
use axum::response::{IntoResponse, Response};
use hyper::service::service_fn;
use tokio::net::TcpListener;
use tower_service::Service;

use emulator::listen::{self, Pages, Server};

/// Marks an answer that must not reach the caller.
#[derive(Debug, Clone, Copy)]
struct LostMark;

#[derive(Debug, thiserror::Error)]
#[error("the answer is lost")]
struct AnswerLost;

/// Returns an answer that never arrives: the connection is closed instead.
pub(super) fn lost_answer() -> Response {
    let mut answer = ().into_response();
    answer.extensions_mut().insert(LostMark);
    answer
}

/// Returns whether this answer must not arrive.
pub(super) fn is_lost(answer: &Response) -> bool {
    answer.extensions().get::<LostMark>().is_some()
}

/// Serves the routes until it is dropped or stopped.
pub(super) fn serve(listener: TcpListener, router: Router) -> Server {
    listen::serve(listener, Pages::OfThisMachine, move |_| {
        let router = router.clone();
        service_fn(move |request| {
            let answer = router.clone().call(request);
            async move {
                let answer = answer.await.unwrap_or_else(|never: Infallible| match never {});
                if is_lost(&answer) { Err(AnswerLost) } else { Ok(answer) }
            }
        })
    })
}
