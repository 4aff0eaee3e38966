//! The list of the control API's routes: JSON for programs, a page for people.

use axum::Json;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use uuid::Uuid;

use crate::pages::wants_page;

/// Method and path, and what the route does.
pub(super) type Route = (&'static str, &'static str);

const PAGE: &str = include_str!("index.html");

/// Answers `GET /sandbox/`.
pub(super) fn index(headers: &HeaderMap, routes: &[Route]) -> Response {
    let vary = [(header::VARY, "accept")];
    match wants_page(headers) {
        true => (vary, page(routes)).into_response(),
        false => {
            let routes = split(routes).map(
                |(method, path, what)| json!({ "method": method, "path": path, "what": what }),
            );
            (vary, Json(json!({ "routes": routes.collect::<Vec<_>>() }))).into_response()
        }
    }
}

/// Returns method, path and description of each route.
fn split(routes: &[Route]) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    routes.iter().map(|(route, what)| {
        let (method, path) = route.split_once(' ').unwrap_or((route, ""));
        (method, path.trim_start(), *what)
    })
}

fn page(routes: &[Route]) -> Response {
    let nonce = Uuid::new_v4().simple().to_string();
    let rows = split(routes).map(|(method, path, what)| {
        format!("<tr><td>{method}</td><td><code>{path}</code></td><td>{what}</td></tr>\n")
    });
    let html = PAGE.replace("{nonce}", &nonce).replace("{rows}", &rows.collect::<String>());
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; img-src data:; base-uri 'none'; \
         frame-ancestors 'none'"
    );
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, policy.as_str()),
    ];
    (headers, html).into_response()
}
