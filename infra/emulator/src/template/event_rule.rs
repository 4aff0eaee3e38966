//! EventBridge rules, by which events invoke a function.

use serde_json::Value;

use super::error::TemplateError;
use super::properties::{Leaf, Properties};
use super::text::Reference;

/// A function's `EventBridgeRule` event, on the default bus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRule {
    /// Values of `source` that match; empty: all.
    sources: Vec<String>,
    /// Values of `detail-type` that match; empty: all.
    detail_types: Vec<String>,
    /// Members of `detail`, each with the values that match.
    detail: Vec<Leaf>,
}

impl EventRule {
    /// Reads a rule; `None` for one that is switched off. A pattern may only have lists of exact
    /// values.
    pub(super) fn read(mut properties: Properties<'_>) -> Result<Option<Self>, TemplateError> {
        let mut pattern =
            properties.nested("Pattern")?.ok_or_else(|| properties.error("has no Pattern"))?;
        let (sources, detail_types) =
            (pattern.literals("source")?, pattern.literals("detail-type")?);
        let detail = match pattern.nested("detail")? {
            None => Vec::new(),
            Some(detail) => detail.leaves()?,
        };
        if sources.is_empty() && detail_types.is_empty() {
            return Err(pattern.error("names neither a source nor a detail-type"));
        }
        pattern.finish(&[])?;
        let state = properties.literal("State")?;
        properties.finish(&["DeadLetterConfig", "RetryPolicy", "RuleName"])?;
        Ok((state.as_deref() != Some("DISABLED")).then_some(Self { sources, detail_types, detail }))
    }

    /// Returns whether an event of this source and type may invoke the function.
    pub fn matches(&self, source: &str, detail_type: &str) -> bool {
        let among = |values: &[String], value: &str| {
            values.is_empty() || values.iter().any(|one| one == value)
        };
        among(&self.sources, source) && among(&self.detail_types, detail_type)
    }

    /// Returns whether the data of an event match: each member of the pattern is, or has among its
    /// elements, one of the pattern's values.
    /// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-event-patterns-arrays.html>
    pub fn matches_detail(
        &self,
        detail: &Value,
        value: impl Fn(&Reference) -> Option<String>,
    ) -> bool {
        self.detail.iter().all(|(path, texts)| {
            let member = path.iter().fold(detail, |member, name| &member[name.as_str()]);
            let found = member.as_array().map_or(std::slice::from_ref(member), Vec::as_slice);
            let wanted = texts.iter().filter_map(|text| text.fill(&value).ok());
            wanted.into_iter().any(|wanted| found.iter().any(|one| *one == wanted))
        })
    }
}
