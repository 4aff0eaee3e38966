//! The test in Meta's place: it knows the app's secret, and signs what it likes.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
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
    /// The proof that it was sent so.
    pub(crate) tag: [u8; 16],
}

impl Sent {
    /// Sends one, and waits until WhatsApp has it.
    pub(crate) async fn by_whatsapp(world: &World, business: &Business, text: &str) -> Sent {
        let conversation_id = business.conversation_id("whatsapp");
        let id = world.send(&business.api_key, conversation_id, text).go().await.id();
        world.until_status(&business.api_key, conversation_id, id, "sent").await;
        Sent::of(world, business.business_id, conversation_id, id).await
    }

    /// A message as it went out by the sandbox's number.
    pub(crate) async fn of(
        world: &World,
        business_id: Uuid,
        conversation_id: Uuid,
        id: Uuid,
    ) -> Sent {
        let reference = format!("{business_id}.{conversation_id}.{id}");
        let tag = tag(world, "whatsapp", NUMBER, &reference).await;
        Sent { business_id, conversation_id, id, tag }
    }

    /// One status of it, as Meta words it.
    pub(crate) fn status(&self, status: &str) -> Value {
        let Sent { business_id, conversation_id, id, tag } = self;
        let tag = BASE64_URL_SAFE_NO_PAD.encode(tag);
        let data = format!("{business_id}.{conversation_id}.{id}.{tag}");
        json!({ "id": format!("wamid.{id}"), "status": status, "timestamp": "1772355902",
            "recipient_id": "15550000000", "biz_opaque_callback_data": data })
    }
}

/// Meta's id of the sandbox's number.
pub(crate) const NUMBER: &str = "106540352242922";

/// The proof that a message was sent by this channel and number or configuration set, as a reader
/// of `receipt_keys.rs` makes it.
pub(crate) async fn tag(world: &World, channel: &str, sender: &str, reference: &str) -> [u8; 16] {
    let keys = world.secret("ReceiptKeys").await;
    let secret = keys["keys"][0]["secret"].as_str().expect("a key");
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("a key of any length");
    let mac = mac.chain_update(format!("{channel}\n{sender}\n{reference}")).finalize();
    mac.into_bytes()[..16].try_into().expect("it is longer")
}

/// A notification with these statuses of the sandbox's number.
pub(crate) fn notification(statuses: &[Value]) -> Value {
    notification_of(NUMBER, statuses)
}

/// A notification with these statuses of a number.
pub(crate) fn notification_of(number: &str, statuses: &[Value]) -> Value {
    let metadata = json!({ "display_phone_number": "15550783881", "phone_number_id": number });
    let value =
        json!({ "messaging_product": "whatsapp", "metadata": metadata, "statuses": statuses });
    let changes = json!([{ "field": "messages", "value": value }]);
    json!({ "object": "whatsapp_business_account", "entry": [{ "id": "1", "changes": changes }] })
}
