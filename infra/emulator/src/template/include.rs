//! `AWS::Include`: replaces a `Fn::Transform` by the file that it names, before anything else is
//! read, as CloudFormation does.

use std::path::Path;

use yaml_serde::Value;

use super::error::TemplateError;

/// Returns the value with every `Fn::Transform` replaced by its file, which is found from `folder`,
/// the template's own.
///
/// # Errors
/// [`TemplateError`] for another macro, and for a file that cannot be read or is not YAML.
pub(super) fn expand(value: Value, folder: &Path, place: &str) -> Result<Value, TemplateError> {
    match value {
        Value::Mapping(mapping) => {
            if let Some(transform) = mapping.get("Fn::Transform") {
                return file(transform, folder, place);
            }
            let entry = |(key, value): (Value, Value)| {
                let place = format!("{place}.{}", key.as_str().unwrap_or_default());
                Ok((key, expand(value, folder, &place)?))
            };
            mapping.into_iter().map(entry).collect::<Result<_, _>>().map(Value::Mapping)
        }
        Value::Sequence(items) => {
            let item = |(index, value)| expand(value, folder, &format!("{place}[{index}]"));
            items.into_iter().enumerate().map(item).collect::<Result<_, _>>().map(Value::Sequence)
        }
        other => Ok(other),
    }
}

fn file(transform: &Value, folder: &Path, place: &str) -> Result<Value, TemplateError> {
    let name = transform["Name"].as_str().unwrap_or_default();
    if name != "AWS::Include" {
        return Err(TemplateError::new(
            place,
            format!("the local system does not know the macro {name}"),
        ));
    }

    let location = transform["Parameters"]["Location"].as_str();
    let location =
        location.ok_or_else(|| TemplateError::new(place, "AWS::Include names no Location"))?;
    let text = std::fs::read_to_string(folder.join(location)).map_err(|error| {
        TemplateError::new(place, format!("{location} cannot be read: {error}"))
    })?;

    yaml_serde::from_str(&text)
        .map_err(|error| TemplateError::new(place, format!("{location}: {error}")))
}
