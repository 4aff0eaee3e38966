//! A mail as its reader gets it.

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::accepted::Header;
use crate::aws_error::AwsError;
use emulator::account::REGION;

/// The parts of a mail that a reader sees.
pub(super) struct Mail {
    pub(super) subject: Option<String>,
    pub(super) content: String,
    pub(super) attachments: Vec<Value>,
    pub(super) headers: Vec<Header>,
}

impl Mail {
    /// Sets the two headers that SES overwrites or adds:
    /// <https://docs.aws.amazon.com/ses/latest/dg/header-fields.html>.
    pub(super) fn stamped(mut self, ses_id: &str, now: DateTime<Utc>) -> Self {
        let domain = if REGION == "us-east-1" { "email".to_owned() } else { REGION.to_owned() };
        for (name, value) in [
            ("Message-ID", format!("<{ses_id}@{domain}.amazonses.com>")),
            ("Date", now.to_rfc2822()),
        ] {
            self.headers.retain(|header| !header.name.eq_ignore_ascii_case(name));
            self.headers.push(Header { name: name.into(), value });
        }
        self
    }
}

/// Returns SES's refusal of a call that is wrong in itself.
pub(super) fn bad_request(message: impl Into<String>) -> AwsError {
    AwsError::new(400, "BadRequestException", message)
}
