//! Delivery and bounce: the one way in which a status goes back.

use chrono::{DateTime, Utc};

use super::receipt::ReportedStatus;
use super::status::Status;

/// The status of a message as receipts have left it, with the provider's own time of the delivery
/// or the bounce that it rests on.
///
/// A mail server may accept a mail and find later that it cannot deliver it: SES then reports a
/// delivery first and a bounce after it ("the receiving mail server might accept the email
/// (triggering a delivery notification), but after processing the email, the receiving mail server
/// might determine that the email actually results in a bounce", [contents of
/// notifications](https://docs.aws.amazon.com/ses/latest/dg/notification-contents.html)). Both
/// reports may arrive in either order and more than once, so the provider's times decide, and not
/// the order of arrival:
///
/// | report | the message is | it becomes |
/// |---|---|---|
/// | bounced | queued, sending, in doubt, sent | failed |
/// | bounced | delivered, not after the bounce | failed |
/// | bounced | delivered, after the bounce | delivered |
/// | bounced | read | read |
/// | delivered, read | failed by a bounce of that time or later | failed |
/// | delivered, read | failed by an earlier bounce, or by anything else | delivered, read |
/// | any other | anything | what [`Status::on_receipt`] says |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Standing {
    /// How far the message has come.
    pub status: Status,
    /// When the message was delivered or came back, if its status rests on such a report.
    pub reported_at: Option<DateTime<Utc>>,
}

impl Standing {
    /// Returns the standing after a report of something that happened `at`, by the provider's
    /// clock; `None` if the report changes nothing.
    #[must_use]
    pub fn on_receipt(self, reported: &ReportedStatus, at: DateTime<Utc>) -> Option<Standing> {
        let Standing { status, reported_at } = self;
        let standing = |status, reported_at| Standing { status, reported_at };

        match reported {
            ReportedStatus::Sent | ReportedStatus::Failed(_) => {
                Some(standing(status.on_receipt(reported.status())?, reported_at))
            }
            ReportedStatus::Delivered | ReportedStatus::Read => {
                let has_bounced_since =
                    status == Status::Failed && reported_at.is_some_and(|bounced| at <= bounced);
                let forward = status.on_receipt(reported.status())?;
                (!has_bounced_since).then_some(standing(forward, Some(at)))
            }
            ReportedStatus::Bounced(_) => {
                let is_news = match status {
                    Status::Queued | Status::Sending | Status::InDoubt | Status::Sent => true,
                    Status::Delivered => reported_at.is_none_or(|delivered| delivered <= at),
                    Status::Read => false,
                    Status::Failed => reported_at.is_none_or(|bounced| bounced < at),
                };
                is_news.then_some(standing(Status::Failed, Some(at)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::delivery::Reason;

    fn any_status() -> impl Strategy<Value = Status> {
        proptest::sample::select(Status::ALL.to_vec())
    }

    fn time(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_772_355_900 + seconds, 0).expect("a time")
    }

    fn bounced() -> ReportedStatus {
        ReportedStatus::Bounced(Reason::new("recipient_unreachable", "no such mailbox"))
    }

    fn failed() -> ReportedStatus {
        ReportedStatus::Failed(Reason::new("undeliverable", "the customer is on holiday"))
    }

    /// Returns the status after these reports, each with its time in seconds.
    fn after(reports: &[(ReportedStatus, i64)]) -> Status {
        let begun = Standing { status: Status::Sending, reported_at: None };
        let next = |standing: Standing, (reported, at): &(ReportedStatus, i64)| {
            standing.on_receipt(reported, time(*at)).unwrap_or(standing)
        };
        reports.iter().fold(begun, next).status
    }

    #[test]
    fn a_bounce_is_the_last_word_unless_a_later_delivery_is() {
        use ReportedStatus::{Delivered, Read, Sent};
        for (reports, status) in [
            (vec![(Sent, 0), (Delivered, 1), (bounced(), 2)], Status::Failed),
            (vec![(Sent, 0), (bounced(), 2), (Delivered, 1)], Status::Failed),
            (vec![(bounced(), 2), (Delivered, 1), (Sent, 0)], Status::Failed),
            (vec![(Delivered, 1), (bounced(), 1)], Status::Failed),
            (vec![(bounced(), 1), (Delivered, 1)], Status::Failed),
            (vec![(bounced(), 1), (Delivered, 2)], Status::Delivered),
            (vec![(Delivered, 2), (bounced(), 1)], Status::Delivered),
            (vec![(failed(), 1), (bounced(), 3), (Delivered, 2)], Status::Failed),
            (vec![(bounced(), 1), (bounced(), 3), (Delivered, 2)], Status::Failed),
            (vec![(bounced(), 3), (bounced(), 1), (Delivered, 2)], Status::Failed),
            (vec![(Read, 1), (bounced(), 2)], Status::Read),
        ] {
            assert_eq!(after(&reports), status, "{reports:?}");
        }
    }

    #[test]
    fn an_out_of_office_answer_takes_no_delivery_back() {
        use ReportedStatus::Delivered;
        for reports in [[(Delivered, 1), (failed(), 2)], [(failed(), 2), (Delivered, 1)]] {
            assert_eq!(after(&reports), Status::Delivered, "{reports:?}");
        }
        assert_eq!(after(&[(failed(), 2)]), Status::Failed);
    }

    fn any_report() -> impl Strategy<Value = ReportedStatus> {
        proptest::sample::select(vec![
            ReportedStatus::Sent,
            ReportedStatus::Delivered,
            ReportedStatus::Read,
            failed(),
            bounced(),
        ])
    }

    proptest! {
        #[test]
        fn a_delivery_and_bounces_end_alike_in_any_order_and_number(
            delivered in 0i64..5,
            bounces in proptest::collection::vec(0i64..5, 1..4),
            order in Just((0..8).collect::<Vec<usize>>()).prop_shuffle(),
        ) {
            let reports: Vec<(ReportedStatus, i64)> = bounces
                .iter()
                .map(|at| (bounced(), *at))
                .chain([(ReportedStatus::Sent, 0), (ReportedStatus::Delivered, delivered)])
                .collect();
            let shuffled: Vec<_> =
                order.iter().filter_map(|place| reports.get(*place)).cloned().collect();
            let twice = [shuffled.clone(), shuffled].concat();

            let last_bounce = bounces.iter().max().expect("one at least");
            let expected =
                if delivered > *last_bounce { Status::Delivered } else { Status::Failed };
            prop_assert_eq!(after(&twice), expected);
        }

        #[test]
        fn only_a_bounce_takes_a_status_back(
            from in any_status(),
            reported in any_report(),
            known in proptest::option::of(0i64..5),
            at in 0i64..5,
        ) {
            let standing = Standing { status: from, reported_at: known.map(time) };
            let to = standing.on_receipt(&reported, time(at)).map_or(from, |after| after.status);

            let went_back = from == Status::Delivered && to == Status::Failed;
            let may_go_back = matches!(reported, ReportedStatus::Bounced(_));
            prop_assert!(!went_back || may_go_back);
            prop_assert!(may_go_back || to == from || Some(to) == from.on_receipt(reported.status()));
            prop_assert!(!from.is_settled() || to.is_settled());
        }
    }
}
