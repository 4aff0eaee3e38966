//! Recipients on WhatsApp.

use super::customer::{CustomerId, MAX_DIGITS};

/// True for a phone number, written as people do, and for a user id ([`CustomerId::UserId`]).
pub(super) fn is_recipient(text: &str) -> bool {
    let is_separator = |one: char| " -().".contains(one);
    let number = text.strip_prefix('+').unwrap_or(text);
    let digits = number.chars().filter(char::is_ascii_digit).count();
    let is_number = (7..=MAX_DIGITS).contains(&digits)
        && number.chars().all(|one| one.is_ascii_digit() || is_separator(one));

    let is_user = matches!(CustomerId::parse(text), Some(CustomerId::UserId(_)));

    is_number || is_user
}
