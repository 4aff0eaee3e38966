//! Cancelled transactions that tell less of why.
//!
//! [`TransactWriteItems`](https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html)
//! lists a reason for each item, `None` for one without an error. It does not say that every
//! condition is evaluated once one has failed.

use std::fmt;

use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};

use super::answer::{Answer, with_body};

/// The positions of a cancellation whose reasons are reported, in order. The list of reasons ends
/// with these.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedReasons(Vec<bool>);

impl ReportedReasons {
    /// Reads a pattern: `+` for a reason that is reported, `-` for one that is not.
    pub(super) fn parse(pattern: &str) -> Option<Self> {
        let is_reported = |sign| match sign {
            '+' => Some(true),
            '-' => Some(false),
            _ => None,
        };
        pattern.chars().map(is_reported).collect::<Option<_>>().map(Self)
    }

    /// Cuts the list of reasons of a cancellation; every other answer stays as it is.
    pub(super) async fn cut(&self, answer: Answer) -> Answer {
        let (head, body) = answer.into_parts();
        let Ok(whole) = body.collect().await;
        let whole = whole.to_bytes();

        let mut answer: Value = serde_json::from_slice(&whole).unwrap_or_default();
        let reasons = answer.get_mut("CancellationReasons").and_then(Value::as_array_mut);
        let Some(reasons) = reasons else {
            return Answer::from_parts(head, Full::new(whole));
        };
        reasons.truncate(self.0.len());
        for (reason, is_reported) in reasons.iter_mut().zip(&self.0) {
            if !is_reported {
                *reason = json!({ "Code": "None" });
            }
        }

        with_body(head, answer.to_string().into())
    }
}

impl fmt::Display for ReportedReasons {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|is_reported| f.write_str(if *is_reported { "+" } else { "-" }))
    }
}
