//! No worker outlives its host.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::{engine, known, options};
use emulator::{Engine, EngineOptions, Programs, StartError};

/// A directory as `sam build` leaves it, the probe as each function's binary.
fn own_binaries() -> PathBuf {
    let directory = std::env::temp_dir().join(format!("binaries-{}", uuid::Uuid::new_v4()));
    let functions = [
        "Echo",
        "Hasty",
        "Writer",
        "Stranger",
        "Consumer",
        "Follower",
        "Looper",
        "AllowedLooper",
        "Unable",
        "Clocked",
        "Listener",
        "Eavesdropper",
        "Punctual",
        "Mailer",
        "Socket",
    ];

    for function in functions.map(|function| directory.join(function)) {
        std::fs::create_dir_all(&function).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_probe"), function.join("bootstrap"))
            .unwrap();
    }

    directory
}

/// Polls until a process is gone: it is not a child of this process, which could wait for it.
async fn is_gone(pid: &str) {
    let gone = async {
        let mut look = tokio::time::interval(Duration::from_millis(5));
        while is_running(pid) {
            look.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), gone).await.expect("the process ends soon");
}

/// Returns whether the process exists and is not a zombie.
fn is_running(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}

#[tokio::test]
async fn workers_end_with_a_stopped_engine() {
    let engine = engine().await;
    let pid = known(&engine.invoke("echo", json!({})).await.unwrap())["pid"].to_string();
    assert!(is_running(&pid));
    let api = engine.api_url().to_owned();
    engine.stop().await;
    assert!(!is_running(&pid));
    assert!(reqwest::get(api).await.unwrap_err().is_connect(), "the port is closed");
}

#[tokio::test]
async fn workers_end_with_a_dropped_engine() {
    let engine = engine().await;
    let pid = known(&engine.invoke("echo", json!({})).await.unwrap())["pid"].to_string();
    drop(engine);
    is_gone(&pid).await;
}

#[tokio::test]
async fn workers_end_with_a_killed_host() {
    let mut host = Command::new(env!("CARGO_BIN_EXE_probe"));
    ends_with_its_workers(host.arg("host")).await;
}

#[tokio::test]
async fn workers_that_know_of_no_host_end_with_a_killed_one() {
    let directory = own_binaries();
    let mut host = Command::new(env!("CARGO_BIN_EXE_probe"));
    ends_with_its_workers(host.arg("host").arg(&directory)).await;
}

async fn ends_with_its_workers(host: &mut Command) {
    let mut host = host.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    let mut lines = BufReader::new(host.stdout.take().unwrap()).lines();
    let pid = lines.next_line().await.unwrap().expect("the host names a worker");
    assert!(is_running(&pid));
    host.kill().await.unwrap();
    is_gone(&pid).await;
}

#[tokio::test]
async fn every_function_may_be_its_own_binary() {
    let programs = Programs::Own(own_binaries());
    let engine = Engine::start(EngineOptions { programs, ..options() }).await.unwrap();
    let known = known(&engine.invoke("echo", json!({ "asked": true })).await.unwrap());
    assert_eq!(known["event"]["asked"], true);
    let command = std::fs::read_to_string(format!("/proc/{}/cmdline", known["pid"])).unwrap();
    assert!(command.contains("/Echo/bootstrap"), "{command}");
    engine.stop().await;
}

#[tokio::test]
async fn a_function_without_a_binary_is_named_with_the_ways_to_build_it() {
    let directory = own_binaries();
    std::fs::remove_file(directory.join("Socket/bootstrap")).unwrap();
    let programs = Programs::Own(directory);
    let error =
        Engine::start(EngineOptions { programs, ..options() }).await.unwrap_err().to_string();
    assert!(
        error.starts_with("Socket has no binary")
            && error.contains("/socket (`cargo build --bins`)"),
        "{error}"
    );
    assert!(error.contains("/Socket/bootstrap (`sam build`)"), "{error}");
}

#[tokio::test]
async fn a_busy_port_is_told_in_a_sentence() {
    let taken = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = taken.local_addr().unwrap().port();
    let error = Engine::start(EngineOptions { api_port: port, ..options() }).await.err();
    let Some(error @ StartError::Port { .. }) = error else {
        panic!("the port is taken: {error:?}")
    };
    assert!(
        error.to_string().starts_with(&format!("port {port} for the HTTP API cannot be opened")),
        "{error}"
    );
}

#[tokio::test]
async fn everything_that_functions_call_is_at_the_address_that_was_asked_for() {
    let engine =
        Engine::start(EngineOptions { address: [127, 0, 0, 2].into(), ..options() }).await.unwrap();
    let there = "http://127.0.0.2:";
    assert!(engine.api_url().starts_with(there) && engine.management_url().starts_with(there));
    let environments = engine.environments();
    let urls = environments["Echo"].iter().filter(|(name, _)| name.starts_with("AWS_ENDPOINT_URL"));
    assert!(
        urls.clone().count() > 0 && urls.clone().all(|(_, url)| url.starts_with(there)),
        "{environments:?}"
    );
    let environment =
        known(&engine.invoke("echo", json!({})).await.unwrap())["environment"].clone();
    assert!(
        environments["Echo"].iter().all(|(name, value)| environment[name] == **value),
        "{environment}"
    );

    engine.stop().await;
}
