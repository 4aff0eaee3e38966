//! The operator's command line, as operators run it: a program with arguments, against a system of
//! the test's own. What it makes is used over HTTP, and what it tells is what happened there.

mod dead_letters;
mod drift;
mod life;
mod making;
mod switching;

use std::process::Stdio;

use reqwest::Method;
use serde_json::Value;
use tokio::process::Command;

use tests::World;

/// What a run of the program left.
pub(crate) struct Ran {
    /// Its exit code.
    pub(crate) code: i32,
    /// What it printed.
    pub(crate) out: String,
    /// What it complained about.
    pub(crate) complaint: String,
}

impl Ran {
    /// The JSON it printed.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|_| panic!("no JSON: {} {}", self.out, self.complaint))
    }
}

/// Runs `cargo admin` with these words, on the world's stack. Nobody sits at a terminal.
pub(crate) async fn admin(world: &World, words: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_admin-under-test"));
    command.args(words).env_clear().stdin(Stdio::null());
    command.env("AWS_ENDPOINT_URL", &world.ready.aws.sqs).env("AWS_REGION", "us-east-1");
    command
        .env("AWS_ENDPOINT_URL_DYNAMODB", &world.ready.aws.dynamodb)
        .env("PINGBACK_STACK", "pingback");
    command.env("AWS_ACCESS_KEY_ID", "local").env("AWS_SECRET_ACCESS_KEY", "local");
    let clock = world.sandbox(Method::GET, "/clock", Value::Null).await;
    command.env("CLOCK_OFFSET_MS", clock["offset_ms"].to_string());
    let output = command.output().await.expect("cargo has built it");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Ran {
        code: output.status.code().expect("it ended by itself"),
        out: text(output.stdout),
        complaint: text(output.stderr),
    }
}

/// The same with `--json`; it has to end with this code.
pub(crate) async fn admin_json(world: &World, code: i32, words: &[&str]) -> Value {
    let words: Vec<&str> = words.iter().copied().chain(["--json"]).collect();
    let ran = admin(world, &words).await;
    assert_eq!(ran.code, code, "{words:?}: {} {}", ran.out, ran.complaint);
    ran.json()
}

/// A text that the JSON has under this name.
pub(crate) fn text<'a>(json: &'a Value, name: &str) -> &'a str {
    json[name].as_str().unwrap_or_else(|| panic!("no {name} in {json}"))
}
