//! The life of a Lambda function, for all functions in one place.
//!
//! A function is made once from its environment and then handles one event after the other until
//! Lambda stops it. This file starts its log, begins and ends each [`Invocation`], bounds it by
//! Lambda's deadline, and answers for what goes wrong: a handler that fails, panics or runs out of
//! time is logged here, once, and its caller gets our own answer instead of Lambda's.
//!
//! There are three kinds of functions: [`HttpFunction`]s behind the HTTP API, [`EventFunction`]s
//! behind everything else, and the queue workers, which are the [`EventFunction`] that every
//! [`Provider`](crate::delivery::Provider) becomes.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::Duration;

use aws_lambda_events::event::apigw::ApiGatewayV2httpResponse;
use futures_util::FutureExt;
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt, Response};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::api::{self, ApiError};
use crate::clock;
use crate::error::{self, InternalError};
use crate::http_event;
use crate::routes;
use crate::service_limits;
use crate::telemetry::{self, Invocation, correlate};

pub use lambda_runtime::Error;

/// Time kept for the answer that says that a handler ran out of time.
pub const ANSWER_RESERVE: Duration = Duration::from_millis(250);

/// An event and its context, as Lambda's runtime hands them over.
type Event = LambdaEvent<Box<RawValue>>;

/// The work of a handler on an event, and its answer in JSON.
type Handled<'a> = Pin<Box<dyn Future<Output = Result<Box<RawValue>, Diagnostic>> + 'a>>;

/// A function behind API Gateway's HTTP API.
pub trait HttpFunction: Sized + Sync {
    /// Makes the function from its environment.
    ///
    /// # Errors
    /// A sentence that names the variable that is missing or malformed.
    fn from_env() -> Result<Self, Error>;

    /// Handles one request.
    ///
    /// # Errors
    /// [`ApiError`]; the runtime turns it into a problem document.
    fn handle(
        &self,
        request: &Request,
    ) -> impl Future<Output = Result<Response<Body>, ApiError>> + Send;
}

/// A function that handles any other kind of event.
pub trait EventFunction: Sized {
    /// The event, as Lambda passes it.
    type Event: DeserializeOwned;
    /// The answer that the event's source reads.
    type Answer: Serialize;

    /// The part of the invocation's time in which the function only ends what it has begun.
    const RESERVE: Duration;

    /// Makes the function from its environment.
    ///
    /// # Errors
    /// A sentence that names the variable that is missing or malformed.
    fn from_env() -> Result<Self, Error>;

    /// Handles one event, and begins nothing after `until`.
    ///
    /// # Errors
    /// [`InternalError`]; the event's source then repeats the event, as its own rules say.
    fn handle(
        &self,
        event: Self::Event,
        until: Instant,
    ) -> impl Future<Output = Result<Self::Answer, InternalError>>;
}

/// Runs an [`HttpFunction`] until Lambda stops it.
///
/// # Errors
/// If the function cannot be made from its environment, or if there is no Runtime API.
pub async fn serve_http<F: HttpFunction>() -> Result<(), Error> {
    telemetry::init();
    let function = &F::from_env()?;

    serve(&|event| Box::pin(async move { json(&handle_http(function, event).await) })).await
}

/// Runs an [`EventFunction`] until Lambda stops it.
///
/// # Errors
/// If the function cannot be made from its environment, or if there is no Runtime API.
pub async fn serve_events<F: EventFunction>() -> Result<(), Error> {
    telemetry::init();
    let function = &F::from_env()?;

    serve(&|event| Box::pin(async move { json(&handle_event(function, event).await?) })).await
}

/// Runs a handler until Lambda stops it. To the compiler all handlers are of one type, so that a
/// program which plays every function has Lambda's runtime in it once.
async fn serve<'a>(handler: &'a dyn Fn(Event) -> Handled<'a>) -> Result<(), Error> {
    lambda_runtime::run(service_fn(handler)).await
}

fn json(answer: &impl Serialize) -> Result<Box<RawValue>, Diagnostic> {
    serde_json::value::to_raw_value(answer).map_err(|error| Diagnostic {
        error_type: "InternalError".to_owned(),
        error_message: InternalError::because("writing an answer", error).to_string(),
    })
}

/// Handles one request as one invocation. Its log lines carry API Gateway's id of the request,
/// which the caller has as well, in the response's header `apigw-requestid`.
async fn handle_http<F: HttpFunction>(function: &F, event: Event) -> ApiGatewayV2httpResponse {
    let LambdaEvent { payload, context, .. } = event;
    let _invocation = Invocation::begin(&context);
    let left = clock::time_left(context.deadline());
    let id = OnceLock::new();

    // Boxed, or the compiler gives up on how deep the future is.
    let handled = Box::pin(async {
        let request = http_event::read(&payload, context)?;
        if let Some(request_id) = request_id(&request) {
            correlate(&request_id);
            id.get_or_init(|| request_id);
        }
        routes::check_method(&request)?;
        function.handle(&request).await
    });
    let request_id = || id.get().map(String::as_str);
    let answered = async { api::answer(bounded(handled, left).await, request_id()) };
    http_event::write(service_limits::of_request(answered).await)
}

/// Handles one event as one invocation. Lambda gets no more of a failure than what was being done:
/// the whole chain is in the log. The event is read here, because the runtime would log what it
/// cannot read.
async fn handle_event<F: EventFunction>(
    function: &F,
    event: Event,
) -> Result<F::Answer, Diagnostic> {
    let _invocation = Invocation::begin(&event.context);
    let left = clock::time_left(event.context.deadline());
    let until = Instant::now() + left.saturating_sub(F::RESERVE);

    let handled = async {
        let event = serde_json::from_str(event.payload.get())
            .map_err(|error| InternalError::unreadable("the event", &error))?;
        function.handle(event, until).await
    };
    bounded(handled, left).await.map_err(|error| {
        tracing::error!(error = error.chain(), "event not handled; its source repeats it");
        Diagnostic { error_type: "InternalError".to_owned(), error_message: error.to_string() }
    })
}

/// Runs `work` until shortly before the invocation's end. Running out of time and panicking are
/// failures like any other.
async fn bounded<T, E: From<InternalError>>(
    work: impl Future<Output = Result<T, E>>,
    left: Duration,
) -> Result<T, E> {
    let work = AssertUnwindSafe(work).catch_unwind();
    let time = left.saturating_sub(ANSWER_RESERVE);

    match tokio::time::timeout(time, work).await {
        Ok(Ok(result)) => result,
        Ok(Err(panic)) => Err(panicked(panic).into()),
        Err(late) => Err(InternalError::because("handling an event in time", late).into()),
    }
}

/// A panic's message may hold a customer's text, so it is dropped unread. The panic hook has logged
/// where the panic was ([`telemetry::init`]).
fn panicked(panic: Box<dyn Any + Send>) -> InternalError {
    drop(panic);
    InternalError::new("handling an event: the handler panicked")
}

/// Returns API Gateway's id of a request.
#[must_use]
pub fn request_id(request: &Request) -> Option<String> {
    match request.request_context_ref()? {
        RequestContext::ApiGatewayV2(context) => {
            context.request_id.clone().filter(|id| error::is_word(id))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use lambda_runtime::Context;
    use serde_json::Value;

    use super::*;
    use crate::clock::Clock;

    /// A function whose handler does one of three bad things.
    enum Bad {
        Panics,
        Hangs,
        Fails,
    }

    impl Bad {
        async fn misbehave<T>(&self) -> Result<T, InternalError> {
            match self {
                Bad::Panics => panic!("a text of a customer"),
                Bad::Hangs => std::future::pending().await,
                Bad::Fails => Err(InternalError::because("reading a table", "there is none")),
            }
        }
    }

    impl HttpFunction for Bad {
        fn from_env() -> Result<Bad, Error> {
            Ok(Bad::Panics)
        }

        async fn handle(&self, _: &Request) -> Result<Response<Body>, ApiError> {
            Ok(self.misbehave().await?)
        }
    }

    impl EventFunction for Bad {
        type Event = Value;
        type Answer = Value;

        const RESERVE: Duration = Duration::ZERO;

        fn from_env() -> Result<Bad, Error> {
            Ok(Bad::Panics)
        }

        async fn handle(&self, _: Value, _: Instant) -> Result<Value, InternalError> {
            self.misbehave().await
        }
    }

    /// The context of an invocation that may take three seconds.
    fn context() -> Context {
        let deadline = Clock::moved_by(3_000).now();

        let mut context = Context::default();
        context.deadline = deadline.timestamp_millis().try_into().expect("after 1970");
        context
    }

    fn null() -> Box<RawValue> {
        RawValue::from_string("null".to_owned()).expect("JSON")
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_gets_our_problem_document_whatever_the_handler_does() {
        for bad in [Bad::Panics, Bad::Hangs, Bad::Fails] {
            let began = Instant::now();
            let event = r#"{ "requestContext": { "http": { "method": "GET" } } }"#.to_owned();
            let event = RawValue::from_string(event).expect("JSON");
            let response = handle_http(&bad, LambdaEvent::new(event, context())).await;

            assert!(began.elapsed() < Duration::from_secs(3), "Lambda would have answered");
            assert_eq!(response.status_code, 500);
            assert_eq!(response.headers["content-type"], "application/problem+json");
            let Some(Body::Text(text)) = response.body else { panic!("a problem is text") };
            assert!(text.contains(r#""code":"internal""#), "{text}");
            assert!(!text.contains("customer") && !text.contains("table"), "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn lambda_is_told_of_a_failed_event_and_no_more() {
        for (bad, message) in [
            (Bad::Panics, "handling an event: the handler panicked"),
            (Bad::Hangs, "handling an event in time"),
            (Bad::Fails, "reading a table"),
        ] {
            let began = Instant::now();
            let diagnostic = handle_event(&bad, LambdaEvent::new(null(), context()))
                .await
                .expect_err("the handler failed");

            assert!(began.elapsed() < Duration::from_secs(3), "Lambda would have stopped it");
            assert_eq!(diagnostic.error_type, "InternalError");
            assert_eq!(diagnostic.error_message, message);
        }
    }
}
