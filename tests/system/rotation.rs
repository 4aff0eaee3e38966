//! Secrets that are replaced while the system runs, and a Secrets Manager that does not answer.
//!
//! The unit tests of `platform::secrets`, `platform::receipt_keys` and
//! `deliver_whatsapp::authorized` have the five minutes and the ten seconds that functions keep a
//! secret, by a clock that they move. A system's
//! functions start anew when its clock is moved: here every kind of secret is replaced, and each
//! function that reads it looks.

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::json;
use uuid::Uuid;

use crate::chat::tab::Tab;
use crate::receipts::meta::{Meta, Sent, notification, signature};
use domain::{AgentId, BusinessId, ConversationId};
use platform::credential::SigningKey;
use platform::credential::visitor::Visitor;
use tests::{SECRET_TTL_SECONDS, World};

/// The secret with the access token of the sandbox's WhatsApp number.
const WHATSAPP_TOKEN: &str = "pingback/whatsapp/sandbox";

/// Returns the newest of a secret's keys.
async fn newest_key(world: &World, logical_id: &str) -> SigningKey {
    let keys = world.secret(logical_id).await;
    serde_json::from_value(keys["keys"][0].clone()).expect("a key")
}

fn new_key() -> SigningKey {
    SigningKey { kid: "new".to_owned(), secret: "a new key of thirty-two bytes or more".into() }
}

/// The conversation and the people whose tokens are signed here.
struct Callers {
    business_id: BusinessId,
    agent: AgentId,
    chat: ConversationId,
    email: Uuid,
    /// A message that a visitor may read.
    shown: Uuid,
    /// When the tokens begin.
    now: DateTime<Utc>,
}

impl Callers {
    async fn of_demo(world: &World) -> Callers {
        let demo = world.ready.demo.clone().expect("the demo");
        let chat = demo.conversations.chat;
        let shown = world.send(&demo.api_key, chat, "it is shown").go().await.id();
        world.until_status(&demo.api_key, chat, shown, "delivered").await;
        Callers {
            business_id: BusinessId(demo.business_id),
            agent: AgentId(demo.agent_id),
            chat: ConversationId(chat),
            email: demo.conversations.email,
            shown,
            now: Utc::now(),
        }
    }

    /// Signs an agent's and a visitor's token. No log may hold them, or the keys.
    fn tokens(
        &self,
        world: &World,
        agents: &SigningKey,
        visitors: &SigningKey,
    ) -> (String, String) {
        let Callers { business_id, agent, chat: conversation_id, now, .. } = *self;
        let end = now + TimeDelta::hours(1);
        let agent = agents.sign_agent(business_id, agent, now, end).expect("signed");
        let visitor = Visitor { business_id, conversation_id };
        let visitor = visitors.sign_visitor(visitor, now, end).expect("signed");

        let keys = [agents, visitors].map(|key| key.secret.expose_secret().to_owned());
        world.ledger().secrets.extend(keys.into_iter().chain([agent.clone(), visitor.clone()]));
        (agent, visitor)
    }

    /// Returns the statuses of every route that takes these tokens: a message, an announced file,
    /// the usage, a fetched message.
    async fn statuses(&self, world: &World, (agent, visitor): &(String, String)) -> [u16; 4] {
        let sent = world.send(agent, self.email, "signed in").go().await;
        let bearer = format!("Bearer {agent}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let path = format!("/api/v1/conversations/{}/uploads", self.email);
        let file = json!({ "filename": "a.png", "content_type": "image/png", "size": 9 });
        let announced = world.call(Method::POST, &path, &headers, file.to_string().into()).await;
        let used = world.get(agent, "/api/v1/usage").await;
        let path = format!("/api/v1/chat/messages/{}", self.shown);
        let fetched = world.get(visitor, &path).await;
        [sent, announced, used, fetched].map(|answer| answer.status.as_u16())
    }

    /// Returns the status of a handshake with this token; a widget that is connected is greeted.
    async fn handshake(&self, world: &World, visitor: &str) -> u16 {
        match Tab::try_open(world, visitor).await {
            Err(status) => status,
            Ok(mut tab) => {
                tab.hello(0).await;
                assert_eq!(tab.next_event().await["type"], "hello");
                101
            }
        }
    }
}

const ACCEPTED: [u16; 4] = [201, 201, 200, 200];
const REFUSED: [u16; 4] = [401; 4];

#[tokio::test(flavor = "multi_thread")]
async fn tokens_of_an_old_key_end_and_those_of_a_new_one_are_accepted() {
    let world = World::start().await;
    let callers = Callers::of_demo(&world).await;
    let (agents, visitors) =
        (newest_key(&world, "AgentKeys").await, newest_key(&world, "VisitorKeys").await);
    let old = callers.tokens(&world, &agents, &visitors);
    let new = callers.tokens(&world, &new_key(), &new_key());
    assert_eq!(callers.statuses(&world, &old).await, ACCEPTED);
    assert_eq!(callers.statuses(&world, &new).await, REFUSED);

    for (secret, old) in [("AgentKeys", &agents), ("VisitorKeys", &visitors)] {
        world.put_secret(secret, json!({ "keys": [new_key(), old] })).await;
    }
    world.pass(SECRET_TTL_SECONDS).await;
    for tokens in [&old, &new] {
        assert_eq!(callers.statuses(&world, tokens).await, ACCEPTED);
        assert_eq!(callers.handshake(&world, &tokens.1).await, 101);
    }

    // The form that Secrets Manager generates: one key alone.
    for secret in ["AgentKeys", "VisitorKeys"] {
        world.put_secret(secret, json!(new_key())).await;
    }
    world.pass(SECRET_TTL_SECONDS).await;
    assert_eq!(callers.statuses(&world, &old).await, REFUSED);
    assert_eq!(callers.handshake(&world, &old.1).await, 401);
    assert_eq!(callers.statuses(&world, &new).await, ACCEPTED);
    assert_eq!(callers.handshake(&world, &new.1).await, 101);
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_find_their_messages_while_their_keys_rotate() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let meta = Meta::of(&world).await;
    let old = newest_key(&world, "ReceiptKeys").await;
    let in_flight = Sent::by_whatsapp(&world, &business, "it went out before").await;
    let also = Sent::by_whatsapp(&world, &business, "so did this").await;

    world.put_secret("ReceiptKeys", json!({ "keys": [new_key(), old] })).await;
    meta.report_status(&in_flight, "delivered").await;
    world.pass(SECRET_TTL_SECONDS).await;
    let next = Sent::by_whatsapp(&world, &business, "this goes out by the new key").await;
    meta.report_status(&in_flight, "read").await;
    meta.report_status(&next, "read").await;

    world.put_secret("ReceiptKeys", json!(new_key())).await;
    world.pass(SECRET_TTL_SECONDS).await;
    meta.report_status(&also, "read").await;
    for (message, status) in [(in_flight, "read"), (next, "read"), (also, "sent")] {
        let delivery = world.delivery(&business.api_key, message.conversation_id, message.id).await;
        assert_eq!(delivery["status"], status, "{delivery}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_webhook_secret_and_a_new_access_token_are_used_and_the_old_ones_are_not() {
    let world = World::start().await;
    let business = world.business(10, 1).await;
    let conversation_id = business.conversation_id("whatsapp");
    let sent = Sent::by_whatsapp(&world, &business, "it is reported on").await;
    let meta = Meta::of(&world).await;
    let report = notification(&[sent.status("delivered")]).to_string();
    let statuses = async |app_secret: &str, verify_token: &str| {
        let signature = signature(app_secret, report.as_bytes());
        let signed = meta.call(report.as_bytes(), Some(&signature)).await;
        let query = format!("hub.mode=subscribe&hub.verify_token={verify_token}&hub.challenge=1");
        let challenged = meta.challenge(&query).await;
        [signed, challenged].map(|answer| answer.status.as_u16())
    };
    assert_eq!(statuses(&meta.app_secret, &meta.verify_token).await, [200; 2]);

    let replaced = json!({ "app_secret": "a-new-secret", "verify_token": "a-new-token" });
    world.put_secret("WhatsappWebhook", replaced).await;
    let words = ["a-new-secret", "a-new-token", "EAA-another-token"].map(str::to_owned);
    world.ledger().secrets.extend(words);
    world.pass(SECRET_TTL_SECONDS).await;
    assert_eq!(statuses("a-new-secret", "a-new-token").await, [200; 2]);
    assert_eq!(statuses(&meta.app_secret, &meta.verify_token).await, [403; 2]);

    // WhatsApp knows one token: with another one the channel waits, and loses no attempt.
    let manager = world.engine().secrets_manager();
    let value = manager.get_secret_value().secret_id(WHATSAPP_TOKEN).send().await;
    let token = value.expect("it is there").secret_string().expect("a text").to_owned();
    world.put_secret(WHATSAPP_TOKEN, "EAA-another-token").await;
    world.pass(SECRET_TTL_SECONDS).await;
    let id = world.send(&business.api_key, conversation_id, "by another token").go().await.id();
    let paused = async || {
        let delivery = world.delivery(&business.api_key, conversation_id, id).await;
        (delivery["error"]["provider_code"] == "190").then_some(delivery)
    };
    let delivery = world.until("WhatsApp refuses the token", paused).await;
    assert_eq!((&delivery["status"], &delivery["attempts"]), (&json!("queued"), &json!(0)));

    world.put_secret(WHATSAPP_TOKEN, &token).await;
    world.pass(SECRET_TTL_SECONDS).await;
    world.sweep().await;
    let delivery = world.until_status(&business.api_key, conversation_id, id, "sent").await;
    assert_eq!(delivery["attempts"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_secrets_manager_what_needs_no_secret_goes_on_and_the_rest_may_be_repeated() {
    let world = World::start().await;
    let callers = Callers::of_demo(&world).await;
    let business = world.business(10, 1).await;
    let demo = world.ready.demo.clone().expect("the demo");
    let tokens = (demo.token.clone(), world.visitor_token(callers.chat.0).await);
    let meta = Meta::of(&world).await;
    assert_eq!(callers.statuses(&world, &tokens).await, ACCEPTED);

    let down = json!({ "operation": "GetSecretValue", "error": "InternalServiceError" });
    world.fault("aws", down).await;
    assert_eq!(callers.statuses(&world, &tokens).await, ACCEPTED, "the keys are known");

    // Functions that start now know no secret.
    world.pass(1).await;
    assert_eq!(callers.statuses(&world, &tokens).await, [500; 4]);
    let report = notification(&[]);
    assert_eq!(meta.notify(&report).await.problem(), (500, "internal".into()));

    // An API key needs none, but what is sent does: its receipts would prove nothing.
    let texts = ["it waits for the keys of its receipts".to_owned()];
    let conversation_id = business.conversation_id("whatsapp");
    let id = world.send(&business.api_key, conversation_id, &texts[0]).go().await.id();
    let waits = async || {
        let delivery = world.delivery(&business.api_key, conversation_id, id).await;
        (delivery["error"]["code"] == "keys_unavailable").then_some(delivery)
    };
    let delivery = world.until("it is put back", waits).await;
    assert_eq!(
        (&delivery["status"], &delivery["error"]["retryable"]),
        (&json!("queued"), &json!(true))
    );

    world.heal("aws").await;
    assert_eq!(callers.statuses(&world, &tokens).await, ACCEPTED, "the next request asks again");
    world.pass(60).await;
    world.sweep().await;
    world.until_received("whatsapp", conversation_id, &texts).await;
}
