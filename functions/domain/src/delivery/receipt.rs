//! A provider's later reports on a message it took.

use chrono::{DateTime, Utc};

use super::outcome::Reason;
use super::parts::Part;
use super::status::Status;
use crate::PrivateText;

/// A provider's report on a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt {
    /// How far it has come.
    pub reported: ReportedStatus,
    /// The part of the message that the report is about.
    pub part: Part,
    /// When it happened, by the provider's clock.
    pub at: DateTime<Utc>,
    /// The provider's id of the message, if it has one: a worker that lost the answer to its call
    /// never learnt the id.
    pub provider_id: Option<PrivateText>,
}

/// The status that a provider reports.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ReportedStatus {
    /// The provider has it.
    Sent,
    /// It reached the customer's device or mailbox.
    Delivered,
    /// The customer has seen it.
    Read,
    /// It will not be delivered.
    Failed(Reason),
    /// It came back: whatever was reported of an earlier time, the customer does not have it.
    Bounced(Reason),
}

impl ReportedStatus {
    /// Returns the message's status that the report stands for.
    #[must_use]
    pub fn status(&self) -> Status {
        match self {
            ReportedStatus::Sent => Status::Sent,
            ReportedStatus::Delivered => Status::Delivered,
            ReportedStatus::Read => Status::Read,
            ReportedStatus::Failed(_) | ReportedStatus::Bounced(_) => Status::Failed,
        }
    }
}
