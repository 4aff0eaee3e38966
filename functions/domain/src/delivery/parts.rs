//! Messages that a provider takes in several parts: the status of each part, and the status of the
//! message that follows from them. WhatsApp carries one file at a time, so a message with three
//! files is three of WhatsApp's messages.
//!
//! Parts go one after the other, and the worker stores that a part was taken before it hands over
//! the next one. So at most one part can be in doubt, the first that is not stored as taken, and a
//! repeat begins with that part and never before it.

use serde::{Deserialize, Serialize};

use super::reference::MessageReference;
use super::status::Status;
use crate::message::MAX_ATTACHMENTS;

/// The most parts of a message: a text, and as many files as any channel carries.
const MAX_PARTS: u8 = 1 + MAX_ATTACHMENTS as u8;

/// One part of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Part {
    /// Its number, from 1.
    pub number: u8,
    /// How many parts the message has.
    pub of: u8,
}

impl Part {
    /// The one part of a message that goes in one.
    pub const WHOLE: Part = Part { number: 1, of: 1 };

    /// True if the part is the whole message.
    #[must_use]
    pub fn is_whole(self) -> bool {
        self.of == 1
    }

    /// True if no part comes after this one.
    #[must_use]
    pub fn is_last(self) -> bool {
        self.number == self.of
    }

    /// Returns the text that the provider gets with the part and repeats in its receipts: the
    /// message's reference, followed by `.2.3` for the second of three parts, and by nothing for a
    /// message of one part.
    #[must_use]
    pub fn callback_data(self, message: &MessageReference) -> String {
        let Part { number, of } = self;
        if self.is_whole() { message.to_string() } else { format!("{message}.{number}.{of}") }
    }

    /// Parses the text that [`Part::callback_data`] returns; `None` if it is not ours.
    #[must_use]
    pub fn parse_callback_data(text: &str) -> Option<(MessageReference, Part)> {
        if let Ok(message) = text.parse() {
            return Some((message, Part::WHOLE));
        }

        let (rest, of) = text.rsplit_once('.')?;
        let (message, number) = rest.rsplit_once('.')?;
        let part = Part { number: number.parse().ok()?, of: of.parse().ok()? };

        let exists = (2..=MAX_PARTS).contains(&part.of) && (1..=part.of).contains(&part.number);
        Some((message.parse().ok().filter(|_| exists)?, part))
    }
}

/// The status of each part of a message, as far as it is known. Empty for a message of one part,
/// whose own status says everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Parts(Vec<Status>);

impl Parts {
    /// True if nothing is known about any part.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the first of `of` parts that is not settled; `None` if all are.
    #[must_use]
    pub fn next(&self, of: u8) -> Option<Part> {
        let settled = self.0.iter().take_while(|status| status.is_settled()).count();
        let number = u8::try_from(settled).ok()?.checked_add(1)?;
        (number <= of).then_some(Part { number, of })
    }

    /// Returns the parts after a report about one of them; `None` if the report changes nothing.
    #[must_use]
    pub fn with(&self, part: Part, reported: Status) -> Option<Parts> {
        let mut all = self.0.clone();
        if all.len() < usize::from(part.of) {
            all.resize(usize::from(part.of), Status::Queued);
        }
        let status = all.get_mut(usize::from(part.number.checked_sub(1)?))?;
        *status = status.on_receipt(reported)?;
        Some(Parts(all))
    }

    /// Returns the parts of a message that the provider took as a whole: each of `of` is at least
    /// `sent`.
    #[must_use]
    pub fn all_taken(&self, of: u8) -> Parts {
        let take =
            |parts: Parts, number| parts.with(Part { number, of }, Status::Sent).unwrap_or(parts);
        (1..=of).fold(self.clone(), take)
    }

    /// Returns the status of the message: that of the part that is least far, and `failed` if one
    /// of them is. A customer who has half of a message does not have the message.
    #[must_use]
    pub fn message_status(&self) -> Status {
        let has = |status| self.0.contains(&status);
        if has(Status::Failed) {
            Status::Failed
        } else if self.is_empty() || self.0.iter().any(|status| !status.is_settled()) {
            Status::Queued
        } else if has(Status::Sent) {
            Status::Sent
        } else if has(Status::Delivered) {
            Status::Delivered
        } else {
            Status::Read
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::delivery::reference::tests::reference;

    fn after_reports(reports: &[(u8, Status)]) -> Parts {
        reports.iter().fold(Parts::default(), |parts, (number, status)| {
            parts.with(Part { number: *number, of: 3 }, *status).unwrap_or(parts)
        })
    }

    #[test]
    fn callback_data_is_parsed_back() {
        for part in [Part::WHOLE, Part { number: 1, of: 2 }, Part { number: 11, of: MAX_PARTS }] {
            assert_eq!(
                Part::parse_callback_data(&part.callback_data(&reference())),
                Some((reference(), part))
            );
        }
        assert_eq!(Part::WHOLE.callback_data(&reference()), reference().to_string());
        let ours = reference().to_string();
        for odd in ["", "campaign.7", ".2.3", "a.b.c.1.2"] {
            assert_eq!(Part::parse_callback_data(odd), None, "{odd}");
        }
        for odd in [".1", ".0.2", ".3.2", ".1.1", ".1.12", ".-1.2", ".1.2.3", ".1.x", "."] {
            assert_eq!(Part::parse_callback_data(&format!("{ours}{odd}")), None, "{odd}");
        }
    }

    #[test]
    fn no_part_comes_after_the_last_one() {
        let is_last = |number| Part { number, of: 3 }.is_last();
        assert_eq!([1, 2, 3].map(is_last), [false, false, true]);
        assert!(Part::WHOLE.is_last());
    }

    #[test]
    fn a_settled_part_is_never_next_again() {
        let next =
            |reports: &[(u8, Status)]| after_reports(reports).next(3).map(|part| part.number);
        assert_eq!(next(&[]), Some(1));
        assert_eq!(next(&[(1, Status::Sent)]), Some(2));
        assert_eq!(next(&[(1, Status::Read), (2, Status::Delivered)]), Some(3));
        assert_eq!(next(&[(1, Status::Sent), (2, Status::Sent), (3, Status::Sent)]), None);
    }

    #[test]
    fn a_message_is_as_far_as_its_slowest_part() {
        use Status::{Delivered, Failed, Queued, Read, Sent};
        for (reports, status) in [
            (&[][..], Queued),
            (&[(1, Read)], Queued),
            (&[(1, Read), (2, Sent), (3, Delivered)], Sent),
            (&[(1, Read), (2, Read), (3, Delivered)], Delivered),
            (&[(1, Read), (2, Read), (3, Read)], Read),
            (&[(2, Failed)], Failed),
            (&[(1, Read), (2, Failed), (3, Read)], Failed),
            (&[(1, Read), (2, Failed), (3, Read), (2, Delivered)], Delivered),
        ] {
            assert_eq!(after_reports(reports).message_status(), status, "{reports:?}");
        }

        assert_eq!(
            after_reports(&[(2, Delivered)]).all_taken(3),
            after_reports(&[(1, Sent), (2, Delivered), (3, Sent)])
        );

        assert_eq!(Parts::default().with(Part { number: 4, of: 3 }, Sent), None);
    }

    proptest! {
        #[test]
        fn reports_in_any_order_end_alike(
            mut reports in proptest::collection::vec(
                (1u8..=3, select(vec![Status::Sent, Status::Delivered, Status::Read])), 0..12),
        ) {
            let end = after_reports(&reports);
            reports.reverse();
            prop_assert_eq!(after_reports(&reports).message_status(), end.message_status());
            prop_assert_eq!(after_reports(&reports), end);
        }

        #[test]
        fn the_status_of_the_message_only_moves_forward(
            reports in proptest::collection::vec(
                (1u8..=3, select(Status::ALL.to_vec())), 0..12),
        ) {
            let mut parts = Parts::default();
            let mut message = Status::Sending;

            for (number, reported) in reports {
                parts = parts.with(Part { number, of: 3 }, reported).unwrap_or(parts);
                let of_parts = parts.message_status();
                message = message.on_receipt(of_parts).unwrap_or(message);
                // After a failed part was delivered all the same, the message stays failed until
                // the other parts are delivered as well.
                let failed_before = (message, of_parts) == (Status::Failed, Status::Sent);
                prop_assert!(
                    of_parts == Status::Queued || message == of_parts || failed_before,
                    "{message:?}, {parts:?}"
                );
            }
        }
    }
}
