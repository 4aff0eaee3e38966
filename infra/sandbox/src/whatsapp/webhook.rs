//! Meta's webhook: what it says of a message, and of a customer's own, how it signs it, and that it
//! comes again until somebody answers 200.
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

use super::super::control::System;
use super::super::receipts::{Report, Reporter, Taken};
use super::{digits, documented, is_number};
use crate::http_client;
use crate::seed::PHONE_NUMBER_ID;

/// Where the system listens for it, below the API's base URL.
const PATH: &str = "/api/v1/webhooks/whatsapp";

/// Waits between two tries double from the one to the other; Meta's go on for days.
const WAITS: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// After so many tries a receipt is given up.
const TRIES: u32 = 30;

/// The webhook of the business's app.
#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    http: reqwest::Client,
    app_secret: String,
}

/// What a customer writes, as `POST /sandbox/whatsapp/customers` takes it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wrote {
    /// Their number.
    from: String,
    /// What they say.
    text: String,
    /// Meta's id of the number they write to.
    #[serde(default = "sandbox_number")]
    phone_number_id: String,
}

fn sandbox_number() -> String {
    PHONE_NUMBER_ID.to_owned()
}

/// A message that the Cloud API took.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct TakenMessage {
    pub(super) wamid: String,
    pub(super) phone_number_id: String,
    pub(super) to: String,
    pub(super) callback_data: Option<String>,
}

impl Taken for TakenMessage {
    fn provider_id(&self) -> &str {
        &self.wamid
    }
}

impl Wrote {
    /// What it is, if a customer can have written it.
    ///
    /// # Errors
    /// A sentence that names the field which is wrong.
    pub(crate) fn checked(self) -> Result<Self, String> {
        if !(7..=15).contains(&digits(&self.from).len()) {
            return Err(format!("`from` {:?} is no phone number of 7 to 15 digits", self.from));
        }
        if is_number(&self.phone_number_id).is_err() {
            return Err(format!("`phone_number_id` {:?} is not of digits", self.phone_number_id));
        }
        Ok(self)
    }
}

impl Wrote {
    /// Meta's id of the number, and who writes to it.
    pub(crate) fn between(&self) -> (&str, &str) {
        (&self.phone_number_id, &self.from)
    }
}

impl Webhook {
    /// Signs with the app's secret.
    pub(crate) fn new(app_secret: String) -> Self {
        Self { http: http_client::loopback(), app_secret }
    }

    /// Has a customer write. Whether the system took it.
    pub(crate) async fn write(&self, system: &System, wrote: &Wrote, now: DateTime<Utc>) -> bool {
        let url = format!("{}{PATH}", system.engine().api_url());
        self.call(&url, message(wrote, now).to_string()).await
    }

    async fn call(&self, url: &str, body: String) -> bool {
        let call =
            self.http.post(url).header("X-Hub-Signature-256", self.signature(body.as_bytes()));
        let call = call
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
    type Taken = TakenMessage;
    const STATUSES: &'static [&'static str] = &["sent", "delivered", "read", "failed", "played"];

    async fn report(&self, system: &System, report: &Report<TakenMessage>) -> bool {
        let url = format!("{}{PATH}", system.engine().api_url());
        let body = notification(report).to_string();
        let (mut wait, longest) = WAITS;
        for _ in 0..TRIES {
            if self.call(&url, body.clone()).await {
                return true;
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(longest);
        }
        false
    }
}

/// The body of a call, with one status in it.
fn notification(report: &Report<TakenMessage>) -> Value {
    let TakenMessage { wamid, phone_number_id, to, callback_data } = &report.taken;
    let mut status = json!({
        "id": wamid,
        "status": report.status,
        "timestamp": report.at.timestamp().to_string(),
        "recipient_id": digits(to),
    });
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

/// The body of a call, with one customer's message in it.
fn message(wrote: &Wrote, now: DateTime<Utc>) -> Value {
    let Wrote { from, text, phone_number_id } = wrote;
    let wa_id = digits(from);
    let message = json!({
        "from": wa_id,
        "id": format!("wamid.{}", STANDARD.encode(rand::random::<[u8; 30]>())),
        "timestamp": now.timestamp().to_string(),
        "type": "text",
        "text": { "body": text },
    });
    let contacts = json!([{ "profile": { "name": "A customer" }, "wa_id": wa_id }]);
    envelope(phone_number_id, json!({ "contacts": contacts, "messages": [message] }))
}

fn envelope(phone_number_id: &str, told: Value) -> Value {
    let mut value = json!({
        "messaging_product": "whatsapp",
        "metadata": { "display_phone_number": "15550783881", "phone_number_id": phone_number_id },
    });
    value
        .as_object_mut()
        .into_iter()
        .for_each(|value| value.extend(told.as_object().cloned().unwrap_or_default()));
    json!({
        "object": "whatsapp_business_account",
        "entry": [{ "id": "102290129340398", "changes": [{ "value": value, "field": "messages" }] }],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(status: &str, callback_data: Option<&str>) -> Value {
        let taken = TakenMessage {
            wamid: "wamid.1".into(),
            phone_number_id: "106540352242922".into(),
            to: "+31 6 1234 5678".into(),
            callback_data: callback_data.map(str::to_owned),
        };
        let at = "2026-03-01T09:05:01.900Z".parse().unwrap();
        notification(&Report { taken, status: status.into(), code: Some(131047), at })
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
        let wrote: Wrote =
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
        for nonsense in [
            json!({ "from": "anna", "text": "" }),
            json!({ "from": "+31612345678", "text": "", "phone_number_id": "me" }),
        ] {
            assert!(serde_json::from_value::<Wrote>(nonsense).unwrap().checked().is_err());
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
