//! The receipts that a provider sends, as `PUT /sandbox/{channel}/receipts` takes them.

use serde::{Deserialize, Serialize};

/// Most copies of one receipt.
const MOST_COPIES: u32 = 100;

/// The receipts that a provider sends for every message it accepts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReceiptRule {
    /// The statuses that are reported, in this order; none: receipts are switched off.
    pub statuses: Vec<String>,
    /// How long after the message was accepted, in milliseconds.
    pub delay_ms: u64,
    /// How often each is sent.
    pub copies: u32,
    /// Whether they are sent in any order instead of this one.
    pub shuffle: bool,
    /// Whether they wait until `POST` releases them.
    pub held: bool,
    /// WhatsApp's error code in `failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
}

impl Default for ReceiptRule {
    /// All goes well, and soon.
    fn default() -> Self {
        let statuses = ["sent", "delivered"].map(str::to_owned).to_vec();
        Self { statuses, delay_ms: 50, copies: 1, shuffle: false, held: false, code: None }
    }
}

impl ReceiptRule {
    /// No receipts.
    pub fn off() -> Self {
        Self { statuses: Vec::new(), ..Self::default() }
    }

    /// Checks the rule for a provider that knows these statuses, and returns it.
    ///
    /// # Errors
    /// A sentence that names the wrong field.
    pub fn checked(self, known: &[&str]) -> Result<Self, String> {
        if let Some(unknown) = self.statuses.iter().find(|status| !known.contains(&status.as_str()))
        {
            return Err(format!(
                "`statuses`: there is no `{unknown}` here; there are {}",
                known.join(", ")
            ));
        }

        if !(1..=MOST_COPIES).contains(&self.copies) {
            return Err(format!("`copies` {} is not between 1 and {MOST_COPIES}", self.copies));
        }

        if self.code.is_some() && !self.statuses.iter().any(|status| status == "failed") {
            return Err("`code` says why a message `failed`, and none is to be reported so".into());
        }

        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn rule(body: Value) -> Result<ReceiptRule, String> {
        let rule: ReceiptRule = serde_json::from_value(body).map_err(|error| error.to_string())?;
        rule.checked(&["sent", "delivered", "failed"])
    }

    #[test]
    fn what_is_left_out_is_as_when_all_goes_well() {
        assert_eq!(rule(json!({})), Ok(ReceiptRule::default()));
        assert_eq!(rule(json!({ "statuses": [] })), Ok(ReceiptRule::off()));
        assert!(rule(json!({ "statuses": ["failed"], "code": 131_026 })).is_ok());
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (body, named) in [
            (json!({ "statuses": ["sent", "red"] }), "`red`"),
            (json!({ "copies": 0 }), "`copies`"),
            (json!({ "code": 131_026 }), "`code`"),
            (json!({ "satuses": [] }), "`satuses`"),
        ] {
            let error = rule(body).unwrap_err();
            assert!(error.contains(named), "{error}");
        }
    }
}
