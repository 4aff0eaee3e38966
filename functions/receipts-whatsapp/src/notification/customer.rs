//! The customers who wrote or called, and those who have other names now.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::item::{Customer, CustomerChange, Item};
use super::members::{Members, id, name, present, text, time};
use domain::channel::whatsapp::CustomerId;
use platform::lenient_json::Node;

/// The part of a notification that stands beside its messages and calls, and is about all of them.
pub(super) struct Envelope {
    /// Meta's id of the number that is told.
    phone_number_id: Option<String>,
    /// The names of each contact.
    contacts: Vec<Vec<CustomerId>>,
    /// The contact that has a name, by the name's lookup key.
    by_name: BTreeMap<String, usize>,
    /// True if there is but one message or call.
    has_one_item: bool,
}

/// Returns Meta's id of the number that a notification is about.
pub(super) fn phone_number_id(value: &Members<'_>) -> Option<String> {
    value.get("metadata").and_then(|metadata| id(&metadata.members()?, "phone_number_id"))
}

impl Envelope {
    /// Reads what stands beside so many messages and calls.
    pub(super) fn new(value: &Members<'_>, items: usize) -> Envelope {
        let list = value.get("contacts").and_then(|contacts| contacts.items());
        let contacts: Vec<Vec<CustomerId>> =
            list.into_iter().flatten().map(contact_names).collect();

        let mut by_name = BTreeMap::new();
        for (index, names) in contacts.iter().enumerate() {
            for name in names {
                by_name.entry(name.lookup_key()).or_insert(index);
            }
        }

        Envelope {
            phone_number_id: phone_number_id(value),
            contacts,
            by_name,
            has_one_item: items == 1,
        }
    }

    /// Returns the customer whom a message or a call is from, and when it was. A customer with a
    /// user name may come without their number ([user
    /// ids](https://developers.facebook.com/documentation/business-messaging/whatsapp/business-scoped-user-ids/)).
    fn customer(&self, item: &Members<'_>, now: DateTime<Utc>) -> Item<(Customer, DateTime<Utc>)> {
        let members = ["from", "from_user_id", "from_parent_user_id"];
        let own = distinct(members.into_iter().filter_map(|member| name(item, member)));
        let contact = self.contact_of(&own);
        let names = distinct(own.iter().chain(contact).cloned());

        match &self.phone_number_id {
            Some(phone_number_id) if !names.is_empty() => {
                let customer = Customer { phone_number_id: phone_number_id.clone(), names };
                Item::Read((customer, time(item, now)))
            }
            _ => Item::Unreadable,
        }
    }

    /// Returns all names of the contact who has one of these: the contact's number and user id are
    /// the same person's. A single contact stands beside a single item for its sender.
    fn contact_of(&self, own: &[CustomerId]) -> &[CustomerId] {
        let shared = own.iter().find_map(|name| self.by_name.get(&name.lookup_key()));
        match (shared, &self.contacts[..]) {
            (Some(index), contacts) => &contacts[*index],
            (None, [only]) if self.has_one_item => only,
            _ => &[],
        }
    }
}

/// Returns the customer who wrote a message, and when. A message in a group was not written to the
/// business alone.
pub(super) fn sender(
    envelope: &Envelope,
    message: &Members<'_>,
    now: DateTime<Utc>,
) -> Item<(Customer, DateTime<Utc>)> {
    match present(message, "group_id") {
        Some(_) => Item::Ignored,
        None => envelope.customer(message, now),
    }
}

/// Returns the customer who called, and when. "When a WhatsApp user messages you or calls you, a
/// 24-hour timer called a customer service window starts" ([service
/// messages](https://developers.facebook.com/documentation/business-messaging/whatsapp/messages/send-messages)).
pub(super) fn caller(
    envelope: &Envelope,
    call: &Members<'_>,
    now: DateTime<Utc>,
) -> Item<(Customer, DateTime<Utc>)> {
    let begins = text(call, "event").as_deref() == Some("connect");
    let is_customers = text(call, "direction").as_deref() == Some("USER_INITIATED");
    if begins && is_customers { envelope.customer(call, now) } else { Item::Ignored }
}

/// Returns the change that a system message tells of. Other messages of the system, such as that a
/// customer's security code is another one, were not written by the customer.
pub(super) fn change(
    envelope: &Envelope,
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

    let new_members = ["wa_id", "new_wa_id", "user_id", "parent_user_id"];
    let new = distinct(new_members.into_iter().filter_map(|member| name(&system, member)));

    let old_members = ["customer", "previous_user_id", "previous_parent_user_id"];
    let former = old_members.into_iter().filter_map(|member| name(&system, member));
    let mut old = distinct(name(message, "from").into_iter().chain(former));
    old.retain(|name| !new.contains(name));

    match &envelope.phone_number_id {
        Some(phone_number_id) if !old.is_empty() && !new.is_empty() => {
            let phone_number_id = phone_number_id.clone();
            Item::Read(CustomerChange { phone_number_id, old, new, at: time(message, now) })
        }
        _ => Item::Unreadable,
    }
}

fn contact_names(contact: Node<'_>) -> Vec<CustomerId> {
    let contact = contact.members().unwrap_or_default();
    let members = ["wa_id", "user_id", "parent_user_id"];
    distinct(members.into_iter().filter_map(|member| name(&contact, member)))
}

/// Returns each name once, in their order.
fn distinct(all: impl Iterator<Item = CustomerId>) -> Vec<CustomerId> {
    let mut names: Vec<CustomerId> = Vec::new();
    for name in all {
        if names.iter().all(|known| known.lookup_key() != name.lookup_key()) {
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::super::tests::{
        NOW, NUMBER, PARENT_ID, USER_ID, at, customer, messages, parse_changes, value,
    };
    use super::*;

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
    fn a_contact_is_of_the_sender_whose_name_it_has() {
        let anna = json!({ "wa_id": "16505551234", "user_id": USER_ID });
        let ben = json!({ "wa_id": "16505559999", "user_id": "US.2" });
        let wrote = json!([{ "from": "16505551234", "type": "text" }, { "from": "16505559999", "type": "text" }]);

        for (contacts, annas, bens) in [
            (json!([anna, ben]), vec!["16505551234", USER_ID], vec!["16505559999", "US.2"]),
            (json!([ben, 7, anna]), vec!["16505551234", USER_ID], vec!["16505559999", "US.2"]),
            (json!([anna]), vec!["16505551234", USER_ID], vec!["16505559999"]),
            (json!([{ "user_id": USER_ID }]), vec!["16505551234"], vec!["16505559999"]),
        ] {
            let parsed = messages(json!({ "contacts": contacts, "messages": wrote }));
            let customers: Vec<_> = parsed.customers.into_keys().collect();
            assert_eq!(customers, [customer(&annas), customer(&bens)], "{contacts}");
        }
    }

    #[test]
    fn a_name_that_is_too_long_for_one_is_none() {
        let text = |from: String, number: String| {
            let message = json!({ "from": from, "from_user_id": USER_ID, "type": "text" });
            let mut value = value(json!({ "messages": [message] }));
            value["metadata"]["phone_number_id"] = json!(number);
            parse_changes(json!([{ "field": "messages", "value": value }]))
        };

        for from in ["7".repeat(16), "7".repeat(3_000), format!("US.{}", "7".repeat(3_000))] {
            let parsed = text(from, NUMBER.into());
            assert_eq!(parsed.customers.into_keys().collect::<Vec<_>>(), [customer(&[USER_ID])]);
        }
        let parsed = text("16505551234".into(), "7".repeat(3_000));
        assert_eq!((parsed.customers.len(), parsed.unreadable), (0, 1));
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
}
