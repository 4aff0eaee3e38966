//! The examples beside the contract, as they stand, and those inside of it: run against the local
//! system with the ids and the key of its demo. `.ci/run clients` runs those for Python and
//! Node.js; those that are told events are asked here what they refuse, if their language is here.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::Utc;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Client, Method, Url};
use serde_json::{Value, json};
use sha2::Sha256;

use emulator::Programs;
use local::{Local, Options};
use tests::contract::{Contract, root};
use tests::functions_under_test;

/// Starts the system as `cargo local` does, but on free ports.
async fn start() -> Local {
    let programs = Programs::One(functions_under_test());
    let options = Options { programs, ..Options::default() };
    Local::start(options).await.expect("it starts")
}

/// Runs an example against the system: its address is all that differs from what stands there.
async fn run(mut example: Command, system: &Local) -> Output {
    example.env("API", &system.ready().api).env("no_proxy", "*").current_dir(root());
    for variable in ["CONVERSATION", "TOKEN", "SECRET", "PORT"] {
        example.env_remove(variable);
    }
    let run = tokio::task::spawn_blocking(move || example.output());
    run.await.expect("it does not panic").expect("it can be run")
}

/// Checks that an example did all that it is an example of.
fn assert_done(run: &Output) {
    let printed = String::from_utf8_lossy(&run.stdout);
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(run.status.success(), "{printed}\n{errors}");

    for line in ["uploaded http", "sent ", "status delivered"] {
        assert!(printed.lines().any(|printed| printed.starts_with(line)), "{line}: {printed}");
    }
    let listed = printed.lines().filter(|line| line.contains("This is what we packed.")).count();
    assert_eq!(listed, 1, "the page has the message once: {printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_for_curl_does_what_it_says() {
    if !has_curl() {
        eprintln!("not run, since there is no curl");
        return;
    }
    let system = start().await;
    let mut example = Command::new("bash");
    example.arg("infra/examples/curl/pingback.sh");
    assert_done(&run(example, &system).await);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_for_rust_does_what_it_says() {
    let system = start().await;
    let example = Command::new(env!("CARGO_BIN_EXE_rust-example"));
    assert_done(&run(example, &system).await);
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_for_rust_that_is_told_events_does_what_it_says() {
    let system = start().await;
    let output = run(Command::new(env!("CARGO_BIN_EXE_rust-webhook-example")), &system).await;
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}\n{errors}");
    let told = printed.lines().filter(|line| line.starts_with("told endpoint.test ")).count();
    assert_eq!(told, 1, "{printed}");
    system.stop().await;
}

/// An example that is told events, as it runs with a secret of the test's.
struct Receiver {
    child: Child,
    url: String,
}

const KEY: [u8; 32] = [7; 32];

impl Receiver {
    fn start(mut example: Command) -> Receiver {
        let secret = format!("whsec_{}", BASE64_STANDARD.encode(KEY));
        example.env("SECRET", secret).env_remove("PORT").current_dir(root());
        let mut child = example.stdout(Stdio::piped()).spawn().expect("it can be run");

        let mut line = String::new();
        let printed = child.stdout.as_mut().expect("it is piped");
        BufReader::new(printed).read_line(&mut line).expect("a line");
        let url = line.strip_prefix("listening ").expect("its address").trim().to_owned();
        Receiver { child, url }
    }

    /// Sends a webhook, changed as the test wants it; returns the answer's status.
    async fn send(&self, id: &str, age: i64, change: impl Fn(&mut String, &mut String)) -> u16 {
        let mut body = json!({ "id": id, "type": "message.sent" }).to_string();
        let timestamp = (Utc::now().timestamp() - age).to_string();
        let mac = Hmac::<Sha256>::new_from_slice(&KEY).expect("a key");
        let mac = mac.chain_update(format!("{id}.{timestamp}.{body}"));
        let mut signature = format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()));
        change(&mut signature, &mut body);

        let request = Client::builder().no_proxy().build().expect("a client").post(&self.url);
        let request = request
            .header("webhook-id", id)
            .header("webhook-timestamp", timestamp)
            .header("webhook-signature", signature.as_bytes());
        request.body(body).send().await.expect("an answer").status().as_u16()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // It runs until it is stopped.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_that_are_told_events_refuse_what_is_forged_or_late() {
    let mut python = Command::new("python3");
    python.arg("infra/examples/python/webhook.py");
    let mut examples = vec![Command::new(env!("CARGO_BIN_EXE_rust-webhook-example"))];
    let has_python = Command::new("python3").arg("--version").output().is_ok();
    examples.extend(has_python.then_some(python));
    // Older versions run no TypeScript; `.ci/run clients` brings one that does.
    let node = Command::new("node").args(["-p", "process.features.typescript"]).output();
    if node.is_ok_and(|run| run.stdout.starts_with(b"strip")) {
        let mut node = Command::new("node");
        node.arg("infra/examples/typescript/webhook.ts");
        examples.push(node);
    }

    for example in examples {
        let program = format!("{:?} {:?}", example.get_program(), example.get_args());
        let receiver = Receiver::start(example);
        let as_it_is = |_: &mut String, _: &mut String| {};
        for age in [0, 290, -290] {
            assert_eq!(receiver.send("good", age, as_it_is).await, 204, "{program}, {age} s old");
        }
        let with_another = |signature: &mut String, _: &mut String| {
            *signature = format!("v1,{} {signature}", BASE64_STANDARD.encode([0; 32]));
        };
        assert_eq!(receiver.send("rotated", 0, with_another).await, 204, "{program}");

        for age in [310, -310, 86_400] {
            assert_eq!(receiver.send("late", age, as_it_is).await, 400, "{program}, {age} s old");
        }
        let other_body = |_: &mut String, body: &mut String| body.push(' ');
        assert_eq!(receiver.send("forged", 0, other_body).await, 400, "{program}");
        for wrong in ["", "v1,", "v1,AAAA", "v1", "é", "v2,AAAA v1a,AAAA"] {
            let forge = |signature: &mut String, _: &mut String| wrong.clone_into(signature);
            assert_eq!(receiver.send("forged", 0, forge).await, 400, "{program}, {wrong:?}");
        }
    }
}

#[test]
fn the_command_line_prints_each_example_as_it_stands() {
    for (words, file) in [
        (&["curl"][..], "curl/pingback.sh"),
        (&["python"], "python/pingback.py"),
        (&["typescript"], "typescript/pingback.ts"),
        (&["rust"], "rust/main.rs"),
        (&["python", "--webhook"], "python/webhook.py"),
        (&["typescript", "--webhook"], "typescript/webhook.ts"),
        (&["rust", "--webhook"], "rust/webhook.rs"),
    ] {
        let printed = Command::new(functions_under_test()).arg("example").args(words).output();
        let file = std::fs::read_to_string(root().join("infra/examples").join(file));
        assert_eq!(
            String::from_utf8_lossy(&printed.expect("it runs").stdout),
            file.expect("the example"),
        );
    }
}

/// Makes the requests of the contract that need nothing made before, in its own words: its server,
/// the key that it says is the demo's, the examples of its parameters and bodies.
#[tokio::test(flavor = "multi_thread")]
async fn the_contracts_own_examples_work_as_they_stand() {
    let text = std::fs::read_to_string(root().join("infra/openapi.yaml")).expect("the contract");
    let document: Value = yaml_serde::from_str(&text).expect("YAML");
    let server = &document["servers"][0];
    assert_eq!(server["url"], "http://127.0.0.1:3000");
    let mut words = server["description"].as_str().unwrap_or_default().split('`');
    let key = words.find(|word| word.starts_with("pbk_")).expect("a key");

    let contract = Contract::get();
    let system = start().await;
    let mut made = Vec::new();
    for operation in contract.operations() {
        let mut path = Some(operation.path.to_owned());
        let mut headers = Vec::new();
        let mut query = Vec::new();
        for parameter in contract.parameters(&operation) {
            let name = parameter["name"].as_str().unwrap_or_default();
            let example = parameter["example"].as_str().or(parameter["schema"]["example"].as_str());
            match (parameter["in"].as_str(), example) {
                (Some("path"), Some(example)) => {
                    path = path.map(|path| path.replace(&format!("{{{name}}}"), example));
                }
                (Some("path"), None) => path = None,
                (Some("header"), Some(example)) => headers.push((name, example)),
                (Some("query"), Some(example)) => query.push((name, example)),
                _ => {}
            }
        }

        let content = &operation.own["requestBody"]["content"];
        let examples = content["application/json"]["examples"].as_object();
        let bodies: Vec<&Value> =
            examples.into_iter().flatten().map(|(_, it)| &it["value"]).collect();
        let Some(path) =
            path.filter(|_| !operation.is_open() && content["multipart/form-data"].is_null())
        else {
            continue; // It needs what another one made, a file or a provider's signature.
        };

        let method: Method = operation.method.to_uppercase().parse().expect("a method");
        let mut url = Url::parse(&format!("{}{path}", system.ready().api)).expect("an address");
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(&query);
        }
        let request = || {
            let request = Client::new().request(method.clone(), url.clone()).bearer_auth(key);
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
        };
        let requests = match bodies.is_empty() {
            true => vec![request()],
            false => bodies.iter().map(|body| request().json(body)).collect(),
        };
        for request in requests {
            let answer = request.send().await.expect("an answer");
            let status = answer.status();
            assert!(status.is_success(), "{}: {status} {:?}", operation.id(), answer.text().await);
        }
        made.push(operation.id().to_owned());
    }

    for id in ["sendMessage", "listMessages", "announceFile", "readUsage"] {
        assert!(made.iter().any(|it| it == id), "{id} has no example that works: {made:?}");
    }
    system.stop().await;
}

/// True if there is a curl; in CI it may not be missing.
fn has_curl() -> bool {
    let found =
        Command::new("curl").arg("--version").output().is_ok_and(|run| run.status.success());
    let is_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(found || !is_ci, "the example needs curl, which is not on the PATH");
    found
}
