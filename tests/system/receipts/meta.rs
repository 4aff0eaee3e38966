//! The test in Meta's place: it knows the app's secret, and signs what it likes.

use hmac::{Hmac, KeyInit, Mac};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::Sha256;
use uuid::Uuid;

use tests::{Answer, Business, World};

const PATH: &str = "/api/v1/webhooks/whatsapp";

pub(crate) struct Meta<'a> {
    world: &'a World,
    pub(crate) app_secret: String,
    pub(crate) verify_token: String,
}

impl Meta<'_> {
    pub(crate) async fn of(world: &World) -> Meta<'_> {
        let secret = world.secret("WhatsappWebhook").await;
        let part = |name: &str| secret[name].as_str().expect("it has that part").to_owned();
        Meta { world, app_secret: part("app_secret"), verify_token: part("verify_token") }
    }

    pub(crate) fn sign(&self, body: &[u8]) -> String {
        signature(&self.app_secret, body)
    }

    /// Calls the webhook with whatever signature.
    pub(crate) async fn call(&self, body: &[u8], signature: Option<&str>) -> Answer {
        let signature = signature.map(|signature| ("X-Hub-Signature-256", signature));
        let headers: Vec<_> =
            signature.into_iter().chain([("Content-Type", "application/json")]).collect();
        self.world.call(Method::POST, PATH, &headers, body.to_vec()).await
    }

    /// Calls it as Meta would.
    pub(crate) async fn notify(&self, body: &Value) -> Answer {
        let body = body.to_string();
        self.call(body.as_bytes(), Some(&self.sign(body.as_bytes()))).await
    }

    /// Reports one status, which is taken.
    pub(crate) async fn report_status(&self, message: &Sent, status: &str) {
        let answer = self.notify(&notification(&[message.status(status)])).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }

    pub(crate) async fn challenge(&self, query: &str) -> Answer {
        self.world.call(Method::GET, &format!("{PATH}?{query}"), &[], Vec::new()).await
    }
}

pub(crate) fn signature(secret: &str, body: &[u8]) -> String {
    let mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length will do");
    format!("sha256={}", hex::encode(mac.chain_update(body).finalize().into_bytes()))
}

/// A message as its provider knows it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    pub(crate) business_id: Uuid,
    pub(crate) conversation_id: Uuid,
    pub(crate) id: Uuid,
}

impl Sent {
    /// Sends one, and waits until WhatsApp has it.
    pub(crate) async fn by_whatsapp(world: &World, business: &Business, text: &str) -> Sent {
        let conversation_id = business.conversation_id("whatsapp");
        let id = world.send(&business.api_key, conversation_id, text).go().await.id();
        world.until_status(&business.api_key, conversation_id, id, "sent").await;
        Sent { business_id: business.business_id, conversation_id, id }
    }

    /// One status of it, as Meta words it.
    pub(crate) fn status(&self, status: &str) -> Value {
        let Sent { business_id, conversation_id, id } = self;
        json!({ "id": format!("wamid.{id}"), "status": status, "timestamp": "1772355902",
            "recipient_id": "15550000000", "biz_opaque_callback_data": format!("{business_id}.{conversation_id}.{id}") })
    }
}

/// A notification with these statuses.
pub(crate) fn notification(statuses: &[Value]) -> Value {
    let value = json!({ "messaging_product": "whatsapp", "statuses": statuses });
    let changes = json!([{ "field": "messages", "value": value }]);
    json!({ "object": "whatsapp_business_account", "entry": [{ "id": "1", "changes": changes }] })
}
