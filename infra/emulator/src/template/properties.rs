//! Takes a resource's properties one by one, and refuses those that are left: nothing is ignored by
//! oversight.

use std::collections::BTreeMap;
use std::str::FromStr;

use yaml_serde::{Mapping, Value};

use super::error::TemplateError;
use super::expression::Expressions;
use super::text::Text;
use super::yaml::entries;

/// A list of texts, and the names that lead to it.
pub(super) type Leaf = (Vec<String>, Vec<Text>);

/// A mapping of the template that is being taken apart.
pub(super) struct Properties<'a> {
    place: String,
    left: BTreeMap<String, Value>,
    expressions: &'a Expressions,
}

impl<'a> Properties<'a> {
    pub(super) fn new(
        place: String,
        mapping: Mapping,
        expressions: &'a Expressions,
    ) -> Result<Self, TemplateError> {
        Ok(Self { left: entries(&mapping, &place)?, place, expressions })
    }

    /// An error about this mapping as a whole.
    pub(super) fn error(&self, problem: impl Into<String>) -> TemplateError {
        TemplateError::new(&self.place, problem)
    }

    /// A text in which references may be open.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<Text>, TemplateError> {
        let value = self.take(name)?;
        value.map(|value| self.expressions.text(&value, &self.at(name))).transpose()
    }

    /// A text that must be there and may only name parameters.
    pub(super) fn required(&mut self, name: &str) -> Result<String, TemplateError> {
        self.literal(name)?.ok_or_else(|| TemplateError::new(self.at(name), "is missing"))
    }

    /// A text that may only name parameters.
    pub(super) fn literal(&mut self, name: &str) -> Result<Option<String>, TemplateError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let literal = text.literal();
        literal
            .map(Some)
            .ok_or_else(|| TemplateError::new(self.at(name), "may not depend on a resource"))
    }

    /// A number or boolean.
    pub(super) fn parsed<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, TemplateError> {
        let Some(text) = self.literal(name)? else { return Ok(None) };
        let parsed = text.parse().map(Some);
        parsed.map_err(|_| {
            TemplateError::new(
                self.at(name),
                format!("`{text}` is out of range or of the wrong type"),
            )
        })
    }

    /// The logical id of the one resource that a text names: `!GetAtt ChatQueue.Arn` is
    /// `ChatQueue`.
    pub(super) fn resource(&mut self, name: &str) -> Result<Option<String>, TemplateError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let mut named = text.references().map(|reference| reference.resource.clone());
        match (named.next(), named.next()) {
            (Some(resource), None) => Ok(Some(resource)),
            _ => Err(TemplateError::new(self.at(name), "must name one resource of this template")),
        }
    }

    /// A nested mapping.
    pub(super) fn nested(&mut self, name: &str) -> Result<Option<Properties<'a>>, TemplateError> {
        let value = self.take(name)?;
        value.map(|value| self.mapping(value, self.at(name))).transpose()
    }

    /// A list of mappings; entries that are `AWS::NoValue` are left out.
    pub(super) fn list(&mut self, name: &str) -> Result<Vec<Properties<'a>>, TemplateError> {
        let at = self.at(name);
        let items = self.values(name)?.into_iter().enumerate();
        items.map(|(index, item)| self.mapping(item, format!("{at}[{index}]"))).collect()
    }

    /// Returns the rest as lists of texts, each with the names that lead to it.
    pub(super) fn leaves(mut self) -> Result<Vec<Leaf>, TemplateError> {
        let names: Vec<String> = self.left.keys().cloned().collect();
        let mut leaves = Vec::new();

        for name in names {
            if matches!(self.left.get(&name), Some(Value::Mapping(_))) {
                let below = self.nested(&name)?.map_or(Ok(Vec::new()), Properties::leaves)?;
                leaves.extend(below.into_iter().map(|(mut path, texts)| {
                    path.insert(0, name.clone());
                    (path, texts)
                }));
                continue;
            }
            let at = self.at(&name);
            let values = self.values(&name)?;
            let texts = values.iter().map(|value| self.expressions.text(value, &at));
            leaves.push((vec![name], texts.collect::<Result<_, _>>()?));
        }

        Ok(leaves)
    }

    /// A list of texts that may only name parameters.
    pub(super) fn literals(&mut self, name: &str) -> Result<Vec<String>, TemplateError> {
        let at = self.at(name);
        let values = self.values(name)?;
        let literal = |value: Value| {
            let text = self.expressions.text(&value, &at)?;
            text.literal().ok_or_else(|| TemplateError::new(&at, "may not depend on a resource"))
        };
        values.into_iter().map(literal).collect()
    }

    /// A text or a list of texts, in which references may be open.
    pub(super) fn texts_of(&mut self, name: &str) -> Result<Vec<Text>, TemplateError> {
        let at = self.at(name);
        let values = match self.take(name)? {
            None => Vec::new(),
            Some(Value::Sequence(items)) => items,
            Some(one) => vec![one],
        };

        let mut texts = Vec::new();
        for value in values {
            if let Some(value) = self.expressions.choose(value, &at)? {
                texts.extend(self.expressions.texts(&value, &at)?);
            }
        }

        Ok(texts)
    }

    /// Returns the rest as nested mappings by name, for sections whose keys are names.
    pub(super) fn each(mut self) -> Result<Vec<(String, Properties<'a>)>, TemplateError> {
        let names: Vec<String> = self.left.keys().cloned().collect();
        let nested = |name: String| Ok(self.nested(&name)?.map(|nested| (name, nested)));
        names.into_iter().map(nested).filter_map(Result::transpose).collect()
    }

    /// Returns the rest as texts by name.
    pub(super) fn texts(mut self) -> Result<BTreeMap<String, Text>, TemplateError> {
        let names: Vec<String> = self.left.keys().cloned().collect();
        let text = |name: String| Ok(self.text(&name)?.map(|text| (name, text)));
        names.into_iter().map(text).filter_map(Result::transpose).collect()
    }

    /// Ends the reading, and refuses properties that are left. `without_local_meaning` lists those
    /// that one machine has no use for.
    pub(super) fn finish(self, without_local_meaning: &[&str]) -> Result<(), TemplateError> {
        match self.left.keys().find(|name| !without_local_meaning.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(TemplateError::new(
                self.at(name),
                "the local system does not know this property: give it a meaning in infra/emulator/src/template, or add \
                 it to the list of those that have none on one machine",
            )),
        }
    }

    fn take(&mut self, name: &str) -> Result<Option<Value>, TemplateError> {
        let value = self.left.remove(name);
        value.map_or(Ok(None), |value| self.expressions.choose(value, &self.at(name)))
    }

    fn values(&mut self, name: &str) -> Result<Vec<Value>, TemplateError> {
        let at = self.at(name);
        match self.take(name)? {
            None => Ok(Vec::new()),
            Some(Value::Sequence(items)) => items
                .into_iter()
                .filter_map(|item| self.expressions.choose(item, &at).transpose())
                .collect(),
            Some(_) => Err(TemplateError::new(at, "is not a list")),
        }
    }

    fn mapping(&self, value: Value, place: String) -> Result<Properties<'a>, TemplateError> {
        match value {
            Value::Mapping(mapping) => Properties::new(place, mapping, self.expressions),
            _ => Err(TemplateError::new(place, "is not a mapping")),
        }
    }

    fn at(&self, name: &str) -> String {
        format!("{}.{name}", self.place)
    }
}
