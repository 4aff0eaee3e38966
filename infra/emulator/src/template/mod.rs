//! Reads a template into the [`Stack`] that the engine makes.
//!
//! A subset of CloudFormation and SAM, with no silent gaps: a resource type, property or intrinsic
//! function that is neither given a meaning here nor listed as having none locally is an error that
//! names it.

mod async_invocation;
mod bucket;
mod document;
mod error;
mod event_rule;
mod expression;
mod function;
mod grant;
mod http_api;
mod include;
mod properties;
mod queue;
mod schedule;
mod secret;
mod stream_source;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod throttle;
mod websocket;
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

pub use async_invocation::AsyncInvocation;
pub use bucket::{Bucket, CorsRule, Expiration};
pub use event_rule::EventRule;
pub use function::{Function, QueueSource};
pub use grant::Grant;
pub use http_api::HttpRoute;
pub use queue::{Queue, Redrive};
pub use schedule::Schedule;
pub use secret::Secret;
pub use stream_source::StreamSource;
pub use table::{Index, KeySchema, Projection, Table};
pub use text::{Reference, Text};
pub use throttle::Throttle;
pub use websocket::{RouteSelection, WebSocketApi};

pub use error::TemplateError;

use document::Document;
use http_api::HttpApi;
use properties::Properties;

/// Resource types without a meaning on one machine: roles of services, alarms, and others for
/// operators.
const WITHOUT_LOCAL_MEANING: &[&str] = &[
    "AWS::ApiGateway::Account",
    "AWS::ApiGatewayV2::ApiMapping", // a domain needs a certificate and DNS
    "AWS::ApiGatewayV2::Deployment",
    "AWS::ApiGatewayV2::DomainName",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::CompositeAlarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::IAM::Role", // of services: a function's is made of its Policies
    "AWS::Lambda::Permission",
    "AWS::Logs::LogGroup",
    "AWS::Logs::MetricFilter",
    "AWS::S3::BucketPolicy", // TLS alone: there is none on loopback
    "AWS::SES::ConfigurationSetEventDestination", // an embedder may play SES
    "AWS::SNS::Subscription",
    "AWS::SNS::Topic",
    "AWS::SQS::QueuePolicy",
];

/// Everything that the engine makes, by the template's own (logical) names.
#[derive(Debug)]
pub struct Stack {
    /// The stack's name.
    pub name: String,
    /// The one table, if there is one.
    pub table: Option<Table>,
    /// Queues, dead-letter queues among them.
    pub queues: Vec<Queue>,
    /// The one bucket, if there is one.
    pub bucket: Option<Bucket>,
    /// Secrets, without values.
    pub secrets: Vec<Secret>,
    /// Functions, each with the routes, queues, schedules and events that invoke it.
    pub functions: Vec<Function>,
    /// The HTTP API's CORS rule, if there is one.
    pub cors: Option<CorsRule>,
    /// How many requests a second each route of the HTTP API takes, if it does not say otherwise.
    pub http_default_throttle: Option<Throttle>,
    /// The routes of the HTTP API for which it says otherwise, by method and path.
    pub http_throttles: BTreeMap<String, Throttle>,
    /// The WebSocket API, if there is one.
    pub websocket: Option<WebSocketApi>,
    /// Logical ids of SES's configuration sets; a reference to one is its name.
    pub configuration_sets: BTreeSet<String>,
    /// Logical ids and types of the APIs, which environments may name.
    pub apis: BTreeMap<String, ApiKind>,
    /// The `Outputs`.
    pub outputs: BTreeMap<String, Text>,
}

/// The kinds of API that a logical id can stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ApiKind {
    /// `AWS::Serverless::HttpApi`.
    Http,
    /// `AWS::ApiGatewayV2::Api` with `ProtocolType: WEBSOCKET`.
    WebSocket,
    /// A stage of a WebSocket API; a reference to it is its name.
    Stage,
}

impl Stack {
    /// Reads a template file for a stack of this name; `parameters` override the defaults of its
    /// `Parameters`.
    ///
    /// # Errors
    /// [`TemplateError`] if the file cannot be read, is not a template, asks for something that the
    /// local system does not know, or a parameter is missing, unknown or outside its
    /// `AllowedValues`.
    pub fn read(
        path: &Path,
        parameters: &BTreeMap<String, String>,
        name: &str,
    ) -> Result<Self, TemplateError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            TemplateError::new(path.display().to_string(), format!("cannot be read: {error}"))
        })?;
        Self::parse(&text, path.parent().unwrap_or(Path::new("")), parameters, name)
    }

    /// As [`Stack::read`], from text, which includes files of `folder`.
    ///
    /// # Errors
    /// As [`Stack::read`].
    pub fn parse(
        text: &str,
        folder: &Path,
        parameters: &BTreeMap<String, String>,
        name: &str,
    ) -> Result<Self, TemplateError> {
        let document = Document::parse(text, folder, parameters, name)?;
        let mut stack = Self {
            name: name.to_owned(),
            table: None,
            queues: Vec::new(),
            bucket: None,
            secrets: Vec::new(),
            functions: Vec::new(),
            cors: None,
            http_default_throttle: None,
            http_throttles: BTreeMap::new(),
            websocket: None,
            configuration_sets: BTreeSet::new(),
            apis: BTreeMap::new(),
            outputs: document.outputs()?,
        };

        let mut sockets = websocket::Pieces::default();
        let mut routes = Vec::new();

        for (id, resource) in &document.resources {
            if !document.wants(resource)? {
                continue;
            }
            let properties = document.properties(id, resource)?;
            match resource.kind.as_str() {
                "AWS::Serverless::HttpApi" => {
                    let api = HttpApi::read(properties)?;
                    stack.cors = api.cors;
                    stack.http_default_throttle = api.default_throttle;
                    stack.http_throttles = api.throttles;
                    routes.extend(
                        api.routes.into_iter().map(|(route, function)| (id, route, function)),
                    );
                    stack.apis.insert(id.to_owned(), ApiKind::Http);
                }
                kind => stack.add(id, kind, properties, &mut sockets)?,
            }
        }

        for (id, route, function) in routes {
            let answers = stack.functions.iter_mut().find(|known| known.logical_id == function);
            let answers = answers.ok_or_else(|| {
                let place =
                    format!("Resources.{id}.Properties.DefinitionBody.paths.{}", route.path);
                TemplateError::new(
                    place,
                    format!("`{function}` is not a function of this template"),
                )
            })?;
            answers.routes.push(route);
        }

        stack.websocket = sockets.assemble(&stack.functions)?;
        stack.check_links()?;
        Ok(stack)
    }

    /// Returns the function with this name: logical id (`SendMessage`) or folder (`send-message`).
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.logical_id == name || function.name == name)
    }

    fn add(
        &mut self,
        id: &str,
        kind: &str,
        properties: Properties<'_>,
        sockets: &mut websocket::Pieces,
    ) -> Result<(), TemplateError> {
        let place = format!("Resources.{id}");
        match kind {
            "AWS::DynamoDB::Table" if self.table.is_some() => {
                return Err(TemplateError::new(
                    place,
                    "the local system makes one table; this is the second",
                ));
            }
            "AWS::DynamoDB::Table" => self.table = Some(Table::read(id, properties)?),
            "AWS::S3::Bucket" if self.bucket.is_some() => {
                return Err(TemplateError::new(
                    place,
                    "the local system makes one bucket; this is the second",
                ));
            }
            "AWS::S3::Bucket" => self.bucket = Some(Bucket::read(id, properties)?),
            "AWS::SQS::Queue" => self.queues.push(Queue::read(id, properties)?),
            "AWS::SecretsManager::Secret" => self.secrets.push(Secret::read(id, properties)?),
            "AWS::Serverless::Function" => self.functions.push(Function::read(id, properties)?),
            "AWS::ApiGatewayV2::Api" => {
                sockets.api(id, properties)?;
                self.apis.insert(id.to_owned(), ApiKind::WebSocket);
            }
            "AWS::ApiGatewayV2::Stage" => {
                sockets.stage(id, properties)?;
                self.apis.insert(id.to_owned(), ApiKind::Stage);
            }
            "AWS::ApiGatewayV2::Integration" => sockets.integration(id, properties)?,
            "AWS::ApiGatewayV2::Route" => sockets.route(id, properties)?,
            "AWS::SES::ConfigurationSet" => {
                // Its name is made of the stack's, as CloudFormation makes it.
                properties.finish(&["ReputationOptions", "SendingOptions", "Tags"])?;
                self.configuration_sets.insert(id.to_owned());
            }
            _ if WITHOUT_LOCAL_MEANING.contains(&kind) => {}
            _ => {
                return Err(TemplateError::new(
                    place,
                    format!(
                        "the local system does not know the type {kind}: give it a meaning in \
                         infra/emulator/src/template/mod.rs, or list it there as having none on one machine"
                    ),
                ));
            }
        }

        Ok(())
    }

    /// Every reference from one resource to another must arrive at a resource of the right type.
    fn check_links(&self) -> Result<(), TemplateError> {
        let queue = |id: &str| self.queues.iter().any(|queue| queue.logical_id == id);
        for redrive in self
            .queues
            .iter()
            .filter_map(|queue| queue.redrive.as_ref().map(|redrive| (queue, redrive)))
        {
            if !queue(&redrive.1.dead_letters) {
                return Err(TemplateError::new(
                    format!("Resources.{}.Properties.RedrivePolicy", redrive.0.logical_id),
                    format!("`{}` is not a queue of this template", redrive.1.dead_letters),
                ));
            }
        }

        let has_stream = |id: &str| {
            self.table
                .as_ref()
                .is_some_and(|table| table.logical_id == id && table.stream.is_some())
        };
        for (function, source) in
            self.functions.iter().flat_map(|f| f.streams.iter().map(move |s| (f, s)))
        {
            let place = || format!("Resources.{}.Properties.Events", function.logical_id);
            if !has_stream(&source.table) {
                let problem = format!("`{}` is not a table with a stream", source.table);
                return Err(TemplateError::new(place(), problem));
            }
            if source.on_failure.as_deref().is_some_and(|id| !queue(id)) {
                return Err(TemplateError::new(
                    place(),
                    "its OnFailure is no queue of this template",
                ));
            }
        }

        for (function, source) in
            self.functions.iter().flat_map(|f| f.queues.iter().map(move |q| (f, q)))
        {
            if !queue(&source.queue) {
                return Err(TemplateError::new(
                    format!("Resources.{}.Properties.Events", function.logical_id),
                    format!("`{}` is not a queue of this template", source.queue),
                ));
            }
        }

        Ok(())
    }
}
