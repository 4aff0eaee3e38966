//! Intrinsic functions and conditions. A reference to a resource stays a [`Reference`] inside a
//! [`Text`] until the resource is made.

use std::collections::{BTreeMap, BTreeSet};

use yaml_serde::Value;

use super::error::TemplateError;
use super::text::{Reference, Text};
use super::yaml::scalar;
use crate::account::{ACCOUNT_ID, PARTITION, REGION, URL_SUFFIX};

/// The parameters, conditions and resources that expressions name.
pub(super) struct Expressions {
    stack_name: String,
    parameters: BTreeMap<String, String>,
    conditions: BTreeMap<String, Value>,
    resources: BTreeSet<String>,
}

impl Expressions {
    pub(super) fn new(
        stack_name: &str,
        parameters: BTreeMap<String, String>,
        conditions: BTreeMap<String, Value>,
        resources: BTreeSet<String>,
    ) -> Self {
        Self { stack_name: stack_name.to_owned(), parameters, conditions, resources }
    }

    /// Returns the value with `!If` decided; `None` for `AWS::NoValue`.
    pub(super) fn choose(&self, value: Value, place: &str) -> Result<Option<Value>, TemplateError> {
        match intrinsic(&value) {
            Some(("If", argument)) => {
                let [condition, yes, no] = arguments(argument, place)?;
                let name = condition
                    .as_str()
                    .ok_or_else(|| TemplateError::new(place, "!If wants a condition's name"))?;
                let branch = if self.condition(name, place)? { yes } else { no };
                self.choose(branch.clone(), place)
            }
            Some(("Ref", Value::String(name))) if name == "AWS::NoValue" => Ok(None),
            _ => Ok(Some(value)),
        }
    }

    /// Returns the value as text.
    pub(super) fn text(&self, value: &Value, place: &str) -> Result<Text, TemplateError> {
        match intrinsic(value) {
            Some(("Ref", Value::String(name))) => self.reference(name, place),
            Some(("GetAtt", argument)) => self.attribute(&dotted(argument, place)?, place),
            Some(("Sub", argument)) => self.substitute(argument, place),
            Some(("Join", argument)) => self.join(argument, place),
            Some(("If", _)) => match self.choose(value.clone(), place)? {
                Some(value) => self.text(&value, place),
                None => Err(TemplateError::new(place, "AWS::NoValue cannot stand inside a text")),
            },
            Some((name, _)) => Err(unknown(name, place)),
            None => scalar(value)
                .map(Text::constant)
                .ok_or_else(|| TemplateError::new(place, "is not a text")),
        }
    }

    /// Returns the texts that a `!Split` makes of a text, or the one text that the value is.
    pub(super) fn texts(&self, value: &Value, place: &str) -> Result<Vec<Text>, TemplateError> {
        let Some(("Split", argument)) = intrinsic(value) else {
            return Ok(vec![self.text(value, place)?]);
        };
        let literal = |value: &Value| {
            let literal = self.text(value, place)?.literal();
            literal.ok_or_else(|| TemplateError::new(place, "!Split may not name a resource"))
        };
        let [separator, joined] = arguments(argument, place)?;
        let joined = literal(joined)?;
        Ok(joined.split(&literal(separator)?).map(Text::constant).collect())
    }

    /// Returns whether the named condition holds.
    pub(super) fn condition(&self, name: &str, place: &str) -> Result<bool, TemplateError> {
        let condition = self
            .conditions
            .get(name)
            .ok_or_else(|| TemplateError::new(place, format!("there is no condition `{name}`")))?;
        self.holds(condition, &format!("Conditions.{name}"))
    }

    /// Returns whether a condition holds that stands at `place`.
    pub(super) fn holds(&self, value: &Value, place: &str) -> Result<bool, TemplateError> {
        match intrinsic(value) {
            Some(("Equals", argument)) => {
                let [left, right] = arguments(argument, place)?;
                Ok(self.text(left, place)? == self.text(right, place)?)
            }
            Some(("Not", argument)) => {
                let [inner] = arguments(argument, place)?;
                Ok(!self.holds(inner, place)?)
            }
            Some(("And", Value::Sequence(all))) => {
                all.iter().try_fold(true, |so_far, one| Ok(self.holds(one, place)? && so_far))
            }
            Some(("Or", Value::Sequence(any))) => {
                any.iter().try_fold(false, |so_far, one| Ok(self.holds(one, place)? || so_far))
            }
            Some(("Condition", Value::String(name))) => self.condition(name, place),
            Some((name, _)) => Err(unknown(name, place)),
            None => Err(TemplateError::new(place, "is not a condition")),
        }
    }

    fn reference(&self, name: &str, place: &str) -> Result<Text, TemplateError> {
        if let Some(value) = self.parameters.get(name) {
            return Ok(Text::constant(value));
        }
        if let Some(value) = self.pseudo_parameter(name) {
            return Ok(Text::constant(value));
        }
        self.resource(Reference { resource: name.to_owned(), attribute: None }, place)
    }

    fn pseudo_parameter(&self, name: &str) -> Option<String> {
        let stack_name = &self.stack_name;
        match name {
            "AWS::AccountId" => Some(ACCOUNT_ID.to_owned()),
            "AWS::Partition" => Some(PARTITION.to_owned()),
            "AWS::Region" => Some(REGION.to_owned()),
            "AWS::StackName" => Some(stack_name.clone()),
            "AWS::StackId" => Some(format!(
                "arn:{PARTITION}:cloudformation:{REGION}:{ACCOUNT_ID}:stack/{stack_name}/local"
            )),
            "AWS::URLSuffix" => Some(URL_SUFFIX.to_owned()),
            _ => None,
        }
    }

    fn attribute(&self, dotted: &str, place: &str) -> Result<Text, TemplateError> {
        let (resource, attribute) = dotted.split_once('.').ok_or_else(|| {
            TemplateError::new(place, format!("!GetAtt {dotted} names no attribute"))
        })?;
        let reference =
            Reference { resource: resource.to_owned(), attribute: Some(attribute.to_owned()) };
        self.resource(reference, place)
    }

    fn resource(&self, reference: Reference, place: &str) -> Result<Text, TemplateError> {
        if self.resources.contains(&reference.resource) {
            return Ok(Text::reference(reference));
        }
        Err(TemplateError::new(
            place,
            format!("{reference}: there is no such parameter or resource"),
        ))
    }

    /// Evaluates `!Sub text` or `!Sub [text, {name: value}]`; `${!name}` is a literal `${name}`.
    fn substitute(&self, argument: &Value, place: &str) -> Result<Text, TemplateError> {
        let (pattern, own) = match argument {
            Value::Sequence(_) => {
                let [pattern, own] = arguments(argument, place)?;
                (pattern, Some(own))
            }
            pattern => (pattern, None),
        };

        let mut rest =
            pattern.as_str().ok_or_else(|| TemplateError::new(place, "!Sub wants a text"))?;
        let mut text = Text::default();

        while let Some((before, after)) = rest.split_once("${") {
            let (name, after) = after
                .split_once('}')
                .ok_or_else(|| TemplateError::new(place, "!Sub: `${` without `}`"))?;
            text.append(Text::constant(before));
            let part = match (name.strip_prefix('!'), own.and_then(|own| own.get(name))) {
                (Some(literal), _) => Text::constant(format!("${{{literal}}}")),
                (None, Some(value)) => self.text(value, place)?,
                (None, None) if name.contains('.') => self.attribute(name, place)?,
                (None, None) => self.reference(name, place)?,
            };
            text.append(part);
            rest = after;
        }

        text.append(Text::constant(rest));
        Ok(text)
    }

    fn join(&self, argument: &Value, place: &str) -> Result<Text, TemplateError> {
        let [separator, Value::Sequence(items)] = arguments(argument, place)? else {
            return Err(TemplateError::new(place, "!Join wants a separator and a list"));
        };
        let separator = self.text(separator, place)?;
        let mut text = Text::default();
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                text.append(separator.clone());
            }
            text.append(self.text(item, place)?);
        }
        Ok(text)
    }
}

/// Returns the intrinsic function that a value calls, in short (`!Sub`) or full form (`Fn::Sub:`),
/// with its argument.
fn intrinsic(value: &Value) -> Option<(&str, &Value)> {
    match value {
        Value::Tagged(tagged) => {
            // `Tag` has no accessor for its name without the exclamation mark.
            let name = INTRINSICS.iter().find(|name| tagged.tag == **name)?;
            Some((name, &tagged.value))
        }
        Value::Mapping(mapping) if mapping.len() == 1 => {
            let (key, argument) = mapping.iter().next()?;
            match key.as_str()? {
                name @ ("Ref" | "Condition") => Some((name, argument)),
                name => Some((name.strip_prefix("Fn::")?, argument)),
            }
        }
        _ => None,
    }
}

/// All of CloudFormation's, so that one that is not known here is named in the error.
const INTRINSICS: &[&str] = &[
    "Ref",
    "GetAtt",
    "Sub",
    "Join",
    "If",
    "Equals",
    "Not",
    "And",
    "Or",
    "Condition",
    "Base64",
    "Cidr",
    "FindInMap",
    "GetAZs",
    "ImportValue",
    "Length",
    "Select",
    "Split",
    "ToJsonString",
    "Transform",
    "ForEach",
];

fn unknown(name: &str, place: &str) -> TemplateError {
    TemplateError::new(
        place,
        format!(
            "the local system does not evaluate !{name} here: add it to infra/emulator/src/template/expression.rs"
        ),
    )
}

fn arguments<'a, const N: usize>(
    argument: &'a Value,
    place: &str,
) -> Result<[&'a Value; N], TemplateError> {
    let wrong = || TemplateError::new(place, format!("an intrinsic function wants a list of {N}"));
    let list: Vec<&Value> = argument.as_sequence().ok_or_else(wrong)?.iter().collect();
    list.try_into().map_err(|_| wrong())
}

fn dotted(argument: &Value, place: &str) -> Result<String, TemplateError> {
    match argument {
        Value::String(dotted) => Ok(dotted.clone()),
        Value::Sequence(parts) => Ok(parts.iter().filter_map(scalar).collect::<Vec<_>>().join(".")),
        _ => Err(TemplateError::new(place, "!GetAtt wants `Resource.Attribute`")),
    }
}
