//! The methods of the HTTP API's addresses.
//!
//! API Gateway answers 404 for a method that no route has. Each address therefore has a route for
//! any other method as well ([`ANY`](https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html)),
//! which invokes one of its functions; [`crate::runtime`] answers it with 405.

use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt};

use domain::problem::Refusal;

/// The methods of each address, as `Allow` lists them ([RFC 9110
/// §10.2.1](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.1)).
pub const ALLOWED_METHODS: [(&str, &str); 17] = [
    ("/api/v1/conversations/{conversation_id}/messages", "GET, POST"),
    ("/api/v1/conversations/{conversation_id}/messages/{message_id}", "GET"),
    ("/api/v1/conversations/{conversation_id}/upload", "POST"),
    ("/api/v1/conversations/{conversation_id}/uploads", "POST"),
    ("/api/v1/messages", "GET"),
    ("/api/v1/files/{file}", "GET, HEAD"),
    ("/api/v1/chat/messages/{message_id}", "GET"),
    ("/api/v1/chat/scripts/{script}", "GET"),
    ("/api/v1/usage", "GET"),
    ("/api/v1/events", "GET"),
    ("/api/v1/webhook_endpoints", "GET, POST"),
    ("/api/v1/webhook_endpoints/{endpoint_id}", "DELETE, GET, PATCH"),
    ("/api/v1/webhook_endpoints/{endpoint_id}/rotate-secret", "POST"),
    ("/api/v1/webhook_endpoints/{endpoint_id}/test", "POST"),
    ("/api/v1/webhook_endpoints/{endpoint_id}/deliveries", "GET"),
    ("/api/v1/webhook_endpoints/{endpoint_id}/redeliver", "POST"),
    ("/api/v1/webhooks/whatsapp", "GET, POST"),
];

/// Returns the route by which API Gateway found the function, such as `GET /api/v1/usage`.
#[must_use]
pub fn route_key(request: &Request) -> Option<&str> {
    match request.request_context_ref()? {
        RequestContext::ApiGatewayV2(context) => context.route_key.as_deref(),
        _ => None,
    }
}

/// Refuses a request that came by a route for any other method.
///
/// # Errors
/// [`Refusal::MethodNotAllowed`].
pub(crate) fn check_method(request: &Request) -> Result<(), Refusal> {
    let Some(path) = route_key(request).and_then(|route| route.strip_prefix("ANY ")) else {
        return Ok(());
    };
    let allowed = ALLOWED_METHODS.iter().find(|(known, _)| *known == path);
    Err(Refusal::MethodNotAllowed { allowed: allowed.map_or("", |(_, methods)| methods) })
}
