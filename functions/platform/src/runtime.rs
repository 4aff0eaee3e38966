//! How a function runs: it answers one event after the other until Lambda stops it, and each is an
//! [`Invocation`].

use std::convert::Infallible;

use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt, Response};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::telemetry::{Invocation, correlate};

/// Answers API Gateway's requests. Each is correlated by API Gateway's id of it, which its caller
/// has as well, in the response's header `apigw-requestid`.
///
/// # Errors
/// If the Runtime API is not there.
pub async fn requests<F>(handler: impl Fn(Request) -> F + Send + Sync) -> Result<(), Error>
where
    F: Future<Output = Response<Body>> + Send,
{
    let handler = &handler;
    let answer = |request: Request| async move {
        let _invocation = Invocation::begin(&request.lambda_context());
        if let Some(id) = request_id(&request) {
            correlate(&id);
        }
        Ok::<_, Infallible>(handler(request).await)
    };
    lambda_http::run(service_fn(answer)).await
}

/// Answers events of any other kind.
///
/// # Errors
/// If the Runtime API is not there.
pub async fn events<E, A, X, F>(handler: impl Fn(LambdaEvent<E>) -> F) -> Result<(), Error>
where
    E: DeserializeOwned,
    A: Serialize,
    X: Into<lambda_runtime::Diagnostic> + std::fmt::Debug,
    F: Future<Output = Result<A, X>>,
{
    let handler = &handler;
    let answer = |event: LambdaEvent<E>| async move {
        let _invocation = Invocation::begin(&event.context);
        // Boxed, or the compiler gives up on how deep it is.
        Box::pin(handler(event)).await
    };
    lambda_runtime::run(service_fn(answer)).await
}

/// API Gateway's id of a request.
#[must_use]
pub fn request_id(request: &Request) -> Option<String> {
    match request.request_context_ref()? {
        RequestContext::ApiGatewayV2(context) => context.request_id.clone(),
        _ => None,
    }
}
