//! The embedded SQS with the template's queues.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::types::QueueAttributeName;
use rustack_sqs_core::config::SqsConfig;
use rustack_sqs_core::handler::RustackSqsHandler;
use rustack_sqs_core::provider::RustackSqs;
use rustack_sqs_http::service::{SqsHttpConfig, SqsHttpService};

use super::error::AwsError;
use super::sdk::loopback;
use crate::account::{ACCOUNT_ID, PARTITION, REGION};
use crate::listen::{self, Pages, Server};
use crate::template::Queue;

/// Starts SQS; the URLs of its queues name `public`, where the proxy listens. Returns its own URL.
pub(super) async fn start(public: SocketAddr) -> Result<(Server, String), AwsError> {
    let listener = listen::bind().await?;
    let url = format!("http://{}", listener.local_addr()?);
    let sqs = Arc::new(RustackSqs::new(SqsConfig {
        skip_signature_validation: true,
        default_region: REGION.to_owned(),
        account_id: ACCOUNT_ID.to_owned(),
        host: public.ip().to_string(),
        port: public.port(),
    }));
    let service =
        SqsHttpService::new(Arc::new(RustackSqsHandler::new(sqs)), SqsHttpConfig::default());
    Ok((listen::serve(listener, Pages::OfThisMachine, move |_| service.clone()), url))
}

/// Returns a client of the SQS at this URL.
pub(super) fn client(url: &str) -> Client {
    Client::from_conf(loopback!(aws_sdk_sqs, url))
}

/// Returns the ARN of a queue.
pub(crate) fn arn(queue: &Queue) -> String {
    format!("arn:{PARTITION}:sqs:{REGION}:{ACCOUNT_ID}:{}", queue.name)
}

/// Makes the queues, dead-letter queues first; returns their URLs by logical id.
pub(super) async fn create(
    client: &Client,
    queues: &[Queue],
) -> Result<BTreeMap<String, String>, AwsError> {
    let mut urls = BTreeMap::new();
    let (plain, redriving): (Vec<_>, Vec<_>) =
        queues.iter().partition(|queue| queue.redrive.is_none());

    for queue in plain.into_iter().chain(redriving) {
        let failed = |reason: String| AwsError::Queue { queue: queue.logical_id.clone(), reason };
        let mut request = client.create_queue().queue_name(&queue.name);
        for (name, value) in &queue.attributes {
            request = request.attributes(QueueAttributeName::from(name.as_str()), value);
        }
        if let Some(policy) = redrive_policy(queue, queues) {
            request = request.attributes(QueueAttributeName::RedrivePolicy, policy);
        }
        let created =
            request.send().await.map_err(|error| failed(DisplayErrorContext(error).to_string()))?;
        let url =
            created.queue_url.ok_or_else(|| failed("SQS answered without a URL".to_owned()))?;
        urls.insert(queue.logical_id.clone(), url);
    }

    Ok(urls)
}

fn redrive_policy(queue: &Queue, queues: &[Queue]) -> Option<String> {
    let redrive = queue.redrive.as_ref()?;
    let dead_letters = queues.iter().find(|other| other.logical_id == redrive.dead_letters)?;
    // `maxReceiveCount` must be a number here, where AWS takes a string as well.
    let policy = serde_json::json!({
        "deadLetterTargetArn": arn(dead_letters),
        "maxReceiveCount": redrive.max_receive_count,
    });
    Some(policy.to_string())
}
