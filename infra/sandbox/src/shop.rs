//! A shop's page with the chat widget on it, and the shop's own backend, which gives the page a
//! visitor's token. It has another address than the API, as a shop has.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use crate::widget::Widgets;
use platform::widget_script::WidgetScript;

const PAGE: &str = include_str!("shop.html");

/// Returns the shop's routes.
pub(super) fn routes(widgets: Arc<Widgets>) -> Router {
    Router::new()
        .route("/widget", get(page))
        .route("/sandbox/chat/token", get(token))
        .with_state(widgets)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ConversationQuery {
    conversation_id: Option<Uuid>,
}

type Pick = Query<ConversationQuery>;

/// Answers the page, for the demo's customer unless another conversation is named.
async fn page(State(widgets): State<Arc<Widgets>>, Query(pick): Pick) -> Response {
    let Some(visitor) = widgets.visitor(pick.conversation_id).await else { return not_found() };
    let endpoint = widgets.endpoint();
    let nonce = Uuid::new_v4().simple().to_string();
    let conversation_id = visitor.conversation_id.to_string();
    let script = WidgetScript::newest();
    let integrity = script.integrity();
    let blanks = [
        ("{socket}", endpoint.websocket_url.as_str()),
        ("{api}", endpoint.api_url.as_str()),
        ("{nonce}", nonce.as_str()),
        ("{script}", script.name),
        ("{integrity}", integrity.as_str()),
        ("{conversation}", conversation_id.as_str()),
    ];

    let page =
        blanks.iter().fold(PAGE.to_owned(), |page, (blank, value)| page.replace(blank, value));
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

/// Answers a fresh token for the customer on the page.
async fn token(State(widgets): State<Arc<Widgets>>, Query(pick): Pick) -> Response {
    let Some(visitor) = widgets.visitor(pick.conversation_id).await else { return not_found() };
    let token = widgets.endpoint().token(visitor);
    ([(header::CACHE_CONTROL, "no-store")], Json(json!({ "token": token }))).into_response()
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, "there is no such chat conversation\n").into_response()
}
