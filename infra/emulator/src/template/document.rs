//! The template as a document: sections, parameters, conditions, globals and outputs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use yaml_serde::{Mapping, Value};

use super::error::TemplateError;
use super::expression::Expressions;
use super::include;
use super::properties::Properties;
use super::text::Text;
use super::yaml::{entries, scalar};

/// Top-level sections that are read.
const SECTIONS: &[&str] = &["Parameters", "Rules", "Conditions", "Globals", "Resources", "Outputs"];
/// Top-level sections without a meaning on one machine.
const IGNORED_SECTIONS: &[&str] =
    &["AWSTemplateFormatVersion", "Transform", "Description", "Metadata"];

/// Keys of a resource; all but the first three are about changes to a stack, which one machine
/// makes anew each time.
const RESOURCE_KEYS: &[&str] = &[
    "Condition",
    "Properties",
    "Type",
    "CreationPolicy",
    "DeletionPolicy",
    "DependsOn",
    "Metadata",
    "UpdatePolicy",
    "UpdateReplacePolicy",
];

/// A template with its parameters chosen.
pub(super) struct Document {
    pub(super) resources: BTreeMap<String, Resource>,
    outputs: BTreeMap<String, Value>,
    expressions: Expressions,
    function_globals: Mapping,
}

/// One entry of `Resources`, unread.
pub(super) struct Resource {
    pub(super) kind: String,
    condition: Option<String>,
    properties: Mapping,
}

impl Document {
    pub(super) fn parse(
        text: &str,
        folder: &Path,
        overrides: &BTreeMap<String, String>,
        stack_name: &str,
    ) -> Result<Self, TemplateError> {
        let root: Mapping = yaml_serde::from_str(text).map_err(|error| {
            TemplateError::new(
                "template",
                format!("is not YAML as CloudFormation reads it: {error}"),
            )
        })?;

        for key in root.keys() {
            let key = key.as_str().unwrap_or("(not a string)");
            if !SECTIONS.contains(&key) && !IGNORED_SECTIONS.contains(&key) {
                return Err(TemplateError::new(key, "the local system does not know this section"));
            }
        }

        let parameters = parameters(&section(&root, "Parameters")?, overrides)?;
        let conditions = section(&root, "Conditions")?;
        let resources = resources(&section(&root, "Resources")?, folder)?;
        let names: BTreeSet<String> = resources.keys().cloned().collect();
        let conditions = entries(&conditions, "Conditions")?;

        let expressions = Expressions::new(stack_name, parameters, conditions, names);
        check_rules(&section(&root, "Rules")?, &expressions)?;

        Ok(Self {
            resources,
            outputs: entries(&section(&root, "Outputs")?, "Outputs")?,
            expressions,
            function_globals: globals(&section(&root, "Globals")?)?,
        })
    }

    /// Returns whether the resource's `Condition` holds.
    pub(super) fn wants(&self, resource: &Resource) -> Result<bool, TemplateError> {
        resource
            .condition
            .as_ref()
            .map_or(Ok(true), |name| self.expressions.condition(name, "Condition"))
    }

    /// Returns the outputs whose `Condition` holds.
    pub(super) fn outputs(&self) -> Result<BTreeMap<String, Text>, TemplateError> {
        let mut outputs = BTreeMap::new();
        for (name, output) in &self.outputs {
            let place = format!("Outputs.{name}");
            let condition = output.get("Condition").and_then(Value::as_str);
            let wanted =
                condition.map_or(Ok(true), |name| self.expressions.condition(name, &place))?;
            if wanted {
                let value = output.get("Value");
                let value = value.ok_or_else(|| TemplateError::new(&place, "has no Value"))?;
                outputs.insert(name.clone(), self.expressions.text(value, &place)?);
            }
        }

        Ok(outputs)
    }

    /// Returns the resource's properties, a function's with the globals underneath.
    pub(super) fn properties(
        &self,
        id: &str,
        resource: &Resource,
    ) -> Result<Properties<'_>, TemplateError> {
        let mut mapping = resource.properties.clone();
        if resource.kind == "AWS::Serverless::Function" {
            mapping = merge(self.function_globals.clone(), mapping);
        }
        Properties::new(format!("Resources.{id}.Properties"), mapping, &self.expressions)
    }
}

fn parameters(
    section: &Mapping,
    overrides: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, TemplateError> {
    let declared = entries(section, "Parameters")?;
    if let Some(unknown) = overrides.keys().find(|name| !declared.contains_key(*name)) {
        return Err(TemplateError::new(
            format!("Parameters.{unknown}"),
            "the template declares no such parameter",
        ));
    }

    declared
        .iter()
        .map(|(name, definition)| Ok((name.clone(), parameter(name, definition, overrides)?)))
        .collect()
}

fn parameter(
    name: &str,
    definition: &Value,
    overrides: &BTreeMap<String, String>,
) -> Result<String, TemplateError> {
    let place = || format!("Parameters.{name}");
    let value = match (overrides.get(name), definition.get("Default")) {
        (Some(value), _) => value.clone(),
        (None, Some(default)) => scalar(default).ok_or_else(|| {
            TemplateError::new(place(), "its Default is neither a string nor a number")
        })?,
        (None, None) => {
            return Err(TemplateError::new(place(), "has no Default and was given no value"));
        }
    };

    let allowed = definition.get("AllowedValues").and_then(Value::as_sequence);

    match allowed {
        Some(allowed) if !allowed.iter().filter_map(scalar).any(|one| one == value) => {
            Err(TemplateError::new(place(), format!("`{value}` is not one of its AllowedValues")))
        }
        _ => Ok(value),
    }
}

/// Refuses parameters that the template's own rules refuse.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/rules-section-structure.html>
fn check_rules(section: &Mapping, expressions: &Expressions) -> Result<(), TemplateError> {
    for (name, rule) in entries(section, "Rules")? {
        let place = format!("Rules.{name}");
        let applies =
            rule.get("RuleCondition").map(|condition| expressions.holds(condition, &place));
        if !applies.unwrap_or(Ok(true))? {
            continue;
        }
        let assertions = rule.get("Assertions").and_then(Value::as_sequence);
        for assertion in assertions.into_iter().flatten() {
            let assert = assertion.get("Assert");
            let assert = assert.ok_or_else(|| TemplateError::new(&place, "has no Assert"))?;
            if !expressions.holds(assert, &place)? {
                let says = assertion.get("AssertDescription").and_then(scalar);
                return Err(TemplateError::new(place, says.unwrap_or_default()));
            }
        }
    }

    Ok(())
}

fn resources(
    section: &Mapping,
    folder: &Path,
) -> Result<BTreeMap<String, Resource>, TemplateError> {
    let read = |(id, value): (String, Value)| {
        let place = format!("Resources.{id}");
        let keys = value.as_mapping().into_iter().flat_map(Mapping::keys).filter_map(Value::as_str);
        if let Some(unknown) = keys.into_iter().find(|key| !RESOURCE_KEYS.contains(key)) {
            return Err(TemplateError::new(
                format!("{place}.{unknown}"),
                "a resource has no such key",
            ));
        }
        let kind = value.get("Type").and_then(Value::as_str);
        let kind = kind.ok_or_else(|| TemplateError::new(&place, "has no Type"))?.to_owned();
        let properties = match value.get("Properties") {
            None => Mapping::new(),
            Some(properties) => {
                match include::expand(properties.clone(), folder, &format!("{place}.Properties"))? {
                    Value::Mapping(properties) => properties,
                    _ => return Err(TemplateError::new(place, "its Properties are not a mapping")),
                }
            }
        };
        let condition = value.get("Condition").and_then(Value::as_str).map(str::to_owned);
        Ok((id, Resource { kind, condition, properties }))
    };

    entries(section, "Resources")?.into_iter().map(read).collect()
}

/// Returns `Globals.Function`; other globals are refused, because they are not applied to
/// resources.
fn globals(section: &Mapping) -> Result<Mapping, TemplateError> {
    let mut globals = entries(section, "Globals")?;
    let function = globals.remove("Function");
    if let Some(unknown) = globals.keys().find(|name| *name != "HttpApi") {
        return Err(TemplateError::new(
            format!("Globals.{unknown}"),
            "the local system reads Globals.Function alone",
        ));
    }

    match function {
        None => Ok(Mapping::new()),
        Some(Value::Mapping(function)) => Ok(function),
        Some(_) => Err(TemplateError::new("Globals.Function", "is not a mapping")),
    }
}

/// Merges by SAM's rule: mappings are merged, lists are joined, any other value of the resource
/// replaces the global.
/// <https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-template-anatomy-globals.html>
fn merge(mut global: Mapping, own: Mapping) -> Mapping {
    for (key, value) in own {
        let merged = match (global.remove(&key), value) {
            (Some(Value::Mapping(global)), Value::Mapping(own)) => {
                Value::Mapping(merge(global, own))
            }
            (Some(Value::Sequence(mut global)), Value::Sequence(own)) => {
                global.extend(own);
                Value::Sequence(global)
            }
            (_, own) => own,
        };
        global.insert(key, merged);
    }

    global
}

fn section(root: &Mapping, name: &str) -> Result<Mapping, TemplateError> {
    match root.get(name) {
        None | Some(Value::Null) => Ok(Mapping::new()),
        Some(Value::Mapping(section)) => Ok(section.clone()),
        Some(_) => Err(TemplateError::new(name, "is not a mapping")),
    }
}
