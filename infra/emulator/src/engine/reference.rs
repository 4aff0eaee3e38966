//! The values of references between resources on this machine.

use super::options::Urls;
use crate::account::{ACCOUNT_ID, PARTITION, REGION};
use crate::aws::{self, PhysicalIds};
use crate::gateway::{HTTP_API_ID, WEBSOCKET_API_ID};
use crate::template::{ApiKind, Reference, Stack};

/// Returns the value of a reference to a resource, as the resource types' return values define it.
pub(super) fn value(
    reference: &Reference,
    stack: &Stack,
    made: &PhysicalIds,
    urls: &Urls,
) -> Option<String> {
    let id = reference.resource.as_str();
    let attribute = reference.attribute.as_deref();

    if stack.table.as_ref().is_some_and(|table| table.logical_id == id) {
        return match attribute {
            None => Some(made.table.clone()),
            Some("Arn") => {
                Some(format!("arn:{PARTITION}:dynamodb:{REGION}:{ACCOUNT_ID}:table/{}", made.table))
            }
            // Its label is the time at which the stream was made, which no function asks for.
            Some("StreamArn") if stack.table.as_ref().is_some_and(|it| it.stream.is_some()) => {
                let table = &made.table;
                let arn = format!("arn:{PARTITION}:dynamodb:{REGION}:{ACCOUNT_ID}:table/{table}");
                Some(format!("{arn}/stream/local"))
            }
            Some(_) => None,
        };
    }

    if stack.bucket.as_ref().is_some_and(|bucket| bucket.logical_id == id) {
        return match attribute {
            None => Some(made.bucket.clone()),
            Some("Arn") => Some(format!("arn:{PARTITION}:s3:::{}", made.bucket)),
            Some(_) => None,
        };
    }

    if let Some(queue) = stack.queues.iter().find(|queue| queue.logical_id == id) {
        return match attribute {
            None | Some("QueueUrl") => made.queue_urls.get(id).cloned(),
            Some("Arn") => Some(aws::queue_arn(queue)),
            Some("QueueName") => Some(queue.name.clone()),
            Some(_) => None,
        };
    }

    if let Some(arn) = made.secret_arns.get(id) {
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

    if stack.configuration_sets.contains(id) {
        return attribute.is_none().then(|| format!("{}-{id}", stack.name));
    }

    match (stack.apis.get(id)?, attribute) {
        (ApiKind::Http, None | Some("ApiId")) => Some(HTTP_API_ID.to_owned()),
        (ApiKind::Http, Some("ApiEndpoint")) => Some(urls.api.clone()),
        (ApiKind::WebSocket, None | Some("ApiId")) => Some(WEBSOCKET_API_ID.to_owned()),
        (ApiKind::WebSocket, Some("ApiEndpoint")) => Some(urls.websocket.clone()),
        (ApiKind::Stage, None) => stack.websocket.as_ref().map(|api| api.stage.clone()),
        _ => None,
    }
}

/// Replaces the hosts that API Gateway gives its APIs by the addresses of the local fronts.
pub(super) fn with_local_hosts(text: &str, urls: &Urls) -> String {
    let host =
        |scheme: &str, api: &str| format!("{scheme}://{api}.execute-api.{REGION}.amazonaws.com");
    text.replace(&host("https", HTTP_API_ID), &urls.api)
        .replace(&host("wss", WEBSOCKET_API_ID), &urls.websocket)
}
