//! The API's addresses. A file's link is stored without one, so that it works under the address
//! that the API has when the link is shown, and under each that it had before.

use lambda_http::http::HeaderMap;
use lambda_http::http::header::HOST;
use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt};

use crate::settings::{self, SettingError};

/// Reads `API_URL`, the API's address without a slash at its end, for functions that the API does
/// not call.
///
/// # Errors
/// The variable that is missing.
pub fn api_url_from_env() -> Result<String, SettingError> {
    settings::required("API_URL")
}

/// The domains of the API, for the functions behind it. The template cannot pass them the address
/// that API Gateway gives the API: the API is made of the functions behind it.
#[derive(Debug, Clone, Default)]
pub struct ApiDomains {
    /// The domain of its own that the API has, if any.
    current: Option<String>,
    /// The domains that it had before.
    former: Vec<String>,
    region: String,
}

/// The API's addresses, as one request shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiAddress {
    /// The address for links, without a slash at its end.
    pub origin: String,
    hosts: Vec<String>,
}

impl ApiDomains {
    /// Reads `API_DOMAIN`, `FORMER_API_DOMAINS` (a list with commas) and `AWS_REGION`. The first
    /// two may be left out.
    ///
    /// # Errors
    /// The variable that is missing.
    pub fn from_env() -> Result<ApiDomains, SettingError> {
        let former = settings::optional("FORMER_API_DOMAINS").unwrap_or_default();
        let former = former.split(',').map(str::trim).filter(|domain| !domain.is_empty());
        Ok(ApiDomains {
            current: settings::optional("API_DOMAIN"),
            former: former.map(str::to_owned).collect(),
            region: settings::required("AWS_REGION")?,
        })
    }

    /// Returns the API's addresses for the answer to a request. Without a domain of its own, links
    /// lead to the address at which the caller reached the API.
    #[must_use]
    pub fn address(&self, request: &Request) -> ApiAddress {
        let context = match request.request_context_ref() {
            Some(RequestContext::ApiGatewayV2(context)) => Some(context),
            _ => None,
        };
        let domain = context.and_then(|context| context.domain_name.clone());
        let asked = domain.or_else(|| text(request.headers(), HOST.as_str())).unwrap_or_default();
        let scheme = match text(request.headers(), "x-forwarded-proto").as_deref() {
            Some("http") => "http",
            _ => "https",
        };
        let origin = match &self.current {
            Some(domain) => format!("https://{domain}"),
            None => format!("{scheme}://{asked}"),
        };

        let mut hosts = self.former.clone();
        hosts.extend(self.current.clone());
        if let Some(api_id) = context.and_then(|context| context.apiid.as_deref()) {
            let given = format!("{api_id}.execute-api.{}.amazonaws.com", self.region);
            hosts.extend([format!("{given}.cn"), given]);
        }
        hosts.push(asked);

        ApiAddress { origin, hosts }
    }
}

impl ApiAddress {
    /// Returns whether the API has or had this host.
    #[must_use]
    pub fn is_own(&self, host: &str) -> bool {
        self.hosts.iter().any(|own| own.eq_ignore_ascii_case(host))
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use lambda_http::request::LambdaRequest;

    use super::*;

    /// A request as API Gateway hands it over, at the host that it gave the API or another one.
    fn request(host: &str) -> Request {
        let event = serde_json::json!({
            "version": "2.0", "routeKey": "GET /", "rawPath": "/", "rawQueryString": "",
            "headers": { "host": host, "x-forwarded-proto": "https" }, "isBase64Encoded": false,
            "requestContext": { "apiId": "abcdef1234", "domainName": host, "stage": "$default",
                "requestId": "x", "accountId": "1", "timeEpoch": 0,
                "http": { "method": "GET", "path": "/", "protocol": "HTTP/1.1" } }
        });
        let request: LambdaRequest = serde_json::from_value(event).expect("an event");
        request.into()
    }

    fn domains(current: Option<&str>, former: &[&str]) -> ApiDomains {
        ApiDomains {
            current: current.map(str::to_owned),
            former: former.iter().map(|domain| (*domain).to_owned()).collect(),
            region: "eu-central-1".to_owned(),
        }
    }

    const GIVEN: &str = "abcdef1234.execute-api.eu-central-1.amazonaws.com";

    #[test]
    fn links_have_the_domain_of_the_api_or_the_host_of_the_request() {
        let none = domains(None, &["old.example.com"]);
        assert_eq!(none.address(&request(GIVEN)).origin, format!("https://{GIVEN}"));
        assert_eq!(none.address(&request("api.example.com")).origin, "https://api.example.com");

        let own = domains(Some("api.example.com"), &[]);
        for host in [GIVEN, "api.example.com", "d111.cloudfront.net"] {
            assert_eq!(own.address(&request(host)).origin, "https://api.example.com");
        }
    }

    #[test]
    fn every_host_that_the_api_has_or_had_is_its_own_and_no_other() {
        let address =
            domains(Some("api.example.com"), &["old.example.com"]).address(&request("x.example"));
        for own in [GIVEN, "api.example.com", "API.example.com", "old.example.com", "x.example"] {
            assert!(address.is_own(own), "{own}");
        }
        for foreign in [
            "",
            "example.com",
            "evil.api.example.com",
            "api.example.com.evil",
            "api.example.com:8443",
            "user@api.example.com",
            "zzzzzz1234.execute-api.eu-central-1.amazonaws.com",
        ] {
            assert!(!address.is_own(foreign), "{foreign}");
        }
    }
}
