//! EventBridge rules, by which events invoke a function.

use super::error::TemplateError;
use super::properties::Properties;

/// A function's `EventBridgeRule` event, on the default bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRule {
    /// Values of `source` that match; empty: all.
    sources: Vec<String>,
    /// Values of `detail-type` that match; empty: all.
    detail_types: Vec<String>,
}

impl EventRule {
    /// Reads a rule; `None` for one that is switched off. A pattern may only have lists of exact
    /// values.
    pub(super) fn read(mut properties: Properties<'_>) -> Result<Option<Self>, TemplateError> {
        let mut pattern =
            properties.nested("Pattern")?.ok_or_else(|| properties.error("has no Pattern"))?;
        let (sources, detail_types) =
            (pattern.literals("source")?, pattern.literals("detail-type")?);
        if sources.is_empty() && detail_types.is_empty() {
            return Err(pattern.error("names neither a source nor a detail-type"));
        }
        pattern.finish(&[])?;
        let state = properties.literal("State")?;
        properties.finish(&["DeadLetterConfig", "RetryPolicy", "RuleName"])?;
        Ok((state.as_deref() != Some("DISABLED")).then_some(Self { sources, detail_types }))
    }

    /// Returns whether an event invokes the function.
    pub fn matches(&self, source: &str, detail_type: &str) -> bool {
        let among = |values: &[String], value: &str| {
            values.is_empty() || values.iter().any(|one| one == value)
        };
        among(&self.sources, source) && among(&self.detail_types, detail_type)
    }
}
