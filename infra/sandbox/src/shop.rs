//! A customer's browser sees this: a shop's page with the chat widget on it, and the shop's own
//! backend, which gives the page a visitor's token. It has another address than the API, as a shop
//! has.

use std::sync::{Arc, OnceLock};

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;
use uuid::Uuid;

use super::{System, Visitor};

const PAGE: &str = include_str!("shop.html");
/// The script as it is embedded everywhere.
const WIDGET: &str = include_str!("../../../functions/chat-socket/widget/widget.js");

type Attached = Arc<OnceLock<System>>;

pub(super) fn routes(system: Attached) -> Router {
    Router::new()
        .route("/widget", get(page))
        .route(
            "/widget.js",
            get(async || ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], WIDGET)),
        )
        .route("/sandbox/chat/token", get(token))
        .with_state(system)
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pick {
    conversation_id: Option<Uuid>,
}

/// The page, of the demo's customer unless another conversation is named.
async fn page(State(system): State<Attached>, Query(pick): Query<Pick>) -> Response {
    let Some((system, visitor)) = find(&system, &pick).await else { return nobody() };
    let gate = system.widgets().gate();
    let nonce = Uuid::new_v4().simple().to_string();
    let conversation = visitor.conversation_id.to_string();
    let blanks = [
        ("{socket}", gate.websocket_url.as_str()),
        ("{api}", gate.api_url.as_str()),
        ("{nonce}", nonce.as_str()),
        ("{conversation}", conversation.as_str()),
    ];
    let page =
        blanks.iter().fold(PAGE.to_owned(), |page, (blank, value)| page.replace(blank, value));
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], page).into_response()
}

/// A fresh token for whoever is on the page.
async fn token(State(system): State<Attached>, Query(pick): Query<Pick>) -> Response {
    let Some((system, visitor)) = find(&system, &pick).await else { return nobody() };
    let token = system.widgets().gate().token(visitor);
    ([(header::CACHE_CONTROL, "no-store")], Json(json!({ "token": token }))).into_response()
}

async fn find<'a>(system: &'a Attached, pick: &Pick) -> Option<(&'a System, Visitor)> {
    let system = system.get()?;
    Some((system, system.widgets().visitor(pick.conversation_id).await?))
}

fn nobody() -> Response {
    (StatusCode::NOT_FOUND, "there is no such chat conversation, or nobody is here yet\n")
        .into_response()
}
