//! From a webhook's body to the receipts in it
//! ([status messages](https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/status)).
//!
//! Meta adds fields, statuses and kinds of changes when it likes, and one call may hold many: whatever is not a status
//! of one of our messages is counted and left alone.

use chrono::{DateTime, Utc};
use domain::delivery::{Receipt, Reference, Reported, whatsapp};
use platform::broken::Broken;
use serde::Deserialize;
use serde_json::Value;

/// What a webhook tells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// What became of messages of ours.
    pub receipts: Vec<(Reference, Receipt)>,
    /// How many changes and statuses were something else.
    pub ignored: usize,
}

/// Reads a body; what has no time happened `now`.
///
/// # Errors
/// If it is not JSON.
pub fn parse(body: &[u8], now: DateTime<Utc>) -> Result<Told, Broken> {
    let body: Value = serde_json::from_slice(body).map_err(|error| Broken::unreadable("a webhook", &error))?;
    let mut told = Told::default();
    for change in each(&body["entry"]).flat_map(|entry| each(&entry["changes"])) {
        let statuses = &change["value"]["statuses"];
        if change["field"] != "messages" || !statuses.is_array() {
            told.ignored += 1;
        } else {
            for status in each(statuses) {
                match receipt(status, now) {
                    Some(receipt) => told.receipts.push(receipt),
                    None => told.ignored += 1,
                }
            }
        }
    }
    Ok(told)
}

/// One status, as far as it is read. Its errors' words may quote the customer and are left alone.
#[derive(Deserialize)]
struct Written {
    id: String,
    status: String,
    #[serde(default)]
    timestamp: Value,
    #[serde(default)]
    errors: Vec<WrittenError>,
    biz_opaque_callback_data: String,
}

#[derive(Deserialize)]
struct WrittenError {
    code: Option<i64>,
}

fn receipt(status: &Value, now: DateTime<Utc>) -> Option<(Reference, Receipt)> {
    let status = Written::deserialize(status).ok()?;
    let reported = match status.status.as_str() {
        "sent" => Reported::Sent,
        "delivered" => Reported::Delivered,
        "read" => Reported::Read,
        "failed" => Reported::Failed(whatsapp::reported(status.errors.first().and_then(|error| error.code))),
        _ => return None,
    };
    let about = status.biz_opaque_callback_data.parse().ok()?;
    // Seconds since 1970, as text.
    let seconds = status.timestamp.as_str().and_then(|seconds| seconds.parse().ok());
    let at = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0)).unwrap_or(now);
    Some((about, Receipt { reported, at, provider_id: Some(status.id) }))
}

fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: DateTime<Utc> = DateTime::from_timestamp(1_772_356_000, 0).expect("a time");
    const OURS: &str = "8d0a1c52-6b1e-4f0e-9a3b-2c6f6f1f3a10.6f1c1f0e-3a57-4a39-9a55-6c1e7bb7d1a4.0198f3c2-7a10-7000-8001-9d4c5b6a7f80";

    fn status(change: impl FnOnce(&mut Value)) -> Value {
        let mut status = json!({ "id": "wamid.1", "status": "sent", "timestamp": "1772355901",
            "recipient_id": "16505551234", "biz_opaque_callback_data": OURS });
        change(&mut status);
        status
    }

    fn told(changes: Value) -> Told {
        let body = json!({ "object": "whatsapp_business_account", "entry": [{ "id": "1", "changes": changes }] });
        parse(body.to_string().as_bytes(), NOW).expect("it is JSON")
    }

    fn of(statuses: Value) -> Told {
        told(json!([{ "field": "messages", "value": { "messaging_product": "whatsapp", "statuses": statuses } }]))
    }

    fn one(change: impl FnOnce(&mut Value)) -> Receipt {
        let told = of(json!([status(change)]));
        assert_eq!((told.receipts.len(), told.ignored), (1, 0), "{told:?}");
        let (about, receipt) = told.receipts.into_iter().next().expect("there is one");
        assert_eq!(about.to_string(), OURS);
        receipt
    }

    #[test]
    fn the_four_statuses_are_read() {
        let sent = one(|_| ());
        assert_eq!((sent.reported, sent.provider_id.as_deref()), (Reported::Sent, Some("wamid.1")));
        assert_eq!(sent.at.timestamp(), 1_772_355_901);
        assert_eq!(one(|status| status["status"] = json!("delivered")).reported, Reported::Delivered);
        assert_eq!(one(|status| status["status"] = json!("read")).reported, Reported::Read);
        let failed = |errors: Value| match one(|status| {
            status["status"] = json!("failed");
            status["errors"] = errors;
        }) {
            Receipt { reported: Reported::Failed(reason), .. } => (reason.code, reason.provider_code),
            other => panic!("{other:?}"),
        };
        let unreachable = json!([{ "code": 131_026, "title": "Message undeliverable", "href": "…" }]);
        assert_eq!(failed(unreachable), ("recipient_unreachable".into(), Some("131026".into())));
        assert_eq!(failed(json!([{ "code": 42 }])), ("undeliverable".into(), Some("42".into())));
        assert_eq!(failed(json!([])), ("undeliverable".into(), None));
    }

    #[test]
    fn a_time_that_cannot_be_read_is_now() {
        for time in [json!("soon"), json!(null), json!("99999999999999999")] {
            assert_eq!(one(|status| status["timestamp"] = time).at, NOW);
        }
    }

    #[test]
    fn what_is_none_of_ours_is_counted_and_left_alone() {
        type Change = fn(&mut Value);
        let foreign: [Change; 6] = [
            |status| status["status"] = json!("played"),
            |status| status["status"] = json!(7),
            |status| status["biz_opaque_callback_data"] = json!("campaign.7"),
            |status| drop(status.as_object_mut().expect("an object").remove("biz_opaque_callback_data")),
            |status| status["id"] = json!(null),
            |status| *status = json!("a status"),
        ];
        let mut statuses: Vec<Value> = foreign.into_iter().map(status).collect();
        statuses.push(status(|status| status["pricing"] = json!({ "billable": true })));
        let told = of(json!(statuses));
        assert_eq!((told.receipts.len(), told.ignored), (1, 6), "{told:?}");
    }

    #[test]
    fn other_changes_and_other_shapes_are_left_alone() {
        let message = json!({ "messages": [{ "from": "16505551234", "text": { "body": "Hi" } }] });
        let changes = json!([
            { "field": "messages", "value": message }, { "field": "account_update", "value": { "statuses": [1] } }, 7,
        ]);
        assert_eq!(told(changes), Told { receipts: vec![], ignored: 3 });
        for body in ["{}", "[]", "7", r#"{"entry": 7}"#, r#"{"entry": [{"changes": {}}]}"#] {
            assert_eq!(parse(body.as_bytes(), NOW).ok(), Some(Told::default()), "{body}");
        }
        let secret = parse(br#"{"secret": }"#, NOW).expect_err("it is not JSON").chain();
        assert!(!secret.contains("secret\""), "{secret}");
    }
}
