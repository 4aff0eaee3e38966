//! The embedded Secrets Manager with the template's secrets, which start without a value.

use std::collections::BTreeMap;
use std::sync::Arc;

use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::DisplayErrorContext;
use rustack_secretsmanager_core::config::SecretsManagerConfig;
use rustack_secretsmanager_core::handler::RustackSecretsManagerHandler;
use rustack_secretsmanager_core::provider::RustackSecretsManager;
use rustack_secretsmanager_http::{SecretsManagerHttpConfig, SecretsManagerHttpService};

use super::error::AwsError;
use super::sdk::loopback;
use crate::account::{ACCOUNT_ID, REGION};
use crate::listen::{self, Pages, Server};
use crate::template::Secret;

/// Starts Secrets Manager and returns its own URL.
pub(super) async fn start() -> Result<(Server, String), AwsError> {
    let listener = listen::bind().await?;
    let url = format!("http://{}", listener.local_addr()?);
    let secrets = Arc::new(RustackSecretsManager::new(SecretsManagerConfig {
        skip_signature_validation: true,
        default_region: REGION.to_owned(),
        default_account_id: ACCOUNT_ID.to_owned(),
    }));
    let handler = Arc::new(RustackSecretsManagerHandler::new(secrets));
    let service = SecretsManagerHttpService::new(handler, SecretsManagerHttpConfig::default());
    Ok((listen::serve(listener, Pages::OfThisMachine, move |_| service.clone()), url))
}

/// Makes the secrets without values; returns their ARNs by logical id.
pub(super) async fn create(
    url: &str,
    secrets: &[Secret],
) -> Result<BTreeMap<String, String>, AwsError> {
    let client = Client::from_conf(loopback!(aws_sdk_secretsmanager, url));
    let mut arns = BTreeMap::new();

    for secret in secrets {
        let failed =
            |reason: String| AwsError::Secret { secret: secret.logical_id.clone(), reason };
        let created = client.create_secret().name(&secret.name).send().await;
        let created = created.map_err(|error| failed(DisplayErrorContext(error).to_string()))?;
        let arn = created
            .arn
            .ok_or_else(|| failed("Secrets Manager answered without an ARN".to_owned()))?;
        arns.insert(secret.logical_id.clone(), arn);
    }

    Ok(arns)
}
