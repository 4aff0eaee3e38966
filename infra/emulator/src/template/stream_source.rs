//! A table's stream as an event source.

use serde_json::Value;

use super::error::TemplateError;
use super::properties::Properties;

/// DynamoDB event sources' defaults.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-params.html>
const DEFAULT_BATCH_SIZE: usize = 100;
const UNTIL_EXPIRY: i64 = -1;

/// A function's `DynamoDB` event.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamSource {
    /// Logical id of the table.
    pub table: String,
    /// Most records in one event.
    pub batch_size: usize,
    /// Whether the function answers with `batchItemFailures`.
    pub reports_failures: bool,
    /// Whether a batch that failed is split in two.
    pub bisects: bool,
    /// How often a batch is tried again; `None` for as long as the stream has it.
    pub max_retries: Option<u32>,
    /// Logical id of the queue that gets a letter about records that were given up.
    pub on_failure: Option<String>,
    /// Whether it begins with the oldest record, and not with those that come.
    pub from_beginning: bool,
    /// The filters; a record that matches one of them is handed over. Empty: all are.
    filters: Vec<Filter>,
}

impl StreamSource {
    /// Reads a source; `None` for one that is switched off.
    pub(super) fn read(mut properties: Properties<'_>) -> Result<Option<Self>, TemplateError> {
        let table =
            properties.resource("Stream")?.ok_or_else(|| properties.error("names no Stream"))?;
        let position = properties.required("StartingPosition")?;
        let from_beginning = match position.as_str() {
            "TRIM_HORIZON" => true,
            "LATEST" => false,
            other => {
                return Err(properties.error(format!("the local system cannot begin at {other}")));
            }
        };

        let responses = properties.literals("FunctionResponseTypes")?;
        let retries = properties.parsed("MaximumRetryAttempts")?.unwrap_or(UNTIL_EXPIRY);

        let source = Self {
            table,
            batch_size: properties.parsed("BatchSize")?.unwrap_or(DEFAULT_BATCH_SIZE),
            reports_failures: responses
                .iter()
                .any(|response| response == "ReportBatchItemFailures"),
            bisects: properties.parsed("BisectBatchOnFunctionError")?.unwrap_or(false),
            max_retries: u32::try_from(retries).ok(),
            on_failure: on_failure(&mut properties)?,
            from_beginning,
            filters: filters(&mut properties)?,
        };

        let enabled = properties.parsed("Enabled")?.unwrap_or(true);
        properties.finish(&["MetricsConfig"])?;
        Ok(enabled.then_some(source))
    }

    /// Returns whether a record is handed over.
    pub fn matches(&self, record: &Value) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| filter.matches(record))
    }
}

fn on_failure(properties: &mut Properties<'_>) -> Result<Option<String>, TemplateError> {
    let Some(mut config) = properties.nested("DestinationConfig")? else { return Ok(None) };
    let queue = match config.nested("OnFailure")? {
        None => None,
        Some(mut on_failure) => {
            let kind = on_failure.literal("Type")?;
            if kind.as_deref().is_some_and(|kind| kind != "SQS") {
                return Err(on_failure.error("the local system knows no Type but SQS"));
            }

            let queue = on_failure.resource("Destination")?;
            on_failure.finish(&[])?;
            queue
        }
    };

    config.finish(&[])?;
    Ok(queue)
}

fn filters(properties: &mut Properties<'_>) -> Result<Vec<Filter>, TemplateError> {
    let Some(mut criteria) = properties.nested("FilterCriteria")? else { return Ok(Vec::new()) };
    let mut filters = Vec::new();
    for mut filter in criteria.list("Filters")? {
        let text = filter.required("Pattern")?;
        let pattern = serde_json::from_str(&text)
            .map_err(|error| filter.error(format!("its Pattern is no JSON: {error}")))?;
        let pattern = Filter::read(&pattern).map_err(|problem| filter.error(problem))?;
        filter.finish(&[])?;
        filters.push(pattern);
    }

    criteria.finish(&[])?;
    Ok(filters)
}

/// A pattern of event filtering, of which the local system knows members, exact values and
/// prefixes. <https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html>
#[derive(Debug, Clone, PartialEq)]
enum Filter {
    /// Each of these members matches.
    Members(Vec<(String, Filter)>),
    /// The value is one of these.
    AnyOf(Vec<Condition>),
}

#[derive(Debug, Clone, PartialEq)]
enum Condition {
    Equal(Value),
    Prefix(String),
}

impl Filter {
    fn read(pattern: &Value) -> Result<Self, String> {
        match pattern {
            Value::Object(members) => {
                let member =
                    |(name, pattern): (&String, &Value)| Ok((name.clone(), Self::read(pattern)?));
                members.iter().map(member).collect::<Result<_, String>>().map(Self::Members)
            }
            Value::Array(values) => {
                values.iter().map(Condition::read).collect::<Result<_, _>>().map(Self::AnyOf)
            }
            other => Err(format!("its Pattern has {other} where a list has to be")),
        }
    }

    fn matches(&self, value: &Value) -> bool {
        match self {
            Self::Members(members) => members
                .iter()
                .all(|(name, filter)| value.get(name).is_some_and(|member| filter.matches(member))),
            Self::AnyOf(conditions) => conditions.iter().any(|one| one.matches(value)),
        }
    }
}

impl Condition {
    fn read(value: &Value) -> Result<Self, String> {
        match value {
            Value::Object(rule) => match rule.get("prefix").and_then(Value::as_str) {
                Some(prefix) if rule.len() == 1 => Ok(Self::Prefix(prefix.to_owned())),
                _ => Err(format!("the local system does not know the rule {value} of its Pattern")),
            },
            value => Ok(Self::Equal(value.clone())),
        }
    }

    fn matches(&self, value: &Value) -> bool {
        match self {
            Self::Equal(expected) => value == expected,
            Self::Prefix(prefix) => {
                value.as_str().is_some_and(|text| text.starts_with(prefix.as_str()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_filter_compares_members_with_values_and_prefixes() {
        let pattern = json!({
            "eventName": ["INSERT", "MODIFY"],
            "dynamodb": { "Keys": { "sk": { "S": [{ "prefix": "M#" }, "SHARD"] } } },
        });

        let filter = Filter::read(&pattern).expect("a pattern");
        let record = |name: &str, sk: &str| json!({ "eventName": name, "dynamodb": { "Keys": { "sk": { "S": sk } } } });
        assert!(filter.matches(&record("INSERT", "M#1")));
        assert!(filter.matches(&record("MODIFY", "SHARD")));
        assert!(!filter.matches(&record("REMOVE", "M#1")));
        assert!(!filter.matches(&record("INSERT", "SHARDS")));
        assert!(!filter.matches(&json!({ "eventName": "INSERT" })));

        for unknown in [json!("a"), json!({ "a": "b" }), json!({ "a": [{ "exists": true }] })] {
            assert!(Filter::read(&unknown).is_err(), "{unknown}");
        }
    }
}
