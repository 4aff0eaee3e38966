//! Phone numbers, and the ids that Meta gives to a business's own.

use super::error::Error;

/// The id at Meta of the sandbox's business number, the one of Meta's documentation.
pub(crate) const PHONE_NUMBER_ID: &str = "106540352242922";

/// Checks that an id is one that Meta could have given to a phone number.
pub(super) fn check_number_id(phone_number_id: &str) -> Result<(), Error> {
    match !phone_number_id.is_empty() && phone_number_id.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(()),
        false => Err(Error::new(33, format!("'{phone_number_id}' is no phone number ID."))),
    }
}

/// Returns the digits of a phone number.
pub(super) fn digits(phone_number: &str) -> String {
    phone_number.chars().filter(char::is_ascii_digit).collect()
}
