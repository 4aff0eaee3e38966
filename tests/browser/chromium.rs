//! A browser without a screen, told what to do over the DevTools protocol
//! (<https://chromedevtools.github.io/devtools-protocol/>). A dozen commands are all that is needed
//! here; a library for it would bring the hundreds of others.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, Semaphore, SemaphorePermit};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use uuid::Uuid;

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// The longest wait for anything on a page.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);
/// The longest wait for an answer of a browser: the checks of the widget are one.
pub(crate) const LONGEST_CALL: Duration = Duration::from_secs(120);

/// Permits to run a browser. Each has a dozen processes, and with more of them than this two cores
/// spend their time on switching.
static PLACES: Semaphore = Semaphore::const_new(3);

/// Collects what goes wrong on a page, from its first moment.
const LISTEN: &str = "window.complaints = []; \
    const complain = (words) => complaints.push(String(words)); \
    for (const kind of ['error', 'warn']) console[kind] = (...words) => complain(words.join(' ')); \
    addEventListener('error', ({message, target}) => complain(message ?? target?.src), true); \
    addEventListener('unhandledrejection', ({reason}) => complain(reason)); \
    addEventListener('securitypolicyviolation', \
        (event) => complain(`${event.violatedDirective} ${event.blockedURI}`));";

/// A running browser. It ends with this.
pub(crate) struct Browser {
    wire: Arc<Mutex<Wire>>,
    profile: PathBuf,
    _process: Child,
    _place: SemaphorePermit<'static>,
}

struct Wire {
    socket: WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>,
    calls: u64,
}

/// A tab, in a window of its own.
pub(crate) struct Page {
    wire: Arc<Mutex<Wire>>,
    session: String,
}

impl Browser {
    /// Starts one; `None` if there is none on this machine.
    pub(crate) async fn start() -> Option<Browser> {
        let Some(program) = find("BROWSER", &NAMES) else {
            assert!(
                std::env::var_os("CI").is_none(),
                "no browser: install Chromium, or name one in BROWSER"
            );
            eprintln!("skipped, there is no browser: install Chromium, or name one in BROWSER");
            return None;
        };
        let place = take_place().await;
        let profile = std::env::temp_dir().join(format!("browser-{}", Uuid::new_v4()));

        std::fs::create_dir(&profile).expect("a directory");
        let mut command = Command::new(&program);
        // It only ever sees pages of this test; its own sandbox cannot be had as root, nor in many
        // containers.
        command.args([
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            // The page of the checks loads the widget's modules.
            "--allow-file-access-from-files",
        ]);
        command.args([
            "--no-first-run",
            "--disable-background-networking",
            "--remote-debugging-port=0",
        ]);
        command.arg(format!("--user-data-dir={}", profile.display())).arg("about:blank");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);

        let process =
            command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let socket = tokio_tungstenite::connect_async(address(&profile).await)
            .await
            .expect("the browser listens")
            .0;
        let wire = Arc::new(Mutex::new(Wire { socket, calls: 0 }));

        Some(Browser { wire, profile, _process: process, _place: place })
    }

    /// Opens a page in a window of its own, which is in front as far as the page can tell.
    pub(crate) async fn open(&self, url: &str) -> Page {
        let mut wire = self.wire.lock().await;
        let window =
            json!({"url": "about:blank", "newWindow": true, "width": 1_000, "height": 1_000});
        let target = wire.call(None, "Target.createTarget", window).await;
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = wire.call(None, "Target.attachToTarget", attach).await["sessionId"].take();
        let session = session.as_str().expect("a session").to_owned();

        drop(wire);
        let page = Page { wire: Arc::clone(&self.wire), session };
        page.call("Page.enable", json!({})).await;
        page.call("Emulation.setFocusEmulationEnabled", json!({"enabled": true})).await;
        page.call("Page.addScriptToEvaluateOnNewDocument", json!({"source": LISTEN})).await;
        page.call("Page.navigate", json!({"url": url})).await;
        page
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // What it still holds open goes with it.
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

impl Page {
    /// Evaluates an expression on the page; null while there is no page to ask.
    pub(crate) async fn ask(&self, expression: &str) -> Value {
        let question =
            json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        self.call("Runtime.evaluate", question).await["result"]["value"].take()
    }

    /// Returns the errors of the page.
    pub(crate) async fn complaints(&self) -> Value {
        self.ask("window.complaints").await
    }

    /// Emulates a scheme of colours, `light` or `dark`, and a window of that size.
    pub(crate) async fn emulate(&self, scheme: &str, (width, height): (u32, u32), is_phone: bool) {
        let scheme = json!([
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": "reduce"},
        ]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": scheme })).await;
        let window =
            json!({"width": width, "height": height, "deviceScaleFactor": 2, "mobile": is_phone});
        self.call("Emulation.setDeviceMetricsOverride", window).await;
    }

    /// Returns a picture of the page, or of a part of it, as PNG.
    pub(crate) async fn picture(&self, clip: Option<Value>) -> Vec<u8> {
        let mut picture = json!({"format": "png"});
        if let Some(clip) = clip {
            picture["clip"] = clip;
        }
        let shot = self.call("Page.captureScreenshot", picture).await;
        BASE64_STANDARD.decode(shot["data"].as_str().expect("a picture")).expect("it is base64")
    }

    /// Presses a key; `text` is what it writes.
    pub(crate) async fn press(&self, key: &str, code: u32, text: Option<&str>) {
        // What is written comes last: Chromium drops it while a key is down that it may use itself.
        let kinds = ["rawKeyDown", "keyUp", "char"];
        for kind in kinds.into_iter().filter(|kind| *kind != "char" || text.is_some()) {
            let mut event =
                json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code});
            if kind == "char" {
                event["text"] = json!(text);
                event["unmodifiedText"] = json!(text);
            }
            self.call("Input.dispatchKeyEvent", event).await;
        }
    }

    /// Loads it again; when this returns, the old page is gone.
    pub(crate) async fn reload(&self) {
        self.ask("window.old = true").await;
        self.call("Page.reload", json!({})).await;
        let begun = Instant::now();
        while self.ask("window.old === undefined").await != true {
            assert!(begun.elapsed() < PATIENCE, "the page is not loaded again");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn call(&self, method: &str, parameters: Value) -> Value {
        self.wire.lock().await.call(Some(&self.session), method, parameters).await
    }
}

impl Wire {
    /// Makes a call and waits for its answer; whatever else is told meanwhile is not listened to.
    async fn call(&mut self, session: Option<&str>, method: &str, parameters: Value) -> Value {
        self.calls += 1;
        let mut call = json!({"id": self.calls, "method": method, "params": parameters});
        if let Some(session) = session {
            call["sessionId"] = json!(session);
        }

        self.socket.send(Message::text(call.to_string())).await.expect("the browser listens");
        let answer = async {
            loop {
                let Message::Text(text) =
                    self.socket.next().await.expect("the browser runs").expect("the line holds")
                else {
                    continue;
                };
                let mut answer: Value = serde_json::from_str(&text).expect("JSON");
                if answer["id"] == self.calls {
                    return answer["result"].take();
                }
            }
        };

        tokio::time::timeout(LONGEST_CALL, answer)
            .await
            .unwrap_or_else(|_| panic!("{method} is not answered"))
    }
}

/// Waits until a browser may run.
pub(crate) async fn take_place() -> SemaphorePermit<'static> {
    PLACES.acquire().await.expect("it is never closed")
}

/// Returns the browser that a variable names, or one of these names in the path.
pub(crate) fn find(variable: &str, names: &[&str]) -> Option<PathBuf> {
    if let Some(named) = std::env::var_os(variable).filter(|named| !named.is_empty()) {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let all = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    all.into_iter().find(|program| program.is_file())
}

/// Where the browser listens, as it writes into its profile.
async fn address(profile: &std::path::Path) -> String {
    let begun = Instant::now();
    loop {
        let port_file =
            std::fs::read_to_string(profile.join("DevToolsActivePort")).unwrap_or_default();
        if let Some((port, path)) = port_file.trim().split_once('\n') {
            return format!("ws://127.0.0.1:{port}{path}");
        }
        assert!(begun.elapsed() < PATIENCE, "the browser does not say where it listens");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
