use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Mutex, MutexGuard};
use std::thread;

use aws_sdk_secretsmanager::Client as SecretsManager;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Config, Credentials, Region};
use serde_json::json;

use super::*;

/// Secrets Manager, which holds one token, and WhatsApp, which accepts one.
#[derive(Debug, Default)]
struct Servers {
    /// The token in the secret; `None` while Secrets Manager refuses to show it.
    stored: Option<&'static str>,
    /// The token that WhatsApp accepts.
    accepted: &'static str,
    /// How often the secret was read.
    reads: u32,
    /// The token of each call to WhatsApp.
    calls: Vec<String>,
    /// The path of each call to WhatsApp.
    paths: Vec<String>,
    /// The status of a redirect, with which WhatsApp answers every call.
    redirect: Option<u16>,
}

impl Servers {
    /// Answers one request, by its head in small letters.
    fn answer(&mut self, head: &str) -> (u16, String) {
        if head.contains("x-amz-target: secretsmanager.getsecretvalue") {
            self.reads += 1;
            return match self.stored {
                Some(token) => (200, json!({ "Name": "token", "SecretString": token }).to_string()),
                None => (400, json!({ "__type": "DecryptionFailure" }).to_string()),
            };
        }

        let token = head.lines().find_map(|line| line.strip_prefix("authorization: bearer "));
        let token = token.expect("a call to WhatsApp has a token").to_owned();
        let is_accepted = token == self.accepted;
        self.calls.push(token);
        self.paths.extend(head.split(' ').nth(1).map(str::to_owned));
        if let Some(status) = self.redirect {
            return (status, String::new());
        }

        match is_accepted {
            true => (200, json!({ "messages": [{ "id": "wamid.1" }] }).to_string()),
            false => (401, json!({ "error": { "code": 190 } }).to_string()),
        }
    }
}

/// Both servers, on one port, and a client of them.
struct Scene {
    servers: Arc<Mutex<Servers>>,
    url: String,
    client: AuthorizedClient,
}

impl Scene {
    fn new(token: &'static str) -> Scene {
        let servers = Servers { stored: Some(token), accepted: token, ..Servers::default() };
        let servers = Arc::new(Mutex::new(servers));
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Arc::clone(&servers);
        thread::spawn(move || serve(&listener, &shared));

        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("eu-central-1"))
            .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
            .endpoint_url(&url);
        let secrets = Secrets::of(SecretsManager::from_conf(config.build()));
        Scene { servers, url, client: AuthorizedClient::new(secrets).expect("a client") }
    }

    fn servers(&self) -> MutexGuard<'_, Servers> {
        self.servers.lock().expect("no test panics in here")
    }

    async fn call(&self) -> Result<Answer, Failure> {
        let url = format!("{}/v26.0/1/messages", self.url);
        self.client.call("token", |client| Ok(client.post(&url).body("{}"))).await
    }

    /// Returns the tokens that WhatsApp was called with since the last time.
    fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.servers().calls)
    }
}

/// Answers one request after the other, each on a connection of its own.
fn serve(listener: &TcpListener, servers: &Mutex<Servers>) {
    for stream in listener.incoming() {
        let mut stream = BufReader::new(stream.expect("a call"));
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let length = stream.read_line(&mut head).expect("a request");
            assert!(length > 0, "the caller ends its request");
        }

        let head = head.to_ascii_lowercase().replace("\r\n", "\n");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.parse().expect("a number"));
        stream.read_exact(&mut vec![0; length]).expect("the whole body");

        let (status, body) = servers.lock().expect("no test panics in here").answer(&head);
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status} X\r\nLocation: /elsewhere\r\nContent-Length: {length}\r\n\
             Connection: close\r\n\r\n{body}"
        );
        stream.get_mut().write_all(answer.as_bytes()).expect("the caller reads");
    }
}

/// Moves the clock on that the secrets are kept by.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

#[tokio::test]
async fn a_token_that_was_replaced_is_read_again_and_the_call_repeated_with_it() {
    let scene = Scene::new("old");
    scene.call().await.expect("it is accepted");
    assert_eq!(scene.take_calls(), ["old"]);

    scene.servers().stored = Some("new");
    pass(Duration::from_secs(10)).await;
    scene.call().await.expect("WhatsApp accepts the old one for now");
    assert_eq!((scene.take_calls(), scene.servers().reads), (vec!["old".to_owned()], 1));

    scene.servers().accepted = "new";
    scene.call().await.expect("the new one is read and accepted");
    assert_eq!(scene.take_calls(), ["old", "new"]);
    scene.call().await.expect("the new one is known");
    assert_eq!((scene.take_calls(), scene.servers().reads), (vec!["new".to_owned()], 2));

    // A worker that never met a refusal uses the next one after five minutes.
    scene.servers().stored = Some(" next\n"); // as editors save it
    scene.servers().accepted = "next";
    pass(Duration::from_secs(5 * 60)).await;
    scene.call().await.expect("it is accepted");
    assert_eq!(scene.take_calls(), ["next"]);
}

#[tokio::test]
async fn a_token_that_nothing_replaces_pauses_the_channel() {
    let scene = Scene::new("old");
    scene.call().await.expect("it is accepted");
    scene.take_calls();
    scene.servers().accepted = "another";
    for _ in 0..2 {
        pass(Duration::from_secs(10)).await;
        let failure = scene.call().await.expect_err("WhatsApp refuses it");
        assert!(matches!(failure, Failure::ChannelDown { .. }), "{failure:?}");
        assert_eq!(scene.take_calls(), ["old"], "the same token is not tried twice");
    }
}

#[tokio::test]
async fn a_known_token_goes_on_while_secrets_manager_is_down_and_without_one_the_message_waits() {
    let scene = Scene::new("old");
    scene.servers().stored = None;
    let failure = scene.call().await.expect_err("there is no token");
    let Failure::Transient { reason, .. } = failure else { panic!("{failure:?}") };
    assert_eq!((reason.code.as_str(), scene.take_calls()), ("token_unavailable", Vec::new()));

    scene.servers().stored = Some("old");
    scene.call().await.expect("it is accepted");
    scene.servers().stored = None;
    pass(Duration::from_secs(5 * 60)).await;
    scene.call().await.expect("it is known");
    assert_eq!(scene.take_calls(), ["old", "old"]);
}

#[tokio::test]
async fn no_redirect_is_followed_and_each_pauses_the_channel() {
    let scene = Scene::new("token");
    for status in [301, 302, 307, 308] {
        scene.servers().redirect = Some(status);
        let failure = scene.call().await.expect_err("it is no answer");
        let Failure::ChannelDown { reason, .. } = failure else { panic!("{failure:?}") };
        assert_eq!(reason.code, "channel_misconfigured");
    }
    assert_eq!(scene.servers().paths, ["/v26.0/1/messages"; 4]);
}
