//! Meta's webhook: the statuses of messages and the customers' own texts, signed, and sent again
//! until the system answers 200.
//!
//! Shapes:
//! <https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/status>
//! and
//! <https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/text>;
//! signature and repeats:
//! <https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/create-webhook-endpoint>.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::Sha256;

use super::error::documented;
use super::number::{PHONE_NUMBER_ID, check_number_id, digits, is_user_id, person};
use crate::http_client;
use crate::receipts::{ProviderRecord, Report, Reporter};
use emulator::Engine;

/// The system's route for it, below the API's base URL.
const PATH: &str = "/api/v1/webhooks/whatsapp";

/// First wait between two tries; it doubles. Meta's go on for days.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// Longest wait between two tries.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Tries after which a receipt is given up.
const TRIES: u32 = 30;

/// The webhook of the business's app.
#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    http: reqwest::Client,
    app_secret: String,
}

/// A customer's text, as `POST /sandbox/whatsapp/customers` takes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CustomerText {
    /// The customer's number; without it, Meta tells only their user id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// The customer's user id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user_id: Option<String>,
    /// The text.
    text: String,
    /// Meta's id of the number that the customer writes to.
    #[serde(default = "sandbox_number")]
    phone_number_id: String,
}

fn sandbox_number() -> String {
    PHONE_NUMBER_ID.to_owned()
}

/// Meta's record of a message that it accepted.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct MessageRecord {
    pub(super) wamid: String,
    pub(super) phone_number_id: String,
    pub(super) to: String,
    pub(super) callback_data: Option<String>,
}

impl ProviderRecord for MessageRecord {
    fn provider_id(&self) -> &str {
        &self.wamid
    }
}

impl CustomerText {
    /// Checks the text and returns it.
    ///
    /// # Errors
    /// A sentence that names the wrong field.
    pub(crate) fn checked(self) -> Result<Self, String> {
        if let Some(from) = &self.from
            && !(7..=15).contains(&digits(from).len())
        {
            return Err(format!("`from` {from:?} is no phone number of 7 to 15 digits"));
        }
        if let Some(user_id) = &self.user_id
            && !is_user_id(user_id)
        {
            return Err(format!("`user_id` {user_id:?} is no business-scoped user ID"));
        }
        if self.from.is_none() && self.user_id.is_none() {
            return Err("a customer has a `from`, a `user_id`, or both".into());
        }
        if check_number_id(&self.phone_number_id).is_err() {
            return Err(format!("`phone_number_id` {:?} is not of digits", self.phone_number_id));
        }
        Ok(self)
    }

    /// Meta's id of the number that the customer writes to.
    pub(crate) fn phone_number_id(&self) -> &str {
        &self.phone_number_id
    }

    /// The customer's number and user id, as far as Meta tells them.
    pub(crate) fn sender(&self) -> (Option<&str>, Option<&str>) {
        (self.from.as_deref(), self.user_id.as_deref())
    }
}

impl Webhook {
    /// A webhook that signs with the app's secret.
    pub(crate) fn new(app_secret: String) -> Self {
        Self { http: http_client::loopback(), app_secret }
    }

    /// Sends a customer's text, and returns whether the system took it.
    pub(crate) async fn send_text(
        &self,
        engine: &Engine,
        text: &CustomerText,
        now: DateTime<Utc>,
    ) -> bool {
        let url = format!("{}{PATH}", engine.api_url());
        self.call(&url, message(text, now).to_string()).await
    }

    async fn call(&self, url: &str, body: String) -> bool {
        let call = self
            .http
            .post(url)
            .header("X-Hub-Signature-256", self.signature(body.as_bytes()))
            .header("Content-Type", "application/json")
            .header("User-Agent", "facebookexternalua");
        call.body(body).send().await.is_ok_and(|answer| answer.status() == 200)
    }

    fn signature(&self, body: &[u8]) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(self.app_secret.as_bytes())
            .expect("a key of any length will do");
        format!("sha256={}", hex::encode(mac.chain_update(body).finalize().into_bytes()))
    }
}

impl Reporter for Webhook {
    type Record = MessageRecord;
    const STATUSES: &'static [&'static str] = &["sent", "delivered", "read", "failed", "played"];

    async fn report(&self, engine: &Engine, report: &Report<MessageRecord>) -> bool {
        let url = format!("{}{PATH}", engine.api_url());
        let body = notification(report).to_string();
        let mut wait = FIRST_WAIT;
        for _ in 0..TRIES {
            if self.call(&url, body.clone()).await {
                return true;
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
        false
    }
}

/// Returns the body of a call with one status in it.
fn notification(report: &Report<MessageRecord>) -> Value {
    let MessageRecord { wamid, phone_number_id, to, callback_data } = &report.record;
    let mut status = json!({
        "id": wamid,
        "status": report.status,
        "timestamp": report.at.timestamp().to_string(),
    });

    let recipient = if is_user_id(to) { "recipient_user_id" } else { "recipient_id" };
    status[recipient] = json!(person(to));

    if let Some(callback_data) = callback_data {
        status["biz_opaque_callback_data"] = json!(callback_data);
    }

    if report.status == "failed" {
        let code = report.code.unwrap_or(131026);
        let title = documented(u32::try_from(code).unwrap_or_default()).0;
        status["errors"] = json!([{
            "code": code,
            "title": title,
            "message": title,
            "error_data": { "details": format!("{title}, says the sandbox.") },
            "href": "https://developers.facebook.com/docs/whatsapp/cloud-api/support/error-codes/",
        }]);
    } else {
        status["pricing"] = json!({
            "billable": false, "pricing_model": "PMP", "type": "free_customer_service", "category": "service",
        });
    }

    envelope(phone_number_id, json!({ "statuses": [status] }))
}

/// Returns the body of a call with one customer's message in it.
fn message(text: &CustomerText, now: DateTime<Utc>) -> Value {
    let CustomerText { from, user_id, text, phone_number_id } = text;
    let mut contact = json!({ "profile": { "name": "A customer" } });
    let mut message = json!({
        "id": format!("wamid.{}", STANDARD.encode(rand::random::<[u8; 30]>())),
        "timestamp": now.timestamp().to_string(),
        "type": "text",
        "text": { "body": text },
    });

    if let Some(from) = from {
        contact["wa_id"] = json!(person(from));
        message["from"] = json!(person(from));
    }
    if let Some(user_id) = user_id {
        contact["user_id"] = json!(user_id);
        message["from_user_id"] = json!(user_id);
    }

    envelope(phone_number_id, json!({ "contacts": [contact], "messages": [message] }))
}

fn envelope(phone_number_id: &str, content: Value) -> Value {
    let mut value = json!({
        "messaging_product": "whatsapp",
        "metadata": { "display_phone_number": "15550783881", "phone_number_id": phone_number_id },
    });
    value
        .as_object_mut()
        .into_iter()
        .for_each(|value| value.extend(content.as_object().cloned().unwrap_or_default()));
    json!({
        "object": "whatsapp_business_account",
        "entry": [{ "id": "102290129340398", "changes": [{ "value": value, "field": "messages" }] }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(status: &str, callback_data: Option<&str>) -> Value {
        let record = MessageRecord {
            wamid: "wamid.1".into(),
            phone_number_id: "106540352242922".into(),
            to: "+31 6 1234 5678".into(),
            callback_data: callback_data.map(str::to_owned),
        };
        let at = "2026-03-01T09:05:01.900Z".parse().unwrap();
        notification(&Report { record, status: status.into(), code: Some(131047), at })
    }

    #[test]
    fn a_status_has_the_documented_shape() {
        let body = report("delivered", Some("b.c.m"));
        let value = &body["entry"][0]["changes"][0]["value"];
        assert_eq!(value["metadata"]["phone_number_id"], "106540352242922");
        let status = &value["statuses"][0];

        assert_eq!(
            (&status["timestamp"], &status["recipient_id"]),
            (&json!("1772355901"), &json!("31612345678"))
        );

        assert_eq!(
            (&status["biz_opaque_callback_data"], &status["errors"]),
            (&json!("b.c.m"), &Value::Null)
        );

        let failed = &report("failed", None)["entry"][0]["changes"][0]["value"]["statuses"][0];
        assert_eq!(failed["errors"][0]["code"], 131047);
        assert_eq!(failed["errors"][0]["title"], "Re-engagement message");

        assert!(failed.get("biz_opaque_callback_data").is_none());
    }

    #[test]
    fn a_customers_message_has_the_documented_shape() {
        let wrote: CustomerText =
            serde_json::from_value(json!({ "from": "+31 6 1234 5678", "text": "Hello?" })).unwrap();
        let body = message(&wrote.checked().unwrap(), "2026-03-01T09:05:01.900Z".parse().unwrap());
        let value = &body["entry"][0]["changes"][0]["value"];

        assert_eq!(body["entry"][0]["changes"][0]["field"], "messages");
        assert_eq!(
            (&value["messaging_product"], &value["contacts"][0]["wa_id"]),
            (&json!("whatsapp"), &json!("31612345678"))
        );

        assert_eq!(value["metadata"]["phone_number_id"], PHONE_NUMBER_ID);
        let message = &value["messages"][0];
        assert_eq!(
            (&message["from"], &message["timestamp"]),
            (&json!("31612345678"), &json!("1772355901"))
        );

        assert_eq!(
            (&message["type"], &message["text"]["body"]),
            (&json!("text"), &json!("Hello?"))
        );

        let unnumbered: CustomerText =
            serde_json::from_value(json!({ "user_id": "US.1", "text": "Hello?" })).unwrap();
        let body = super::message(&unnumbered.checked().unwrap(), DateTime::UNIX_EPOCH);
        let value = &body["entry"][0]["changes"][0]["value"];
        assert_eq!(value["messages"][0]["from_user_id"], "US.1");
        assert_eq!(value["messages"][0].get("from"), None);

        for nonsense in [
            json!({ "text": "" }),
            json!({ "user_id": "anna", "text": "" }),
            json!({ "from": "anna", "text": "" }),
            json!({ "from": "+31612345678", "text": "", "phone_number_id": "me" }),
        ] {
            assert!(serde_json::from_value::<CustomerText>(nonsense).unwrap().checked().is_err());
        }
    }

    #[test]
    fn the_signature_is_of_the_body_with_the_apps_secret() {
        // The text and key that every description of HMAC has.
        let signature =
            Webhook::new("key".into()).signature(b"The quick brown fox jumps over the lazy dog");
        assert_eq!(
            signature,
            "sha256=f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"
        );
    }
}
