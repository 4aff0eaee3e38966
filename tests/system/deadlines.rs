//! Every operation of the contract while AWS is silent or has lost what it is asked for: the caller
//! gets our own problem document before Lambda's time-out.
//!
//! The document itself shows that it was in time: when a function's `Timeout` is over, Lambda ends
//! it and API Gateway answers with a body of its own.

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

use super::attachments::{announce, store};
use super::receipts::meta::{Meta, Sent, notification};
use tests::contract::Contract;
use tests::{Answer, Business, PNG, World};

/// AWS calls of one operation, in their order. One call is given up after six seconds, a secret
/// after two, and all of a call's attempts but the last take five; so `first` and `then` together
/// take longer than a function has, unless `first` reads a secret.
struct Calls {
    operation: &'static str,
    /// The first call. Without a `then` it is never answered, else its third attempt is.
    first: &'static str,
    /// The next call, which is never answered.
    then: Option<&'static str>,
}

const CALLS: [Calls; 21] = [
    Calls { operation: "sendMessage", first: "BatchGetItem", then: Some("GetItem") },
    Calls { operation: "listMessages", first: "BatchGetItem", then: Some("Query") },
    Calls { operation: "listExceptions", first: "BatchGetItem", then: Some("Query") },
    Calls { operation: "listEvents", first: "BatchGetItem", then: Some("Query") },
    Calls {
        operation: "createWebhookEndpoint",
        first: "BatchGetItem",
        then: Some("TransactWriteItems"),
    },
    Calls { operation: "listWebhookEndpoints", first: "BatchGetItem", then: Some("Query") },
    Calls { operation: "readWebhookEndpoint", first: "BatchGetItem", then: Some("GetItem") },
    Calls { operation: "changeWebhookEndpoint", first: "BatchGetItem", then: Some("GetItem") },
    Calls { operation: "deleteWebhookEndpoint", first: "BatchGetItem", then: Some("GetItem") },
    Calls { operation: "rotateWebhookSecret", first: "BatchGetItem", then: Some("GetItem") },
    Calls { operation: "testWebhookEndpoint", first: "BatchGetItem", then: Some("GetItem") },
    Calls { operation: "listWebhookDeliveries", first: "BatchGetItem", then: Some("GetItem") },
    Calls { operation: "redeliverEvents", first: "BatchGetItem", then: Some("GetItem") },
    Calls { operation: "readMessage", first: "BatchGetItem", then: Some("GetItem") },
    Calls { operation: "uploadFile", first: "BatchGetItem", then: Some("PutItem") },
    Calls { operation: "announceFile", first: "BatchGetItem", then: Some("PutItem") },
    Calls { operation: "readFile", first: "GetItem", then: None },
    Calls { operation: "readChatMessage", first: "GetSecretValue", then: Some("GetItem") },
    Calls { operation: "readUsage", first: "BatchGetItem", then: None },
    Calls { operation: "verifyWhatsappWebhook", first: "GetSecretValue", then: None },
    Calls { operation: "receiveWhatsappWebhook", first: "GetSecretValue", then: None },
];

/// The operations on one endpoint: their methods, and the ends of their paths.
const ENDPOINT_CALLS: [(&str, Method, &str); 7] = [
    ("readWebhookEndpoint", Method::GET, ""),
    ("changeWebhookEndpoint", Method::PATCH, ""),
    ("deleteWebhookEndpoint", Method::DELETE, ""),
    ("rotateWebhookSecret", Method::POST, "/rotate-secret"),
    ("testWebhookEndpoint", Method::POST, "/test"),
    ("listWebhookDeliveries", Method::GET, "/deliveries"),
    ("redeliverEvents", Method::POST, "/redeliver"),
];

/// An operation of `infra/openapi.yaml`.
struct Operation {
    id: String,
    /// The folder of the function behind it.
    function: String,
}

/// Reads all operations of the contract.
fn operations() -> Vec<Operation> {
    let operations = Contract::get().operations();
    // An answer to HEAD has no body that could tell whose it is, and the script's needs no call.
    operations
        .filter(|operation| operation.method != "head" && operation.id() != "readChatScript")
        .map(|operation| Operation {
            id: operation.id().to_owned(),
            function: operation.own["x-function"].as_str().expect("its function").to_owned(),
        })
        .collect()
}

/// A valid request for one operation, with a business of its own: a fault that is about the
/// business hits no other operation.
struct Client<'a> {
    world: &'a World,
    meta: &'a Meta<'a>,
    operation: Operation,
    business: Business,
    /// A message in the chat.
    message_id: Uuid,
    /// A file's path.
    file: String,
    visitor_token: String,
    /// An endpoint's id.
    endpoint: String,
}

impl<'a> Client<'a> {
    async fn new(world: &'a World, meta: &'a Meta<'a>, operation: Operation) -> Client<'a> {
        let business = world.business(10, 1).await;
        let conversation_id = business.conversation_id("chat");

        let message_id =
            world.send(&business.api_key, conversation_id, "in the chat").go().await.id();
        world.until_status(&business.api_key, conversation_id, message_id, "delivered").await;

        let stored = store(world, &business.api_key, conversation_id, "a.png", "image/png", PNG)
            .await
            .json();
        let url = stored["url"].as_str().expect("a file's URL");
        let file = url[url.find("/api/").expect("it is of the API")..].to_owned();
        let visitor_token = world.visitor_token(conversation_id).await;

        let made = world
            .http()
            .post(format!("{}/api/v1/webhook_endpoints", world.ready.api))
            .bearer_auth(&business.api_key)
            .json(&json!({ "url": format!("{}/receivers/any", world.ready.sandbox), "events": ["endpoint.test"] }));
        let made = world.ask(made).await.json();
        let endpoint = made["id"].as_str().expect("an id").to_owned();

        Client { world, meta, operation, business, message_id, file, visitor_token, endpoint }
    }

    /// Sends the request.
    async fn call(&self) -> Answer {
        let Client { world, meta, business, message_id, .. } = self;
        let key = &business.api_key;
        let conversation_id = business.conversation_id("chat");
        let messages = format!("/api/v1/conversations/{conversation_id}/messages");

        match self.operation.id.as_str() {
            // By e-mail: no function has read this channel's settings yet.
            "sendMessage" => {
                world.send(key, business.conversation_id("email"), "by e-mail").go().await
            }
            "listMessages" => world.get(key, &messages).await,
            "listExceptions" => world.get(key, "/api/v1/messages?status=failed").await,
            "listEvents" => world.get(key, "/api/v1/events").await,
            "createWebhookEndpoint" => {
                let body = json!({ "url": "https://example.com/" });
                self.call_endpoint(Method::POST, "", Some(body)).await
            }
            "listWebhookEndpoints" => self.call_endpoint(Method::GET, "", None).await,
            id if ENDPOINT_CALLS.iter().any(|(name, ..)| *name == id) => {
                let (_, method, end) =
                    ENDPOINT_CALLS.iter().find(|(name, ..)| *name == id).expect("it is there");
                let path = format!("/{}{end}", self.endpoint);
                let body = match id {
                    "changeWebhookEndpoint" => Some(json!({ "status": "enabled" })),
                    "redeliverEvents" => Some(json!({ "after": "0" })),
                    _ => None,
                };

                self.call_endpoint(method.clone(), &path, body).await
            }
            "readMessage" => world.get(key, &format!("{messages}/{message_id}")).await,
            "uploadFile" => store(world, key, conversation_id, "b.png", "image/png", PNG).await,
            "announceFile" => {
                announce(world, key, conversation_id, "c.png", "image/png", 100).await
            }
            "readFile" => world.call(Method::GET, &self.file, &[], Vec::new()).await,
            "readChatMessage" => {
                world.get(&self.visitor_token, &format!("/api/v1/chat/messages/{message_id}")).await
            }
            "readUsage" => world.get(key, "/api/v1/usage").await,
            "verifyWhatsappWebhook" => {
                let token = &meta.verify_token;
                let query =
                    format!("hub.mode=subscribe&hub.verify_token={token}&hub.challenge=1158201444");
                meta.challenge(&query).await
            }
            "receiveWhatsappWebhook" => {
                let business_id = business.business_id;
                let sent = Sent::of(world, business_id, conversation_id, *message_id).await;
                meta.notify(&notification(&[sent.status("delivered")])).await
            }
            other => panic!("{other} is new: write a valid request for it"),
        }
    }

    /// Sends a request about endpoints.
    async fn call_endpoint(
        &self,
        method: Method,
        path: &str,
        body: Option<serde_json::Value>,
    ) -> Answer {
        let url = format!("{}/api/v1/webhook_endpoints{path}", self.world.ready.api);
        let request = self.world.http().request(method, url).bearer_auth(&self.business.api_key);
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };

        self.world.ask(request).await
    }

    /// Has AWS not answer this operation's calls.
    async fn silence(&self) {
        let id = &self.operation.id;
        let calls = CALLS.iter().find(|calls| calls.operation == id);
        let Calls { first, then, .. } =
            calls.unwrap_or_else(|| panic!("{id} is new: say in CALLS which calls it makes"));

        let mut first = self.timeout(first);
        if let Some(then) = then {
            first["times"] = json!(2);
            self.world.fault("aws", self.timeout(then)).await;
        }

        self.world.fault("aws", first).await;
    }

    fn timeout(&self, call: &str) -> serde_json::Value {
        let mut fault = json!({
            "operation": call, "error": "timeout", "function": self.operation.function,
        });
        // A secret is read for all businesses.
        if call != "GetSecretValue" {
            fault["about"] = json!(self.business.business_id);
        }

        fault
    }
}

/// Sends every request at once, and checks that each is answered with our own `internal`.
async fn assert_internal(clients: &[Client<'_>], when: &str) {
    let answers = join_all(clients.iter().map(Client::call)).await;

    for (Client { operation, .. }, answer) in clients.iter().zip(&answers) {
        let place = format!("{}, {when}: {}", operation.id, answer.text);
        assert_eq!(answer.problem(), (500, "internal".into()), "{place}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{place}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_answers_with_our_problem_before_lambda_times_out() {
    let world = World::start().await;
    let meta = Meta::of(&world).await;
    let clients = operations().into_iter().map(|operation| Client::new(&world, &meta, operation));
    let clients = join_all(clients).await;
    assert_eq!(clients.len(), CALLS.len(), "CALLS has an operation that the contract lacks");

    // Before anything else, because functions keep the secrets that they have read.
    world.fault("aws", json!({"operation": "*", "error": "ResourceNotFoundException"})).await;
    assert_internal(&clients, "everything is gone").await;
    world.heal("aws").await;

    join_all(clients.iter().map(Client::silence)).await;
    assert_internal(&clients, "AWS is silent").await;
    world.heal("aws").await;

    // The requests were valid.
    for (Client { operation, .. }, answer) in
        clients.iter().zip(join_all(clients.iter().map(Client::call)).await)
    {
        let taken = answer.status.is_success() || answer.status.is_redirection();
        assert!(taken, "{}: {} {}", operation.id, answer.status, answer.text);

        if let Some(address) = answer.header("location").filter(|_| operation.id == "readFile") {
            let file = world.http().get(address).send().await.expect("an answer");
            assert_eq!(file.status(), 200, "{address}");
        }
    }
}
