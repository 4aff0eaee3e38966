//! How long messages stay.

use chrono::{DateTime, TimeDelta, Utc};

use super::expiry;
use crate::settings::{self, SettingError};
use domain::message::MIN_RETENTION_DAYS;

/// The setting of how long messages stay.
const VARIABLE: &str = "MESSAGE_RETENTION_DAYS";

/// How long messages stay: a number of days after which DynamoDB deletes each, or for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MessageRetention(Option<u32>);

impl MessageRetention {
    /// Reads `MESSAGE_RETENTION_DAYS`; 0, and nothing, is for ever.
    ///
    /// # Errors
    /// The variable that is malformed.
    pub fn from_env() -> Result<MessageRetention, SettingError> {
        let text = settings::optional(VARIABLE).unwrap_or_else(|| "0".to_owned());
        MessageRetention::parse(&text).ok_or_else(|| SettingError::Malformed {
            name: VARIABLE.to_owned(),
            value: text,
            expected: "0, or at least 30 days",
        })
    }

    /// Reads a number of days.
    #[must_use]
    pub fn parse(text: &str) -> Option<MessageRetention> {
        match text.parse().ok()? {
            0 => Some(MessageRetention(None)),
            days if days >= MIN_RETENTION_DAYS => Some(MessageRetention(Some(days))),
            _ => None,
        }
    }

    /// Returns until when a message of `created_at` has to be kept, in seconds since 1970.
    #[must_use]
    pub fn keep_until(self, created_at: DateTime<Utc>) -> Option<i64> {
        self.0.map(|days| expiry(created_at, TimeDelta::days(days.into())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_stay_for_ever_or_for_a_month_at_least() {
        let parse = |text: &str| MessageRetention::parse(text).map(|retention| retention.0);
        assert_eq!([parse("0"), parse("30"), parse("365")], [None, Some(30), Some(365)].map(Some));
        assert_eq!([parse("1"), parse("29"), parse("-1"), parse("a year")], [None; 4]);

        let at = DateTime::UNIX_EPOCH;
        assert_eq!(MessageRetention(None).keep_until(at), None);
        assert_eq!(MessageRetention(Some(30)).keep_until(at), Some(30 * 86_400));
    }
}
