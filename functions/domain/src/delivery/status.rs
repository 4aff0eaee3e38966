//! The status of a message, which only moves forward.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How far a message has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Accepted; waits for its turn, or for the next attempt.
    Queued,
    /// A worker is handing it to the provider.
    Sending,
    /// It was handed over and no answer came: the provider may or may not have it.
    InDoubt,
    /// The provider took it.
    Sent,
    /// It reached the customer's device.
    Delivered,
    /// The customer has seen it.
    Read,
    /// It will not be delivered.
    Failed,
}

impl Status {
    /// Every status there is.
    pub const ALL: [Status; 7] = [
        Status::Queued,
        Status::Sending,
        Status::InDoubt,
        Status::Sent,
        Status::Delivered,
        Status::Read,
        Status::Failed,
    ];

    /// True if the worker is done with the message: the provider took it, or it ended `failed`.
    #[must_use]
    pub fn is_settled(self) -> bool {
        match self {
            Status::Queued | Status::Sending | Status::InDoubt => false,
            Status::Sent | Status::Delivered | Status::Read | Status::Failed => true,
        }
    }

    /// Returns the status after a receipt that says `reported`, or `None` if it stays.
    ///
    /// Receipts come late, twice and in any order. They only move a message forward: `sent`,
    /// `delivered`, `read`. A report of failure counts until the message was delivered; a report of
    /// delivery counts even after a failure, since the customer has it.
    #[must_use]
    pub fn on_receipt(self, reported: Status) -> Option<Status> {
        let forward = match reported {
            Status::Queued | Status::Sending | Status::InDoubt => false,
            Status::Sent => !self.is_settled(),
            Status::Delivered => !matches!(self, Status::Delivered | Status::Read),
            Status::Read => self != Status::Read,
            Status::Failed => !matches!(self, Status::Delivered | Status::Read | Status::Failed),
        };
        forward.then_some(reported)
    }
}

impl fmt::Display for Status {
    /// Writes the status as the API names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Queued => "queued",
            Status::Sending => "sending",
            Status::InDoubt => "in_doubt",
            Status::Sent => "sent",
            Status::Delivered => "delivered",
            Status::Read => "read",
            Status::Failed => "failed",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_status() -> impl Strategy<Value = Status> {
        proptest::sample::select(Status::ALL.to_vec())
    }

    #[test]
    fn a_status_is_shown_as_it_is_stored() {
        for status in Status::ALL {
            assert_eq!(serde_json::json!(status), status.to_string());
        }
    }

    #[test]
    fn a_late_sent_never_takes_delivered_back() {
        assert_eq!(Status::Delivered.on_receipt(Status::Sent), None);
        assert_eq!(Status::Read.on_receipt(Status::Delivered), None);
        assert_eq!(Status::InDoubt.on_receipt(Status::Sent), Some(Status::Sent));
        assert_eq!(Status::Failed.on_receipt(Status::Delivered), Some(Status::Delivered));
    }

    proptest! {
        #[test]
        fn receipts_in_any_order_end_alike(
            mut receipts in proptest::collection::vec(any_status(), 0..8),
        ) {
            let reach = |receipts: &[Status]| {
                receipts.iter().fold(Status::Sending, |now, reported| {
                    now.on_receipt(*reported).unwrap_or(now)
                })
            };

            let end = reach(&receipts);
            receipts.reverse();
            let backwards = reach(&receipts);

            let seen = |status| receipts.contains(&status);
            // The order may matter only for `failed` and `sent` without a delivery: both are final
            // for the worker.
            if seen(Status::Read) || seen(Status::Delivered) || !seen(Status::Failed) {
                prop_assert_eq!(end, backwards);
            }
        }

        #[test]
        fn what_is_settled_stays_settled(from in any_status(), reported in any_status()) {
            let to = from.on_receipt(reported).unwrap_or(from);
            prop_assert!(!from.is_settled() || to.is_settled());
            prop_assert_eq!(to.on_receipt(reported), None);
        }
    }
}
