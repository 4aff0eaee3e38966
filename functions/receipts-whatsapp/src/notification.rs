//! Reads the receipts in a webhook's body ([status
//! messages](https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/status)),
//! and the customers who wrote
//! ([messages](https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/text)).
//!
//! Meta adds fields, statuses and kinds of changes at any time, and one call may hold many: all
//! that is neither a status of one of our messages nor a customer's message is counted and ignored.
//! Of a customer's message only its sender, number and time are read, never its text.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use domain::channel::whatsapp;
use domain::delivery::{MessageReference, Part, Receipt, ReportedStatus};
use platform::error::InternalError;

/// The content of a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParsedWebhook {
    /// The receipts of our messages.
    pub receipts: Vec<(MessageReference, Receipt)>,
    /// The customers who wrote, with the time of their last message.
    pub customers: BTreeMap<Customer, DateTime<Utc>>,
    /// How many changes and statuses were something else.
    pub ignored: usize,
}

/// A customer of one of our numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Customer {
    /// Meta's id of the number they wrote to.
    pub phone_number_id: String,
    /// Meta's id of them: their own number, in digits.
    pub wa_id: String,
}

/// Reads a body; what has no time happened `now`, and nothing happens later than that.
///
/// # Errors
/// If it is not JSON.
pub fn parse(body: &[u8], now: DateTime<Utc>) -> Result<ParsedWebhook, InternalError> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| InternalError::unreadable("a webhook", &error))?;
    let mut webhook = ParsedWebhook::default();

    for change in each(&body["entry"]).flat_map(|entry| each(&entry["changes"])) {
        let value = &change["value"];
        if change["field"] != "messages"
            || !(value["statuses"].is_array() || value["messages"].is_array())
        {
            webhook.ignored += 1;
            continue;
        }

        for status in each(&value["statuses"]) {
            match receipt(status, now) {
                Some(receipt) => webhook.receipts.push(receipt),
                None => webhook.ignored += 1,
            }
        }
        for message in each(&value["messages"]) {
            match sender(&value["metadata"], message, now) {
                Some((customer, at)) => {
                    let last = webhook.customers.entry(customer).or_insert(at);
                    *last = at.max(*last);
                }
                None => webhook.ignored += 1,
            }
        }
    }

    Ok(webhook)
}

/// Returns the customer who wrote a message, and when. WhatsApp's own notices, such as a customer's
/// new number
/// ([`system`](https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/system)),
/// and messages in a group were not written to the business.
fn sender(
    metadata: &Value,
    message: &Value,
    now: DateTime<Utc>,
) -> Option<(Customer, DateTime<Utc>)> {
    let word = |value: &Value| value.as_str().filter(|word| !word.is_empty()).map(str::to_owned);
    if message["type"] == "system" || !message["group_id"].is_null() {
        return None;
    }
    let customer = Customer {
        phone_number_id: word(&metadata["phone_number_id"])?,
        wa_id: word(&message["from"])?,
    };
    Some((customer, time(&message["timestamp"], now).min(now)))
}

/// Reads seconds since 1970, as text.
fn time(timestamp: &Value, now: DateTime<Utc>) -> DateTime<Utc> {
    let seconds = timestamp.as_str().and_then(|seconds| seconds.parse().ok());
    seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0)).unwrap_or(now)
}

/// A status, as far as it is read. The texts of its errors may quote the customer and are not read.
#[derive(Deserialize)]
struct StatusJson {
    id: String,
    status: String,
    #[serde(default)]
    timestamp: Value,
    #[serde(default)]
    errors: Vec<ErrorJson>,
    biz_opaque_callback_data: String,
}

#[derive(Deserialize)]
struct ErrorJson {
    code: Option<i64>,
}

fn receipt(status: &Value, now: DateTime<Utc>) -> Option<(MessageReference, Receipt)> {
    let status = StatusJson::deserialize(status).ok()?;
    let reported = match status.status.as_str() {
        "sent" => ReportedStatus::Sent,
        "delivered" => ReportedStatus::Delivered,
        "read" => ReportedStatus::Read,
        "failed" => ReportedStatus::Failed(whatsapp::failure_reason(
            status.errors.first().and_then(|error| error.code),
        )),
        _ => return None,
    };

    let (about, part) = Part::parse_callback_data(&status.biz_opaque_callback_data)?;
    let at = time(&status.timestamp, now);
    Some((about, Receipt { reported, part, at, provider_id: Some(status.id) }))
}

fn each(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const NOW: DateTime<Utc> = DateTime::from_timestamp(1_772_356_000, 0).expect("a time");
    const OURS: &str = "8d0a1c52-6b1e-4f0e-9a3b-2c6f6f1f3a10.6f1c1f0e-3a57-4a39-9a55-6c1e7bb7d1a4.0198f3c2-7a10-7000-8001-9d4c5b6a7f80";

    fn status(change: impl FnOnce(&mut Value)) -> Value {
        let mut status = json!({ "id": "wamid.1", "status": "sent", "timestamp": "1772355901",
            "recipient_id": "16505551234", "biz_opaque_callback_data": OURS });
        change(&mut status);
        status
    }

    fn parse_changes(changes: Value) -> ParsedWebhook {
        let body = json!({ "object": "whatsapp_business_account", "entry": [{ "id": "1", "changes": changes }] });
        parse(body.to_string().as_bytes(), NOW).expect("it is JSON")
    }

    fn of(statuses: Value) -> ParsedWebhook {
        parse_changes(
            json!([{ "field": "messages", "value": { "messaging_product": "whatsapp", "statuses": statuses } }]),
        )
    }

    fn one(change: impl FnOnce(&mut Value)) -> Receipt {
        let parsed = of(json!([status(change)]));
        assert_eq!((parsed.receipts.len(), parsed.ignored), (1, 0), "{parsed:?}");
        let (about, receipt) = parsed.receipts.into_iter().next().expect("there is one");
        assert_eq!(about.to_string(), OURS);
        receipt
    }

    #[test]
    fn the_four_statuses_are_read() {
        let sent = one(|_| ());
        assert_eq!(
            (sent.reported, sent.provider_id.as_deref()),
            (ReportedStatus::Sent, Some("wamid.1"))
        );

        assert_eq!(sent.at.timestamp(), 1_772_355_901);
        assert_eq!(
            one(|status| status["status"] = json!("delivered")).reported,
            ReportedStatus::Delivered
        );

        assert_eq!(one(|status| status["status"] = json!("read")).reported, ReportedStatus::Read);
        let failed = |errors: Value| match one(|status| {
            status["status"] = json!("failed");
            status["errors"] = errors;
        }) {
            Receipt { reported: ReportedStatus::Failed(reason), .. } => {
                (reason.code, reason.provider_code)
            }
            other => panic!("{other:?}"),
        };

        let unreachable =
            json!([{ "code": 131_026, "title": "Message undeliverable", "href": "…" }]);
        assert_eq!(failed(unreachable), ("recipient_unreachable".into(), Some("131026".into())));
        assert_eq!(failed(json!([{ "code": 42 }])), ("undeliverable".into(), Some("42".into())));

        assert_eq!(failed(json!([])), ("undeliverable".into(), None));
    }

    #[test]
    fn a_status_may_be_of_one_part() {
        let name = |suffix: &str| json!(format!("{OURS}{suffix}"));
        let parsed =
            of(json!([status(|status| status["biz_opaque_callback_data"] = name(".2.3"))]));
        assert_eq!(parsed.receipts[0].0.to_string(), OURS);
        assert_eq!(parsed.receipts[0].1.part, Part { number: 2, of: 3 });
        let odd = of(json!([status(|status| status["biz_opaque_callback_data"] = name(".3.2"))]));
        assert_eq!((odd.receipts.len(), odd.ignored), (0, 1));
        assert_eq!(one(|_| ()).part, Part::WHOLE);
    }

    #[test]
    fn who_wrote_is_read_and_when_they_did_last() {
        let value = |messages: Value| {
            let metadata = json!({ "display_phone_number": "15550783881", "phone_number_id": "106540352242922" });
            json!({ "messaging_product": "whatsapp", "metadata": metadata, "messages": messages })
        };

        let wrote = |from: &str, timestamp: &str, kind: &str| json!({ "from": from, "id": "wamid.1", "timestamp": timestamp, "type": kind });
        let parsed = parse_changes(json!([
            { "field": "messages", "value": value(json!([
                wrote("16505551234", "1772355902", "text"), wrote("16505551234", "1772355901", "image"),
                wrote("16505559999", "1772999999", "button"), wrote("16505550000", "1772355902", "system"), 7,
            ])) },
            { "field": "messages", "value": value(json!([wrote("", "1772355902", "text")])) },
            { "field": "messages", "value": { "messages": [wrote("16505551234", "1772355903", "text")] } },
        ]));
        let customer = |wa_id: &str| Customer {
            phone_number_id: "106540352242922".into(),
            wa_id: wa_id.into(),
        };

        let at = DateTime::from_timestamp(1_772_355_902, 0).expect("a time");
        let expected =
            BTreeMap::from([(customer("16505551234"), at), (customer("16505559999"), NOW)]);

        assert_eq!((parsed.customers, parsed.ignored), (expected, 4));
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
            |status| {
                drop(status.as_object_mut().expect("an object").remove("biz_opaque_callback_data"))
            },
            |status| status["id"] = json!(null),
            |status| *status = json!("a status"),
        ];
        let mut statuses: Vec<Value> = foreign.into_iter().map(status).collect();
        statuses.push(status(|status| status["pricing"] = json!({ "billable": true })));
        let parsed = of(json!(statuses));

        assert_eq!((parsed.receipts.len(), parsed.ignored), (1, 6), "{parsed:?}");
    }

    #[test]
    fn other_changes_and_other_shapes_are_left_alone() {
        let errors = json!({ "errors": [{ "code": 130_429 }] });
        let changes = json!([
            { "field": "messages", "value": errors }, { "field": "account_update", "value": { "statuses": [1] } }, 7,
        ]);
        assert_eq!(
            parse_changes(changes),
            ParsedWebhook { ignored: 3, ..ParsedWebhook::default() }
        );
        for body in ["{}", "[]", "7", r#"{"entry": 7}"#, r#"{"entry": [{"changes": {}}]}"#] {
            assert_eq!(parse(body.as_bytes(), NOW).ok(), Some(ParsedWebhook::default()), "{body}");
        }
        let secret = parse(br#"{"secret": }"#, NOW).expect_err("it is not JSON").chain();
        assert!(!secret.contains("secret\""), "{secret}");
    }
}
