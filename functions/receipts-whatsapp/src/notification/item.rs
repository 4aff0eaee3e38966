//! The items of a webhook, as their readers return them.

use chrono::{DateTime, Utc};

use domain::channel::whatsapp::CustomerId;
use domain::{Media, PrivateText};

/// A customer of one of our numbers.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Customer {
    /// Meta's id of the number they wrote to.
    pub phone_number_id: String,
    /// Their names at Meta; one at least.
    pub names: Vec<CustomerId>,
}

/// A message that a customer wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomerText {
    /// Meta's id of it.
    pub provider_id: PrivateText,
    /// The text; empty if it has none.
    pub content: PrivateText,
    /// The file that came with it.
    pub media: Option<Media>,
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

/// The outcome of reading one item.
pub(super) enum Item<T> {
    Read(T),
    Ignored,
    Unreadable,
}
