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
//! and skipped, and so is what is none of ours.

mod customer;
mod item;
mod members;
mod status;
#[cfg(test)]
mod tests;
mod written;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use customer::{Envelope, phone_number_id};
use item::Item;
use members::{Members, text};
use platform::lenient_json::{self, Node};
use platform::receipts::ClaimedReceipt;

pub use item::{Customer, CustomerChange, CustomerText};

/// The content of a webhook.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParsedWebhook {
    /// The receipts of our messages.
    pub receipts: Vec<ClaimedReceipt>,
    /// The customers who wrote or called, with the time of the last time.
    pub customers: BTreeMap<Customer, DateTime<Utc>>,
    /// The texts and files that they wrote, in their order.
    pub texts: BTreeMap<Customer, Vec<CustomerText>>,
    /// The customers who have other names now.
    pub changes: Vec<CustomerChange>,
    /// How many items were something else.
    pub ignored: usize,
    /// How many items could not be read.
    pub unreadable: usize,
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

        let number = phone_number_id(&value).unwrap_or_default();
        for status in self.items(&value, "statuses") {
            let status = read(status, |status| status::receipt(&number, status, self.now));
            self.note(status, |webhook, receipt| webhook.receipts.push(receipt));
        }

        let messages = self.items(&value, "messages");
        let calls = self.items(&value, "calls");
        let envelope = Envelope::new(&value, messages.len() + calls.len());
        for message in messages {
            self.read_message(&envelope, message);
        }
        for call in calls {
            let caller = read(call, |call| customer::caller(&envelope, call, self.now));
            self.note(caller, note_customer);
        }
    }

    fn read_message(&mut self, envelope: &Envelope, message: Node<'_>) {
        let is_systems = |message: &Members<'_>| text(message, "type").as_deref() == Some("system");
        if message.members().is_some_and(|message| is_systems(&message)) {
            let change = read(message, |message| customer::change(envelope, message, self.now));
            self.note(change, |webhook, change| webhook.changes.push(change));
        } else {
            let sender = read(message, |message| customer::sender(envelope, message, self.now));
            let text = message.members().and_then(|message| written::customer_text(&message));
            self.note(sender, |webhook, (customer, at)| {
                if let Some(text) = text {
                    webhook.texts.entry(customer.clone()).or_default().push(text);
                }
                note_customer(webhook, (customer, at));
            });
        }
    }

    /// Notes an item that could be read, and counts the others.
    fn note<T>(&mut self, item: Item<T>, note: impl FnOnce(&mut ParsedWebhook, T)) {
        match item {
            Item::Read(item) => note(&mut self.webhook, item),
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

/// Reads an item by its members.
fn read<T>(item: Node<'_>, by: impl FnOnce(&Members<'_>) -> Item<T>) -> Item<T> {
    item.members().map_or(Item::Unreadable, |members| by(&members))
}

/// Notes a customer who wrote or called, with the last time.
fn note_customer(webhook: &mut ParsedWebhook, (customer, at): (Customer, DateTime<Utc>)) {
    let last = webhook.customers.entry(customer).or_insert(at);
    *last = at.max(*last);
}
