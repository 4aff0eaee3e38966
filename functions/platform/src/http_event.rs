//! API Gateway's events of the HTTP API, in and out ([payload format
//! 2.0](https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html)).
//!
//! `lambda_http` has a translation of its own, which joins scheme, host, path and query to a URI
//! and panics where that is none: a query with a `<`, which HTTP clients and API Gateway pass on as
//! they get it, would have Lambda answer in the function's place. No function reads that URI.

use aws_lambda_events::event::apigw::{ApiGatewayV2httpRequest, ApiGatewayV2httpResponse};
use aws_lambda_events::query_map::QueryMap;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use lambda_http::request::RequestContext;
use lambda_http::{Body, Context, Request, RequestExt, Response};
use serde_json::value::RawValue;

use crate::error::InternalError;

/// Reads an event. Its URI is only `/`; query and parameters of the path are read by their names.
///
/// # Errors
/// If API Gateway would not send it.
pub(crate) fn read(event: &RawValue, context: Context) -> Result<Request, InternalError> {
    let event: ApiGatewayV2httpRequest = serde_json::from_str(event.get())
        .map_err(|error| InternalError::unreadable("the event", &error))?;
    let body = match event.body {
        Some(text) if event.is_base64_encoded => {
            let bytes = BASE64_STANDARD.decode(text);
            Body::Binary(bytes.map_err(|_| InternalError::new("reading the event's base64"))?)
        }
        Some(text) => Body::Text(text),
        None => Body::Empty,
    };
    // The query as it came, because the gateway's own reading of it joins repeated names.
    let query: QueryMap = match event.raw_query_string {
        Some(query) => query.parse().unwrap_or_default(),
        None => event.query_string_parameters,
    };

    let mut request = Request::new(body);
    *request.method_mut() = event.request_context.http.method.clone();
    *request.headers_mut() = event.headers;
    Ok(request
        .with_query_string_parameters(query)
        .with_path_parameters(event.path_parameters)
        .with_request_context(RequestContext::ApiGatewayV2(event.request_context))
        .with_lambda_context(context))
}

/// Writes an answer. None of ours sets a cookie, which would have to stand in a member of its own.
pub(crate) fn write(response: Response<Body>) -> ApiGatewayV2httpResponse {
    let (head, body) = response.into_parts();
    let mut event = ApiGatewayV2httpResponse::default();
    event.status_code = head.status.as_u16().into();
    event.headers = head.headers;
    event.is_base64_encoded = matches!(body, Body::Binary(_));
    event.body = Some(body).filter(|body| !matches!(body, Body::Empty));
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn request(change: impl FnOnce(&mut Value)) -> Result<Request, InternalError> {
        let mut event = json!({
            "version": "2.0",
            "rawPath": "/api/v1/usage",
            "rawQueryString": "a=1&a=2&b=%3C",
            "headers": { "host": "api.example.com", "x-forwarded-proto": "https" },
            "requestContext": { "http": { "method": "GET" }, "stage": "$default" },
            "pathParameters": { "file": "a b" },
            "isBase64Encoded": false,
        });
        change(&mut event);
        let event = RawValue::from_string(event.to_string()).expect("JSON");
        read(&event, Context::default())
    }

    #[test]
    fn query_and_path_are_read_as_they_came() {
        let request = request(|_| {}).expect("an event");
        let query = request.query_string_parameters();
        assert_eq!(query.all("a"), Some(vec!["1", "2"]));
        assert_eq!(query.first("b"), Some("<"));
        assert_eq!(request.path_parameters().first("file"), Some("a b"));
        assert_eq!(request.method(), "GET");
    }

    #[test]
    fn what_makes_no_uri_is_read_all_the_same() {
        for query in ["a=<", "a=>&b=\"", "a={b|c}^`\\", "é=ü", "%", "%ff", "&&==", "[]"] {
            assert!(request(|event| event["rawQueryString"] = query.into()).is_ok(), "{query}");
        }
        for host in ["a b", "[::", "xn--", "<", "http://"] {
            assert!(request(|event| event["headers"]["host"] = host.into()).is_ok(), "{host}");
        }
        for scheme in ["", "1", "<"] {
            let change = |event: &mut Value| event["headers"]["x-forwarded-proto"] = scheme.into();
            assert!(request(change).is_ok(), "{scheme}");
        }
    }

    #[test]
    fn a_body_comes_as_text_or_in_base64() {
        let body = |text: &str, encoded: bool| {
            request(|event| {
                (event["body"], event["isBase64Encoded"]) = (text.into(), encoded.into())
            })
            .map(|request| request.body().to_vec())
        };
        assert_eq!(body("a", false).expect("a body"), b"a");
        assert_eq!(body("/w==", true).expect("a body"), [0xff]);
        assert!(body("/w=", true).is_err());
    }
}
