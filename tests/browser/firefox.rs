//! Firefox without a screen, told what to do over WebDriver BiDi
//! (<https://w3c.github.io/webdriver-bidi/>), which it speaks by itself.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::SemaphorePermit;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use uuid::Uuid;

use crate::checks;
use crate::chromium::{LONGEST_CALL, PATIENCE, find, take_place};
use tests::World;

const NAMES: [&str; 2] = ["firefox-esr", "firefox"];

/// A page of a file may load the modules beside it, and nothing calls home.
const PREFERENCES: &str = "\
    user_pref(\"security.fileuri.strict_origin_policy\", false);
    user_pref(\"datareporting.policy.dataSubmissionEnabled\", false);
    user_pref(\"network.captive-portal-service.enabled\", false);
    user_pref(\"network.connectivity-service.enabled\", false);
";

#[tokio::test]
async fn the_widget_keeps_its_side_of_the_protocol_in_firefox() {
    let Some(mut firefox) = Firefox::start().await else { return };
    firefox.open(&checks::address()).await;
    let expression = format!("({}) && runChecks().then(JSON.stringify)", checks::LOADED);
    let outcome = firefox.ask(&expression).await;
    let outcome = outcome.as_str().unwrap_or_else(|| panic!("{outcome}"));
    checks::judge(&serde_json::from_str(outcome).expect("JSON"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_seen_to_travel_on_every_channel_in_firefox() {
    let Some(mut firefox) = Firefox::start().await else { return };
    let world = World::start().await;
    world.allow(|allowed| allowed.unheard = true);
    for provider in ["whatsapp", "email"] {
        world.report(provider, json!({})).await;
    }

    let business = world.business(1_000, 1).await;
    for channel in ["chat", "whatsapp", "email"] {
        let url = format!("{}#{}", world.ready.console, business.conversation_id(channel));
        firefox.open("about:blank").await;
        firefox.open(&url).await;
        firefox.until("document.documentElement.dataset.ready === 'true'").await;
        firefox
            .ask("(text.value = 'Hi Anna', document.querySelector('#composer').requestSubmit())")
            .await;
        let is_there =
            "/^(delivered|read)$/.test(document.querySelector('.message .state')?.textContent)";
        firefox.until(is_there).await;
        let place = match channel {
            "whatsapp" => {
                "document.querySelector('.bubbles .theirs')?.textContent.includes('Hi Anna')"
            }
            "email" => "document.querySelector('.mails .teaser')?.textContent.includes('Hi Anna')",
            _ => "document.querySelector('.address').textContent.includes('2 tabs connected')",
        };
        firefox.until(place).await;
    }
    assert_eq!(firefox.complaints, [""; 0]);
}

/// A running Firefox. It ends with this.
struct Firefox {
    socket: WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>,
    calls: u64,
    /// The one tab.
    tab: Value,
    /// The errors and warnings of its pages.
    complaints: Vec<String>,
    profile: PathBuf,
    _process: Child,
    _place: SemaphorePermit<'static>,
}

impl Firefox {
    /// Starts one; `None` if there is none on this machine.
    async fn start() -> Option<Firefox> {
        let Some(program) = find("FIREFOX", &NAMES) else {
            assert!(
                std::env::var_os("CI").is_none(),
                "no Firefox: install it, or name it in FIREFOX"
            );
            eprintln!("skipped, there is no Firefox: install it, or name it in FIREFOX");
            return None;
        };
        let place = take_place().await;
        let profile = std::env::temp_dir().join(format!("firefox-{}", Uuid::new_v4()));
        std::fs::create_dir(&profile).expect("a directory");
        std::fs::write(profile.join("user.js"), PREFERENCES).expect("the profile is ours");

        let mut command = Command::new(&program);
        command.args(["--headless", "--no-remote", "--remote-debugging-port", "0"]);
        command.arg("--profile").arg(&profile).arg("about:blank");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut process = command.kill_on_drop(true).spawn().expect("Firefox starts");

        let mut lines = BufReader::new(process.stderr.take().expect("it is piped")).lines();
        let address = async {
            loop {
                let line = lines.next_line().await.expect("a line").expect("it says where");
                if let Some((_, address)) = line.split_once("WebDriver BiDi listening on ") {
                    return format!("{address}/session");
                }
            }
        };
        let address = tokio::time::timeout(LONGEST_CALL, address).await.expect("it says where");
        // It goes on writing, and nothing must stop it.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let (socket, _) = tokio_tungstenite::connect_async(address).await.expect("Firefox listens");
        let complaints = Vec::new();
        let mut firefox = Firefox {
            socket,
            calls: 0,
            tab: Value::Null,
            complaints,
            profile,
            _process: process,
            _place: place,
        };

        firefox.call("session.new", json!({"capabilities": {}})).await;
        firefox.call("session.subscribe", json!({"events": ["log.entryAdded"]})).await;
        let mut tree = firefox.call("browsingContext.getTree", json!({})).await;
        firefox.tab = tree["contexts"][0]["context"].take();
        Some(firefox)
    }

    async fn open(&mut self, url: &str) {
        let page = json!({"context": self.tab, "url": url, "wait": "complete"});
        self.call("browsingContext.navigate", page).await;
    }

    /// Evaluates an expression on the page.
    async fn ask(&mut self, expression: &str) -> Value {
        let target = json!({"context": self.tab});
        let question = json!({"expression": expression, "target": target, "awaitPromise": true});
        self.call("script.evaluate", question).await["result"]["value"].take()
    }

    /// Waits until an expression is true on the page.
    async fn until(&mut self, expression: &str) {
        let begun = Instant::now();
        while self.ask(expression).await != true {
            assert!(begun.elapsed() < PATIENCE, "waited in vain until {expression}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Makes a call and waits for its answer.
    async fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let call = json!({"id": self.calls, "method": method, "params": parameters});
        self.socket.send(Message::text(call.to_string())).await.expect("Firefox listens");
        let answer = async {
            loop {
                let frame = self.socket.next().await.expect("it runs").expect("the line holds");
                let Message::Text(text) = frame else { continue };
                let mut answer: Value = serde_json::from_str(&text).expect("JSON");
                let entry = &answer["params"];
                if answer["method"] == "log.entryAdded" && entry["level"] != "info" {
                    self.complaints.push(entry["text"].to_string());
                }
                if answer["id"] == self.calls {
                    assert_eq!(answer["type"], "success", "{method}: {answer}");
                    return answer["result"].take();
                }
            }
        };
        let answer = tokio::time::timeout(LONGEST_CALL, answer).await;
        answer.unwrap_or_else(|_| panic!("{method} is not answered"))
    }
}

impl Drop for Firefox {
    fn drop(&mut self) {
        // What it still holds open goes with it.
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}
