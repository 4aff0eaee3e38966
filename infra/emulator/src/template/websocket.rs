//! The WebSocket API out of its four resource types: API, stage, integrations and routes.

use std::collections::BTreeMap;

use super::error::TemplateError;
use super::function::Function;
use super::properties::Properties;
use super::text::{Reference, Text};
use super::throttle::Throttle;

/// The WebSocket API as declared.
#[derive(Debug, Clone, PartialEq)]
pub struct WebSocketApi {
    /// Logical id of the API.
    pub logical_id: String,
    /// Name of its stage.
    pub stage: String,
    /// The path to the route key in a frame.
    pub selection: RouteSelection,
    /// Logical id of the function behind each route key (`$connect`, `$default`, `hello`).
    pub routes: BTreeMap<String, String>,
    /// How many requests a second each route takes, if the stage does not say otherwise.
    pub default_throttle: Option<Throttle>,
    /// The routes for which the stage says otherwise.
    pub throttles: BTreeMap<String, Throttle>,
}

/// `$request.body.action`: the path of keys into a JSON frame whose value is the route key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteSelection(pub Vec<String>);

/// The parts of the API that have been read so far; the resources come in no particular order.
#[derive(Default)]
pub(super) struct Pieces {
    api: Option<(String, RouteSelection)>,
    stage: Option<String>,
    default_throttle: Option<Throttle>,
    throttles: BTreeMap<String, Throttle>,
    integrations: BTreeMap<String, Text>,
    routes: Vec<(String, String, Text)>,
}

impl Pieces {
    pub(super) fn api(
        &mut self,
        id: &str,
        mut properties: Properties<'_>,
    ) -> Result<(), TemplateError> {
        let protocol = properties.required("ProtocolType")?;
        if protocol != "WEBSOCKET" {
            return Err(properties.error(
                "declare an HTTP API as AWS::Serverless::HttpApi; here only WEBSOCKET is read",
            ));
        }

        if self.api.is_some() {
            return Err(
                properties.error("the local system makes one WebSocket API; this is the second")
            );
        }

        let expression = properties.required("RouteSelectionExpression")?;
        let path = expression.strip_prefix("$request.body.").ok_or_else(|| {
            properties.error(format!(
                "RouteSelectionExpression {expression} does not select by a key of the body"
            ))
        })?;

        self.api =
            Some((id.to_owned(), RouteSelection(path.split('.').map(str::to_owned).collect())));

        properties.finish(&[
            "ApiKeySelectionExpression",
            "Description",
            "DisableExecuteApiEndpoint",
            "Name",
            "Tags",
        ])
    }

    pub(super) fn stage(
        &mut self,
        _id: &str,
        mut properties: Properties<'_>,
    ) -> Result<(), TemplateError> {
        self.stage = Some(properties.required("StageName")?);
        (self.default_throttle, self.throttles) = Throttle::of_routes(&mut properties)?;
        properties.finish(&[
            "AccessLogSettings",
            "ApiId",
            "AutoDeploy",
            "DeploymentId",
            "Description",
            "Tags",
        ])
    }

    pub(super) fn integration(
        &mut self,
        id: &str,
        mut properties: Properties<'_>,
    ) -> Result<(), TemplateError> {
        let kind = properties.required("IntegrationType")?;
        if kind != "AWS_PROXY" {
            return Err(properties
                .error(format!("integrations of type {kind} are not made here, only AWS_PROXY")));
        }

        let target = properties
            .text("IntegrationUri")?
            .ok_or_else(|| properties.error("has no IntegrationUri"))?;
        self.integrations.insert(id.to_owned(), target);
        properties.finish(&["ApiId", "Description", "IntegrationMethod", "TimeoutInMillis"])
    }

    pub(super) fn route(
        &mut self,
        id: &str,
        mut properties: Properties<'_>,
    ) -> Result<(), TemplateError> {
        let key = properties.required("RouteKey")?;
        let target = properties.text("Target")?.ok_or_else(|| properties.error("has no Target"))?;
        self.routes.push((id.to_owned(), key, target));
        properties.finish(&["ApiId", "ApiKeyRequired", "AuthorizationType", "OperationName"])
    }

    /// Returns the API, once everything has been read; `None` if the template has none.
    pub(super) fn assemble(
        self,
        functions: &[Function],
    ) -> Result<Option<WebSocketApi>, TemplateError> {
        let Some((logical_id, selection)) = self.api else { return Ok(None) };
        let error = |problem: &str| TemplateError::new(format!("Resources.{logical_id}"), problem);
        let stage = self.stage.ok_or_else(|| error("has no AWS::ApiGatewayV2::Stage"))?;
        let mut routes = BTreeMap::new();

        for (id, key, target) in &self.routes {
            let integration = target
                .references()
                .find_map(|reference| self.integrations.get(&reference.resource));
            let uri = integration.ok_or_else(|| {
                TemplateError::new(
                    format!("Resources.{id}.Properties.Target"),
                    "names no integration of this template",
                )
            })?;
            let named = |reference: &&Reference| {
                functions.iter().any(|f| f.logical_id == reference.resource)
            };
            let function = uri.references().find(named).ok_or_else(|| {
                TemplateError::new(
                    format!("Resources.{id}"),
                    "its integration names no function of this template",
                )
            })?;
            routes.insert(key.clone(), function.resource.clone());
        }

        let Self { default_throttle, throttles, .. } = self;
        Ok(Some(WebSocketApi { logical_id, stage, selection, routes, default_throttle, throttles }))
    }
}
