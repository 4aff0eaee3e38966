//! Schedule expressions: `rate(1 minute)`.

use std::time::Duration;

use super::error::TemplateError;
use super::properties::Properties;

/// A function's `Schedule` event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The event's name in the template.
    pub name: String,
    /// Time between two invocations.
    pub every: Duration,
    /// The constant event to send instead of EventBridge's own, as JSON.
    pub input: Option<String>,
}

impl Schedule {
    pub(super) fn read(
        name: &str,
        mut properties: Properties<'_>,
    ) -> Result<Option<Self>, TemplateError> {
        let expression = properties.required("Schedule")?;
        let every = rate(&expression).ok_or_else(|| {
            properties.error(format!(
                "the local system ticks rate(…) schedules, and `{expression}` is none"
            ))
        })?;

        let input = properties.literal("Input")?;
        let enabled: bool = properties.parsed("Enabled")?.unwrap_or(true);
        let state = properties.literal("State")?;
        properties.finish(&["Description", "DeadLetterConfig", "Name", "RetryPolicy"])?;
        let runs = enabled && state.as_deref() != Some("DISABLED");

        Ok(runs.then(|| Self { name: name.to_owned(), every, input }))
    }
}

/// `rate(value unit)`, unit minute, hour or day, plural unless the value is 1.
/// <https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rate-expressions.html>
fn rate(expression: &str) -> Option<Duration> {
    let (value, unit) = expression.strip_prefix("rate(")?.strip_suffix(')')?.split_once(' ')?;
    let value: u64 = value.parse().ok().filter(|value| *value > 0)?;
    let unit = if value == 1 { unit } else { unit.strip_suffix('s')? };
    let seconds = match unit {
        "minute" => 60,
        "hour" => 60 * 60,
        "day" => 24 * 60 * 60,
        _ => return None,
    };
    Some(Duration::from_secs(value * seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_eventbridge_reads_them() {
        let minutes = |minutes: u64| Some(Duration::from_secs(60 * minutes));
        for (expression, expected) in [
            ("rate(1 minute)", minutes(1)),
            ("rate(5 minutes)", minutes(5)),
            ("rate(1 hour)", minutes(60)),
            ("rate(2 days)", minutes(2 * 24 * 60)),
            ("rate(1 minutes)", None),
            ("rate(5 minute)", None),
            ("rate(0 minutes)", None),
            ("cron(0 12 * * ? *)", None),
        ] {
            assert_eq!(rate(expression), expected, "{expression}");
        }
    }
}
