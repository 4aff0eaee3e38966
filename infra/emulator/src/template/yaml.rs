//! YAML values as CloudFormation reads them.

use std::collections::BTreeMap;

use yaml_serde::{Mapping, Value};

use super::error::TemplateError;

/// Returns a mapping's entries; its keys are all strings.
pub(super) fn entries(
    mapping: &Mapping,
    place: &str,
) -> Result<BTreeMap<String, Value>, TemplateError> {
    let entry = |(key, value): (&Value, &Value)| match key.as_str() {
        Some(key) => Ok((key.to_owned(), value.clone())),
        None => Err(TemplateError::new(place, format!("has a key that is not a string: {key:?}"))),
    };
    mapping.iter().map(entry).collect()
}

/// Returns a string, number or boolean as CloudFormation hands it on: as text.
pub(super) fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}
