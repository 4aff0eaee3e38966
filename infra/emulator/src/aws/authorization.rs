//! IAM: a function's call is refused if its role does not allow an action that AWS checks for it.
//! Callers from outside the functions may do everything.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::calls::Calls;
use super::operation::Request;
use crate::account::{ACCOUNT_ID, PARTITION, REGION};
use crate::lambda::Logs;
use crate::template::{Function, Grant};

/// The functions' roles, and the record of what they asked for. Clones share both.
#[derive(Debug, Clone)]
pub(crate) struct Authorizer {
    calls: Calls,
    logs: Logs,
    /// By logical id of the function.
    roles: Arc<BTreeMap<String, Role>>,
}

#[derive(Debug)]
struct Role {
    /// The function's folder.
    function: String,
    grants: Vec<Grant>,
}

/// An action that the caller's role does not allow.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html>
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "User: {user} is not authorized to perform: {action} on resource: {resource} because no \
     identity-based policy allows the {action} action"
)]
pub struct AccessDenied {
    /// The caller, by the ARN of its session.
    pub user: String,
    /// The action: `dynamodb:PutItem`.
    pub action: String,
    /// The resource, with the template's own name in its ARN.
    pub resource: String,
}

impl Authorizer {
    pub(super) fn new(functions: &[Function], calls: Calls, logs: Logs) -> Self {
        let role = |function: &Function| {
            let Function { logical_id, name, grants, .. } = function;
            (logical_id.clone(), Role { function: name.clone(), grants: grants.clone() })
        };
        Self { calls, logs, roles: Arc::new(functions.iter().map(role).collect()) }
    }

    /// Records what a function asks for, and decides whether it may. A refusal is in the function's
    /// log, which AWS tells by CloudTrail. A caller that is no function may, and is not recorded.
    pub(crate) fn authorize(&self, function: &str, request: Request) -> Result<(), AccessDenied> {
        let Some(role) = self.roles.get(function) else { return Ok(()) };
        let Request { operation, resource, partition } = &request;
        let is_allowed = |action: &String| {
            role.grants.iter().any(|grant| grant.allows(action, resource, partition.as_deref()))
        };
        let missing = actions(operation).into_iter().find(|action| !is_allowed(action));
        let denied = missing.map(|action| AccessDenied::new(function, action, resource));
        self.calls.record_request(function, request);

        match denied {
            None => Ok(()),
            Some(denied) => {
                self.logs.access_denied(&role.function, &denied.to_string());
                Err(denied)
            }
        }
    }
}

impl AccessDenied {
    fn new(function: &str, action: String, resource: &str) -> Self {
        let service = action.split(':').next().unwrap_or_default();
        let sts = format!("arn:{PARTITION}:sts::{ACCOUNT_ID}");
        Self {
            user: format!("{sts}:assumed-role/{function}Role/{function}"),
            resource: format!("arn:{PARTITION}:{service}:{REGION}:{ACCOUNT_ID}:{resource}"),
            action,
        }
    }
}

/// Returns the actions that AWS checks for an operation: most have one, of the same name.
/// <https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html>
fn actions(operation: &str) -> Vec<String> {
    let (service, name) = operation.split_once(':').unwrap_or_default();
    let of_service = |actions: &[&str]| -> Vec<String> {
        actions.iter().map(|action| format!("{service}:{action}")).collect()
    };

    match (service, name) {
        ("dynamodb", "TransactWriteItems/ConditionCheck") => of_service(&["ConditionCheckItem"]),
        // The operation of one item, such as `PutItem`.
        ("dynamodb", _) if name.starts_with("Transact") => {
            let (_, kind) = name.split_once('/').unwrap_or_default();
            of_service(&[&format!("{kind}Item")])
        }
        ("sqs", _) => of_service(&[name.trim_end_matches("Batch")]),
        ("s3", "HeadObject") => of_service(&["GetObject"]),
        // Of an object in the same bucket: there is one.
        ("s3", "CopyObject") => of_service(&["GetObject", "PutObject"]),
        ("s3", "PutObject/tagging") => of_service(&["PutObject", "PutObjectTagging"]),
        ("s3", _) if name == "ListObjectsV2" || name.ends_with("/missing") => {
            of_service(&["ListBucket"])
        }
        // Whatever the operation is called; raw content has an action of its own beside it.
        // <https://github.com/anymail/django-anymail/issues/384>
        ("sesv2", "SendEmail/Raw") => vec!["ses:SendEmail".into(), "ses:SendRawEmail".into()],
        ("sesv2", _) => vec![format!("ses:{name}")],
        ("apigatewaymanagementapi", _) => vec!["execute-api:ManageConnections".into()],
        _ => vec![operation.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_needs_the_action_that_aws_checks_for_it() {
        for (operation, expected) in [
            ("dynamodb:BatchGetItem", &["dynamodb:BatchGetItem"][..]),
            ("dynamodb:TransactWriteItems/Put", &["dynamodb:PutItem"]),
            ("dynamodb:TransactWriteItems/ConditionCheck", &["dynamodb:ConditionCheckItem"]),
            ("dynamodb:TransactGetItems/Get", &["dynamodb:GetItem"]),
            ("sqs:SendMessageBatch", &["sqs:SendMessage"]),
            ("s3:GetObject", &["s3:GetObject"]),
            ("s3:HeadObject/missing", &["s3:ListBucket"]),
            ("s3:PutObject/tagging", &["s3:PutObject", "s3:PutObjectTagging"]),
            ("secretsmanager:GetSecretValue", &["secretsmanager:GetSecretValue"]),
            ("sesv2:SendEmail", &["ses:SendEmail"]),
            ("sesv2:SendEmail/Raw", &["ses:SendEmail", "ses:SendRawEmail"]),
            ("apigatewaymanagementapi:PostToConnection", &["execute-api:ManageConnections"]),
        ] {
            assert_eq!(actions(operation), expected, "{operation}");
        }
    }
}
