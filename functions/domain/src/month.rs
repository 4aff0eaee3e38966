//! The calendar month, in UTC, in which a message counts.

use std::fmt;

use chrono::{DateTime, Datelike, Months, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

/// A calendar month in UTC, written `2026-11`.
///
/// A message counts in the month of the one clock reading that also becomes its `created_at`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Month(NaiveDate);

impl Month {
    /// Returns the month of `now`.
    #[must_use]
    pub fn of(now: DateTime<Utc>) -> Month {
        Month(now.date_naive().with_day(1).expect("every month has a first day"))
    }

    /// Returns the month after this one.
    #[must_use]
    pub fn next(self) -> Month {
        Month(
            self.0
                .checked_add_months(Months::new(1))
                .expect("years stay far below chrono's last one"),
        )
    }

    /// Returns the first instant of the month.
    #[must_use]
    pub fn begins_at(self) -> DateTime<Utc> {
        self.0.and_time(chrono::NaiveTime::MIN).and_utc()
    }

    /// Returns the first instant of the next month, when a new allowance begins.
    #[must_use]
    pub fn resets_at(self) -> DateTime<Utc> {
        self.next().begins_at()
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.0.year(), self.0.month())
    }
}

impl From<Month> for String {
    fn from(month: Month) -> String {
        month.to_string()
    }
}

impl TryFrom<String> for Month {
    type Error = chrono::ParseError;

    fn try_from(text: String) -> Result<Month, chrono::ParseError> {
        NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d").map(Month)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("a valid time")
    }

    #[test]
    fn the_last_millisecond_is_still_the_old_month() {
        assert_eq!(Month::of(at("2026-12-31T23:59:59.999Z")).to_string(), "2026-12");
        assert_eq!(Month::of(at("2027-01-01T00:00:00.000Z")).to_string(), "2027-01");
    }

    #[test]
    fn a_month_ends_where_the_next_begins() {
        let month = Month::of(at("2026-12-05T10:00:00Z"));
        assert_eq!(month.resets_at(), at("2027-01-01T00:00:00Z"));
        assert_eq!(Month::of(month.resets_at()), month.next());
        assert_eq!(month.next().to_string(), "2027-01");
    }

    #[test]
    fn a_month_is_parsed_back() {
        let month = Month::of(at("2026-02-28T10:00:00Z"));
        assert_eq!(Month::try_from(String::from(month)), Ok(month));
    }
}
