//! Reads a template, makes what it declares on this machine, and connects it.

mod activity;
mod environment;
mod error;
mod options;
mod outputs;
mod programs;
mod reference;

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::net::TcpListener;

use self::environment::specification;
use crate::aws::{AccessDenied, Aws, AwsFaults, Callers, Calls, Request, loopback};
use crate::event_sources::{self, Event, EventSources, Polling, scheduled_event};
use crate::gateway::{Gateway, Listeners, Watch};
use crate::lambda::{AccountFigures, FunctionFigures, InvokeError, Lambda, Workers, WorkersGuard};
use crate::listen;
use crate::template::{Reference, Stack};
use crate::traffic::Traffic;

pub use self::activity::{Activity, QueueDepth};
pub use self::error::StartError;
pub use self::options::{EngineOptions, ExtraRoutes, Urls};
pub use self::programs::Programs;

/// The running system. [`Engine::stop`] ends it in order; dropping it ends it at once.
pub struct Engine {
    stack: Stack,
    urls: Urls,
    aws: Aws,
    lambda: Arc<Lambda>,
    gateway: Gateway,
    event_sources: EventSources,
    polling: Polling,
    traffic: Traffic,
    _workers: WorkersGuard,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("api", &self.api_url()).finish_non_exhaustive()
    }
}

impl Engine {
    /// Makes everything that the template declares; when this returns, it accepts connections.
    ///
    /// # Errors
    /// [`StartError`], with nothing left running.
    pub async fn start(options: EngineOptions) -> Result<Self, StartError> {
        let stack = Stack::read(&options.template, &options.parameters, &options.stack_name)?;

        let api = open("HTTP API", options.address, options.api_port).await?;
        let websocket = open("WebSocket API", options.address, options.websocket_port).await?;
        let management = listen::bind_to(options.address, 0).await?;
        let proxy = open("local AWS", options.address, options.aws_port).await?;
        let urls = Urls {
            api: format!("http://{}", api.local_addr()?),
            websocket: format!("ws://{}", websocket.local_addr()?),
            management: format!("http://{}", management.local_addr()?),
            // An IP address, not `localhost`: for one, the SDK's own rules put the bucket into the
            // path.
            aws: format!("http://{}", proxy.local_addr()?),
        };

        let workers = Arc::new(Workers::default());
        let guard = WorkersGuard(Arc::clone(&workers));
        let data_dir = options.data_dir.as_deref();
        let dynamodb = options.dynamodb.as_deref();
        let traffic = Traffic::default();
        let describe = |made: &_| outputs::describe(&stack, made, &urls);
        let callers = Callers { workers: Arc::clone(&workers), traffic: traffic.clone() };
        let logs = options.logs.clone();
        let aws = Aws::start(&stack, proxy, data_dir, dynamodb, callers, logs, describe).await?;

        let specify = |function| specification(function, &stack, &aws.made, &urls, &options);
        let specifications = stack.functions.iter().map(specify).collect::<Result<_, _>>()?;
        let concurrency = options.account_concurrency;
        let logs = options.logs.clone();
        let watch = Watch { traffic: traffic.clone(), logs: logs.clone() };
        let lambda = Arc::new(Lambda::start(specifications, concurrency, workers, logs).await?);

        let extra_routes = options.extra_routes.make(&urls);
        let max_connections = options.max_connections;
        let listeners = Listeners { api, websocket, management, max_connections };
        let gateway =
            Gateway::start(&stack, &lambda, &aws.authorizer, listeners, extra_routes, watch);
        let polling = Polling::default();
        let event_sources = EventSources::start(&stack, &aws, &lambda, &polling);

        Ok(Self {
            stack,
            urls,
            aws,
            lambda,
            gateway,
            event_sources,
            polling,
            traffic,
            _workers: guard,
        })
    }

    /// Base URLs of everything that listens.
    pub fn urls(&self) -> &Urls {
        &self.urls
    }

    /// Base URL of the HTTP API.
    pub fn api_url(&self) -> &str {
        &self.urls.api
    }

    /// URL of the WebSocket API.
    pub fn websocket_url(&self) -> &str {
        &self.urls.websocket
    }

    /// Base URL of the WebSocket API's Management API, before `/@connections/{id}`.
    pub fn management_url(&self) -> &str {
        &self.urls.management
    }

    /// Endpoint of DynamoDB, through the proxy. The endpoints of all services are one.
    pub fn dynamodb_url(&self) -> &str {
        &self.urls.aws
    }

    /// Endpoint of SQS, through the proxy.
    pub fn sqs_url(&self) -> &str {
        &self.urls.aws
    }

    /// Endpoint of Secrets Manager, through the proxy.
    pub fn secrets_url(&self) -> &str {
        &self.urls.aws
    }

    /// Endpoint of S3, through the proxy.
    pub fn s3_url(&self) -> &str {
        &self.urls.aws
    }

    /// A client of DynamoDB, through the proxy.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::from_conf(loopback!(aws_sdk_dynamodb, self.dynamodb_url()))
    }

    /// A client of Secrets Manager, through the proxy.
    pub fn secrets_manager(&self) -> aws_sdk_secretsmanager::Client {
        let config = loopback!(aws_sdk_secretsmanager, self.secrets_url());
        aws_sdk_secretsmanager::Client::from_conf(config)
    }

    /// The bucket's physical name; empty if the template declares none.
    pub fn bucket_name(&self) -> &str {
        &self.aws.made.bucket
    }

    /// Removes the objects that the bucket's lifecycle rules have expired by `now`, as S3 does once
    /// a day.
    ///
    /// # Errors
    /// If a file cannot be removed.
    pub fn expire_objects(&self, now: DateTime<Utc>) -> std::io::Result<()> {
        self.aws.expire_objects(now)
    }

    /// The table's physical name; empty if the template declares none.
    pub fn table_name(&self) -> &str {
        &self.aws.made.table
    }

    /// The URL of a queue by its logical id.
    pub fn queue_url(&self, logical_id: &str) -> Option<&str> {
        self.aws.made.queue_urls.get(logical_id).map(String::as_str)
    }

    /// The ARN of a secret by its logical id.
    pub fn secret_id(&self, logical_id: &str) -> Option<&str> {
        self.aws.made.secret_arns.get(logical_id).map(String::as_str)
    }

    /// Each function's variables, by logical id.
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

    /// The functions' calls to AWS so far.
    pub fn calls(&self) -> &Calls {
        &self.aws.calls
    }

    /// The last requests and calls.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// Decides whether a function, by logical id, may do an operation of a service that an embedder
    /// plays: `sesv2:SendEmail` on `identity/example.com`. The functions' calls to other services
    /// are decided about already.
    ///
    /// # Errors
    /// [`AccessDenied`] if the function's role lacks an action that AWS checks for the operation.
    pub fn authorize(
        &self,
        function: &str,
        operation: &str,
        resource: &str,
    ) -> Result<(), AccessDenied> {
        self.aws.authorizer.authorize(function, Request::new(operation, resource))
    }

    /// How many events functions were invoked with so far.
    pub fn events(&self) -> u64 {
        self.lambda.events()
    }

    /// The figures of each function that Lambda's metrics show, by logical id.
    pub fn functions(&self) -> BTreeMap<String, FunctionFigures> {
        self.lambda.figures()
    }

    /// The account's figures that Lambda's metrics show.
    pub fn account(&self) -> AccountFigures {
        self.lambda.account()
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
        self.run_late_schedule(function, Duration::ZERO).await
    }

    /// Runs a scheduled function with an event that was sent `age` ago, and could not run since.
    ///
    /// # Errors
    /// As [`Engine::run_schedule`]; [`InvokeError::Expired`] if the event has become too old.
    pub async fn run_late_schedule(
        &self,
        function: &str,
        age: Duration,
    ) -> Result<Value, InvokeError> {
        let unknown = || InvokeError::UnknownFunction(function.to_owned());
        let declared = self.stack.function(function).ok_or_else(unknown)?;
        let schedule = declared.schedules.first().ok_or_else(unknown)?;

        let sent = Utc::now() - age;
        let rule = format!("{}-{}{}", self.stack.name, declared.logical_id, schedule.name);
        let event = scheduled_event(schedule, &rule, sent);
        let answer =
            event_sources::invoke_asynchronously(declared, &event, age, &self.lambda).await?;
        Ok(serde_json::from_slice(&answer)?)
    }

    /// Puts an event on the bus, waits until every function that has a rule for it has processed
    /// it, and returns how many there are.
    ///
    /// # Errors
    /// As [`Engine::invoke`], once a function has failed as often as Lambda tries.
    pub async fn publish(&self, event: &Event) -> Result<usize, InvokeError> {
        let value = |reference: &Reference| {
            reference::value(reference, &self.stack, &self.aws.made, &self.urls)
        };
        event_sources::publish(event, &self.stack.functions, &self.lambda, value).await
    }

    /// Sets a variable of every function whose environment has it, by restarting its workers: later
    /// invocations see the new value, invocations that have begun end with the old one.
    pub async fn set_variable(&self, name: &str, value: &str) {
        self.lambda.set_variable(name, value).await;
    }

    /// Kills every worker, and refuses every invocation from now on.
    pub async fn stop_functions(&self) {
        self.lambda.stop().await;
    }

    /// Stops everything, from the outside in: nothing new begins, workers die, AWS closes.
    pub async fn stop(self) {
        self.event_sources.stop().await;
        self.gateway.stop().await;
        self.lambda.stop().await;
        self.aws.stop().await;
    }
}

async fn open(what: &'static str, address: IpAddr, port: u16) -> Result<TcpListener, StartError> {
    listen::bind_to(address, port).await.map_err(|source| StartError::Port { what, port, source })
}
