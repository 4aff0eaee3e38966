//! The operator's command line, as operators run it: a program with arguments, against a system of
//! the test's own. Tests use over HTTP what it creates, and compare its reports with what happened
//! there.

mod dead_letters;
mod drift;
mod endpoints;
mod erasing;
mod finding;
mod inventory;
mod life;
mod making;
mod output;
mod pages;
mod rotation;
mod runbooks;
mod smoke;
mod switching;

use std::process::Stdio;

use reqwest::Method;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use tests::World;

/// Result of a run of the program.
pub(crate) struct CommandResult {
    /// Exit code.
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) stdout: String,
    /// Standard error.
    pub(crate) stderr: String,
}

impl CommandResult {
    /// Parses the JSON that the program printed.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|_| panic!("no JSON: {} {}", self.stdout, self.stderr))
    }
}

/// Runs `cargo admin` with these arguments, on the world's stack and without a terminal.
pub(crate) async fn admin(world: &World, args: &[&str]) -> CommandResult {
    admin_with_input(world, args, "").await
}

/// Runs it with this standard input.
pub(crate) async fn admin_with_input(world: &World, args: &[&str], input: &str) -> CommandResult {
    run(&environment(world).await, args, input).await
}

/// Returns the variables that lead to the world's stack.
pub(crate) async fn environment(world: &World) -> Vec<(&'static str, String)> {
    let clock = world.sandbox(Method::GET, "/clock", Value::Null).await;
    vec![
        ("AWS_ENDPOINT_URL", world.ready.aws.sqs.clone()),
        ("AWS_ENDPOINT_URL_DYNAMODB", world.ready.aws.dynamodb.clone()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "local".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "local".to_owned()),
        ("PINGBACK_STACK", "pingback".to_owned()),
        ("CLOCK_OFFSET_MS", clock["offset_ms"].to_string()),
    ]
}

/// Runs `cargo admin` with these variables and arguments, without a terminal.
pub(crate) async fn admin_with(
    environment: &[(&'static str, String)],
    args: &[&str],
) -> CommandResult {
    run(environment, args, "").await
}

async fn run(environment: &[(&'static str, String)], args: &[&str], input: &str) -> CommandResult {
    let mut command = Command::new(env!("CARGO_BIN_EXE_admin-under-test"));
    command
        .args(args)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .envs(environment.iter().map(|(name, value)| (name, value)));

    let mut running = command.spawn().expect("cargo has built it");
    let mut stdin = running.stdin.take().expect("it is piped");
    // A program that does not read its input may be gone by now.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let output = running.wait_with_output().await.expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    CommandResult {
        code: output.status.code().expect("it ended by itself"),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

/// Runs `cargo admin` with these arguments and `--json`; returns the JSON, and expects this exit
/// code.
pub(crate) async fn admin_json(world: &World, code: i32, args: &[&str]) -> Value {
    let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
    let result = admin(world, &args).await;
    assert_eq!(result.code, code, "{args:?}: {} {}", result.stdout, result.stderr);
    result.json()
}

/// Returns the text that the JSON has under this name.
pub(crate) fn text<'a>(json: &'a Value, name: &str) -> &'a str {
    json[name].as_str().unwrap_or_else(|| panic!("no {name} in {json}"))
}
