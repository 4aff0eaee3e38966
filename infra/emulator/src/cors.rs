//! CORS: preflight answers and response headers.
//!
//! S3's buckets: <https://docs.aws.amazon.com/AmazonS3/latest/userguide/cors.html>; the HTTP API:
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-cors.html>.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::template::CorsRule;

/// Returns the headers of the answer to a preflight, or `None` if no rule allows the request.
pub(crate) fn preflight(rules: &[CorsRule], parts: &Parts) -> Option<HeaderMap> {
    let wanted = text(&parts.headers, ACCESS_CONTROL_REQUEST_HEADERS).unwrap_or_default();
    let wanted: Vec<&str> =
        wanted.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();

    let method = text(&parts.headers, ACCESS_CONTROL_REQUEST_METHOD)?;
    let (rule, mut headers) = allowed(rules, text(&parts.headers, ORIGIN)?, method, |rule| {
        wanted.iter().all(|name| {
            rule.headers.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(name))
        })
    })?;

    let mut set = |name: HeaderName, value: String| {
        Some(headers.insert(name, HeaderValue::from_str(&value).ok()?))
    };
    set(ACCESS_CONTROL_ALLOW_HEADERS, wanted.join(", "));

    if let Some(seconds) = rule.max_age {
        set(ACCESS_CONTROL_MAX_AGE, seconds.to_string());
    }

    Some(headers)
}

/// Returns the headers by which a browser shows an answer to a page of another origin.
pub(crate) fn headers(rules: &[CorsRule], request: &HeaderMap, method: &Method) -> HeaderMap {
    let origin = text(request, ORIGIN);
    let found = origin.and_then(|origin| allowed(rules, origin, method.as_str(), |_| true));
    found.map(|(_, headers)| headers).unwrap_or_default()
}

fn allowed<'a>(
    rules: &'a [CorsRule],
    origin: &str,
    method: &str,
    agrees: impl Fn(&CorsRule) -> bool,
) -> Option<(&'a CorsRule, HeaderMap)> {
    let named = |names: &[String], name: &str| {
        names.iter().any(|allowed| allowed == "*" || allowed == name)
    };

    let rule = rules.iter().find(|rule| {
        named(&rule.origins, origin) && named(&rule.methods, method) && agrees(rule)
    })?;
    let origin = if rule.origins.iter().any(|allowed| allowed == "*") { "*" } else { origin };
    let mut headers = HeaderMap::new();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_str(origin).ok()?);
    headers.insert(
        ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_str(&rule.methods.join(", ")).ok()?,
    );

    if !rule.exposed.is_empty() {
        let exposed = HeaderValue::from_str(&rule.exposed.join(", ")).ok()?;
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }

    headers.insert(VARY, HeaderValue::from_static("Origin"));

    Some((rule, headers))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, headers: &str) -> Option<HeaderMap> {
        let rule = CorsRule {
            origins: vec!["https://app.example.com".into()],
            methods: vec!["PUT".into()],
            headers: vec!["Content-Type".into(), "x-amz-tagging".into()],
            exposed: Vec::new(),
            max_age: Some(60),
        };
        let request = http::Request::options("/b/k").header(ORIGIN, "https://app.example.com");
        let request = request.header(ACCESS_CONTROL_REQUEST_METHOD, method);
        let request =
            request.header(ACCESS_CONTROL_REQUEST_HEADERS, headers).body(()).expect("a request");
        preflight(&[rule], &request.into_parts().0)
    }

    #[test]
    fn a_browser_may_do_what_a_rule_says_and_nothing_else() {
        let headers = asked("PUT", "content-type, X-Amz-Tagging").expect("allowed");
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "https://app.example.com");
        assert_eq!(headers[ACCESS_CONTROL_MAX_AGE], "60");
        assert_eq!(asked("DELETE", ""), None);
        assert_eq!(asked("PUT", "x-amz-acl"), None);
    }
}
