//! Reads a webhook's body: the receipts of our messages ([status
//! messages](https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/status)),
//! the customers who wrote
//! ([messages](https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/text))
//! or called
//! ([calls](https://developers.facebook.com/documentation/business-messaging/whatsapp/calling/user-initiated-calls)),
//! and those who have a new number ([system
//! messages](https://developers.facebook.com/documentation/business-messaging/whatsapp/webhooks/reference/messages/system/)).
//!
//! Meta adds fields, statuses and kinds of changes at any time, and one call may hold many. So each
//! item is read on its own, and only what it needs of it: an item that cannot be read is counted
//! and skipped, and so is what is none of ours. Of a customer's message only its sender, number and
//! time are read, never its text.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use domain::channel::whatsapp::{self, CustomerId};
use domain::delivery::{MessageReference, Part, Receipt, ReportedStatus};
use platform::lenient_json::{self, Node};

/// The content of a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParsedWebhook {
    /// The receipts of our messages.
    pub receipts: Vec<(MessageReference, Receipt)>,
    /// The customers who wrote or called, with the time of the last time.
    pub customers: BTreeMap<Customer, DateTime<Utc>>,
    /// The customers who have other names now.
    pub changes: Vec<CustomerChange>,
    /// How many items were something else.
    pub ignored: usize,
    /// How many items could not be read.
    pub unreadable: usize,
}

/// A customer of one of our numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Customer {
    /// Meta's id of the number they wrote to.
    pub phone_number_id: String,
    /// Their names at Meta; one at least.
    pub names: Vec<CustomerId>,
}

/// A customer's change of number or user id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerChange {
    /// Meta's id of the number that is told.
    pub phone_number_id: String,
    /// The names that they had; one at least.
    pub old: Vec<CustomerId>,
    /// The names that they have instead; one at least.
    pub new: Vec<CustomerId>,
    /// When they changed.
    pub at: DateTime<Utc>,
}

impl ParsedWebhook {
    /// True if there is something in the call and nothing of it could be read.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        let read = self.receipts.len() + self.customers.len() + self.changes.len() + self.ignored;
        self.unreadable > 0 && read == 0
    }
}

/// Reads a body; what has no time happened `now`, and nothing happens later than that.
#[must_use]
pub fn parse(body: &[u8], now: DateTime<Utc>) -> ParsedWebhook {
    let mut reader = Reader { webhook: ParsedWebhook::default(), now };
    let body = lenient_json::repair(body);

    match Node::document(&body).and_then(Node::members) {
        Some(members) => {
            for entry in reader.items(&members, "entry") {
                reader.read_entry(entry);
            }
        }
        None => reader.webhook.unreadable += 1,
    }

    reader.webhook
}

/// The members of an object.
type Members<'a> = BTreeMap<String, Node<'a>>;

/// The outcome of reading one item.
enum Item<T> {
    Read(T),
    Ignored,
    Unreadable,
}

struct Reader {
    webhook: ParsedWebhook,
    now: DateTime<Utc>,
}

impl Reader {
    fn read_entry(&mut self, entry: Node<'_>) {
        let Some(members) = entry.members() else {
            self.webhook.unreadable += 1;
            return;
        };
        for change in self.items(&members, "changes") {
            self.read_change(change);
        }
    }

    fn read_change(&mut self, change: Node<'_>) {
        let Some(members) = change.members() else {
            self.webhook.unreadable += 1;
            return;
        };
        // A field that cannot be read may be one of ours: what is in it tells.
        if text(&members, "field").is_some_and(|field| field != "messages" && field != "calls") {
            self.webhook.ignored += 1;
            return;
        }
        let Some(value) = members.get("value").and_then(|value| value.members()) else {
            self.webhook.unreadable += 1;
            return;
        };
        if !["statuses", "messages", "calls"].iter().any(|name| value.contains_key(*name)) {
            self.webhook.ignored += 1;
            return;
        }

        for status in self.items(&value, "statuses") {
            match status.members().map(|status| receipt(&status, self.now)) {
                Some(Item::Read(receipt)) => self.webhook.receipts.push(receipt),
                Some(Item::Ignored) => self.webhook.ignored += 1,
                Some(Item::Unreadable) | None => self.webhook.unreadable += 1,
            }
        }
        for message in self.items(&value, "messages") {
            self.read_message(&value, message);
        }
        for call in self.items(&value, "calls") {
            let call = call.members().map(|call| caller(&value, &call));
            self.note_customer(call.unwrap_or(Item::Unreadable));
        }
    }

    fn read_message(&mut self, value: &Members<'_>, message: Node<'_>) {
        let Some(message) = message.members() else {
            self.webhook.unreadable += 1;
            return;
        };
        if text(&message, "type").as_deref() != Some("system") {
            self.note_customer(sender(value, &message));
            return;
        }

        match customer_change(value, &message, self.now) {
            Item::Read(change) => self.webhook.changes.push(change),
            Item::Ignored => self.webhook.ignored += 1,
            Item::Unreadable => self.webhook.unreadable += 1,
        }
    }

    /// Notes a customer who wrote or called.
    fn note_customer(&mut self, customer: Item<(Customer, Option<DateTime<Utc>>)>) {
        match customer {
            Item::Read((customer, at)) => {
                let at = at.unwrap_or(self.now).min(self.now);
                let last = self.webhook.customers.entry(customer).or_insert(at);
                *last = at.max(*last);
            }
            Item::Ignored => self.webhook.ignored += 1,
            Item::Unreadable => self.webhook.unreadable += 1,
        }
    }

    /// Returns the items of a list; a list that is none cannot be read.
    fn items<'a>(&mut self, members: &Members<'a>, name: &str) -> Vec<Node<'a>> {
        let Some(list) = members.get(name).filter(|list| !list.is_null()) else {
            return Vec::new();
        };
        list.items().unwrap_or_else(|| {
            self.webhook.unreadable += 1;
            Vec::new()
        })
    }
}

/// Reads a status. The texts of its errors may quote the customer and are not read.
fn receipt(status: &Members<'_>, now: DateTime<Utc>) -> Item<(MessageReference, Receipt)> {
    // Messages that something else sent with this number carry no reference, or one of its own.
    let Some(callback_data) = present(status, "biz_opaque_callback_data") else {
        return Item::Ignored;
    };
    let Some(callback_data) = callback_data.text().filter(|text| is_whole(text)) else {
        return Item::Unreadable;
    };
    let Some((about, part)) = Part::parse_callback_data(&callback_data) else {
        return Item::Ignored;
    };

    let Some(word) = text(status, "status") else { return Item::Unreadable };
    let reported = match word.as_str() {
        "sent" => ReportedStatus::Sent,
        "delivered" => ReportedStatus::Delivered,
        "read" => ReportedStatus::Read,
        "failed" => ReportedStatus::Failed(whatsapp::failure_reason(error_code(status))),
        _ => return Item::Ignored,
    };

    let at = time(status).unwrap_or(now);
    Item::Read((about, Receipt { reported, part, at, provider_id: text(status, "id") }))
}

/// Returns the code of a status's first error.
fn error_code(status: &Members<'_>) -> Option<i64> {
    let errors = present(status, "errors")?;
    let first = errors.items().map_or(Some(errors), |errors| errors.first().copied());
    first?.member("code")?.integer()
}

/// Returns the customer who wrote a message, and when. A message in a group was not written to the
/// business alone.
fn sender(value: &Members<'_>, message: &Members<'_>) -> Item<(Customer, Option<DateTime<Utc>>)> {
    match present(message, "group_id") {
        Some(_) => Item::Ignored,
        None => customer(value, message),
    }
}

/// Returns the customer who called, and when. "When a WhatsApp user messages you or calls you, a
/// 24-hour timer called a customer service window starts" ([service
/// messages](https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages)).
fn caller(value: &Members<'_>, call: &Members<'_>) -> Item<(Customer, Option<DateTime<Utc>>)> {
    let begins = text(call, "event").as_deref() == Some("connect");
    let is_customers = text(call, "direction").as_deref() == Some("USER_INITIATED");
    if begins && is_customers { customer(value, call) } else { Item::Ignored }
}

/// Returns the customer whom a message or a call is from. A customer with a user name may come
/// without their number ([user
/// ids](https://developers.facebook.com/documentation/business-messaging/whatsapp/business-scoped-user-ids/)).
fn customer(value: &Members<'_>, item: &Members<'_>) -> Item<(Customer, Option<DateTime<Utc>>)> {
    // The contact stands beside the items. Where there is one, it is theirs.
    let contacts = value.get("contacts").and_then(|contacts| contacts.items()).unwrap_or_default();
    let contact = match contacts[..] {
        [only] => only.members().unwrap_or_default(),
        _ => Members::default(),
    };

    let names = names([
        name(item, "from"),
        name(&contact, "wa_id"),
        name(item, "from_user_id"),
        name(&contact, "user_id"),
        name(item, "from_parent_user_id"),
        name(&contact, "parent_user_id"),
    ]);

    match phone_number_id(value) {
        Some(phone_number_id) if !names.is_empty() => {
            Item::Read((Customer { phone_number_id, names }, time(item)))
        }
        _ => Item::Unreadable,
    }
}

/// Returns the change that a system message tells of. Other messages of the system, such as that a
/// customer's security code is another one, were not written by the customer.
fn customer_change(
    value: &Members<'_>,
    message: &Members<'_>,
    now: DateTime<Utc>,
) -> Item<CustomerChange> {
    let system = message.get("system").and_then(|system| system.members()).unwrap_or_default();
    let kind = text(&system, "type").unwrap_or_default();
    // Meta has called the first one by two names.
    if !["user_changed_number", "customer_changed_number", "user_changed_user_id"]
        .contains(&kind.as_str())
    {
        return Item::Ignored;
    }

    let new = names([
        name(&system, "wa_id"),
        name(&system, "new_wa_id"),
        name(&system, "user_id"),
        name(&system, "parent_user_id"),
    ]);
    let mut old = names([
        name(message, "from"),
        name(&system, "customer"),
        name(&system, "previous_user_id"),
        name(&system, "previous_parent_user_id"),
    ]);
    old.retain(|name| !new.contains(name));

    match phone_number_id(value) {
        Some(phone_number_id) if !old.is_empty() && !new.is_empty() => {
            let at = time(message).unwrap_or(now).min(now);
            Item::Read(CustomerChange { phone_number_id, old, new, at })
        }
        _ => Item::Unreadable,
    }
}

fn phone_number_id(value: &Members<'_>) -> Option<String> {
    let id = value.get("metadata")?.member("phone_number_id")?;
    let number = || Some(id.integer()?.to_string());
    id.text().filter(|id| !id.is_empty() && is_whole(id)).or_else(number)
}

/// Returns each name once, in their order.
fn names<const N: usize>(all: [Option<CustomerId>; N]) -> Vec<CustomerId> {
    let mut names: Vec<CustomerId> = Vec::new();
    for name in all.into_iter().flatten() {
        if names.iter().all(|known| known.lookup_key() != name.lookup_key()) {
            names.push(name);
        }
    }
    names
}

fn name(members: &Members<'_>, member: &str) -> Option<CustomerId> {
    CustomerId::parse(&text(members, member)?)
}

/// Reads seconds since 1970, as a text or a number.
fn time(members: &Members<'_>) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(members.get("timestamp")?.integer()?, 0)
}

/// Returns a text that could be read whole.
fn text(members: &Members<'_>, name: &str) -> Option<String> {
    members.get(name)?.text().filter(|text| is_whole(text))
}

fn present<'a>(members: &Members<'a>, name: &str) -> Option<Node<'a>> {
    members.get(name).copied().filter(|member| !member.is_null())
}

/// False for a text of which a part could not be read.
fn is_whole(text: &str) -> bool {
    !text.contains('\u{fffd}')
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: DateTime<Utc> = DateTime::from_timestamp(1_772_356_000, 0).expect("a time");
    const OURS: &str = "8d0a1c52-6b1e-4f0e-9a3b-2c6f6f1f3a10.6f1c1f0e-3a57-4a39-9a55-6c1e7bb7d1a4.0198f3c2-7a10-7000-8001-9d4c5b6a7f80";
    const NUMBER: &str = "106540352242922";
    const USER_ID: &str = "US.13491208655302741918";
    const PARENT_ID: &str = "US.ENT.11815799212886844830";

    fn status(change: impl FnOnce(&mut Value)) -> Value {
        let mut status = json!({ "id": "wamid.1", "status": "sent", "timestamp": "1772355901",
            "recipient_id": "16505551234", "biz_opaque_callback_data": OURS });
        change(&mut status);
        status
    }

    fn body(changes: &Value) -> String {
        json!({ "object": "whatsapp_business_account", "entry": [{ "id": "1", "changes": changes }] })
            .to_string()
    }

    fn parse_changes(changes: Value) -> ParsedWebhook {
        parse(body(&changes).as_bytes(), NOW)
    }

    fn of(statuses: Value) -> ParsedWebhook {
        parse_changes(
            json!([{ "field": "messages", "value": { "messaging_product": "whatsapp", "statuses": statuses } }]),
        )
    }

    /// A notification with these members beside the number.
    fn value(members: Value) -> Value {
        let mut value = json!({ "messaging_product": "whatsapp",
            "metadata": { "display_phone_number": "15550783881", "phone_number_id": NUMBER } });
        let members = members.as_object().cloned().expect("an object");
        value.as_object_mut().expect("an object").extend(members);
        value
    }

    fn messages(members: Value) -> ParsedWebhook {
        parse_changes(json!([{ "field": "messages", "value": value(members) }]))
    }

    fn one(change: impl FnOnce(&mut Value)) -> Receipt {
        let parsed = of(json!([status(change)]));
        let counts = (parsed.receipts.len(), parsed.ignored, parsed.unreadable);
        assert_eq!(counts, (1, 0, 0), "{parsed:?}");
        let (about, receipt) = parsed.receipts.into_iter().next().expect("there is one");
        assert_eq!(about.to_string(), OURS);
        receipt
    }

    fn customer(names: &[&str]) -> Customer {
        let names = names.iter().map(|name| CustomerId::parse(name).expect("a name")).collect();
        Customer { phone_number_id: NUMBER.into(), names }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("a time")
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
    }

    #[test]
    fn a_failure_is_read_whatever_its_errors_look_like() {
        for (errors, code, provider_code) in [
            (
                json!([{ "code": 131_026, "title": "Message undeliverable", "href": "…" }]),
                "recipient_unreachable",
                Some("131026"),
            ),
            (json!([{ "code": "131026" }]), "recipient_unreachable", Some("131026")),
            (json!([{ "code": 131_026.0 }]), "recipient_unreachable", Some("131026")),
            (json!({ "code": 131_026 }), "recipient_unreachable", Some("131026")),
            (
                json!([{ "code": 131_047 }, { "code": 1 }]),
                "outside_messaging_window",
                Some("131047"),
            ),
            (json!([{ "code": 42 }]), "undeliverable", Some("42")),
            (json!([{ "code": "42" }]), "undeliverable", Some("42")),
            (json!([{ "code": null }]), "undeliverable", None),
            (json!([{ "code": "OAuthException" }]), "undeliverable", None),
            (json!([{}]), "undeliverable", None),
            (json!([]), "undeliverable", None),
            (json!([null]), "undeliverable", None),
            (json!(null), "undeliverable", None),
            (json!("131026"), "undeliverable", None),
            (json!(131_026), "undeliverable", None),
        ] {
            let receipt = one(|status| {
                status["status"] = json!("failed");
                status["errors"] = errors.clone();
            });
            let ReportedStatus::Failed(reason) = receipt.reported else { panic!("{errors}") };
            assert_eq!(
                (reason.code.as_str(), reason.provider_code.as_deref()),
                (code, provider_code),
                "{errors}"
            );
        }
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
    fn a_time_is_a_number_or_now() {
        assert_eq!(one(|status| status["timestamp"] = json!(1_772_355_901)).at, at(1_772_355_901));
        for time in [json!("soon"), json!(null), json!("99999999999999999"), json!([1])] {
            assert_eq!(one(|status| status["timestamp"] = time).at, NOW);
        }
    }

    #[test]
    fn what_is_none_of_ours_is_counted_and_left_alone() {
        type Change = fn(&mut Value);
        let foreign: [Change; 4] = [
            |status| status["status"] = json!("played"),
            |status| status["biz_opaque_callback_data"] = json!("campaign.7"),
            |status| status["biz_opaque_callback_data"] = json!(null),
            |status| {
                drop(status.as_object_mut().expect("an object").remove("biz_opaque_callback_data"))
            },
        ];
        let mut statuses: Vec<Value> = foreign.into_iter().map(status).collect();
        statuses.push(status(|status| status["pricing"] = json!({ "billable": true })));
        let parsed = of(json!(statuses));

        assert_eq!(
            (parsed.receipts.len(), parsed.ignored, parsed.unreadable),
            (1, 4, 0),
            "{parsed:?}"
        );
    }

    /// The ways in which a value may be another than expected, as they stand in a body.
    const ODD: [&str; 17] = [
        "null",
        "true",
        "7",
        "-7",
        "7.5",
        "1e999",
        "-1e999",
        "99999999999999999999999999",
        r#""""#,
        r#""7""#,
        r#""\ud83d""#,
        r#""\ude00x""#,
        "\"a\tb\nc\"",
        r#""\x41""#,
        "[]",
        r#"[{"code": [7]}]"#,
        r#"{"a": {"b": 1e999}}"#,
    ];

    /// Replaces the mark in a body by each odd value.
    fn odd_bodies(changes: &Value) -> Vec<String> {
        let body = body(changes);
        assert_eq!(body.matches("\"MARK\"").count(), 1, "{body}");
        let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
        let odd = ODD.iter().map(|odd| (*odd).to_owned()).chain([deep]);
        odd.map(|odd| body.replace("\"MARK\"", &odd)).collect()
    }

    #[test]
    fn an_odd_value_in_one_status_spoils_no_other() {
        let errors = json!([{ "code": 131_026, "title": "…", "error_data": { "details": "…" } }]);
        let full = status(|status| {
            status["status"] = json!("failed");
            status["errors"] = errors;
            status["pricing"] = json!({ "billable": true });
            status["conversation"] = json!({ "id": "1", "origin": { "type": "service" } });
        });
        let members = full.as_object().expect("an object");

        let mut siblings = 0;
        for name in members.keys().map(String::as_str).chain(["something_new"]) {
            let mut odd = full.clone();
            odd[name] = json!("MARK");
            let statuses = json!([status(|_| ()), odd, status(|_| ())]);
            let changes = json!([{ "field": "messages", "value": { "statuses": statuses } }]);

            for body in odd_bodies(&changes) {
                let parsed = parse(body.as_bytes(), NOW);
                let is_needed = ["status", "biz_opaque_callback_data"].contains(&name);
                let expected = if is_needed { 2 } else { 3 };
                assert_eq!(parsed.receipts.len(), expected, "{name}: {body}");
                assert_eq!(parsed.ignored + parsed.unreadable, 3 - expected, "{name}: {body}");
                assert!(!parsed.is_unreadable());
                siblings += 1;
            }
        }
        assert_eq!(siblings, (members.len() + 1) * (ODD.len() + 1));
    }

    #[test]
    fn an_odd_value_in_one_message_spoils_no_other() {
        let full = json!({ "from": "16505551234", "from_user_id": USER_ID, "id": "wamid.1",
            "timestamp": "1772355902", "type": "text", "text": { "body": "Where is it?" },
            "context": { "from": "15550783881", "id": "wamid.0" } });
        let neighbour = |from: &str| {
            json!({ "from": from, "id": "wamid.2",
            "timestamp": "1772355902", "type": "text", "text": { "body": "…" } })
        };

        for name in full.as_object().expect("an object").keys() {
            let mut odd = full.clone();
            odd[name] = json!("MARK");
            let messages = json!([neighbour("16505550001"), odd, neighbour("16505550002")]);
            let changes =
                json!([{ "field": "messages", "value": value(json!({ "messages": messages })) }]);

            for body in odd_bodies(&changes) {
                let parsed = parse(body.as_bytes(), NOW);
                for from in ["16505550001", "16505550002"] {
                    assert!(parsed.customers.contains_key(&customer(&[from])), "{name}: {body}");
                }
                let odd = parsed.customers.keys().filter(|customer| {
                    customer.names.contains(&CustomerId::UserId(USER_ID.into()))
                        || customer.names.contains(&CustomerId::Number("16505551234".into()))
                });
                assert_eq!(odd.count(), 1, "one name is enough, {name}: {body}");
            }
        }
    }

    #[test]
    fn an_odd_value_around_the_items_spoils_no_other_change() {
        let fine = json!({ "field": "messages", "value": { "statuses": [status(|_| ())] } });
        for odd in [
            json!("MARK"),
            json!({ "field": "messages", "value": "MARK" }),
            json!({ "field": "messages", "value": { "statuses": "MARK" } }),
            json!({ "field": "messages", "value": { "statuses": ["MARK"] } }),
            json!({ "field": "messages", "value": { "messages": ["MARK"] } }),
            json!({ "field": "calls", "value": { "calls": ["MARK"] } }),
            json!({ "field": "messages", "value": { "messages": [], "metadata": "MARK" } }),
            json!({ "field": "account_update", "value": "MARK" }),
        ] {
            for body in odd_bodies(&json!([fine, odd, fine])) {
                assert_eq!(parse(body.as_bytes(), NOW).receipts.len(), 2, "{body}");
            }
        }

        // What is in a change tells what it is about, if its field does not.
        let odd = json!([{ "field": "MARK", "value": { "statuses": [status(|_| ())] } }]);
        let read: Vec<_> = odd_bodies(&odd)
            .iter()
            .map(|body| parse(body.as_bytes(), NOW).receipts.len())
            .collect();
        let texts = ODD.iter().filter(|odd| odd.starts_with('"') && !odd.contains('\\')).count();
        assert_eq!(read.iter().filter(|read| **read == 1).count(), read.len() - texts, "{read:?}");

        let spoilt = r#"{"entry": [7, {"changes": 7}, {"id": "\ud83d", "changes": CHANGES}], "\ud83d": 1e999}"#;
        let body = spoilt.replace("CHANGES", &json!([fine]).to_string());
        let parsed = parse(format!("\u{feff}{body}").as_bytes(), NOW);
        assert_eq!((parsed.receipts.len(), parsed.unreadable), (1, 2));
    }

    #[test]
    fn a_call_is_unreadable_if_nothing_of_it_could_be_read() {
        let unreadable = status(|status| status["status"] = json!(7));
        let foreign = status(|status| status["biz_opaque_callback_data"] = json!("campaign.7"));
        assert!(of(json!([unreadable, unreadable])).is_unreadable());
        assert!(!of(json!([unreadable, foreign])).is_unreadable());
        assert!(!of(json!([unreadable, status(|_| ())])).is_unreadable());
        assert!(!of(json!([])).is_unreadable());

        for body in ["", "[]", "7", "null", "{", "{\"entry\": [", r#"{"entry": 7}"#, "\u{feff}"] {
            assert!(parse(body.as_bytes(), NOW).is_unreadable(), "{body}");
        }
        for body in ["{}", r#"{"entry": null}"#, r#"{"entry": []}"#, r#"{"entry": [{}]}"#] {
            assert_eq!(parse(body.as_bytes(), NOW), ParsedWebhook::default(), "{body}");
        }
    }

    #[test]
    fn who_wrote_is_read_and_when_they_did_last() {
        let wrote = |from: &str, timestamp: &str, kind: &str| json!({ "from": from, "id": "wamid.1", "timestamp": timestamp, "type": kind });
        let in_group = json!({ "from": "16505552222", "timestamp": "1772355902", "type": "text",
            "group_id": "Y2FwaV9ncm91cDo" });
        let parsed = parse_changes(json!([
            { "field": "messages", "value": value(json!({ "messages": [
                wrote("16505551234", "1772355902", "text"), wrote("16505551234", "1772355901", "image"),
                wrote("16505559999", "1772999999", "button"), wrote("16505550000", "1772355902", "system"),
                in_group, 7,
            ] })) },
            { "field": "messages", "value": value(json!({ "messages": [wrote("", "1772355902", "text")] })) },
            { "field": "messages", "value": { "messages": [wrote("16505551234", "1772355903", "text")] } },
        ]));

        let expected = BTreeMap::from([
            (customer(&["16505551234"]), at(1_772_355_902)),
            (customer(&["16505559999"]), NOW),
        ]);
        assert_eq!((parsed.customers, parsed.ignored, parsed.unreadable), (expected, 2, 3));
    }

    #[test]
    fn a_customer_has_a_number_or_a_user_id_or_both() {
        let wrote = |message: Value, contact: Value| {
            let mut message = message;
            message["timestamp"] = json!("1772355902");
            message["type"] = json!("text");
            let parsed = messages(json!({ "contacts": [contact], "messages": [message] }));
            parsed.customers.into_keys().collect::<Vec<_>>()
        };

        for (message, contact, names) in [
            (
                json!({ "from": "16505551234" }),
                json!({ "wa_id": "16505551234" }),
                vec!["16505551234"],
            ),
            (
                json!({ "from": "16505551234", "from_user_id": USER_ID }),
                json!({ "wa_id": "16505551234", "user_id": USER_ID }),
                vec!["16505551234", USER_ID],
            ),
            (
                json!({ "from_user_id": USER_ID, "from_parent_user_id": PARENT_ID }),
                json!({ "profile": { "username": "@pablomorales" }, "user_id": USER_ID }),
                vec![USER_ID, PARENT_ID],
            ),
            (json!({}), json!({ "user_id": USER_ID }), vec![USER_ID]),
            (json!({ "from": USER_ID }), json!({}), vec![USER_ID]),
            (json!({ "from": null, "from_user_id": USER_ID }), json!(null), vec![USER_ID]),
            (
                json!({ "from": "5215512345678" }),
                json!({ "wa_id": "525512345678" }),
                vec!["5215512345678"],
            ),
        ] {
            assert_eq!(wrote(message.clone(), contact), [customer(&names)], "{message}");
        }

        // Two contacts do not say whose message it is.
        let parsed = messages(json!({ "contacts": [{ "user_id": USER_ID }, { "user_id": "US.2" }],
            "messages": [{ "from": "16505551234", "type": "text" }] }));
        assert_eq!(parsed.customers.into_keys().collect::<Vec<_>>(), [customer(&["16505551234"])]);
    }

    #[test]
    fn a_customer_who_changed_has_old_and_new_names() {
        let change = |message: Value| {
            let parsed = messages(json!({ "messages": [message] }));
            (parsed.changes, parsed.ignored, parsed.unreadable)
        };
        let ids = |names: &[&str]| customer(names).names;

        for (message, old, new) in [
            (
                json!({ "from": "16505551234", "timestamp": "1772355902", "type": "system", "system": {
                    "body": "User A changed from 16505551234 to 16505550000", "wa_id": "16505550000",
                    "type": "user_changed_number" } }),
                vec!["16505551234"],
                vec!["16505550000"],
            ),
            (
                json!({ "from": "16505551234", "timestamp": "1772355902", "type": "system", "system": {
                    "type": "user_changed_number", "wa_id": "16505550000", "user_id": "US.2",
                    "parent_user_id": "US.ENT.2", "previous_user_id": "US.1",
                    "previous_parent_user_id": "US.ENT.1" } }),
                vec!["16505551234", "US.1", "US.ENT.1"],
                vec!["16505550000", "US.2", "US.ENT.2"],
            ),
            (
                json!({ "timestamp": "1772355902", "type": "system", "system": {
                    "type": "user_changed_user_id", "user_id": "US.2", "previous_user_id": "US.1" } }),
                vec!["US.1"],
                vec!["US.2"],
            ),
            (
                json!({ "from": "16505550000", "timestamp": "1772355902", "type": "system", "system": {
                    "type": "customer_changed_number", "customer": "16505551234", "new_wa_id": "16505550000" } }),
                vec!["16505551234"],
                vec!["16505550000"],
            ),
        ] {
            let (old, new) = (ids(&old), ids(&new));
            let at = at(1_772_355_902);
            let expected = CustomerChange { phone_number_id: NUMBER.into(), old, new, at };
            assert_eq!(change(message.clone()), (vec![expected], 0, 0), "{message}");
        }

        let other = json!({ "from": "16505551234", "type": "system",
            "system": { "type": "customer_identity_changed", "body": "…" } });
        assert_eq!(change(other), (Vec::new(), 1, 0));
        let nothing_new = json!({ "from": "16505551234", "type": "system",
            "system": { "type": "user_changed_number" } });
        assert_eq!(change(nothing_new), (Vec::new(), 0, 1));
    }

    #[test]
    fn a_customers_call_counts_when_it_begins() {
        let call = |event: &str, direction: &str| {
            json!({ "id": "wacid.1", "from": "16505551234",
            "from_user_id": USER_ID, "to": "15550783881", "event": event,
            "timestamp": "1772355902", "direction": direction, "session": { "sdp_type": "offer" } })
        };
        let parse_call = |call: Value| {
            let value = value(json!({ "calls": [call] }));
            parse_changes(json!([{ "field": "calls", "value": value }]))
        };

        let began = parse_call(call("connect", "USER_INITIATED"));
        let expected = BTreeMap::from([(customer(&["16505551234", USER_ID]), at(1_772_355_902))]);
        assert_eq!((began.customers, began.ignored), (expected, 0));

        for (event, direction) in [
            ("connect", "BUSINESS_INITIATED"),
            ("terminate", "USER_INITIATED"),
            ("terminate", "BUSINESS_INITIATED"),
            ("", ""),
        ] {
            let parsed = parse_call(call(event, direction));
            assert_eq!((parsed.customers.len(), parsed.ignored), (0, 1), "{event} {direction}");
        }
    }

    #[test]
    fn other_changes_are_left_alone() {
        let errors = json!({ "errors": [{ "code": 130_429 }] });
        let changes = json!([
            { "field": "messages", "value": errors }, { "field": "account_update", "value": { "statuses": [1] } },
        ]);
        assert_eq!(
            parse_changes(changes),
            ParsedWebhook { ignored: 2, ..ParsedWebhook::default() }
        );
    }
}
