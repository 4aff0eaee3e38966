//! A function's environment: the template's variables with every reference resolved to its value on
//! this machine.

use std::collections::BTreeMap;

use super::error::StartError;
use super::options::{EngineOptions, Urls};
use super::reference::value;
use crate::aws::PhysicalIds;
use crate::lambda::Specification;
use crate::template::{Function, Stack};

/// Returns what a function is run with; the options' variables are added to its environment, below
/// the template's own.
pub(super) fn specification(
    function: &Function,
    stack: &Stack,
    made: &PhysicalIds,
    urls: &Urls,
    options: &EngineOptions,
) -> Result<Specification, StartError> {
    let mut environment = BTreeMap::from([
        ("AWS_ENDPOINT_URL_DYNAMODB".to_owned(), urls.aws.clone()),
        ("AWS_ENDPOINT_URL_S3".to_owned(), urls.aws.clone()),
        ("AWS_ENDPOINT_URL_SQS".to_owned(), urls.aws.clone()),
        ("AWS_ENDPOINT_URL_SECRETS_MANAGER".to_owned(), urls.aws.clone()),
        ("AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI".to_owned(), urls.management.clone()),
    ]);
    environment.extend(options.environment.clone());

    for (variable, text) in &function.environment {
        let value = text.fill(|reference| value(reference, stack, made, urls));
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
        reserved_concurrency: function.reserved_concurrency,
        may_loop: function.may_loop,
        environment,
    })
}
