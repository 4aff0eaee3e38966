//! The AWS that the functions see: DynamoDB, S3, SQS and Secrets Manager on loopback, behind one
//! proxy that can make any call fail. Lambda and API Gateway have modules of their own.

mod answer;
mod authorization;
mod call;
mod calls;
mod capacity;
mod cloudformation;
mod damage;
mod dynamodb;
mod error;
mod fault;
mod operation;
mod partial;
mod proxy;
mod reasons;
mod s3;
mod sdk;
mod secrets;
mod sqs;
mod sqs_compat;
mod streams;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::lambda::Logs;
use crate::listen::{self, Pages, Server};
use crate::template::Stack;

pub use authorization::AccessDenied;
pub(crate) use authorization::Authorizer;
pub use calls::{Calls, RecordedCall};
pub use capacity::Consumption;
pub(crate) use cloudformation::StackDescription;
pub use error::{AwsError, TableError};
pub use fault::{AwsFaults, Failure, FaultError, FaultRule};
pub(crate) use operation::Request;
pub use operation::{Operation, caller};
pub(crate) use proxy::Callers;
pub use reasons::ReportedReasons;
pub(crate) use sdk::loopback;
pub(crate) use sqs::arn as queue_arn;
pub(crate) use sqs_compat::restore_group_id;
pub(crate) use streams::Streams;

use dynamodb::EmbeddedDynamoDb;
use operation::LogicalIds;
use proxy::{Proxy, ProxyParts, Upstreams};
use s3::EmbeddedS3;

/// The services with the template's table, bucket, queues and secrets in them.
pub(crate) struct Aws {
    pub(crate) made: PhysicalIds,
    /// SQS below the proxy: what polls queues is AWS itself, and no fault hits it.
    pub(crate) queues: aws_sdk_sqs::Client,
    pub(crate) streams: Streams,
    /// The last record of the table's stream that was processed; what is before it is dropped.
    pub(crate) stream_processed: watch::Sender<Option<String>>,
    pub(crate) faults: AwsFaults,
    pub(crate) calls: Calls,
    pub(crate) authorizer: Authorizer,
    tables: aws_sdk_dynamodb::Client,
    objects: Option<Arc<EmbeddedS3>>,
    servers: Vec<Server>,
    embedded: Option<EmbeddedDynamoDb>,
}

/// The names that AWS gave to the template's resources.
#[derive(Debug, Clone)]
pub(crate) struct PhysicalIds {
    /// The table's name, empty if the template declares none.
    pub(crate) table: String,
    /// The bucket's name, empty if the template declares none.
    pub(crate) bucket: String,
    /// URL by logical id of the queue.
    pub(crate) queue_urls: BTreeMap<String, String>,
    /// ARN by logical id of the secret.
    pub(crate) secret_arns: BTreeMap<String, String>,
}

impl Aws {
    /// Starts the services and makes what the template declares; `proxy` is where functions reach
    /// them. `dynamodb` is another DynamoDB's endpoint to use in place of the embedded one,
    /// `data_dir` the directory where the embedded ones keep their files, `describe` tells
    /// CloudFormation of what was made. What a role does not allow is in `logs`.
    pub(crate) async fn start(
        stack: &Stack,
        proxy: TcpListener,
        data_dir: Option<&Path>,
        dynamodb: Option<&str>,
        callers: Callers,
        logs: Logs,
        describe: impl FnOnce(&PhysicalIds) -> StackDescription,
    ) -> Result<Self, AwsError> {
        let stream_processed = watch::Sender::new(None);
        let (embedded, dynamodb) = match dynamodb {
            None => {
                let processed = stream_processed.subscribe();
                let embedded = EmbeddedDynamoDb::start(data_dir, processed).await?;
                let url = embedded.url.clone();
                (Some(embedded), url)
            }
            Some(url) => (None, url.to_owned()),
        };

        let (sqs_server, sqs_url) = sqs::start(proxy.local_addr()?).await?;
        let (secrets_server, secrets_url) = secrets::start().await?;
        let objects =
            stack.bucket.as_ref().map(|bucket| EmbeddedS3::start(bucket, data_dir).map(Arc::new));

        let objects = objects.transpose()?;

        let tables = dynamodb::client(&dynamodb);
        let streams = Streams::new(dynamodb.clone()).map_err(AwsError::Http)?;
        let is_lasting = embedded.is_some() && data_dir.is_some();
        let table = match &stack.table {
            Some(table) => dynamodb::create(&tables, table, &stack.name, is_lasting).await?,
            None => String::new(),
        };

        let queues = sqs::client(&sqs_url);
        let made = PhysicalIds {
            table,
            bucket: objects.as_ref().map(|s3| s3.bucket.name.clone()).unwrap_or_default(),
            queue_urls: sqs::create(&queues, &stack.queues).await?,
            secret_arns: secrets::create(&secrets_url, &stack.secrets).await?,
        };

        let faults = AwsFaults::default();
        let calls = Calls::default();
        let authorizer = Authorizer::new(&stack.functions, calls.clone(), logs);
        let proxy_service = Proxy::new(ProxyParts {
            upstreams: Upstreams {
                dynamodb,
                s3: objects.clone(),
                sqs: sqs_url,
                secrets: secrets_url,
            },
            callers,
            names: logical_ids(stack, &made),
            faults: faults.clone(),
            calls: calls.clone(),
            authorizer: authorizer.clone(),
            stack: describe(&made),
        });

        let proxy_server = listen::serve(proxy, Pages::OfAnySite, move |_| proxy_service.clone());
        let servers = vec![proxy_server, sqs_server, secrets_server];

        Ok(Self {
            made,
            queues,
            streams,
            stream_processed,
            faults,
            calls,
            authorizer,
            tables,
            objects,
            servers,
            embedded,
        })
    }

    /// Removes every object that has expired by `now`.
    pub(crate) fn expire_objects(&self, now: DateTime<Utc>) -> std::io::Result<()> {
        self.objects.as_ref().map_or(Ok(()), |s3| s3.expire(now))
    }

    /// Closes every socket and lets the database finish what it is writing. A table in another
    /// DynamoDB is removed.
    pub(crate) async fn stop(self) {
        for server in self.servers {
            server.stop().await;
        }

        match self.embedded {
            Some(embedded) => embedded.stop().await,
            None => dynamodb::delete(&self.tables, &self.made.table).await,
        }
    }
}

/// Returns the logical ids of what was made, for the record of operations.
fn logical_ids(stack: &Stack, made: &PhysicalIds) -> LogicalIds {
    let functions = stack.functions.iter().map(|function| function.logical_id.clone());
    let mut names = LogicalIds::of_functions(functions);
    if let Some(declared) = &stack.table {
        names.add(&made.table, &declared.logical_id);
        names.set_partition_key(&declared.keys.partition);
    }
    stack.bucket.iter().for_each(|declared| names.add(&declared.name, &declared.logical_id));
    made.queue_urls.iter().for_each(|(id, url)| names.add(url, id));
    made.secret_arns.iter().for_each(|(id, arn)| names.add(arn, id));
    names
}
