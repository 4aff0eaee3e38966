//! The throttles of an API's stage.

use std::collections::BTreeMap;

use super::error::TemplateError;
use super::properties::Properties;

/// How many requests a route takes: a token bucket.
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-protect.html>,
/// <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-throttling.html>
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Throttle {
    /// Requests a second in the long run.
    pub rate: f64,
    /// Requests that may come at once.
    pub burst: u32,
}

impl Throttle {
    fn read(mut properties: Properties<'_>) -> Result<Option<Self>, TemplateError> {
        let rate = properties.parsed("ThrottlingRateLimit")?;
        let burst = properties.parsed("ThrottlingBurstLimit")?;
        properties.finish(&["DataTraceEnabled", "DetailedMetricsEnabled", "LoggingLevel"])?;
        Ok(rate.zip(burst).map(|(rate, burst)| Self { rate, burst }))
    }

    /// Reads what a stage says of all its routes, and of single ones.
    pub(super) fn of_routes(
        stage: &mut Properties<'_>,
    ) -> Result<(Option<Self>, BTreeMap<String, Self>), TemplateError> {
        let default = stage.nested("DefaultRouteSettings")?.map(Self::read).transpose()?.flatten();
        let routes =
            stage.nested("RouteSettings")?.map_or_else(|| Ok(Vec::new()), Properties::each)?;

        let mut own = BTreeMap::new();
        for (route, settings) in routes {
            own.extend(Self::read(settings)?.map(|throttle| (route, throttle)));
        }
        Ok((default, own))
    }
}
