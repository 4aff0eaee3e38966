//! The AWS that the functions see: DynamoDB, S3, SQS and Secrets Manager on loopback, behind one
//! proxy that can make any call fail. Lambda and API Gateway have modules of their own.

mod answer;
mod call;
mod calls;
mod cloudformation;
mod dynamodb;
mod fault;
mod permission;
mod proxy;
mod s3;
mod secrets;
mod sqs;
mod sqs_compat;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};

use crate::lambda::Workers;
use crate::listen::{self, Server};
use crate::template::Stack;

pub use calls::{Calls, RecordedCall};
pub(crate) use cloudformation::Deployed;
pub use dynamodb::TableError;
pub use fault::{AwsFaults, Failure, FaultError, FaultRule};
pub use permission::Permission;
pub use permission::caller;
pub(crate) use sqs::arn as queue_arn;
pub(crate) use sqs_compat::restore_group_id;

/// The services with the template's table, queues and secrets in them.
pub(crate) struct Aws {
    /// Base URL of all services, through the proxy.
    pub(crate) url: String,
    /// The table's physical name, empty if the template declares none.
    pub(crate) table: String,
    /// The bucket's physical name, empty if the template declares none.
    pub(crate) bucket: String,
    /// URL by logical id of the queue.
    pub(crate) queue_urls: BTreeMap<String, String>,
    /// ARN by logical id of the secret.
    pub(crate) secret_arns: BTreeMap<String, String>,
    /// SQS below the proxy: what polls queues is AWS itself, and no fault hits it.
    pub(crate) queues: aws_sdk_sqs::Client,
    pub(crate) faults: AwsFaults,
    pub(crate) calls: Calls,
    /// What CloudFormation says, once everything is made.
    pub(crate) deployed: Arc<OnceLock<Deployed>>,
    tables: aws_sdk_dynamodb::Client,
    objects: Option<Arc<s3::Embedded>>,
    servers: Vec<Server>,
    embedded: Option<dynamodb::Embedded>,
}

/// Why the local AWS could not be made.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// A loopback port could not be opened.
    #[error("no loopback port for the local AWS: {0}")]
    Listen(#[from] std::io::Error),
    /// The table could not be made.
    #[error(transparent)]
    Table(#[from] TableError),
    /// A queue could not be made.
    #[error("queue {queue}: {reason}")]
    Queue {
        /// Its logical id.
        queue: String,
        /// What SQS said.
        reason: String,
    },
    /// The bucket could not be made.
    #[error("bucket {bucket}: {reason}")]
    Bucket {
        /// Its logical id.
        bucket: String,
        /// What is in the way.
        reason: String,
    },
    /// A secret could not be made.
    #[error("secret {secret}: {reason}")]
    Secret {
        /// Its logical id.
        secret: String,
        /// What Secrets Manager said.
        reason: String,
    },
}

impl Aws {
    /// Starts the services at `address` and makes what the template declares. `dynamodb` is another
    /// DynamoDB's endpoint to use in place of the embedded one, `data_dir` where the embedded ones
    /// keep their files.
    pub(crate) async fn start(
        stack: &Stack,
        address: IpAddr,
        data_dir: Option<&Path>,
        dynamodb: Option<&str>,
        workers: Arc<Workers>,
    ) -> Result<Self, AwsError> {
        let front = listen::bind_to(address, 0).await?;
        let public = front.local_addr()?;
        let (embedded, dynamodb) = match dynamodb {
            None => {
                let embedded = dynamodb::Embedded::start(data_dir).await?;
                let url = embedded.url.clone();
                (Some(embedded), url)
            }
            Some(url) => (None, url.to_owned()),
        };
        let (sqs_server, sqs_url) = sqs::start(public).await?;
        let (secrets_server, secrets_url) = secrets::start().await?;
        let objects =
            stack.bucket.as_ref().map(|bucket| s3::Embedded::start(bucket, data_dir).map(Arc::new));
        let objects = objects.transpose()?;
        let upstreams =
            proxy::Upstreams { dynamodb, s3: objects.clone(), sqs: sqs_url, secrets: secrets_url };
        let tables = dynamodb::client(&upstreams.dynamodb);
        let table = match &stack.table {
            Some(table) => {
                dynamodb::create(&tables, table, embedded.is_some() && data_dir.is_some()).await?
            }
            None => String::new(),
        };
        let queues = sqs::client(&upstreams.sqs);
        let queue_urls = sqs::create(&queues, &stack.queues).await?;
        let secret_arns = secrets::create(&upstreams.secrets, &stack.secrets).await?;
        let (faults, calls) = (AwsFaults::default(), Calls::default());
        let mut names = permission::Names::of_functions(
            stack.functions.iter().map(|function| function.logical_id.clone()),
        );
        stack.table.iter().for_each(|declared| names.add(&table, &declared.logical_id));
        stack.bucket.iter().for_each(|declared| names.add(&declared.name, &declared.logical_id));
        queue_urls.iter().for_each(|(id, url)| names.add(url, id));
        secret_arns.iter().for_each(|(id, arn)| names.add(arn, id));
        let deployed = Arc::<OnceLock<Deployed>>::default();
        let proxy = proxy::Proxy::new(
            upstreams,
            workers,
            names,
            faults.clone(),
            calls.clone(),
            deployed.clone(),
        );
        let servers =
            vec![listen::serve(front, move |_| proxy.clone()), sqs_server, secrets_server];
        // An IP address, not `localhost`: for one, the SDK's own rules put the bucket into the
        // path.
        let url = format!("http://{public}");
        let bucket = objects.as_ref().map(|s3| s3.bucket.name.clone()).unwrap_or_default();
        Ok(Self {
            url,
            table,
            bucket,
            queue_urls,
            secret_arns,
            queues,
            tables,
            objects,
            faults,
            calls,
            deployed,
            servers,
            embedded,
        })
    }

    /// Removes every object that has expired by `now`.
    pub(crate) fn expire_objects(&self, now: DateTime<Utc>) -> std::io::Result<()> {
        self.objects.as_ref().map_or(Ok(()), |s3| s3.expire(now))
    }

    /// Closes every socket and lets the database finish what it is writing. In somebody else's
    /// DynamoDB, nothing of ours is left behind.
    pub(crate) async fn stop(self) {
        for server in self.servers {
            server.stop().await;
        }
        match self.embedded {
            Some(embedded) => embedded.stop().await,
            None => dynamodb::delete(&self.tables, &self.table).await,
        }
    }
}

/// Configuration of an SDK client that speaks to a loopback URL; whose credentials it uses does not
/// matter there. It speaks plain HTTP and asks no proxy: one in the environment would not find our
/// ports.
macro_rules! loopback {
    ($service:ident, $url:expr) => {
        $service::Config::builder()
            .behavior_version($service::config::BehaviorVersion::latest())
            .region($service::config::Region::new(crate::account::REGION))
            .credentials_provider($service::config::Credentials::new(
                "local", "local", None, None, "local",
            ))
            .endpoint_url($url)
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build()
    };
}
pub(crate) use loopback;
