//! `AWS::Serverless::Function` with its environment and what invokes it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::async_invocation::AsyncInvocation;
use super::error::TemplateError;
use super::event_rule::EventRule;
use super::grant::Grant;
use super::http_api::HttpRoute;
use super::properties::Properties;
use super::schedule::Schedule;
use super::stream_source::StreamSource;
use super::text::Text;

/// Lambda's own defaults.
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/aws-resource-lambda-function.html>
const DEFAULT_TIMEOUT_SECONDS: u64 = 3;
const DEFAULT_MEMORY_MEGABYTES: u32 = 128;

/// SQS event sources' defaults.
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-parameters.html>
const DEFAULT_BATCH_SIZE: usize = 10;

/// A function as declared, globals merged.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// Logical id, `SendMessage`.
    pub logical_id: String,
    /// Folder, package and binary, `send-message`.
    pub name: String,
    /// Time after which an invocation is killed.
    pub timeout: Duration,
    /// Its memory, which only the function itself sees.
    pub memory_megabytes: u32,
    /// How many invocations of it may run at once, and are kept free for it; without a number it
    /// shares the account's.
    pub reserved_concurrency: Option<usize>,
    /// Whether Lambda lets it run in a recursive loop.
    pub may_loop: bool,
    /// How sources invoke it that do not wait for its answer.
    pub asynchronous: AsyncInvocation,
    /// The statements of its role.
    pub grants: Vec<Grant>,
    /// Variables, references to resources still open.
    pub environment: BTreeMap<String, Text>,
    /// Routes of the HTTP API that lead here; the API has them.
    pub routes: Vec<HttpRoute>,
    /// Queues that are polled for it.
    pub queues: Vec<QueueSource>,
    /// Streams of tables that are read for it.
    pub streams: Vec<StreamSource>,
    /// Clocks that invoke it.
    pub schedules: Vec<Schedule>,
    /// Rules of the event bus that invoke it.
    pub rules: Vec<EventRule>,
}

/// An SQS event source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueSource {
    /// Logical id of the queue.
    pub queue: String,
    /// Most records in one event.
    pub batch_size: usize,
    /// Longest time that records are gathered before an event that is not full is sent.
    pub batching_window: Duration,
    /// Whether the function answers with `batchItemFailures`.
    pub reports_failures: bool,
    /// Most invocations at once, if the template sets a limit.
    pub maximum_concurrency: Option<usize>,
}

impl Function {
    pub(super) fn read(id: &str, mut properties: Properties<'_>) -> Result<Self, TemplateError> {
        let code = properties.required("CodeUri")?;
        let name = code.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
        let timeout = properties.parsed("Timeout")?.unwrap_or(DEFAULT_TIMEOUT_SECONDS);
        let recursion: Option<String> = properties.parsed("RecursiveLoop")?;
        let mut function = Self {
            logical_id: id.to_owned(),
            name,
            reserved_concurrency: properties.parsed("ReservedConcurrentExecutions")?,
            may_loop: recursion.as_deref() == Some("Allow"),
            timeout: Duration::from_secs(timeout),
            memory_megabytes: properties.parsed("MemorySize")?.unwrap_or(DEFAULT_MEMORY_MEGABYTES),
            asynchronous: match properties.nested("EventInvokeConfig")? {
                None => AsyncInvocation::default(),
                Some(config) => AsyncInvocation::read(config)?,
            },
            grants: Grant::read_all(&mut properties)?,
            environment: environment(&mut properties)?,
            routes: Vec::new(),
            queues: Vec::new(),
            streams: Vec::new(),
            schedules: Vec::new(),
            rules: Vec::new(),
        };

        if let Some(events) = properties.nested("Events")? {
            for (name, event) in events.each()? {
                function.event(&name, event)?;
            }
        }

        if !function.queues.is_empty() {
            function.grants.push(Grant::polling());
        }

        properties.finish(&[
            "Architectures",
            "AutoPublishAlias",
            "AutoPublishAliasAllProperties",
            "DeadLetterQueue",
            "DeploymentPreference",
            "Description",
            "EphemeralStorage",
            "FunctionName",
            "Handler",
            "LoggingConfig",
            "Runtime",
            "Tags",
            "Tracing",
        ])?;

        Ok(function)
    }

    fn event(&mut self, name: &str, mut event: Properties<'_>) -> Result<(), TemplateError> {
        let kind = event.required("Type")?;
        let Some(properties) = event.nested("Properties")? else {
            return Err(event.error("has no Properties"));
        };

        match kind.as_str() {
            "SQS" => self.queues.extend(QueueSource::read(properties)?),
            "DynamoDB" => self.streams.extend(StreamSource::read(properties)?),
            "EventBridgeRule" => self.rules.extend(EventRule::read(properties)?),
            "Schedule" => self.schedules.extend(Schedule::read(name, properties)?),
            _ => {
                return Err(event.error(format!(
                    "the local system does not know events of type {kind}: add them to \
                     infra/emulator/src/template/function.rs"
                )));
            }
        }

        event.finish(&[])
    }
}

impl QueueSource {
    fn read(mut properties: Properties<'_>) -> Result<Option<Self>, TemplateError> {
        let queue =
            properties.resource("Queue")?.ok_or_else(|| properties.error("names no Queue"))?;
        let responses = properties.literals("FunctionResponseTypes")?;
        let mut scaling = properties.nested("ScalingConfig")?;
        let maximum_concurrency = match &mut scaling {
            Some(scaling) => scaling.parsed("MaximumConcurrency")?,
            None => None,
        };

        scaling.map_or(Ok(()), |scaling| scaling.finish(&[]))?;
        let enabled = properties.parsed("Enabled")?.unwrap_or(true);
        let source = Self {
            queue,
            batch_size: properties.parsed("BatchSize")?.unwrap_or(DEFAULT_BATCH_SIZE),
            batching_window: Duration::from_secs(
                properties.parsed("MaximumBatchingWindowInSeconds")?.unwrap_or_default(),
            ),
            reports_failures: responses
                .iter()
                .any(|response| response == "ReportBatchItemFailures"),
            maximum_concurrency,
        };

        if source.batch_size > 10 && source.batching_window.is_zero() {
            return Err(properties.error(
                "a BatchSize over 10 needs a MaximumBatchingWindowInSeconds of at least 1",
            ));
        }

        properties.finish(&["MetricsConfig"])?;
        Ok(enabled.then_some(source))
    }
}

fn environment(properties: &mut Properties<'_>) -> Result<BTreeMap<String, Text>, TemplateError> {
    let Some(mut environment) = properties.nested("Environment")? else {
        return Ok(BTreeMap::new());
    };
    let variables = environment.nested("Variables")?;
    environment.finish(&[])?;
    variables.map_or(Ok(BTreeMap::new()), Properties::texts)
}
