//! `Policies` of a function: what its role allows.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html>

use wildmatch::WildMatch;

use super::error::TemplateError;
use super::properties::Properties;
use super::text::Text;

/// A statement that allows actions on resources.
#[derive(Debug, Clone, PartialEq)]
pub struct Grant {
    /// IAM does not distinguish capitals in actions.
    actions: Vec<WildMatch>,
    /// Resources by the template's own names: `Table`, `Files/*`.
    resources: Vec<WildMatch>,
    /// Partition keys of the table's items; `None` without such a condition.
    leading_keys: Option<Vec<WildMatch>>,
}

impl Grant {
    /// Reads the statements of a function's policies.
    pub(super) fn read_all(function: &mut Properties<'_>) -> Result<Vec<Self>, TemplateError> {
        let mut grants = Vec::new();
        for mut policy in function.list("Policies")? {
            for statement in policy.list("Statement")? {
                grants.push(Self::read(statement)?);
            }
            policy.finish(&["Version"])?;
        }
        Ok(grants)
    }

    fn read(mut statement: Properties<'_>) -> Result<Self, TemplateError> {
        if statement.required("Effect")? != "Allow" {
            return Err(statement.error("the local system knows no Effect but Allow"));
        }

        let actions = statement.texts_of("Action")?;
        let resources = statement.texts_of("Resource")?;
        let leading_keys = match statement.nested("Condition")? {
            None => None,
            Some(condition) => Some(leading_keys(condition)?),
        };
        statement.finish(&["Sid"])?;

        let action = |text: &Text| WildMatch::new_case_insensitive(&named(text));
        let resource = |text: &Text| WildMatch::new(in_account(&named(text)));
        Ok(Self {
            actions: actions.iter().map(action).collect(),
            resources: resources.iter().map(resource).collect(),
            leading_keys,
        })
    }

    /// Returns what SAM adds for a function with a queue: the role with which Lambda polls it is
    /// the function's own.
    /// <https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSLambdaSQSQueueExecutionRole.html>
    pub(super) fn polling() -> Self {
        let actions = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"];
        Self {
            actions: actions.map(WildMatch::new_case_insensitive).into(),
            resources: vec![WildMatch::new("*")],
            leading_keys: None,
        }
    }

    /// Returns whether it allows an action on a resource, and on the item with this partition key
    /// if there is one.
    pub fn allows(&self, action: &str, resource: &str, partition: Option<&str>) -> bool {
        let among = |patterns: &[WildMatch], text: &str| {
            patterns.iter().any(|pattern| pattern.matches(text))
        };
        // `ForAllValues` holds of a request that has no value.
        let is_in_partitions = match (&self.leading_keys, partition) {
            (Some(patterns), Some(partition)) => among(patterns, partition),
            _ => true,
        };
        is_in_partitions
            && among(&self.actions, action)
            && among(&self.resources, in_account(resource))
    }
}

/// Reads the one condition that is known.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html>
fn leading_keys(mut condition: Properties<'_>) -> Result<Vec<WildMatch>, TemplateError> {
    let Some(mut operator) = condition.nested("ForAllValues:StringLike")? else {
        return Err(condition.error("the local system knows ForAllValues:StringLike alone"));
    };
    let keys = operator.texts_of("dynamodb:LeadingKeys")?;
    operator.finish(&[])?;
    condition.finish(&[])?;
    Ok(keys.iter().map(|key| WildMatch::new(&named(key))).collect())
}

/// Returns the text with the logical id in place of each reference.
fn named(text: &Text) -> String {
    text.fill(|reference| Some(reference.resource.clone())).unwrap_or_default()
}

/// Returns what an ARN names within its service and account; a name that is none stays as it is.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>
fn in_account(resource: &str) -> &str {
    let name = match resource.starts_with("arn:") {
        true => resource.splitn(6, ':').nth(5).unwrap_or_default(),
        false => resource,
    };
    name.strip_prefix("secret:").unwrap_or(name)
}
