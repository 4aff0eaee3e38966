//! Whole webhooks, and the samples that the tests of the submodules share.

use serde_json::{Value, json};

use super::*;
use domain::channel::whatsapp::CustomerId;

pub(super) const NOW: DateTime<Utc> = DateTime::from_timestamp(1_772_356_000, 0).expect("a time");
pub(super) const OURS: &str = "8d0a1c52-6b1e-4f0e-9a3b-2c6f6f1f3a10.6f1c1f0e-3a57-4a39-9a55-6c1e7bb7d1a4.0198f3c2-7a10-7000-8001-9d4c5b6a7f80";
pub(super) const NUMBER: &str = "106540352242922";
pub(super) const USER_ID: &str = "US.13491208655302741918";
pub(super) const PARENT_ID: &str = "US.ENT.11815799212886844830";

pub(super) fn status(change: impl FnOnce(&mut Value)) -> Value {
    let mut status = json!({ "id": "wamid.1", "status": "sent", "timestamp": "1772355901",
        "recipient_id": "16505551234", "biz_opaque_callback_data": format!("{OURS}.tag") });
    change(&mut status);
    status
}

pub(super) fn body(changes: &Value) -> String {
    json!({ "object": "whatsapp_business_account", "entry": [{ "id": "1", "changes": changes }] })
        .to_string()
}

pub(super) fn parse_changes(changes: Value) -> ParsedWebhook {
    parse(body(&changes).as_bytes(), NOW)
}

pub(super) fn of(statuses: Value) -> ParsedWebhook {
    messages(json!({ "statuses": statuses }))
}

/// A notification with these members beside the number.
pub(super) fn value(members: Value) -> Value {
    let mut value = json!({ "messaging_product": "whatsapp",
        "metadata": { "display_phone_number": "15550783881", "phone_number_id": NUMBER } });
    let members = members.as_object().cloned().expect("an object");
    value.as_object_mut().expect("an object").extend(members);
    value
}

pub(super) fn messages(members: Value) -> ParsedWebhook {
    parse_changes(json!([{ "field": "messages", "value": value(members) }]))
}

pub(super) fn customer(names: &[&str]) -> Customer {
    let names = names.iter().map(|name| CustomerId::parse(name).expect("a name")).collect();
    Customer { phone_number_id: NUMBER.into(), names }
}

pub(super) fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(seconds, 0).expect("a time")
}

/// The ways in which a value may be another than expected, as they stand in a body.
const ODD: [&str; 19] = [
    "null",
    "true",
    "7",
    "-7",
    "7.5",
    "1e999",
    "-1e999",
    "99999999999999999999999999",
    "NaN",
    "-Infinity",
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
    let read: Vec<_> =
        odd_bodies(&odd).iter().map(|body| parse(body.as_bytes(), NOW).receipts.len()).collect();
    let texts = ODD.iter().filter(|odd| odd.starts_with('"') && !odd.contains('\\')).count();
    assert_eq!(read.iter().filter(|read| **read == 1).count(), read.len() - texts, "{read:?}");

    let spoilt =
        r#"{"entry": [7, {"changes": 7}, {"id": "\ud83d", "changes": CHANGES}], "\ud83d": 1e999}"#;
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
fn other_changes_are_left_alone() {
    let errors = json!({ "errors": [{ "code": 130_429 }] });
    let changes = json!([
        { "field": "messages", "value": errors }, { "field": "account_update", "value": { "statuses": [1] } },
    ]);
    assert_eq!(parse_changes(changes), ParsedWebhook { ignored: 2, ..ParsedWebhook::default() });
}

#[test]
fn one_item_that_could_be_read_makes_a_call_readable_whatever_it_is() {
    let receipts = of(json!([status(|_| ())])).receipts;
    let customers = BTreeMap::from([(customer(&["16505551234"]), NOW)]);
    let change = CustomerChange {
        phone_number_id: NUMBER.into(),
        old: customer(&["16505551234"]).names,
        new: customer(&["16505555678"]).names,
        at: NOW,
    };
    let nothing = ParsedWebhook { unreadable: 1, ..ParsedWebhook::default() };
    let read = [
        ParsedWebhook { receipts, ..nothing.clone() },
        ParsedWebhook { customers, ..nothing.clone() },
        ParsedWebhook { changes: vec![change], ..nothing.clone() },
        ParsedWebhook { ignored: 1, ..nothing.clone() },
    ];

    assert!(nothing.is_unreadable());
    for one in &read {
        assert!(!one.is_unreadable(), "{one:?}");
        for other in &read {
            let both = ParsedWebhook {
                receipts: [one.receipts.clone(), other.receipts.clone()].concat(),
                customers: one
                    .customers
                    .clone()
                    .into_iter()
                    .chain(other.customers.clone())
                    .collect(),
                texts: one.texts.clone(),
                changes: [one.changes.clone(), other.changes.clone()].concat(),
                ignored: one.ignored + other.ignored,
                unreadable: 2,
            };
            assert!(!both.is_unreadable(), "{both:?}");
        }
    }
}

#[test]
fn whatever_is_not_read_is_counted_once() {
    let change = |field: &str, value: Value| json!([{ "field": field, "value": value }]);
    let foreign = status(|status| status["biz_opaque_callback_data"] = json!("campaign.7"));
    let table = [
        (json!([7]), (0, 1)),
        (json!([{ "field": "messages" }]), (0, 1)),
        (change("messages", json!(7)), (0, 1)),
        (change("messages", json!({ "statuses": 7 })), (0, 1)),
        (change("messages", json!({ "statuses": [7] })), (0, 1)),
        (change("calls", json!({ "calls": [7] })), (0, 1)),
        (change("messages", json!({ "statuses": [foreign] })), (1, 0)),
        (change("messages", json!({})), (1, 0)),
        (change("account_update", json!(7)), (1, 0)),
        (change("calls", json!({ "calls": null })), (0, 0)),
        (json!(null), (0, 0)),
    ];
    for (changes, counts) in table {
        let parsed = parse_changes(changes.clone());
        assert_eq!((parsed.ignored, parsed.unreadable), counts, "{changes}");
    }

    assert_eq!(parse(br#"{"entry": [7]}"#, NOW).unreadable, 1);
    assert_eq!(parse(b"7", NOW).unreadable, 1);
}

/// A contact who shares no name with an item is its sender only if there is no other item.
#[test]
fn a_message_and_a_call_are_two_items() {
    let contacts = json!([{ "wa_id": "16505551234" }]);
    let item = json!({ "from_user_id": USER_ID, "timestamp": "1772355902", "type": "text",
        "event": "connect", "direction": "USER_INITIATED" });
    let names = |members: Value| {
        let parsed = parse_changes(json!([{ "field": "messages", "value": value(members) }]));
        parsed.customers.into_keys().flat_map(|customer| customer.names).count()
    };

    assert_eq!(names(json!({ "contacts": contacts, "messages": [item] })), 2);
    assert_eq!(names(json!({ "contacts": contacts, "calls": [item] })), 2);
    assert_eq!(names(json!({ "contacts": contacts, "messages": [item], "calls": [item] })), 1);
}
