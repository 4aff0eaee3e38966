//! A function's environment: the template's variables with every reference resolved to what it is
//! on this machine.

use std::collections::BTreeMap;

use super::{EngineOptions, StartError};
use crate::account::{ACCOUNT_ID, PARTITION, REGION};
use crate::aws::{self, Aws};
use crate::gateway::{HTTP_API_ID, WEBSOCKET_API_ID};
use crate::lambda::Specification;
use crate::template::{ApiKind, Function, Reference, Stack};

/// Where the fronts listen, before they do.
pub(super) struct Addresses {
    pub(super) api: String,
    pub(super) websocket: String,
    pub(super) management: String,
}

/// What a function is run with; the options' variables are added to its environment, below the
/// template's own.
pub(super) fn specification(
    function: &Function,
    stack: &Stack,
    aws: &Aws,
    addresses: &Addresses,
    options: &EngineOptions,
) -> Result<Specification, StartError> {
    let mut environment = BTreeMap::from([
        ("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), aws.url.clone()),
        ("AWS_ENDPOINT_URL_S3".to_owned(), aws.url.clone()),
        ("AWS_ENDPOINT_URL_SQS".to_owned(), aws.url.clone()),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER".to_owned(), aws.url.clone()),
        ("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI".to_owned(), addresses.management.clone()),
    ]);
    environment.extend(options.environment.clone());
    for (variable, text) in &function.environment {
        let value = text.fill(|reference| value(reference, stack, aws, addresses));
        let value = value.map_err(|reference| StartError::Environment {
            function: function.logical_id.clone(),
            variable: variable.clone(),
            reference: reference.to_string(),
        })?;
        environment.insert(variable.clone(), value);
    }
    Ok(Specification {
        logical_id: function.logical_id.clone(),
        name: function.name.clone(),
        program: options.programs.of(function)?,
        timeout: function.timeout,
        memory_megabytes: function.memory_megabytes,
        environment,
    })
}

/// What a reference to a resource stands for, as the resource types' return values define it.
fn value(reference: &Reference, stack: &Stack, aws: &Aws, addresses: &Addresses) -> Option<String> {
    let id = reference.resource.as_str();
    let attribute = reference.attribute.as_deref();
    if stack.table.as_ref().is_some_and(|table| table.logical_id == id) {
        return match attribute {
            None => Some(aws.table.clone()),
            Some("Arn") => {
                Some(format!("arn:{PARTITION}:dynamodb:{REGION}:{ACCOUNT_ID}:table/{}", aws.table))
            }
            Some(_) => None,
        };
    }
    if stack.bucket.as_ref().is_some_and(|bucket| bucket.logical_id == id) {
        return match attribute {
            None => Some(aws.bucket.clone()),
            Some("Arn") => Some(format!("arn:{PARTITION}:s3:::{}", aws.bucket)),
            Some(_) => None,
        };
    }
    if let Some(queue) = stack.queues.iter().find(|queue| queue.logical_id == id) {
        return match attribute {
            None | Some("QueueUrl") => aws.queue_urls.get(id).cloned(),
            Some("Arn") => Some(aws::queue_arn(queue)),
            Some("QueueName") => Some(queue.name.clone()),
            Some(_) => None,
        };
    }
    if let Some(arn) = aws.secret_arns.get(id) {
        return matches!(attribute, None | Some("Id")).then(|| arn.clone());
    }
    if let Some(function) = stack.functions.iter().find(|function| function.logical_id == id) {
        return match attribute {
            None => Some(function.logical_id.clone()),
            Some("Arn") => {
                Some(format!("arn:{PARTITION}:lambda:{REGION}:{ACCOUNT_ID}:function:{id}"))
            }
            Some(_) => None,
        };
    }
    match (stack.apis.get(id)?, attribute) {
        (ApiKind::Http, None | Some("ApiId")) => Some(HTTP_API_ID.to_owned()),
        (ApiKind::Http, Some("ApiEndpoint")) => Some(addresses.api.clone()),
        (ApiKind::WebSocket, None | Some("ApiId")) => Some(WEBSOCKET_API_ID.to_owned()),
        (ApiKind::WebSocket, Some("ApiEndpoint")) => Some(addresses.websocket.clone()),
        (ApiKind::Stage, None) => stack.websocket.as_ref().map(|api| api.stage.clone()),
        _ => None,
    }
}
