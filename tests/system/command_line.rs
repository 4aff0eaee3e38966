//! `cargo local` as a program: its options, its files and the ways in which it ends.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use tests::machine::{Directory, Machine};
use tests::{World, functions_under_test, send_signal};

/// The longest wait for a program to end.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs `cargo local` to its end.
fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(functions_under_test());
    command.args(arguments).stdin(Stdio::null()).output().expect("it is built")
}

/// Runs one that must refuse to start, and returns its sentence.
fn refusal(arguments: &[&str]) -> String {
    let output = run(arguments);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{arguments:?} started");
    said
}

/// Sends a signal, and waits until the program has ended.
async fn end(machine: &mut Machine, signal: &str) -> ExitStatus {
    send_signal(machine.pid(), signal);

    let begun = Instant::now();
    loop {
        if let Some(status) = machine.ended() {
            return status;
        }
        assert!(begun.elapsed() < PATIENCE, "it runs on after SIG{signal}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn ready_file(directory: &Directory) -> PathBuf {
    directory.path().join("ready.json")
}

fn words(path: &Path) -> &str {
    path.to_str().expect("a path of words")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_one_leaves_the_ready_file_of_the_first() {
    let directory = Directory::new("command-line");
    let first = Machine::start(directory.path()).await;
    let file = ready_file(&directory);
    let before = std::fs::read(&file).expect("it is there");

    let said = refusal(&["up", "--port", "0", "--ready-file", words(&file)]);
    assert!(said.contains("ready.json") && said.contains("that runs has this file"), "{said}");
    let said = refusal(&["up", "--port", "0", "--sam-env", words(&file)]);
    assert!(said.contains("that runs has this file"), "{said}");
    assert_eq!(std::fs::read(&file).expect("it is still there"), before);
    drop(first);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_signal_that_ends_it_takes_the_credentials_with_it() {
    for signal in ["HUP", "INT", "TERM", "QUIT"] {
        let directory = Directory::new("command-line");
        let mut machine = Machine::start(directory.path()).await;
        assert!(ready_file(&directory).exists());
        let status = end(&mut machine, signal).await;
        assert!(status.success(), "SIG{signal}: {status}");
        assert!(!ready_file(&directory).exists(), "SIG{signal} leaves the ready file");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_one_left_behind_is_no_obstacle_and_other_files_are_safe() {
    let directory = Directory::new("command-line");
    let mut killed = Machine::start(directory.path()).await;
    killed.kill();
    let left_behind = ready_file(&directory).with_file_name("left.json");
    std::fs::copy(ready_file(&directory), &left_behind).expect("it is there");
    let said = refusal(&["up", "--ready-file", words(&left_behind), "--address", "192.0.2.1"]);
    assert!(!left_behind.exists() && said.contains("192.0.2.1"), "{said}");

    let note = directory.path().join("note.txt");
    std::fs::write(&note, "do not lose me").expect("a file");
    let said = refusal(&["up", "--port", "0", "--ready-file", words(&note)]);
    assert!(said.contains("of no earlier run"), "{said}");
    assert_eq!(std::fs::read_to_string(&note).expect("it is there"), "do not lose me");
}

#[test]
fn what_cannot_be_is_refused_with_a_way_out_that_helps() {
    let said = refusal(&["up", "--port", "0", "--address", "192.0.2.1"]);
    assert!(said.contains("192.0.2.1 is not an address of this machine"), "{said}");
    assert!(!said.contains("ports"), "{said}");

    let said = refusal(&["up", "--port", "0", "--ses", "nonsense"]);
    assert!(said.contains("--ses") && said.contains("no URL"), "{said}");

    let said = refusal(&["up", "--port", "65534"]);
    assert!(said.contains("--port 3100"), "{said}");

    let said = refusal(&["up", "--port", "0", "--log", "/nowhere/at/all.log"]);
    assert!(said.contains("/nowhere/at/all.log"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_one_says_nothing_and_its_log_has_each_request_with_whole_ids() {
    let directory = Directory::new("command-line");
    let log = directory.path().join("log.jsonl");
    let arguments = ["--quiet", "--log", words(&log)];
    let mut machine = Machine::start_with(directory.path(), &arguments).await;

    let world = World::of(machine.ready.clone());
    let demo = machine.ready.demo.clone().expect("the demo is seeded");
    let conversation_id = demo.conversations.chat;
    let id = world.send(&demo.token, conversation_id, "Hello").go().await.id();
    world.until_status(&demo.token, conversation_id, id, "delivered").await;
    drop(world); // which looks at the system once more
    end(&mut machine, "TERM").await;

    assert_eq!(machine.output(), "", "a quiet one prints nothing");
    let text = std::fs::read_to_string(&log).expect("a log");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let requests: Vec<Value> = lines.filter(|line| line["message"] == "request").collect();
    let path = format!("/api/v1/conversations/{conversation_id}/messages");
    let sent = requests.iter().find(|line| line["path"] == json!(path)).expect("its line");
    assert_eq!((&sent["method"], &sent["status"]), (&json!("POST"), &json!(201)));
    assert!(sent["ms"].is_u64() && sent["timestamp"].is_string(), "{sent}");
    assert!(!text.contains(&demo.token) && !text.contains("Hello"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_one_line_on_the_terminal() {
    let directory = Directory::new("command-line");
    let mut machine = Machine::start_with(directory.path(), &[]).await;
    let world = World::of(machine.ready.clone());
    let demo = machine.ready.demo.clone().expect("the demo is seeded");
    world.get(&demo.token, "/api/v1/usage").await;
    drop(world); // which looks at the system once more
    end(&mut machine, "TERM").await;

    let output = machine.output();
    let api = machine.ready.api.as_str();
    for link in [format!("{api}/  "), format!("{api}/docs"), machine.ready.aws.dynamodb.clone()] {
        assert!(output.contains(&link), "the banner has no {link}: {output}");
    }
    let line = output.lines().find(|line| line.contains("GET /api/v1/usage")).expect("a line");
    assert!(line.contains("  200  ") && line.ends_with(" ms"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_demo_that_is_kept_leaves_the_console_open() {
    let mut command = Command::new(functions_under_test());
    command.args(["demo", "--keep"]).stdin(Stdio::null()).stderr(Stdio::null());
    let mut demo = command.stdout(Stdio::piped()).spawn().expect("it is built");
    let lines = BufReader::new(demo.stdout.take().expect("it is piped")).lines();
    let mut lines = lines.map_while(Result::ok);
    let line = lines.find(|line| line.contains("Look at it:")).expect("the demo ends well");
    let url = line.split_whitespace().find(|word| word.starts_with("http://")).expect("a link");

    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let page = http.get(url).header("accept", "text/html").send().await.expect("it is there");
    assert!(page.text().await.expect("a page").contains("/console/app.js"));

    send_signal(demo.id(), "TERM");
    assert!(demo.wait().expect("it ends").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_on_this_machine_is_sent_the_demos_events() {
    let directory = Directory::new("command-line");
    let elsewhere = World::start().await;
    let receiver = format!("/receivers/{}", uuid::Uuid::new_v4());
    let url = format!("{}{receiver}", elsewhere.ready.sandbox);
    let mut machine = Machine::start_with(directory.path(), &["--forward-to", &url]).await;
    assert!(machine.output().contains("signed by whsec_"), "{}", machine.output());

    let world = World::of(machine.ready.clone());
    let demo = machine.ready.demo.clone().expect("the demo is seeded");
    world.send(&demo.token, demo.conversations.chat, "Hello").go().await.id();
    elsewhere
        .until("the events are there", async || {
            let got = elsewhere.sandbox(Method::GET, &receiver, Value::Null).await;
            let got = got.as_array().expect("a list");
            let is_sent = |kind: &str| {
                got.iter().any(|one| one["body"].as_str().is_some_and(|body| body.contains(kind)))
            };
            (is_sent("message.accepted") && is_sent("message.delivered")).then_some(())
        })
        .await;

    drop(world); // which looks at the system once more
    end(&mut machine, "TERM").await;
    let said = refusal(&["up", "--port", "0", "--forward-to", "http://192.0.2.1/hooks"]);
    assert!(said.contains("--forward-to"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_passes_events_on_prints_the_answers_and_leaves_no_endpoint() {
    let directory = Directory::new("command-line");
    let machine = Machine::start(directory.path()).await;
    let elsewhere = World::start().await;
    let receiver = format!("/receivers/{}", uuid::Uuid::new_v4());
    let url = format!("{}{receiver}", elsewhere.ready.sandbox);
    let ill = json!({ "status": 418, "times": 1 });
    elsewhere.sandbox(Method::PUT, &receiver, ill).await;

    let mut command = Command::new(functions_under_test());
    command.args(["listen", &url, "--ready-file", words(&ready_file(&directory))]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut listener = command.spawn().expect("it is built");
    let lines = BufReader::new(listener.stdout.take().expect("it is piped")).lines();
    let mut lines = lines.map_while(Result::ok);
    assert!(
        lines.any(|line| line.contains("signed by whsec_")) && lines.any(|l| l.contains("ends it"))
    );

    let world = World::of(machine.ready.clone());
    let demo = machine.ready.demo.clone().expect("the demo is seeded");
    world.send(&demo.token, demo.conversations.email, "Hello").go().await.id();
    let told = lines.find(|line| !line.is_empty()).expect("a line");
    assert!(told.contains("  message.accepted   ") && told.contains("  418  "), "{told}");
    world.pass(60).await;
    world.sweep().await;
    let told = lines.find(|line| line.contains("message.delivered")).expect("a line");
    assert!(told.contains("  200  ") && told.ends_with(" ms"), "{told}");

    let got = elsewhere.sandbox(Method::GET, &receiver, Value::Null).await;
    assert!(got[0]["headers"]["webhook-signature"].is_string(), "{}", got[0]);

    send_signal(listener.id(), "INT");
    assert!(listener.wait().expect("it ends").success());
    let listed = world.get(&demo.api_key, "/api/v1/webhook_endpoints").await;
    assert_eq!(listed.json(), json!({ "endpoints": [] }));

    let missing = refusal(&["listen", &url, "--ready-file", "/nowhere/ready.json"]);
    assert!(missing.contains("/nowhere/ready.json"), "{missing}");
}
