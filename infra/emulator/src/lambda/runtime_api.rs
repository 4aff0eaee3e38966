//! The Runtime API that workers poll, version 2018-06-01, each under a path of its own.
//! <https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>

use std::sync::Arc;
use std::time::UNIX_EPOCH;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use bytes::Bytes;

use super::invocation::FunctionError;
use super::lineage::Lineage;
use super::specification::MAX_PAYLOAD;
use super::worker::{Event, Worker};
use super::workers::Workers;
use crate::account::{ACCOUNT_ID, PARTITION, REGION};

pub(super) fn router(workers: Arc<Workers>) -> Router {
    let invocations = Router::new()
        .route("/next", get(next))
        .route("/{request_id}/response", post(response))
        .route("/{request_id}/error", post(error));
    Router::new()
        .nest("/{worker}/2018-06-01/runtime/invocation", invocations)
        .route("/{worker}/2018-06-01/runtime/init/error", post(init_error))
        // An answer over the limit is refused by its size, not by closing the connection.
        .layer(DefaultBodyLimit::max(MAX_PAYLOAD + MAX_PAYLOAD / 2))
        .with_state(workers)
}

async fn next(State(workers): State<Arc<Workers>>, Path(worker): Path<String>) -> Response<Body> {
    let Some(worker) = workers.get(&worker) else { return StatusCode::NOT_FOUND.into_response() };
    let Some(event) = worker.next().await else { return StatusCode::GONE.into_response() };
    let Event { request_id, deadline, lineage, payload } = event;

    let since_1970 = deadline.duration_since(UNIX_EPOCH).unwrap_or_default();

    Response::builder()
        .header("Content-Type", "application/json")
        .header("Lambda-Runtime-Trace-Id", trace_id(since_1970.as_secs(), &lineage))
        .header("Lambda-Runtime-Deadline-Ms", since_1970.as_millis().to_string())
        .header("Lambda-Runtime-Invoked-Function-Arn", function_arn(&worker))
        .header("Lambda-Runtime-Aws-Request-Id", request_id)
        .body(Body::from(payload))
        .expect("ids, numbers and ARNs are header values")
}

async fn response(
    State(workers): State<Arc<Workers>>,
    Path((worker, request_id)): Path<(String, String)>,
    body: Bytes,
) -> StatusCode {
    finish(&workers, &worker, &request_id, Ok(body))
}

async fn error(
    State(workers): State<Arc<Workers>>,
    Path((worker, request_id)): Path<(String, String)>,
    body: Bytes,
) -> StatusCode {
    finish(&workers, &worker, &request_id, Err(reported(&body)))
}

async fn init_error(
    State(workers): State<Arc<Workers>>,
    Path(worker): Path<String>,
    body: Bytes,
) -> StatusCode {
    match workers.get(&worker) {
        Some(worker) => {
            worker.fail_init(reported(&body));
            StatusCode::ACCEPTED
        }
        None => StatusCode::NOT_FOUND,
    }
}

fn finish(
    workers: &Workers,
    worker: &str,
    request_id: &str,
    outcome: Result<Bytes, FunctionError>,
) -> StatusCode {
    match workers.get(worker) {
        None => StatusCode::NOT_FOUND,
        Some(worker) if worker.finish(request_id, outcome) => StatusCode::ACCEPTED,
        Some(_) => StatusCode::BAD_REQUEST,
    }
}

fn reported(body: &[u8]) -> FunctionError {
    serde_json::from_slice(body).unwrap_or_else(|_| {
        FunctionError::new("Runtime.UnknownReason", String::from_utf8_lossy(body))
    })
}

fn function_arn(worker: &Worker) -> String {
    format!(
        "arn:{PARTITION}:lambda:{REGION}:{ACCOUNT_ID}:function:{}",
        worker.function().logical_id
    )
}

/// <https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>
fn trace_id(seconds: u64, lineage: &Lineage) -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    let root = &random[..24];
    let parent = &random[16..];
    format!("Root=1-{seconds:08x}-{root};Parent={parent};Sampled=0;{lineage}")
}
