//! `AWS::Serverless::HttpApi` and the `HttpApi` events of functions. How a request finds its route lives in the
//! gateway, never here.

use super::properties::Properties;
use super::{CorsRule, TemplateError};

/// One route of the HTTP API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HttpRoute {
    /// Upper-case method, or `ANY`.
    pub(crate) method: String,
    /// Path with `{name}` and `{name+}` segments, or `$default`.
    pub(crate) path: String,
}

impl HttpRoute {
    pub(super) fn read(mut properties: Properties<'_>) -> Result<Self, TemplateError> {
        let method = match properties.literal("Method")?.map(|method| method.to_uppercase()).as_deref() {
            None | Some("*" | "X-AMAZON-APIGATEWAY-ANY-METHOD") => "ANY".to_owned(),
            Some(method) => method.to_owned(),
        };
        let path = properties.literal("Path")?.unwrap_or_else(|| "$default".to_owned());
        if let Some(version) = properties.literal("PayloadFormatVersion")?.filter(|version| version != "2.0") {
            return Err(properties.error(format!("payload format {version} is not made here, only 2.0")));
        }
        properties.finish(&["ApiId", "TimeoutInMillis"])?;
        Ok(Self { method, path })
    }
}

/// What there is to read of an HTTP API, whose routes are events of functions: what pages of other origins may do.
pub(super) fn read(mut properties: Properties<'_>) -> Result<Option<CorsRule>, TemplateError> {
    let cors = properties.nested("CorsConfiguration")?.map(cors_rule).transpose()?;
    if let Some(mut auth) = properties.nested("Auth")? {
        if auth.parsed("EnableIamAuthorizer")?.unwrap_or(false) {
            return Err(auth.error("no authorizer is made here: functions look at tokens themselves"));
        }
        auth.finish(&[])?;
    }
    properties.finish(&[
        "AccessLogSettings",
        "DefaultRouteSettings",
        "Description",
        "Domain",
        "FailOnWarnings",
        "Name",
        "RouteSettings",
        "Tags",
    ])?;
    Ok(cors)
}

fn cors_rule(mut properties: Properties<'_>) -> Result<CorsRule, TemplateError> {
    let rule = CorsRule {
        origins: properties.literals("AllowOrigins")?,
        methods: properties.literals("AllowMethods")?,
        headers: properties.literals("AllowHeaders")?,
        max_age: properties.parsed("MaxAge")?,
    };
    properties.finish(&[])?;
    Ok(rule)
}
