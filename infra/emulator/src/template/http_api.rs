//! `AWS::Serverless::HttpApi`: its routes and its CORS rule, as its definition has them, and the
//! throttles of its stage.

use std::collections::BTreeMap;

use super::bucket::CorsRule;
use super::error::TemplateError;
use super::properties::Properties;
use super::throttle::Throttle;

/// Whether the address that API Gateway gives an API is switched off. Here it is the only one.
/// API Gateway looks for it at a server, and warns of a server without an address:
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-swagger-extensions-endpoint-configuration.html>.
const ENDPOINT_CONFIGURATION: &str = "x-amazon-apigateway-endpoint-configuration";

/// One route of the HTTP API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRoute {
    /// Upper-case method, or `ANY`.
    pub method: String,
    /// Path with `{name}` and `{name+}` segments, or `$default`.
    pub path: String,
}

/// An HTTP API as declared.
#[derive(Debug, Default)]
pub(super) struct HttpApi {
    /// The CORS rule, if there is one.
    pub(super) cors: Option<CorsRule>,
    /// Routes, each with the logical id of the function behind it.
    pub(super) routes: Vec<(HttpRoute, String)>,
    /// How many requests a second each route takes, if the stage does not say otherwise.
    pub(super) default_throttle: Option<Throttle>,
    /// The routes for which the stage says otherwise, by method and path.
    pub(super) throttles: BTreeMap<String, Throttle>,
}

impl HttpApi {
    pub(super) fn read(mut properties: Properties<'_>) -> Result<Self, TemplateError> {
        let Some(mut definition) = properties.nested("DefinitionBody")? else {
            return Err(properties
                .error("has no DefinitionBody: its routes are not read from anywhere else"));
        };

        let (default_throttle, throttles) = Throttle::of_routes(&mut properties)?;
        let cors = definition.nested("x-amazon-apigateway-cors")?.map(cors_rule).transpose()?;
        let paths = definition.nested("paths")?.map_or_else(|| Ok(Vec::new()), Properties::each)?;
        for mut server in definition.list("servers")? {
            server.required("url")?;
            server.finish(&[ENDPOINT_CONFIGURATION])?;
        }
        definition.finish(&["info", "openapi", "tags"])?;
        let mut routes = Vec::new();

        for (path, item) in paths {
            for (method, operation) in item.each()? {
                let method = match method.as_str() {
                    "x-amazon-apigateway-any-method" => "ANY".to_owned(),
                    method => method.to_uppercase(),
                };
                routes.push((HttpRoute { method, path: path.clone() }, function(operation)?));
            }
        }

        let is_route = |key: &String| {
            routes.iter().any(|(HttpRoute { method, path }, _)| *key == format!("{method} {path}"))
        };
        if let Some(unknown) = throttles.keys().find(|key| !is_route(key)) {
            let problem = format!("RouteSettings has `{unknown}`, which is not a route of the API");
            return Err(properties.error(problem));
        }
        properties.finish(&[
            "AccessLogSettings",
            "Description",
            "Domain",
            "FailOnWarnings",
            "Name",
            "Tags",
        ])?;

        Ok(Self { cors, routes, default_throttle, throttles })
    }
}

/// Returns the logical id of the function that an operation is integrated with.
fn function(mut operation: Properties<'_>) -> Result<String, TemplateError> {
    let Some(mut integration) = operation.nested("x-amazon-apigateway-integration")? else {
        return Err(
            operation.error("has no x-amazon-apigateway-integration: no function answers it")
        );
    };

    operation.finish(&["operationId", "parameters", "responses"])?;
    let kind = integration.required("type")?;
    if kind != "aws_proxy" {
        return Err(integration
            .error(format!("integrations of type {kind} are not made here, only aws_proxy")));
    }

    let version = integration.required("payloadFormatVersion")?;
    if version != "2.0" {
        return Err(
            integration.error(format!("payload format {version} is not made here, only 2.0"))
        );
    }

    let function = integration.resource("uri")?.ok_or_else(|| integration.error("has no uri"))?;
    integration.finish(&["httpMethod", "timeoutInMillis"])?;
    Ok(function)
}

fn cors_rule(mut properties: Properties<'_>) -> Result<CorsRule, TemplateError> {
    let rule = CorsRule {
        origins: properties.literals("allowOrigins")?,
        methods: properties.literals("allowMethods")?,
        headers: properties.literals("allowHeaders")?,
        exposed: properties.literals("exposeHeaders")?,
        max_age: properties.parsed("maxAge")?,
    };
    properties.finish(&[])?;
    Ok(rule)
}
