//! The control API over HTTP, around a system without resources.

use reqwest::{Client, Method};
use tokio::net::TcpListener;

use super::*;
use crate::providers::Providers;
use crate::receivers::Receivers;
use crate::seed::{Keys, Seeder};
use crate::widget::{WidgetEndpoint, Widgets};
use crate::{clock, server};
use emulator::{Engine, EngineOptions};
use platform::table::Table;

/// A sandbox, as far as the control API goes.
struct Sandbox {
    url: String,
    token: String,
    _server: emulator::listen::Server,
}

impl Sandbox {
    fn url(&self) -> &str {
        &self.url
    }
}

async fn sandbox() -> Sandbox {
    let template = std::env::temp_dir().join(format!("{}.yaml", Uuid::new_v4()));
    std::fs::write(&template, "Resources: {}").unwrap();
    let options = EngineOptions { template: template.clone(), ..EngineOptions::default() };
    let engine = Arc::new(Engine::start(options).await.unwrap());
    std::fs::remove_file(template).unwrap();

    let clock = Arc::new(clock::Clock::default());
    let keys = Keys::load(None, false).unwrap();
    let rule = ReceiptRule::default();
    let providers = Arc::new(Providers::open(None, &engine, &keys, rule, &clock).unwrap());
    let pairs = providers.whatsapp.pairs.clone();
    pairs.open_window("106540352242922", "+31612345678", DateTime::<Utc>::MAX_UTC).await.unwrap();
    let table = Table::new(engine.dynamodb(), String::new());
    let seeder = Seeder::new(table, clock.clone(), pairs, keys.clone(), None).unwrap();
    let endpoint = WidgetEndpoint::new(&engine, keys.clone(), clock.clone());
    let widgets = Arc::new(Widgets::new(endpoint, providers.chat.channel.clone()));

    let receivers = Arc::new(Receivers::new(engine.clone()));
    let system = Arc::new(System { engine, providers, receivers, seeder, widgets, clock });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = system.providers.routes().merge(routes(system.clone()));
    let server = server::serve(listener, router);

    Sandbox { url, token: keys.whatsapp_token, _server: server }
}

async fn call(sandbox: &Sandbox, method: Method, path: &str, body: Option<Value>) -> (u16, Value) {
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let answer = Client::new()
        .request(method, format!("{}{path}", sandbox.url()))
        .body(body)
        .send()
        .await
        .unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default())
}

async fn send(sandbox: &Sandbox, text: &str) -> Result<(u16, Value), reqwest::Error> {
    let answer = Client::new()
        .post(format!("{}/providers/whatsapp/v26.0/106540352242922/messages", sandbox.url()))
        .bearer_auth(&sandbox.token)
        .json(&json!({ "messaging_product": "whatsapp", "to": "+31612345678", "text": { "body": text } }))
        .send()
        .await?;
    Ok((answer.status().as_u16(), answer.json().await?))
}

#[tokio::test]
async fn faults_come_and_go_and_what_was_accepted_is_listed_in_order() {
    let sandbox = sandbox().await;
    let (status, answer) = send(&sandbox, "one").await.unwrap();
    assert_eq!(status, 200);
    assert_eq!(answer["contacts"], json!([{ "input": "+31612345678", "wa_id": "31612345678" }]));
    assert!(answer["messages"][0]["id"].as_str().unwrap().starts_with("wamid."));

    let rule = json!({ "status": 429, "retry_after": 2, "times": 1 });
    let (status, set) = call(&sandbox, Method::PUT, "/sandbox/whatsapp/faults", Some(rule)).await;
    let in_force = json!({ "status": 429, "retry_after": 2, "times": 1, "probability": 1.0, "after_effect": false,
        "kill": false, "garbage": false });

    assert_eq!((status, &set), (200, &in_force));
    assert_eq!(call(&sandbox, Method::GET, "/sandbox/whatsapp/faults", None).await.1, in_force);
    let (status, answer) = send(&sandbox, "refused").await.unwrap();
    assert_eq!((status, &answer["error"]["code"]), (429, &json!(130429)));

    let lose = json!({ "after_effect": true });
    call(&sandbox, Method::PUT, "/sandbox/whatsapp/faults", Some(lose)).await;
    assert!(send(&sandbox, "two").await.is_err(), "the answer was to be lost");
    assert_eq!(call(&sandbox, Method::DELETE, "/sandbox/whatsapp/faults", None).await.0, 204);
    assert_eq!(send(&sandbox, "three").await.unwrap().0, 200);

    let (status, messages) = call(&sandbox, Method::GET, "/sandbox/whatsapp/messages", None).await;
    assert_eq!(status, 200);
    let contents: Vec<_> =
        messages.as_array().unwrap().iter().map(|message| &message["content"]).collect();

    assert_eq!(contents, ["one", "two", "three"]);
    assert_eq!(call(&sandbox, Method::GET, "/sandbox/email/messages", None).await.1, json!([]));
    assert_eq!(call(&sandbox, Method::GET, "/sandbox/chat/messages", None).await.1, json!([]));
}

#[tokio::test]
async fn receipts_are_set_asked_for_and_released() {
    let sandbox = sandbox().await;
    let rule = json!({ "statuses": ["read", "sent"], "held": true, "copies": 3 });
    let (status, set) = call(&sandbox, Method::PUT, "/sandbox/whatsapp/receipts", Some(rule)).await;

    assert_eq!(
        (status, &set["statuses"], &set["delay_ms"]),
        (200, &json!(["read", "sent"]), &json!(50))
    );

    assert_eq!(call(&sandbox, Method::GET, "/sandbox/whatsapp/receipts", None).await.1, set);
    send(&sandbox, "one").await.unwrap();

    for released in [6, 0] {
        let (status, answer) =
            call(&sandbox, Method::POST, "/sandbox/whatsapp/receipts", None).await;
        assert_eq!((status, answer), (200, json!({ "released": released })));
    }

    let (_, email) = call(&sandbox, Method::GET, "/sandbox/email/receipts", None).await;
    assert_eq!(email["statuses"], json!(["sent", "delivered"]));
}

#[tokio::test]
async fn a_wrong_token_is_told_so() {
    let sandbox = sandbox().await;
    for token in ["", "another"] {
        let url = format!("{}/providers/whatsapp/v26.0/1/messages", sandbox.url());
        let answer =
            Client::new().post(url).bearer_auth(token).json(&json!({})).send().await.unwrap();
        assert_eq!(answer.status(), 401);
        assert_eq!(answer.json::<Value>().await.unwrap()["error"]["code"], 190);
    }
}

#[tokio::test]
async fn what_it_does_not_know_is_refused_in_a_sentence_that_names_it() {
    let sandbox = sandbox().await;
    for (method, path, body, named) in [
        (Method::PUT, "/sandbox/email/faults", json!({ "sttaus": 500 }), "unknown field `sttaus`"),
        (Method::PUT, "/sandbox/email/faults", json!({ "status": "500" }), "u16"),
        (Method::PUT, "/sandbox/email/faults", json!({ "code": 131056 }), "`code`"),
        (Method::PUT, "/sandbox/chat/faults", json!({}), "`after_effect`"),
        (Method::PUT, "/sandbox/email/receipts", json!({ "statuses": ["read"] }), "`read`"),
        (Method::PUT, "/sandbox/whatsapp/receipts", json!({ "copy": 2 }), "unknown field `copy`"),
        (
            Method::PUT,
            "/sandbox/aws/faults",
            json!({ "operatoin": "PutItem" }),
            "unknown field `operatoin`",
        ),
        (Method::PUT, "/sandbox/queues/mischief", json!({ "copy": 2 }), "unknown field `copy`"),
        (Method::PUT, "/sandbox/queues/held", json!({}), "missing field `held`"),
        (
            Method::POST,
            "/sandbox/clock",
            json!({ "to": "2026-03-01T00:00:00Z" }),
            "unknown field `to`",
        ),
        (Method::POST, "/sandbox/clock", json!({}), "missing field `now`"),
        (Method::POST, "/sandbox/businesses", json!({ "limits": 3 }), "unknown field `limits`"),
        (
            Method::POST,
            "/sandbox/conversations",
            json!({ "chanel": "sms" }),
            "unknown field `chanel`",
        ),
    ] {
        let (status, answer) = call(&sandbox, method, path, Some(body)).await;
        assert_eq!(status, 422, "{path}: {answer}");
        assert!(answer["detail"].as_str().unwrap().contains(named), "{path}: {answer}");
    }

    assert_eq!(call(&sandbox, Method::GET, "/sandbox/sms/messages", None).await.0, 404);
    assert_eq!(call(&sandbox, Method::GET, "/sandbox/nothing", None).await.0, 404);
    assert_eq!(call(&sandbox, Method::PUT, "/sandbox/chat/receipts", None).await.0, 404);

    assert_eq!(call(&sandbox, Method::POST, "/sandbox/sms/receipts", None).await.0, 404);
}

#[tokio::test]
async fn it_lists_its_routes() {
    let sandbox = sandbox().await;
    for path in ["/", "/sandbox", "/sandbox/"] {
        assert_eq!(
            call(&sandbox, Method::GET, path, None).await.1["routes"].as_array().unwrap().len(),
            ROUTES.len()
        );
    }
    let sweep = call(&sandbox, Method::POST, "/sandbox/sweep", None).await;
    assert_eq!(sweep.0, 502, "there is no sweeper here");
}
