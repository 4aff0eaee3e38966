//! Phone numbers, the ids that Meta gives to a business's own, and the names it has for a customer.

use super::error::Error;

/// The id at Meta of the sandbox's business number, the one of Meta's documentation.
pub(crate) const PHONE_NUMBER_ID: &str = "106540352242922";

/// Checks that an id is one that Meta could have given to a phone number.
pub(super) fn check_number_id(phone_number_id: &str) -> Result<(), Error> {
    match !phone_number_id.is_empty() && phone_number_id.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(()),
        false => Err(Error {
            subcode: Some(33),
            ..Error::new(100, format!("'{phone_number_id}' is no phone number ID."))
        }),
    }
}

/// Returns the digits of a phone number.
pub(super) fn digits(phone_number: &str) -> String {
    phone_number.chars().filter(char::is_ascii_digit).collect()
}

/// Returns WhatsApp's name for a person: a user id as it is, or the digits of a number in
/// WhatsApp's own spelling, which is another one than people's in some countries.
pub(super) fn person(name: &str) -> String {
    if is_user_id(name) {
        return name.to_owned();
    }

    let digits = digits(name);
    let after =
        |begin: &str, length| digits.strip_prefix(begin).filter(|rest: &&str| rest.len() == length);
    if let Some(rest) = after("55319", 8) {
        format!("5531{rest}") // Brazil: an account from before the ninth digit
    } else if let Some(rest) = after("52", 10) {
        format!("521{rest}") // Mexico
    } else if let Some(rest) = after("54", 10) {
        format!("549{rest}") // Argentina
    } else if let Some(rest) = after("229", 8) {
        format!("22901{rest}") // Benin, which has put 01 before every number
    } else {
        digits
    }
}

/// True for a business-scoped user ID, such as `US.13491208655302741918`.
pub(super) fn is_user_id(name: &str) -> bool {
    let (country, id) = name.split_once('.').unwrap_or_default();
    country.len() == 2
        && country.bytes().all(|letter| letter.is_ascii_uppercase())
        && !id.is_empty()
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
}
