//! The deployed system on one machine: reads the template, makes what it declares and connects it.
//! What plays the outside world (providers, customers, demo data) lives above the engine, never
//! here.

mod environment;
mod programs;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use tokio::net::TcpListener;

use self::environment::{Addresses, specification};
use crate::aws::{Aws, AwsError, AwsFaults, Calls, Deployed, loopback};
use crate::event_sources::{self, Event, Polling, Sources, scheduled_event};
use crate::gateway::Gateway;
use crate::lambda::{EndOfWorkers, InvokeError, Lambda, Logs, Workers};
use crate::listen;
use crate::template::{Stack, TemplateError};

pub use self::programs::Programs;

/// What to start, and where.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// The template to make.
    pub template: PathBuf,
    /// What runs as each function.
    pub programs: Programs,
    /// Where DynamoDB and S3 keep their files; nothing outlives the run without it.
    pub data_dir: Option<PathBuf>,
    /// The address of this machine to listen on.
    pub address: IpAddr,
    /// Port of the HTTP API; 0 for any.
    pub api_port: u16,
    /// Port of the WebSocket API; 0 for any.
    pub websocket_port: u16,
    /// Endpoint of another DynamoDB to use in place of the embedded one.
    pub dynamodb: Option<String>,
    /// Values for the template's parameters.
    pub parameters: BTreeMap<String, String>,
    /// Variables added to every function's environment.
    pub environment: BTreeMap<String, String>,
    /// Where the functions' logs go.
    pub logs: Logs,
    /// Routes of the HTTP API's front that are no function's, such as a page for people at `/`.
    pub extra_routes: Router,
}

/// The running system. [`Engine::stop`] ends it in order; dropping it ends it at once.
pub struct Engine {
    stack: Stack,
    aws: Aws,
    lambda: Arc<Lambda>,
    gateway: Gateway,
    sources: Sources,
    polling: Polling,
    _workers: EndOfWorkers,
}

/// Why the system did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The template cannot be made on this machine.
    #[error("template: {0}")]
    Template(#[from] TemplateError),
    /// A port that was asked for is taken, or may not be opened.
    #[error("port {port} for the {what} cannot be opened ({source}): is another program using it?")]
    Port {
        /// What it was for.
        what: &'static str,
        /// The port.
        port: u16,
        /// What the system said.
        source: std::io::Error,
    },
    /// A loopback port of the system's own choice could not be opened.
    #[error("no loopback port: {0}")]
    Loopback(#[from] std::io::Error),
    /// The local AWS could not be made.
    #[error(transparent)]
    Aws(#[from] AwsError),
    /// A function's own binary was asked for and is not there.
    #[error(
        "{function} has no binary: neither {} (`cargo build --bins`) nor {} (`sam build`) is there",
        .cargos.display(), .sams.display()
    )]
    Program {
        /// The function's logical id.
        function: String,
        /// Where cargo would have put it.
        cargos: PathBuf,
        /// Where SAM would have put it.
        sams: PathBuf,
    },
    /// A variable names something that has no value on this machine.
    #[error(
        "{variable} of {function}: {reference} has no value on one machine; give it one in infra/emulator/src/engine.rs"
    )]
    Environment {
        /// The function's logical id.
        function: String,
        /// The variable.
        variable: String,
        /// What it names.
        reference: String,
    },
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("api", &self.api_url()).finish_non_exhaustive()
    }
}

impl Default for EngineOptions {
    /// `template.yaml` of the working directory, this very binary, everything in memory, any port,
    /// no logs.
    fn default() -> Self {
        Self {
            template: PathBuf::from("template.yaml"),
            programs: Programs::default(),
            data_dir: None,
            address: listen::LOOPBACK,
            api_port: 0,
            websocket_port: 0,
            dynamodb: None,
            parameters: BTreeMap::new(),
            environment: BTreeMap::new(),
            logs: Logs::discarded(),
            extra_routes: Router::new(),
        }
    }
}

impl Engine {
    /// Makes everything that the template declares; when this returns, it accepts connections.
    ///
    /// # Errors
    /// [`StartError`], with nothing left running.
    pub async fn start(options: EngineOptions) -> Result<Self, StartError> {
        let stack = Stack::read(&options.template, &options.parameters)?;
        let api = open("HTTP API", options.address, options.api_port).await?;
        let websocket = open("WebSocket API", options.address, options.websocket_port).await?;
        let workers = Arc::new(Workers::default());
        let end = EndOfWorkers(Arc::clone(&workers));
        let (data_dir, dynamodb) = (options.data_dir.as_deref(), options.dynamodb.as_deref());
        let aws =
            Aws::start(&stack, options.address, data_dir, dynamodb, Arc::clone(&workers)).await?;
        let management = listen::bind_to(options.address, 0).await?;
        let addresses = Addresses {
            api: format!("http://{}", api.local_addr()?),
            websocket: format!("ws://{}", websocket.local_addr()?),
            management: format!("http://{}", management.local_addr()?),
        };
        let specify = |function| specification(function, &stack, &aws, &addresses, &options);
        let specifications = stack.functions.iter().map(specify).collect::<Result<_, _>>()?;
        let lambda = Arc::new(Lambda::start(specifications, workers, options.logs).await?);
        let gateway =
            Gateway::start(&stack, &lambda, api, websocket, management, options.extra_routes)?;
        let _ = aws.deployed.set(deployed(&stack, &aws, &addresses));
        let polling = Polling::default();
        let sources = Sources::start(&stack, &aws.queue_urls, &aws.queues, &lambda, &polling);
        Ok(Self { stack, aws, lambda, gateway, sources, polling, _workers: end })
    }

    /// Base URL of the HTTP API.
    pub fn api_url(&self) -> &str {
        &self.gateway.api_url
    }

    /// URL of the WebSocket API.
    pub fn websocket_url(&self) -> &str {
        &self.gateway.websocket_url
    }

    /// Base URL of the WebSocket API's Management API, before `/@connections/{id}`.
    pub fn management_url(&self) -> &str {
        &self.gateway.management_url
    }

    /// Endpoint of DynamoDB, through the proxy. The endpoints of all services are one.
    pub fn dynamodb_url(&self) -> &str {
        &self.aws.url
    }

    /// Endpoint of SQS, through the proxy.
    pub fn sqs_url(&self) -> &str {
        &self.aws.url
    }

    /// Endpoint of Secrets Manager, through the proxy.
    pub fn secrets_url(&self) -> &str {
        &self.aws.url
    }

    /// Endpoint of S3, through the proxy.
    pub fn s3_url(&self) -> &str {
        &self.aws.url
    }

    /// A client of DynamoDB, through the proxy.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::from_conf(loopback!(aws_sdk_dynamodb, &self.aws.url))
    }

    /// A client of Secrets Manager, through the proxy.
    pub fn secrets_manager(&self) -> aws_sdk_secretsmanager::Client {
        aws_sdk_secretsmanager::Client::from_conf(loopback!(aws_sdk_secretsmanager, &self.aws.url))
    }

    /// The bucket's physical name; empty if the template declares none.
    pub fn bucket_name(&self) -> &str {
        &self.aws.bucket
    }

    /// Removes the objects whose time is over by `now`, as S3 does once a day for whatever the
    /// bucket's rules say.
    ///
    /// # Errors
    /// If a file cannot be removed.
    pub fn expire_objects(&self, now: DateTime<Utc>) -> std::io::Result<()> {
        self.aws.expire_objects(now)
    }

    /// The table's physical name; empty if the template declares none.
    pub fn table_name(&self) -> &str {
        &self.aws.table
    }

    /// The URL of a queue by its logical id.
    pub fn queue_url(&self, logical_id: &str) -> Option<&str> {
        self.aws.queue_urls.get(logical_id).map(String::as_str)
    }

    /// The ARN of a secret by its logical id.
    pub fn secret_id(&self, logical_id: &str) -> Option<&str> {
        self.aws.secret_arns.get(logical_id).map(String::as_str)
    }

    /// What each function is run with: its variables, by logical id.
    pub fn environments(&self) -> BTreeMap<&str, &BTreeMap<String, String>> {
        self.lambda.environments()
    }

    /// The rules by which the local AWS fails.
    pub fn faults(&self) -> &AwsFaults {
        &self.aws.faults
    }

    /// How the queues are polled.
    pub fn polling(&self) -> &Polling {
        &self.polling
    }

    /// What the functions called so far.
    pub fn calls(&self) -> &Calls {
        &self.aws.calls
    }

    /// Invokes a function, by logical id or folder, and waits for its answer.
    ///
    /// # Errors
    /// [`InvokeError`], the function's own error among them.
    pub async fn invoke(&self, function: &str, payload: Value) -> Result<Value, InvokeError> {
        let answer = self.lambda.invoke(function, payload.to_string().into()).await?;
        Ok(serde_json::from_slice(&answer)?)
    }

    /// Kills the workers of a function, by logical id or folder, that are at work on an event.
    pub async fn kill(&self, function: &str) {
        self.lambda.kill(function).await;
    }

    /// Runs a scheduled function now, with the event that its schedule sends.
    ///
    /// # Errors
    /// As [`Engine::invoke`]; a function without a schedule is unknown here.
    pub async fn run_schedule(&self, function: &str) -> Result<Value, InvokeError> {
        let declared = self.stack.function(function);
        let scheduled = declared.and_then(|declared| Some((declared, declared.schedules.first()?)));
        let (declared, schedule) =
            scheduled.ok_or_else(|| InvokeError::UnknownFunction(function.to_owned()))?;
        let event = scheduled_event(schedule, &declared.logical_id, Utc::now());
        let answer = self.lambda.invoke(&declared.logical_id, event).await?;
        Ok(serde_json::from_slice(&answer)?)
    }

    /// Puts an event on the bus and waits until every function that has a rule for it has taken it;
    /// answers how many there are.
    ///
    /// # Errors
    /// As [`Engine::invoke`], once a function has failed as often as Lambda tries.
    pub async fn publish(&self, event: &Event) -> Result<usize, InvokeError> {
        event_sources::publish(event, &self.stack.functions, &self.lambda).await
    }

    /// Sets `CLOCK_OFFSET_MS` of every function that has it, by restarting its workers: what is
    /// invoked from now on sees the new time, what is running ends on the old. S3 removes what has
    /// expired by then.
    pub async fn set_clock_offset(&self, ms: i64) {
        self.lambda.set_clock_offset(ms).await;
        // A file that cannot be removed is tried again the next time; nothing depends on it.
        let _ = self.expire_objects(Utc::now() + TimeDelta::milliseconds(ms));
    }

    /// Stops everything, from the outside in: first nothing new begins, then workers die, then AWS
    /// closes.
    pub async fn stop(self) {
        self.sources.stop().await;
        self.gateway.stop().await;
        self.lambda.stop().await;
        self.aws.stop().await;
    }
}

/// What operators find the system by.
fn deployed(stack: &Stack, aws: &Aws, addresses: &Addresses) -> Deployed {
    let outputs =
        [("ApiUrl", &addresses.api), ("ChatUrl", &addresses.websocket), ("TableName", &aws.table)];
    let outputs = outputs.map(|(key, value)| (key.to_owned(), value.clone())).into();
    let mut resources: BTreeMap<String, String> = aws.queue_urls.clone();
    resources.extend(aws.secret_arns.clone());
    resources.extend(stack.table.iter().map(|table| (table.logical_id.clone(), aws.table.clone())));
    resources
        .extend(stack.bucket.iter().map(|bucket| (bucket.logical_id.clone(), aws.bucket.clone())));
    Deployed { outputs, resources }
}

async fn open(what: &'static str, address: IpAddr, port: u16) -> Result<TcpListener, StartError> {
    listen::bind_to(address, port).await.map_err(|source| StartError::Port { what, port, source })
}
