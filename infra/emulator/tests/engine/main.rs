//! The engine on a template of its own, with real processes: what the deployed system relies on,
//! shown end to end.

mod authorization;
mod event_bus;
mod faults;
mod functions;
mod http_api;
mod objects;
mod processes;
mod queues;
mod secrets;
mod streams;
mod table;
mod websocket;

use std::path::PathBuf;

use serde_json::Value;

use emulator::{Engine, EngineOptions, Logs, Programs};

/// An engine of the probe's template.
async fn engine() -> Engine {
    start(Logs::discarded()).await
}

async fn start(logs: Logs) -> Engine {
    Engine::start(EngineOptions { logs, ..options() }).await.expect("the engine starts")
}

/// The probe's template and the probe as every function.
fn options() -> EngineOptions {
    EngineOptions {
        template: PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/probe/template.yaml"),
        stack_name: "probe".to_owned(),
        programs: Programs::One(env!("CARGO_BIN_EXE_probe").into()),
        environment: [("EXTRA".to_owned(), "given".to_owned())].into(),
        ..EngineOptions::default()
    }
}

/// Returns the data in the body of the echo function's answer.
fn known(answer: &Value) -> Value {
    serde_json::from_str(answer["body"].as_str().expect("echo answers with a body"))
        .expect("the body is JSON")
}

/// An SDK client for this endpoint, from outside the functions or with a worker's access key.
macro_rules! client {
    ($service:ident, $url:expr) => {
        client!($service, $url, "outside")
    };
    ($service:ident, $url:expr, $access_key:expr) => {
        $service::Client::from_conf(
            $service::Config::builder()
                .behavior_version_latest()
                .region($service::config::Region::new("us-east-1"))
                .credentials_provider($service::config::Credentials::new(
                    $access_key,
                    "local",
                    None,
                    None,
                    "test",
                ))
                .endpoint_url($url)
                .build(),
        )
    };
}
use client;
