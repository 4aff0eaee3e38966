//! `cargo local listen`: sends the events of a running system's demo business to a URL, and prints
//! what it answers. The endpoint is this process, which passes each request on as it came.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use chrono::Utc;
use clap::Args;
use reqwest::Client;
use reqwest::redirect::Policy;
use serde_json::Value;
use uuid::Uuid;

use crate::forward::{Endpoints, http_url};
use crate::ready::Ready;
use crate::stop::Stop;
use crate::terminal::{BAD, BOLD, CODE, DIM, GOOD, fail, field, paint, tell};
use emulator::listen::{Pages, bind, serve_router};
use sandbox::http_client;

/// How long the URL may take: as long as an endpoint.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// How many ports the sandbox's is above the API's.
const SANDBOX_OFFSET: u16 = 2;

#[derive(Debug, Args)]
pub(crate) struct ListenOptions {
    /// The program that is sent the events, as its own endpoint would be
    #[arg(value_name = "URL", value_parser = http_url)]
    pub(crate) url: String,
    /// The port of the running system's API
    #[arg(long, value_name = "PORT", default_value_t = 3000)]
    pub(crate) port: u16,
    /// The ready file of the running system, in place of its port
    #[arg(long, value_name = "FILE", conflicts_with = "port")]
    pub(crate) ready_file: Option<PathBuf>,
}

/// The program that events are passed on to.
#[derive(Debug, Clone)]
struct Target {
    client: Client,
    url: String,
}

/// Passes events on until it is asked to stop; then the endpoint is deleted.
pub(crate) async fn run(options: ListenOptions, stop: &mut Stop) -> ExitCode {
    match listen(options, stop).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => fail(&format!("{sentence}.")),
    }
}

async fn listen(options: ListenOptions, stop: &mut Stop) -> Result<(), String> {
    let ListenOptions { url, port, ready_file } = options;
    let endpoints = match ready_file {
        Some(file) => Endpoints::of_demo(&read_ready(&file)?)?,
        None => find(port).await?,
    };

    let options = Client::builder().redirect(Policy::none()).no_proxy().timeout(ANSWER_TIMEOUT);
    let client = options.build().map_err(|error| error.to_string())?;
    let listener = bind().await.map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let target = Target { client, url: url.clone() };
    let router = Router::new().route("/", post(pass_on)).with_state(target);
    let server = serve_router(listener, Pages::OfThisMachine, router);

    let description = format!("cargo local listen {url}");
    let endpoint = endpoints.make(&format!("http://{address}/"), &description).await?;
    tell("");
    tell(field("Events", format_args!("go to {}", paint(CODE, &url))));
    tell(field("", format_args!("signed by {}", endpoint.secret())));
    tell(format!("\n  {} ends it.\n", paint(BOLD, "Ctrl-C")));

    stop.asked().await;
    let deleted = endpoints.delete(endpoint).await;
    server.stop().await;
    deleted.map_err(|error| format!("the endpoint is still there: {error}"))
}

fn read_ready(file: &Path) -> Result<Ready, String> {
    let name_it = |error: &dyn std::fmt::Display| format!("{}: {error}", file.display());
    let text = std::fs::read(file).map_err(|error| name_it(&error))?;
    serde_json::from_slice(&text).map_err(|error| name_it(&error))
}

/// Finds the demo business of a system by its port, as its sandbox lists it.
async fn find(port: u16) -> Result<Endpoints, String> {
    let sandbox = format!("http://127.0.0.1:{}", port.saturating_add(SANDBOX_OFFSET));
    let answer = http_client::loopback().get(format!("{sandbox}/sandbox/businesses")).send().await;
    let answer = answer.and_then(reqwest::Response::error_for_status);
    let is_missing =
        |_| format!("no `cargo local` runs on port {port}: start it, or name its port");
    let listed = answer.map_err(is_missing)?.bytes().await.map_err(is_missing)?;

    let businesses: Value = serde_json::from_slice(&listed).unwrap_or_default();
    let mut businesses = businesses.as_array().into_iter().flatten();
    let demo = businesses.find(|business| business["origin"] == "demo");
    let key = demo.and_then(|demo| demo["api_key"].as_str());
    let key = key.ok_or("there is no demo business whose events are sent")?;
    Ok(Endpoints::new(&format!("http://127.0.0.1:{port}"), key))
}

/// Passes an event on, prints the answer, and gives it back.
async fn pass_on(State(target): State<Target>, headers: HeaderMap, body: Bytes) -> Response {
    let passed = headers.iter().filter(|(name, _)| {
        let is_own = name.as_str().starts_with("webhook-");
        is_own || [header::CONTENT_TYPE, header::USER_AGENT].contains(name)
    });
    let passed = passed.map(|(name, value)| (name.clone(), value.clone())).collect();
    let event: Value = serde_json::from_slice(&body).unwrap_or_default();

    let begun = Instant::now();
    let request = target.client.post(&target.url).headers(passed).body(body);
    let answer = match request.send().await {
        Ok(answer) => {
            let status = answer.status();
            answer.bytes().await.map(|body| (status, body))
        }
        Err(error) => Err(error),
    };

    let took = begun.elapsed().as_millis();
    match answer {
        Ok((status, body)) => {
            let style = if status.is_success() { GOOD } else { BAD };
            tell(line(&event, &paint(style, status.as_u16()), took));
            (status, body).into_response()
        }
        Err(error) => {
            let fault = if error.is_timeout() { "no answer in time" } else { "no answer" };
            tell(line(&event, &paint(BAD, fault), took));
            StatusCode::BAD_GATEWAY.into_response()
        }
    }
}

/// Formats an event and its answer: `18:50:38  message.sent       3cddba3a…2335  200  12 ms`.
fn line(event: &Value, answer: &str, took_ms: u128) -> String {
    let time = paint(DIM, Utc::now().format("%H:%M:%S"));
    let kind = event["type"].as_str().unwrap_or("?");
    let id = event["id"].as_str().and_then(|id| Uuid::parse_str(id).ok()).unwrap_or_default();
    let id = id.to_string();
    let (beginning, end) = (&id[..8], &id[id.len() - 4..]);
    format!(
        "{time}  {kind:<17}  {beginning}…{end}  {answer}  {}",
        paint(DIM, format_args!("{took_ms} ms"))
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_one_line() {
        let event = json!({ "type": "message.sent", "id": "3cddba3a-e67e-89a2-bb42-373a66612335" });
        let painted = line(&event, "200", 12);
        let plain = anstream::adapter::strip_str(&painted).to_string();
        assert_eq!(&plain[8..], "  message.sent       3cddba3a…2335  200  12 ms");
    }
}
