//! The environment, read in this one place. A function that lacks a setting does not start and says
//! which.

use std::fmt;
use std::str::FromStr;

use domain::webhook::Reach;

use thiserror::Error;

/// Why a setting could not be read.
#[derive(Error, PartialEq, Eq)]
pub enum SettingError {
    /// The variable is not set.
    #[error(
        "the environment variable {0} is not set; template.yaml sets it for every function that reads it"
    )]
    Missing(String),
    /// The variable has a value of another form.
    #[error("the environment variable {name} is {value:?}, which is not {expected}")]
    Malformed {
        /// The variable's name.
        name: String,
        /// Its value.
        value: String,
        /// The form that it should have.
        expected: &'static str,
    },
}

impl fmt::Debug for SettingError {
    /// The sentence: it is what a `main` prints that ends with this error.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads a variable that may be left out. Empty counts as left out: SAM's local runs turn `!If …
/// NoValue` into an empty string.
#[must_use]
pub fn optional(name: &str) -> Option<String> {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the environment"
    )]
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Reads a variable that has to be there.
///
/// # Errors
/// [`SettingError::Missing`].
pub fn required(name: &str) -> Result<String, SettingError> {
    optional(name).ok_or_else(|| SettingError::Missing(name.to_owned()))
}

/// Reads a variable that has another type than text; `expected` describes it in the error.
///
/// # Errors
/// [`SettingError::Malformed`].
pub fn parsed<T: FromStr>(
    name: &str,
    expected: &'static str,
    default: T,
) -> Result<T, SettingError> {
    let Some(value) = optional(name) else { return Ok(default) };
    value.parse().map_err(|_| SettingError::Malformed { name: name.to_owned(), value, expected })
}

/// Reads `WEBHOOK_REACH`: `public`, or `loopback` in the local system.
///
/// # Errors
/// If it is missing, or another word.
pub fn webhook_reach() -> Result<Reach, SettingError> {
    match required("WEBHOOK_REACH")?.as_str() {
        "public" => Ok(Reach::Public),
        "loopback" => Ok(Reach::PublicOrLoopback),
        other => Err(SettingError::Malformed {
            name: "WEBHOOK_REACH".to_owned(),
            value: other.to_owned(),
            expected: "'public' or 'loopback'",
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_setting_is_named() {
        let error = required("PINGBACK_SETTING_THAT_NOBODY_SETS").unwrap_err();
        let said = format!("{:?}", Box::<dyn std::error::Error>::from(error));
        assert!(said.contains("PINGBACK_SETTING_THAT_NOBODY_SETS is not set"), "{said}");
        assert_eq!(parsed("PINGBACK_SETTING_THAT_NOBODY_SETS", "a number", 7), Ok(7));
    }
}
